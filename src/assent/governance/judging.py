"""What a verdict amounts to, given those before it; and if it does not count, why not. All of it is pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from assent.codec import from_json
from assent.errors import UsageError
from assent.governance.amending import has_arguments, objection_to_changes
from assent.governance.approvals import DECISIONS, MANDATE, ApprovalRequest, intact_request, person
from assent.governance.conditions import Condition
from assent.governance.people import NOBODY, Roster, Seat
from assent.governance.voices import Voice, are_enough, in_the_way, is_met, revokers, standing, voices_of
from assent.store import ApprovalRecord, ApprovalStatus, VerdictRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a verdict amounts to: the approval as it is afterwards, and the verdict with its refusal if it has one."""

    record: ApprovalRecord
    verdict: VerdictRecord
    counted: int = 0  # approvals so far, with this one
    counts: bool = True  # False: it is kept, but its conditions do not hold for what was asked

    @property
    def refusal(self) -> str | None:
        return self.verdict.refusal

    @property
    def decides(self) -> bool:
        return self.refusal is None and self.record.status is not ApprovalStatus.PENDING


@dataclass(frozen=True, slots=True)
class _Case:
    """A verdict with all that it is judged by."""

    record: ApprovalRecord
    request: ApprovalRequest
    verdicts: Sequence[VerdictRecord]
    verdict: VerdictRecord
    roster: Roster
    now: float

    def voices(self, *more: VerdictRecord) -> list[Voice]:
        """The approvals that count now, or that counted when it was decided."""
        return voices_of(self.request, [*self.verdicts, *more], self.roster, self.record.decided_at)

    @property
    def who(self) -> str:
        return self.verdict.approver

    @property
    def own(self) -> VerdictRecord | None:
        """What this person has said before."""
        found = [one for one in standing(self.request, self.verdicts) if person(one.approver) == person(self.who)]
        return found[0] if found else None

    def refused(self, reason: str) -> Judgement:
        return Judgement(record=self._next(), verdict=replace(self.verdict, refusal=reason))

    def accepted(self, verdict: VerdictRecord, status: ApprovalStatus | None = None) -> Judgement:
        following = self._next() if status is None else replace(self._next(), status=status, decided_at=self.now)
        counts = verdict.decision != "approve" or verdict.changes is not None or is_met(self.request, verdict)
        return Judgement(record=following, verdict=verdict, counted=len(self.voices(verdict)), counts=counts)

    def _next(self) -> ApprovalRecord:
        return replace(self.record, version=self.record.version + 1)


def judge(
    record: ApprovalRecord,
    verdicts: Sequence[VerdictRecord],
    verdict: VerdictRecord,
    now: float,
    roster: Roster = NOBODY,
) -> Judgement:
    """Say what a verdict amounts to, given those before it and who is who now.

    A rejection rejects, changes amend, and the approvals of `quorum` different people grant.
    """
    request = intact_request(record)
    if request is None:
        following = replace(record, version=record.version + 1)
        return Judgement(record=following, verdict=replace(verdict, refusal=_altered(record)))
    verdict = replace(verdict, refusal=None, seat="", at=max(verdict.at, request.escalated_at or verdict.at))
    case = _Case(record, request, verdicts, verdict, roster, now)
    refusal = _not_heard(case)
    if refusal is not None:
        return case.refused(refusal)
    return _judge_revocation(case) if verdict.decision == "revoke" else _judge_vote(case)


def _judge_vote(case: _Case) -> Judgement:
    seats = case.roster.sittings(case.request, case.who)
    refusal = _too_late(case) or _not_entitled(case, seats) or _not_sound(case)
    if refusal is not None:
        return case.refused(refusal)
    seat, taken = _pick(case, seats)
    verdict = replace(case.verdict, seat=seat.text(case.who))
    if verdict.decision == "reject":
        return case.accepted(verdict, ApprovalStatus.REJECTED)
    if verdict.changes is not None:
        return case.accepted(verdict, ApprovalStatus.AMENDED)
    if not is_met(case.request, verdict):
        return case.accepted(verdict)
    if taken is not None:
        return case.refused(_taken(taken, seat))
    enough = are_enough(case.request, case.voices(verdict))
    return case.accepted(verdict, ApprovalStatus.GRANTED if enough else None)


def _pick(case: _Case, seats: Sequence[Seat]) -> tuple[Seat, Voice | None]:
    """The first seat that is free; if none is, the first of all, and the voice that is in the way."""
    voices = case.voices()
    blocks = [in_the_way(case.request, voices, Voice(case.verdict, seat)) for seat in seats]
    place = blocks.index(None) if None in blocks else 0
    return seats[place], blocks[place]


def _taken(voice: Voice, seat: Seat) -> str:
    other = voice.verdict.approver
    place = seat.entry if voice.seat.entry == seat.entry else voice.seat.text(other)
    return f"{other} has already approved for {place}, and both together are one voice; another approver must approve"


def _judge_revocation(case: _Case) -> Judgement:
    match case.record.status:
        case ApprovalStatus.PENDING:
            refusal = _too_late(case) or _nothing_said(case) or _no_reason(case)
            status = None
        case ApprovalStatus.GRANTED:
            refusal = _acted_upon(case) or _may_not_revoke(case) or _no_reason(case)
            status = ApprovalStatus.REVOKED
        case _:
            refusal, status = _too_late(case), None
    if refusal is not None:
        return case.refused(refusal)
    seats = case.roster.seats(case.request, case.who)
    seat = case.own.seat if case.own is not None else next(iter(seats), "")
    return case.accepted(replace(case.verdict, seat=seat), status)


# Why a verdict does not count, in words for people.


def _altered(record: ApprovalRecord) -> str:
    return f"approval {record.id} was changed after it was asked for; cancel its execution and start anew"


def _not_heard(case: _Case) -> str | None:
    """What is wrong with any verdict of this kind, or of this person."""
    if case.verdict.decision not in DECISIONS:
        return f'{case.verdict.decision!r} is no verdict; it is "approve", "reject" or "revoke"'
    if case.roster.is_disabled(case.who):
        return f"{case.who} is disabled and cannot decide; another approver must"
    return None


def _too_late(case: _Case) -> str | None:
    record, name = case.record, f"approval {case.record.id}"
    match record.status:
        case ApprovalStatus.PENDING if record.expires_at is None or record.expires_at > case.now:
            return None
        case ApprovalStatus.PENDING | ApprovalStatus.EXPIRED:
            return f"{name} expired{_at(record.expires_at)}"
        case ApprovalStatus.WITHDRAWN:
            return f"{name} was withdrawn{_at(record.decided_at)}: its execution no longer needs it"
        case ApprovalStatus.AMENDED:
            return (
                f"{name} was amended by {_decided_by(case)}{_at(record.decided_at)}: it is asked for anew, as changed"
            )
        case ApprovalStatus.GRANTED | ApprovalStatus.REJECTED | ApprovalStatus.REVOKED:
            return f"{name} was {record.status.value} by {_decided_by(case)}{_at(record.decided_at)}"


def _decided_by(case: _Case) -> str:
    """Who decided, for people."""
    said = standing(case.request, case.verdicts)
    match case.record.status:
        case ApprovalStatus.REJECTED:
            names = [one.approver for one in said if one.decision == "reject"]
        case ApprovalStatus.AMENDED:
            names = [one.approver for one in said if one.changes is not None]
        case ApprovalStatus.REVOKED:
            names = revokers(case.verdicts)[-1:]
        case _:
            voices = case.voices()
            names = [voice.verdict.approver for voice in voices] if are_enough(case.request, voices) else []
    return " and ".join(names) or "the rule for its expiry"


def _not_entitled(case: _Case, seats: Sequence[Seat]) -> str | None:
    who, name, request = case.who, case.record.id, case.request
    if request.is_own_request_of(who):
        return f"{who} asked for {name} and may not decide it; another approver must"
    if request.bars(who):
        return f"{who} is excluded from deciding {name}; another approver must"
    if not seats:
        return _no_seat(case)
    if case.own is not None:
        return f"{who} has already said {case.own.decision}{_at(case.own.at)}"
    return _no_reason(case)


def _no_seat(case: _Case) -> str:
    who, name = case.who, case.record.id
    barred = _stands_in_for_barred(case)
    if barred is not None:
        return f"{who} stands in for {barred}, who may not decide {name}; another approver must"
    return f"{who} is not an approver of {name}; ask {' or '.join(case.request.electorate) or 'for it anew of others'}"


def _stands_in_for_barred(case: _Case) -> str | None:
    for one in case.roster.delegations:
        if person(one.delegate) == person(case.who) and case.request.bars(one.delegator):
            return one.delegator
    return None


def _no_reason(case: _Case) -> str | None:
    if case.request.require_reason and not case.verdict.reason.strip():
        return f"approval {case.record.id} needs a reason with each verdict; say why"
    return None


def _not_sound(case: _Case) -> str | None:
    """What is wrong with the changes or the conditions of a verdict."""
    verdict, request = case.verdict, case.request
    extra = "changes" if verdict.changes is not None else "conditions"
    if verdict.changes is None and not verdict.conditions:
        return None
    if verdict.decision != "approve" or (verdict.changes is not None and verdict.conditions):
        return "changes, or conditions, go with an approval, and not both at once"
    if not has_arguments(request):
        return f"approval {case.record.id} has no arguments that {extra} could be about"
    if verdict.changes is not None:
        return objection_to_changes(request, from_json(verdict.changes))
    return _unreadable(verdict.conditions)


def _unreadable(conditions: Iterable[str]) -> str | None:
    try:
        for text in conditions:
            Condition.parse(text)
    except UsageError as error:
        return str(error)
    return None


def _nothing_said(case: _Case) -> str | None:
    if case.own is None:
        return f"{case.who} has said nothing on {case.record.id} that could be taken back"
    return None


def _acted_upon(case: _Case) -> str | None:
    record, until = case.record, case.request.terms.get("until")
    if record.used_by is not None:
        return f"approval {record.id} is already acted upon, and cannot be taken back"
    if case.request.kind == MANDATE and isinstance(until, int | float) and until <= case.now:
        return f"mandate {record.id} is over{_at(until)}, and there is nothing to take back"
    return None


def _may_not_revoke(case: _Case) -> str | None:
    """One of those who granted it may; anybody who may decide, if nobody granted it or one of these is disabled now."""
    voices = case.voices()
    names = [voice.verdict.approver for voice in voices]
    if person(case.who) in {person(one) for one in names}:
        return None
    granted = are_enough(case.request, voices)
    is_open = not granted or any(map(case.roster.is_disabled, names))
    if is_open and case.roster.seats(case.request, case.who):
        return None
    who = " or ".join(names if granted else case.request.electorate)
    return f"{case.who} has not granted {case.record.id} and cannot take it back; ask {who}"


def _at(moment: float | None) -> str:
    return "" if moment is None else f" at {datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"

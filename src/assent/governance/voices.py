"""Whose approvals count on a request: while it is decided, and again at the moment of the effect. All of it is pure.

Each approval is a *voice*: it takes up the person who spoke and the person whose seat it was. No person is in two
voices, so that two delegates of one person are one voice, and so are a delegate who is an approver too and those for
whom they stand in.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from assent.codec import from_json
from assent.errors import UsageError
from assent.governance.approvals import ApprovalRequest, intact_request, is_role, person, stems_from
from assent.governance.conditions import Condition
from assent.governance.people import NOBODY, Roster, Seat, seat_of
from assent.store import ApprovalRecord, ApprovalStatus, Event, VerdictRecord


class Voice(NamedTuple):
    """An approval that counts."""

    verdict: VerdictRecord
    seat: Seat

    @property
    def people(self) -> frozenset[str]:
        """The person who spoke, and the person whose seat it was."""
        return frozenset((person(self.verdict.approver), self.seat.holder))


def standing(request: ApprovalRequest, verdicts: Iterable[VerdictRecord]) -> list[VerdictRecord]:
    """What people have said on a request as it stands now and not taken back: the one verdict of each."""
    since = request.escalated_at if request.escalated_at is not None else float("-inf")
    found: dict[str, VerdictRecord] = {}
    for one in verdicts:
        who = person(one.approver)
        if one.refusal is not None or one.at < since:
            continue
        if one.decision == "revoke":
            found.pop(who, None)
        elif who not in found or one.decision != "approve":
            found[who] = one
    return list(found.values())


def voices_of(
    request: ApprovalRequest, verdicts: Iterable[VerdictRecord], roster: Roster = NOBODY, at: float | None = None
) -> list[Voice]:
    """The approvals that count on a request, in the order in which they came.

    Not those of people who are disabled (with `at`: who were at that moment), nor any whose conditions do not hold.
    """
    found: list[Voice] = []
    for one in standing(request, verdicts):
        seat = seat_of(request, one.approver, one.seat)
        if seat is None or one.decision != "approve" or not is_met(request, one):
            continue
        if not (roster.is_disabled(one.approver, at) or roster.is_disabled(seat.holder, at)):
            voice = Voice(one, seat)
            found += [] if in_the_way(request, found, voice) else [voice]
    return found


def is_met(request: ApprovalRequest, verdict: VerdictRecord) -> bool:
    """Whether an approval counts for the action as it was asked for: unchanged, and under its conditions."""
    if verdict.changes is not None:
        return False
    try:
        return all(Condition.parse(text).holds(request.arguments) for text in verdict.conditions)
    except UsageError:  # an edited row
        return False


def are_enough(request: ApprovalRequest, voices: Sequence[Voice]) -> bool:
    """Whether so many voices grant what is asked."""
    if request.each:
        return {voice.seat.entry for voice in voices} >= set(request.approvers)
    return len(voices) >= request.quorum


def in_the_way(request: ApprovalRequest, voices: Iterable[Voice], voice: Voice) -> Voice | None:
    """The voice beside which another one would not count."""
    for one in voices:
        if one.people & voice.people or (request.each and one.seat.entry == voice.seat.entry):
            return one
    return None


def revokers(verdicts: Iterable[VerdictRecord]) -> list[str]:
    """Those who took something back, in order."""
    return [one.approver for one in verdicts if one.decision == "revoke" and one.refusal is None]


# At the moment of the effect.


def objection(
    record: ApprovalRecord | None,
    asked: ApprovalRequest,
    verdicts: Sequence[VerdictRecord],
    roster: Roster = NOBODY,
    events: Iterable[Event] = (),
) -> str | None:
    """Why an approval is no authority for what was asked, in words for people; None if it is.

    Nothing of the stored row is taken on trust: neither its status, nor whom it says may decide. `roster` comes from
    `history_of`, and `events` from the journal of the record's execution; see `rightful`.
    """
    if record is None:
        return "its approval is gone"
    request = intact_request(record)
    if request is None or not stems_from(record, asked):
        return f"the request of approval {record.id} was changed after it was made"
    if record.status is ApprovalStatus.REVOKED:
        return f"approval {record.id} was revoked by {' '.join(revokers(verdicts)[-1:]) or 'somebody'}"
    if record.status is not ApprovalStatus.GRANTED:
        return f"approval {record.id} is {record.status}"
    if not _is_earned(record, request, verdicts, roster, events):
        return f"approval {record.id} is granted, but those who may grant it have not"
    return None


def _is_earned(
    record: ApprovalRecord,
    request: ApprovalRequest,
    verdicts: Sequence[VerdictRecord],
    roster: Roster,
    events: Iterable[Event],
) -> bool:
    """Whether there are the verdicts, or the expiry, that the rules ask for."""
    if any(one.decision != "approve" for one in standing(request, verdicts)):
        return False
    has_expired = record.expires_at is not None and (record.decided_at or 0.0) >= record.expires_at
    if request.on_expiry == "approve" and has_expired:
        return True
    return are_enough(request, rightful(record, request, verdicts, roster, events))


def rightful(
    record: ApprovalRecord,
    request: ApprovalRequest,
    verdicts: Sequence[VerdictRecord],
    roster: Roster,
    events: Iterable[Event] = (),
) -> list[Voice]:
    """The approvals that counted when a record was decided, as far as it can be seen that they were rightly given.

    Somebody's own seat needs no more than that it is theirs. Who sat on another's seat must have stood in for them at
    that moment. Who sat on the seat of a role must have it still, or the journal must tell of their verdict: roles
    come and go, and what was rightly said before stays said.
    """
    told = _told(record.id, events)
    voices = voices_of(request, verdicts, roster, record.decided_at)
    return [voice for voice in voices if _is_rightful(voice, roster, told)]


def _is_rightful(voice: Voice, roster: Roster, told: frozenset[tuple[str, str]]) -> bool:
    verdict, (entry, holder) = voice
    who = person(verdict.approver)
    if who != holder and not roster.has_stood_in(who, holder, verdict.at):
        return False
    return not is_role(entry) or roster.has_role(holder, entry) or (who, verdict.seat) in told


def _told(approval_id: str, events: Iterable[Event]) -> frozenset[tuple[str, str]]:
    """Who approved from which seat, as the journal has it."""
    facts = (_facts(event) for event in events if event.type.startswith("policy.approval."))
    return frozenset(
        (person(str(one["approver"])), str(one["seat"]))
        for one in facts
        if one.get("approval_id") == approval_id and one.get("decision") == "approve" and "seat" in one
    )


def _facts(event: Event) -> Mapping[str, Any]:
    try:
        facts = from_json(event.value or "{}")
    except ValueError:  # an edited row tells of nothing
        return {}
    return facts if isinstance(facts, dict) else {}

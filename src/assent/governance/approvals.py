"""Questions to people: what is asked, whose verdict counts, and what verdicts amount to. All of it is pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self, get_args

from assent.codec import digest, from_json, to_json
from assent.errors import UsageError
from assent.governance.action import names_of, nothing
from assent.store import ApprovalRecord, ApprovalStatus, VerdictRecord

OnExpiry = Literal["reject", "approve", "escalate"]

DECISIONS: Final = ("approve", "reject")


def person(name: str) -> str:
    """What two spellings of one person's id have in common: case does not matter in e-mail addresses.

    Only in plain ASCII ones, since other scripts have different people whose names are alike but for case.
    """
    return name.lower() if "@" in name and name.isascii() else name


def _people(what: str, names: Iterable[str]) -> tuple[str, ...]:
    """The ids, each person once."""
    found: dict[str, str] = {}
    for name in names_of(what, names):
        found.setdefault(person(name), name)
    return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """What is asked of whom, under which rules. A policy gives the rules; what it is about is filled in by Assent.

    Its `digest` binds the approval: it covers the action's arguments, the policies, the approvers and the rules.
    """

    approvers: tuple[str, ...]
    quorum: int = 1  # how many different approvers must approve
    require_reason: bool = False
    separation_of_duties: bool = True  # the requester may not decide
    on_expiry: OnExpiry = "reject"
    escalate_to: tuple[str, ...] = ()
    timeout_seconds: float = 30.0  # how long a caller waits before it is told that the approval is pending
    expires: float | None = 86400.0  # seconds until `on_expiry`; None: never
    title: str = ""
    kind: str = "approval"
    stage: int = 1  # its place in the series of its policy
    stages: int = 1
    stage_name: str = ""

    policy: str = ""
    policy_digest: str = ""  # fingerprint of the policy that asks
    policies_digest: str = ""  # of all policies of the action
    action: str = ""
    action_digest: str = ""
    arguments: Mapping[str, Any] = field(default_factory=nothing)  # for display: without secrets
    labels: tuple[str, ...] = ()
    requester: str | None = None
    escalated_at: float | None = None  # Unix seconds; verdicts from before do not count

    def __post_init__(self) -> None:
        object.__setattr__(self, "approvers", _people("approvers", self.approvers))
        object.__setattr__(self, "escalate_to", _people("escalate_to", self.escalate_to))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "timeout_seconds", float(self.timeout_seconds))
        object.__setattr__(self, "expires", None if self.expires is None else float(self.expires))
        _check_approvers(self)
        _check_expiry(self)

    @property
    def subject(self) -> str:
        """What it is about, for people: its title, or the name of the action."""
        return self.title or self.action

    @property
    def electorate(self) -> tuple[str, ...]:
        """Those whose verdict counts."""
        return tuple(one for one in self.approvers if not self.is_own_request_of(one))

    def is_own_request_of(self, approver: str) -> bool:
        """Whether separation of duties keeps this person from deciding."""
        return self.separation_of_duties and self.requester is not None and person(approver) == person(self.requester)

    def escalated(self, now: float) -> "ApprovalRequest":
        """The same question put to those to whom it escalates, once: if they let it expire, it is rejected."""
        return replace(self, approvers=self.escalate_to, escalate_to=(), on_expiry="reject", escalated_at=now)

    def to_text(self) -> str:
        """The request as JSON without what is as usual: the same text in every process."""
        facts = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        return to_json({**facts, "arguments": dict(self.arguments)})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The request that `to_text` wrote."""
        return cls(**from_json(text))

    def digest(self) -> str:
        return digest(self.to_text())


def _check_approvers(request: ApprovalRequest) -> None:
    if not request.approvers:
        raise UsageError('Nobody could grant an approval without approvers. Name them: approvers=["cfo@company.com"].')
    for what in ("approvers", "escalate_to"):
        count = len(getattr(request, what))
        if type(request.quorum) is not int or request.quorum < 1 or (count and request.quorum > count):
            raise UsageError(
                f"quorum={request.quorum!r} does not fit {count} {what}. "
                f"Give a whole number from 1 to {count}, or name more {what}."
            )


def _check_expiry(request: ApprovalRequest) -> None:
    if request.on_expiry not in get_args(OnExpiry):
        raise UsageError(f'on_expiry={request.on_expiry!r} is unknown. Give "reject", "approve" or "escalate".')
    if (request.on_expiry == "escalate") != bool(request.escalate_to):
        raise UsageError('on_expiry="escalate" and escalate_to=[...] belong together. Give both or neither.')
    if request.expires is None and request.on_expiry != "reject":
        raise UsageError(
            f"on_expiry={request.on_expiry!r} without expires would never happen. Give expires, as in 24h."
        )
    if request.timeout_seconds < 0 or (request.expires is not None and request.expires <= 0):
        raise UsageError(
            f"timeout_seconds={request.timeout_seconds!r} and expires={request.expires!r} must not be negative, "
            f"and an approval must stay open for some time."
        )


def opened(approval_id: str, execution_id: str, request: ApprovalRequest, now: float) -> ApprovalRecord:
    """The record of a request that is put to people now."""
    text = request.to_text()
    return ApprovalRecord(
        id=approval_id,
        execution_id=execution_id,
        request=text,
        digest=digest(text),
        created_at=now,
        # To the millisecond: people do not decide faster, and it is written in several places.
        expires_at=None if request.expires is None else round(now + request.expires, 3),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a verdict amounts to: the approval as it is afterwards, and the verdict with its refusal if it has one."""

    record: ApprovalRecord
    verdict: VerdictRecord
    counted: int = 0  # approvals so far, with this one

    @property
    def refusal(self) -> str | None:
        return self.verdict.refusal

    @property
    def decides(self) -> bool:
        return self.refusal is None and self.record.status is not ApprovalStatus.PENDING


def judge(record: ApprovalRecord, verdicts: Sequence[VerdictRecord], verdict: VerdictRecord, now: float) -> Judgement:
    """Say what a verdict amounts to, given those before it.

    A counted rejection rejects; the approvals of `quorum` different people grant.
    """
    following = replace(record, version=record.version + 1)
    request = intact_request(record)
    if request is None:
        return Judgement(record=following, verdict=replace(verdict, refusal=_altered(record)))
    before = _counting(request, verdicts)
    verdict = replace(verdict, at=max(verdict.at, request.escalated_at or verdict.at))
    refusal = _too_late(record, request, before, now) or _not_entitled(record, request, before, verdict)
    if refusal is not None:
        return Judgement(record=following, verdict=replace(verdict, refusal=refusal))
    granted = {person(one.approver) for one in (*before, verdict) if one.decision == "approve"}
    if verdict.decision == "reject":
        following = replace(following, status=ApprovalStatus.REJECTED, decided_at=now)
    elif len(granted) >= request.quorum:
        following = replace(following, status=ApprovalStatus.GRANTED, decided_at=now)
    return Judgement(record=following, verdict=replace(verdict, refusal=None), counted=len(granted))


def _altered(record: ApprovalRecord) -> str:
    return f"approval {record.id} was changed after it was asked for; cancel its execution and start anew"


def intact_request(record: ApprovalRecord) -> ApprovalRequest | None:
    """The request of a record; None if it is not the one that its digest was made of."""
    if digest(record.request) != record.digest:
        return None
    try:
        return ApprovalRequest.from_text(record.request)
    except (UsageError, TypeError, ValueError):
        return None


def stems_from(record: ApprovalRecord, request: ApprovalRequest) -> bool:
    """Whether a stored approval asks what was asked at first: that request itself, or what it escalates to."""
    found = intact_request(record)
    if found is None or (found.escalated_at is not None and not request.escalate_to):
        return False
    expected = request if found.escalated_at is None else request.escalated(found.escalated_at)
    return record.digest == expected.digest()


def _counting(request: ApprovalRequest, verdicts: Iterable[VerdictRecord]) -> list[VerdictRecord]:
    """The verdicts that count on a request as it stands now."""
    listed = {person(one) for one in request.electorate}
    since = request.escalated_at if request.escalated_at is not None else float("-inf")
    return [one for one in verdicts if one.refusal is None and one.at >= since and person(one.approver) in listed]


def _too_late(
    record: ApprovalRecord, request: ApprovalRequest, before: Sequence[VerdictRecord], now: float
) -> str | None:
    """Why no verdict counts any more, in words for people."""
    match record.status:
        case ApprovalStatus.PENDING if record.expires_at is None or record.expires_at > now:
            return None
        case ApprovalStatus.PENDING | ApprovalStatus.EXPIRED:
            return f"approval {record.id} expired{_at(record.expires_at)}"
        case ApprovalStatus.WITHDRAWN:
            return f"approval {record.id} was withdrawn{_at(record.decided_at)}: its execution no longer needs it"
        case ApprovalStatus.GRANTED | ApprovalStatus.REJECTED:
            by = _decided_by(record, request, before)
            return f"approval {record.id} was {record.status.value} by {by}{_at(record.decided_at)}"


def _decided_by(record: ApprovalRecord, request: ApprovalRequest, counted: Sequence[VerdictRecord]) -> str:
    """Who decided, for people."""
    said = "reject" if record.status is ApprovalStatus.REJECTED else "approve"
    names = [one.approver for one in counted if one.decision == said]
    enough = 1 if said == "reject" else request.quorum
    return " and ".join(names) if len(names) >= enough else "the rule for its expiry"


def _not_entitled(
    record: ApprovalRecord, request: ApprovalRequest, before: Sequence[VerdictRecord], verdict: VerdictRecord
) -> str | None:
    """Why this person's verdict does not count, in words for people."""
    who = person(verdict.approver)
    earlier = [one for one in before if person(one.approver) == who]
    if verdict.decision not in DECISIONS:
        return f'{verdict.decision!r} is no verdict; it is "approve" or "reject"'
    if who not in {person(one) for one in request.approvers}:
        return f"{verdict.approver} is not an approver of {record.id}; ask {' or '.join(request.electorate)}"
    if request.is_own_request_of(verdict.approver):
        return f"{verdict.approver} asked for {record.id} and may not decide it; another approver must"
    if earlier:
        return f"{verdict.approver} has already said {earlier[0].decision}{_at(earlier[0].at)}"
    if request.require_reason and not verdict.reason.strip():
        return f"approval {record.id} needs a reason with each verdict; say why"
    return None


def _at(moment: float | None) -> str:
    return "" if moment is None else f" at {datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


def expire(record: ApprovalRecord, now: float) -> ApprovalRecord:
    """The approval after its time has run out; the record itself if it has not, or is decided.

    Escalation asks the same approval of other people for as long again, and is a new request with a new digest.
    """
    if record.status is not ApprovalStatus.PENDING or record.expires_at is None or record.expires_at > now:
        return record
    following = replace(record, version=record.version + 1)
    request = intact_request(record)
    if request is not None and request.on_expiry == "approve":
        return replace(following, status=ApprovalStatus.GRANTED, decided_at=now)
    if request is not None and request.on_expiry == "escalate" and request.expires is not None:
        text = request.escalated(now).to_text()
        return replace(following, request=text, digest=digest(text), expires_at=now + request.expires)
    return replace(following, status=ApprovalStatus.EXPIRED, decided_at=now)


def objection(record: ApprovalRecord | None, asked: ApprovalRequest, verdicts: Iterable[VerdictRecord]) -> str | None:
    """Why an approval is no authority for what was asked, in words for people; None if it is.

    Nothing of the stored row is taken on trust: neither its status, nor whom it says may decide.
    """
    if record is None:
        return "its approval is gone"
    request = intact_request(record)
    if request is None or not stems_from(record, asked):
        return f"the request of approval {record.id} was changed after it was made"
    if record.status is not ApprovalStatus.GRANTED:
        return f"approval {record.id} is {record.status}"
    if not _is_earned(record, request, _counting(request, verdicts)):
        return f"approval {record.id} is granted, but those who may grant it have not"
    return None


def _is_earned(record: ApprovalRecord, request: ApprovalRequest, counting: Sequence[VerdictRecord]) -> bool:
    """Whether there are the verdicts, or the expiry, that the rules ask for."""
    if any(one.decision != "approve" for one in counting):
        return False
    has_expired = record.expires_at is not None and (record.decided_at or 0.0) >= record.expires_at
    people = {person(one.approver) for one in counting}
    return (request.on_expiry == "approve" and has_expired) or len(people) >= request.quorum


def signal_name(approval_id: str) -> str:
    """The name of the signal that tells an execution how an approval was decided."""
    return f"approval:{approval_id}"

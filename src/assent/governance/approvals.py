"""Questions to people: what is asked of whom, under which rules, and what becomes of it when time runs out."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, Self, get_args

from assent.codec import digest, from_json, to_json
from assent.errors import UsageError
from assent.governance.action import names_of, nothing
from assent.store import ApprovalRecord, ApprovalStatus

OnExpiry = Literal["reject", "approve", "escalate"]

Escalation = Sequence[str] | Sequence[Sequence[str]]
"""To whom an approval escalates: people and roles, or several levels of them, one after the other."""

DECISIONS: Final = ("approve", "reject", "revoke")
ROLE: Final = "role:"  # how an approver begins that is no person but whoever has a role
MANDATE: Final = "mandate"


def person(name: str) -> str:
    """What two spellings of one person's id have in common: case does not matter in e-mail addresses.

    Only in plain ASCII ones, since other scripts have different people whose names are alike but for case. Whether
    an accent is a character of its own does not matter either.
    """
    if name.isascii():
        return name.lower() if "@" in name else name
    return unicodedata.normalize("NFC", name)


def likeness(name: str) -> str:
    """What ids have in common that may be one person's, so that nobody gets round a bound by another spelling."""
    name = name.strip()
    return name.lower() if name.isascii() else unicodedata.normalize("NFKC", name).casefold()


def is_role(approver: str) -> bool:
    """Whether an approver is a role, as in "role:finance"."""
    return approver.startswith(ROLE)


def _people(what: str, names: Iterable[str]) -> tuple[str, ...]:
    """The ids, each person once."""
    found: dict[str, str] = {}
    for name in names_of(what, names):
        found.setdefault(person(name), name)
    return tuple(found.values())


def levels_of(escalate_to: Escalation) -> tuple[tuple[str, ...], ...]:
    """The levels of an escalation; a flat list of people and roles is one level."""
    if isinstance(escalate_to, str):
        names_of("escalate_to", escalate_to)
    given: tuple[Any, ...] = tuple(escalate_to)
    levels = (given,) if given and all(isinstance(one, str) for one in given) else given
    return tuple(_people("escalate_to", level) for level in levels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """What is asked of whom, under which rules. A policy gives the rules; what it is about is filled in by Assent.

    Its `digest` binds the approval: it covers the action's arguments, the policies, the approvers and the rules.
    """

    approvers: tuple[str, ...]  # people by id, and roles as in "role:finance"
    quorum: int = 1  # how many different approvers must approve
    each: bool = False  # every one of `approvers` must approve, whatever the quorum says
    excluded: tuple[str, ...] = ()  # people who may not decide
    require_reason: bool = False
    separation_of_duties: bool = True  # the requester may not decide
    on_expiry: OnExpiry = "reject"
    escalate_to: tuple[tuple[str, ...], ...] = ()  # level by level; each expiry takes the next
    reminders: tuple[float, ...] = ()  # seconds after asking, and after each escalation
    timeout_seconds: float = 30.0  # how long a caller waits before it is told that the approval is pending
    expires: float | None = 86400.0  # seconds until `on_expiry`; None: never
    title: str = ""
    kind: str = "approval"  # or "mandate": good for a series of actions, within `terms`
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
    risk: str = ""
    preview: Mapping[str, Any] = field(default_factory=nothing)  # what the action would do, as people see it
    terms: Mapping[str, Any] = field(default_factory=nothing)  # of a mandate
    requester: str | None = None
    escalated_at: float | None = None  # Unix seconds; verdicts from before do not count

    def __post_init__(self) -> None:
        settle = object.__setattr__
        settle(self, "approvers", _people("approvers", self.approvers))
        settle(self, "excluded", _people("excluded", self.excluded))
        settle(self, "escalate_to", levels_of(self.escalate_to))
        settle(self, "labels", tuple(self.labels))
        settle(self, "timeout_seconds", float(self.timeout_seconds))
        settle(self, "expires", None if self.expires is None else float(self.expires))
        settle(self, "reminders", tuple(sorted({float(one) for one in self.reminders})))
        if self.each:
            settle(self, "quorum", len(self.approvers))
        _check_approvers(self)
        _check_expiry(self)

    @property
    def subject(self) -> str:
        """What it is about, for people: its title, or the name of the action."""
        return self.title or self.action

    @property
    def electorate(self) -> tuple[str, ...]:
        """Those whose verdict counts: people, and roles."""
        return tuple(one for one in self.approvers if not self.bars(one))

    def is_own_request_of(self, approver: str) -> bool:
        """Whether separation of duties keeps this person from deciding."""
        return (
            self.separation_of_duties and self.requester is not None and likeness(approver) == likeness(self.requester)
        )

    def bars(self, approver: str) -> bool:
        """Whether this person may not decide, though they may be an approver: their own request, or excluded."""
        return self.is_own_request_of(approver) or likeness(approver) in map(likeness, self.excluded)

    def escalated(self, now: float) -> "ApprovalRequest":
        """The same question put to the next level; if the last one lets it expire, it is rejected."""
        level, *further = self.escalate_to
        on_expiry: OnExpiry = "escalate" if further else "reject"
        return replace(self, approvers=level, escalate_to=tuple(further), on_expiry=on_expiry, escalated_at=now)

    def to_text(self) -> str:
        """The request as JSON without what is as usual: the same text in every process."""
        facts = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        for name in ("preview", "terms"):
            if not facts[name]:
                del facts[name]
            else:
                facts[name] = dict(facts[name])
        if len(self.escalate_to) == 1:  # as it was written before there were levels, so that old digests still fit
            facts["escalate_to"] = self.escalate_to[0]
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
    if not all(request.escalate_to):
        raise UsageError('A level of escalate_to is empty. Name people: escalate_to=[["cfo@company.com"], ...].')
    for names in (request.approvers, *request.escalate_to):
        _check_roles(names)
    if roles := [one for one in request.excluded if one.strip().lower().startswith(ROLE)]:
        raise UsageError(f"exclude= names people, and {roles[0]!r} would exclude nobody. Name the people.")
    _check_quorum(request, "approvers", request.approvers)
    for level in request.escalate_to:
        _check_quorum(request, "escalate_to", level)


def _check_roles(names: Iterable[str]) -> None:
    """What only looks like a role would be somebody whom nobody is, and the approval would wait for ever."""
    for name in names:
        role = name.strip()[len(ROLE) :].strip()
        if name.strip().lower().startswith(ROLE) and (not role or name != f"{ROLE}{role}"):
            raise UsageError(f'{name!r} is no role. Write "{ROLE}{role or "finance"}".')


def _check_quorum(request: ApprovalRequest, what: str, names: Sequence[str]) -> None:
    if request.each and what == "escalate_to":
        return  # it is the size of each level in its turn
    count = len(names)
    # How many people a role has is known only when they decide.
    fits = any(map(is_role, names)) or request.quorum <= count if type(request.quorum) is int else False
    if not fits or request.quorum < 1:
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
    _check_reminders(request)


def _check_reminders(request: ApprovalRequest) -> None:
    for each in request.reminders:
        if each <= 0 or (request.expires is not None and each >= request.expires):
            raise UsageError(
                f"A reminder {each!r} seconds after asking would never come: the approval is open for "
                f"{request.expires!r} seconds. Remind people before it expires."
            )


def opened(
    approval_id: str, execution_id: str, request: ApprovalRequest, now: float, channels: Sequence[str] = ()
) -> ApprovalRecord:
    """The record of a request that is put to people now, and told through these channels."""
    text = request.to_text()
    return ApprovalRecord(
        id=approval_id,
        execution_id=execution_id,
        request=text,
        digest=digest(text),
        created_at=now,
        # To the millisecond: people do not decide faster, and it is written in several places.
        expires_at=None if request.expires is None else round(now + request.expires, 3),
        channels=tuple(channels),
    )


def intact_request(record: ApprovalRecord) -> ApprovalRequest | None:
    """The request of a record; None if it is not the one that its digest was made of."""
    if digest(record.request) != record.digest:
        return None
    try:
        return ApprovalRequest.from_text(record.request)
    except (UsageError, TypeError, ValueError):
        return None


def stems_from(record: ApprovalRecord, request: ApprovalRequest) -> bool:
    """Whether a stored approval asks what was asked at first: that request itself, or a level of its escalation."""
    found = intact_request(record)
    if found is None:
        return False
    expected, taken = request, len(request.escalate_to) - len(found.escalate_to)
    if found.escalated_at is not None:
        if taken < 1:
            return False
        for _ in range(taken):
            expected = expected.escalated(found.escalated_at)
    return record.digest == expected.digest()


def asked_at(record: ApprovalRecord, request: ApprovalRequest) -> float:
    """When those who may decide now were asked."""
    return record.created_at if request.escalated_at is None else request.escalated_at


def reminders_of(record: ApprovalRecord, request: ApprovalRequest) -> tuple[float, ...]:
    """The moments (Unix seconds) at which those who may decide now are reminded, in order, also those gone by."""
    start = asked_at(record, request)
    return tuple(round(start + each, 3) for each in request.reminders)


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


def signal_name(approval_id: str) -> str:
    """The name of the signal that tells an execution how an approval was decided."""
    return f"approval:{approval_id}"

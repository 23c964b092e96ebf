"""The records that a store keeps: what each field means, who sets it, and when it changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

MILLIONTHS: Final = 1_000_000  # amounts are whole numbers of millionths, so that sums are exact


class Status(StrEnum):
    """Where an execution stands. The last three are final."""

    PENDING = "pending"  # created, not yet driven by anybody
    RUNNING = "running"
    SUSPENDED = "suspended"  # waits for a timer, a signal or an approval
    IN_DOUBT = "in_doubt"  # an effect may or may not have happened; a person must say
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Event(NamedTuple):
    """One row of an execution's journal. A tuple, because it is made for every step and written as it stands."""

    execution_id: str
    type: str  # a public event name, see docs/events.md
    at: float  # Unix seconds at which it was journaled
    op: int | None = None  # the op it belongs to; None for events of the execution as a whole
    name: str | None = None  # of the step, signal, policy ...
    attempt: int | None = None  # of a step, from 1
    started_at: float | None = None  # when the step began; `at` minus this is how long it took
    arguments: str | None = None  # JSON object by parameter name, or a reference to a blob
    value: str | None = None  # JSON: result, error or facts, or a reference to a blob
    seq: int = 0  # its place in the store; given by the store, rising, unique over all executions


class Workflow(NamedTuple):
    """What a worker must have in order to drive an execution."""

    name: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """The head of an execution's journal.

    `id` to `created_at` never change; the rest is kept in step with the journal by the same transactions.
    """

    id: str
    name: str
    version: int
    arguments: str  # JSON object by parameter name, or a blob reference
    digest: str  # of name and canonical arguments; tells whether a repeated start is the same call
    requester: str | None = None  # JSON of the principal for whom it runs
    parent_id: str | None = None  # the execution that started it
    traceparent: str | None = None  # W3C trace context of whoever started it, if it was traced
    created_at: float
    status: Status = Status.PENDING
    updated_at: float
    wake_at: float | None = None  # when a worker must look at it: a timer's due time, or 0 for at once; None: never
    owner: str | None = None  # the worker that drives it; None: whoever claims it
    waits: str = "[]"  # JSON list: what it waits for, for people to read
    cause: str | None = None  # why it failed: error, denied, rejected, expired, refused ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """A process with a lease. All executions that it owns hang on this one lease.

    A worker whose row is gone has lost its lease: every append checks for the row in its own transaction.
    """

    id: str
    host: str
    pid: int
    started_at: float
    expires_at: float  # Unix seconds; moved on by each heartbeat
    workflows: str = "[]"  # JSON list of "name@version"; empty for a client that claims nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something for an execution from outside: put in its inbox by anybody, taken out by its owner."""

    execution_id: str
    kind: str  # signal, cancel, resolve
    name: str = ""  # of the signal; of the op for resolve
    value: str = "null"  # JSON
    sender: str | None = None
    at: float = 0.0
    seq: int = 0  # given by the store, rising


class ApprovalStatus(StrEnum):
    """Where an approval stands. Only PENDING is open."""

    PENDING = "pending"
    GRANTED = "granted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # its execution ended, or no longer needs it
    AMENDED = "amended"  # an approver changed the arguments, so another approval takes its place
    REVOKED = "revoked"  # granted, and taken back before it was used


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRecord:
    """A request to people. Changed only by compare-and-set on `version`."""

    id: str
    execution_id: str
    request: str  # JSON: what is asked of whom, under which rules; never changes except by escalation
    digest: str  # of `request`; the permit is refused if it does not match
    status: ApprovalStatus = ApprovalStatus.PENDING
    version: int = 0  # rises with each change
    created_at: float
    expires_at: float | None = None
    decided_at: float | None = None
    channels: Sequence[str] = ()  # names of those through which people are told of it, and of what becomes of it
    used_by: str | None = None  # the permit that has taken it up; from then on it cannot be changed. Never of a mandate


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRecord:
    """What one person said on one approval. Refused verdicts are kept too."""

    approval_id: str
    approver: str  # the person who said it
    decision: str  # approve, reject, revoke (takes back what this person said before)
    reason: str = ""
    at: float
    refusal: str | None = None  # why it does not count; None: it counts
    seat: str = (
        ""  # the entry of the request's approvers for which it counts: the person, a role, whom they stand in for
    )
    changes: str | None = None  # JSON object: arguments that the approver wants to be other than they were asked for
    conditions: Sequence[str] = ()  # under which it counts, as in "amount <= 20000"
    shown_at: float | None = None  # when the person first saw the request, if that is known


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """Somebody who decides, as the store knows them. Approvers who are not in it stand for themselves."""

    id: str
    name: str = ""
    roles: Sequence[str] = ()
    contacts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # address by channel kind
    created_at: float
    disabled_at: float | None = None  # since when nothing they say counts
    access: str = ""  # viewer, approver, operator, admin; empty: sees and decides only what is asked of them


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegationRecord:
    """One person stands in for another for a time. It is not passed on: a delegate's own delegates do not."""

    id: str
    delegator: str
    delegate: str
    since: float
    until: float  # Unix seconds; it always ends
    is_away: bool = False  # out of office: the delegator is told of nothing meanwhile
    reason: str = ""
    ended_at: float | None = None  # taken back before its time


CredentialKind = Literal["token", "session", "ticket", "link", "message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRecord:
    """What somebody shows in order to be let in, without its secret.

    A token is for programs, a session for a browser, a ticket for one sign-in. Of a link to one decision and of a
    message from outside nothing is kept until they are used; then the record is there so that nobody uses them again.
    """

    id: str
    kind: CredentialKind
    digest: str  # SHA-256 of the secret, hexadecimal; unique
    person: str
    scopes: Sequence[str] = ()  # of a token: all that it is for; empty: for all that its person may do
    name: str = ""  # of a token: what it was made for
    approval_id: str | None = None  # of a link
    created_at: float
    expires_at: float | None = None  # Unix seconds; None: never
    last_seen_at: float | None = None  # noted now and then, not at each use
    used_at: float | None = None  # of what is good for one use
    revoked_at: float | None = None


class NoticeStatus(StrEnum):
    """Where a notice stands."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"  # given up after too many attempts, or refused for good; can be retried by hand
    SKIPPED = "skipped"  # there was nobody to tell, or nothing to say any more


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRecord:
    """A message to be sent through a channel. Written by the store together with what it tells of.

    Its `id` is the same however often it is sent, so that a receiver can recognise a duplicate.
    """

    id: str
    approval_id: str
    channel: str  # the name of a configured channel
    topic: str  # requested, reminded, escalated, or what became of it: granted, rejected, expired, withdrawn ...
    recipient: str = ""  # a person; empty: everybody whom the approval concerns
    created_at: float
    due_at: float  # not to be sent before; while somebody sends it, when another may try
    attempts: int = 0
    status: NoticeStatus = NoticeStatus.PENDING
    error: str | None = None  # of the last attempt
    receipt: str | None = None  # what the receiver called it, for updating it later


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit changes in the head of its execution."""

    status: Status
    wake_at: float | None = None
    release: bool = False  # give up ownership with this commit
    waits: str = "[]"
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Something that an action draws on: part of a budget, or of a mandate.

    It is taken together with the permit, and only if it fits: with it, the amounts that are held or spent under `key`
    (after `since`) are at most `limit`, and there are at most `count` of them. Holds of one permit under the same key
    are one, with the largest amount.
    """

    key: str  # "budget:..." or "mandate:<approval id>"
    amount: int = 0  # millionths
    limit: int | None = None  # millionths
    count: int | None = None
    since: float | None = None  # Unix seconds; only later ones count. None: all count
    on_failure: Literal["release", "keep"] = "release"  # "keep": a failed effect may have happened all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What becomes of the holds of a permit: the effect happened, failed, or surely never happened."""

    permit_id: str
    outcome: Literal["done", "failed", "undone"]  # failed: released or kept as each hold says; undone: released
    amounts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # what it really took, by key


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The single-use right to perform one action, taken up in the transaction that journals the intent.

    The commit that carries it is refused with `PermitRefused` if the permit was used before, if any of its approvals
    or mandates is not granted with exactly the digest named here, if an approval was used by another permit, if a
    mandate has expired, or if a hold does not fit; then the error's `hold` is that hold's key.
    """

    id: str
    action_digest: str
    approvals: Sequence[tuple[str, str]] = ()  # (approval id, digest of its request); each is used up
    mandates: Sequence[tuple[str, str]] = ()  # the same, for approvals that are good for a series
    holds: Sequence[Hold] = ()
    again: bool = False  # the first use surely had no effect, so the same permit is used once more

    def once_more(self) -> "Permit":
        """The same permit, after it is known that its use had no effect."""
        return replace(self, again=True)


@dataclass(slots=True, kw_only=True)
class Commit:
    """What the owner of an execution writes at once: all of it, or nothing.

    `create` makes the execution with this very commit (no other process has heard of it before).
    """

    execution_id: str
    events: list[Event] = field(default_factory=list)
    create: ExecutionRecord | None = None
    change: Change | None = None
    consumed: Sequence[int] = ()  # inbox messages dealt with
    seen: int = 0  # the highest inbox `seq` that the owner knows of; newer word keeps the execution due after a change
    messages: Sequence[Message] = ()  # to other executions
    approvals: Sequence[ApprovalRecord] = ()  # opened
    permit: Permit | None = None
    settlement: Settlement | None = None  # of a permit taken up before
    blobs: Sequence[tuple[str, str]] = ()  # (digest, text) of large values
    sealed: Sequence[tuple[int, str]] = ()  # (op, or -1 for the arguments, JSON): kept until the execution ends
    withdraws: bool = False  # open approvals of this execution are withdrawn
    unseals: bool = False  # sealed values of this execution are erased


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionQuery:
    """Which executions to list, newest first."""

    status: Status | None = None
    name: str | None = None
    since: float | None = None  # created at or after, Unix seconds
    cause: str | None = None
    parent_id: str | None = None
    text: str | None = None  # somewhere in the arguments as they are stored, whatever its case in plain letters
    before: str | None = None  # an execution id: only older ones (the cursor of the last page)
    limit: int = 100

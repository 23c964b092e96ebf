"""The records that a store keeps: what each field means, who sets it, and when it changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple


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


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRecord:
    """What one person said on one approval. Refused verdicts are kept too."""

    approval_id: str
    approver: str
    decision: str  # approve, reject
    reason: str = ""
    at: float
    refusal: str | None = None  # why it does not count; None: it counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit changes in the head of its execution."""

    status: Status
    wake_at: float | None = None
    release: bool = False  # give up ownership with this commit
    waits: str = "[]"
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The single-use right to perform one action, taken up in the transaction that journals the intent.

    The commit that carries it is refused with `PermitRefused` if the permit was used before, or if any of its
    approvals is not granted with exactly the digest named here.
    """

    id: str
    action_digest: str
    approvals: Sequence[tuple[str, str]] = ()  # (approval id, digest of its request)
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
    before: str | None = None  # an execution id: only older ones (the cursor of the last page)
    limit: int = 100

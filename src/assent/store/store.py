"""The port to whatever keeps executions, journals and approvals."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, Self

from assent.store.credentials import Credentials
from assent.store.directory import Directory
from assent.store.ledger import Ledger
from assent.store.outbox import Outbox
from assent.store.questions import Questions
from assent.store.receipt import Receipt
from assent.store.records import (
    ApprovalRecord,
    ApprovalStatus,
    Commit,
    Event,
    ExecutionQuery,
    ExecutionRecord,
    Message,
    VerdictRecord,
    WorkerRecord,
    Workflow,
)
from assent.store.retention import Retention
from assent.store.shelf import Shelf


class Store(Credentials, Directory, Ledger, Outbox, Questions, Retention, Shelf, Protocol):
    """Keeps executions, their journals and their approvals, and all that governance knows.

    `tests/conformance/store_suite.py` states its behaviour.

    Every method that writes returns after its transaction is on disk. Failures of the storage itself are raised as
    `StoreError`; what was acknowledged before is safe.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    # leases

    async def register(self, worker: WorkerRecord) -> None:
        """Take a lease. An id is never used for a second one: late writes under the first would pass as its own."""
        ...

    async def renew(self, worker_id: str, expires_at: float) -> bool:
        """Prolong a lease. False: it is gone, and others may drive the executions that hung on it."""
        ...

    async def retire(self, worker_id: str) -> None:
        """Give a lease back: its executions become free at once. A lease that is gone is no error."""
        ...

    async def take_over(self, now: float) -> int:
        """End the leases that expired before `now` and free their executions, due at once; return how many of these.

        What has expired on shelves goes with them.
        """
        ...

    async def workers(self) -> list[WorkerRecord]: ...

    # executions

    async def create(self, record: ExecutionRecord) -> ExecutionRecord:
        """Add an execution unless its id exists; return the one that is stored, old or new."""
        ...

    async def execution(self, execution_id: str) -> ExecutionRecord | None: ...

    async def executions(self, query: ExecutionQuery) -> list[ExecutionRecord]: ...

    async def claim(self, owner: str, workflows: Sequence[Workflow], now: float, limit: int) -> list[ExecutionRecord]:
        """Take ownership of free executions of these workflows that are due, longest due first. Raises LeaseLost.

        They are running now, and no longer due.
        """
        ...

    async def claim_one(self, owner: str, execution_id: str) -> ExecutionRecord | None:
        """Take ownership of one execution, due or not. None: it is owned, final, or not there. Raises LeaseLost."""
        ...

    async def next_wake(self, workflows: Sequence[Workflow]) -> float | None:
        """When the next free execution of these workflows is due; None if none is."""
        ...

    # journal

    def append(self, owner: str, commit: Commit) -> Receipt[None]:
        """Write a commit; the receipt tells when it is on disk. Commits take effect in the order of these calls.

        It fails with LeaseLost if the owner's lease is gone, with PermitRefused if the permit does not
        hold (nothing of the commit is written then), with StoreError if the storage fails.
        """
        ...

    async def journal(self, execution_id: str, after: int = 0) -> list[Event]:
        """The events of one execution with `seq` > `after`, in order."""
        ...

    async def events(self, after: int = 0, type: str | None = None, limit: int = 1000) -> list[Event]:
        """The events of all executions with `seq` > `after`, in order. `type` may end in `*` for a prefix."""
        ...

    async def last_seq(self) -> int:
        """The `seq` of the last event there is; 0 if there is none."""
        ...

    async def sealed(self, execution_id: str) -> dict[int, str]: ...

    async def blob(self, digest: str) -> str:
        """A large value, by the digest in its reference."""
        ...

    # inbox

    async def post(self, message: Message, events: Sequence[Event] = ()) -> bool:
        """Put a message in an inbox and make its execution due. False: there is no such execution, or it has ended."""
        ...

    async def inbox(self, execution_id: str) -> list[Message]:
        """What waits for one execution, oldest first."""
        ...

    async def mail(self, owner: str, after: int) -> list[Message]:
        """What came with `seq` > `after` for any execution that `owner` owns, oldest first."""
        ...

    # approvals

    async def approval(self, approval_id: str) -> ApprovalRecord | None: ...

    async def approvals(
        self,
        status: ApprovalStatus | None = None,
        execution_id: str | None = None,
        limit: int = 100,
        *,
        approvers: Collection[str] | None = None,
        action: str | None = None,
        after: str | None = None,
        newest: bool = False,
    ) -> list[ApprovalRecord]:
        """Approvals, oldest first, or newest first.

        `approvers` keeps those that are asked of any of these, as they stand in the request but for the case of plain
        letters; `action` those for actions of that name. `after`: only those that come after the one of that id.
        """
        ...

    async def verdicts(self, approval_id: str) -> list[VerdictRecord]:
        """All verdicts on an approval, refused ones too, in the order in which they came."""
        ...

    async def decide(
        self,
        approval: ApprovalRecord,
        verdict: VerdictRecord | None,
        events: Sequence[Event],
        message: Message | None = None,
    ) -> bool:
        """Store `approval` as it now is, with the verdict that made it so, its events, and word to its execution.

        Compare-and-set: False, and nothing written, if the stored version is not `approval.version - 1`, or if a permit
        has taken the approval up (`used_by`).
        """
        ...

    # shared state

    async def admit(self, key: str, *, rate: float, burst: int, now: float) -> float:
        """Take a token from a bucket of `burst` that refills by `rate` a second. 0: taken; else seconds to wait."""
        ...

    # counting

    async def counts(self) -> Mapping[str, Mapping[str, int]]:
        """How many `executions`, `approvals` and `notices` there are, by status. Reads them all, beside other work."""
        ...

    # watching

    def changed(self) -> bool:
        """Whether anybody else may have written since the last call. Cheap enough to ask 25 times a second."""
        ...

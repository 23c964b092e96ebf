"""The store on one SQLite file, shared by the processes of one machine: executions, journals, inboxes, approvals.

People, credentials, holds, notices and cells have modules of their own, which it inherits, as it does the file that
all of them are in.
"""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

from collections.abc import Collection, Sequence
from dataclasses import replace

from assent.codec import to_json
from assent.errors import StoreCorrupt, UsageError
from assent.store import rows
from assent.store.buckets import CENTURY, nanoseconds, take_token
from assent.store.cells import EXPIRED, SqliteShelf
from assent.store.commits import write_commit
from assent.store.decisions import write_decision
from assent.store.holds import SqliteLedger
from assent.store.inbox import UNFINISHED, deliver
from assent.store.keyring import SqliteCredentials
from assent.store.notices import SqliteOutbox
from assent.store.people import SqliteDirectory
from assent.store.pruning import SqliteRetention
from assent.store.receipt import Receipt
from assent.store.records import (
    ApprovalRecord,
    ApprovalStatus,
    Commit,
    Event,
    ExecutionQuery,
    ExecutionRecord,
    Message,
    Status,
    VerdictRecord,
    WorkerRecord,
    Workflow,
)
from assent.store.waiting import APPROVALS, ASKED_OF, PLACE, SqliteQuestions
from assent.store.writer import Transaction

EXECUTIONS = rows.select(rows.EXECUTION, "executions")
MESSAGES = rows.select(rows.MESSAGE, "inbox")
EVENTS = rows.select(rows.EVENT, "journal")
# Its words are those of the partial index `executions_due`.
FREE = "name = ? AND version = ? AND owner IS NULL AND wake_at IS NOT NULL"
CLAIM = "UPDATE executions SET owner = ?, status = 'running', wake_at = NULL WHERE id = ?"


class SqliteStore(
    SqliteCredentials, SqliteDirectory, SqliteLedger, SqliteOutbox, SqliteQuestions, SqliteRetention, SqliteShelf
):
    """Keeps everything in the file that `url` names; `sqlite://` keeps it in memory, for as long as the store is open.

    `synchronous` is SQLite's own word for what survives a power cut; below FULL the last commits may not. A file that
    other processes keep locked for longer than `patience` seconds is given up with StoreUnavailable. While a COMMIT
    takes `loop_budget` seconds or more on average it is done on a thread. `max_bytes` is a ceiling for the file.
    `crash_point` is called around each COMMIT with a name and the number of the commit, from 1.
    """

    # leases

    async def register(self, worker: WorkerRecord) -> None:
        def work(transaction: Transaction) -> None:
            transaction.execute("DELETE FROM workers WHERE id = ?", (worker.id,))
            transaction.execute(rows.insert(rows.WORKER, "workers"), rows.worker_row(worker))

        await self._writer.put(work)

    async def renew(self, worker_id: str, expires_at: float) -> bool:
        def work(transaction: Transaction) -> bool:
            sql = "UPDATE workers SET expires_at = ? WHERE id = ?"
            return transaction.execute(sql, (expires_at, worker_id)).rowcount == 1

        return await self._writer.put(work)

    async def retire(self, worker_id: str) -> None:
        await self._writer.put(_end_leases, "id = ?", worker_id)

    async def take_over(self, now: float) -> int:
        def work(transaction: Transaction) -> int:
            transaction.execute("DELETE FROM buckets WHERE full_at < ?", (nanoseconds(now),))
            transaction.execute(EXPIRED, (now,))
            return _end_leases("expires_at < ?", now, transaction)

        return await self._writer.put(work)

    async def workers(self) -> list[WorkerRecord]:
        return [rows.worker_of(row) for row in self._read(rows.select(rows.WORKER, "workers") + " ORDER BY started_at")]

    # executions

    async def create(self, record: ExecutionRecord) -> ExecutionRecord:
        def work(transaction: Transaction) -> ExecutionRecord:
            if record.owner is not None:
                transaction.fence(record.owner)
            stored = transaction.execute(f"{EXECUTIONS} WHERE id = ?", (record.id,)).fetchone()
            if stored is not None:
                return rows.execution_of(stored)
            transaction.execute(rows.insert(rows.EXECUTION, "executions"), rows.execution_row(record))
            return record

        return await self._writer.put(work)

    async def execution(self, execution_id: str) -> ExecutionRecord | None:
        found = self._read(f"{EXECUTIONS} WHERE id = ?", execution_id)
        return rows.execution_of(found[0]) if found else None

    async def executions(self, query: ExecutionQuery) -> list[ExecutionRecord]:
        older = "(created_at, id) < (SELECT created_at, id FROM executions WHERE id = ?)"
        where, values = rows.where(
            ("status = ?", query.status),
            ("name = ?", query.name),
            ("created_at >= ?", query.since),
            ("cause = ?", query.cause),
            ("parent_id = ?", query.parent_id),
            ("instr(lower(arguments), lower(?))", query.text),
            (older, query.before),
        )
        sql = f"{EXECUTIONS} {where} ORDER BY created_at DESC, id DESC LIMIT ?"
        return [rows.execution_of(row) for row in self._read(sql, *values, query.limit)]

    async def claim(self, owner: str, workflows: Sequence[Workflow], now: float, limit: int) -> list[ExecutionRecord]:
        # One look into the index per workflow, so that due executions that nobody here can drive cost nothing.
        due = f"{EXECUTIONS} WHERE {FREE} AND wake_at <= ? ORDER BY wake_at LIMIT ?"

        def work(transaction: Transaction) -> list[ExecutionRecord]:
            transaction.fence(owner)
            found: list[ExecutionRecord] = []
            for workflow in set(workflows):
                found += map(rows.execution_of, transaction.execute(due, (*workflow, now, limit)))
            found.sort(key=lambda record: (record.wake_at, record.created_at))
            return [_claimed(record, owner, transaction) for record in found[:limit]]

        return await self._writer.put(work)

    async def claim_one(self, owner: str, execution_id: str) -> ExecutionRecord | None:
        def work(transaction: Transaction) -> ExecutionRecord | None:
            transaction.fence(owner)
            free = f"{EXECUTIONS} WHERE id = ? AND owner IS NULL AND {UNFINISHED}"
            row = transaction.execute(free, (execution_id,)).fetchone()
            return _claimed(rows.execution_of(row), owner, transaction) if row else None

        return await self._writer.put(work)

    async def next_wake(self, workflows: Sequence[Workflow]) -> float | None:
        sql = f"SELECT min(wake_at) FROM executions WHERE {FREE}"
        found = [self._read(sql, *workflow)[0][0] for workflow in workflows]
        return min((wake_at for wake_at in found if wake_at is not None), default=None)

    # journal

    def append(self, owner: str, commit: Commit) -> Receipt[None]:
        return self._writer.put(write_commit, owner, commit)

    async def journal(self, execution_id: str, after: int = 0) -> list[Event]:
        sql = f"{EVENTS} WHERE execution_id = ? AND seq > ? ORDER BY seq"
        return [Event._make(row) for row in self._read(sql, execution_id, after)]

    async def events(self, after: int = 0, type: str | None = None, limit: int = 1000) -> list[Event]:
        where, values = rows.where(("seq > ?", after), ("type = ?", type))
        if type is not None and type.endswith("*"):
            where, values = "WHERE seq > ? AND substr(type, 1, ?) = ?", [after, len(type) - 1, type[:-1]]
        sql = f"{EVENTS} {where} ORDER BY seq LIMIT ?"
        return [Event._make(row) for row in self._read(sql, *values, limit)]

    async def last_seq(self) -> int:
        found: int = self._read("SELECT coalesce(max(seq), 0) FROM journal")[0][0]
        return found

    async def sealed(self, execution_id: str) -> dict[int, str]:
        return dict(self._read("SELECT op, text FROM sealed WHERE execution_id = ?", execution_id))

    async def blob(self, digest: str) -> str:
        found = self._read("SELECT text FROM blobs WHERE digest = ?", digest)
        if not found:
            raise StoreCorrupt(f"{self.location!r} has lost the value with digest {digest!r}; restore a backup.")
        text: str = found[0][0]
        return text

    # inbox

    async def post(self, message: Message, events: Sequence[Event] = ()) -> bool:
        def work(transaction: Transaction) -> bool:
            delivered = deliver(message, transaction)
            transaction.events += events if delivered else ()
            return delivered

        return await self._writer.put(work)

    async def inbox(self, execution_id: str) -> list[Message]:
        return [
            rows.message_of(row) for row in self._read(f"{MESSAGES} WHERE execution_id = ? ORDER BY seq", execution_id)
        ]

    async def mail(self, owner: str, after: int) -> list[Message]:
        # Asked from the inbox's end, which is short, and not from the executions, of which a worker may own many.
        owned = "EXISTS (SELECT 1 FROM executions WHERE id = inbox.execution_id AND owner = ?)"
        sql = f"{MESSAGES} WHERE seq > ? AND {owned} ORDER BY seq"
        return [rows.message_of(row) for row in self._read(sql, after, owner)]

    # approvals

    async def approval(self, approval_id: str) -> ApprovalRecord | None:
        found = self._read(f"{APPROVALS} WHERE id = ?", approval_id)
        return rows.approval_of(found[0]) if found else None

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
        # The plus keeps SQLite from going through all open approvals for those of one execution.
        by_status = "status = ?" if execution_id is None else "+status = ?"
        where, values = rows.where(
            (by_status, status),
            ("execution_id = ?", execution_id),
            (ASKED_OF, None if approvers is None else to_json(list(approvers))),
            ("CASE WHEN json_valid(request) THEN request ->> '$.action' END = ?", action),
            (f"(created_at, rowid) {'<' if newest else '>'} {PLACE}", after),
        )
        order = "created_at DESC, rowid DESC" if newest else "created_at, rowid"
        found = self._read(f"{APPROVALS} {where} ORDER BY {order} LIMIT ?", *values, limit)
        return [rows.approval_of(row) for row in found]

    async def verdicts(self, approval_id: str) -> list[VerdictRecord]:
        sql = rows.select(rows.VERDICT, "verdicts") + " WHERE approval_id = ? ORDER BY seq"
        return [rows.verdict_of(row) for row in self._read(sql, approval_id)]

    async def decide(
        self,
        approval: ApprovalRecord,
        verdict: VerdictRecord | None,
        events: Sequence[Event],
        message: Message | None = None,
    ) -> bool:
        decided = self._writer.put(write_decision, approval, verdict, events, message)
        # Whoever decides in this process need not know who looks out for work in it. Said before the commit is on
        # disk, the word could be taken by a look that does not find it yet.
        decided.then(self._word_was_sent)
        return await decided

    # shared state

    async def admit(self, key: str, *, rate: float, burst: int, now: float) -> float:
        if rate <= 0 or not 1 <= burst <= rate * CENTURY:
            raise UsageError(
                f"A bucket needs a rate above 0 and a burst of at least 1 that flows in within a century, "
                f"not {rate!r} and {burst!r}."
            )
        return await self._writer.put(take_token, key, rate, burst, now)


def _claimed(record: ExecutionRecord, owner: str, transaction: Transaction) -> ExecutionRecord:
    transaction.execute(CLAIM, (owner, record.id))
    return replace(record, owner=owner, status=Status.RUNNING, wake_at=None)


def _end_leases(condition: str, value: object, transaction: Transaction) -> int:
    # Lease and executions go in one transaction: in between, a lost lease would own executions that nobody may claim.
    transaction.forget_leases()
    ended = transaction.execute(f"DELETE FROM workers WHERE {condition} RETURNING id", (value,)).fetchall()
    return sum(
        transaction.execute("UPDATE executions SET owner = NULL, wake_at = 0 WHERE owner = ?", worker).rowcount
        for worker in ended
    )

"""What tests of governed calls stand on: a store in a file, runtimes on it whose time jumps, and people who decide."""

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from assent import Event, Principal, Runtime
from assent.engine.local import WorkerSettings
from assent.governance.approvals import ApprovalRequest
from assent.governance.verdicts import cast
from assent.store import ApprovalRecord
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock, JumpingLoop

JUMPING = "asyncio", {"loop_factory": JumpingLoop}
NO_HEARTBEAT = 1e12  # seconds: a loop that jumps would else stop at each of them

ANA = Principal("ana@company.com", roles=["clerk"], permissions=["pay"])
CFO, CEO, LAW = "cfo@company.com", "ceo@company.com", "law@company.com"


class Ground:
    """One file, and runtimes on it, one after another or side by side, as processes would have them."""

    def __init__(self, folder: Path, check_replay: bool = False) -> None:
        self.path = folder / "assent.db"
        self.clock = JumpingClock()
        self.seen: list[Event] = []
        self.check_replay = check_replay
        self._news = asyncio.Event()

    def store(self, **options: Any) -> SqliteStore:
        return SqliteStore(self.path, loop_budget=math.inf, **options)

    @asynccontextmanager
    async def runtime(
        self, *workflows: Any, worker: bool = True, store: Any = None, **options: Any
    ) -> AsyncIterator[Runtime]:
        runtime = Runtime(
            store=store or self.store(),
            clock=self.clock,
            settings=WorkerSettings(lease=NO_HEARTBEAT, poll=None, grace=0.0),
            worker=worker,
            workflows=workflows,
            watchers=[self._watch],
            check_replay=self.check_replay,
            **options,
        )
        async with runtime:
            yield runtime

    def _watch(self, event: Event) -> None:
        self.seen.append(event)
        self._news.set()

    async def until(self, type: str, times: int = 1) -> list[Event]:
        """Wait until so many events of that type are on disk; returns them."""
        while len(found := [event for event in self.seen if event.type == type]) < times:
            self._news.clear()
            await self._news.wait()
        return found

    async def asked(self, runtime: Runtime, times: int = 1) -> list[ApprovalRecord]:
        """Wait until people have been asked so many times; returns what is still open."""
        await self.until("policy.approval.requested", times)
        return await runtime.approvals()

    async def decide(
        self, runtime: Runtime, decision: str = "approve", times: int = 1, who: str | None = None, reason: str = "seen"
    ) -> None:
        """Have all that is open decided, once people have been asked so many times, by the first who may."""
        for each in await self.asked(runtime, times):
            request = ApprovalRequest.from_text(each.request)
            approver = who or request.electorate[0]
            await runtime.decide(each.id, approver=approver, decision=decision, reason=reason)  # type: ignore[arg-type]

    async def say(
        self, runtime: Runtime, approval: ApprovalRecord | str, who: str, decision: str = "approve", **more: Any
    ) -> ApprovalRecord:
        """Give one person's verdict, with whatever they add to it."""
        engine: Any = runtime.engine
        approval_id = approval if isinstance(approval, str) else approval.id
        try:
            return await cast(engine.store, self.clock, approval_id, approver=who, decision=decision, **more)
        finally:
            engine.nudge()

    def edit(self, sql: str, *values: object) -> int:
        """What an intruder does to the file; returns how many rows were changed."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(sql, values).rowcount

    def rows(self, sql: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, values).fetchall()

    def bytes(self) -> bytes:
        """All that is on disk."""
        return b"".join(each.read_bytes() for each in sorted(self.path.parent.glob("assent.db*")))

    def shown(self) -> str:
        """All rows that people may come to see: everything but what is sealed."""
        tables = ("executions", "journal", "approvals", "verdicts", "inbox", "blobs", "permits")
        return "\n".join(str(self.rows(f"SELECT * FROM {table}")) for table in tables)


def types(events: Sequence[Event], *beginnings: str) -> list[str]:
    return [event.type for event in events if not beginnings or event.type.startswith(beginnings)]


class Effects(list[Any]):
    """Remembers what has happened outside, and can be made to fail or to hang."""

    then: Callable[[], Any] | None = None

    async def have(self, *what: Any) -> int:
        self.append(what)
        if self.then is not None:
            await self.then()
        return len(self)

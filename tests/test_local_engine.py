"""The engine on SQLite, in memory and on a file, does what every engine must do."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from assent.clock import SystemClock
from assent.engine.lease import Lease
from assent.engine.local import LocalEngine, WorkerSettings
from assent.errors import StoreUnavailable
from assent.runtime import Runtime
from assent.store import Commit, Event, Receipt, Store
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock
from tests.conformance.engine.ground import FOREVER
from tests.conformance.engine_suite import EngineSuite, RandomEngineSuite

ENDLESS = 1e7
WRITES = frozenset(
    {"register", "renew", "retire", "take_over", "create", "claim", "claim_one", "post", "decide", "admit"}
)


class Door:
    """A store as one process sees it. A door that is shut lets nothing through, as for a process that was killed."""

    def __init__(self, ground: "LocalGround", store: Store, dies_after: int | None) -> None:
        self._ground = ground
        self._store = store
        self._left = dies_after
        self._seen = 0
        self.is_shut = False

    async def __aenter__(self) -> "Door":
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    def append(self, owner: str, commit: Commit) -> Receipt[None]:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self.is_shut = True
                self._ground.dead.set()
        if self.is_shut:
            return Receipt()
        if self._ground.failures:
            self._ground.failures -= 1
            refused = Receipt[None]()
            refused.settle(StoreUnavailable("the disk is full"))
            return refused
        self._ground.writes += 1
        return self._store.append(owner, commit)

    def changed(self) -> bool:
        if not self._ground.is_in_memory:
            return self._store.changed()
        # A database in memory has one connection only, which cannot tell one runtime's writes from another's.
        seen, self._seen = self._seen, self._ground.writes
        return seen != self._seen

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def through(*args: Any, **kwargs: Any) -> Any:
            if self.is_shut:
                raise StoreUnavailable("this process is dead")
            self._ground.writes += name in WRITES
            return await method(*args, **kwargs)

        return through


class LocalGround:
    """Runtimes on one SQLite database."""

    def __init__(self, opened: Callable[[], Any], check_replay: bool, *, is_in_memory: bool) -> None:
        self.is_in_memory = is_in_memory
        self.clock = JumpingClock()
        self.dead = asyncio.Event()
        self.seen: list[Event] = []
        self.failures = 0
        self.writes = 0
        self._opened = opened
        self._check_replay = check_replay

    @asynccontextmanager
    async def runtime(
        self,
        *workflows: Any,
        dies: bool = False,
        dies_after: int | None = None,
        shares: bool = False,
        grace: float = 0.0,
        lease: float = FOREVER,
        check_replay: bool | None = None,
        watchers: Any = (),
        **options: Any,
    ) -> AsyncIterator[Runtime]:
        self.dead.clear()
        settings = WorkerSettings(lease=lease, poll=0.025 if shares else None, grace=grace)
        async with self._opened() as store:
            door = Door(self, store, dies_after)
            runtime = Runtime(
                store=cast(Store, door),  # it hands on what it does not have
                clock=self.clock,
                workflows=workflows,
                settings=settings,
                check_replay=self._check_replay if check_replay is None else check_replay,
                watchers=(*watchers, self.seen.append),
                **options,
            )
            async with runtime:
                try:
                    # Virtual time: where nothing is left to happen, it is reached at once.
                    async with asyncio.timeout(ENDLESS):
                        yield runtime
                finally:
                    door.is_shut = door.is_shut or dies
            if door.is_shut:
                await store.take_over(math.inf)

    def fail_once(self) -> None:
        self.failures = 1

    async def expire_leases(self) -> None:
        async with self._opened() as store:
            await store.take_over(math.inf)

    def in_memory(self, runtime: Runtime) -> set[str]:
        engine = runtime.engine
        assert isinstance(engine, LocalEngine)
        return engine.in_memory


@asynccontextmanager
async def ground_in_memory(check_replay: bool = False) -> AsyncIterator[LocalGround]:
    async with SqliteStore("sqlite://") as store:
        yield LocalGround(lambda: nullcontext(store), check_replay, is_in_memory=True)


class TestInMemory(EngineSuite):
    """All runtimes of a test share one database in memory."""

    @pytest.fixture
    async def ground(self, replay_check: bool) -> AsyncIterator[LocalGround]:
        async with ground_in_memory(replay_check) as ground:
            yield ground


class TestOnFile(EngineSuite):
    """Each runtime of a test opens the file by itself."""

    @pytest.fixture
    def ground(self, tmp_path: Path, replay_check: bool) -> LocalGround:
        # Commits on a thread would take real time, while the clock jumps.
        def opened() -> SqliteStore:
            return SqliteStore(tmp_path / "assent.db", loop_budget=math.inf)

        return LocalGround(opened, replay_check, is_in_memory=False)


class TestRandomWorkflows(RandomEngineSuite):
    """Each example has a database in memory of its own."""

    def ground_of_one_example(self) -> Any:
        return ground_in_memory()


class WallClock(SystemClock):
    """A clock that can be put forward, as when the machine wakes from sleep; the event loop's does not notice."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


async def test_a_lease_does_not_hold_once_others_take_it_for_expired() -> None:
    clock = WallClock()
    async with SqliteStore("sqlite://") as store:
        lease = Lease(store, clock, 10.0, workflows=list, lost=lambda: None, held=lambda _: None)
        await lease.take()
        assert lease.holds()
        clock.ahead = 11.0
        assert not lease.holds()
        await lease.recover()
        assert lease.holds()
        await lease.give_back()

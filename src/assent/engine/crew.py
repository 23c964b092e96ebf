"""The executions at work in this process: how they are found, loaded, told of news, and let go.

One lease stands for all of them. Nothing here starts an execution or answers a caller; that is the engine's part.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from assent.clock import Clock
from assent.engine.drive import Drive
from assent.engine.ending import Ending, set_aside
from assent.engine.engine import Program
from assent.engine.hooks import Hooks
from assent.engine.lease import Lease
from assent.engine.reading import read_journal, read_result
from assent.engine.texts import resolved, unsealed
from assent.engine.waiting import Waiters
from assent.engine.worker import Lookout
from assent.errors import AssentError, LeaseLost, RuntimeRequired, StoreError
from assent.store import Commit, Event, ExecutionRecord, Status, Store, Workflow

log = logging.getLogger("assent.engine")

# How long (seconds) until the store is tried again that failed.
TRY_STORE_AGAIN = 1.0

# How long (seconds) steps that were cancelled because the process stops may take to clean up.
CLEAN_UP = 1.0

# So many executions are claimed at a time: other workers shall get some too.
CLAIMED_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a process drives executions. All durations in seconds."""

    claims: bool = True  # take executions that others have started or left
    lease: float = 10.0  # how long a silent process keeps its executions
    poll: float | None = 0.04  # how often to ask whether another process has written; None: never
    grace: float = 10.0  # how long running steps may go on when the process is asked to stop
    most: int = 1000  # executions in memory at a time


class Crew:
    """Drives the executions that this process owns, and is the host of their drives."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        settings: WorkerSettings | None = None,
        hooks: Hooks | None = None,
        check_replay: bool = False,
        requester: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.settings = settings or WorkerSettings()
        self.hooks = hooks or Hooks()
        self.check_replay = check_replay
        self._requester = requester  # for whom a call from ordinary code is made, if it does not say so itself
        self._programs: dict[Workflow, Program] = {}
        self._drives: dict[str, Drive] = {}
        self._waiters = Waiters()
        self._once_held: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._mail_seq = 0
        self._context = contextvars.copy_context()
        self._lease = Lease(
            store, clock, self.settings.lease, workflows=self._claimed, lost=self._lost, held=self._held
        )
        self._lookout = Lookout(store, clock, self._look, self.settings.poll)
        self._stopping = False

    async def __aenter__(self) -> Self:
        self._context = contextvars.copy_context()
        await self._lease.take()
        self._lookout.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Take nothing new, give running steps their grace, then leave the rest to other workers."""
        self._stopping = True
        await self._lookout.stop()
        await self._let_end()
        await self._drop_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._waiters.fail_all(
            RuntimeRequired("the runtime was closed before the execution ended; it goes on when one is open again.")
        )
        try:
            await self._lease.give_back()
        except StoreError as error:
            log.warning("cannot give back the lease of worker %s, so it runs out by itself: %s", self.owner, error)

    async def _let_end(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.grace
        for drive in list(self._drives.values()):
            drive.close()
        while (left := deadline - loop.time()) > 0:
            under_way = [
                asyncio.gather(each, return_exceptions=True)
                for drive in self._drives.values()
                for each in drive.under_way
            ]
            if not under_way:
                break
            await asyncio.wait(under_way, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    async def _drop_all(self) -> None:
        running = [task for drive in self._drives.values() for task in drive.running]
        effects = [task for drive in self._drives.values() for task in drive.effects]
        for drive in self._drives.values():
            drive.drop()
        self._drives.clear()
        if running:
            await asyncio.wait(running, timeout=CLEAN_UP)
        if effects:
            # A thread cannot be interrupted. Whoever gets the lease looks the effect up, and must not be too early.
            await asyncio.wait(effects)

    # What drives ask of their host.

    @property
    def owner(self) -> str:
        """The id of this process's lease."""
        return self._lease.owner

    def holds_lease(self) -> bool:
        return self._lease.holds()

    def once_held(self, action: Callable[[], None]) -> None:
        self._once_held.append(action)
        self._lease.beat()

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    def surroundings(self) -> contextvars.Context:
        return self._context.copy()

    def ended(self, drive: Drive, ending: Ending) -> None:
        self._forget(drive)
        self._waiters.ended(drive.id, ending)
        if drive.record.parent_id is not None or len(self._drives) + 1 >= self.settings.most:
            self._lookout.nudge()

    def waits(self, drive: Drive) -> None:
        self._waiters.arrived(drive.id, drive.waits)

    def parked(self, drive: Drive, due: float) -> None:
        self._forget(drive)
        drive.drop()
        self._waiters.arrived(drive.id, drive.waits)
        if drive.attended:
            # Somebody began to wait for it here while it was on its way out.
            self._background(self._take(drive.id, drive.attended))
        self._lookout.wake_at(due)
        self._lookout.nudge()

    def stuck(self, drive: Drive, error: Exception) -> None:
        """Code and journal disagree, or values are gone: it is tried again later, or cannot ever go on."""
        self._forget(drive)
        drive.drop()
        log.error("%s", error)
        commit = set_aside(drive.record, error, self.clock.now(), said=drive.last_event, seen=drive.seen)
        self.store.append(drive.owner, commit).then(partial(self._put_aside, drive, commit.events, error))

    def _put_aside(self, drive: Drive, events: list[Event], reason: Exception, error: AssentError | None) -> None:
        if error is not None:
            self.broken(drive, error)
            return
        self._waiters.failed(drive.id, reason)
        self.surroundings().run(self.hooks.seen, events, drive.followers)
        self._lookout.nudge()

    def broken(self, drive: Drive, error: Exception) -> None:
        """The store did not take a commit: what is in memory is worth nothing any more."""
        self._forget(drive)
        running = drive.running
        drive.drop()
        if isinstance(error, LeaseLost):
            self._lease.beat()
            return
        log.error("execution %s: %s", drive.id, error)
        self._waiters.failed(drive.id, error)
        self._later(lambda: self._background(self._reload(drive, running)))

    def _forget(self, drive: Drive) -> None:
        if self._drives.get(drive.id) is drive:
            del self._drives[drive.id]

    @property
    def in_memory(self) -> set[str]:
        """The executions that are at work, or attended, in this process."""
        return set(self._drives)

    @property
    def workflows(self) -> list[Workflow]:
        return list(self._programs)

    def _claimed(self) -> list[Workflow]:
        return self.workflows if self.settings.claims else []

    # Looking for work.

    @property
    def has_room(self) -> bool:
        return self.settings.claims and not self._stopping and len(self._drives) < self.settings.most

    async def _look(self) -> float | None:
        try:
            await self._read_mail()
            await self._check_waiters()
            return await self._claim()
        except LeaseLost:
            self._lease.beat()
        except Exception as error:
            log.warning("cannot look for work: %s", error, exc_info=not isinstance(error, StoreError))
            self._later(self._lookout.nudge)
        return None

    async def _read_mail(self) -> None:
        if not self._drives:
            return
        for message in await self.store.mail(self.owner, self._mail_seq):
            self._mail_seq = max(self._mail_seq, message.seq)
            drive = self._drives.get(message.execution_id)
            if drive is not None:
                self._call(drive.receive, message)

    async def _check_waiters(self) -> None:
        """Somebody here waits for an execution that another process drives."""
        for execution_id in self._waiters:
            if execution_id in self._drives:
                continue
            record = await self.store.execution(execution_id)
            if record is None or record.status in {Status.PENDING, Status.RUNNING}:
                continue
            self._waiters.arrived(execution_id, record.waits)
            if record.status.is_final and self._waiters.wants_result(execution_id):
                try:
                    self._waiters.has_result(execution_id, await self._read_result(record))
                except Exception as error:  # noqa: BLE001 - whatever the execution raised goes to its waiters
                    self._waiters.failed(execution_id, error)

    async def _claim(self) -> float | None:
        if not self.has_room or not self._programs:
            return None
        now = self.clock.now()
        due = await self.store.next_wake(self.workflows)
        if due is None or due > now:
            return due
        room = min(self.settings.most - len(self._drives), CLAIMED_AT_ONCE)
        for record in await self.store.claim(self.owner, self.workflows, now, room):
            await self._load(record)
        self._lookout.nudge()
        return None

    async def _load(self, record: ExecutionRecord, attended: int = 0) -> None:
        """Read an execution that is owned here and let it go on."""
        program = self._programs[Workflow(record.name, record.version)]
        # From here on its mail reaches it; what came before is in its inbox.
        drive = self._drives[record.id] = Drive(self, record, program, attended=attended)
        try:
            events = await read_journal(self.store, record.id) or [await self._write_start(drive)]
            sealed = await self.store.sealed(record.id)
            arguments = sealed.get(-1) or await resolved(self.store, record.arguments)
            letters = await self.store.inbox(record.id)
        except StoreError as error:
            self.broken(drive, error)
            return
        drive.record = replace(record, arguments=arguments or "{}")
        self._call(drive.begin, unsealed(events, sealed), letters, None, bool(sealed))

    async def _write_start(self, drive: Drive) -> Event:
        record = drive.record
        event = Event(record.id, "execution.started", self.clock.now(), name=record.name, arguments=record.arguments)
        await self.store.append(drive.owner, Commit(execution_id=record.id, events=[event]))
        self.hooks.seen([event])
        return event

    async def _reload(self, broken: Drive, running: list[asyncio.Task[Any]]) -> None:
        """Read an execution again after the store had failed, as after a crash, but not beside what still runs."""
        if running:
            await asyncio.wait(running)
        try:
            record = await self.store.execution(broken.id)
            if record is not None and record.owner == self.owner and broken.id not in self._drives:
                await self._load(record)
        except StoreError as error:
            log.warning("execution %s: %s", broken.id, error)
            self._later(lambda: self._background(self._reload(broken, [])))

    async def _take(self, execution_id: str, attended: int) -> None:
        claimed = await self.store.claim_one(self.owner, execution_id)
        if claimed is not None:
            await self._load(claimed, attended)

    async def _read_result(self, record: ExecutionRecord) -> Any:
        return await read_result(self.store, record, self._programs.get(Workflow(record.name, record.version)))

    # Leases.

    def _lost(self) -> None:
        """Another worker has taken over: forget everything, before a new lease is taken."""
        self._once_held.clear()
        for drive in self._drives.values():
            drive.drop()
        self._drives.clear()

    def _held(self, has_freed: bool) -> None:
        actions, self._once_held = self._once_held, []
        for action in actions:
            self._call(action)
        for drive in list(self._drives.values()):
            drive.tell_progress()
        if has_freed:
            self._lookout.nudge()

    # Callbacks.

    def _call(self, callback: Callable[..., None], *args: Any) -> None:
        """Run something that may enter workflow code: outside of any task, and in the context of the engine."""
        asyncio.get_running_loop().call_soon(callback, *args, context=self._context.copy())

    def _later(self, action: Callable[[], None]) -> None:
        if not self._stopping:
            asyncio.get_running_loop().call_later(TRY_STORE_AGAIN, action)

    def _background(self, work: Any) -> None:
        if self._stopping:
            work.close()
            return
        self._kept(self.spawn(work))

    def _kept(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        """The task, which is cancelled if it has not ended when all does."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

"""The engine that keeps its journals in a store and drives executions in this process."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from assent.clock import Clock
from assent.codec import to_json
from assent.engine.drive import Drive
from assent.engine.ending import Ending, failed
from assent.engine.engine import News, Program
from assent.engine.hooks import Hooks
from assent.engine.lease import Lease
from assent.engine.reading import read_execution, read_journal, read_result
from assent.engine.starting import Birth, new_execution
from assent.engine.texts import Blobs, resolved, unsealed
from assent.engine.waiting import Waiters
from assent.engine.worker import Lookout
from assent.errors import (
    DuplicateWorkflow,
    ExecutionConflict,
    LeaseLost,
    ResultTimeout,
    RuntimeRequired,
    StateNotCaptured,
    StoreError,
)
from assent.store import Change, Commit, Event, ExecutionQuery, ExecutionRecord, Message, Status, Store, Workflow

log = logging.getLogger("assent.engine")

# How long (seconds) until an execution is tried again whose code and journal disagreed, or whose store failed.
TRY_CODE_AGAIN = 30.0
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
    poll: float | None = 0.025  # how often to ask whether another process has written; None: never
    grace: float = 10.0  # how long running steps may go on when the process is asked to stop
    most: int = 1000  # executions in memory at a time


class LocalEngine:
    """Drives executions in this process, on a store that other processes may share."""

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
            store, clock, self.settings.lease, workflows=lambda: self.workflows, lost=self._lost, held=self._held
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
            under_way = [each for drive in self._drives.values() for each in drive.under_way]
            if not under_way:
                break
            await asyncio.wait(under_way, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    async def _drop_all(self) -> None:
        running = [task for drive in self._drives.values() for task in drive.running]
        for drive in self._drives.values():
            drive.drop()
        self._drives.clear()
        if running:
            await asyncio.wait(running, timeout=CLEAN_UP)

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
        now, blobs = self.clock.now(), Blobs()
        if isinstance(error, StateNotCaptured):
            ending = failed(error)
            commit = Commit(
                execution_id=drive.id,
                events=[ending.event(drive.id, now, blobs)],
                change=ending.change,
                messages=ending.word(drive.record),
                blobs=blobs,
                withdraws=True,
                unseals=True,
            )
        else:
            waits = to_json([{"for": "code", "error": str(error)}])
            event = Event(drive.id, "execution.suspended", now, value=waits)
            is_news = drive.last_event is None or drive.last_event.value != waits
            change = Change(status=Status.SUSPENDED, wake_at=now + TRY_CODE_AGAIN, release=True, waits=waits)
            # Without `seen`, mail that nobody can read would make it due again at once.
            commit = Commit(
                execution_id=drive.id, events=[event] if is_news else [], change=change, seen=drive.seen
            )
        self.store.append(drive.owner, commit).add_done_callback(partial(self._put_aside, drive, commit.events))
        self._waiters.failed(drive.id, error)

    def _put_aside(self, drive: Drive, events: list[Event], written: asyncio.Future[None]) -> None:
        error = None if written.cancelled() else written.exception()
        if isinstance(error, Exception):
            self.broken(drive, error)
            return
        self.hooks.seen(events)
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

    # The port.

    @property
    def workflows(self) -> list[Workflow]:
        return list(self._programs)

    def register(self, program: Program) -> None:
        known = self._programs.get(program.workflow)
        if known is None:
            self._programs[program.workflow] = program
            self._lookout.nudge()
        elif known.identity != program.identity:
            raise DuplicateWorkflow(
                f"Two functions are called {program.name!r} version {program.version}. Give one of them another "
                f"name: @workflow(name=...)."
            )

    async def start(
        self,
        program: Program,
        arguments: Mapping[str, Any],
        *,
        id: str | None = None,
        parent_id: str | None = None,
        requester: str | None = None,
        attended: bool = False,
    ) -> ExecutionRecord:
        self.register(program)
        requester = requester if requester is not None else self._requester()
        # What may be stored of the arguments is for this engine to say, whoever calls.
        birth = self._context.copy().run(
            new_execution, program, arguments, self.clock, id=id, parent_id=parent_id, requester=requester
        )
        if not (attended or not program.captured or self._has_room):
            return birth.check_same_call(await self._leave_to_others(birth))
        try:
            birth = await self._create(birth)
        except ExecutionConflict:
            stored = birth.check_same_call(await self.execution(birth.record.id))
            if attended and program.captured:
                await self._attend(stored)
            return stored
        self.hooks.seen([birth.started])
        if birth.record.owner == self.owner:
            await self._begin(birth, program, None if program.captured else arguments, id, attended)
        return birth.record

    @property
    def _has_room(self) -> bool:
        return self.settings.claims and not self._stopping and len(self._drives) < self.settings.most

    async def _create(self, birth: Birth) -> Birth:
        """Make an execution that is driven here."""
        try:
            owned = birth.owned_by(self.owner)
            await self.store.append(self.owner, owned.commit([owned.started]))
        except LeaseLost:
            await self._lease.recover()
            owned = birth.owned_by(self.owner)
            await self.store.append(self.owner, owned.commit([owned.started]))
        return owned

    async def _leave_to_others(self, birth: Birth) -> ExecutionRecord:
        if birth.blobs or birth.sealed:
            try:
                await self.store.append(self.owner, birth.commit([]))
            except ExecutionConflict:
                return await self.execution(birth.record.id)
            stored = birth.record
        else:
            stored = await self.store.create(birth.record)
        self._lookout.nudge()
        return stored

    async def _begin(
        self, birth: Birth, program: Program, given: Mapping[str, Any] | None, id: str | None, attended: bool
    ) -> None:
        record = birth.record
        if birth.arguments is not record.arguments:
            record = replace(record, arguments=birth.arguments)
        drive = self._drives[record.id] = Drive(self, record, program, attended=int(attended))
        # Only who knows its id can have written to it already.
        letters = await self.store.inbox(record.id) if id is not None else ()
        self._call(drive.begin, [birth.started], letters, given)

    async def _attend(self, record: ExecutionRecord) -> None:
        """Drive an execution here that a caller waits for, unless somebody else does, and keep it here."""
        drive = self._drives.get(record.id)
        if drive is not None:
            drive.attended += 1
        elif not record.status.is_final and Workflow(record.name, record.version) in self._programs:
            await self._take(record.id, attended=1)

    async def _take(self, execution_id: str, attended: int) -> None:
        claimed = await self.store.claim_one(self.owner, execution_id)
        if claimed is not None:
            await self._load(claimed, attended)

    async def result(self, execution_id: str, *, timeout: float | None = None) -> Any:
        with self._waiters.result_of(execution_id) as waiter:
            if execution_id not in self._drives:
                record = await self.execution(execution_id)
                if record.status.is_final:
                    return await self._read_result(record)
            limit = asyncio.timeout(timeout)
            try:
                async with limit:
                    return await waiter
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise ResultTimeout(
                    f"execution {execution_id} has no result after {timeout:g} s; it goes on. Ask again later.",
                    execution_id=execution_id,
                ) from error

    async def waiting(self, execution_id: str) -> None:
        with self._waiters.arrival_of(execution_id) as arrival:
            drive = self._drives.get(execution_id)
            if drive is None:
                record = await self.execution(execution_id)
                if record.status not in {Status.PENDING, Status.RUNNING}:
                    return
            elif drive.is_waiting:
                return
            await arrival

    async def news(self, execution_id: str, *, known: str | None = None) -> News:
        with self._waiters.news_of(execution_id) as news:
            drive = self._drives.get(execution_id)
            if drive is None:
                record = await self.execution(execution_id)
                if record.status.is_final:
                    return News(has_ended=True, value=await self._read_result(record))
                if record.status not in {Status.PENDING, Status.RUNNING} and record.waits != known:
                    return News(waits=record.waits)
            elif drive.is_waiting and drive.waits != known:
                return News(waits=drive.waits)
            return await news

    async def leave(self, execution_id: str) -> None:
        drive = self._drives.get(execution_id)
        if drive is not None:
            self._call(drive.unattend)

    async def post(self, message: Message) -> None:
        if not await self.store.post(replace(message, at=self.clock.now())):
            record = await self.execution(message.execution_id)
            raise ExecutionConflict(
                f"execution {record.id} has already ended ({record.status}), so it takes no {message.kind} any more.",
                execution_id=record.id,
            )
        self._lookout.nudge()

    def nudge(self) -> None:
        """Somebody in this process has written to the store himself: there may be something to do."""
        self._lookout.nudge()

    async def execution(self, execution_id: str) -> ExecutionRecord:
        return await read_execution(self.store, execution_id)

    async def executions(self, query: ExecutionQuery) -> list[ExecutionRecord]:
        return await self.store.executions(query)

    async def events(self, execution_id: str) -> list[Event]:
        await self.execution(execution_id)
        return await read_journal(self.store, execution_id)

    async def _read_result(self, record: ExecutionRecord) -> Any:
        return await read_result(self.store, record, self._programs.get(Workflow(record.name, record.version)))

    # Looking for work.

    async def _look(self) -> float | None:
        try:
            await self._read_mail()
            await self._check_waiters()
            return await self._claim()
        except LeaseLost:
            self._lease.beat()
        except Exception as error:  # noqa: BLE001 - the worker loop goes on, whatever is wrong with one thing it found
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
        if not self._has_room or not self._programs:
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
        task = self.spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

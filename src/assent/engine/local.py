"""The engine that keeps its journals in a store and drives executions in this process."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from assent.clock import Clock
from assent.codec import digest, from_json, to_json
from assent.engine.drive import BLOB, BLOB_SIZE, WITHHELD, Drive
from assent.engine.engine import Program
from assent.engine.failure import decode_failure, encode_failure
from assent.engine.hooks import Hooks
from assent.engine.lease import Lease
from assent.engine.replay import ENDINGS
from assent.engine.worker import Lookout
from assent.errors import (
    CodecError,
    DuplicateWorkflow,
    ExecutionCancelled,
    ExecutionConflict,
    ExecutionFailed,
    ExecutionNotFound,
    LeaseLost,
    ResultTimeout,
    StateNotCaptured,
    StoreError,
)
from assent.store import (
    Change,
    Commit,
    Event,
    ExecutionQuery,
    ExecutionRecord,
    Message,
    Status,
    Store,
    Workflow,
)

log = logging.getLogger("assent.engine")

# How long (seconds) until an execution is tried again whose code and journal disagreed, or whose store failed.
TRY_CODE_AGAIN = 30.0
TRY_STORE_AGAIN = 1.0


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
        self._requester = requester
        self._programs: dict[Workflow, Program] = {}
        self._drives: dict[str, Drive] = {}
        self._waiters: dict[str, list[asyncio.Future[Any]]] = {}
        self._arrivals: dict[str, list[asyncio.Future[None]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._mail_seq = 0
        self._context = contextvars.copy_context()
        self._lease = Lease(store, clock, self.settings.lease, self._lost, self._freed)
        self._lookout = Lookout(store, clock, self._look, self.settings.poll)
        self._stopping = False

    async def __aenter__(self) -> Self:
        self._context = contextvars.copy_context()
        await self._lease.take(self.workflows)
        self._lookout.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Take nothing new, give running steps their grace, then leave the rest to other workers."""
        self._stopping = True
        await self._lookout.stop()
        running = [task for drive in self._drives.values() for task in drive.running]
        if running:
            await asyncio.wait(running, timeout=self.settings.grace)
        for drive in self._drives.values():
            drive.drop()
        await self._lease.give_back()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._release_waiters()

    def _release_waiters(self) -> None:
        for waiters in (*self._waiters.values(), *self._arrivals.values()):
            for waiter in waiters:
                waiter.cancel()

    # What drives ask of their host.

    @property
    def owner(self) -> str:
        return self._lease.owner

    def holds_lease(self) -> bool:
        return self._lease.holds()

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    def ended(self, drive: Drive, value: Any, error: BaseException | None) -> None:
        self._drives.pop(drive.id, None)
        self._wake_waiters(drive.id, value, error)
        self._arrive(drive.id)
        self._lookout.nudge()

    def waits(self, drive: Drive) -> None:
        self._arrive(drive.id)

    def parked(self, drive: Drive) -> None:
        self._drives.pop(drive.id, None)
        self._arrive(drive.id)
        timer = drive.live.next_timer()
        drive.drop()
        if timer is not None:
            self._lookout.wake_at(timer.due)
        self._lookout.nudge()

    def stuck(self, drive: Drive, error: Exception) -> None:
        """Code and journal disagree, or the arguments are gone."""
        drive.drop()
        self._drives.pop(drive.id, None)
        log.error("%s", error)
        now = self.clock.now()
        if isinstance(error, StateNotCaptured):
            ending = Event(drive.id, "execution.failed", now, name=error.cause, value=encode_failure(error))
            change = Change(status=Status.FAILED, release=True, cause=error.cause)
        else:
            waits = to_json([{"for": "code", "error": str(error)}])
            ending = Event(drive.id, "execution.suspended", now, value=waits)
            change = Change(status=Status.SUSPENDED, wake_at=now + TRY_CODE_AGAIN, release=True, waits=waits)
        future = self.store.append(self.owner, Commit(execution_id=drive.id, events=[ending], change=change))
        future.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        self._wake_waiters(drive.id, None, error)
        self._arrive(drive.id)

    def broken(self, drive: Drive, error: Exception) -> None:
        """The store did not take a commit: what is in memory is worth nothing any more."""
        drive.drop()
        self._drives.pop(drive.id, None)
        if isinstance(error, LeaseLost):
            self._background(self._lost())
            return
        log.error("execution %s: %s", drive.id, error)
        self._wake_waiters(drive.id, None, error)
        self._arrive(drive.id)
        if not self._stopping:
            again = asyncio.get_running_loop().call_later
            again(TRY_STORE_AGAIN, lambda: self._background(self._reload(drive.id)))

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
        record, parts = self._new_record(program, arguments, id, parent_id, requester)
        if not (attended or (self.settings.claims and len(self._drives) < self.settings.most)):
            stored = await self._create_pending(record, parts)
            return self._same_call(record, stored)
        record = replace(record, status=Status.RUNNING, owner=self.owner, wake_at=None)
        started = Event(record.id, "execution.started", record.created_at, name=record.name, arguments=record.arguments)
        try:
            await self.store.append(
                self.owner, Commit(execution_id=record.id, events=[started], create=record, **parts)
            )
        except ExecutionConflict:
            return self._same_call(record, await self.execution(record.id))
        given = None if program.captured else arguments
        text = dict(parts.get("sealed", ())).get(-1) or dict(parts.get("blobs", ())).get(record.arguments.removeprefix(BLOB))
        driven = replace(record, arguments=text) if text else record
        drive = Drive(self, driven, program, attended=attended)
        self._drives[record.id] = drive
        self.hooks.seen([started])
        self._call(drive.begin, [started], [], given)
        return record

    def _new_record(
        self,
        program: Program,
        arguments: Mapping[str, Any],
        id: str | None,
        parent_id: str | None,
        requester: str | None,
    ) -> tuple[ExecutionRecord, dict[str, Any]]:
        parts: dict[str, Any] = {}
        signature = program.signature
        key = digest(f"{program.name}\n{signature.digest(arguments)}") if id is not None else ""
        if not program.captured:
            text = WITHHELD + signature.digest(arguments)
        else:
            full = text = signature.encode(arguments)
            if program.redact is not None:
                text = to_json(program.redact(from_json(text)))
                if text != full:
                    parts["sealed"] = ((-1, full),)
            if len(text) > BLOB_SIZE:
                parts["blobs"] = ((digest(text), text),)
                text = BLOB + digest(text)
        now = self.clock.now()
        record = ExecutionRecord(
            id=id or self.clock.new_id(),
            name=program.name,
            version=program.version,
            arguments=text,
            digest=key,
            requester=requester if requester is not None else self._requester(),
            parent_id=parent_id,
            created_at=now,
            updated_at=now,
            wake_at=0.0,
        )
        return record, parts

    async def _create_pending(self, record: ExecutionRecord, parts: dict[str, Any]) -> ExecutionRecord:
        if not parts:
            stored = await self.store.create(record)
        else:
            try:
                await self.store.append(self.owner, Commit(execution_id=record.id, create=record, **parts))
                stored = record
            except ExecutionConflict:
                stored = await self.execution(record.id)
        self._lookout.nudge()
        return stored

    @staticmethod
    def _same_call(wanted: ExecutionRecord, stored: ExecutionRecord) -> ExecutionRecord:
        if (stored.name, stored.digest) == (wanted.name, wanted.digest):
            return stored
        raise ExecutionConflict(
            f"Execution {stored.id!r} exists already, of {stored.name} with other arguments than this call of "
            f"{wanted.name}. Use another id for another call.",
            execution_id=stored.id,
        )

    async def result(self, execution_id: str, *, timeout: float | None = None) -> Any:
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(execution_id, []).append(waiter)
        try:
            if execution_id not in self._drives:
                record = await self.execution(execution_id)
                if record.status.is_final:
                    return await self._read_result(record)
            async with asyncio.timeout(timeout):
                return await waiter
        except TimeoutError as error:
            if waiter.done() and not waiter.cancelled():
                raise
            raise ResultTimeout(
                f"execution {execution_id} has no result after {timeout:g} s; it goes on. Ask again later.",
                execution_id=execution_id,
            ) from error
        finally:
            self._forget(self._waiters, execution_id, waiter)

    async def waiting(self, execution_id: str) -> None:
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals.setdefault(execution_id, []).append(arrival)
        try:
            drive = self._drives.get(execution_id)
            if drive is None:
                record = await self.execution(execution_id)
                if record.status not in (Status.PENDING, Status.RUNNING):
                    return
            elif drive.is_waiting:
                return
            await arrival
        finally:
            self._forget(self._arrivals, execution_id, arrival)

    @staticmethod
    def _forget(table: dict[str, list[asyncio.Future[Any]]], execution_id: str, future: asyncio.Future[Any]) -> None:
        waiting = table[execution_id]
        waiting.remove(future)
        if not waiting:
            del table[execution_id]
        if future.done() and not future.cancelled():
            future.exception()

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

    async def execution(self, execution_id: str) -> ExecutionRecord:
        record = await self.store.execution(execution_id)
        if record is None:
            raise ExecutionNotFound(
                f"There is no execution {execution_id!r} in this store. `assent executions` lists those that are.",
                execution_id=execution_id,
            )
        return record

    async def executions(self, query: ExecutionQuery) -> list[ExecutionRecord]:
        return await self.store.executions(query)

    async def events(self, execution_id: str) -> list[Event]:
        await self.execution(execution_id)
        return await self._journal(execution_id)

    # Looking for work.

    async def _look(self) -> float | None:
        try:
            await self._read_mail()
            await self._check_waiters()
            return await self._claim()
        except LeaseLost:
            await self._lost()
        except StoreError as error:
            log.warning("cannot look for work: %s", error)
            asyncio.get_running_loop().call_later(TRY_STORE_AGAIN, self._lookout.nudge)
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
        for execution_id in list(self._waiters.keys() | self._arrivals.keys()):
            if execution_id in self._drives:
                continue
            record = await self.store.execution(execution_id)
            if record is None or record.status in (Status.PENDING, Status.RUNNING):
                continue
            self._arrive(execution_id)
            if record.status.is_final and execution_id in self._waiters:
                try:
                    self._wake_waiters(execution_id, await self._read_result(record), None)
                except Exception as error:  # noqa: BLE001 - whatever the execution raised goes to its waiters
                    self._wake_waiters(execution_id, None, error)

    async def _claim(self) -> float | None:
        room = self.settings.most - len(self._drives)
        if not self.settings.claims or not self._programs or self._stopping or room <= 0:
            return None
        due = await self.store.next_wake(self.workflows)
        if due is None or due > self.clock.now():
            return due
        for record in await self.store.claim(self.owner, self.workflows, self.clock.now(), min(room, 100)):
            await self._load(record)
        self._lookout.nudge()
        return None

    async def _load(self, record: ExecutionRecord) -> None:
        program = self._programs[Workflow(record.name, record.version)]
        events = await self._journal(record.id)
        sealed = await self.store.sealed(record.id) if program.redact is not None else {}
        letters = await self.store.inbox(record.id)
        if not events:
            now = self.clock.now()
            events = [Event(record.id, "execution.started", now, name=record.name, arguments=record.arguments)]
            await self.store.append(self.owner, Commit(execution_id=record.id, events=events))
            self.hooks.seen(events)
        arguments = sealed.get(-1) or await self._resolved(record.arguments)
        drive = Drive(self, replace(record, arguments=arguments or "{}"), program)
        self._drives[record.id] = drive
        if sealed:
            drive.sealed = True
            events = [self._unsealed(event, sealed) for event in events]
        self._call(drive.begin, events, letters, None)

    @staticmethod
    def _unsealed(event: Event, sealed: Mapping[int, str]) -> Event:
        hidden = event.op is not None and event.type == "step.completed" and event.op in sealed
        return event._replace(value=sealed[event.op]) if hidden and event.op is not None else event

    async def _reload(self, execution_id: str) -> None:
        """Read an execution again after the store had failed, as after a crash."""
        try:
            record = await self.store.execution(execution_id)
            if record is not None and record.owner == self.owner and execution_id not in self._drives:
                await self._load(record)
        except LeaseLost:
            await self._lost()
        except StoreError as error:
            log.warning("execution %s: %s", execution_id, error)
            if not self._stopping:
                again = asyncio.get_running_loop().call_later
                again(TRY_STORE_AGAIN, lambda: self._background(self._reload(execution_id)))

    async def _journal(self, execution_id: str) -> list[Event]:
        events = await self.store.journal(execution_id)
        for place, event in enumerate(events):
            if _is_reference(event.value) or _is_reference(event.arguments):
                events[place] = event._replace(
                    value=await self._resolved(event.value), arguments=await self._resolved(event.arguments)
                )
        return events

    async def _resolved(self, text: str | None) -> str | None:
        return await self.store.blob(text.removeprefix(BLOB)) if text and _is_reference(text) else text

    async def _read_result(self, record: ExecutionRecord) -> Any:
        ending = next(event for event in reversed(await self._journal(record.id)) if event.type in ENDINGS)
        text = ending.value or "null"
        if record.status is Status.FAILED:
            raise decode_failure(text, wrapper=ExecutionFailed)
        if record.status is Status.CANCELLED:
            reason = from_json(text)["reason"]
            raise ExecutionCancelled(f"execution {record.id} was cancelled: {reason}", reason=reason)
        if text.startswith(f'"{WITHHELD}'):
            raise StateNotCaptured(
                f"execution {record.id} was called with capture_state=False: its result was handed to the caller "
                "and not kept."
            )
        program = self._programs.get(Workflow(record.name, record.version))
        if program is None:
            return from_json(text)
        try:
            return program.returns.decode(text)
        except CodecError:
            if program.redact is None:
                raise
            return from_json(text)  # redaction has changed its form

    # Waking those who wait.

    def _wake_waiters(self, execution_id: str, value: Any, error: BaseException | None) -> None:
        for waiter in self._waiters.get(execution_id, ()):
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(value)
            else:
                waiter.set_exception(error)

    def _arrive(self, execution_id: str) -> None:
        for arrival in self._arrivals.get(execution_id, ()):
            if not arrival.done():
                arrival.set_result(None)

    # Leases.

    async def _lost(self) -> None:
        """Another worker has taken over: forget everything, and begin again under a new lease."""
        if self._stopping:
            return
        log.warning("the lease of worker %s was lost; its executions go on elsewhere", self.owner)
        for drive in self._drives.values():
            drive.drop()
        self._drives.clear()
        await self._lease.take(self.workflows)
        self._lookout.nudge()

    def _freed(self) -> None:
        self._lookout.nudge()

    # Callbacks.

    def _call(self, callback: Any, *args: Any) -> None:
        """Run something that may enter workflow code: outside of any task, and in the context of the engine."""
        asyncio.get_running_loop().call_soon(callback, *args, context=self._context.copy())

    def _background(self, work: Any) -> None:
        task = self.spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_reference(text: str | None) -> bool:
    return text is not None and text.startswith(BLOB)


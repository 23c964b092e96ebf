"""The engine that keeps its journals in a store and drives executions in this process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from assent.engine.crew import Crew, WorkerSettings
from assent.engine.drive import Drive
from assent.engine.engine import News, Program
from assent.engine.reading import read_execution, read_journal
from assent.engine.starting import Birth, new_execution
from assent.engine.writing import Action
from assent.errors import (
    DuplicateWorkflow,
    ExecutionConflict,
    LeaseLost,
    ResultTimeout,
    StoreError,
)
from assent.store import Event, ExecutionQuery, ExecutionRecord, Message, Status, Workflow

__all__ = ["LocalEngine", "WorkerSettings"]


class LocalEngine(Crew):
    """Drives executions in this process, on a store that other processes may share."""

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

    @property
    def programs(self) -> Sequence[Program]:
        """The programs that are known here."""
        return tuple(self._programs.values())

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
        is_ours = attended or not program.captured or self.has_room
        # What may be stored of the arguments is for this engine to say, whoever calls.
        birth = self.surroundings().run(
            new_execution,
            program,
            arguments,
            self.clock,
            id=id,
            parent_id=parent_id,
            requester=requester,
            traceparent=self.hooks.origin(),
            owner=self.owner if is_ours else None,
        )
        if not is_ours:
            return birth.check_same_call(await self._leave_to_others(birth))
        given = None if program.captured else arguments
        begin = partial(self._begin, program, given, attended, id is not None)
        leave = partial(self._unattend, birth.record.id) if attended else _nobody_leaves
        try:
            return await self._create(birth, begin, leave)
        except ExecutionConflict:
            stored = birth.check_same_call(await self.execution(birth.record.id))
            if attended and program.captured:
                await self._attend(stored)
            return stored

    async def _create(self, birth: Birth, begin: Callable[[Birth], None], leave: Action) -> ExecutionRecord:
        """Make an execution that is driven here."""
        try:
            await self._write(birth, begin, leave)
        except LeaseLost:
            await self._lease.recover()
            birth = birth.owned_by(self.owner)
            await self._write(birth, begin, leave)
        return birth.record

    async def _write(self, birth: Birth, begin: Callable[[Birth], None], leave: Action) -> None:
        """Make it and begin, also if whoever asks for it leaves meanwhile: nobody else would drive it."""
        written = self.store.append(self.owner, birth.commit([birth.started]))
        written.then(lambda error: begin(birth) if error is None else None)
        try:
            await written
        except asyncio.CancelledError:
            written.then(lambda error: leave() if error is None else None)
            raise

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

    def _begin(
        self, program: Program, given: Mapping[str, Any] | None, attended: bool, is_known: bool, birth: Birth
    ) -> None:
        """Drive an execution that was just made. Only who knows its id can have written to it already."""
        self.surroundings().run(self.hooks.seen, [birth.started])
        record = birth.record
        if record.owner != self.owner or self._stopping:
            return
        if birth.arguments is not record.arguments:
            record = replace(record, arguments=birth.arguments)
        drive = self._drives[record.id] = Drive(self, record, program, attended=int(attended))
        if is_known:
            self._background(self._begin_with_letters(drive, birth, given))
        else:
            self.surroundings().run(drive.begin, [birth.started], (), given)

    async def _begin_with_letters(self, drive: Drive, birth: Birth, given: Mapping[str, Any] | None) -> None:
        try:
            letters = await self.store.inbox(drive.id)
        except StoreError as error:
            self.broken(drive, error)
            return
        self._call(drive.begin, [birth.started], letters, given)

    async def _attend(self, record: ExecutionRecord) -> None:
        """Drive an execution here that a caller waits for, unless somebody else does, and keep it here."""
        drive = self._drives.get(record.id)
        if drive is not None:
            drive.attended += 1
        elif not record.status.is_final and Workflow(record.name, record.version) in self._programs:
            # Once it is claimed nobody else drives it, also if whoever waits for it leaves meanwhile.
            taking = self._kept(self.spawn(self._take(record.id, attended=1)))
            try:
                await asyncio.shield(taking)
            except asyncio.CancelledError:
                taking.add_done_callback(lambda _: self._unattend(record.id))
                raise

    async def result(self, execution_id: str, *, timeout: float | None = None) -> Any:
        with self._waiters.result_of(execution_id) as waiter:
            if execution_id not in self._drives:
                record = await self.execution(execution_id)
                if record.status.is_final:
                    return await self._read_result(record)
            if timeout is None:
                return await waiter
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
        self._unattend(execution_id)

    def _unattend(self, execution_id: str) -> None:
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


def _nobody_leaves() -> None:
    """What is done about a caller who never waited."""

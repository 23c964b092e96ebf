"""Worker processes that a test can stop, continue and kill, and that tell it what they do."""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

from assent import Runtime, WorkerSettings
from assent.store import Event
from assent.store.sqlite import SqliteStore
from assent.testing import CrashAt
from tests.crash import flows

STORE = "assent.db"
TOLD = {"execution.started", "execution.resumed", "execution.completed", "step.started"}


class Word(NamedTuple):
    """What a worker tells: an event that is durable (its type), "ready", "stopping", or a line of its log ("log")."""

    kind: str
    text: str = ""  # the execution, or the line
    worker: str = ""  # the lease that drives an execution which was resumed


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAt:
    """Stops its process at one commit, and tells so before."""

    crash: CrashAt
    wire: Connection

    def __call__(self, moment: str, number: int) -> None:
        if (moment, number) == (self.crash.moment, self.crash.number):
            self.wire.send(Word("stopping"))
            os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """How a worker works."""

    lease: float = 0.4
    most: int = 10  # executions at a time, so that others get some too
    stop: CrashAt | None = None


def work(folder: Path, wire: Connection, duty: Duty) -> None:
    """The main function of a worker process. It ends when its wire does."""
    os.chdir(folder)
    asyncio.run(_work(wire, duty))


async def _work(wire: Connection, duty: Duty) -> None:
    logging.getLogger("assent.engine").addHandler(Teller(wire))
    store = SqliteStore(STORE, crash_point=StopAt(crash=duty.stop, wire=wire) if duty.stop else None)
    settings = WorkerSettings(lease=duty.lease, most=duty.most)
    async with Runtime(store=store, workflows=[flows], settings=settings, watchers=[tell(wire)]) as runtime:
        flows.here["runtime"] = runtime
        wire.send(Word("ready"))
        await readable(wire)


def tell(wire: Connection) -> Callable[[Event], None]:
    def watch(event: Event) -> None:
        if event.type in TOLD:
            wire.send(Word(event.type, event.execution_id, event.value or ""))

    return watch


class Teller(logging.Handler):
    """Sends the lines of a log."""

    def __init__(self, wire: Connection) -> None:
        super().__init__()
        self._wire = wire

    def emit(self, record: logging.LogRecord) -> None:
        self._wire.send(Word("log", record.getMessage()))


async def readable(wire: Connection) -> None:
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(wire.fileno(), came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(wire.fileno())


@dataclass
class Worker:
    """A worker process, as the test sees it."""

    process: ForkServerProcess
    wire: Connection
    heard: list[Word] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    is_gone: bool = False

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    async def listen(self) -> None:
        """Hear what it tells, until it ends."""
        while True:
            await readable(self.wire)
            async with self.news:
                try:
                    while self.wire.poll():
                        self.heard.append(self.wire.recv())
                except (EOFError, ConnectionResetError):
                    self.is_gone = True
                    return
                finally:
                    self.news.notify_all()

    async def tells(self, is_meant: Callable[[Word], Any], *, after: int = 0, limit: float = 20.0) -> int:
        """Wait for such word; returns its place. `after`: places before it do not count."""
        async with asyncio.timeout(limit), self.news:
            while True:
                for place in range(after, len(self.heard)):
                    if is_meant(self.heard[place]):
                        return place
                assert not self.is_gone, f"worker {self.pid} has ended and will not say it; it said {self.heard}"
                after = max(after, len(self.heard))
                await self.news.wait()

    async def tells_kind(self, kind: str, **options: Any) -> int:
        return await self.tells(lambda word: word.kind == kind, **options)

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(10)


class Crew:
    """Workers on one store."""

    def __init__(self, folder: Path, tasks: asyncio.TaskGroup) -> None:
        self.folder = folder
        self._tasks = tasks
        self._workers: list[Worker] = []

    async def hire(self, **duty: Any) -> Worker:
        """Start a worker, and wait until it works."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(self.folder, theirs, Duty(**duty)))
        process.start()
        theirs.close()
        worker = Worker(process, ours)
        self._workers.append(worker)
        self._tasks.create_task(worker.listen())
        await worker.tells(lambda word: word.kind in {"ready", "stopping"})
        return worker

    def dismiss(self, *, but: Worker | None = None) -> None:
        """End all of them, however they are."""
        for worker in self._workers:
            if worker is not but:
                worker.kill()


@asynccontextmanager
async def crew_in(folder: Path) -> AsyncIterator[Crew]:
    """A crew that ends with the test, whatever happens."""
    async with asyncio.TaskGroup() as tasks:
        crew = Crew(folder, tasks)
        try:
            yield crew
        finally:
            crew.dismiss()
    for worker in crew._workers:
        worker.wire.close()
        worker.process.close()


def client_of(folder: Path) -> Runtime:
    """A runtime that starts executions and waits for them, and leaves the work to others."""
    return Runtime(f"sqlite:///{folder / STORE}", worker=False)

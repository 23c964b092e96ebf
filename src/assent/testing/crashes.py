"""Processes that end without warning at an exact commit, and what comes of it when they are started again.

A program is given a store and does what an application would do with it: it opens a Runtime, starts executions under
ids of its own choice, and waits for them. Started again after a crash, it finds what it had started before.
"""

import asyncio
import itertools
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from assent.store import Event, ExecutionQuery, ExecutionRecord
from assent.store.sqlite import SqliteStore

Moment = Literal["before commit", "after commit"]
Program = Callable[[SqliteStore], Coroutine[Any, Any, Any]]

MOMENTS: Final[tuple[Moment, ...]] = get_args(Moment)
STORE: Final = "assent.db"
LIFE: Final = "life.pickle"
ALL: Final = 10**9  # more than any test writes


@dataclass(frozen=True, slots=True)
class CrashAt:
    """Kills its process at one commit of a store: give it to `SqliteStore` as `crash_point`."""

    moment: Moment
    number: int  # of the commit, from 1

    def __call__(self, moment: str, number: int) -> None:
        if (moment, number) == (self.moment, self.number):
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What came of a process that was not killed."""

    pid: int
    result: Any = None  # what the program returned
    error: BaseException | None = None  # what it raised instead
    found: list[Event]  # all that was in the store when it began
    journal: list[Event]  # and when it ended
    executions: list[ExecutionRecord]  # newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """A crash, and the process that was started after it."""

    crash: CrashAt
    folder: Path
    life: Life


def every_crash(program: Program, folder: Path, *, timeout: float = 30.0) -> Iterator[Recovery]:
    """Kill a program before and after its first commit, its second, and so on until it ends before it can be killed.

    Each time it starts in a new folder within `folder`, and is started once more after the crash. See `live`.
    """
    for number in itertools.count(1):
        died = False
        for moment in MOMENTS:
            crash = CrashAt(moment, number)
            place = folder / f"{number}-{moment.split()[0]}"
            if live(program, place, crash=crash, timeout=timeout) is None:
                died = True
                yield Recovery(crash=crash, folder=place, life=survived(program, place, timeout=timeout))
        if not died:
            return


def survived(program: Program, folder: Path, *, timeout: float = 30.0) -> Life:
    """The life of a process that nobody kills."""
    life = live(program, folder, timeout=timeout)
    assert life is not None  # noqa: S101 - there is no crash that could end it, and `live` raises for others
    return life


def live(program: Program, folder: Path, *, crash: CrashAt | None = None, timeout: float = 30.0) -> Life | None:
    """Run a program in a process of its own, on the store in `folder`. None: it was killed by `crash`.

    The process works in `folder`, so what its steps write to the current folder is found there. It takes over at once
    what a killed process held. The program must be a function of a module that can be imported, or a
    `functools.partial` of one. A process that takes longer than `timeout` seconds is killed, and TimeoutError raised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIFE).unlink(missing_ok=True)
    # Each process is forked from one that has imported everything, and has no threads that a fork would lose.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, getattr(program, "func", program).__module__])
    process = context.Process(target=_live, args=(program, folder, crash))
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"the program in {str(folder)!r} has not ended after {timeout:g} s.")
    code = process.exitcode
    process.close()
    if crash is not None and code == -signal.SIGKILL:
        return None
    if code != 0:
        raise ChildProcessError(f"the process in {str(folder)!r} ended with {code}; what it printed says why.")
    life: Life = pickle.loads((folder / LIFE).read_bytes())  # noqa: S301 - written by our own child
    return life


def _live(program: Program, folder: Path, crash: CrashAt | None) -> None:
    os.chdir(folder)
    life = asyncio.run(_life(program, crash))
    Path(LIFE).write_bytes(pickle.dumps(life))


async def _life(program: Program, crash: CrashAt | None) -> Life:
    async with SqliteStore(STORE) as store:
        for worker in await store.workers():
            await store.renew(worker.id, 0.0)  # nobody waits here for the lease of the dead to run out
        found = await store.events(limit=ALL)
    result, error = None, None
    try:
        result = await program(SqliteStore(STORE, crash_point=crash))
    except Exception as raised:  # noqa: BLE001 - whatever it raised is what came of it
        error = raised
    async with SqliteStore(STORE) as store:
        return Life(
            pid=os.getpid(),
            result=result,
            error=error,
            found=found,
            journal=await store.events(limit=ALL),
            executions=await store.executions(ExecutionQuery(limit=ALL)),
        )

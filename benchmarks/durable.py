"""Durable steps and governed calls a second, beside what bare SQLite does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from itertools import count as numbers
from pathlib import Path
from time import perf_counter
from typing import Any

from assent import Runtime
from assent.store import Commit, Receipt, WorkerRecord
from assent.store.commits import write_commit
from assent.store.connection import connect, migrate
from assent.store.rows import WORKER, insert, worker_row
from assent.store.sqlite import SqliteStore
from assent.store.writer import Transaction
from benchmarks import programs
from benchmarks.figures import Figure, Measure, Scale, Target, side_by_side
from benchmarks.raw_sqlite import GROUP, grouped_inserts, single_commits

SINGLE = "raw commits of one row"
GROUPED = f"raw inserts, {GROUP} a commit"


async def one_after_another(runtime: Runtime, steps: int) -> float:
    """Steps a second of one workflow."""
    start = perf_counter()
    handle = await runtime.start(programs.count, steps)
    await handle.result()
    return steps / (perf_counter() - start)


async def all_at_once(runtime: Runtime, workflows: int, steps: int) -> float:
    """Steps a second of so many workflows of so many steps each."""

    async def run() -> None:
        handle = await runtime.start(programs.count, steps)
        await handle.result()

    start = perf_counter()
    await asyncio.gather(*(run() for _ in range(workflows)))
    return workflows * steps / (perf_counter() - start)


async def governed_calls(callers: int, calls: int) -> float:
    """Calls a second that so many callers get through, each call an execution of its own."""

    async def call() -> None:
        for number in range(calls):
            await programs.transfer(number + 1, "ACME")

    start = perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    return callers * calls / (perf_counter() - start)


async def sequential(scale: Scale, folder: Path) -> list[Figure]:
    """One workflow, each of its steps durable before the next begins."""
    ours = on_new_store(folder, lambda runtime: one_after_another(runtime, scale.sequential))
    found = await side_by_side(ours, raw_single(folder, scale), scale.rounds)
    target = Target(0.6, "ratio at least")
    return [Figure(name="steps, one workflow", unit="/s", against=SINGLE, target=target, **found._asdict())]


async def concurrent(scale: Scale, folder: Path) -> list[Figure]:
    """Many workflows at once, whose steps share commits."""
    ours = on_new_store(folder, lambda runtime: all_at_once(runtime, scale.workflows, scale.each))
    found = await side_by_side(ours, raw_grouped(folder, scale), scale.rounds)
    name, target = f"steps, {scale.workflows} workflows at once", Target(0.4, "ratio at least")
    return [Figure(name=name, unit="/s", against=GROUPED, target=target, **found._asdict())]


async def governed(scale: Scale, folder: Path) -> list[Figure]:
    """Governed calls with validation and audit, journaled."""
    ours = on_new_store(folder, lambda _: governed_calls(scale.callers, scale.calls_each))
    found = await side_by_side(ours, raw_grouped(folder, scale), scale.rounds)
    name, target = f"governed calls, {scale.callers} callers", Target(0.15, "ratio at least")
    writes = await side_by_side(
        written_again(folder, scale), raw_grouped(_subfolder(folder, "beside"), scale), scale.rounds
    )
    return [
        Figure(name=name, unit="/s", against=GROUPED, target=target, **found._asdict()),
        Figure(name=f"{name}, only their writes", unit="/s", against=GROUPED, **writes._asdict()),
    ]


def on_new_store(folder: Path, measure: Callable[[Runtime], Awaitable[float]], **options: Any) -> Measure:
    """Measure on an empty store each time, after what is done only once (imports, statements) has been done."""
    serial = numbers()

    async def measured() -> float:
        async with Runtime(f"sqlite:///{folder}/ours-{next(serial)}.db", **options) as runtime:
            await one_after_another(runtime, 1)
            return await measure(runtime)

    return measured


def written_again(folder: Path, scale: Scale) -> Measure:
    """Governed calls a second if all that such a call did were to write what it writes, GROUP commits at a time."""
    serial = numbers()

    async def measured() -> float:
        noting = NotingStore(folder / f"noted-{next(serial)}.db")
        async with Runtime(store=noting):
            await governed_calls(scale.callers, scale.calls_each)
        return scale.callers * scale.calls_each / write_again(folder / f"again-{next(serial)}.db", noting.commits)

    return measured


class NotingStore(SqliteStore):
    """Remembers what is appended."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.commits: list[tuple[str, Commit]] = []

    def append(self, owner: str, commit: Commit) -> Receipt[None]:
        self.commits.append((owner, commit))
        return super().append(owner, commit)


def write_again(path: Path, commits: Sequence[tuple[str, Commit]]) -> float:
    """Seconds that it takes SQLite to write these commits, in groups."""
    with closing(connect(str(path), "FULL")) as connection:
        migrate(connection)
        for owner in {owner for owner, _ in commits}:
            worker = WorkerRecord(id=owner, host="", pid=0, started_at=0.0, expires_at=0.0)
            connection.execute(insert(WORKER, "workers"), worker_row(worker))
        start = perf_counter()
        for place in range(0, len(commits), GROUP):
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection)
            for owner, commit in commits[place : place + GROUP]:
                write_commit(owner, commit, transaction)
            transaction.write_events()
            connection.execute("COMMIT")
        return perf_counter() - start


def raw_single(folder: Path, scale: Scale) -> Measure:
    """The yardstick for what waits for each of its commits."""
    serial = numbers()

    async def measured() -> float:
        return single_commits(_subfolder(folder, f"single-{next(serial)}"), scale.commits)

    return measured


def raw_grouped(folder: Path, scale: Scale) -> Measure:
    """The yardstick for what shares its commits."""
    serial = numbers()

    async def measured() -> float:
        return grouped_inserts(_subfolder(folder, f"grouped-{next(serial)}"), scale.groups)

    return measured


def _subfolder(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir()
    return place

"""The yardsticks: what bare SQLite does here with our settings and a journal of our shape, and what one sync costs.

`python benchmarks/raw_sqlite.py` prints them beside the store's own figures, without an engine on top.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from assent.store import Commit, Event, WorkerRecord
from assent.store.connection import connect, migrate
from assent.store.rows import ADD_EVENT
from assent.store.sqlite import SqliteStore

GROUP = 100
EXECUTIONS = 200


class Yardsticks(NamedTuple):
    """Rates are a second; `fsync` is in seconds."""

    fsync: float
    single_commits: float
    grouped_inserts: float


def measure(folder: Path | None = None, *, commits: int = 1_000, groups: int = 300) -> Yardsticks:
    """All three, on files in `folder` (a temporary one unless named), which are removed again."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        return Yardsticks(fsync_cost(place), single_commits(place, commits), grouped_inserts(place, groups))


def fsync_cost(folder: Path, times: int = 200) -> float:
    """Seconds that one fsync of a freshly written page takes, as a median."""
    costs: list[float] = []
    handle = os.open(folder / "fsync", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(times):
            os.write(handle, bytes(4096))
            start = time.perf_counter()
            os.fsync(handle)
            costs.append(time.perf_counter() - start)
    finally:
        os.close(handle)
    return sorted(costs)[times // 2]


def single_commits(folder: Path, commits: int) -> float:
    """Commits of one row each, a second."""
    with _journal(folder / "single.db") as connection:
        start = time.perf_counter()
        for number in range(commits):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(ADD_EVENT, _row(number))
            connection.execute("COMMIT")
        return commits / (time.perf_counter() - start)


def grouped_inserts(folder: Path, groups: int) -> float:
    """Rows a second, GROUP of them in each commit."""
    rows = [_row(number) for number in range(GROUP)]
    with _journal(folder / "grouped.db") as connection:
        start = time.perf_counter()
        for _ in range(groups):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(ADD_EVENT, rows)
            connection.execute("COMMIT")
        return groups * GROUP / (time.perf_counter() - start)


async def store_alone(folder: Path, *, callers: int, commits: int) -> float:
    """Commits of one event that so many callers at once get through the store, a second."""

    async def call(number: int) -> None:
        for _ in range(commits):
            await store.append("bench", Commit(execution_id="bench", events=[_row(number)]))

    async with SqliteStore(folder / f"store-{callers}.db") as store:
        await store.register(WorkerRecord(id="bench", host="", pid=0, started_at=0.0, expires_at=0.0))
        start = time.perf_counter()
        await asyncio.gather(*(call(number) for number in range(callers)))
        return callers * commits / (time.perf_counter() - start)


@contextmanager
def _journal(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(str(path), "FULL")) as connection:
        migrate(connection)
        yield connection


def _row(number: int) -> Event:
    execution = f"01900000-0000-7000-8000-{number % EXECUTIONS:012d}"
    return Event(execution, "step.completed", 1.7e9, number, "reserve_stock", 1, 1.7e9, None, '{"reserved":true}')


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = measure(folder)
        alone = asyncio.run(store_alone(folder, callers=1, commits=1_000))
        together = asyncio.run(store_alone(folder, callers=EXECUTIONS, commits=150))
    print(f"one fsync                        {bare.fsync * 1000:10.3f} ms")
    print(f"raw commits of one row           {bare.single_commits:10,.0f} /s")
    print(f"store, one caller                {alone:10,.0f} /s  {alone / bare.single_commits:.2f} of raw")
    print(f"raw inserts, {GROUP} a commit        {bare.grouped_inserts:10,.0f} /s")
    print(
        f"store, {EXECUTIONS} callers at once      {together:10,.0f} /s  {together / bare.grouped_inserts:.2f} of raw"
    )


if __name__ == "__main__":
    main()

"""A store full of executions that wait for people: what they cost on disk, in a worker, and when a decision comes."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from assent import Runtime
from assent.store.sqlite import SqliteStore
from benchmarks import programs
from benchmarks.child import run_child
from benchmarks.figures import Figure, Scale, Target

Findings = Mapping[str, float]

LANES = 500  # executions in the making at a time, below what a worker keeps in memory


async def parked(scale: Scale, folder: Path) -> list[Figure]:
    """They are made through the public interface; then a fresh worker opens the store."""
    people, signals, none = folder / "people.db", folder / "signals.db", folder / "none.db"
    few = max(scale.parked // 20, 1)
    await park(people, programs.wait_for_people, scale.parked)
    await park(signals, programs.wait_for_number, few)
    await park(none, programs.wait_for_people, 0)
    sizes = _on_disk("an approval", people, scale.parked), _on_disk("a signal", signals, few)
    return [*sizes, *_of_worker(await _worker_on(people, scale), await _worker_on(none, scale), scale.parked)]


def _on_disk(what: str, file: Path, count: int) -> Figure:
    name, target = f"parked execution on disk, waits for {what}", Target(2_000, "at most")
    return Figure(name=name, ours=file.stat().st_size / count, unit="B", target=target)


def _of_worker(found: Findings, empty: Findings, count: int) -> Iterable[Figure]:
    """What a worker on a full store says of itself, beside one on an empty store."""
    lines = (
        ("memory that opening it takes", "grown", 1e-6, "MB", 4),
        ("idle worker, CPU", "idle", 100, "%", 1),
        ("start of a worker until ready", "ready", 1, "s", 1),
    )
    for name, key, factor, unit, bound in lines:
        yield Figure(
            name=f"{name}, {count:,} parked", ours=factor * found[key], unit=unit, yardstick=factor * empty[key],
            against="an empty store", target=Target(bound, "at most"),
        )  # fmt: skip
    name, target = f"decision to resumed, p50, {count:,} parked", Target(10, "at most")
    yield Figure(name=name, ours=1e3 * found["resumed"], unit="ms", target=target)


async def park(file: Path, program: Any, count: int) -> None:
    """Create executions and see each of them to where it waits."""
    ids = iter(range(count))

    async def lane() -> None:
        for _ in ids:
            handle = await runtime.start(program)
            await runtime.engine.waiting(handle.id)

    # How fast they come about is not measured, so nothing need be on disk in between.
    async with Runtime(store=SqliteStore(file, synchronous="OFF")) as runtime:
        await asyncio.gather(*(lane() for _ in range(LANES)))


async def _worker_on(file: Path, scale: Scale) -> Findings:
    # The clock of `perf_counter` is the same in both processes, so the child's imports count as well.
    started = perf_counter()
    found: Findings = await run_child("parked_child", f"sqlite:///{file}", scale.idle, scale.samples, started)
    return found

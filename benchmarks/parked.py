"""A store full of executions that wait for people: what they cost on disk, in a worker, and when a decision comes."""

import asyncio
from pathlib import Path
from time import perf_counter
from typing import Any

from assent import Runtime
from benchmarks import programs
from benchmarks.child import run_child
from benchmarks.figures import Figure, Scale, Target

LANES = 500  # executions in the making at a time, below what a worker keeps in memory


async def parked(scale: Scale, folder: Path) -> list[Figure]:
    """They are made through the public interface; then a fresh worker opens the store."""
    many, none, signals = folder / "parked.db", folder / "empty.db", folder / "signals.db"
    rate = await _park(many, programs.wait_for_people, scale.parked)
    await _park(none, programs.wait_for_people, 0)
    few = max(scale.parked // 20, 1)
    await _park(signals, programs.wait_for_number, few)
    found = await _worker_on(many, scale)
    without = await _worker_on(none, scale)
    return [
        Figure(name=f"parking {scale.parked:,} executions", ours=rate, unit="/s"),
        Figure(
            name="a parked execution on disk, approval",
            ours=many.stat().st_size / scale.parked, unit="B", target=Target(2_000, "at most"),
        ),
        Figure(
            name="a parked execution on disk, signal",
            ours=signals.stat().st_size / few, unit="B", target=Target(2_000, "at most"),
        ),
        Figure(
            name="memory of a worker, because of them",
            ours=(found["grown"] - without["grown"]) / 1e6, unit="MB", yardstick=without["grown"] / 1e6,
            against="opening an empty store", target=Target(4, "at most"),
        ),
        Figure(name="CPU of an idle worker", ours=100 * found["idle"], unit="%", yardstick=100 * without["idle"],
               against="on an empty store", target=Target(1, "at most")),
        Figure(name="start of a worker until ready", ours=found["ready"], unit="s", yardstick=without["ready"],
               against="on an empty store", target=Target(1, "at most")),
        Figure(name="decision to resumed, p50", ours=1e3 * found["resumed"], unit="ms", target=Target(10, "at most")),
    ]  # fmt: skip


async def _park(file: Path, program: Any, count: int) -> float:
    """Executions a second that are created and wait."""
    ids = iter(range(count))

    async def lane() -> None:
        for _ in ids:
            handle = await runtime.start(program)
            await runtime.engine.waiting(handle.id)

    async with Runtime(f"sqlite:///{file}") as runtime:
        start = perf_counter()
        await asyncio.gather(*(lane() for _ in range(LANES)))
        return count / (perf_counter() - start)


async def _worker_on(file: Path, scale: Scale) -> Any:
    # The clock of `perf_counter` is the same in both processes, so the child's imports count as well.
    return await run_child("parked_child", f"sqlite:///{file}", scale.idle, scale.samples, perf_counter())

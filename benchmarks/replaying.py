"""How fast a journal is read back, and how fast it is replayed."""

from pathlib import Path
from statistics import median
from time import perf_counter

from assent import Event, ExecutionInfo, Runtime
from assent.engine import LiveExecution
from assent.engine.replay import read, replay
from assent.store.sqlite import SqliteStore
from benchmarks import programs
from benchmarks.figures import Figure, Scale, Target


async def replayed(scale: Scale, folder: Path) -> list[Figure]:
    """A journal that one workflow has written, step after step."""
    file = folder / "journal.db"
    execution_id = await _written(file, scale.replayed)
    reading, replaying = [], []
    async with SqliteStore(file) as store:
        for _ in range(scale.rounds + 1):
            start = perf_counter()
            events = await store.journal(execution_id)
            reading.append(scale.replayed / (perf_counter() - start))
            replaying.append(scale.replayed / _seconds_to_replay(execution_id, events, scale.replayed))
    both = 1 / (1 / median(reading) + 1 / median(replaying))
    name, target = f"replay of {scale.replayed:,} steps", Target(100_000, "at least")
    return [
        Figure(name=name, ours=median(replaying), unit="/s", target=target),
        Figure(name="reading these steps from SQLite", ours=median(reading), unit="/s"),
        Figure(name="reading and replaying them", ours=both, unit="/s"),
    ]


async def _written(file: Path, steps: int) -> str:
    # What is measured is read back, so nothing need be on disk in between.
    async with Runtime(store=SqliteStore(file, synchronous="OFF")) as runtime:
        handle = await runtime.start(programs.count, steps)
        await handle.result()
        return handle.id


def _seconds_to_replay(execution_id: str, events: list[Event], steps: int) -> float:
    program = programs.count.program
    start = perf_counter()
    history = read(events)
    info = ExecutionInfo(id=execution_id, name=program.name, version=1, started_at=history.started_at or 0.0)
    live = LiveExecution(info, known_ops=history.known_ops)
    arguments = program.signature.decode(events[0].arguments or "{}")
    live.begin(lambda: program.main(arguments))
    replay(live, history)
    spent = perf_counter() - start
    if not live.done or live.result() != steps:
        raise RuntimeError(f"the replay of {execution_id} did not arrive at its result")
    return spent

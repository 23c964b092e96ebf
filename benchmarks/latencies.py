"""From a signal to the result of the execution that waited for it, in one process and across two."""

from pathlib import Path
from statistics import median
from time import perf_counter

from assent import Runtime
from benchmarks import programs
from benchmarks.child import beside
from benchmarks.figures import Figure, Scale, Target

MILLI = 1e3


async def signals(scale: Scale, folder: Path) -> list[Figure]:
    """Medians; each execution is parked in the store before its signal is sent."""
    async with Runtime(f"sqlite:///{folder}/one-process.db") as runtime:
        within = await _signal_to_result(runtime, scale.samples)
    url = f"sqlite:///{folder}/two-processes.db"
    async with beside("worker_child", url), Runtime(url, worker=False) as runtime:
        across = await _signal_to_result(runtime, max(scale.samples // 4, 1))
    return [
        Figure(name="signal to result, one process, p50", ours=within, unit="ms", target=Target(2, "at most")),
        Figure(name="signal to result, two processes, p50", ours=across, unit="ms", target=Target(100, "at most")),
    ]


async def _signal_to_result(runtime: Runtime, samples: int) -> float:
    costs = []
    for number in range(samples):
        handle = await runtime.start(programs.wait_for_number)
        await runtime.engine.waiting(handle.id)
        start = perf_counter()
        await handle.signal("number", number)
        await handle.result()
        costs.append(perf_counter() - start)
    return median(costs) * MILLI

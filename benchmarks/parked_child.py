"""A worker on a store of parked executions, measuring itself: `parked_child URL IDLE_SECONDS SAMPLES STARTED_AT`."""

import asyncio
import json
import os
import resource
import sys
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from assent import Event, Runtime
from benchmarks import programs

PATIENCE = 5.0  # seconds; an execution that has not gone on by then has not heard of its decision


class Resumptions:
    """A watcher that sees executions go on after their approvals."""

    def __init__(self) -> None:
        self.expected = ""
        self.seen = asyncio.Event()

    def __call__(self, event: Event) -> None:
        if event.type == "signal.received" and event.execution_id == self.expected:
            self.seen.set()

    async def after_decision(self, runtime: Runtime, approval_id: str, execution_id: str) -> float:
        """Seconds from a person's word until the workflow code has it."""
        self.expected = execution_id
        self.seen.clear()
        start = perf_counter()
        await runtime.decide(approval_id, approver=programs.APPROVER)
        async with asyncio.timeout(PATIENCE):
            await self.seen.wait()
        return perf_counter() - start


async def main(url: str, idle: float, samples: int, started: float) -> None:
    resumptions = Resumptions()
    before = resident()
    async with Runtime(url, workflows=[programs], watchers=[resumptions]) as runtime:
        ready = perf_counter() - started
        used = process_time()
        await asyncio.sleep(idle)
        used = process_time() - used
        grown = resident() - before
        approvals = await runtime.approvals(limit=samples)
        waits = [await resumptions.after_decision(runtime, each.id, each.execution_id) for each in approvals]
    found = {"ready": ready, "idle": used / idle, "grown": grown, "resumed": median(waits or [0.0])}
    print(json.dumps(found))


def resident() -> int:
    """Bytes of memory that this process occupies; where the system does not say, the most that it ever did."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))

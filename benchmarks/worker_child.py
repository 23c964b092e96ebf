"""A worker that drives what another process starts, until its standard input is closed: `worker_child URL`."""

import asyncio
import sys

from assent import Runtime
from benchmarks import programs


async def main(url: str) -> None:
    async with Runtime(url, workflows=[programs]):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""A worker process: drives executions until it is told to stop, or killed."""

import asyncio
import os
import sys

from assent import Runtime, WorkerSettings
from tests.oversight import scenes


async def main(folder: str) -> None:
    os.chdir(folder)
    settings = WorkerSettings(lease=0.6, most=60)
    async with Runtime("sqlite:///assent.db", workflows=scenes.ALL, settings=settings):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

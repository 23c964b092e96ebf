"""Measuring in a process of its own: fresh, and without what others have imported or logged."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0  # seconds; several times what the slowest child takes


class ChildFailed(Exception):
    """A child process ended badly, or not at all. The message is the last line that it wrote on its way out."""


async def run_child(module: str, *args: object) -> Any:
    """Run a module of this package and return what it prints last, which is JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"benchmarks.{module}", *map(str, args), cwd=ROOT, env=_surroundings(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            printed, complaints = await process.communicate()
    except TimeoutError as error:
        raise ChildFailed(f"no answer after {PATIENCE:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ChildFailed(_last_line(complaints) or f"exit code {process.returncode}")
    return json.loads(_last_line(printed))


@asynccontextmanager
async def beside(module: str, *args: object) -> AsyncIterator[str]:
    """A module of this package runs in a child process meanwhile; gives the line that it prints when it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"benchmarks.{module}", *map(str, args), cwd=ROOT, env=_surroundings(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            if not (line := await process.stdout.readline()):
                raise ChildFailed(f"{module} ended before it was ready")
        yield line.decode()
    finally:
        process.stdin.close()
        await process.wait()


async def seconds_of(*command: str) -> float:
    """How long a fresh process takes from its start to its end."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, env=_surroundings(),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaints = await process.communicate()
    if process.returncode:
        raise ChildFailed(_last_line(complaints) or f"exit code {process.returncode}")
    return loop.time() - start


def _surroundings() -> dict[str, str]:
    # Nobody's telemetry is measured, and nobody's is sent.
    return {**os.environ, "LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "DO_NOT_TRACK": "1"}


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""

"""Run a short workflow on the core alone, start a second runtime on its file, and find the same result.

Called by `make smoke` with the path of a store, by a Python that has nothing installed but the core.
"""

import asyncio
import platform
import sys

from assent import Runtime, step, workflow

OPTIONAL = {"openai", "opentelemetry", "pydantic_ai", "redis", "starlette", "uvicorn"}
LOADED = OPTIONAL & sys.modules.keys()


@step
async def double(number: int) -> int:
    return 2 * number


@workflow
async def double_twice(number: int) -> int:
    return await double(await double(number))


async def first_life(url: str) -> tuple[str, int]:
    async with Runtime(url) as runtime:
        handle = await runtime.start(double_twice, 3)
        return handle.id, await handle.result()


async def second_life(url: str, execution_id: str) -> int:
    async with Runtime(url) as runtime:
        result: int = await runtime.handle(execution_id).result()
        return result


async def main(url: str) -> None:
    if LOADED:
        sys.exit(f"smoke: `import assent` loads {', '.join(sorted(LOADED))}")
    execution_id, result = await first_life(url)
    again = await second_life(url, execution_id)
    if (result, again) != (12, 12):
        sys.exit(f"smoke: expected 12 before and after the restart, got {result!r} and {again!r}")
    sys.stdout.write(f"smoke: CPython {platform.python_version()} passed\n")


if __name__ == "__main__":
    asyncio.run(main(f"sqlite:///{sys.argv[1]}"))

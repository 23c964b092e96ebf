"""Agents with scripted models, on time that passes at once."""

from typing import Any

import pytest

from assent.testing import JumpingLoop, memory_runtime


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": JumpingLoop}


@pytest.fixture
async def runtime() -> Any:
    async with memory_runtime() as runtime:
        yield runtime

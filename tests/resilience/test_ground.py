"""What primitives stand on under a runtime: journaled in workflow code, direct elsewhere, shared through the store."""

import asyncio
from itertools import count
from typing import Any

import pytest

from assent import now, signal, step, workflow
from assent.resilience.ground import PlainGround, ground
from assent.testing import JumpingClock, JumpingLoop, memory_runtime


@pytest.fixture
def anyio_backend() -> Any:
    """Time passes at once."""
    return "asyncio", {"loop_factory": JumpingLoop}


async def test_workflow_code_decides_and_records_once_and_steps_each_time() -> None:
    decided, done, inside = count(), count(), []

    async def work() -> int:
        inside.append(ground().now())
        await asyncio.sleep(5)
        return next(done)

    @step
    async def look() -> list[int]:
        return [ground().decide("look", lambda: next(decided)), await ground().recorded("work", work, int)]

    @workflow
    async def uses() -> list[Any]:
        here = ground()
        first = [here.decide("first", lambda: next(decided)), await here.recorded("work", work, int)]
        assert here.now() == now().timestamp()
        numbers = [here.random() for _ in range(3)]
        await signal("go")
        return [*first, *await look(), len(set(numbers))]

    clock = JumpingClock()
    async with memory_runtime(clock=clock) as runtime:
        handle = await runtime.start(uses)
        await handle.signal("go")
        assert await handle.result() == [0, 0, 1, 1, 3]
        events = [(event.type, event.name) for event in await handle.events()]
    assert events.count(("execution.decided", "first")) == events.count(("step.completed", "work")) == 1
    assert ("execution.decided", "look") not in events
    assert inside == pytest.approx([clock.now() - 10, clock.now() - 5], abs=1)


async def test_a_runtime_lends_what_all_share_for_as_long_as_it_is_open() -> None:
    assert ground().shared is None
    async with memory_runtime():
        shared = ground().shared
        assert shared is not None
        assert await shared.read("key") == (None, 0)
        assert await shared.swap("key", "1", 0)
        assert not await shared.swap("key", "2", 0)
        assert await shared.read("key") == ("1", 1)
        assert [await shared.admit("key", 1.0, 1) == 0 for _ in range(2)] == [True, False]
    assert isinstance(ground(), PlainGround)

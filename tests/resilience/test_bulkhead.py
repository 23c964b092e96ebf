"""A bulkhead lets in so many at once, has so many wait, and gives every place back."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent import step, workflow
from assent.errors import BulkheadFull, UsageError
from assent.resilience import Bulkhead
from assent.testing import JumpingLoop, jumping_run, memory_runtime


@pytest.fixture
def anyio_backend() -> Any:
    """Time passes at once."""
    return "asyncio", {"loop_factory": JumpingLoop}


class Crowd:
    """Calls behind a bulkhead, and what was seen of them."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.inside = self.most_inside = self.refused = 0
        self.order: list[int] = []

    async def call(self, number: int, length: float) -> None:
        try:
            async with self.bulkhead:
                self.order.append(number)
                self.inside += 1
                self.most_inside = max(self.most_inside, self.inside)
                try:
                    await asyncio.sleep(length)
                finally:
                    self.inside -= 1
        except BulkheadFull:
            self.refused += 1


@given(
    st.integers(1, 4),
    st.none() | st.integers(0, 4),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 3), st.none() | st.floats(0, 3)), max_size=20),
)
def test_never_more_than_allowed_are_inside_and_none_is_lost(
    most: int, waiting: int | None, calls: list[tuple[float, float, float | None]]
) -> None:
    async def run() -> Crowd:
        crowd = Crowd(Bulkhead(most, waiting=waiting))
        async with asyncio.TaskGroup() as group:
            for number, (pause, length, cancelled_after) in enumerate(calls):
                await asyncio.sleep(pause)
                task = group.create_task(crowd.call(number, length))
                if cancelled_after is not None:
                    asyncio.get_running_loop().call_later(cancelled_after, task.cancel)
        # Whoever comes now finds it empty.
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            for _ in range(most):
                group.create_task(crowd.call(-1, 0.5))
        return crowd

    crowd = jumping_run(run)
    served = [number for number in crowd.order if number >= 0]
    assert crowd.most_inside <= most
    assert served == sorted(served)
    assert crowd.order.count(-1) == most
    assert not (waiting is None and crowd.refused)


async def test_who_is_too_many_is_refused_at_once() -> None:
    crowd = Crowd(Bulkhead(2, waiting=1))
    await asyncio.gather(*(crowd.call(number, 1) for number in range(5)))
    assert (crowd.order, crowd.refused) == ([0, 1, 2], 2)


async def test_a_place_that_was_left_is_free_for_the_next_at_once() -> None:
    bulkhead = Bulkhead(1, waiting=0)
    for _ in range(3):
        async with bulkhead:
            with pytest.raises(BulkheadFull, match="1 calls are under way and 0 wait"):
                await bulkhead.call(asyncio.sleep, 0)


async def test_it_stands_before_functions_and_calls_too() -> None:
    bulkhead = Bulkhead(1)
    crowd = Crowd(Bulkhead(5))

    @bulkhead
    async def decorated(number: int) -> int:
        await crowd.call(number, 1)
        return number

    async def called(number: int) -> int:
        await crowd.call(number, 1)
        return number

    found = await asyncio.gather(decorated(1), bulkhead.call(called, 2), decorated(number=3))
    assert list(found) == [1, 2, 3]
    assert crowd.most_inside == 1


async def test_in_workflow_code_it_counts_for_each_execution() -> None:
    bulkhead = Bulkhead(2)
    inside = 0
    seen: list[int] = []

    @step
    async def enter() -> None:
        nonlocal inside
        inside += 1
        seen.append(inside)
        await asyncio.sleep(1)
        inside -= 1

    @workflow
    async def crowded() -> None:
        await asyncio.gather(*(bulkhead.call(enter) for _ in range(6)))

    async with memory_runtime() as runtime:
        await (await runtime.start(crowded)).result()
        assert max(seen) == 2
        for handle in [await runtime.start(crowded) for _ in range(3)]:
            await handle.result()
        assert max(seen) == 6


async def test_on_a_step_it_counts_for_the_whole_process() -> None:
    bulkhead = Bulkhead(2)
    inside = 0
    seen: list[int] = []

    @step
    @bulkhead
    async def enter() -> None:
        nonlocal inside
        inside += 1
        seen.append(inside)
        await asyncio.sleep(1)
        inside -= 1

    @workflow
    async def crowded() -> None:
        await asyncio.gather(*(enter() for _ in range(3)))

    async with memory_runtime() as runtime:
        for handle in [await runtime.start(crowded) for _ in range(3)]:
            await handle.result()
    assert max(seen) == 2
    assert len(seen) == 9


def test_it_serves_one_event_loop_after_another() -> None:
    bulkhead = Bulkhead(1)
    for _ in range(2):
        crowd = Crowd(bulkhead)

        async def both(crowd: Crowd = crowd) -> None:
            await asyncio.gather(crowd.call(1, 1), crowd.call(2, 1))

        jumping_run(both)
        assert crowd.most_inside == 1


@pytest.mark.parametrize(
    "options", [{"most": 0}, {"most": 1.5}, {"most": 1, "waiting": -1}, {"most": 1, "waiting": 1.5}]
)
def test_numbers_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Bulkhead(**options)

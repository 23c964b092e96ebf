"""All of several things: in order, with every error, bounded; in workflows also when the process dies on the way."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent import step, workflow
from assent.errors import UsageError
from assent.resilience import Degraded, degrade, gather_all, parallel_map
from assent.testing import JumpingLoop, jumping_run
from tests.conformance.engine.ground import Ground, Suite
from tests.test_local_engine import ground_in_memory


@pytest.fixture
def anyio_backend() -> Any:
    """Time passes at once."""
    return "asyncio", {"loop_factory": JumpingLoop}


async def done(value: int, length: float = 0.0) -> int:
    await asyncio.sleep(length)
    return value


async def failed(message: str, length: float = 0.0) -> int:
    await asyncio.sleep(length)
    raise ValueError(message)


# gather_all


async def test_everything_runs_to_its_end_and_every_error_is_kept() -> None:
    gathered = await gather_all(done(1, 3), failed("a", 2), done(2), failed("b", 1))
    assert gathered.results == [1, 2]
    assert [str(error) for error in gathered.errors] == ["a", "b"]
    assert [type(each).__name__ for each in gathered.outcomes] == ["int", "ValueError", "int", "ValueError"]
    with pytest.raises(ExceptionGroup, match="2 of 4 failed") as caught:
        gathered.or_raise()
    assert list(caught.value.exceptions) == gathered.errors


async def test_where_nothing_fails_there_are_results_only() -> None:
    gathered = await gather_all(done(1, 2), done(2, 1))
    assert (gathered.or_raise(), gathered.errors) == ([1, 2], [])
    assert (await gather_all()).or_raise() == []


# parallel_map


@given(
    st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=20),
    st.none() | st.integers(1, 6),
)
def test_order_is_kept_and_no_more_run_at_once_than_allowed(calls: list[tuple[float, bool]], limit: int | None) -> None:
    running = most = 0

    async def call(place: int) -> int:
        nonlocal running, most
        length, fails = calls[place]
        running += 1
        most = max(most, running)
        await asyncio.sleep(length)
        running -= 1
        return await (failed(str(place)) if fails else done(place))

    async def run() -> list[int | Exception]:
        return await parallel_map(call, range(len(calls)), limit=limit, return_exceptions=True)

    outcomes = jumping_run(run)
    assert [int(str(outcome)) for outcome in outcomes] == list(range(len(calls)))
    assert [isinstance(outcome, ValueError) for outcome in outcomes] == [fails for _, fails in calls]
    assert most <= (limit or len(calls))


async def test_the_first_failure_cancels_the_rest_and_waits_for_it() -> None:
    log: list[str] = []

    async def call(name: str) -> None:
        try:
            if name == "bad":
                await failed("bad", 1)
            await asyncio.sleep(5)
            log.append(name)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            log.append(f"{name} cancelled")
            raise

    with pytest.raises(ValueError, match="bad"):
        await parallel_map(call, ["a", "bad", "b", "never begun"], limit=3)
    assert log == ["a cancelled", "b cancelled"]


async def test_an_error_keeps_its_cause() -> None:
    async def call(number: int) -> int:
        try:
            return await failed("deep")
        except ValueError as error:
            raise KeyError(number) from error

    with pytest.raises(KeyError) as caught:
        await parallel_map(call, [1, 2])
    assert isinstance(caught.value.__cause__, ValueError)


async def test_an_error_takes_its_place_wherever_it_is_raised() -> None:
    def call(number: int) -> Awaitable[int]:
        if number == 1:
            raise KeyError(number)
        return done(number)

    found = await parallel_map(call, range(3), return_exceptions=True)
    assert [found[0], type(found[1]), found[2]] == [0, KeyError, 2]


async def test_whoever_is_cancelled_is_left_alone_while_it_puts_things_away() -> None:
    log: list[int] = []

    async def call(number: int) -> None:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(number)
            log.append(number)

    task = asyncio.create_task(parallel_map(call, [1, 2, 3]))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == [1, 2, 3]


async def test_of_those_that_fail_at_once_one_error_is_raised_and_none_reported_as_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ValueError, match="0"):
        await parallel_map(failed, "012")
    gc.collect()
    assert not caplog.records


async def test_what_is_cancelled_from_within_is_no_result() -> None:
    async def call(number: int) -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await parallel_map(call, [1], return_exceptions=True)


async def test_items_may_come_from_anywhere() -> None:
    assert await parallel_map(done, (number * number for number in range(4)), limit=2) == [0, 1, 4, 9]
    assert await parallel_map(done, []) == []


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
async def test_a_limit_that_means_nothing_is_refused(limit: Any) -> None:
    with pytest.raises(UsageError):
        await parallel_map(done, [1], limit=limit)


# degrade


async def test_parts_that_succeed_are_kept() -> None:
    assert await degrade(a=done(1), b=done(2, 1)) == Degraded("complete", {"a": 1, "b": 2}, {})
    partial = await degrade(a=failed("no", 2), b=done(2, 1))
    assert partial == Degraded("partial", {"b": 2}, {"a": "ValueError: no"})
    assert await degrade(a=failed("no")) == Degraded("failed", {}, {"a": "ValueError: no"})


# In workflows.


@step
async def echo(value: int, seconds: float = 0.0) -> int:
    await asyncio.sleep(seconds)
    return value


@step
async def fail(message: str, seconds: float = 0.0) -> int:
    await asyncio.sleep(seconds)
    raise ValueError(message)


@workflow
async def gathers() -> list[str]:
    gathered = await gather_all(echo(1, 3), fail("a", 2), echo(2), fail("b", 1))
    return [*map(str, gathered.outcomes), str(await echo(3))]


@workflow
async def maps() -> list[str]:
    async def square(number: int) -> int:
        await asyncio.sleep(number % 3)
        return await echo(number, 3 - number % 3) * await echo(number)

    async def picky(number: int) -> int:
        return await (fail("no", 1) if number == 2 else echo(number, 5))

    squares = await parallel_map(square, range(6), limit=3)
    collected = await parallel_map(picky, range(4), return_exceptions=True)
    try:
        await parallel_map(picky, range(6), limit=3)
    except ValueError as error:
        return [*map(str, squares), *map(str, collected), str(error), str(await echo(7))]
    return ["nothing failed"]


@workflow
async def degrades() -> Degraded:
    return await degrade(detailed=fail("down", 2), basic=echo(1, 1))


class TestInWorkflows(Suite):
    @pytest.fixture
    async def ground(self) -> AsyncIterator[Ground]:
        async with ground_in_memory(check_replay=True) as ground:
            yield ground

    async def test_gathering_outlives_its_process(self, ground: Ground) -> None:
        assert await self.outlives(ground, gathers) == ("returned", ["1", "a", "2", "b", "3"])

    async def test_a_map_outlives_its_process(self, ground: Ground) -> None:
        found = ["0", "1", "4", "9", "16", "25", "0", "1", "no", "3", "no", "7"]
        assert await self.outlives(ground, maps) == ("returned", found)

    async def test_what_is_left_is_a_result_of_a_workflow(self, ground: Ground) -> None:
        left = Degraded("partial", {"basic": 1}, {"detailed": "ValueError: down"})
        assert await self.outlives(ground, degrades) == ("returned", left)

"""One of several ways succeeds, and the others have ended by then; in workflows also when the process dies."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from assent import step, workflow
from assent.errors import AllFailed, InDoubt, PolicyDenied, RateLimited, StepTimeout, UsageError
from assent.resilience import fallback, race, timeout
from assent.testing import JumpingLoop
from tests.conformance.engine.ground import Ground, Suite
from tests.test_local_engine import ground_in_memory


@pytest.fixture
def anyio_backend() -> Any:
    """Time passes at once."""
    return "asyncio", {"loop_factory": JumpingLoop}


class Work:
    """Calls that take a while, and what became of them."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def done(self, name: str, length: float = 0.0) -> str:
        try:
            await asyncio.sleep(length)
        except asyncio.CancelledError:
            await asyncio.sleep(1)  # putting things away
            self.log.append(f"{name} cancelled")
            raise
        self.log.append(name)
        return name

    async def failed(self, name: str, length: float = 0.0, error: type[Exception] = ValueError) -> str:
        await self.done(name, length)
        raise error(name)


@pytest.fixture
def work() -> Work:
    return Work()


async def slow(text: str, *, loud: bool = False) -> str:
    """Fails."""
    raise ConnectionError("slow is down")


async def steady(text: str, *, loud: bool = False) -> str:
    return text.upper() if loud else text


# fallback


async def test_the_first_that_works_answers() -> None:
    answer = fallback(slow, slow, steady, slow)
    assert await answer("a") == "a"
    assert await answer("a", loud=True) == "A"
    assert await fallback(steady)("b") == "b"
    assert (answer.__name__, answer.__doc__) == ("slow", "Fails.")


async def test_where_all_fail_each_error_is_told() -> None:
    async def refused(text: str, *, loud: bool = False) -> str:
        raise ValueError

    with pytest.raises(AllFailed, match=r"none of 2 succeeded; ConnectionError: slow is down; ValueError$") as caught:
        await fallback(slow, refused)("a")
    assert caught.value.failures == ["ConnectionError: slow is down", "ValueError"]
    assert isinstance(caught.value.__cause__, ValueError)


async def test_only_the_errors_meant_lead_to_another_way() -> None:
    with pytest.raises(ConnectionError):
        await fallback(slow, steady, on=(ValueError, KeyError))("a")
    assert await fallback(slow, steady, on=OSError)("a") == "a"


@pytest.mark.parametrize("error", [UsageError, PolicyDenied, RateLimited, InDoubt, asyncio.CancelledError])
async def test_no_other_way_is_taken_around_a_refusal_a_doubt_or_a_mistake(error: type[BaseException]) -> None:
    async def final(text: str, *, loud: bool = False) -> str:
        raise error("no")

    with pytest.raises(error):
        await fallback(final, steady)("a")


async def test_nor_around_one_that_came_with_others() -> None:
    async def pays(text: str, *, loud: bool = False) -> str:
        raise ExceptionGroup("two failed", [ConnectionError(), InDoubt("paid?")])

    with pytest.raises(ExceptionGroup):
        await fallback(pays, steady)("a")


async def test_what_is_not_async_is_refused_and_no_other_way_taken() -> None:
    def plain(text: str, *, loud: bool = False) -> str:
        return text

    with pytest.raises(UsageError, match=r"plain' is not async"):
        await fallback(plain, steady)("a")  # type: ignore[arg-type]  # what is refused


def test_what_is_no_error_cannot_be_meant() -> None:
    with pytest.raises(UsageError):
        fallback(slow, steady, on=asyncio.CancelledError)  # type: ignore[arg-type]  # what is refused


# race


async def test_the_fastest_wins_and_the_others_have_ended(work: Work) -> None:
    assert await race(work.done("slow", 3), work.failed("first", 1), work.done("fast", 2)) == "fast"
    assert work.log == ["first", "fast", "slow cancelled"]


async def test_of_those_done_at_the_same_time_the_first_given_wins(work: Work) -> None:
    assert await race(work.done("a", 1), work.done("b", 1)) == "a"
    assert await race(work.done("b"), work.done("a")) == "b"


async def test_a_loser_that_failed_is_not_reported_as_forgotten(work: Work, caplog: pytest.LogCaptureFixture) -> None:
    assert await race(work.done("a"), work.failed("b")) == "a"
    gc.collect()
    assert not caplog.records


async def test_a_race_without_a_winner_tells_each_error(work: Work) -> None:
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    with pytest.raises(AllFailed) as caught:
        await race(work.failed("a", 2), cancelled, work.failed("b", 1, KeyError))
    assert caught.value.failures == ["ValueError: a", "CancelledError", "KeyError: 'b'"]
    assert isinstance(caught.value.__cause__, BaseExceptionGroup)
    assert len(caught.value.__cause__.exceptions) == 3


async def test_whoever_cancels_a_race_cancels_all_in_it(work: Work) -> None:
    task = asyncio.create_task(race(work.done("a", 5), work.done("b", 5)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.log == ["a cancelled", "b cancelled"]


async def test_futures_and_groups_can_race(work: Work) -> None:
    never = asyncio.get_running_loop().create_future()
    assert await race(never, asyncio.gather(work.done("a"), work.done("b"))) == ["a", "b"]
    assert never.cancelled()


async def test_a_race_of_nobody_is_refused() -> None:
    with pytest.raises(UsageError):
        await race()


# timeout


async def test_what_comes_in_time_is_what_comes(work: Work) -> None:
    assert await timeout(work.done("a", 1), "2s") == "a"
    assert await timeout(work.done("b", 1), 2, default=None) == "b"


async def test_the_default_comes_when_the_work_has_ended(work: Work) -> None:
    assert await timeout(work.done("a", 5), "2s", default="none") == "none"
    assert work.log == ["a cancelled"]
    assert await timeout(work.done("a", 5), 2, default=None) is None


async def test_without_a_default_it_is_an_error(work: Work) -> None:
    with pytest.raises(TimeoutError, match="not done within 2 s"):
        await timeout(work.done("a", 5), 2)


async def test_a_timeout_of_the_works_own_is_its_error(work: Work) -> None:
    with pytest.raises(StepTimeout, match="a"):
        await timeout(work.failed("a", 1, StepTimeout), 2, default="none")


# In workflows.


@step
async def echo(value: str, seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    return value


@step
async def fail(value: str, seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    raise ValueError(value)


async def twice(value: str, seconds: float = 0.0) -> str:
    first = await echo(value, seconds)
    await asyncio.sleep(seconds)
    return first + await echo(value)


@workflow
async def falls_back() -> str:
    answer = fallback(fail, fail, twice)
    try:
        await fallback(fail, fail)("no", 1)
    except AllFailed as error:
        return f"{await answer('a', 1)} {await echo('b')} {error.failures}"
    return "nothing failed"


@workflow
async def races() -> list[str]:
    winners: list[object] = [await race(echo("slow", 3), fail("no", 1), twice("fast", 1))]
    winners.append(await race(asyncio.gather(echo("a", 5), echo("b")), twice("c", 1)))
    try:
        winners.append(await race(fail("x", 2), fail("y", 1)))
    except AllFailed as error:
        winners.extend(error.failures)
    return [*map(str, winners), await echo("end")]


@workflow
async def times_out() -> list[str | None]:
    found = [await timeout(echo("slow", 10), "1s", default=None), await timeout(twice("fast", 1), 5)]
    try:
        await timeout(twice("slow", 10), 1)
    except TimeoutError as error:
        found.append(str(error))
    return [*found, await echo("end")]


class TestInWorkflows(Suite):
    @pytest.fixture
    async def ground(self) -> AsyncIterator[Ground]:
        async with ground_in_memory(check_replay=True) as ground:
            yield ground

    async def test_a_fallback_outlives_its_process(self, ground: Ground) -> None:
        told = "aa b ['ValueError: no', 'ValueError: no']"
        assert await self.outlives(ground, falls_back) == ("returned", told)

    async def test_a_race_outlives_its_process(self, ground: Ground) -> None:
        winners = ["fastfast", "cc", "ValueError: x", "ValueError: y", "end"]
        assert await self.outlives(ground, races) == ("returned", winners)

    async def test_a_timeout_outlives_its_process(self, ground: Ground) -> None:
        found = [None, "fastfast", "not done within 1 s", "end"]
        assert await self.outlives(ground, times_out) == ("returned", found)

"""How often and after which wait a call is tried again, and for how long in all."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent import step, workflow
from assent.errors import (
    AllFailed,
    ApprovalRejected,
    AssentError,
    CodecError,
    InDoubt,
    NotDeterministic,
    RateLimited,
    StepTimeout,
    UsageError,
)
from assent.resilience import Retry
from assent.resilience.ground import PlainGround, ambient_ground
from assent.testing import JumpingClock, JumpingLoop, memory_runtime
from tests.conformance.engine.ground import Ground, Suite
from tests.test_local_engine import ground_in_memory

SECONDS = st.floats(0, 1e9)
JITTERS = st.sampled_from(["none", "equal", "full", "decorrelated", True, False])
NUMBERS = st.floats(0, 1, exclude_max=True)


@pytest.fixture
def anyio_backend() -> Any:
    """Time passes at once."""
    return "asyncio", {"loop_factory": JumpingLoop}


@pytest.fixture(autouse=True)
def on_the_clock_of_the_loop() -> Iterator[None]:
    token = ambient_ground.set(PlainGround(JumpingClock()))
    yield
    ambient_ground.reset(token)


def nearly(seconds: Any) -> Any:
    return pytest.approx(seconds, abs=0.01)


def longest(retry: Retry) -> float:
    assert isinstance(retry.maximum, float)
    return retry.maximum


@st.composite
def retries(draw: st.DrawFn, jitter: st.SearchStrategy[Any] = JITTERS) -> Retry:
    initial, maximum = sorted((draw(SECONDS), draw(SECONDS)))
    return Retry(
        draw(st.integers(1, 2_000)),
        draw(st.sampled_from(["fixed", "linear", "exponential"])),
        initial=initial,
        maximum=maximum,
        jitter=draw(jitter),
    )


@given(
    retries(),
    st.integers(2, 10_000),
    NUMBERS,
    st.none() | SECONDS,
    st.none() | st.floats() | st.text(),
)
def test_a_wait_is_never_negative_and_never_above_the_maximum(
    retry: Retry, attempt: int, number: float, last: float | None, asked: float | str | None
) -> None:
    error = AssentError(retry_after=asked)
    assert 0 <= retry.wait_before(attempt, lambda: number, last=last, error=error) <= longest(retry)


@given(retries(st.just("none")), st.integers(2, 5_000))
def test_without_jitter_waits_never_shrink(retry: Retry, attempt: int) -> None:
    assert retry.wait_before(2, lambda: 0.5) == retry.initial
    assert retry.wait_before(attempt, lambda: 0.0) <= retry.wait_before(attempt + 1, lambda: 0.9)


@given(retries())
def test_exactly_as_many_attempts_are_made_as_were_asked_for(retry: Retry) -> None:
    attempt = 1
    while retry.may_retry(attempt, ValueError()):
        attempt += 1
    assert attempt == retry.attempts


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [("fixed", [2, 2, 2, 2, 2]), ("linear", [2, 4, 6, 8, 9]), ("exponential", [2, 4, 8, 9, 9])],
)
def test_waits_follow_the_backoff(backoff: Any, waits: list[float]) -> None:
    retry = Retry(9, backoff, initial=2, maximum=9, jitter=False)
    assert [retry.wait_before(attempt, lambda: 0.5) for attempt in range(2, 7)] == waits


def test_full_jitter_draws_from_all_of_the_wait_and_equal_jitter_from_its_upper_half() -> None:
    full, equal = Retry(initial=8, jitter="full"), Retry(initial=8, jitter="equal")
    assert [full.wait_before(2, lambda: 0.0), full.wait_before(2, lambda: 0.5)] == [0, 4]
    assert [equal.wait_before(2, lambda: 0.0), equal.wait_before(2, lambda: 0.5)] == [4, 6]
    assert Retry(jitter=True) == Retry(jitter="full")


@given(retries(st.just("decorrelated")), st.lists(NUMBERS, min_size=1, max_size=20))
def test_decorrelated_waits_lie_between_the_first_and_three_times_the_last(retry: Retry, numbers: list[float]) -> None:
    initial = retry.wait_before(2, lambda: 0.0)
    waits = [initial]
    for number in numbers:
        waits.append(retry.wait_before(3, lambda number=number: number, last=waits[-1]))  # type: ignore[misc]  # a float
    assert all(initial <= later <= max(3 * earlier, initial) for earlier, later in pairwise(waits))
    assert initial == retry.initial


@pytest.mark.parametrize(("asked", "wait"), [(None, 4), (1.0, 4), (9.0, 9), (99.0, 20)])
def test_who_says_when_to_come_back_is_waited_for_up_to_the_maximum(asked: float | None, wait: float) -> None:
    retry = Retry(initial=4, maximum=20, jitter=False)
    assert retry.wait_before(2, lambda: 0.5, error=RateLimited(retry_after=asked)) == wait


def test_only_the_listed_errors_are_tried_again_and_never_the_excepted_ones() -> None:
    retry = Retry(on=OSError, never_on=(FileNotFoundError,))
    assert retry.may_retry(1, ConnectionError())
    assert not retry.may_retry(1, FileNotFoundError())
    assert not retry.may_retry(1, ValueError())


@pytest.mark.parametrize(
    "error", [UsageError(), CodecError(), NotDeterministic(), ApprovalRejected(reason="no"), InDoubt()]
)
def test_what_is_wrong_refused_or_in_doubt_is_never_tried_again(error: Exception) -> None:
    assert not Retry(on=Exception).may_retry(1, error)


def test_durations_are_taken_in_every_form_and_kept_in_seconds() -> None:
    retry = Retry(initial="250ms", maximum=timedelta(minutes=1))
    assert (retry.initial, retry.maximum) == (0.25, 60.0)
    assert retry == Retry(initial=0.25, maximum="1m")
    assert hash(retry) == hash(Retry(initial=0.25, maximum="1m"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"attempts": 0}, r"attempts=0.*from 1"),
        ({"attempts": 2.0}, r"attempts=2.0"),
        ({"attempts": True}, r"attempts=True"),
        ({"backoff": "cubic"}, r"backoff='cubic'.*\"exponential\""),
        ({"jitter": "some"}, r"jitter='some'.*\"equal\""),
        ({"initial": "soon"}, r"'soon' is not a duration"),
        ({"initial": -1}, r"-1 is not a duration"),
        ({"initial": "2m", "maximum": "1m"}, r"initial='2m'.*no more than `maximum`"),
        ({"on": "ValueError"}, r"on='ValueError'.*exception classes"),
        ({"timeout": 0}, r"timeout=0.*a time above 0"),
        ({"deadline": "soon"}, r"'soon' is not a duration"),
        ({"budget": 5}, r"budget=5.*a RetryBudget"),
        ({"never_on": (KeyboardInterrupt,)}, r"never_on=.*exception classes"),
    ],
)
def test_wrong_settings_are_refused_at_once_with_the_right_ones(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Retry(**settings)


# Calls


class Service:
    """Fails so many times, takes so long each time, and knows when it was asked."""

    def __init__(self, failures: int, error: Exception | None = None, takes: float = 0.0) -> None:
        self.failures = failures
        self.error = error or ConnectionError("no answer")
        self.takes = takes
        self.asked: list[float] = []

    async def ask(self, question: str = "why", *, loudly: bool = False) -> str:
        self.asked.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if len(self.asked) <= self.failures:
            raise self.error
        return f"{question}{'!' * loudly}"


async def test_a_call_is_tried_until_it_works() -> None:
    service = Service(2)
    assert await Retry(3, jitter=False).call(service.ask, "how", loudly=True) == "how!"
    assert service.asked == nearly([0, 1, 3])


async def test_the_error_of_the_last_attempt_is_raised() -> None:
    service = Service(9)
    with pytest.raises(ConnectionError, match="no answer") as raised:
        await Retry(3).call(service.ask)
    assert len(service.asked) == 3
    assert raised.value is service.error


async def test_a_refusal_by_a_limit_is_waited_for() -> None:
    service = Service(1, RateLimited(retry_after=40.0))
    await Retry(2, jitter=False).call(service.ask)
    assert service.asked == nearly([0, 40])


async def test_it_decorates_functions_and_methods() -> None:
    asked = []

    class Client:
        @Retry(2, initial=0)
        async def ask(self, question: str) -> str:
            """Ask."""
            asked.append(question)
            return question[len(asked)]

    assert await Client().ask("why") == "h"
    assert (Client.ask.__name__, Client.ask.__doc__) == ("ask", "Ask.")
    with pytest.raises(IndexError):
        await Client().ask(question="h")
    assert asked == ["why", "h", "h"]


def test_a_plain_function_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'.*plain' is not async.*@step"):

        @Retry()  # type: ignore[arg-type]  # what is refused
        def plain() -> None:
            """Not async."""


async def test_a_plain_function_is_called_once_and_refused() -> None:
    calls: list[int] = []
    with pytest.raises(UsageError, match=r"append' is not async"):
        await Retry(3, initial=0).call(calls.append, 1)  # type: ignore[arg-type]  # what is refused
    assert calls == [1]


async def test_a_doubt_or_a_refusal_among_other_errors_is_never_tried_again() -> None:
    for final in (InDoubt("paid?"), ExceptionGroup("", [ApprovalRejected(reason="no")]), lost_race(InDoubt("paid?"))):
        service = Service(9, ExceptionGroup("two failed", [ConnectionError(), final]))
        with pytest.raises(ExceptionGroup):
            await Retry(3, initial=0).call(service.ask)
        assert len(service.asked) == 1
    assert Retry().may_retry(1, ExceptionGroup("", [ConnectionError(), RateLimited()]))


def lost_race(error: Exception) -> AllFailed:
    lost = AllFailed("race")
    lost.__cause__ = BaseExceptionGroup("the errors of a race", [asyncio.CancelledError(), error])
    return lost


async def test_a_deadline_holds_while_the_clock_of_the_machine_is_set_back() -> None:
    class Unsteady(JumpingClock):
        def now(self) -> float:
            return super().now() - 100 * len(service.asked)

    service = Service(99)
    ambient_ground.set(PlainGround(Unsteady()))
    with pytest.raises(ConnectionError):
        await Retry(99, "fixed", jitter=False, deadline=10).call(service.ask)
    assert len(service.asked) == 10


async def test_an_attempt_is_cancelled_when_it_takes_too_long() -> None:
    service = Service(0, takes=5)
    with pytest.raises(TimeoutError, match="not done within 2 s"):
        await Retry(3, "fixed", jitter=False, timeout="2s").call(service.ask)
    assert service.asked == nearly([0, 3, 6])


async def test_a_timeout_of_the_call_itself_stays_what_it_was() -> None:
    service = Service(9, TimeoutError("mine"))
    with pytest.raises(TimeoutError, match="mine"):
        await Retry(2, timeout="2s").call(service.ask)


async def test_no_attempt_begins_after_the_deadline_and_none_goes_on() -> None:
    service = Service(9, takes=2)
    with pytest.raises(TimeoutError, match="not done within 1 s"):
        await Retry(9, "fixed", jitter=False, deadline=10).call(service.ask)
    assert service.asked == nearly([0, 3, 6, 9])
    assert asyncio.get_running_loop().time() == nearly(10)


async def test_a_wait_that_would_end_after_the_deadline_is_not_begun() -> None:
    service = Service(9, RateLimited(retry_after=30.0))
    with pytest.raises(RateLimited):
        await Retry(9, deadline=20).call(service.ask)
    assert len(service.asked) == 1
    assert asyncio.get_running_loop().time() == 0


async def test_a_cancelled_call_is_not_tried_again() -> None:
    service = Service(0, takes=5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await Retry(3, initial=0).call(service.ask)
    assert service.asked == [0]


# In workflow code


async def test_the_deadline_of_a_step_bounds_its_attempts_too() -> None:
    service = Service(9, takes=2)

    @step(retry=Retry(9, "fixed", jitter=False, deadline=10), timeout="5s")
    async def ask() -> str:
        return await service.ask()

    @workflow
    async def asks() -> str:
        return await ask()

    async with memory_runtime() as runtime:
        handle = await runtime.start(asks)
        with pytest.raises(StepTimeout, match="timeout of 1 s"):
            await handle.result()
    assert service.asked == nearly([0, 3, 6, 9])


async def test_the_timeout_of_the_retries_of_a_step_bounds_each_attempt() -> None:
    service = Service(9, takes=5)

    @step(retry=Retry(2, "fixed", jitter=False, timeout="2s"))
    async def ask() -> str:
        return await service.ask()

    @workflow
    async def asks() -> str:
        return await ask()

    async with memory_runtime() as runtime:
        handle = await runtime.start(asks)
        with pytest.raises(StepTimeout, match="timeout of 2 s"):
            await handle.result()
    assert service.asked == nearly([0, 3])


class TestThatItOutlivesItsProcess(Suite):
    @pytest.fixture
    async def ground(self, replay_check: bool) -> AsyncIterator[Ground]:
        async with ground_in_memory(replay_check) as ground:
            yield ground

    async def test_retries_of_workflow_code_go_on_wherever_its_process_dies(self, ground: Ground) -> None:
        @step
        async def ask(number: int) -> int:
            if number < 3:
                raise ConnectionError(f"no answer to {number}")
            return number

        @workflow
        async def asks() -> list[int]:
            numbers = iter(range(9))

            @Retry(5, jitter="decorrelated", timeout="1h", deadline="1d")
            async def ask_on() -> int:
                return await ask(next(numbers))

            return [await ask_on(), await ask_on()]

        assert await self.outlives(ground, asks) == ("returned", [3, 4])

"""A limiter never lets more pass than it says, serves in order, waits without polling, and shares what has a name."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import LimitExceeded, UsageError
from assent.resilience import RateLimiter
from assent.resilience.ground import PlainGround, SharedState, ambient_ground
from assent.testing import JumpingClock, JumpingLoop, jumping_run

# What times and rates lose as floats, in tokens.
ROUNDING = 1e-6


@pytest.fixture
def anyio_backend() -> Any:
    """Time passes at once."""
    return "asyncio", {"loop_factory": JumpingLoop}


def time() -> float:
    return asyncio.get_running_loop().time()


def most_over_any_window(admitted: list[float], rate: float) -> float:
    """How many were admitted over what flowed in meanwhile, in the window where that is most."""
    moments = sorted(admitted)
    pairs = combinations(range(len(moments)), 2)
    return max((last - first + 1 - rate * (moments[last] - moments[first]) for first, last in pairs), default=0.0)


class Traffic:
    """Calls that come after pauses; some give up, and now and then the whole process is stopped for a while."""

    def __init__(self, limiter: RateLimiter) -> None:
        self.limiter = limiter
        self.admitted: list[float] = []
        self.order: list[int] = []

    async def run(self, pauses: list[float], impatient: dict[int, float], outages: list[float]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stop(outages))
            for number, pause in enumerate(pauses):
                await asyncio.sleep(pause)
                group.create_task(self._call(number, impatient.get(number)))

    async def _call(self, number: int, timeout: float | None) -> None:
        try:
            await self.limiter.acquire(timeout=timeout)
        except LimitExceeded:
            return
        self.admitted.append(time())
        self.order.append(number)

    async def _stop(self, outages: list[float]) -> None:
        for outage in outages:
            await asyncio.sleep(1.0)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, JumpingLoop)
            loop.advance(outage)


counts = st.integers(1, 8) | st.floats(0.1, 20)
pauses = st.lists(st.just(0.0) | st.floats(0, 3), min_size=1, max_size=25)
outages = st.lists(st.floats(0, 20), max_size=3)
impatience = st.dictionaries(st.integers(0, 24), st.floats(0, 5), max_size=8)


@given(counts, st.floats(0.2, 5), st.none() | st.integers(1, 6), pauses, impatience, outages)
def test_no_window_sees_more_than_the_burst_and_what_flows_in(
    calls: float, per: float, burst: int | None, pauses: list[float], impatient: dict[int, float], outages: list[float]
) -> None:
    limiter = RateLimiter(calls, per=per, burst=burst)
    traffic = Traffic(limiter)
    jumping_run(traffic.run(pauses, impatient, outages))
    assert most_over_any_window(traffic.admitted, calls / per) <= limiter.burst + ROUNDING


@given(counts, st.integers(1, 4), pauses, impatience, outages)
def test_who_waits_is_served_in_the_order_of_arrival(
    calls: float, burst: int, pauses: list[float], impatient: dict[int, float], outages: list[float]
) -> None:
    traffic = Traffic(RateLimiter(calls, burst=burst))
    jumping_run(traffic.run(pauses, impatient, outages))
    assert traffic.order == sorted(traffic.order)
    assert set(range(len(pauses))) - set(traffic.order) <= set(impatient)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 20))
def test_waiting_takes_no_longer_than_it_must(rate: int, burst: int, calls: int) -> None:
    traffic = Traffic(RateLimiter(rate, burst=burst))
    jumping_run(traffic.run([0.0] * calls, {}, []))
    assert max(traffic.admitted) == pytest.approx(max(0, calls - burst) / rate, abs=1e-3)


class CountingLoop(JumpingLoop):
    """Counts how often time moved on."""

    jumps = 0

    def advance(self, duration: Any) -> None:
        self.jumps += 1
        super().advance(duration)


def test_nobody_looks_again_and_again() -> None:
    async def wait_for_hours() -> float:
        limiter = RateLimiter(1, per="1h")
        await asyncio.gather(*(limiter.acquire() for _ in range(5)))
        return time()

    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(wait_for_hours()) == pytest.approx(4 * 3600)
    assert loop.jumps == 4


async def test_who_gives_up_leaves_its_token_to_the_next() -> None:
    limiter = RateLimiter(1, per="10s")
    await limiter.acquire()
    given_up = asyncio.create_task(limiter.acquire())
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(1)
    given_up.cancel()
    await waiting
    assert time() == pytest.approx(10, abs=1e-3)


async def test_what_would_not_come_in_time_is_refused_at_once() -> None:
    limiter = RateLimiter(1, per="1m")
    await limiter.acquire()
    with pytest.raises(LimitExceeded, match=r"no token in time.*Try again in 60 s") as caught:
        await limiter.acquire(timeout="59s")
    assert caught.value.retry_after == pytest.approx(60, abs=1e-3)
    assert time() == 0
    await limiter.acquire(timeout="61s")


async def test_who_comes_to_the_front_too_late_is_refused_there() -> None:
    limiter = RateLimiter(1, per="1m")
    await limiter.acquire()
    ahead = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    with pytest.raises(LimitExceeded):
        await limiter.acquire(timeout="70s")
    assert time() == pytest.approx(60, abs=1e-3)
    assert ahead.done()


async def test_no_time_at_all_is_enough_where_there_is_a_token() -> None:
    limiter = RateLimiter(max_per_second=2)
    await limiter.acquire(timeout=0)
    await limiter.acquire(timeout=0)
    with pytest.raises(LimitExceeded):
        await limiter.acquire(timeout=0)


async def test_trying_takes_a_token_only_where_nobody_waits() -> None:
    limiter = RateLimiter(1, per="10s")
    assert await limiter.try_acquire()
    assert not await limiter.try_acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(9.999)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.advance(1)  # the token is there, and the one who waits has not seen it yet
    assert not await limiter.try_acquire()
    await waiting


async def test_it_stands_before_a_block_a_function_and_a_call() -> None:
    limiter = RateLimiter(1, per="1s")

    @limiter
    async def decorated(text: str) -> str:
        """Says it."""
        return text

    async with limiter:
        assert time() == 0
    assert await decorated("a") == "a"
    assert time() == pytest.approx(1, abs=1e-3)
    assert await limiter.call(decorated.__wrapped__, text="b") == "b"  # type: ignore[attr-defined]  # it has one
    assert time() == pytest.approx(2, abs=1e-3)
    assert (decorated.__name__, decorated.__doc__) == ("decorated", "Says it.")


def test_it_serves_one_event_loop_after_another() -> None:
    limiter = RateLimiter(2, per="1s")

    async def crowd() -> None:
        await asyncio.gather(*(limiter.acquire() for _ in range(5)))

    jumping_run(crowd)
    jumping_run(crowd)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"calls": 1, "max_per_second": 1},
        {"calls": 0},
        {"calls": -1},
        {"calls": float("nan")},
        {"calls": float("inf")},
        {"calls": "10"},
        {"calls": 1, "per": 0},
        {"calls": 1, "per": "soon"},
        {"max_per_second": 1, "per": "1m"},
        {"calls": 1, "burst": 0},
        {"calls": 1, "burst": 1.5},
        {"calls": 1e-300},
        {"calls": 5e-324, "per": "1w"},
        {"calls": 1e308, "per": "1ms"},
        {"calls": 1, "per": "1d", "burst": 40_000},
    ],
)
def test_a_limit_that_means_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RateLimiter(**options)


# Shared by processes.


class Common:
    """What several processes share, as each sees it."""

    def __init__(self) -> None:
        self.full_at: dict[str, float] = {}

    async def read(self, key: str) -> tuple[str | None, int]:
        raise NotImplementedError

    async def swap(self, key: str, text: str, version: int) -> bool:
        raise NotImplementedError

    async def admit(self, key: str, rate: float, burst: int) -> float:
        await asyncio.sleep(0)  # as long as a store takes
        full_at = max(self.full_at.get(key, 0.0), time()) + 1 / rate
        wait = full_at - time() - burst / rate
        if wait > ROUNDING:
            return wait
        self.full_at[key] = full_at
        return 0.0


class Process(PlainGround):
    """Ordinary code of one process."""

    def __init__(self, shared: SharedState) -> None:
        super().__init__(JumpingClock())
        self.shared = shared


@contextmanager
def standing_on(process: Process) -> Iterator[None]:
    token = ambient_ground.set(process)
    try:
        yield
    finally:
        ambient_ground.reset(token)


@pytest.fixture
def common() -> Common:
    return Common()


async def admissions(common: Common, name: str | None, calls: int) -> list[float]:
    """When calls of two processes passed, each with its own limiter."""
    moments: list[float] = []

    async def call(limiter: RateLimiter) -> None:
        await limiter.acquire()
        moments.append(time())

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            with standing_on(Process(common)):
                limiter = RateLimiter(2, per="1s", name=name)
                for _ in range(calls):
                    group.create_task(call(limiter))
    return moments


async def test_processes_share_a_limit_that_has_a_name(common: Common) -> None:
    moments = await admissions(common, "mail", 10)
    assert len(moments) == 20
    assert most_over_any_window(moments, rate=2) <= 2 + ROUNDING
    assert max(moments) == pytest.approx(9, abs=0.01)


async def test_one_without_a_name_is_of_its_process(common: Common) -> None:
    assert max(await admissions(common, None, 10)) == pytest.approx(4, abs=0.01)
    assert not common.full_at


async def test_who_waits_for_others_to_be_served_waits_no_longer_than_its_timeout(common: Common) -> None:
    with standing_on(Process(common)):
        ours, theirs = (RateLimiter(1, name="mail") for _ in range(2))
        crowd = [asyncio.create_task(limiter.acquire()) for _ in range(4) for limiter in (ours, theirs)]
        await asyncio.sleep(0.5)
        with pytest.raises(LimitExceeded):
            await ours.acquire(timeout="4s")
    assert time() == pytest.approx(4.5)
    assert sum(task.done() for task in crowd) == 5
    await asyncio.gather(*crowd)

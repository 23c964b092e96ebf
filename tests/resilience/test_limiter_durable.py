"""In workflow code a token is taken once, and a long wait for one costs no memory."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from assent import now, step, workflow
from assent.errors import ExecutionCancelled, LimitExceeded
from assent.resilience import RateLimiter
from assent.runtime import Runtime
from tests.conformance.engine.ground import Ground, Suite, forgotten, types
from tests.resilience.test_limiter import ROUNDING, most_over_any_window
from tests.test_local_engine import ground_in_memory


class TestLimiter(Suite):
    @pytest.fixture
    async def ground(self) -> AsyncIterator[Ground]:
        async with ground_in_memory(check_replay=True) as ground:
            yield ground

    @pytest.mark.parametrize("per", ["1s", "1m"])
    async def test_it_outlives_its_process(self, ground: Ground, per: str) -> None:
        limiter = RateLimiter(2, per=per, name="mail")

        @step
        async def call(number: int) -> int:
            return number

        @workflow
        async def calls() -> list[int]:
            async def one(number: int) -> int:
                await limiter.acquire()
                return await call(number)

            return await asyncio.gather(*map(one, range(5)))

        assert await self.outlives(ground, calls) == ("returned", [0, 1, 2, 3, 4])

    async def test_a_token_that_was_taken_is_not_taken_again(self, ground: Ground) -> None:
        limiter = RateLimiter(1, per="1h")

        @workflow
        async def takes() -> bool:
            await limiter.acquire()
            await asyncio.sleep(1)
            return await limiter.try_acquire()

        async with ground.runtime(takes, check_replay=True) as runtime:
            handle = await runtime.start(takes)
            assert await handle.result() is False
            assert [event.name for event in await handle.events() if event.type == "step.completed"] == ["limiter"] * 2

    async def test_a_long_wait_is_a_timer_and_leaves_memory(self, ground: Ground) -> None:
        limiter = RateLimiter(1, per="1h", name="mail")
        passed = []

        @step
        async def note() -> None:
            passed.append(ground.clock.now())

        @workflow
        async def mails() -> None:
            async with limiter:
                await note()

        async with ground.runtime(mails) as runtime:
            handles = [await runtime.start(mails) for _ in range(4)]
            await handles[0].result()
            for handle in handles[1:]:
                await runtime.engine.waiting(handle.id)
            await forgotten(ground, runtime)
            for handle in handles:
                await handle.result()
                assert types(await handle.events(), "timer.opened") == [] if handle is handles[0] else ["timer.opened"]
        assert [moment - passed[0] for moment in passed] == pytest.approx([0, 3600, 7200, 10800], abs=0.01)
        assert most_over_any_window(passed, 1 / 3600) <= 1 + ROUNDING

    async def test_a_short_wait_passes_within_the_step(self, ground: Ground) -> None:
        limiter = RateLimiter(1, per="2s")

        @workflow
        async def takes() -> float:
            began = now()
            await asyncio.gather(limiter.acquire(), limiter.acquire())
            return (now() - began).total_seconds()

        async with ground.runtime(takes) as runtime:
            handle = await runtime.start(takes)
            assert await handle.result() == pytest.approx(2, abs=0.01)
            assert types(await handle.events(), "timer") == []

    async def test_who_waited_elsewhere_goes_before_those_who_came_later(self, ground: Ground) -> None:
        limiter = RateLimiter(1, per="10s")
        order: list[str] = []

        @step
        async def note(name: str) -> None:
            order.append(name)

        @workflow
        async def takes() -> None:
            await limiter.acquire()
            await note("workflow")

        async def later(name: str) -> None:
            await limiter.acquire()
            order.append(name)

        async with ground.runtime(takes) as runtime:
            await limiter.acquire()
            handle = await runtime.start(takes)
            await runtime.engine.waiting(handle.id)
            await asyncio.gather(*(later(name) for name in "abcd"), handle.result())
        assert order.index("workflow") <= 1  # the first token may be gone when it is back
        assert [name for name in order if name != "workflow"] == ["a", "b", "c", "d"]

    async def test_who_asks_at_the_same_moment_is_served_in_the_order_of_asking(self, ground: Ground) -> None:
        limiter = RateLimiter(1, per="1s")

        @workflow
        async def takes() -> list[int]:
            order = []

            async def one(number: int) -> None:
                await limiter.acquire()
                order.append(number)

            await asyncio.gather(*map(one, range(20)))
            return order

        async with ground.runtime(takes) as runtime:
            assert await (await runtime.start(takes)).result() == list(range(20))

    async def test_after_an_outage_the_order_is_what_it_was_and_nobody_comes_back_again_and_again(
        self, ground: Ground
    ) -> None:
        limiters, order = [RateLimiter(1, per="1s", name="mail")], list[int]()

        @step
        async def note(number: int) -> None:
            order.append(number)

        @workflow
        async def takes(number: int) -> None:
            await limiters[-1].acquire()
            await note(number)

        async with ground.runtime(takes) as runtime:
            for number in range(60):
                await runtime.start(takes, number, id=str(number))
            await asyncio.sleep(20)
        ground.clock.advance(300)
        limiters.append(RateLimiter(1, per="1s", name="mail"))
        async with ground.runtime(takes) as runtime:
            handles = [runtime.handle(str(number)) for number in range(60)]
            for handle in handles:
                await handle.result()
            asked = [types(await handle.events(), "timer.opened") for handle in handles]
        # Who is back first does not know of the others yet.
        assert [number for place, number in enumerate(order) if abs(place - number) > 8] == []
        assert max(map(len, asked)) <= 5

    async def test_who_is_cancelled_elsewhere_holds_up_nobody(self, ground: Ground) -> None:
        limiter = RateLimiter(1, per="1h")

        @workflow
        async def takes() -> None:
            await limiter.acquire()

        async with ground.runtime(takes) as runtime:
            await limiter.acquire()
            began = ground.clock.now()
            for _ in range(5):
                handle = await runtime.start(takes)
                await runtime.engine.waiting(handle.id)
                await handle.cancel("no more")
                with pytest.raises(ExecutionCancelled):
                    await handle.result()
            await (await runtime.start(takes)).result()
            assert ground.clock.now() - began == pytest.approx(3600, abs=1)

    async def test_what_would_not_come_in_time_is_refused_at_once(self, ground: Ground) -> None:
        limiter = RateLimiter(1, per="1h")

        @workflow
        async def takes() -> str:
            await limiter.acquire()
            with pytest.raises(LimitExceeded) as caught:
                await limiter.acquire(timeout="30m")
            return f"{caught.value.retry_after:.0f}"

        async with ground.runtime(takes) as runtime:
            began = ground.clock.now()
            assert await (await runtime.start(takes)).result() == "3600"
            assert ground.clock.now() - began == pytest.approx(0, abs=0.01)

    async def test_processes_share_one_limit_through_the_store(self, ground: Ground) -> None:
        passed: list[float] = []

        async def process(runtime: Runtime) -> None:
            limiter = RateLimiter(1, per="1s", name="mail")
            with runtime.ambient():
                for _ in range(5):
                    await limiter.acquire()
                    passed.append(ground.clock.now())

        async with ground.runtime() as one, ground.runtime() as other:
            await asyncio.gather(process(one), process(other))
        assert len(passed) == 10
        assert most_over_any_window(passed, 1.0) <= 1 + ROUNDING

    async def test_a_bad_day_admits_no_more_than_the_limit(self, ground: Ground) -> None:
        """Workflows of one process, plain calls and an outage in which everything becomes due at once."""
        limiter = RateLimiter(2, per="10s", burst=3)
        passed: list[float] = []

        @step
        async def note() -> None:
            passed.append(ground.clock.now())

        @workflow
        async def takes() -> None:
            await limiter.acquire()
            await note()

        async def plain() -> None:
            await limiter.acquire()
            passed.append(ground.clock.now())

        async with ground.runtime(takes) as runtime:
            handles: list[Any] = [await runtime.start(takes) for _ in range(12)]
            calls = [asyncio.create_task(plain()) for _ in range(5)]
            await runtime.engine.waiting(handles[-1].id)
            ground.clock.advance(120)
            for handle in handles:
                await handle.result()
            await asyncio.gather(*calls)
        assert len(passed) == 17
        # Between its token and its effect a workflow commits, which may bring two effects nearer to each other.
        assert most_over_any_window(passed, 0.2) <= 3 + 0.01

"""A budget of retries is never exceeded, whoever takes from it and wherever."""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent import Retry, step, workflow
from assent.errors import RetryBudgetSpent, UsageError
from assent.resilience import RetryBudget
from assent.resilience.ground import PlainGround, ambient_ground
from assent.runtime import Runtime
from assent.testing import JumpingClock, JumpingLoop, jumping_run, memory_runtime


@pytest.fixture
def anyio_backend() -> Any:
    """Time passes at once."""
    return "asyncio", {"loop_factory": JumpingLoop}


async def fails(calls: Iterator[int] | None = None) -> None:
    if calls is not None:
        next(calls)
    raise ConnectionError("no answer")


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(1, 9), st.floats(0, 5)), max_size=12), st.integers(1, 30))
def test_concurrent_users_never_exceed_it(users: list[tuple[float, int, float]], retries: int) -> None:
    attempts = 0

    async def ask() -> None:
        nonlocal attempts
        attempts += 1
        await fails()

    async def use(start: float, tries: int, initial: float) -> None:
        await asyncio.sleep(start)
        await Retry(tries, initial=initial, budget=budget).call(ask)

    async def main() -> list[BaseException | None]:
        return await asyncio.gather(*(use(*user) for user in users), return_exceptions=True)

    budget = RetryBudget(retries)
    outcomes = jumping_run(main)
    wanted = sum(tries - 1 for _, tries, _ in users)
    assert attempts - len(users) == min(wanted, retries)
    assert any(isinstance(outcome, RetryBudgetSpent) for outcome in outcomes) == (wanted > retries)


@given(st.lists(st.floats(0, 30), max_size=80), st.integers(1, 5), st.floats(0.5, 60))
def test_what_comes_back_comes_back_no_faster_than_it_should(pauses: list[float], retries: int, per: float) -> None:
    clock, taken = JumpingClock(), list[float]()

    async def main() -> None:
        ambient_ground.set(PlainGround(clock))
        for pause in pauses:
            await asyncio.sleep(pause)
            if await budget.take():
                taken.append(clock.now())

    budget = RetryBudget(retries, per=per)
    jumping_run(main)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            came_back = (taken[last] - taken[first]) * retries / per
            assert last - first + 1 <= retries + came_back + 1e-5


async def test_a_spent_budget_tells_what_failed() -> None:
    with pytest.raises(RetryBudgetSpent, match=r"No attempt 2.*retry budget bank is spent.*ConnectionError") as spent:
        await Retry(9, initial=0, budget=await spent_budget("bank")).call(fails)
    assert isinstance(spent.value.__cause__, ConnectionError)


async def spent_budget(name: str | None = None) -> RetryBudget:
    budget = RetryBudget(1, name=name)
    assert await budget.take()
    assert not await budget.take()
    return budget


async def test_another_retry_does_not_go_on_where_a_budget_is_spent() -> None:
    inner, calls = Retry(9, initial=0, budget=await spent_budget()), 0

    @Retry(5, initial=0)
    @inner
    async def ask() -> None:
        nonlocal calls
        calls += 1
        await fails()

    with pytest.raises(RetryBudgetSpent):
        await ask()
    assert calls == 1


@pytest.mark.parametrize("per", [None, "1h"])
async def test_processes_on_one_store_share_what_has_a_name(tmp_path: Path, per: str | None) -> None:
    url, clock = f"sqlite:///{tmp_path}/assent.db", JumpingClock()

    async def retries(runtime: Runtime) -> int:
        """How many there are for one call, which would make 8."""
        calls = count()
        with runtime.ambient(), pytest.raises((RetryBudgetSpent, ConnectionError)):
            # As in another process: an object of its own.
            await Retry(9, initial=0, budget=RetryBudget(7, per=per, name="bank")).call(fails, calls)
        return next(calls) - 1

    async with Runtime(url, clock=clock, worker=False) as here, Runtime(url, clock=clock, worker=False) as there:
        assert sum(await asyncio.gather(*(retries(each) for each in [here, there] * 5))) == 7
    async with Runtime(url, clock=clock, worker=False) as later:
        assert await retries(later) == 0
        clock.advance("1h")
        assert await retries(later) == (0 if per is None else 7)


@pytest.mark.parametrize("name", [None, "bank"])
async def test_workflows_and_steps_share_it_too(name: str | None) -> None:
    attempts, retry = 0, Retry(5, initial="1m", budget=RetryBudget(6, name=name))

    @step(retry=retry)
    async def ask() -> None:
        nonlocal attempts
        attempts += 1
        await fails()

    @workflow
    async def asks() -> int:
        outcomes = await asyncio.gather(*(ask() for _ in range(3)), return_exceptions=True)
        return sum(isinstance(outcome, RetryBudgetSpent) for outcome in outcomes)

    async with memory_runtime() as runtime:
        handles = [await runtime.start(asks) for _ in range(3)]
        assert sum([await handle.result() for handle in handles]) == 9
    assert attempts == 9 + 6


@pytest.mark.parametrize("settings", [{"retries": 0}, {"retries": 1.5}, {"retries": 1, "per": 0}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="RetryBudget"):
        RetryBudget(**settings)

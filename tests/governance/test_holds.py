"""What actions draw on budgets: taken with the permit, settled with the outcome, and never more than there is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest

from assent import (
    NOT_DONE,
    Action,
    ApprovalPolicy,
    PermitRefused,
    PolicyDenied,
    Retry,
    Status,
    govern,
    policy,
    step,
    workflow,
)
from assent.errors import BudgetExceeded, ExecutionCancelled, RetryBudgetSpent
from assent.governance.budgets import BudgetPolicy
from assent.resilience import RetryBudget
from tests.governance.doors import DeadlyDoor, records
from tests.governance.ground import CFO, Effects, Ground, types

effects = Effects()
TEN = BudgetPolicy(10, "1d", name="ten")


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


@govern([TEN])
async def spend(amount: Decimal) -> str:
    await effects.have(amount)
    return f"spent {amount}"


@govern([TEN, ApprovalPolicy([CFO])])
async def ask_first(amount: Decimal) -> str:
    await effects.have(amount)
    return f"spent {amount}"


def drawn(ground: Ground) -> dict[str, Any]:
    """How much is in which state."""
    return {
        state: Decimal(amount) / 1_000_000
        for state, amount in ground.rows("SELECT state, sum(amount) FROM holds GROUP BY state")
    }


async def breaks() -> None:
    raise OSError("the bank is down")


async def test_a_success_spends_and_a_failure_releases(ground: Ground) -> None:
    async with ground.runtime():
        assert await spend(Decimal("4.50")) == "spent 4.50"
        assert drawn(ground) == {"spent": Decimal("4.50")}
        effects.then = breaks
        with pytest.raises(OSError, match="down"):
            await spend(Decimal(5))
    assert drawn(ground) == {"spent": Decimal("4.50"), "released": 5}


async def test_what_is_released_or_out_of_the_window_can_be_spent(ground: Ground) -> None:
    async with ground.runtime():
        effects.then = breaks
        with pytest.raises(OSError, match="down"):
            await spend(Decimal(10))
        effects.then = None
        await spend(Decimal(10))
        with pytest.raises(BudgetExceeded) as exceeded:
            await spend(Decimal("0.01"))
        await asyncio.sleep(86_400)
        await spend(Decimal(10))
    assert (exceeded.value.policy, exceeded.value.http_status) == ("ten", 429)
    assert (exceeded.value.limit, exceeded.value.spent, exceeded.value.remainder) == ("10", "10", "0")
    assert effects == [(10,), (10,), (10,)]


async def test_the_outcome_says_what_it_really_took(ground: Ground) -> None:
    @govern([BudgetPolicy(10, name="real", actual=lambda outcome: outcome.value)])
    async def order(amount: Decimal) -> Decimal:
        return amount / 2

    async with ground.runtime():
        await order(Decimal(8))
    assert drawn(ground) == {"spent": 4}


async def test_while_people_decide_nothing_is_held_and_the_window_moves_on(ground: Ground) -> None:
    async with ground.runtime(ask_first) as runtime:
        slow = await runtime.start(ask_first, Decimal(8))
        (asked,) = await ground.asked(runtime)
        assert drawn(ground) == {}
        await spend(Decimal(8))
        await asyncio.sleep(0.9 * 86_400)
        await ground.say(runtime, asked, CFO)
        with pytest.raises(BudgetExceeded, match="not enough") as exceeded:
            await slow.result()
        assert (await slow.record()).cause == "denied"
        events = await slow.events()
        late = await runtime.start(ask_first, Decimal(2))
        (asked,) = await ground.asked(runtime, 2)
        await asyncio.sleep(0.2 * 86_400)
        await spend(Decimal(8))
        await ground.say(runtime, asked, CFO)
        await late.result()
    assert exceeded.value.policy == "ten"
    assert types(events, "permit") == ["permit.refused"]
    assert [amount for (amount,) in effects] == [8, 8, 2]


async def test_a_denial_at_the_last_moment_releases(ground: Ground) -> None:
    is_open = [True, False]

    @policy(name="door", rechecked=True)
    def door(*_: Any) -> bool:
        return is_open.pop(0)

    late = govern([TEN, door], name="late")(spend.__wrapped__)
    async with ground.runtime(late):
        with pytest.raises(PolicyDenied):
            await late(Decimal(5))
    assert drawn(ground) == {"released": 5}
    assert effects == []


async def test_50_callers_of_two_workers_spend_exactly_what_there_is(ground: Ground) -> None:
    async with ground.runtime(spend) as one, ground.runtime(spend) as other:
        handles = [await (one, other)[number % 2].start(spend, Decimal(1)) for number in range(50)]
        results = await asyncio.gather(*(each.result() for each in handles), return_exceptions=True)
    assert [type(each) for each in results].count(BudgetExceeded) == 40
    assert len(effects) == 10
    assert drawn(ground) == {"spent": 10}


async def test_a_mixed_race_never_overspends(ground: Ground) -> None:
    amounts = [Decimal(number % 4 + 1) for number in range(30)]
    async with ground.runtime(ask_first) as one, ground.runtime(ask_first) as other:
        handles = [await (one, other)[place % 2].start(ask_first, each) for place, each in enumerate(amounts)]
        await ground.until("execution.suspended", 30)
        for approval in await one.approvals():
            await ground.say(one, approval, CFO)
        other.engine.nudge()  # type: ignore[attr-defined]  # what a look at the file would bring about
        results = await asyncio.gather(*(each.result() for each in handles), return_exceptions=True)
    happened = sum(amount for (amount,) in effects)
    assert 10 - 3 <= happened <= 10
    assert drawn(ground) == {"spent": happened}
    assert {type(each) for each in results} == {str, BudgetExceeded}


# In doubt


@asynccontextmanager
async def killed(ground: Ground, fn: Any, *args: Any, at: str) -> AsyncIterator[str]:
    """An execution whose process was killed when it wanted to record the outcome of a step."""
    door = DeadlyDoor(ground.store(), records(at))
    async with ground.runtime(fn, store=door) as runtime:
        handle = await runtime.start(fn, *args)
        await door.died.wait()
    yield handle.id


async def test_in_doubt_it_stays_held_and_what_was_not_done_is_repeated_under_the_same_permit(ground: Ground) -> None:
    async with killed(ground, spend, Decimal(6), at="spend") as call_id, ground.runtime(spend) as runtime:
        await ground.until("execution.in_doubt")
        assert drawn(ground) == {"held": 6}
        with pytest.raises(BudgetExceeded):
            await spend(Decimal(5))
        handle = runtime.handle(call_id)
        await handle.resolve(done=False, by=CFO)
        assert await handle.result() == "spent 6"
    assert len(effects) == 2
    assert drawn(ground) == {"spent": 6}
    assert ground.rows("SELECT count(*) FROM permits") == [(1,)]


async def test_in_doubt_what_was_done_is_spent(ground: Ground) -> None:
    async with killed(ground, spend, Decimal(6), at="spend") as call_id, ground.runtime(spend) as runtime:
        await ground.until("execution.in_doubt")
        await runtime.handle(call_id).resolve(done=True, result="spent 6", by=CFO)
        assert await runtime.handle(call_id).result() == "spent 6"
    assert (len(effects), drawn(ground)) == (1, {"spent": 6})


@pytest.mark.parametrize("is_found", [True, False])
async def test_what_is_looked_up_is_spent_once(ground: Ground, is_found: bool) -> None:
    async def look_up(action: Action) -> Any:
        return "found" if is_found else NOT_DONE

    found = govern([TEN], verify=look_up, name="found")(spend.__wrapped__)
    async with killed(ground, found, Decimal(6), at="found") as call_id, ground.runtime(found) as runtime:
        assert await runtime.handle(call_id).result() == ("found" if is_found else "spent 6")
    assert (len(effects), drawn(ground)) == (1 if is_found else 2, {"spent": 6})


async def test_interrupted_and_surely_not_done_is_released_also_where_a_failure_is_kept(ground: Ground) -> None:
    async def not_done(action: Action) -> Any:
        return NOT_DONE

    async def hangs() -> None:
        await asyncio.sleep(1e6)

    sure = govern([TEN], verify=not_done, name="sure")(spend.__wrapped__)
    effects.then = hangs
    async with ground.runtime(sure) as runtime:
        handle = await runtime.start(sure, Decimal(6))
        await asyncio.sleep(10)
        assert drawn(ground) == {"held": 6}
        await handle.cancel()
        with pytest.raises(ExecutionCancelled):
            await handle.result()
    assert drawn(ground) == {"released": 6}


# Retries, and workflows


@pytest.mark.parametrize(
    "retry",
    [Retry(9, initial=0, budget=RetryBudget(2)), Retry(9, "fixed", initial=60, jitter=False, deadline="150s")],
    ids=["budget", "deadline"],
)
async def test_an_effect_that_may_not_be_retried_any_more_releases_what_it_held(ground: Ground, retry: Retry) -> None:
    @govern([TEN])
    @step(retry=retry)
    async def persistent(amount: Decimal) -> str:
        await effects.have(amount)
        return "done"

    effects.then = breaks
    async with ground.runtime():
        with pytest.raises((OSError, RetryBudgetSpent), match="down"):
            await persistent(Decimal(4))
        assert len(effects) == 3
        assert drawn(ground) == {"released": 4}


async def test_a_retried_effect_holds_until_its_last_attempt(ground: Ground) -> None:
    attempts = iter([breaks, breaks, None])

    @step(retry=Retry(attempts=3, initial=10))
    async def shaky(amount: Decimal) -> str:
        states.append(drawn(ground))
        effects.then = next(attempts)
        await effects.have(amount)
        return "spent"

    states: list[Any] = []
    shaking = govern([TEN], name="shaking")(shaky)
    async with ground.runtime():
        assert await shaking(Decimal(6)) == "spent"
    assert states == [{"held": 6}] * 3
    assert drawn(ground) == {"spent": 6}


async def test_cancelled_between_two_attempts_it_is_settled(ground: Ground) -> None:
    @step(retry=Retry(attempts=3, initial=50))
    async def shaky(amount: Decimal) -> str:
        raise OSError("the bank is down")

    shaking = govern([TEN], name="shaking")(shaky)
    async with ground.runtime(shaking) as runtime:
        handle = await runtime.start(shaking, Decimal(6))
        await ground.until("step.retried")
        await handle.cancel()
        with pytest.raises(ExecutionCancelled):
            await handle.result()
    assert drawn(ground) == {"released": 6}


@workflow
async def journey(amount: Decimal, then: str) -> str:
    if then == "wait":
        await asyncio.sleep(1e6)
    await effects.have(amount)
    if then == "fail":
        raise OSError("no ticket")
    return then


@pytest.mark.parametrize(("then", "state"), [("arrive", "spent"), ("fail", "released"), ("wait", "released")])
async def test_a_governed_workflow_is_settled_when_its_code_has_ended(ground: Ground, then: str, state: str) -> None:
    trip = govern([TEN], name="trip")(journey)
    async with ground.runtime(trip) as runtime:
        handle = await runtime.start(trip, Decimal(6), then)
        if then == "wait":
            await asyncio.sleep(10)
            assert drawn(ground) == {"held": 6}
            await handle.cancel()
        with suppress(OSError, ExecutionCancelled):
            assert await handle.result() == "arrive"
    assert drawn(ground) == {state: 6}


async def test_a_governed_workflow_stays_held_over_restarts(ground: Ground) -> None:
    trip = govern([TEN], name="trip")(journey)
    async with ground.runtime(trip) as runtime:
        handle = await runtime.start(trip, Decimal(6), "wait")
        await ground.until("execution.suspended")
    async with ground.runtime(trip) as runtime:
        assert drawn(ground) == {"held": 6}
        await runtime.handle(handle.id).cancel()
        with pytest.raises(ExecutionCancelled):
            await runtime.handle(handle.id).result()
    assert drawn(ground) == {"released": 6}


# What is not kept


async def test_a_call_that_keeps_nothing_tells_no_amounts(ground: Ground) -> None:
    secret = govern(
        [BudgetPolicy(Decimal("777.123"), name="quiet", per=lambda action: action.account)], capture_state=False
    )

    @secret
    async def send(amount: Decimal, account: str) -> None:
        await effects.have(amount)

    async with ground.runtime():
        await send(Decimal("777.1"), "DE-SECRET")
        with pytest.raises(BudgetExceeded):
            await send(Decimal("777.1"), "DE-SECRET")
    journal = str(ground.rows("SELECT * FROM journal"))
    assert "777.1" not in journal
    assert "SECRET" not in journal
    assert Status.FAILED in {status for (status,) in ground.rows("SELECT status FROM executions")}


async def test_an_edited_permit_row_releases_nothing(ground: Ground) -> None:
    """Somebody makes room in a budget while an effect is in doubt: its own hold is taken anew, or it is refused."""
    async with killed(ground, spend, Decimal(6), at="spend") as call_id:
        ground.edit("UPDATE holds SET state = 'released'")
        ground.edit("DELETE FROM spans")
        async with ground.runtime(spend) as runtime:
            await ground.until("execution.in_doubt")
            await spend(Decimal(10))
            await runtime.handle(call_id).resolve(done=False, by=CFO)
            with pytest.raises((BudgetExceeded, PermitRefused)):
                await runtime.handle(call_id).result()
    assert [amount for (amount,) in effects] == [6, 10]

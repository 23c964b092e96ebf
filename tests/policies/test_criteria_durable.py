"""Under a runtime: choices are journaled, outlive a restart, and are made again at the moment of the effect."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assent import (
    ApprovalPolicy,
    AuditPolicy,
    BudgetPolicy,
    PolicyDenied,
    Principal,
    ValidationPolicy,
    acting_as,
    govern,
)
from assent.errors import BudgetExceeded
from assent.policies import Environment, Layered, Rule, Threshold, Tiered, TimeWindow, When
from tests.governance.ground import CFO, JUMPING, Ground, types

PRODUCTION = {"name": "production"}
LARGE = Threshold("amount", above=10_000)
ASK = ApprovalPolicy([CFO], name="cfo", expires="7d", timeout_seconds="7d")


@pytest.fixture
def anyio_backend() -> Any:
    return JUMPING


@pytest.fixture
async def ground(tmp_path: Path, replay_check: bool) -> Ground:
    return Ground(tmp_path, replay_check)


@govern(When(LARGE, [ASK, AuditPolicy(name="log")], name="large"))
async def pay(amount: Decimal) -> str:
    return f"{amount} paid"


async def test_people_are_asked_where_the_criterion_says_so(ground: Ground) -> None:
    async with ground.runtime(pay) as runtime:
        handle = await runtime.start(pay, Decimal(20_000))
        await ground.decide(runtime)
        assert await handle.result() == "20000 paid"
        events = types(await handle.events(), "policy.", "permit.", "audit.")
        assert events == [
            "policy.when.passed",
            "audit.logged",
            "policy.evaluated",
            "policy.approval.requested",
            "policy.approval.granted",
            "permit.issued",
            "permit.consumed",
            "policy.when.passed",
            "audit.logged",
        ]
        small = await runtime.start(pay, Decimal(5))
        assert await small.result() == "5 paid"
        assert await runtime.approvals(None, small.id) == []


async def test_a_choice_outlives_the_process_that_made_it(ground: Ground) -> None:
    async with ground.runtime(pay) as runtime:
        handle = await runtime.start(pay, Decimal(20_000))
        await ground.asked(runtime)
    async with ground.runtime(pay) as runtime:
        await ground.decide(runtime)
        assert await runtime.handle(handle.id).result() == "20000 paid"


@govern(When(LARGE, AuditPolicy(name="log")))
async def fail(amount: int) -> None:
    raise OSError("no connection")


async def test_an_audit_that_was_chosen_also_tells_of_failures(ground: Ground) -> None:
    async with ground.runtime(fail) as runtime:
        handle = await runtime.start(fail, 20_000)
        with pytest.raises(OSError, match="no connection"):
            await handle.result()
        logged = [json.loads(event.value or "") for event in await handle.events() if event.type == "audit.logged"]
        assert [record["phase"] for record in logged] == ["before", "after"]
        small = await runtime.start(fail, 5)
        with pytest.raises(OSError, match="no connection"):
            await small.result()
        assert "audit.logged" not in types(await small.events())


@govern(Tiered("amount", {0: "allow", 100: BudgetPolicy(1_000, "1d", name="large ones")}))
async def spend(amount: int) -> int:
    return amount


async def test_a_budget_that_was_chosen_is_kept(ground: Ground) -> None:
    async with ground.runtime(spend):
        for amount in (99, 600, 99, 400):
            assert await spend(amount) == amount
        with pytest.raises(BudgetExceeded, match="large ones"):
            await spend(100)
        assert await spend(99) == 99


# The clock of a ground begins in 1970; what counts is how it goes on.
MORNINGS = TimeWindow("UTC", start="00:00", end="12:00")


@govern([When(MORNINGS, "allow", otherwise="deny", rechecked=True, name="mornings"), ASK])
async def deploy() -> str:
    return "deployed"


@govern([When(MORNINGS, "allow", otherwise="deny", name="mornings"), ASK])
async def release() -> str:
    return "released"


async def test_a_time_window_that_is_asked_again_sees_the_moment_of_the_effect(ground: Ground) -> None:
    ground.clock.advance(seconds_until_the_morning(ground))
    async with ground.runtime(deploy, release) as runtime:
        handles = [await runtime.start(deploy), await runtime.start(release)]
        questions = await ground.asked(runtime, times=2)
        ground.clock.advance("13h")
        for question in questions:
            await runtime.decide(question.id, approver=CFO)
        assert await handles[1].result() == "released"
        with pytest.raises(PolicyDenied, match="mornings"):
            await handles[0].result()


def seconds_until_the_morning(ground: Ground) -> float:
    now = datetime.fromtimestamp(ground.clock.now(), UTC)
    return (86400 - (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()) % 86400


@govern(
    Layered(
        [
            Rule("everywhere", then=ValidationPolicy(check=lambda action: action.amount > 0, name="positive")),
            Rule("production", when=Environment("production"), then="deny"),
        ]
    )
)
async def erase(amount: int) -> int:
    return amount


@pytest.mark.parametrize(
    ("environment", "amount", "denied_by"),
    [({"name": "test"}, 5, None), ({"name": "test"}, -5, "positive"), (PRODUCTION, 5, "layered"), ({}, 5, "layered")],
)
async def test_the_environment_is_that_of_the_runtime_that_runs_it(
    ground: Ground, environment: Any, amount: int, denied_by: str | None
) -> None:
    async with ground.runtime(erase, environment=environment) as runtime:
        if denied_by is None:
            assert await erase(amount) == amount
            return
        with pytest.raises(PolicyDenied) as caught:
            await erase(amount)
        assert caught.value.policy == denied_by
        assert len(await runtime.executions(cause="denied")) == 1


async def test_choices_can_be_attached_by_the_runtime(ground: Ground) -> None:
    @govern()
    async def wire(amount: int) -> int:
        return amount

    async with ground.runtime(wire, policies=[When(LARGE, "deny", name="ceiling")]):
        assert await wire(5) == 5
        with pytest.raises(PolicyDenied, match="ceiling"):
            await wire(20_000)


async def test_without_a_runtime_choices_are_made_all_the_same() -> None:
    assert await charge(5) == 5
    with pytest.raises(PolicyDenied, match="by policy 'positive'"):
        await charge(-5)


@govern(When(Threshold("amount", below=0), ValidationPolicy(check=lambda action: action.amount > 0, name="positive")))
async def charge(amount: int) -> int:
    return amount


async def test_the_requester_of_a_chosen_approval_may_not_grant_it(ground: Ground) -> None:
    async with ground.runtime(pay) as runtime:
        with acting_as(Principal(CFO)):
            handle = await runtime.start(pay, Decimal(20_000))
        with pytest.raises(PolicyDenied, match="nobody can grant it"):
            await handle.result()

"""Policies in shadow mode: asked and recorded, and nothing else comes of it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import UsageError
from assent.governance import (
    Action,
    ApprovalPolicy,
    AuditPolicy,
    Decision,
    Facts,
    Outcome,
    Phase,
    Policy,
    Principal,
    RateLimitPolicy,
    Ruling,
    ValidationPolicy,
    evaluate_all,
    govern,
    policies_digest,
)
from assent.governance.budgets import BudgetPolicy
from assent.governance.terms import PolicySet
from assent.store import Drawn
from tests.governance.ground import CFO, Ground

ANA = Principal("ana@company.com")


@dataclass(frozen=True, kw_only=True)
class Says(Policy):
    """A policy that gives the answer it was made with, or raises it."""

    answer: Any = True

    def evaluate(self, action: Action, facts: Facts) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@dataclass(frozen=True, kw_only=True)
class SaysLater(Says):
    async def evaluate(self, action: Action, facts: Facts) -> Any:
        await asyncio.sleep(0)
        return Says.evaluate(self, action, facts)


@dataclass(frozen=True, kw_only=True)
class Meddles(Policy):
    """Changes whatever it can lay hands on."""

    def evaluate(self, action: Action, facts: Facts) -> bool:
        action.items.append("meddled")
        if facts.outcome is not None:
            facts.outcome.value.append("meddled")
        return False


class World:
    """Buckets and budgets that remember who asked."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def admit(self, key: str, rate: float, burst: int) -> float:
        self.keys.append(key)
        return 0.0

    async def spent(self, key: str, since: float | None) -> Drawn:
        self.keys.append(key)
        return Drawn()

    def facts(self, **more: Any) -> Facts:
        return Facts(now=0.0, admit=self.admit, spent=self.spent, **more)


def action() -> Action:
    return Action(name="wire", arguments={"amount": 5, "items": ["one"], "iban": "DE1"}, requester=ANA)


def ruled(policies: Sequence[Policy], on: Action | None = None, world: World | None = None, **facts: Any) -> Ruling:
    return asyncio.run(evaluate_all(policies, on or action(), (world or World()).facts(**facts)))


POLICIES = st.one_of(
    st.builds(Says, answer=st.sampled_from([True, False, None, "nonsense", ValueError("broken"), SystemExit(1)])),
    st.builds(SaysLater, answer=st.sampled_from([True, False, ValueError("broken"), asyncio.CancelledError()])),
    st.builds(Says, answer=st.sampled_from([asyncio.CancelledError(), Decision("deny"), Decision("warn")])),
    st.builds(ApprovalPolicy, st.lists(st.sampled_from(["a@x", "ana@company.com"]), min_size=1)),
    st.builds(RateLimitPolicy, st.integers(1, 3)),
    st.builds(BudgetPolicy, st.integers(1, 10)),
    st.builds(AuditPolicy, sensitive=st.just(["iban"])),
    st.builds(Meddles),
)
CALM = st.one_of(
    st.builds(Says, name=st.sampled_from("ab"), answer=st.sampled_from([True, False, Decision("warn", reason="?")])),
    st.builds(ApprovalPolicy, st.just(["a@x"])),
    st.builds(RateLimitPolicy, st.integers(1, 3)),
    st.builds(BudgetPolicy, st.integers(1, 10)),
    st.builds(ValidationPolicy, check=st.just(lambda action: action.items == ["one"])),
)


@given(st.lists(CALM, max_size=4), st.lists(POLICIES, min_size=1, max_size=4), st.randoms())
def test_shadows_change_no_outcome_no_digest_and_nothing_that_others_see(
    policies: list[Policy], shadows: list[Policy], order: Any
) -> None:
    mixed = [*policies, *(replace(one, mode="shadow") for one in shadows)]
    order.shuffle(mixed)
    policies = [one for one in mixed if one.mode == "enforce"]
    on, alone, together = action(), World(), World()
    expected, found = ruled(policies, world=alone), ruled(mixed, on, together)
    assert found.decisions == expected.decisions
    assert found.outcome == expected.outcome
    assert [hold for hold in found.holds if not hold.key.startswith("shadow:")] == list(expected.holds)
    assert policies_digest(mixed) == policies_digest(policies)
    assert PolicySet(tuple(mixed)).redaction == PolicySet(tuple(policies)).redaction
    assert [key for key in together.keys if not key.startswith("shadow:")] == alone.keys
    assert len(found.shadows) <= len(shadows)
    assert on.items == ["one"]


@given(st.lists(CALM, max_size=4), POLICIES)
def test_a_shadow_is_asked_like_any_other_unless_it_would_use_something_up(policies: list[Policy], one: Policy) -> None:
    ruling = ruled([*policies, replace(one, mode="shadow")])
    (shadow,) = ruling.shadows or (None,)
    assert shadow is not None or (one.consumes and ruling.outcome == "deny")


def test_what_it_would_have_said_is_recorded() -> None:
    ruling = ruled(
        [
            Says(
                name="large",
                mode="shadow",
                answer=Decision("deny", reason="it is large", facts={"iban": 1, "limit": 3}),
            ),
            AuditPolicy(sensitive=["iban"], mode="shadow"),
            ApprovalPolicy([CFO], mode="shadow"),
            Says(name="broken", mode="shadow", answer=ValueError("no")),
        ]
    )
    assert (ruling.outcome, ruling.decisions, ruling.requests) == ("allow", (), ())
    assert [(kind, name, facts["outcome"]) for kind, name, facts in ruling.events()] == [
        ("policy.custom.shadowed", "large", "deny"),
        ("policy.audit.shadowed", "audit", "allow"),
        ("policy.approval.shadowed", "approval", "ask"),
        ("policy.custom.shadowed", "broken", "deny"),
    ]
    large, audit, asks, _ = [facts for *_, facts in ruling.events()]
    assert (large["reason"], large["limit"]) == ("it is large", 3)
    assert audit["arguments"]["iban"] == "[redacted]"
    assert asks["asks"] == [[CFO]]
    assert {one["mode"] for one in ruling.record()["decisions"]} == {"shadow"}


def test_a_shadow_that_changes_what_it_is_given_changes_a_copy() -> None:
    on, value = action(), ["one"]
    outcome = Outcome(value=value)
    shadow = Meddles(mode="shadow", phase=Phase.BOTH)
    ruled([shadow], on)
    ruled([shadow], on, phase=Phase.AFTER, outcome=outcome)
    assert (on.items, value) == (["one"], ["one"])


def test_what_cannot_be_copied_is_no_obstacle() -> None:
    on = Action(name="wire", arguments={"items": (one for one in [1])})
    assert ruled([Says(mode="shadow", answer=False)], on).shadows[0].outcome == "deny"


async def test_a_shadow_that_hangs_is_given_up() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Hangs(Policy):
        async def evaluate(self, action: Action, facts: Facts) -> bool:
            await asyncio.Event().wait()
            return True

    ruling = await evaluate_all([Hangs(mode="shadow"), Says()], action(), Facts(now=0.0))
    assert ruling.outcome == "allow"
    assert "it took longer than 5 s" in ruling.shadows[0].reason


async def test_a_call_that_is_cancelled_while_a_shadow_is_asked_is_cancelled() -> None:
    started = asyncio.Event()

    @dataclass(frozen=True, kw_only=True)
    class Hangs(Policy):
        async def evaluate(self, action: Action, facts: Facts) -> bool:
            started.set()
            await asyncio.Event().wait()
            return True

    task = asyncio.create_task(evaluate_all([Hangs(mode="shadow")], action(), Facts(now=0.0)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_shadow_counts_for_itself() -> None:
    world = World()
    limit, budget = RateLimitPolicy(3), BudgetPolicy(100)
    ruling = ruled([limit, budget, replace(limit, mode="shadow"), replace(budget, mode="shadow")], world=world)
    rates, budgets = world.keys[::2], world.keys[1::2]
    assert rates[1] == f"shadow:{rates[0]}"
    assert budgets[1] == f"shadow:{budgets[0]}"
    real, tally = ruling.holds
    assert (tally.key, tally.limit, tally.count) == (f"shadow:{real.key}", None, None)
    shadow = replace(budget, mode="shadow", actual=lambda outcome: 2)
    assert list(shadow.amounts(action(), Outcome(value=1))) == [tally.key]


def test_nothing_is_tried_out_at_the_moment_of_the_effect() -> None:
    rechecked = Says(mode="shadow", rechecked=True, answer=False)
    assert ruled([rechecked], evaluated_at=-1.0).trail == ()
    assert not PolicySet((rechecked,)).is_rechecked


def test_a_mode_that_nobody_knows_is_refused_and_enforced_if_it_got_there() -> None:
    with pytest.raises(UsageError, match="mode='Shadow'"):
        Says(mode="Shadow")  # type: ignore[arg-type]  # what must be refused
    tampered = Says(answer=False)
    object.__setattr__(tampered, "mode", "Shadow")
    assert ruled([tampered]).outcome == "deny"


async def test_shadows_do_not_stand_in_the_way_of_a_call_without_a_runtime() -> None:
    shadows = [ApprovalPolicy([CFO]), BudgetPolicy(1), Says(answer=False), Says(answer=False, phase=Phase.AFTER)]

    @govern([replace(one, mode="shadow") for one in shadows])
    async def pay(amount: int) -> str:
        return "paid"

    assert await pay(5) == "paid"


async def test_shadows_of_a_runtime_change_neither_the_result_nor_the_steps(ground: Ground) -> None:
    @govern([AuditPolicy()])
    async def pay(amount: int) -> str:
        return "paid"

    shadows = [ApprovalPolicy([CFO]), RateLimitPolicy(1), Says(answer=False, phase=Phase.BOTH), BudgetPolicy(1)]
    steps: list[list[str]] = []
    for policies in ([], [replace(one, mode="shadow") for one in shadows]):
        ground.seen.clear()
        async with ground.runtime(policies=policies) as runtime:
            handle = await runtime.start(pay, 5)
            assert await handle.result() == "paid"
        steps.append([f"{event.type} {event.op} {event.name}" for event in ground.seen if event.op is not None])
    assert [one for one in steps[1] if ".shadowed" not in one] == steps[0]
    told = [json.loads(event.value or "") for event in ground.seen if event.type == "policy.evaluated"]
    assert [one["policy"] for one in told[0]["decisions"]] == ["audit", "approval", "rate_limit", "Says", "budget"]

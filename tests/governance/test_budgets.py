"""Budgets: what fits, what does not, and what is reserved for it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import BudgetExceeded, PolicyDenied, RuntimeRequired, UsageError
from assent.governance import Action, Facts, Outcome, Principal, Ruling, evaluate_all, govern, policy
from assent.governance.budgets import LARGEST, BudgetPolicy, decimal_of, millionths
from assent.store import MILLIONTHS, Drawn
from tests.governance.ground import Ground

ANA, BEN = Principal("ana@company.com"), Principal("ben:1000")


class Purse:
    """What has been drawn, as a store would know it."""

    def __init__(self, **drawn: Any) -> None:
        self.drawn = Drawn(**drawn)
        self.asked: list[tuple[str, float | None]] = []

    async def spent(self, key: str, since: float | None) -> Drawn:
        self.asked.append((key, since))
        return self.drawn


def pay(amount: Any = 5, requester: Principal | None = ANA, **arguments: Any) -> Action:
    return Action(name="pay", arguments={"amount": amount, **arguments}, requester=requester)


async def ruled(budget: Any, action: Action, purse: Purse | None = None, *others: Any) -> Ruling:
    facts = Facts(now=1000.0, spent=(purse or Purse()).spent)
    return await evaluate_all([budget, *others], action, facts)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0, 0),
        (3, 3_000_000),
        (0.1, 100_000),
        ("12.50", 12_500_000),
        (" 1e3 ", 1_000_000_000),
        (Decimal("0.0000001"), 1),
        (Decimal("1.0000009"), 1_000_001),
        (Decimal("1e-300"), 1),
        ("999999999999.0000000000000000000000000001", 999_999_999_999_000_001),
        (LARGEST, int(LARGEST) * MILLIONTHS),
    ],
)
def test_amounts_are_exact_to_a_millionth_and_rounded_up(amount: Any, expected: int) -> None:
    assert millionths(amount) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        -1, "-0.01", "NaN", Decimal("NaN"), Decimal("sNaN"), float("inf"), Decimal("Infinity"), "", "much", None, True,
        [5], "1_000", "\uff11\uff12", 10**13, "1e999", Decimal("1e999999"), 10**5000, "9" * 10_000, object(),
    ],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
async def test_what_is_no_amount_is_denied(wrong: Any) -> None:
    with pytest.raises(UsageError):
        millionths(wrong)
    ruling = await ruled(BudgetPolicy(10**12), pay(wrong))
    assert ruling.outcome == "deny"
    assert type(ruling.denial()) is PolicyDenied
    assert ruling.holds == ()


@given(st.decimals(min_value=0, max_value=10**12, places=6))
def test_no_amount_is_lost(amount: Decimal) -> None:
    assert decimal_of(millionths(amount)) == amount


async def test_a_missing_amount_is_denied() -> None:
    assert (await ruled(BudgetPolicy(100, amount="total"), pay(5))).outcome == "deny"


async def test_what_fits_is_reserved() -> None:
    purse = Purse(held=20 * MILLIONTHS, spent=30 * MILLIONTHS)
    ruling = await ruled(BudgetPolicy("100", window="1h", name="trips"), pay("50"), purse)
    assert ruling.outcome == "allow"
    (hold,) = ruling.holds
    assert hold.key == "budget:trips:100:3600:"
    assert (hold.amount, hold.limit, hold.count) == (50 * MILLIONTHS, 100 * MILLIONTHS, None)
    assert (hold.since, hold.on_failure) == (1000.0 - 3600, "release")
    assert purse.asked == [(hold.key, -2600.0)]


async def test_what_does_not_fit_is_denied_with_what_is_left() -> None:
    purse = Purse(held=20 * MILLIONTHS, spent=30 * MILLIONTHS)
    ruling = await ruled(BudgetPolicy(100, name="trips"), pay("50.000001"), purse)
    denial = ruling.denial()
    assert isinstance(denial, BudgetExceeded)
    assert denial.http_status == 429
    assert (denial.limit, denial.spent, denial.remainder) == ("100", "50", "50")
    assert denial.reason == "50.000001 does not fit: of 100 in 86400 s 50 is spent or reserved, and 50 is left"
    assert ruling.holds == ()
    ((kind, name, facts),) = ruling.events()
    assert (kind, name, facts["remainder"]) == ("policy.budget.failed", "trips", "50")


async def test_a_budget_for_ever_counts_all() -> None:
    purse = Purse()
    ruling = await ruled(BudgetPolicy(100, window=None), pay(5), purse)
    assert purse.asked == [("budget:budget:100::", None)]
    assert ruling.holds[0].since is None


async def test_amounts_may_be_inside_of_an_argument_or_worked_out() -> None:
    order = SimpleNamespace(total=Decimal(7))
    for budget, expected in [
        (BudgetPolicy(100, amount="order.total"), 7),
        (BudgetPolicy(100, amount="lines.first"), 3),
        (BudgetPolicy(100, amount=lambda action: action.amount * 2), 10),
    ]:
        ruling = await ruled(budget, pay(5, order=order, lines={"first": 3}))
        assert ruling.holds[0].amount == expected * MILLIONTHS


def by_supplier(action: Action) -> Any:
    return action.supplier


async def test_each_requester_or_value_has_a_budget_of_its_own() -> None:
    each = BudgetPolicy(1000, per="requester")
    keys = {
        (await ruled(budget, action)).holds[0].key
        for budget in (BudgetPolicy(1000), each, BudgetPolicy(1000, per=by_supplier))
        for action in (pay(supplier=1), pay(requester=BEN, supplier="1"), pay(supplier="requester=ana@company.com"))
    }
    assert len(keys) == 1 + 2 + 3
    assert (await ruled(each, pay(requester=None))).outcome == "deny"
    assert (await ruled(BudgetPolicy(1000, per=by_supplier), pay(supplier=None))).outcome == "deny"


def test_another_spelling_of_a_requester_opens_no_other_budget() -> None:
    budget = BudgetPolicy(1000, per="requester")
    spellings = ["ana@company.com", "Ana@Company.com", " ana@company.com"]
    assert len({budget.key(pay(requester=Principal(one))) for one in spellings}) == 1


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_no_name_or_value_makes_two_budgets_one(name: str, other: str, one: str, two: str) -> None:
    first = BudgetPolicy(5, name=name, per=by_supplier).key(pay(supplier=one))
    second = BudgetPolicy(5, name=other, per=by_supplier).key(pay(supplier=two))
    assert (first == second) is ((name, one) == (other, two))


async def test_draws_on_one_budget_add_up_and_those_on_others_do_not() -> None:
    fee = BudgetPolicy(100, amount="fee")
    ruling = await ruled(BudgetPolicy(100), pay(5, fee=2), None, fee, BudgetPolicy(100, window="7d"))
    assert [hold.amount // MILLIONTHS for hold in ruling.holds] == [7, 5]


async def test_a_budget_is_not_looked_up_once_something_has_denied() -> None:
    purse = Purse()
    ruling = await ruled(BudgetPolicy(100), pay(), purse, policy(name="no")(lambda action, facts: False))
    assert ruling.outcome == "deny"
    assert purse.asked == []


async def test_nobody_who_knows_what_was_spent_is_a_denial() -> None:
    ruling = await evaluate_all([BudgetPolicy(100)], pay(), Facts(now=0.0))
    assert "Facts(spent=...)" in ruling.denial().reason


async def test_it_is_not_asked_again_at_the_moment_of_the_effect() -> None:
    facts = Facts(now=0.0, evaluated_at=-1.0)
    assert (await evaluate_all([BudgetPolicy(100)], pay(), facts)).decisions == ()


def test_the_effect_may_say_what_it_really_took() -> None:
    budget = BudgetPolicy(100, actual=lambda outcome: outcome.value["cost"])
    action = pay()
    assert budget.amounts(action, Outcome(value={"cost": "2.5"})) == {budget.key(action): 2_500_000}
    assert budget.amounts(action, Outcome(error=ValueError())) == {}
    assert BudgetPolicy(100).amounts(action, Outcome(value=1)) == {}


@pytest.mark.parametrize("value", [{}, {"cost": -1}, {"cost": "NaN"}, None])
def test_a_cost_that_cannot_be_told_leaves_what_was_reserved(value: Mapping[str, Any] | None) -> None:
    budget = BudgetPolicy(100, actual=lambda outcome: outcome.value["cost"])
    assert budget.amounts(pay(), Outcome(value=value)) == {}


async def test_without_a_runtime_there_is_no_budget_to_keep() -> None:
    spent: list[int] = []

    @govern([BudgetPolicy(100, name="trips")])
    async def book(amount: int) -> None:
        spent.append(amount)

    with pytest.raises(RuntimeRequired, match=r"book needs a budget \(policy trips\)"):
        await book(5)
    with pytest.raises(BudgetExceeded):
        await book(500)
    assert spent == []


async def test_many_at_once_cannot_overspend_together(ground: Ground) -> None:
    paid: list[int] = []

    @govern([BudgetPolicy(100, window=None, actual=lambda outcome: outcome.value)])
    async def pay(amount: int) -> int:
        paid.append(amount)
        await asyncio.sleep(0)
        return amount

    async with ground.runtime():
        results = await asyncio.gather(*(pay(30) for _ in range(12)), return_exceptions=True)
        assert {type(one) for one in results} == {int, BudgetExceeded}
        assert paid == [30, 30, 30]
        assert await pay(10) == 10
        with pytest.raises(BudgetExceeded):
            await pay(1)


async def test_what_the_effect_really_took_is_what_counts(ground: Ground) -> None:
    @govern([BudgetPolicy(100, window=None, actual=lambda outcome: 1)])
    async def pay(amount: int) -> int:
        return amount

    async with ground.runtime():
        for _ in range(40):
            await pay(60)
        with pytest.raises(BudgetExceeded, match="40 is spent"):
            await pay(61)


@pytest.mark.parametrize(
    "wrong",
    [{"limit": -1}, {"limit": "much"}, {"window": 0}, {"amount": ""}, {"per": "user"}, {"amount": 5}],
    ids=json.dumps,
)
def test_a_budget_refuses_settings_that_limit_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BudgetPolicy(**{"limit": 100, **wrong})


def test_equal_limits_make_one_budget_however_they_are_written() -> None:
    one, other = BudgetPolicy("1e2", window="1d"), BudgetPolicy(100.0, window=86400)
    assert one.fingerprint() == other.fingerprint()
    assert one.key(pay()) == other.key(pay())
    assert replace(one, limit=101).fingerprint() != one.fingerprint()

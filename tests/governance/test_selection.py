"""Which actions a policy is for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import PolicyDenied, UsageError
from assent.governance import Action, RateLimitPolicy, govern, policy
from assent.governance.selection import RISKS, Selector, selected

PAY = Action(name="pay_invoice", arguments={}, labels=frozenset({"money", "external"}), risk="high")


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        (Selector(), True),
        (Selector(actions=["pay_*"]), True),
        (Selector(actions=["refund_*", "pay_invoice"]), True),
        (Selector(actions=["PAY_*"]), False),
        (Selector(actions=["pay"]), False),
        (Selector(labels=["money"]), True),
        (Selector(labels=["internal", "external"]), True),
        (Selector(labels=["internal"]), False),
        (Selector(risk="high"), True),
        (Selector(risk="medium"), True),
        (Selector(risk="critical"), False),
        (Selector(actions=["pay_*"], labels=["money"], risk="low"), True),
        (Selector(actions=["pay_*"], labels=["internal"], risk="low"), False),
    ],
)
def test_all_that_is_given_must_fit(selector: Selector, selects: bool) -> None:
    assert selector.selects(PAY) is selects
    assert (selector.misses(PAY) is None) is selects


@given(st.sampled_from(["", *RISKS]), st.sampled_from(["", *RISKS]))
def test_risks_are_in_order_and_no_risk_comes_before_all(at_least: str, risk: str) -> None:
    order = ["", *RISKS]
    action = Action(name="tick", arguments={}, risk=risk)
    assert Selector(risk=at_least).selects(action) is (order.index(risk) >= order.index(at_least))


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        (Selector(actions=["refund_*"]), "its name 'pay_invoice' fits none of refund_*"),
        (Selector(labels=["internal"]), "it has none of the labels internal"),
        (Selector(risk="critical"), "its risk high is below critical"),
    ],
)
def test_it_says_why_an_action_is_left_out(selector: Selector, why: str) -> None:
    assert selector.misses(PAY) == why


@pytest.mark.parametrize("wrong", [{"actions": "pay_*"}, {"labels": "money"}, {"labels": [""]}, {"risk": "huge"}])
def test_a_selector_refuses_what_would_select_by_chance(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Selector(**wrong)


def test_policies_without_a_selector_and_what_is_no_policy_stay() -> None:
    one = policy(name="all")(lambda action, facts: True)
    other = policy(name="refunds", applies_to=Selector(actions=["refund_*"]))(lambda action, facts: True)
    assert selected([one, other, "no policy"], PAY) == (one, "no policy")


def test_a_policy_that_is_attached_twice_is_asked_once_and_equal_ones_are_two() -> None:
    one, equal = RateLimitPolicy(3), RateLimitPolicy(3)
    assert [id(each) for each in selected([one, equal, one], PAY)] == [id(one), id(equal)]


async def test_a_policy_holds_only_for_the_actions_that_it_is_for() -> None:
    large = policy(name="large", applies_to=Selector(actions=["pay_*"], risk="high"))(lambda action, facts: False)

    async def effect() -> str:
        return "done"

    rest = policy(name="rest")(lambda action, facts: True)
    assert await govern([large, rest], name="refund", risk="critical")(effect)() == "done"
    assert await govern([large, rest], name="pay_all", risk="low")(effect)() == "done"
    with pytest.raises(PolicyDenied):
        await govern([large], name="pay_all", risk="high")(effect)()


def test_a_risk_that_nobody_knows_is_refused_when_the_function_is_governed() -> None:
    with pytest.raises(UsageError, match="risk='huge' is unknown"):
        govern(risk="huge")
    with pytest.raises(UsageError, match="labels="):
        govern(labels="money")
    with pytest.raises(UsageError, match="applies_to="):
        policy(applies_to="pay_*")(lambda action, facts: True)  # type: ignore[call-overload]  # what must be refused


def test_policies_none_of_which_is_for_the_function_are_refused() -> None:
    async def refund(amount: int) -> int:
        return amount

    limit = RateLimitPolicy(10, applies_to=Selector(actions=["pay_*"]))
    with pytest.raises(UsageError, match="nothing would govern it"):
        govern([limit], name="refund")(refund)
    govern([limit, RateLimitPolicy(10, name="all")], name="refund")(refund)

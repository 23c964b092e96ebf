"""Policies that choose others: those are asked as if they stood beside the one that chose them."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import UsageError
from assent.governance import (
    Action,
    ApprovalPolicy,
    AuditPolicy,
    Buckets,
    BudgetPolicy,
    Facts,
    Outcome,
    Phase,
    Policy,
    Principal,
    RateLimitPolicy,
    Ruling,
    ValidationPolicy,
    evaluate_all,
    policies_digest,
)
from assent.governance.selection import Selector
from assent.policies import Any as AnyOf
from assent.policies import Composite, Dynamic, Environment, Layered, Rule, Score, Threshold, Tiered, When

ANA = Principal("ana@company.com", roles=["clerk"])
NOW = Facts(now=1000.0, environment={"name": "production"})
LARGE = Threshold("amount", above=10_000)
PRODUCTION = Environment("production")
MANAGER = ApprovalPolicy(["manager@company.com"], name="manager")
CFO = ApprovalPolicy(["cfo@company.com"], name="cfo", version=7)
POSITIVE = ValidationPolicy(check=lambda action: action.amount > 0, name="positive")


async def rule(*policies: Policy, facts: Facts = NOW, captured: bool = True, **arguments: Any) -> Ruling:
    action = Action(name="pay", arguments=arguments, requester=ANA, captured=captured)
    return await evaluate_all(policies, action, facts)


def told(ruling: Ruling) -> list[tuple[str, str]]:
    return [(one.policy, one.outcome) for one in ruling.decisions]


def facts_of(ruling: Ruling) -> Mapping[str, Any]:
    """The record of the first decision."""
    return json.loads(json.dumps(ruling.record()))["decisions"][0]  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Says(Policy):
    """A policy that says what it was made with."""

    answer: Any = True

    def evaluate(self, action: Action, facts: Facts) -> Any:
        return self.answer


# By a criterion.


async def test_if_the_criterion_is_met_the_policy_is_asked_and_else_not() -> None:
    guard = When(LARGE, CFO)
    assert told(await rule(guard, amount=10_001)) == [("when", "allow"), ("cfo", "ask")]
    assert told(await rule(guard, amount=10_000)) == [("when", "allow")]


async def test_several_policies_can_be_asked_and_others_otherwise() -> None:
    guard = When(LARGE, [POSITIVE, CFO], otherwise=MANAGER, name="amount")
    assert told(await rule(guard, amount=50_000)) == [("amount", "allow"), ("positive", "allow"), ("cfo", "ask")]
    assert told(await rule(guard, amount=5)) == [("amount", "allow"), ("manager", "ask")]


@pytest.mark.parametrize("word", ["allow", "warn", "deny"])
async def test_a_word_is_an_answer_of_its_own(word: Any) -> None:
    ruling = await rule(When(LARGE, word, name="large"), amount=50_000)
    assert told(ruling) == [("large", word)]
    assert ruling.decisions[0].reason == "amount is over 10,000"


async def test_what_cannot_be_told_is_denied_on_both_sides() -> None:
    for guard in (When(LARGE, CFO), When(~LARGE, "allow", otherwise=CFO), When(LARGE | PRODUCTION, "allow")):
        ruling = await rule(guard, amount="a lot", facts=Facts(now=0.0))
        assert told(ruling) == [("when", "deny")]
        assert "it cannot be told whether it may happen" in ruling.decisions[0].reason


async def test_a_criterion_that_fails_denies() -> None:
    def broken(action: Action) -> bool:
        raise RuntimeError("no connection")

    ruling = await rule(When(Dynamic(broken), "allow"), amount=5)
    assert ruling.outcome == "deny"
    assert "no connection" in ruling.denials[0].reason


async def test_a_criterion_may_take_its_time() -> None:
    async def later(action: Action) -> bool:
        await asyncio.sleep(0)
        return True

    assert told(await rule(When(Dynamic(later), CFO), amount=5)) == [("when", "allow"), ("cfo", "ask")]


async def test_the_record_has_what_was_seen_and_what_followed_and_each_policy_by_itself() -> None:
    ruling = await rule(When(LARGE & PRODUCTION, [CFO], name="large in production", version=3), amount=Decimal(50_000))
    first, second = ruling.record()["decisions"]
    assert (first["policy"], first["kind"], first["version"], first["outcome"]) == (
        "large in production",
        "when",
        3,
        "allow",
    )
    assert first["reason"] == "amount is over 10,000 and environment.name is production"
    assert first["facts"] == {
        "then": ["cfo"],
        "seen": {"arguments": {"amount": "50000"}, "environment": {"name": "production"}},
    }
    assert (second["policy"], second["kind"], second["version"]) == ("cfo", "approval", 7)
    assert second["digest"] == CFO.fingerprint()
    assert ruling.requests[0][0].policy == "cfo"


async def test_secrets_stay_out_of_the_record() -> None:
    guard = When(Threshold("api_key", above=1) | Threshold("pin", above=1), "allow")
    ruling = await rule(guard, AuditPolicy(sensitive=["pin"]), api_key=987654321, pin=4711)
    assert facts_of(ruling)["facts"]["seen"] == {"arguments": {"api_key": "[redacted]", "pin": "[redacted]"}}
    assert "987654321" not in json.dumps([ruling.record(), [list(event) for event in ruling.events()]], default=str)


async def test_of_a_call_that_keeps_no_state_no_value_is_recorded() -> None:
    ruling = await rule(Tiered("amount", {0: "allow"}), captured=False, amount=98_765)
    assert "98765" not in json.dumps([ruling.record(), [list(event) for event in ruling.events()]], default=str)


async def test_choices_can_lead_to_choices() -> None:
    inner = When(PRODUCTION, CFO, otherwise=MANAGER, name="inner")
    assert told(await rule(When(LARGE, inner, name="outer"), amount=50_000)) == [
        ("outer", "allow"),
        ("inner", "allow"),
        ("cfo", "ask"),
    ]


async def test_what_uses_something_up_is_asked_last_and_only_if_nothing_denies() -> None:
    limited = When(LARGE, RateLimitPolicy(1, "1h"))
    facts = replace(NOW, admit=Buckets(lambda: 1000.0).admit)
    assert told(await rule(limited, Says(name="no", answer=False), amount=50_000, facts=facts)) == [
        ("when", "allow"),
        ("no", "deny"),
    ]
    assert (await rule(limited, amount=50_000, facts=facts)).outcome == "allow"
    assert (await rule(limited, amount=50_000, facts=facts)).denials[0].policy == "rate_limit"
    assert (await rule(limited, amount=5, facts=facts)).outcome == "allow"


async def test_only_policies_that_are_for_the_action_are_asked() -> None:
    elsewhere = Says(name="elsewhere", answer=False, applies_to=Selector(actions=("refund_*",)))
    here = Says(name="here", applies_to=Selector(actions=("pay*",)))
    assert told(await rule(When(LARGE, [elsewhere, here]), amount=50_000)) == [("when", "allow"), ("here", "allow")]


# At the moment of the effect.


async def granted(*policies: Policy, **arguments: Any) -> frozenset[str]:
    """The digests of all that people are asked."""
    ruling = await rule(*policies, **arguments)
    return frozenset(request.digest() for series in ruling.requests for request in series)


async def test_what_people_have_granted_still_holds_at_the_moment_of_the_effect() -> None:
    guard = When(LARGE, CFO)
    agreed = await granted(guard, amount=50_000)
    effect = replace(NOW, evaluated_at=NOW.now, granted=agreed)
    assert (await rule(guard, amount=50_000, facts=effect)).outcome == "allow"
    assert (await rule(guard, amount=50_001, facts=effect)).outcome == "deny"
    assert (await rule(guard, amount=50_000, facts=replace(effect, granted=frozenset()))).outcome == "deny"


async def test_a_choice_that_has_become_another_needs_what_the_other_asks() -> None:
    guard = When(PRODUCTION, CFO, otherwise=MANAGER)
    agreed = await granted(guard, amount=5)
    moved = Facts(now=2000.0, environment={"name": "staging"}, evaluated_at=1000.0, granted=agreed)
    assert (await rule(guard, amount=5, facts=moved)).denials[0].policy == "manager"


def test_it_is_asked_again_if_what_it_leads_to_is() -> None:
    assert When(LARGE, CFO).rechecked
    assert When(LARGE, "allow", otherwise=[POSITIVE, CFO]).rechecked
    assert not When(LARGE, POSITIVE).rechecked
    assert When(LARGE, "deny", rechecked=True).rechecked
    assert not When(LARGE, replace(Says(rechecked=True), mode="shadow")).rechecked


# After the effect.


async def test_a_policy_for_the_outcome_is_asked_after_the_effect() -> None:
    review = ValidationPolicy(result=lambda value: value == "done", name="review")
    guard = When(LARGE, [review])
    after = Facts(now=1000.0, phase=Phase.AFTER, outcome=Outcome(value="undone"))
    assert guard.phase == Phase.BOTH
    assert (await rule(guard, amount=50_000)).outcome == "allow"
    assert (await rule(guard, amount=50_000, facts=after)).denials[0].policy == "review"
    assert (await rule(guard, amount=5, facts=after)).outcome == "allow"


async def test_an_outcome_is_not_waved_through_because_nobody_can_tell_who_should_judge_it() -> None:
    guard = When(PRODUCTION, ValidationPolicy(result=lambda value: value == "done"))
    after = Facts(now=1000.0, phase=Phase.AFTER, outcome=Outcome(value="undone"))
    assert told(await rule(guard, facts=after)) == [("when", "deny")]


async def test_what_has_happened_is_no_more_denied_for_what_it_is() -> None:
    guard = When(LARGE, "deny", otherwise=AuditPolicy(name="log"))
    after = Facts(now=1000.0, phase=Phase.AFTER, outcome=Outcome(value="done"), environment=NOW.environment)
    assert (await rule(guard, amount=50_000)).outcome == "deny"
    assert (await rule(guard, amount=50_000, facts=after)).outcome == "allow"


def test_what_its_policies_hide_is_hidden() -> None:
    guard = When(LARGE, AuditPolicy(sensitive=["iban"]), otherwise=AuditPolicy(sensitive=["account"]))
    assert guard.redaction is not None
    assert guard.redaction.hides("iban")
    assert guard.redaction.hides("account")
    assert When(LARGE, "deny").redaction is None


def test_whether_it_only_records_follows_from_what_it_leads_to() -> None:
    log, review = AuditPolicy(), ValidationPolicy(result=str)
    assert When(LARGE, [POSITIVE, log]).only_records
    assert not When(LARGE, log, otherwise=review).only_records
    assert When(LARGE, review, mode="shadow").only_records
    assert When(LARGE, When(LARGE, log)).only_records


def test_what_the_effect_really_took_is_said_by_the_budgets_inside() -> None:
    def by_team(action: Action) -> str:
        return str(action.team)

    budgets = [
        BudgetPolicy(100, name="all", actual=lambda outcome: outcome.value),
        BudgetPolicy(50, name="team", per=by_team, actual=lambda outcome: outcome.value),
    ]
    spent = Outcome(value=7)
    chosen = Tiered("amount", {0: "allow", 5: budgets[0], 10: budgets[1]})
    amounts = chosen.amounts(Action(name="pay", arguments={"amount": 6, "team": "ops"}), spent)
    assert sorted(amounts.values()) == [7_000_000, 7_000_000]
    # The other budget could not even be named for this action, which does not draw on it.
    assert len(chosen.amounts(Action(name="pay", arguments={"amount": 6}), spent)) == 1
    shadow = Tiered("amount", {5: budgets[0]}, mode="shadow")
    assert set(amounts).isdisjoint(shadow.amounts(Action(name="pay", arguments={"amount": 6}), spent))


# Shadows.


async def test_what_a_shadow_leads_to_is_a_shadow() -> None:
    tried = When(LARGE, [CFO, Says(name="no", answer=False)], otherwise="deny", mode="shadow", name="tried")
    ruling = await rule(POSITIVE, tried, amount=50_000)
    assert (ruling.outcome, told(ruling)) == ("allow", [("positive", "allow")])
    assert [(one.policy, one.outcome) for one in ruling.shadows] == [("tried", "allow"), ("cfo", "ask"), ("no", "deny")]
    assert CFO.mode == "enforce"


def test_a_shadow_inside_changes_nothing_that_counts() -> None:
    shadow = Says(name="tried", answer=False, mode="shadow", rechecked=True, phase=Phase.AFTER)
    hiding = AuditPolicy(name="hiding", sensitive=["iban"], mode="shadow")
    plain = When(LARGE, [POSITIVE], otherwise="allow")
    tried = When(LARGE, [POSITIVE, shadow, hiding], otherwise="allow")
    assert (plain.rechecked, plain.phase, plain.redaction) == (tried.rechecked, tried.phase, tried.redaction)
    assert policies_digest([plain]) == policies_digest([tried])
    rules = [Rule("a", then=[POSITIVE])], [Rule("a", then=[POSITIVE, shadow])]
    assert Layered(rules[0]).fingerprint() == Layered(rules[1]).fingerprint()


# Tiers.

TIERS = Tiered("amount", {0: "allow", 1_000: MANAGER, 10_000: [CFO, POSITIVE], "1000000.01": "deny"})


@pytest.mark.parametrize(
    ("amount", "decisions"),
    [
        (0, [("tiered", "allow")]),
        (Decimal("999.99"), [("tiered", "allow")]),
        (1_000, [("tiered", "allow"), ("manager", "ask")]),
        (Decimal("10000.00"), [("tiered", "allow"), ("cfo", "ask"), ("positive", "allow")]),
        ("1000.50", [("tiered", "allow"), ("manager", "ask")]),
        (1_000_000, [("tiered", "allow"), ("cfo", "ask"), ("positive", "allow")]),
        (Decimal("1000000.01"), [("tiered", "deny")]),
        (-1, [("tiered", "deny")]),
        (None, [("tiered", "deny")]),
        ("much", [("tiered", "deny")]),
        (float("nan"), [("tiered", "deny")]),
    ],
)
async def test_a_number_is_in_the_tier_that_it_has_reached(amount: Any, decisions: list[tuple[str, str]]) -> None:
    assert told(await rule(TIERS, amount=amount)) == decisions


async def test_a_score_can_have_tiers() -> None:
    score = Score([(LARGE, 40), (PRODUCTION, 30)], label="risk")
    tiered = Tiered(score, {0: "allow", 50: CFO})
    assert (await rule(tiered, amount=50_000)).outcome == "ask"
    assert (await rule(tiered, amount=50_000, facts=Facts(now=0.0, environment={"name": "test"}))).outcome == "allow"
    ruling = await rule(tiered, amount=50_000)
    assert ruling.decisions[0].reason == "risk is in the tier from 50"
    assert facts_of(ruling)["facts"]["seen"]["risk"] == "70"


async def test_tiers_can_be_those_of_a_function() -> None:
    async def volatility(action: Action, facts: Facts) -> float:
        await asyncio.sleep(0)
        return 0.31

    tiered = Tiered(volatility, {0: "allow", "0.3": "warn"}, label="market volatility")
    ruling = await rule(tiered, amount=5)
    assert [one.reason for one in ruling.warnings] == ["market volatility is in the tier from 0.3"]


# Layers and rules.

LAYERS = Layered(
    [
        Rule("company", then=[POSITIVE]),
        Rule("production", when=PRODUCTION, then=MANAGER),
        Rule("large", when=LARGE, then=[CFO]),
        Rule("frozen", when=Threshold("amount", above=1_000_000), then="deny"),
    ]
)


async def test_all_layers_that_apply_count() -> None:
    ruling = await rule(LAYERS, amount=50_000)
    assert told(ruling) == [("layered", "allow"), ("positive", "allow"), ("manager", "ask"), ("cfo", "ask")]
    assert (
        ruling.decisions[0].reason
        == "company; production: environment.name is production; large: amount is over 10,000"
    )
    assert told(await rule(LAYERS, amount=5, facts=Facts(now=0.0, environment={"name": "test"}))) == [
        ("layered", "allow"),
        ("positive", "allow"),
    ]
    assert (await rule(LAYERS, amount=2_000_000)).denials[0].policy == "layered"


async def test_a_layer_that_cannot_be_told_denies() -> None:
    ruling = await rule(LAYERS, amount=5, facts=Facts(now=0.0))
    assert ruling.denials[0].reason.endswith("there is no environment.name")


RULES = Composite(
    [
        Rule("small", when=Threshold("amount", at_most=100), then="allow"),
        Rule("large or production", when=AnyOf([LARGE, PRODUCTION]), then=CFO),
    ],
    otherwise=MANAGER,
)


async def test_the_first_rule_that_applies_decides() -> None:
    elsewhere = Facts(now=0.0, environment={"name": "test"})
    assert told(await rule(RULES, amount=100)) == [("composite", "allow")]
    assert told(await rule(RULES, amount=101)) == [("composite", "allow"), ("cfo", "ask")]
    assert told(await rule(RULES, amount=101, facts=elsewhere)) == [("composite", "allow"), ("manager", "ask")]
    assert (await rule(RULES, amount=101, facts=elsewhere)).decisions[0].reason == "no rule applies"
    assert (await rule(RULES, amount=100)).decisions[0].reason == "small: amount is at most 100"


async def test_without_a_rule_that_applies_it_denies_and_a_rule_without_a_criterion_applies_always() -> None:
    small = Rule("small", when=Threshold("amount", at_most=100), then="allow")
    assert (await rule(Composite([small]), amount=101)).outcome == "deny"
    assert (await rule(Composite([small, Rule("rest", then="warn")]), amount=101)).outcome == "allow"


async def test_a_rule_that_cannot_be_told_does_not_pass_it_on_to_the_next() -> None:
    rules = Composite([Rule("freeze", when=PRODUCTION, then="deny"), Rule("rest", then="allow")])
    assert (await rule(rules, amount=5, facts=Facts(now=0.0))).outcome == "deny"


# What makes no sense.


@pytest.mark.parametrize(
    "make",
    [
        lambda: When(True, CFO),  # type: ignore[arg-type]
        lambda: When(LARGE, "approve"),  # type: ignore[arg-type]
        lambda: When(LARGE, []),
        lambda: When(LARGE, [CFO, "deny"]),  # type: ignore[list-item]
        lambda: When(LARGE, CFO, otherwise=False),  # type: ignore[arg-type]
        lambda: Tiered("amount", {}),
        lambda: Tiered("amount", {0: "maybe"}),  # type: ignore[dict-item]
        lambda: Layered([]),
        lambda: Layered([CFO]),  # type: ignore[list-item]
        lambda: Layered([Rule("a", then="deny"), Rule("a", then="allow")]),
        lambda: Composite({"small": CFO}),  # type: ignore[arg-type]
        lambda: Composite([Rule("a", then="deny")], otherwise=None),  # type: ignore[arg-type]
        lambda: Rule("", then="deny"),
        lambda: Rule("a", then="deny", when="always"),  # type: ignore[arg-type]
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


def test_another_branch_makes_another_fingerprint() -> None:
    choices: list[Policy] = [
        When(LARGE, CFO),
        When(LARGE, replace(CFO, quorum=1, approvers=["ceo@company.com"])),
        When(LARGE, "deny"),
        When(LARGE, CFO, otherwise="deny"),
        When(~LARGE, CFO),
        When(LARGE, CFO, name="other"),
        When(LARGE, CFO, version=2),
        Tiered("amount", {0: CFO}),
        Tiered("amount", {1: CFO}),
        Layered([Rule("a", when=LARGE, then=CFO)]),
        Composite([Rule("a", when=LARGE, then=CFO)]),
        Composite([Rule("a", when=PRODUCTION, then=CFO)]),
    ]
    assert len({one.fingerprint() for one in choices}) == len(choices)


# Whatever is chosen.

answers = st.sampled_from(["allow", "warn", "deny"])
said = st.builds(lambda name, answer: Says(name=name, answer=answer), st.sampled_from("abc"), st.booleans())
thens = st.one_of(answers, said, st.lists(said, min_size=1, max_size=3))
amounts = st.integers(min_value=0, max_value=20_000)
layers = st.lists(st.tuples(st.integers(min_value=0, max_value=20_000), thens), min_size=1, max_size=4)


def layered(rows: list[tuple[int, Any]]) -> Layered:
    return Layered(
        [Rule(str(at), when=Threshold("amount", above=bound), then=then) for at, (bound, then) in enumerate(rows)]
    )


@given(layers, amounts, st.permutations(range(4)))
def test_layers_say_what_their_rules_would_say_side_by_side_in_any_order(
    rows: list[tuple[int, Any]], amount: int, order: list[int]
) -> None:
    shuffled = [rows[at] for at in order if at < len(rows)]
    apart = [When(Threshold("amount", above=bound), then) for bound, then in rows]
    ways = (apart, [layered(rows)], [layered(shuffled)])
    outcomes = {asyncio.run(rule(*policies, amount=amount)).outcome for policies in ways}
    assert len(outcomes) == 1


@given(layers, amounts, st.tuples(st.integers(min_value=0, max_value=20_000), thens))
def test_one_more_layer_never_allows_more(rows: list[tuple[int, Any]], amount: int, more: tuple[int, Any]) -> None:
    before = asyncio.run(rule(layered(rows), amount=amount)).outcome
    after = asyncio.run(rule(layered([*rows, more]), amount=amount)).outcome
    assert (before, after) != ("deny", "allow")

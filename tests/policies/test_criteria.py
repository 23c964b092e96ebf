"""Criteria say yes, no, or that it cannot be told; and several of them combine as logic has it."""

import asyncio
import re
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import UsageError
from assent.governance import Action, Facts, Principal
from assent.governance.fingerprint import fingerprint_of
from assent.policies import (
    All,
    Criterion,
    Dynamic,
    Environment,
    Finding,
    Matches,
    Not,
    RiskScore,
    Score,
    Threshold,
)
from assent.policies import (
    Any as AnyOf,
)
from assent.policies.criteria import finding_of

NOW = Facts(now=1000.0, environment={"name": "production", "region": {"code": "eu"}})


class Colour(Enum):
    RED = "red"


class Size(StrEnum):
    LARGE = "large"


@dataclass(frozen=True)
class Line:
    price: Decimal
    _cost: Decimal = Decimal(1)


def action(**arguments: Any) -> Action:
    return Action(
        name="wire",
        arguments=arguments,
        requester=Principal("ana@company.com", roles=["clerk"]),
        labels=frozenset({"payments"}),
        risk="high",
        context={"channel": "web"},
    )


async def found(criterion: Criterion, facts: Facts = NOW, **arguments: Any) -> Finding:
    return await finding_of(criterion, action(**arguments), facts)


@dataclass(frozen=True)
class Says(Criterion):
    """A criterion that finds what it was made with."""

    met: bool | None
    label: str = ""

    def meets(self, action: Action, facts: Facts) -> Finding:
        return Finding(self.met, {"said": {self.label: self.met}}, f"{self.label} {self.met}")


@dataclass(frozen=True)
class SaysLater(Says):
    """The same, asynchronously."""

    async def meets(self, action: Action, facts: Facts) -> Finding:  # type: ignore[override]  # awaitable, as allowed
        await asyncio.sleep(0)
        return Says.meets(self, action, facts)


# Numbers.


@pytest.mark.parametrize(
    ("bounds", "amount", "met"),
    [
        ({"above": 10}, 10, False),
        ({"above": 10}, Decimal("10.01"), True),
        ({"at_least": 10}, 10, True),
        ({"below": 10}, 10, False),
        ({"at_most": 10}, 10, True),
        ({"at_least": 10, "below": 20}, 15, True),
        ({"at_least": 10, "below": 20}, 20, False),
        ({"above": "0.3"}, Decimal("0.1") + Decimal("0.2"), False),
        ({"at_most": 0.3}, Decimal("0.3"), True),
        ({"at_least": Decimal("99999999999999999999.99")}, "99999999999999999999.98", False),
        ({"above": 2**53}, 2**53 + 1, True),
        ({"above": 1000}, "1e3", False),
        ({"below": 0}, "-0.01", True),
    ],
)
async def test_a_threshold_compares_exactly(bounds: dict[str, Any], amount: Any, met: bool) -> None:
    assert (await found(Threshold("amount", **bounds), amount=amount)).met is met


@pytest.mark.parametrize(
    "amount", [True, "ten", "", "1_000", "NaN", float("nan"), float("inf"), Decimal("NaN"), [5], {}]
)
async def test_of_what_is_no_number_nothing_can_be_told(amount: Any) -> None:
    finding = await found(Threshold("amount", above=10, missing=False), amount=amount)
    assert (finding.met, finding.reason) == (None, "amount is no number")


@pytest.mark.parametrize("missing", [None, True, False])
async def test_what_a_missing_value_means_can_be_said(missing: bool | None) -> None:
    for criterion in (
        Threshold("amount", above=10, missing=missing),
        Matches("amount", equals=10, missing=missing),
        Environment("production", key="stage", missing=missing),
    ):
        finding = await found(criterion, amount=None)
        assert finding.met is missing
        assert finding.reason.startswith("there is no ")


async def test_a_finding_says_what_is_the_case_and_keeps_values_to_the_facts() -> None:
    criterion = Threshold("amount", at_least=10_000, below="20000")
    over, under = await found(criterion, amount=15_000), await found(criterion, amount=9_999)
    assert over.reason == "amount is at least 10,000 and under 20,000"
    assert under.reason == "amount is not at least 10,000 and under 20,000"
    assert (over.facts, under.facts) == ({"arguments": {"amount": 15_000}}, {"arguments": {"amount": 9_999}})
    assert (bool(over), bool(under), bool(Finding(None))) == (True, False, False)


@pytest.mark.parametrize(
    ("path", "of", "met"),
    [
        ("order.total", "arguments", True),
        ("lines.1.price", "arguments", True),
        ("lines.7.price", "arguments", None),
        ("order.total.more", "arguments", None),
        ("order.nothing", "arguments", None),
        ("limit", "context", None),
    ],
)
async def test_a_path_leads_into_what_arguments_hold(path: str, of: Any, met: bool | None) -> None:
    arguments: dict[str, Any] = {"order": {"total": 20}, "lines": [Line(Decimal(1)), Line(Decimal(20))]}
    assert (await found(Threshold(path, above=10, of=of), **arguments)).met is met


async def test_facts_stand_under_all_names_that_lead_to_them() -> None:
    finding = await found(Threshold("card.limits.0", above=10), card={"limits": [20]})
    assert finding.facts == {"arguments": {"card": {"limits": {"0": 20}}}}


@pytest.mark.parametrize("path", ["", ".", "a..b", "_secret", "order._total", "order.__class__"])
def test_a_path_to_nothing_public_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="no path"):
        Threshold(path, above=1)


def test_where_to_look_must_be_known() -> None:
    with pytest.raises(UsageError, match="of='globals' is unknown"):
        Threshold("amount", above=1, of="globals")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no 'canonical' to look at"):
        Matches("canonical", equals=1, of="action")


@pytest.mark.parametrize("bound", ["ten", True, float("nan"), [1]])
def test_a_bound_must_be_a_number(bound: Any) -> None:
    with pytest.raises(UsageError, match=r"above=.* is no number"):
        Threshold("amount", above=bound)


def test_a_threshold_without_a_bound_is_refused() -> None:
    with pytest.raises(UsageError, match="Threshold has no bound"):
        Threshold("amount")
    with pytest.raises(UsageError, match="RiskScore has no bound"):
        RiskScore(lambda action: 1)


async def test_a_number_can_be_worked_out_with_or_without_facts_at_once_or_later() -> None:
    def total(action: Action) -> int:
        return int(action.price * action.count)

    async def with_facts(action: Action, facts: Facts) -> Decimal:
        await asyncio.sleep(0)
        return Decimal(str(facts.now))

    assert (await found(Threshold(total, at_least=12), price=3, count=4)).facts == {"total": 12}
    assert (await found(Threshold(with_facts, at_least=1000))).met is True
    assert (await found(Threshold(lambda action: None, above=1))).reason == "there is no a rule"
    assert (await found(RiskScore(lambda action: 0.7, at_least="0.7"))).facts == {"risk score": 0.7}
    assert (await found(RiskScore(Score([(Says(True), 40)]), at_least=41))).reason == "score is not at least 41"


@pytest.mark.parametrize("function", [lambda: 1, lambda a, b, c: 1, "amount.", 5])
def test_a_function_that_cannot_be_asked_is_refused_at_once(function: Any) -> None:
    with pytest.raises(UsageError):
        RiskScore(function, above=1)


async def test_a_default_is_no_reason_to_be_given_the_facts() -> None:
    def risk(action: Action, scale: int = 10) -> int:
        return scale

    assert (await found(RiskScore(risk, at_least=10))).met is True


# Other values.


@pytest.mark.parametrize(
    ("criterion", "met"),
    [
        (Matches("currency", equals="EUR"), True),
        (Matches("currency", equals="USD"), False),
        (Matches("currency", one_of=["USD", "EUR"]), True),
        (Matches("currency", one_of={"USD"}), False),
        (Matches("iban", pattern="DE[0-9]+"), True),
        (Matches("iban", pattern=re.compile("de[0-9]+", re.IGNORECASE)), True),
        (Matches("iban", pattern="DE"), False),  # the whole text
        (Matches("amount", pattern="5"), None),
        (Matches("amount", equals="5"), False),
        (Matches("amount", equals=5), True),
        (Matches("amount", one_of=[Decimal("5.0")]), True),
        (Matches("text_amount", equals=5), True),
        (Matches("urgent", equals=True), True),
        (Matches("one", equals=True), False),
        (Matches("colour", equals="red"), True),
        (Matches("colour", equals=Colour.RED), True),
        (Matches("colour", pattern="re."), True),
        (Matches("size", equals="large"), True),
        (Matches("tags", contains="vip"), True),
        (Matches("tags", contains="new"), False),
        (Matches("iban", contains="D"), None),
        (Matches("roles", contains="clerk", of="requester"), True),
        (Matches("id", equals="ana@company.com", of="requester"), True),
        (Matches("channel", equals="web", of="context"), True),
        (Matches("region.code", equals="eu", of="environment"), True),
        (Matches("risk", one_of=["high", "critical"], of="action"), True),
        (Matches("labels", contains="payments", of="action"), True),
        (Matches("name", pattern="wi.*", of="action"), True),
    ],
)
async def test_a_value_is_as_it_should_be(criterion: Matches, met: bool | None) -> None:
    arguments: dict[str, Any] = {
        "currency": "EUR",
        "iban": "DE12",
        "amount": Decimal(5),
        "text_amount": "5.00",
        "urgent": True,
    }
    more: dict[str, Any] = {"one": 1, "colour": Colour.RED, "size": Size.LARGE, "tags": ["vip", "old"]}
    assert (await found(criterion, **arguments, **more)).met is met


async def test_nobody_who_asks_is_a_missing_value() -> None:
    finding = await finding_of(Matches("id", equals="ana", of="requester"), Action(name="wire", arguments={}), NOW)
    assert (finding.met, finding.reason) == (None, "there is no requester.id")


@pytest.mark.parametrize(
    "settings",
    [{}, {"equals": 1, "contains": 1}, {"one_of": "EUR"}, {"one_of": []}, {"one_of": 5}, {"pattern": "("}],
)
def test_a_match_that_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Matches("currency", **settings)


async def test_the_environment_is_that_of_the_runtime() -> None:
    assert (await found(Environment("production"))).met is True
    assert (await found(Environment(["staging", "test"]))).reason == "environment.name is not one of staging, test"
    assert (await found(Environment("production"), Facts(now=0.0))).met is None
    assert (await found(Environment("eu", key="region.code"))).met is True


# Functions.


@pytest.mark.parametrize(
    ("answer", "met"), [(True, True), (False, False), (None, None), (Finding(True, {"load": 0.2}, "quiet"), True)]
)
async def test_a_function_can_be_a_criterion(answer: Any, met: bool | None) -> None:
    async def later(action: Action, facts: Facts) -> Any:
        await asyncio.sleep(0)
        return answer

    for rule in (lambda action: answer, lambda action, facts: answer, later):
        assert (await found(Dynamic(rule))).met is met


async def test_a_function_that_says_neither_yes_nor_no_raises() -> None:
    with pytest.raises(UsageError, match="is_quiet returned str"):
        await found(Dynamic(lambda action: "yes", label="is_quiet"))


async def test_a_function_is_called_by_its_name_or_its_label() -> None:
    def is_quiet(action: Action) -> bool:
        return False

    assert (await found(Dynamic(is_quiet))).reason == "is_quiet does not hold"
    assert (await found(Dynamic(is_quiet, label="a quiet hour"))).facts == {"a quiet hour": False}


# Several criteria.

truths = st.sampled_from([True, False, None])
kinds = st.sampled_from([Says, SaysLater])
leaves = st.builds(lambda kind, met, label: kind(met, label), kinds, truths, st.sampled_from("abcdef"))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(All, st.lists(inner, min_size=1, max_size=3)),
        st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3)),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)


async def met(criterion: Criterion) -> bool | None:
    return (await found(criterion)).met


@given(trees, trees)
def test_not_all_is_any_not(one: Criterion, other: Criterion) -> None:
    async def compare() -> None:
        assert await met(~(one & other)) is await met(~one | ~other)
        assert await met(~(one | other)) is await met(~one & ~other)
        assert await met(Not(Not(one))) is await met(one)

    asyncio.run(compare())


@given(st.lists(trees, min_size=1, max_size=5).flatmap(lambda row: st.tuples(st.just(row), st.permutations(row))))
def test_the_order_of_criteria_does_not_matter(rows: tuple[list[Criterion], list[Criterion]]) -> None:
    async def compare() -> None:
        for kind in (All, AnyOf):
            first, second = [await found(kind(row)) for row in rows]
            assert first.met is second.met
            assert sorted(first.reason.split(" and ")) == sorted(second.reason.split(" and "))

    asyncio.run(compare())


@given(trees, trees)
def test_what_is_known_settles_it_whatever_is_unknown(one: Criterion, other: Criterion) -> None:
    async def compare() -> None:
        values = {await met(one), await met(other)}
        both, either = await met(one & other), await met(one | other)
        assert both is (False if False in values else None if None in values else True)
        assert either is (True if True in values else None if None in values else False)

    asyncio.run(compare())


async def test_a_row_of_the_same_kind_is_one_criterion() -> None:
    a, b, c = Says(True, "a"), Says(True, "b"), Says(False, "c")
    assert a & b & c == All([a, b, c])
    assert a | b | c == AnyOf([a, b, c])
    assert a & (b | c) == All([a, AnyOf([b, c])])
    assert ~~a is a


async def test_all_are_asked_and_the_reason_names_those_that_settled_it() -> None:
    finding = await found(All([Says(True, "a"), Says(False, "b"), SaysLater(False, "c")]))
    assert finding == Finding(False, {"said": {"a": True, "b": False, "c": False}}, "b False and c False")


@pytest.mark.parametrize("kind", [All, AnyOf])
async def test_an_error_is_raised_wherever_it_stands(kind: Any) -> None:
    def broken(action: Action) -> bool:
        raise RuntimeError("no connection")

    for row in ([Dynamic(broken), SaysLater(False)], [SaysLater(True), Dynamic(broken)], [Says(None), Dynamic(broken)]):
        with pytest.raises(RuntimeError, match="no connection"):
            await found(kind(row))


@pytest.mark.parametrize("wrong", [[], "Environment", [Says(True), True], Says(True), None])
def test_what_is_no_list_of_criteria_is_refused(wrong: Any) -> None:
    for kind in (All, AnyOf):
        with pytest.raises(UsageError):
            kind(wrong)
    with pytest.raises(UsageError):
        Not(True)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Forgetful(Criterion):
    answer: Any = True

    def meets(self, action: Action, facts: Facts) -> Any:
        return self.answer


@dataclass(frozen=True)
class ForgetfulLater(Forgetful):
    async def meets(self, action: Action, facts: Facts) -> Any:
        return self.answer


@pytest.mark.parametrize("kind", [Forgetful, ForgetfulLater])
async def test_a_criterion_that_returns_no_finding_raises(kind: Any) -> None:
    for criterion in (kind(), All([Says(True), kind()]), ~kind()):
        with pytest.raises(UsageError, match=r"meets\(\) returned bool. Return a Finding"):
            await found(criterion)


# What their fingerprints tell apart.


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Threshold("amount", above=10), Threshold("amount", above=11)),
        (Threshold("amount", above=10), Threshold("amount", at_least=10)),
        (Environment("production"), Environment("staging")),
        (Matches("currency", one_of=["EUR"]), Matches("currency", one_of=["USD"])),
        (Says(True) & Says(False), Says(True) | Says(False)),
        (Says(True), ~Says(True)),
        (Matches("colour", equals=Colour.RED), Matches("colour", equals=Size.LARGE)),
    ],
)
def test_other_settings_make_another_fingerprint(one: Criterion, other: Criterion) -> None:
    assert fingerprint_of(one) != fingerprint_of(other)


def test_the_same_settings_make_the_same_fingerprint_in_every_process() -> None:
    script = (
        "from assent.governance.fingerprint import fingerprint_of\n"
        "from assent.policies import Environment, Matches\n"
        "print(fingerprint_of(Matches('currency', one_of={'EUR', 'USD', 'CHF'}) & Environment({'a', 'b', 'c'})))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        for seed in ("1", "2", "3")
    ]
    assert len({run.stdout for run in runs}) == 1


def test_the_room_exports_what_it_says_and_imports_other_languages_only_when_they_are_used() -> None:
    script = (
        "import sys, assent.policies as room\n"
        "print(sorted(name for name in sys.modules if name in {'cel', 'cedarpy', 'yaml'}))\n"
        "print([name for name in room.__all__ if not hasattr(room, name)], hasattr(room, 'Nothing'))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n[] False\n"

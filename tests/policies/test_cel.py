"""Conditions in CEL: exact numbers, nothing that passes by mistake, and errors where they can be seen."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import cel as library
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from assent import Facts, Principal, UsageError
from assent.governance import Action, evaluate_all
from assent.policies import When
from assent.policies.carrying import carried
from assent.policies.cel import Cel, Expression, condition, of_action

ANA = Principal("ana@company.com", roles=["clerk", "treasurer"], permissions=["pay"])
MONDAY = datetime(2030, 1, 7, 8, 30, tzinfo=UTC).timestamp()


def action(requester: Principal | None = ANA, /, **arguments: Any) -> Action:
    return Action(name="wire", arguments=arguments, requester=requester, labels=frozenset(["money"]), risk="high")


def value(expression: str, /, environment: Mapping[str, Any] | None = None, **arguments: Any) -> Any:
    return Expression(expression).value(action(**arguments), Facts(now=MONDAY, environment=environment or {}))


# Numbers.


@pytest.mark.parametrize(
    "expression",
    [
        "args.tenth + args.fifth == 0.3",
        "0.1 + 0.2 == 0.3",
        "args.tenth * 3 == 0.3",
        "args.amount == 10000.01",
        "args.amount == 10000.010",
        "args.amount > 10000 && args.amount < 10000.011",
        "args.big > 1000000000000000000000000000000",
        "args.big - 1 == 1000000000000000000000000000000",
        "args.big != 1000000000000000000000000000000.0",
        "9007199254740993 != 9007199254740992.0",
        "args.cents > 9007199254740992.0",
        "args.amount / 3 * 3 == args.amount",
        "args.amount in [1, 10000.010]",
        "sum(args.lines.map(line, line.price * line.count)) == 0.5",
        "max(args.tenth, 0.3, args.fifth) == 0.3 && min([2, args.tenth]) == args.tenth",
        "abs(-args.amount) == args.amount && -args.amount < 0",
        "int(args.amount) == 10000 && decimal('1.50') == 1.5 && string(args.amount) == '10000.01'",
        "7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1 && 7.0 / 2 == 3.5",
        "[1, 2.5][1] == 2.5 && {'a': 1.5}.a == 1.5",
        "0x10 == 16 && 10u == 10",
    ],
)
def test_numbers_are_exact(expression: str) -> None:
    found = value(
        expression,
        amount=Decimal("10000.01"),
        tenth=Decimal("0.1"),
        fifth=0.2,
        big=10**30 + 1,
        cents=9007199254740993,
        lines=[{"price": Decimal("0.1"), "count": 3}, {"price": 0.2, "count": 1}],
    )
    assert found is True


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.integers(-(10**40), 10**40),
    st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.integers(-(10**40), 10**40),
)
def test_numbers_compare_and_add_up_as_in_school(a: Decimal | int, b: Decimal | int) -> None:
    x, y = Fraction(a), Fraction(b)
    assert value("args.a < args.b", a=a, b=b) is (x < y)
    assert value("args.a >= args.b", a=a, b=b) is (x >= y)
    assert value("args.a == args.b", a=a, b=b) is (x == y)
    assert Fraction(value("args.a + args.b", a=a, b=b)) == x + y
    assert Fraction(value("args.a - args.b", a=a, b=b)) == x - y
    assert Fraction(value("args.a * args.b", a=a, b=b)) == x * y


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=4))
def test_a_recorded_amount_is_judged_as_the_amount_was(amount: Decimal) -> None:
    for expression in ("args.amount > 1000", "args.amount == 1000.5", "args.amount + 1 <= 0.5", "-args.amount < 3"):
        assert value(expression, amount=amount) is value(expression, amount=str(amount))


@pytest.mark.parametrize(
    "number", [float("nan"), Decimal("Infinity"), Decimal("1e999999"), 10**2000, "1" * 500, "NaN", "٣"]
)
def test_what_is_no_usable_number_cannot_be_compared(number: Any) -> None:
    with pytest.raises(UsageError, match="cannot be told"):
        value("args.amount > 1", amount=number)


def test_texts_are_compared_letter_by_letter_and_only_with_numbers_as_numbers() -> None:
    assert value("args.account == '007'", account="007") is True
    assert value("args.account == '7'", account="007") is False
    assert value("args.account == 7", account="007") is True
    assert value("args.account == 7", account="x") is False
    assert value("args.flag == 1", flag=True) is False


@given(
    st.integers(-9, 9), st.integers(-9, 9), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from("+-*")
)
def test_small_whole_numbers_are_as_in_the_cel_library(a: int, b: int, compare: str, compute: str) -> None:
    expression = f"(args.a {compute} 3) {compare} args.b || args.a {compare} 2 && !(args.b {compare} 1)"
    assert value(expression, a=a, b=b) is library.evaluate(expression, {"args": {"a": a, "b": b}})


# Everything else that an expression may ask.


class Colour(Enum):
    RED = "red"


@dataclass
class Line:
    price: Decimal


class Order(BaseModel):
    total: Decimal
    lines: list[Line]


@pytest.mark.parametrize(
    "expression",
    [
        "'treasurer' in requester.roles && requester.id.endsWith('@company.com')",
        "action.name in ['pay', 'wire'] && 'money' in action.labels && action.risk == 'high'",
        "action.arguments.order.total == args.order.total",
        "args.order.total > 99 && args.order.lines.all(line, line.price > 0)",
        "args.order.lines.exists(line, line.price == 0.5) && size(args.order.lines) == 1",
        "args.colour == 'red' && args.day == '2030-01-31'",
        "environment.name == 'production'",
        "now.getHours('Europe/Berlin') == 9 && now.getHours() == 8 && now.getDayOfWeek() == 1",
        "now - duration('1h') < now && now == timestamp('2030-01-07T08:30:00Z')",
        "now > '2030-01-07T08:00:00+00:00' && args.at < now",
        "requester.id.matches('(?i)^ANA@') && !requester.id.contains('eve')",
        "args['order']['total'] > 99 && has(args.order.total) && !has(args.order.tax)",
        "has(args.tax) && args.tax > 3 || args.none == null",
        "args.none != null && args.none > 3 || true",
        "args.order.total > 99 ? true : false",
        "args.map(name, name).exists(name, name == 'order')",
        "'a' + 'b' == 'ab' && [1] + [2] == [1, 2]",
        "'é\\'\"' == \"é'\\\"\" && r'\\d' == '\\\\d' && '''a'b''' == \"a'b\"",
    ],
)
def test_an_expression_sees_the_action(expression: str) -> None:
    order = Order(total=Decimal("99.5"), lines=[Line(Decimal("0.5"))])
    given = {"order": order, "colour": Colour.RED, "day": date(2030, 1, 31), "at": datetime(2029, 1, 1, tzinfo=UTC)}
    assert value(expression, {"name": "production"}, **given, none=None) is True


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("args.tax > 1", "there is no args.tax"),
        ("has(args.tax.rate)", "there is no args.tax"),
        ("args.none > 1", "null > a number"),
        ("args.word > 1", "a text that is no number > a number"),
        ("args.word", "came to str"),
        ("args.amount / 0 > 1", "division by zero"),
        ("args.list[7] > 1", "index out of bounds"),
        ("args.list.startsWith('a')", "startsWith"),
        ("string(args.none) != 'a'", r"string\(\) of null"),
        ("[args.none + 1].size() == 1", r"null \+ a number"),
        ("args.secret == 'x'", "args.secret cannot be used"),
        ("args.naive < now", "a list > a time|a time"),
        ("args.amount ? true : false", "cannot be told"),
    ],
)
def test_what_cannot_be_told_is_an_error_and_never_a_no(expression: str, problem: str) -> None:
    arguments = {"none": None, "word": "abc", "amount": 5, "list": [1], "secret": SecretStr("x")}
    for text in (expression, f"!({expression})") if expression != "args.word" else (expression,):
        with pytest.raises(UsageError, match=problem):
            Expression(text).holds(action(**arguments, naive=datetime(2030, 1, 1)), Facts(now=MONDAY))  # noqa: DTZ001


async def test_what_cannot_be_told_denies() -> None:
    for expression in ("args.tax > 1", "!(args.tax > 1)", "args.tax > 1 && args.amount > 1"):
        policy = When(Cel(expression), "allow", "allow")
        ruling = await evaluate_all([policy], action(amount=5), Facts(now=MONDAY))
        assert ruling.outcome == "deny"
        assert "there is no args.tax" in ruling.denials[0].reason


async def test_nobody_has_no_roles() -> None:
    nobody = action(None, amount=5)
    assert Expression("has(requester.id) || args.amount > 1").holds(nobody, Facts(now=MONDAY))
    with pytest.raises(UsageError, match=r"there is no requester\.roles"):
        Expression("'clerk' in requester.roles").holds(nobody, Facts(now=MONDAY))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("amount > 3", r"there is no 'amount' here .* args\.amount"),
        ("requester.rolls == 'a'", "Did you mean 'roles'"),
        ("action.nme == 'a'", "Did you mean 'name'"),
        ("requester.id.startWith('a')", "Did you mean 'startsWith'"),
        ("_gt(1, 2)", "there is no function '_gt'"),
        ("_p0 > 1", "there is no '_p0' here"),
        ("args.amount > 3 and true", "Write && for and"),
        ("args.amount = 3", "== for equal"),
        ("args.amount > 3 &&", "no CEL"),
        ("'open", "quotes"),
        ("", "no CEL"),
        ("requester.id.matches('(')", "no regular expression"),
        ("now.getHours('Europe/Berln') > 3", "no time zone"),
        ("action.name > 5", "can never hold"),
        ("args.amount > true", "can never hold"),
        ("now == 5", "can never hold"),
        ("'a' in 5", "can never hold"),
        ("action.name + 1 > 3", "has no meaning"),
        ("args.amount + 1", "comes to a number"),
        ("args.a == 'x' || 5", "true or false is needed"),
        ("has(args)", "no CEL"),
        ("b'1' == b'1'", "there is no 'b' here"),
        ("args.list.all(args, true)", "cannot name each member"),
        ("args.list.all(_p0, true)", "cannot name each member"),
        ("args.a." + "b." * 2000 + "c", "characters"),
        ("(" * 60 + "true" + ")" * 60, "nested"),
        ("1e999 > 1", "no CEL|no number"),
    ],
)
def test_what_is_wrong_with_an_expression_is_said_when_it_is_made(expression: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        condition(expression)


def test_an_expression_of_the_action_does_not_ask_for_the_time() -> None:
    with pytest.raises(UsageError, match="environment and now"):
        of_action(condition("now > timestamp('2030-01-01T00:00:00Z') && environment.name == 'x'"))


def test_patterns_take_no_time_to_fail() -> None:
    assert value("args.text.matches('^(a+)+$')", text="a" * 10_000 + "b") is False


def test_huge_arguments_are_refused_and_not_worked_through() -> None:
    with pytest.raises(UsageError, match="too large"):
        value("size(args.list) > 1", list=[0] * 1_000_000)


def test_only_what_is_asked_for_is_looked_at() -> None:
    assert value("args.amount > 1", amount=5, other=object()) is True
    with pytest.raises(UsageError, match="cannot look into"):
        value("args.other == args.amount", amount=5, other=object())


def test_a_fault_leaves_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(UsageError) as raised:
        value("args.word > 5", word="hidden word")
    assert "hidden" not in caplog.text + str(raised.value)


def test_a_finding_says_what_was_seen() -> None:
    found = Cel("args.order.total > 3 && 'clerk' in requester.roles").meets(
        action(order={"total": Decimal("3.5")}), Facts(now=MONDAY)
    )
    assert found.met is True
    assert found.facts == {"args": {"order": {"total": Decimal("3.5")}}, "requester": {"roles": ANA.roles}}


def test_a_criterion_is_its_text() -> None:
    assert Cel("args.a > 1") == Cel("args.a > 1")
    assert When(Cel("args.a > 1"), "deny").fingerprint() != When(Cel("args.a > 2"), "deny").fingerprint()


def test_sets_have_one_order_everywhere() -> None:
    assert carried({"b", "a", "c"}) == ["a", "b", "c"]

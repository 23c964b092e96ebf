"""A back-test says what policies would change in recorded actions, and never guesses."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent import Runtime, SystemClock
from assent.errors import UsageError
from assent.governance import (
    Action,
    ApprovalPolicy,
    AuditPolicy,
    Decision,
    Facts,
    Policy,
    Principal,
    RateLimitPolicy,
    ValidationPolicy,
    cast,
    govern,
    policy,
)
from assent.governance.budgets import BudgetPolicy
from assent.governance.kinds import kinds_of, revived
from assent.governance.selection import Selector
from assent.policies import Threshold, When
from assent.policies.backtest import Backtest, backtest
from assent.policies.files import load_policies
from assent.policies.pace import Habit, Pace, load_of, pace_of
from assent.policies.recording import Question, recorded_of
from assent.policies.tally import Change, Example, Tally
from assent.store import Event
from assent.store.sqlite import SqliteStore
from tests.policies.records import START, Book

CFO, CEO = "cfo@company.com", "ceo@company.com"


def limit(most: int, name: str = "limit", **options: Any) -> ValidationPolicy:
    return ValidationPolicy(name=name, check=lambda action: action.amount <= most, **options)


def asking(above: int, *approvers: str, name: str = "ask", **options: Any) -> ApprovalPolicy:
    return ApprovalPolicy(approvers or (CFO,), name=name, auto_approve=lambda action: action.amount <= above, **options)


async def book_of(*policies: Policy, amounts: tuple[int, ...]) -> Book:
    book = Book(*policies)
    for amount in amounts:
        await book.act(amount=amount)
    return book


def counts(tally: Tally) -> dict[Change, int]:
    return {change: count for change, count in tally.changes.items() if count}


# What changes.


@pytest.mark.parametrize(
    ("before", "after", "change", "move"),
    [
        (limit(100), limit(10), Change.NEWLY_DENIED, ("allow", "deny")),
        (limit(10), limit(100), Change.NO_LONGER_DENIED, ("deny", "allow")),
        (asking(100), asking(10), Change.NEWLY_ASKED, ("allow", "ask")),
        (asking(10), asking(100), Change.NO_LONGER_ASKED, ("ask", "allow")),
        (asking(10, name="limit"), limit(10), Change.NEWLY_DENIED, ("ask", "deny")),
        (limit(10), asking(10, name="limit"), Change.NO_LONGER_DENIED, ("deny", "ask")),
    ],
)
async def test_an_action_counts_under_the_change_that_it_undergoes(
    before: Policy, after: Policy, change: Change, move: tuple[str, str]
) -> None:
    book = await book_of(before, amounts=(50, 5))
    tally = await book.tested(after)
    assert counts(tally) == {change: 1, Change.UNCHANGED: 1}
    assert dict(tally.moves) == {move: 1}
    assert [one.execution_id for one in tally.policies[after.name].examples[change]] == ["run-0"]


@pytest.mark.parametrize("now", [asking(10, CEO), asking(10, CFO, CEO), asking(10, CFO, CEO, quorum=2)])
async def test_other_people_or_another_number_of_them_are_a_change(now: ApprovalPolicy) -> None:
    book = await book_of(asking(10, CFO), amounts=(50,))
    assert counts(await book.tested(now)) == {Change.ASKED_OF_OTHERS: 1}


async def test_the_order_and_spelling_of_approvers_change_nothing() -> None:
    book = await book_of(asking(10, CFO, CEO), amounts=(50,))
    assert counts(await book.tested(asking(10, CEO.upper(), CFO))) == {Change.UNCHANGED: 1}


async def test_words_of_policies_that_are_not_tested_stay_as_they_were_recorded() -> None:
    book = await book_of(limit(100, "code"), asking(10), amounts=(500, 50, 5))
    tally = await book.tested(asking(1000))
    assert counts(tally) == {Change.NO_LONGER_ASKED: 1, Change.UNCHANGED: 2}
    assert dict(tally.kept) == {"code": 3}
    lenient = await book.tested(limit(0, "another", strict=False))
    assert counts(lenient) == {Change.UNCHANGED: 3}


async def test_policies_that_are_said_to_go_count_no_longer() -> None:
    book = await book_of(limit(10, "old"), amounts=(50, 5))
    tally = await book.tested(limit(100, "new"), without=("old",))
    assert counts(tally) == {Change.NO_LONGER_DENIED: 1, Change.UNCHANGED: 1}
    assert tally.policies["old"].changes == {Change.NO_LONGER_DENIED: 1}
    assert not tally.policies["old"].is_tested
    assert not tally.kept


async def test_a_policy_that_no_longer_applies_says_nothing_any_more() -> None:
    book = await book_of(limit(10), amounts=(50,))
    for selector in (Selector(actions=("transfer_*",)), Selector(labels=("sox",)), Selector(risk="high")):
        assert counts(await book.tested(limit(10, applies_to=selector))) == {Change.NO_LONGER_DENIED: 1}
    assert counts(await book.tested(limit(10, applies_to=Selector(actions=("pa*",))))) == {Change.UNCHANGED: 1}


async def test_whoever_asks_for_it_is_not_counted_among_those_who_may_decide() -> None:
    book = Book(asking(10, CFO, CEO))
    await book.act(amount=50, who=CFO)
    tally = await book.tested(asking(10, CFO, CEO))
    assert tally.asked == {Question.of([CEO]): 1}
    alone = await book.tested(asking(10, CFO))
    assert counts(alone) == {Change.NEWLY_DENIED: 1}
    assert "nobody can grant it" in alone.policies["ask"].failure


async def test_a_policy_that_fails_denies_as_it_would_in_earnest_and_is_named() -> None:
    book = await book_of(limit(100), amounts=(50, 51))
    tally = await book.tested(limit(100), ValidationPolicy(name="new", check=lambda action: action.total > 1))
    assert counts(tally) == {Change.NEWLY_DENIED: 2}
    assert tally.policies["new"].failed == 2
    assert "AttributeError" in tally.policies["new"].failure


async def test_the_policies_see_time_environment_labels_and_requester_as_recorded() -> None:
    seen: list[tuple[Any, ...]] = []

    @policy(name="look")
    async def look(action: Action, facts: Facts) -> bool:
        assert action.requester is not None
        who = action.requester
        seen.append((facts.now, facts.environment["name"], action.labels, who.id, who.roles, who.permissions))
        return True

    book = Book()
    await book.act(at=START + 7, environment={"name": "staging"}, labels=frozenset({"sox"}), amount=1)
    await book.tested(look)
    expected = (START + 7, "staging", frozenset({"sox"}), "alice@company.com", frozenset({"clerk"}), frozenset({"pay"}))
    assert seen == [expected]


async def test_what_only_records_is_not_asked() -> None:
    told: list[Any] = []
    audit = AuditPolicy(name="audit", logger=told.append)
    book = await book_of(audit, amounts=(50,))
    told.clear()
    assert counts(await book.tested(audit)) == {Change.UNCHANGED: 1}
    assert told == []


async def test_examples_are_few_and_counts_are_whole() -> None:
    book = await book_of(limit(100), amounts=(50,) * 20)
    tested = (await book.tested(limit(10))).policies["limit"]
    assert tested.changes == {Change.NEWLY_DENIED: 20}
    assert [one.execution_id for one in tested.examples[Change.NEWLY_DENIED]] == [f"run-{n}" for n in range(5)]


def test_two_policies_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="several policies called limit"):
        Backtest([limit(1), limit(2)])


# Shadow mode.


async def test_a_shadow_policy_says_what_it_would_and_changes_nothing() -> None:
    book = await book_of(limit(100), amounts=(50, 5))
    tally = await book.tested(limit(100), limit(10, "strict", mode="shadow"))
    assert counts(tally) == {Change.UNCHANGED: 2}
    assert tally.policies["strict"].said == {"deny": 1, "allow": 1}
    assert tally.policies["strict"].is_shadow


async def test_a_recorded_shadow_word_never_counted() -> None:
    book = await book_of(limit(10, mode="shadow"), amounts=(50,))
    assert counts(await book.tested(limit(10))) == {Change.NEWLY_DENIED: 1}
    assert counts(await book.tested(limit(10, mode="shadow"))) == {Change.UNCHANGED: 1}


async def test_a_policy_moved_into_shadow_no_longer_denies() -> None:
    book = await book_of(limit(10), amounts=(50,))
    assert counts(await book.tested(limit(10, mode="shadow"))) == {Change.NO_LONGER_DENIED: 1}


async def test_each_shadow_policy_is_asked_as_if_it_were_the_only_one() -> None:
    book = await book_of(amounts=(50, 50, 50))
    shadows = limit(10, "strict", mode="shadow"), RateLimitPolicy(1, "1h", name="rate", mode="shadow")
    tally = await book.tested(*shadows)
    assert tally.policies["strict"].said == {"deny": 3}
    assert tally.policies["rate"].said == {"allow": 1, "deny": 2}


# Rate limits and budgets.


async def test_rate_limits_are_counted_anew_in_the_order_and_time_of_recording() -> None:
    book = Book()
    for at in (0, 1, 2, 100, 101):
        await book.act(at=START + at, amount=1)
    tally = await book.tested(RateLimitPolicy(2, "60s", name="rate"))
    assert counts(tally) == {Change.UNCHANGED: 4, Change.NEWLY_DENIED: 1}
    assert [one.execution_id for one in tally.policies["rate"].examples[Change.NEWLY_DENIED]] == ["run-2"]


async def test_what_another_policy_denies_takes_no_token() -> None:
    book = await book_of(limit(100, "code"), amounts=(500, 50, 50))
    tally = await book.tested(RateLimitPolicy(1, "1h", name="rate"))
    assert counts(tally) == {Change.UNCHANGED: 2, Change.NEWLY_DENIED: 1}
    own = await book.tested(limit(20, "own"), RateLimitPolicy(1, "1h", name="rate"))
    assert own.policies["rate"].said == {}


async def test_budgets_are_spent_anew_and_come_back_with_their_window() -> None:
    book = Book()
    for at, amount in ((0, "60"), (1, "50"), (2, "40"), (3, "0.01"), (3601, "60")):
        await book.act(at=START + at, amount=Decimal(amount))
    tally = await book.tested(BudgetPolicy(100, "1h", name="budget"))
    denied = [one.execution_id for one in tally.policies["budget"].examples[Change.NEWLY_DENIED]]
    assert denied == ["run-1", "run-3"]


async def test_a_budget_that_denied_before_may_deny_others_now() -> None:
    book = Book(BudgetPolicy(100, "1h", name="budget"))
    for amount in (80, 30, 20):
        await book.act(amount=amount)
    tally = await book.tested(BudgetPolicy(115, "1h", name="budget"))
    assert dict(tally.moves) == {("deny", "allow"): 1, ("allow", "deny"): 1}


# What is not recorded.


async def test_a_policy_that_needs_a_hidden_value_leaves_the_action_unjudged() -> None:
    book = Book()
    await book.act(amount=50, pin="1234")
    await book.act(amount=50, card={"card_number": "4111111111111111", "country": "DE"})
    needy = ValidationPolicy(name="needy", check=lambda action: action.arguments.get("pin", "") != "0000")
    tally = await book.tested(needy)
    assert counts(tally) == {Change.UNJUDGED: 1, Change.UNCHANGED: 1}
    assert dict(tally.missing) == {"pin": 1}
    assert tally.policies["needy"].unjudged == 1
    nested = ValidationPolicy(name="nested", check=lambda action: action.arguments.get("card", {}).get("card_number"))
    assert dict((await book.tested(nested)).missing) == {"card.card_number": 1}


async def test_a_policy_that_does_not_look_at_what_is_hidden_is_judged() -> None:
    book = Book(limit(100))
    await book.act(amount=50, pin="1234", card={"card_number": "4111", "country": "DE"})
    country = ValidationPolicy(name="country", check=lambda action: action.card["country"] == "DE")
    assert counts(await book.tested(limit(10), country)) == {Change.NEWLY_DENIED: 1}


async def test_a_denial_that_stands_anyway_needs_no_hidden_value() -> None:
    book = Book()
    await book.act(amount=50, pin="1234")
    needy = ValidationPolicy(name="needy", check=lambda action: action.pin != "0000")
    assert counts(await book.tested(needy, limit(10))) == {Change.NEWLY_DENIED: 1}


@dataclass(frozen=True, kw_only=True)
class Pin(Policy):
    """A policy whose fingerprint tells one setting from another."""

    forbidden: str

    def evaluate(self, action: Action, facts: Facts) -> Decision:
        return self.deny("bad") if action.pin == self.forbidden else self.allow()


async def test_the_very_same_policy_is_taken_at_its_recorded_word() -> None:
    book = Book(Pin(name="pin", forbidden="1234"))
    await book.act(pin="1234")
    assert counts(await book.tested(Pin(name="pin", forbidden="1234"))) == {Change.UNCHANGED: 1}
    assert counts(await book.tested(Pin(name="pin", forbidden="9999"))) == {Change.UNJUDGED: 1}


async def test_a_call_that_keeps_no_state_is_judged_only_by_what_looks_at_no_argument() -> None:
    book = Book()
    await book.act(amount=50, captured=False)
    tally = await book.tested(limit(10))
    assert dict(tally.missing) == {"arguments (not captured)": 1}
    clerk = policy(name="clerk")(lambda action, facts: action.requester == Principal(CFO))
    assert counts(await book.tested(clerk)) == {Change.NEWLY_DENIED: 1}


async def test_a_call_without_parameters_is_not_taken_for_one_that_keeps_no_state() -> None:
    book = Book()
    await book.act("restart")
    empty = policy(name="empty")(lambda action, facts: not action.arguments)
    assert counts(await book.tested(empty)) == {Change.UNCHANGED: 1}


@pytest.mark.parametrize(
    "read",
    [
        lambda action: action.arguments["token"],
        lambda action: action.arguments.get("token"),
        lambda action: dict(action.arguments),
        lambda action: list(action.arguments.values()),
        lambda action: action.token,
        lambda action: action.arguments == {"token": "x"},
    ],
)
async def test_a_value_is_missed_however_it_is_read_and_whatever_is_made_of_the_error(
    read: Callable[[Action], Any],
) -> None:
    @policy(name="careless")
    def careless(action: Action, facts: Facts) -> bool:
        try:
            read(action)
        except Exception:  # noqa: BLE001 - that is what is careless
            return True
        return True

    book = Book()
    await book.act(token="hush-hush")
    assert counts(await book.tested(careless)) == {Change.UNJUDGED: 1}


@pytest.mark.parametrize("value", [b"bytes", "x" * 30_000, object(), ["fine", {"pin": "1234"}], 1 << 5000])
async def test_what_a_record_cuts_or_cannot_show_is_missed_too(value: Any) -> None:
    book = Book()
    await book.act(thing=value)
    look = policy(name="look")(lambda action, facts: action.thing is not None)
    assert counts(await book.tested(look)) == {Change.UNJUDGED: 1}


@pytest.mark.parametrize("value", [None, "", "nonsense", "[]", "{}", '{"action": {"name": "pay"}}', '{"action": 5}'])
async def test_a_record_that_cannot_be_read_is_counted_and_not_guessed(value: str | None) -> None:
    test = Backtest([limit(10)])
    await test.add(Event("run", "policy.evaluated", START, name="pay", value=value))
    assert counts(test.tally) == {Change.UNJUDGED: 1}
    assert dict(test.tally.missing) == {"its whole record (not readable)": 1}


async def test_a_requester_whose_name_holds_a_secret_is_not_guessed() -> None:
    book = Book()
    await book.act(amount=50)
    hidden = json.loads(book.events[0].value or "")
    hidden["action"]["requester"]["id"] = "[redacted]@company.com"
    book.events[0] = book.events[0]._replace(value=json.dumps(hidden))
    assert counts(await book.tested(limit(10))) == {Change.UNJUDGED: 1}


# The types of values.


async def test_decimals_and_moments_are_what_they_were() -> None:
    @policy(name="exact")
    def exact(action: Action, facts: Facts) -> bool:
        return bool(action.amount == Decimal("0.30") and action.due > datetime(2030, 1, 1, tzinfo=UTC))

    book = Book(exact)
    await book.act(amount=Decimal("0.3"), due=datetime(2030, 5, 1, tzinfo=UTC))
    assert counts(await book.tested(exact)) == {Change.UNCHANGED: 1}


@dataclass(frozen=True)
class Line:
    price: Decimal
    note: str


async def test_criteria_judge_recorded_values_as_they_judged_the_real_ones() -> None:
    big = When(Threshold("order.lines.0.price", above="99.95"), then="deny", name="big")
    book = Book(big)
    assert await book.act(order={"lines": [Line(Decimal("99.96"), "12")]}) == "deny"
    assert await book.act(order={"lines": [Line(Decimal("99.95"), "12")]}) == "allow"
    assert counts(await book.tested(big)) == {Change.UNCHANGED: 2}


def test_only_values_that_json_turns_into_texts_have_a_kind() -> None:
    line = Line(Decimal(1), "1")
    values = {"lines": [line, line], "mixed": [Decimal(1), "1"], "note": "2", "at": datetime(2030, 1, 1, tzinfo=UTC)}
    assert kinds_of(values) == {"lines.*.price": "decimal", "at": "datetime"}
    assert kinds_of({"note": "2", "count": 1}) == {}


@given(
    st.dictionaries(
        st.text("ab.*", max_size=3),
        st.recursive(
            st.decimals(allow_nan=False, allow_infinity=False, places=2) | st.text(max_size=3) | st.integers(),
            lambda inside: (
                st.lists(inside, max_size=3) | st.dictionaries(st.text("ab.", max_size=2), inside, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_reviving_never_fails_and_turns_no_text_into_something_else(values: dict[str, Any]) -> None:
    kinds = kinds_of(values)
    back = revived(_texts(values), kinds)
    assert _texts(back) == _texts(values)


def _texts(value: Any) -> Any:
    match value:
        case dict():
            return {name: _texts(one) for name, one in value.items()}
        case list():
            return [_texts(one) for one in value]
        case Decimal():
            return str(value)
        case _:
            return value


# What reviewing costs.


def test_verdicts_are_shared_among_those_who_may_give_them() -> None:
    pace = Pace({CFO: Habit(5, 600.0, 60.0), CEO: Habit(5, 1200.0, 120.0)})
    one_of_two, both = Question.of([CFO, CEO]), Question.of([CFO, CEO], 2)
    load = load_of(Counter({one_of_two: 10, both: 1}), pace)
    assert (load.questions, load.verdicts) == (11, 12)
    assert load.shares == {CFO: 6.0, CEO: 6.0}
    assert load.waiting == 10 * 600 + 1200
    assert load.looking == 6 * 60 + 6 * 120


def test_who_is_not_known_takes_the_median_of_the_others() -> None:
    pace = Pace({CFO: Habit(5, 100.0, 10.0), CEO: Habit(5, 300.0, None)})
    assert pace.of("role:finance") == Habit(0, 200.0, 10.0)
    assert pace.of(CEO.upper()).looking == 10.0


def test_without_a_recorded_pace_no_time_is_told() -> None:
    load = load_of(Counter({Question.of([CFO]): 1}), Pace())
    assert (load.verdicts, load.waiting, load.looking) == (1, None, None)


async def test_denied_actions_take_nobodys_time() -> None:
    book = await book_of(limit(100, "code"), asking(10), amounts=(500, 50))
    tally = await book.tested(asking(10))
    assert tally.asked_before == tally.asked == {Question.of([CFO]): 1}


# In a store.


async def test_what_a_runtime_has_recorded_can_be_tested(tmp_path: Path) -> None:
    @govern(policies=[asking(100), limit(1000)], labels=["money"])
    async def pay(amount: Decimal, password: str) -> str:
        return "paid"

    store = SqliteStore(tmp_path / "assent.db")
    async with Runtime(store=store) as runtime:
        for amount in ("50", "500", "5000"):
            handle = await runtime.start(pay, Decimal(amount), "swordfish")
            await runtime.engine.waiting(handle.id)
        (asked,) = await store.approvals()
        await cast(store, SystemClock(), asked.id, approver=CFO, decision="approve")
        seen: list[int] = []
        tally = await backtest(store, [asking(1000)], progress=lambda tally: seen.append(tally.actions))
        later = await backtest(store, [limit(1)], since=SystemClock().now() + 1)
        pace = await pace_of(store, asked.created_at)
    assert counts(tally) == {Change.NO_LONGER_ASKED: 1, Change.UNCHANGED: 2}
    assert tally.policies["ask"].examples[Change.NO_LONGER_ASKED] == [Example(asked.execution_id, "")]
    assert dict(tally.kept) == {"limit": 3}
    assert seen == [3]
    assert later.actions == 0
    assert pace.of(CFO).verdicts == 1
    assert pace.waiting is not None


# What must always hold.


def rule(most: int, name: int, asks: bool) -> Policy:
    return asking(most, name=f"r{name}") if asks else limit(most, f"r{name}")


def unique(rules: list[Policy]) -> list[Policy]:
    return list({one.name: one for one in rules}.values())


RULES = st.lists(st.builds(rule, st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=4).map(unique)
AMOUNTS = st.lists(st.integers(0, 5), max_size=6)


@given(RULES, AMOUNTS)
async def test_the_policies_that_were_in_force_change_nothing(rules: list[Policy], amounts: list[int]) -> None:
    book = await book_of(*rules, amounts=tuple(amounts))
    tally = await book.tested(*rules)
    assert counts(tally) == ({Change.UNCHANGED: len(amounts)} if amounts else {})


@given(RULES, RULES, AMOUNTS)
async def test_a_back_test_says_what_the_policies_themselves_say(
    before: list[Policy], after: list[Policy], amounts: list[int]
) -> None:
    recorded = await book_of(*before, amounts=tuple(amounts))
    test = Backtest(after, without=[one.name for one in before])
    found = [recorded_of(event) for event in recorded.events]
    outcomes = [(await test.compare(one)).outcome for one in found if one is not None]
    book = Book(*after)
    assert outcomes == [await book.act(amount=amount) for amount in amounts]


# Policy files.

FILE: dict[str, Any] = {
    "version": 1,
    "policies": [
        {"name": "ceiling", "type": "deny", "when": "args.amount > 100", "reason": "too much"},
        {"name": "cfo", "type": "approval", "approvers": [CFO], "when": "args.amount > 10"},
        {"name": "rate", "type": "rate_limit", "max_calls": 2, "window": "1h", "when": "args.amount > 1"},
    ],
}


async def test_policies_inside_of_others_take_part_as_they_do_in_earnest() -> None:
    policies = load_policies(FILE)
    book = await book_of(*policies, amounts=(500, 50, 1, 5, 5, 5))
    assert counts(await book.tested(*policies)) == {Change.UNCHANGED: 6}
    fresh = await (await book_of(amounts=(500, 50, 1, 5, 5, 5))).tested(*policies)
    assert counts(fresh) == {Change.NEWLY_DENIED: 3, Change.NEWLY_ASKED: 1, Change.UNCHANGED: 2}
    assert fresh.policies["rate"].said == {"allow": 2, "deny": 2}
    assert fresh.policies["cfo/when"].is_silent
    assert not fresh.policies["cfo"].is_silent


async def test_the_parts_of_a_recorded_policy_go_when_it_changes_its_form() -> None:
    book = await book_of(*load_policies(FILE), amounts=(50,))
    plain = {"name": "cfo", "type": "approval", "approvers": [CEO]}
    tally = await book.tested(*load_policies({"version": 1, "policies": [plain]}))
    assert counts(tally) == {Change.ASKED_OF_OTHERS: 1}
    assert set(tally.kept) == {"ceiling/when", "rate/when", "rate"}


async def test_the_very_same_rule_of_a_file_is_taken_at_its_recorded_word_with_its_parts() -> None:
    rule = {"name": "pin", "type": "approval", "approvers": [CFO], "when": "args.pin == '1234'"}
    other = {**rule, "when": "args.pin == '9999'"}
    file, changed = ({"version": 1, "policies": [one]} for one in (rule, other))
    book = Book(*load_policies(file))
    await book.act(pin="1234")
    await book.act(pin="4321")
    same = await book.tested(*load_policies(file))
    assert counts(same) == {Change.UNCHANGED: 2}
    assert same.asked == {Question.of([CFO]): 1}
    assert dict((await book.tested(*load_policies(changed))).missing) == {"pin": 2}


async def test_expressions_miss_only_what_they_ask_for() -> None:
    book = await book_of(amounts=())
    await book.act(amount=50, pin="1234")
    assert counts(await book.tested(*load_policies(FILE))) == {Change.NEWLY_ASKED: 1}

"""Previews: what people are shown, without secrets, at a bearable size, and whatever the function does."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import UsageError
from assent.governance import (
    Action,
    ApprovalPolicy,
    ApprovalRequest,
    ApprovalStage,
    AuditPolicy,
    Facts,
    RateLimitPolicy,
    Redaction,
    Ruling,
    SequentialApprovalPolicy,
    evaluate_all,
    govern,
    policy,
)
from assent.governance.previews import LONGEST, MOST_CHARACTERS, MOST_LINES, Preview, preview_of
from tests.governance.ground import Ground

ACTION = Action(name="wire", arguments={"amount": 5, "password": "hunter22"})
CFO = ApprovalPolicy(["cfo@company.com"])


def hush(text: str) -> str:
    return text.replace("hunter22", "[redacted]")


async def made(make: Any, redaction: Redaction | None = None) -> Preview:
    return Preview.from_facts(await preview_of(make, ACTION, redaction or Redaction(), hush))


async def ruled(*policies: Any, preview: Any, **facts: Any) -> Ruling:
    return await evaluate_all(policies, ACTION, Facts(now=0.0, **facts), preview=preview, hush=hush)


# Forms.


def test_a_text_is_shown_as_it_is() -> None:
    assert Preview.text("Pays 5 EUR\nto\tBob").render() == "Pays 5 EUR\nto  Bob"


def test_a_table_is_aligned() -> None:
    rows = [{"name": "Bob", "amount": Decimal("5.10")}, {"name": "Alexandra", "note": None}]
    assert Preview.table(rows).render().split("\n") == ["name       amount  note", "Bob        5.10", "Alexandra"]
    assert Preview.table([("Bob", 5)], columns=["name", "amount"]).render() == "name  amount\nBob   5"
    assert Preview.table([]).render() == "(no rows)"
    assert Preview.table([{}]).render() == ""


def test_a_difference_shows_what_changes() -> None:
    before = {"limit": 5, "owner": {"name": "Bob"}}
    shown = Preview.diff(before, {"limit": 6, "owner": {"name": "Bob"}}).render().split("\n")
    assert shown[:2] == ["--- before", "+++ after"]
    assert [line for line in shown[2:] if line[0] in "+-"] == ["-  limit: 5", "+  limit: 6"]
    assert Preview.diff("same", "same").render() == "(no difference)"
    assert "-old" in Preview.diff("a\nold\n", "a\nnew\n").render()


def test_a_failure_shows_its_error() -> None:
    preview = Preview.failed(LookupError("no such account"))
    assert preview.has_failed
    assert preview.render() == "The preview failed: LookupError: no such account"


@dataclass
class Plan:
    steps: int
    token: str = "t0ken"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("pays", "pays"),
        (Preview.text("pays"), "pays"),
        ([{"to": "Bob"}, {"to": "Eve"}], "to\nBob\nEve"),
        ({"to": "Bob", "secret": 1}, "field   value\nto      Bob\nsecret  [redacted]"),
        (Plan(3), "field  value\nsteps  3\ntoken  [redacted]"),
        ([], "[]"),
        (["one", "two"], "one\ntwo"),
        (5, "5"),
    ],
)
async def test_other_data_is_shown_too(value: Any, shown: str) -> None:
    async def later(action: Action) -> Any:
        return value

    assert (await made(lambda action: value)).render() == shown
    assert (await made(later)).render() == shown


PREVIEWS = st.one_of(
    st.builds(Preview.text, st.text(max_size=50)),
    st.builds(Preview.table, st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))),
    st.builds(Preview.diff, st.text(max_size=50), st.text(max_size=50)),
    st.builds(Preview.diff, st.dictionaries(st.text(), st.integers()), st.dictionaries(st.text(), st.integers())),
)


@given(PREVIEWS)
def test_what_is_stored_is_shown_as_what_was_made(preview: Preview) -> None:
    facts = json.loads(json.dumps(preview.to_facts()))
    assert Preview.from_facts(facts).to_facts() == facts
    assert Preview.from_facts(facts).render() == preview.render()


@pytest.mark.parametrize(
    "facts",
    [{}, {"kind": "video"}, {"kind": []}, {"kind": "text"}, {"kind": "text", "text": 5}, {"kind": "diff"},
     {"kind": "table", "rows": 5, "columns": 5}, {"kind": "table", "rows": [[1], "x", {}], "cut": 3}],
    ids=json.dumps,
)  # fmt: skip
def test_stored_facts_that_were_damaged_can_still_be_shown(facts: Any) -> None:
    assert isinstance(Preview.from_facts(facts).render(), str)


# Hostile contents.

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u200b\r\x9b31m\u2028"


@pytest.mark.parametrize(
    "preview",
    [
        Preview.text(ESCAPES),
        Preview.table([{ESCAPES: ESCAPES + "\nforged  row"}]),
        Preview.diff(ESCAPES, ""),
        Preview.diff({ESCAPES + "\n+forged": 1}, {}),
        Preview.failed(ValueError(ESCAPES)),
        Preview("text", {"text": "pays", "cut": ESCAPES}),
    ],
)
def test_nothing_that_is_shown_disturbs_a_terminal_or_looks_like_something_else(preview: Preview) -> None:
    shown = preview.render()
    assert "\\x1b[2J" in shown
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "\nforged" not in shown
    assert "\n+forged" not in shown


def test_half_a_character_can_be_stored() -> None:
    facts = Preview.text("\ud800").to_facts()
    assert json.dumps(facts).encode()
    assert facts["text"] == "\\ud800"


def numbered(rows: int) -> list[dict[str, int]]:
    return [{"number": number} for number in range(rows)]


@pytest.mark.parametrize(
    ("preview", "marker"),
    [
        (Preview.text("x" * 10**6), "1,000,000 characters in all"),
        (Preview.text("x\n" * 10_000), "20,000 characters in all"),
        (Preview.table(numbered(5_000)), "5,000 rows in all"),
        (Preview.table({"number": number} for number in count()), "more rows"),
        (Preview.table([{"text": "x" * 10**6}] * 100), "100 rows in all"),
        (Preview.table([{str(number): number for number in range(200)}]), "200 columns in all"),
        (Preview.diff("x\n" * 5_000, "y\n" * 5_000), "only 1,000 of 5,001 lines were compared"),
        (Preview.diff("x\n" * 900, "y\n" * 900), "lines in all"),
    ],
)
def test_what_is_too_large_is_cut_and_says_so(preview: Preview, marker: str) -> None:
    facts = preview.to_facts()
    assert len(json.dumps(facts)) < 2 * MOST_CHARACTERS
    assert marker in facts["cut"]
    shown = preview.render()
    assert shown.endswith(f"[cut: {facts['cut']}]")
    assert shown.count("\n") <= MOST_LINES + 1
    assert Preview.from_facts(facts).to_facts() == facts


def test_a_long_line_says_that_it_is_cut() -> None:
    shown = Preview.diff("x" * 10_000, "").render()
    assert "[cut: 10,001 characters in all]" in shown
    assert len(shown) < 2 * LONGEST


def test_worst_differences_take_no_long_time() -> None:
    lines = [f"{number % 7}{number}" for number in range(1_000)]
    assert Preview.diff("\n".join(lines), "\n".join(reversed(lines))).to_facts()["lines"]


# Secrets.


@pytest.mark.parametrize(
    "preview",
    [
        Preview.text("with hunter22"),
        Preview.table([{"note": "with hunter22"}]),
        Preview.table([("hunter22",)], columns=["password"]),
        Preview.table([{"hunter22": 1}]),
        Preview.diff("hunter22", {"note": "hunter22"}),
        Preview.diff({"password": "other1234"}, {"password": "other4321"}),
        Preview.failed(ValueError("wrong: hunter22")),
        Preview.text("x" * (MOST_CHARACTERS - 4) + "hunter22"),
    ],
)
async def test_secrets_are_taken_out(preview: Preview) -> None:
    shown = json.dumps((await made(lambda action: preview)).to_facts())
    assert "hunt" not in shown
    assert "other" not in shown


async def test_what_policies_hide_is_hidden_in_previews() -> None:
    hidden = Redaction(["iban"])
    for preview in (
        Preview.diff({"iban": "DE1"}, {"iban": "DE2"}),
        Preview.table([{"iban": "DE1"}]),
        Preview.table([["DE1", "DE2"]], columns=["iban", "old iban"]),
        {"iban": "DE1"},
        [{"iban": "DE1"}],
    ):
        assert "DE" not in json.dumps((await made(lambda action, shown=preview: shown, hidden)).to_facts())


# Functions that misbehave.


class Odd(BaseException):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1), StopIteration(), Odd(), RecursionError()])
async def test_whatever_a_preview_raises_is_shown(error: BaseException) -> None:
    def at_once(action: Action) -> Any:
        raise error

    async def later(action: Action) -> Any:
        raise error

    for make in (at_once, later):
        preview = await made(make)
        assert preview.has_failed
        assert preview.render().startswith("The preview failed: ")


async def test_none_is_no_preview() -> None:
    assert "it returned None" in (await made(lambda action: None)).render()


async def test_a_preview_that_hangs_is_given_up() -> None:
    async def hangs(action: Action) -> Any:
        await asyncio.Event().wait()

    assert "it took longer than 30 s" in (await made(hangs)).render()


async def test_a_preview_that_is_no_coroutine_does_not_hold_up_the_loop() -> None:
    threads: list[int] = []

    def make(action: Action) -> str:
        threads.append(threading.get_ident())
        return "seen"

    assert (await made(make)).render() == "seen"
    assert threads != [threading.get_ident()]


async def test_a_cancelled_call_is_not_a_preview_that_failed() -> None:
    started = asyncio.Event()

    async def hangs(action: Action) -> Any:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(made(hangs))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_endless_table_ends() -> None:
    def endless() -> Iterator[list[int]]:
        while True:
            yield [1]

    assert (await made(lambda action: Preview.table(endless()))).to_facts()["cut"] == "more rows"


# In a ruling.


async def test_it_is_made_once_and_bound_into_every_question() -> None:
    times: list[str] = []

    def make(action: Action) -> str:
        times.append(action.name)
        return "pays 5 with hunter22"

    stages = SequentialApprovalPolicy([ApprovalStage("one", ["a@x"]), ApprovalStage("two", ["b@x"])])
    ruling = await ruled(CFO, stages, preview=make)
    requests = [request for series in ruling.requests for request in series]
    assert times == ["wire"]
    assert len(requests) == 3
    assert all(request.preview == ruling.preview for request in requests)
    assert ruling.preview == {"kind": "text", "text": "pays 5 with [redacted]"}
    other = await ruled(CFO, preview=lambda action: "pays 6")
    assert other.requests[0][0].digest() != requests[0].digest()


@pytest.mark.parametrize(
    "policies",
    [
        [],
        [AuditPolicy()],
        [CFO, policy(name="no")(lambda action, facts: False)],
        [ApprovalPolicy(["cfo@company.com"], auto_approve=lambda action: True)],
    ],
    ids=len,
)
async def test_it_is_made_only_if_people_are_to_be_asked(policies: list[Any]) -> None:
    times: list[str] = []
    ruling = await ruled(*policies, preview=lambda action: times.append("now"))
    assert (times, ruling.preview) == ([], {})


async def test_what_people_were_shown_must_be_what_is_asked_at_the_moment_of_the_effect() -> None:
    ruling = await ruled(CFO, preview=lambda action: "pays 5")
    granted = frozenset(request.digest() for (request,) in ruling.requests)
    late: dict[str, Any] = {"evaluated_at": 0.0, "granted": granted}
    facts = Facts(now=1.0, preview=ruling.preview, **late)
    assert (await evaluate_all([CFO], ACTION, facts)).outcome == "allow"
    for shown in ({}, {"kind": "text", "text": "pays 6"}):
        assert (await evaluate_all([CFO], ACTION, Facts(now=1.0, preview=shown, **late))).outcome == "deny"


def fails(action: Action) -> str:
    raise LookupError("no such account")


async def test_a_failed_preview_is_shown_or_denies_as_the_policy_says() -> None:
    ruling = await ruled(CFO, preview=fails)
    assert ruling.outcome == "ask"
    assert ruling.requests[0][0].preview == {"kind": "error", "text": "LookupError: no such account"}
    strict = ApprovalPolicy(["cfo@company.com"], on_preview_error="deny")
    stage = ApprovalStage("one", ["a@x"], on_preview_error="deny")
    for asking in (strict, SequentialApprovalPolicy([stage])):
        ruling = await ruled(asking, preview=fails)
        assert "no such account" in ruling.denial().reason
        assert (await ruled(asking, preview=lambda action: "pays")).outcome == "ask"
        assert (await ruled(asking, preview=None)).outcome == "ask"


async def test_a_stage_that_is_not_asked_needs_no_preview() -> None:
    spared = ApprovalStage("one", ["a@x"], on_preview_error="deny", auto_approve=lambda action: True)
    asking = SequentialApprovalPolicy([spared, ApprovalStage("two", ["b@x"])])
    assert (await ruled(asking, preview=fails)).outcome == "ask"


async def test_a_preview_that_denies_uses_nothing_up() -> None:
    taken: list[str] = []

    async def admit(key: str, rate: float, burst: int) -> float:
        taken.append(key)
        return 0.0

    strict = ApprovalPolicy(["cfo@company.com"], on_preview_error="deny")
    assert (await ruled(RateLimitPolicy(5), strict, preview=fails, admit=admit)).outcome == "deny"
    assert taken == []


async def test_people_see_it_with_the_approval_and_no_secret_reaches_the_disk(ground: Ground) -> None:
    async def show(action: Action) -> Preview:
        return Preview.diff({"balance": 10, "pin": "old pin 1"}, {"balance": 5, "note": f"with {action.passphrase}"})

    @govern([ApprovalPolicy(["cfo@company.com"])], preview=show)
    async def pay(amount: int, passphrase: str) -> str:
        return "paid"

    async with ground.runtime() as runtime:
        handle = await runtime.start(pay, 5, "hunter22!")
        (approval,) = await ground.asked(runtime)
        shown = Preview.from_facts(ApprovalRequest.from_text(approval.request).preview).render()
        assert "-  balance: 10\n" in shown
        assert '+  note: "with [redacted]"' in shown
        assert "hunter22!" not in ground.shown()
        assert "old pin 1" not in ground.shown()
        await ground.decide(runtime)
        assert await handle.result() == "paid"


def test_a_call_that_keeps_no_state_has_no_preview() -> None:
    with pytest.raises(UsageError, match="capture_state=False"):
        govern(preview=fails, capture_state=False)
    with pytest.raises(UsageError, match="cannot be called"):
        govern(preview="pays 5")  # type: ignore[arg-type]  # what must be refused
    with pytest.raises(UsageError, match="on_preview_error"):
        ApprovalPolicy(["a@x"], on_preview_error="ignore")  # type: ignore[arg-type]  # what must be refused

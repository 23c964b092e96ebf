"""`assent mandates`: one approval for a bounded series, what is left of it, and its end."""

import pytest

from tests.cli.conftest import Shell, ask, line_with

BOSS, ALICE = "boss@company.com", "alice@company.com"
TOLD = """
import sys

from assent import Runtime
from assent.notify import ConsoleChannel
from treasury import refund

runtime = Runtime(channels=[ConsoleChannel(file=sys.stderr)])
"""
ASK = ("mandates", "ask", "refund", "--approver", BOSS, "--until", "8h", "--as", ALICE)


def mandate(treasury: Shell, *options: str) -> str:
    """A mandate that was asked for and given."""
    asked = treasury.read(*ASK, *options)
    assert asked["status"] == "pending"
    treasury("approve", asked["approval_id"], "--as", BOSS)
    return str(asked["approval_id"])


def refund(treasury: Shell, amount: str, customer: str = "kim", code: int = 0) -> None:
    arguments = ("--arg", f"amount={amount}", "--arg", f"customer={customer}")
    treasury("run", "treasury.py:refund", *arguments, "--as", ALICE, code=code)


def test_it_is_asked_for_like_any_approval(treasury: Shell) -> None:
    said = treasury(*ASK, "--count", "3", "--total", "100.50", "--only", 'customer == "kim"', "--title", "May")
    assert "at most 3 times, at most 100.5 of amount in all" in said
    (asked,) = treasury.read("mandates", "list")
    assert f"decide     assent approve {asked['id']} --as WHO" in said
    assert (asked["status"], asked["in_force"], asked["count_left"]) == ("pending", False, 3)
    assert "mandate for May" in treasury("approvals")
    assert f"{ALICE} asked for" in treasury.error("approve", asked["id"], "--as", ALICE, code=5)


def test_it_is_drawn_on_and_what_does_not_fit_asks(treasury: Shell) -> None:
    given = mandate(treasury, "--count", "3", "--total", "100.50", "--only", 'customer in ["kim", "lee"]')
    refund(treasury, "60.25")
    refund(treasury, "40.26", code=75)
    refund(treasury, "1", "max", code=75)
    (left,) = treasury.read("mandates", "list", "--action", "refund")
    assert (left["in_force"], left["count_left"], left["total_left"]) == (True, 2, "40.25")
    (draw,) = treasury.read("mandates", "show", given[:20])["draws"]
    assert draw["amount"] == "60.25"
    assert treasury.read("show", draw["execution_id"])["result"] == "60.25 to kim"
    assert draw["execution_id"] in treasury("mandates", "show", given)


def test_what_is_left_of_it_is_taken_back(treasury: Shell) -> None:
    given = mandate(treasury, "--count", "3", "--total", "100.50", "--only", 'customer in ["kim", "lee"]')
    line = treasury("mandates", "list").splitlines()[1]
    assert "in force  refund" in line
    assert "3 of 3 times, 100.5 of 100.5" in line
    assert 'given by boss@company.com · only if customer in ["kim", "lee"]' in line
    assert "is revoked" in treasury("mandates", "revoke", given, "--as", BOSS, "--reason", "enough")
    assert treasury("mandates", "list") == "No mandate is in force or asked for.\n"
    assert [each["status"] for each in treasury.read("mandates", "list", "--all")] == ["revoked"]
    refund(treasury, "1", code=75)


def test_any_worker_finishes_the_question(treasury: Shell) -> None:
    worker = treasury.worker("app.py")
    name = mandate(treasury, "--count", "1")
    line_with(f'completed "{name}"', worker)
    assert "has not granted" in treasury.error("mandates", "revoke", name, "--as", "bob@company.com", code=5)


def test_a_function_is_asked_for_with_the_runtime_of_its_file(treasury: Shell) -> None:
    (treasury.folder / "told.py").write_text(TOLD)
    asked = treasury.read("mandates", "ask", "told.py:refund", "--approver", BOSS, "--until", "1h", "--count", "1")
    assert treasury.read("approvals", "show", asked["approval_id"])["channels"] == ["console"]
    (notice,) = treasury.read("notifications", "list")
    assert notice["approval_id"] == asked["approval_id"]


def test_how_people_decide_is_part_of_the_question(treasury: Shell) -> None:
    rules = ("--approver", "role:finance", "--quorum", "all", "--exclude", "eve@company.com", "--require-reason")
    asked = treasury.read(*ASK, "--total", "5", "--amount", "sum.net", "--within", "2h", *rules)
    facts = treasury.read("approvals", "show", asked["approval_id"])
    request = facts["request"]
    assert (request["each"], request["require_reason"], request["excluded"]) == (True, True, ["eve@company.com"])
    assert (request["kind"], request["terms"]["amount"], request["terms"]["total"]) == ("mandate", "sum.net", "5")
    assert "(in 2 h)" in treasury("approvals", "show", asked["approval_id"])
    assert "needs a reason" in treasury.error("approve", asked["approval_id"], "--as", BOSS, "--reason", "", code=5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Give count=, total= or both"),
        (["--count", "0"], "must be a whole number of at least 1"),
        (["--total", "much"], "--total='much' is no amount"),
        (["--count", "1", "--only", "x ~ 1"], "Write PATH OP VALUE"),
        (["--count", "1", "--quorum", "3"], "does not fit 1 approvers"),
        (["--count", "1", "--quorum", "most"], "Give a whole number, or all"),
        (["--count", "1", "--until", "2001-01-01"], "is over already"),
        (["--count", "1", "--within", "soon"], "is not a duration"),
    ],
)
def test_a_question_that_makes_no_sense_starts_nothing(desk: Shell, options: list[str], words: str) -> None:
    assert words in desk.error(*ASK, *options, code=2)
    assert {each["name"] for each in desk.read("executions")} == {"buy"}


def test_what_is_no_mandate_is_told(treasury: Shell) -> None:
    approval = ask(treasury, "buy", "item=chair")
    assert "is an approval of one action" in treasury.error("mandates", "show", approval, code=2)
    assert "is an approval of one action" in treasury.error("mandates", "revoke", approval, "--as", BOSS, code=2)
    assert "There is no approval 'zzz'" in treasury.error("mandates", "show", "zzz", code=3)
    assert treasury("mandates", "list", "--all") == "There is none.\n"


def test_asking_makes_no_store(assent: Shell) -> None:
    assert "There is no store" in assent.error(*ASK, "--count", "1", code=9)
    assert not (assent.folder / "assent.db").exists()

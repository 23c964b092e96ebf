"""`assent approvals`, and verdicts with conditions and changes, on many at once, and taken back."""

import os
import pty
import subprocess
import sys

import pytest

from tests.cli.conftest import PATIENCE, Shell, ask, line_with
from tests.cli.treasury import ODD

CFO, FIN, BOSS, CEO = "cfo@company.com", "fin@company.com", "boss@company.com", "ceo@company.com"


@pytest.fixture(scope="module")
def payment(desk: Shell) -> str:
    """An approval that nobody decides."""
    return ask(desk, "pay", "amount=5", "supplier=acme")


def test_show_tells_who_decides_and_what_would_happen(office: Shell) -> None:
    approval = ask(office, "pay", "amount=25000", f"supplier={ODD}")
    text = office("approvals", "show", approval[:13], "--as", FIN)
    for part in (
        "pay  pending",
        " by alice@company.com",
        "approvers     2 of role:finance, cfo@company.com",
        "still needed  2 of 2",
        "excluded      eve@company.com",
        "it is put to ceo@company.com or coo@company.com, then it is put to role:board, then it is rejected",
        "risk          high",
        "labels        payment",
        'amount = "25000"',
        "What it would do",
        "-  left: 90000",
        "+  left: 65000",
        "fin@company.com may decide, for role:finance",
    ):
        assert part in text
    assert text.count("(in 1 h)") == 1
    assert {each for each in text if not each.isprintable()} == {"\n"}
    assert "\\u001b[2J\\u202eodd" in text
    facts = office.read("approvals", "show", approval)
    assert facts["request"]["preview"]["kind"] == "diff"
    assert facts["request"]["escalate_to"] == [[CEO, "coo@company.com"], ["role:board"]]
    assert (facts["votes"], facts["missing"], facts["channels"]) == (0, 2, [])


def test_show_says_who_may_not_decide(office: Shell) -> None:
    approval = ask(office, "pay", "amount=5", "supplier=acme")
    for person in ("alice@company.com", "eve@company.com", "bob@company.com"):
        assert f"{person} may not decide it" in office("approvals", "show", approval, "--as", person)
    office("approve", approval, "--as", FIN)
    assert f"{FIN} has said approve" in office("approvals", "show", approval, "--as", FIN)
    assert "There is no approval 'zzz'" in office.error("approvals", "show", "zzz", code=3)


def test_list_is_what_the_bare_name_does(office: Shell) -> None:
    assert office.read("approvals") == office.read("approvals", "list")
    assert office.read("approvals", "--status", "granted") == office.read("approvals", "list", "--status", "granted")
    assert "No such command 'lst'" in office.error("approvals", "lst", code=2)


def test_an_executions_reminders_are_no_timers_of_its_own(office: Shell) -> None:
    approval = ask(office, "pay", "amount=5", "supplier=acme")
    waits = {each["name"]: each["waits_for"] for each in office.read("executions")}["pay"]
    assert [wait.partition(" by ")[0] for wait in waits] == [f"approval {approval}"]


def test_a_look_and_its_length_are_in_the_statistics(office: Shell) -> None:
    approval = ask(office, "pay", "amount=5", "supplier=acme")
    office("approvals", "show", approval, "--as", FIN)
    office("approve", approval, "--as", FIN)
    office("reject", approval, "--as", "bob@company.com", code=5)
    found = {one["approver"]: one for one in office.read("approvals", "stats")}
    assert (found[FIN]["verdicts"], found[FIN]["approvals"], found[FIN]["current_streak"]) == (1, 1, 1)
    assert 0 < found[FIN]["median_dwell"] == found[FIN]["least_dwell"] < found[FIN]["median_decision"] < PATIENCE
    assert (found[BOSS]["waiting"], found[CFO]["waiting"], found["bob@company.com"]["refused"]) == (1, 1, 1)
    text = office("approvals", "stats", "--since", "1d")
    assert "decides in" in text
    assert "approvals in a row: 1, at most 1" in text
    later = office.read("approvals", "stats", "--since", "2999-01-01")
    assert {one["approver"]: one["verdicts"] for one in later} == {BOSS: 0, CEO: 0, CFO: 0}
    assert "neither a duration" in office.error("approvals", "stats", "--since", "soon", code=2)


def test_a_reminder_is_noted_and_says_whom_to_tell(office: Shell) -> None:
    approval = ask(office, "pay", "amount=5", "supplier=acme")
    assert "Tell them: cfo@company.com, fin@company.com" in office("approvals", "remind", approval)
    execution = office.read("approvals", "show", approval)["execution_id"]
    assert "policy.approval.reminded" in office("events", execution)
    for person in (FIN, CFO):
        office("approve", approval, "--as", person)
    assert f"{approval} is granted, so nobody can be reminded" in office.error("approvals", "remind", approval, code=2)


# One verdict


def test_an_approver_edits_the_action_and_conditions_carry_over(office: Shell) -> None:
    approval = ask(office, "pay", "amount=25000", "supplier=acme")
    said = office("approve", approval, "--as", FIN, "--if", "amount <= 20000")
    assert "it does not meet amount <= 20000" in said
    assert "0 of 2 have approved" in said
    assert "approve for role:finance if amount <= 20000, does not count now" in office("approvals", "show", approval)
    said = office("approve", approval, "--as", CFO, "--change", "amount=18000.50", "--reason", "too much")
    assert 'is amended, with amount = "18000.50"' in said
    worker = office.worker("treasury.py")
    line_with('completed "18000.50 to acme in 30 days, None"', worker)
    edited = office.read("approvals", "--status", "granted")[0]
    assert edited["request"]["arguments"]["amount"] == "18000.50"
    assert [(one["approver"], one["counts"]) for one in edited["verdicts"]] == [(CFO, True), (FIN, True)]
    (before,) = office.read("approvals", "--status", "amended")
    assert [(one["counts"], one["changes"]) for one in before["verdicts"]] == [
        (False, None),
        (True, {"amount": "18000.50"}),
    ]


def test_changes_take_the_form_of_what_they_replace(office: Shell) -> None:
    approval = ask(office, "pay", "amount=5", "supplier=acme")
    office("approve", approval, "--as", CFO, "--change", "supplier=7", "--change", "days=60", "--change", "note=soon")
    worker = office.worker("treasury.py")
    line_with("suspended", worker)
    (asked,) = [each for each in office.read("approvals") if each["request"]["action"] == "pay"]
    assert asked["request"]["arguments"] == {"amount": "5", "supplier": "7", "days": 60, "note": "soon"}


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--change", "amount"], "is no change. Write --change name=value", 2),
        (["--change", "days=many"], "The new value of days 'many' is no JSON", 2),
        (["--change", "colour=red"], "pay has no argument 'colour'; it has amount, supplier, days, note", 5),
        (["--change", "amount=5"], "the changes change nothing", 5),
        (["--if", "amount ~ 5"], "Write PATH OP VALUE", 2),
        (["--if", "amount < 9", "--change", "amount=7"], "go with a plain approval", 2),
    ],
)
def test_a_verdict_that_makes_no_sense_is_one_line(
    desk: Shell, payment: str, options: list[str], words: str, code: int
) -> None:
    assert words in desk.error("approve", payment, "--as", CFO, *options, code=code)
    assert desk.read("approvals", "show", payment)["status"] == "pending"


def test_all_of_them_must_approve_and_it_shows_who_is_missing(office: Shell) -> None:
    approval = ask(office, "sell", "item=lamp")
    assert "boss@company.com and cfo@company.com, 0 of 2 so far" in office("approvals")
    office("approve", approval, "--as", CFO)
    assert "still needed  1 of 2: boss@company.com" in office("approvals", "show", approval)
    (facts,) = office.read("approve", approval, "--as", BOSS)
    assert facts == {"approval_id": approval, "status": "granted", "refusal": None, "votes": 2, "missing": 0}


def test_what_was_said_can_be_taken_back_until_it_is_acted_upon(office: Shell) -> None:
    approval = ask(office, "sell", "item=lamp")
    assert "has said nothing" in office.error("revoke", approval, "--as", CFO, code=5)
    office("approve", approval, "--as", CFO)
    assert "cfo@company.com takes back what they said; 0 of 2" in office("revoke", approval, "--as", CFO)
    for person in (CFO, BOSS):
        office("approve", approval, "--as", person)
    assert "is revoked" in office("revoke", approval, "--as", CFO, "--reason", "a better offer")
    worker = office.worker("treasury.py")
    line_with("was revoked by cfo@company.com: a better offer", worker)
    used = ask(office, "buy", "item=chair")
    office("approve", used, "--as", BOSS)
    line_with('completed "chair bought"', worker)
    assert "already acted upon" in office.error("revoke", used, "--as", BOSS, code=5)
    assert "acted upon" in office("approvals", "show", used)


# Many


def test_one_refused_verdict_stops_none_of_the_others(office: Shell) -> None:
    lamp = office.read("approvals")[0]["id"]
    asked = [lamp, ask(office, "sell", "item=lamp"), ask(office, "buy", "item=chair", who=BOSS)]
    done = office.run("approve", *asked, asked[0], "--as", BOSS, code=5)
    rows = [line.split()[:3] for line in done.stdout.splitlines()[1:4]]
    assert rows == [[asked[0], "granted", "buy"], [asked[1], "pending", "sell"], [asked[2], "refused", "buy"]]
    assert "boss@company.com asked for" in done.stdout
    assert "1 of 2 have approved" in done.stdout
    again = office.read("reject", *asked, "--as", BOSS, code=5)
    assert [each["refusal"] is None for each in again] == [False, False, False]
    assert [each["status"] for each in again] == ["granted", "pending", "pending"]


def test_unknown_approvals_are_told_before_anything_is_said(office: Shell) -> None:
    lamp = office.read("approvals")[0]["id"]
    assert "There is no approval 'zzz'" in office.error("approve", lamp, "zzz", "--as", BOSS, code=3)
    assert office.read("approvals", "show", lamp)["verdicts"] == []


def test_all_of_one_action_that_waits_for_somebody(office: Shell) -> None:
    ask(office, "buy", "item=chair")
    sale, own = ask(office, "sell", "item=lamp"), ask(office, "buy", "item=desk", who=BOSS)
    office("mandates", "ask", "buy", "--approver", BOSS, "--until", "1h", "--count", "9")
    everything = ("--all", "--action", "buy", "--as", BOSS)
    refused = office.error("approve", *everything, code=2)
    assert "2 approvals of buy would be decided" in refused
    assert "give --yes" in refused
    assert [each["status"] for each in office.read("approve", *everything, "--yes")] == ["granted", "granted"]
    assert {each["id"] for each in office.read("approvals")} > {sale, own}
    assert office("approve", *everything, "--yes") == "Nothing of buy waits for boss@company.com.\n"
    assert office.read("reject", *everything, "--yes") == []
    assert "belong together" in office.error("approve", "--all", "--as", BOSS, code=2)
    assert "belong together" in office.error("approve", sale, "--action", "sell", "--as", BOSS, code=2)
    assert "Name the approvals" in office.error("reject", "--as", BOSS, code=2)
    assert "edits one action" in office.error("approve", sale, own, "--as", BOSS, "--change", "item=x", code=2)


@pytest.mark.parametrize(("answer", "code", "status"), [("y", 0, "granted"), ("n", 130, "pending")])
def test_on_a_terminal_it_is_asked_whether_it_is_meant(office: Shell, answer: str, code: int, status: str) -> None:
    lamp, chair = office.read("approvals")[0]["id"], ask(office, "buy", "item=chair")
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal, "rb") as stdin:
        command = [sys.executable, "-m", "assent", "approve", "--all", "--action", "buy", "--as", BOSS]
        os.write(keyboard, f"{answer}\n".encode())
        done = subprocess.run(
            command,
            cwd=office.folder,
            env=office.environment,
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    os.close(keyboard)
    assert done.returncode == code, done.stderr
    assert 'item="chair"' in done.stderr
    assert "Approve these 2?" in done.stderr
    assert [office.read("approvals", "show", each)["status"] for each in (lamp, chair)] == [status, status]

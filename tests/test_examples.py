"""The examples do what they say, run as a reader would run them."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.interrupting import interruptible

# The demo starts five processes, one after another; on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(120)

EXAMPLES = Path(__file__).parent.parent / "examples"
DEMO = EXAMPLES / "financial_approval_system.py"
QUICKSTART = EXAMPLES / "quickstart.py"


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, *map(str, arguments)]


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder as from a shell, without what this test run has in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ASSENT_", "BANK_"))}
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )


def entries_of(ledger: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]


class Demo:
    """A run of the demo, with what it left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "transfers.db"
        self.ledger = folder / "transfers.ledger.jsonl"

    def command(self, *task: str) -> list[str]:
        return command(DEMO, *task, "--store", f"sqlite:///{self.store}")

    def run(self, *task: str) -> subprocess.CompletedProcess[str]:
        return run(self.folder, *self.command(*task)[1:])

    def copied_to(self, folder: Path) -> "Demo":
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Demo(folder)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def shown(demo: Demo) -> str:
    """What the demo prints."""
    done = demo.run()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.fixture
def kept(demo: Demo, shown: str, tmp_path: Path) -> Demo:
    """A copy of the demo's store and ledger, to tamper with."""
    return demo.copied_to(tmp_path)


def test_the_demo_answers_a_small_transfer_with_its_result_and_a_large_one_with_202(shown: str) -> None:
    answers = re.findall(r"the client gets (.+) after (\d+\.\d+) s", shown)
    assert [answer for answer, _ in answers] == ["200 OK", "202 Accepted", "202 Accepted"]
    assert all(float(seconds) >= least for (_, seconds), least in zip(answers, [2, 0.8, 0.8], strict=True))
    assert shown.count('"poll_url": "/api/v1/executions/') == 2
    assert shown.count("the client polls, and gets TXN-") == 2


def test_the_demo_kills_a_server_and_a_worker_and_sends_each_transfer_once(demo: Demo, shown: str) -> None:
    assert re.findall(r"(\w+) \(process \d+\) is killed: SIGKILL", shown) == ["server", "worker"]
    sent = [(entry["amount"], entry["recipient"]) for entry in entries_of(demo.ledger)]
    assert sent == [("5000", "Acme Corp"), ("50000", "BigCorp Industries"), ("75000", "Globex Ltd")]
    assert "3 transfers, each of them once. No event is missing." in shown


def test_the_demo_finishes_what_a_killed_server_has_left_and_does_not_repeat_what_a_killed_worker_did(
    demo: Demo, shown: str
) -> None:
    roles = {int(pid): role for role, pid in re.findall(r"▸ +(\w+) \(process (\d+)\) starts", shown)}
    killed = [int(pid) for pid in re.findall(r"\(process (\d+)\) is killed", shown)]
    senders = [entry["sent_by"] for entry in entries_of(demo.ledger)]
    assert [roles[sender] for sender in senders] == ["server", "server", "worker"]
    assert senders[0] == killed[0]
    assert senders[1] not in killed
    assert senders[2] == killed[1]


def test_the_demo_tells_approvers_by_mail_and_slack_and_they_decide_by_rest_link_and_button(shown: str) -> None:
    assert re.findall(r"E-MAIL to (\S+)", shown) == ["manager@company.com", "cfo@company.com", "cfo@company.com"]
    assert shown.count("SLACK to #treasury") == 3
    (decided_by,) = re.findall(r"│ Decided by +│ (\S+) +│ (\S+) +│ (\S+) +│", shown)
    assert decided_by == ("REST", "e-mail", "Slack")


def test_a_link_of_the_demo_decides_nothing_when_opened_and_is_good_once(shown: str) -> None:
    assert "opens the link in the e-mail: 200 OK, nothing is decided yet" in shown
    assert "the same link once more: 410 Gone" in shown


def test_the_demo_prints_nothing_that_lets_somebody_in(shown: str) -> None:
    assert "assent_" not in shown
    links = re.findall(r"/decide/\S+", shown)
    assert [len(link) for link in links] == [len("/decide/") + 13] * 3
    assert all(link.endswith("…") for link in links)


def test_the_demo_lists_its_events_in_the_order_of_their_times(shown: str) -> None:
    listed = re.findall(r"(\d\d:\d\d:\d\d\.\d{3}) +(…\w{6}) +([a-z_.]+)", shown)
    assert len({execution for _, execution, _ in listed}) == 3
    for execution in {execution for _, execution, _ in listed}:
        names = [name for _, of, name in listed if of == execution]
        asked, granted = names.index("policy.approval.requested"), names.index("policy.approval.granted")
        assert names.index("policy.validation.passed") < asked < granted < names.index("permit.consumed")
        assert (names[0], names[-1]) == ("execution.started", "execution.completed")


def test_the_demo_refuses_somebody_who_is_not_asked(shown: str) -> None:
    assert re.search(r"intern@company\.com approves by REST, .+: 409 Conflict, refused", shown)
    assert "policy.approval.refused" in shown


def test_the_demo_keeps_account_numbers_out_of_its_output_and_its_store(demo: Demo, shown: str) -> None:
    accounts = [entry["account_number"] for entry in entries_of(demo.ledger)]
    assert len(accounts) == 3
    with sqlite3.connect(demo.store) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert [account for account in accounts if account in shown or account in dump] == []


def test_a_kept_store_passes_the_check(kept: Demo) -> None:
    assert kept.run("check").returncode == 0


def test_the_check_finds_a_doubled_transfer(kept: Demo) -> None:
    lines = kept.ledger.read_text(encoding="utf-8").splitlines(keepends=True)
    kept.ledger.write_text("".join([*lines, lines[1]]), encoding="utf-8")
    checked = kept.run("check")
    assert checked.returncode == 1
    assert "is in the ledger 2 times" in checked.stdout


def test_the_check_finds_a_missing_transfer(kept: Demo) -> None:
    lines = kept.ledger.read_text(encoding="utf-8").splitlines(keepends=True)
    kept.ledger.write_text("".join(lines[:-1]), encoding="utf-8")
    checked = kept.run("check")
    assert checked.returncode == 1
    assert "is in the ledger 0 times" in checked.stdout


def test_the_check_finds_a_transfer_of_another_amount_and_one_that_nobody_asked_for(kept: Demo) -> None:
    first, second, third = entries_of(kept.ledger)
    changed = [first, {**second, "amount": "50001"}, third, {**third, "reference": "nobody", "transaction_id": "TXN-9"}]
    kept.ledger.write_text("".join(json.dumps(entry) + "\n" for entry in changed), encoding="utf-8")
    checked = kept.run("check")
    assert checked.returncode == 1
    assert "TXN-9 is in the ledger, and no execution knows of it" in checked.stdout
    assert "50001" in checked.stdout


@pytest.mark.parametrize("name", ["policy.approval.granted", "permit.consumed", "audit.logged"])
def test_the_check_finds_a_missing_event(kept: Demo, name: str) -> None:
    with sqlite3.connect(kept.store) as connection:
        connection.execute("DELETE FROM journal WHERE type = ?", [name])
    connection.close()
    checked = kept.run("check")
    assert checked.returncode == 1
    assert f"lacks the event {name}" in checked.stdout.replace("\n", "")


def test_the_demo_on_the_same_store_fails_for_just_the_transfer_that_is_doubled_meanwhile(kept: Demo) -> None:
    with subprocess.Popen(kept.command(), cwd=kept.folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if "SCENARIO 3" in line:
                entries = kept.ledger.read_text(encoding="utf-8").splitlines(keepends=True)
                kept.ledger.write_text("".join([*entries, entries[0]]), encoding="utf-8")
        assert process.wait() == 1
    assert len(entries_of(kept.ledger)) == 7
    assert re.findall(r"(TXN-\d+) of execution .+ is in the\s+ledger (\d+) times", printed) == [("TXN-0001", "2")]


def test_the_basic_usage_shows_policies_actions_state_and_events(tmp_path: Path) -> None:
    done = run(tmp_path, EXAMPLES / "basic_usage.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for fact in (
        "pre   refund: 20 for Ada",
        "post  refund: $20 went back to Ada",
        "ValidationDenied by validation: check amount_is_positive does not hold",
        "PolicyDenied by authorization: bob@company.com has none of the roles support",
        "RateLimited by rate_limit",
        '"card_number":"[redacted]"',
        "reset_pin, arguments kept as @withheld:",
        "ApprovalPending, like HTTP 202",
        "the account of Ada is closed",
        "execution.state.captured, execution.suspended, execution.resumed, execution.completed",
    ):
        assert fact in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_approval_patterns_are_measured_side_by_side(tmp_path: Path) -> None:
    done = run(tmp_path, EXAMPLES / "approval_patterns.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    rows = {line[:15].strip(): re.split(r" {2,}", line[15:].strip()) for line in done.stdout.splitlines()}
    assert rows["ANSWER"] == ["200", "409", "202"]
    assert rows["LAST EVENT"] == ["execution.completed", "execution.failed", "execution.completed"]
    assert [decision.split()[2] for decision in rows["DECISION"]] == ["before", "before", "after"]
    waited, _, came_back = (float(seconds.split()[0]) for seconds in rows["RESPONSE TIME"])
    assert waited >= 0.5
    assert came_back >= 0.2


def test_the_nine_patterns_of_rules_decide_as_expected(tmp_path: Path) -> None:
    done = run(tmp_path, EXAMPLES / "criteria_based_governance.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert len(re.findall(r"^\d\. ", done.stdout, re.MULTILINE)) == 9
    assert done.stdout.endswith("33 scenarios, none of them not as expected.\n")
    rows = [re.split(r" {2,}", line.strip()) for line in done.stdout.splitlines() if line.startswith("  ")]
    for row in (
        ["pay(50000)", "ask cfo@company.com", "amount is in the tier from 10,000"],
        ["add_recipient(Shady & Sons, False)", "deny", "too risky: risk score is at least 0.9"],
        ["restart(billing), Christmas", "ask oncall@company.com", "the time in Europe/Berlin is on a holiday"],
        ["export(customers, 5000)", "deny", "suspicion is in the tier from 90"],
    ):
        assert row in rows
    assert list(tmp_path.iterdir()) == []


def test_the_people_of_the_multi_stage_approval_share_decisions_as_expected(tmp_path: Path) -> None:
    done = run(tmp_path, EXAMPLES / "multi_stage_approval.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    endings = [line.partition("it comes to")[2].strip() for line in done.stdout.splitlines() if "it comes to" in line]
    assert [re.sub(r"approval \S+ was", "approval ID was", ending) for ending in endings] == [
        "signed with Globex",
        "an office in Oslo",
        "ApprovalRejected: we keep it",
        "orders restored",
        "a lathe bought",
        "18000 for the rowing club",
        "ValidationDenied: check is_within_our_means does not hold",
        "case 7 settled for 19500",
        "PermitRefused: approval ID was revoked by law@company.com: they are being sued",
        "12000 to acme",
        "9000 to acme",
        "ApprovalRejected: not under the mandate",
        "ApprovalRejected: not under the mandate",
        "10 to acme",
    ]
    assert done.stdout.endswith("9 scenes, none of the answers not as expected.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def waiting_quickstart(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The quickstart, begun in an empty folder, at the time when it has found the price."""
    arguments = command("-u", QUICKSTART)
    with subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "finding the price of a laptop\n"
            yield process
        finally:
            process.kill()


def test_the_quickstart_outlives_kill_and_goes_on_with_the_approval(
    tmp_path: Path, waiting_quickstart: subprocess.Popen[str]
) -> None:
    approvals: list[dict[str, Any]] = []
    while not approvals:
        approvals = json.loads(run(tmp_path, "-m", "assent", "approvals", "--json").stdout)
    waiting_quickstart.send_signal(signal.SIGKILL)
    assert waiting_quickstart.wait(timeout=10) == -signal.SIGKILL
    approved = run(tmp_path, "-m", "assent", "approve", approvals[0]["id"], "--as", "boss@company.com")
    assert approved.returncode == 0, approved.stderr
    # The price is not looked up again, and a third run finds the same result.
    for _ in range(2):
        done = run(tmp_path, QUICKSTART)
        assert (done.returncode, done.stdout, done.stderr) == (0, "bought a laptop for $1200\n", "")


def test_the_quickstart_has_at_most_twenty_lines_of_code() -> None:
    _, _, code = QUICKSTART.read_text(encoding="utf-8").partition('process."""')
    assert 10 < len([line for line in code.splitlines() if line.strip()]) <= 20


def test_the_readme_names_every_example() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = [path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")]
    assert [script for script in scripts if f"({script})" not in page] == []


def test_policy_files_decide_as_they_say_and_a_broken_one_starts_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, EXAMPLES / "policy_config.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "EXPECTED" not in done.stdout
    assert "broken.yaml line 5: policies[0].when: there is no 'amount' here" in done.stdout


class Page:
    """A page with its forms, as a browser sees it."""

    def __init__(self, client: httpx.Client, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.text
        self._client = client
        self.text = answer.text

    def send(self, action: str, **fields: str) -> "Page":
        """Press the button of the form that leads there."""
        form = next(each for each in self.text.split("<form ")[1:] if re.search(f'action="[^"]*{action}"', each))
        target = re.search(r'action="([^"]*)"', form)
        assert target is not None
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form.partition("</form>")[0]))
        return Page(self._client, self._client.post(unescape(target[1]), data={**hidden, **fields}))


def test_the_interactive_demo_lets_the_user_decide_in_the_browser(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ASSENT_", "BANK_"))}
    show = subprocess.Popen(
        interruptible(DEMO, "--interactive"),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert show.stdout is not None
    try:
        link = next(found[0] for line in show.stdout if (found := re.search(r"http://\S+/sign-in/\S+", line)))
        base = link.partition("/sign-in/")[0]
        with httpx.Client(base_url=base, follow_redirects=True, headers={"Origin": base}) as browser:
            inbox = Page(browser, browser.get(link)).send(urlsplit(link).path)
            (approval,) = set(re.findall(r'href="(/approvals/[^"]*)"', inbox.text))
            decided = Page(browser, browser.get(approval)).send("/verdict", decision="approve", reason="It is due")
            assert "granted" in decided.text
        assert any("ledger: 1 ×" in line for line in show.stdout)
        show.send_signal(signal.SIGINT)
        assert show.wait(30) == 130
    finally:
        with suppress(ProcessLookupError):  # its server with it, if it could not see to that itself
            os.killpg(show.pid, signal.SIGKILL)
        show.wait()
        show.stdout.close()

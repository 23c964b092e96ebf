"""`assent executions`, `show`, `events` and `approvals`: what they say, to people and to programs."""

import re
from datetime import datetime

import pytest

from tests.cli.conftest import Day, Shell

READING = [
    ["executions"],
    ["approvals"],
    ["approvals", "stats"],
    ["monitor"],
    ["monitor", "list"],
    ["monitor", "stats"],
    ["monitor", "trace", "x"],
    ["monitor", "cost"],
    ["users", "list"],
    ["mandates", "list"],
    ["show", "x"],
    ["events", "x"],
    ["doctor"],
    ["replay", "x", "app.py"],
]
WRITING = [
    ["approve", "x", "--as", "a"],
    ["reject", "x", "--as", "a"],
    ["signal", "x", "s"],
    ["cancel", "x"],
    ["resolve", "x", "--not-done"],
    ["revoke", "x", "--as", "a"],
    ["users", "add", "x"],
]


@pytest.mark.parametrize("command", [*READING, *WRITING], ids=lambda command: command[0])
def test_no_command_but_run_and_worker_makes_a_store(assent: Shell, command: list[str]) -> None:
    done = assent.run(*command, code=9)
    assert "There is no store at 'assent.db'" in done.stdout + done.stderr
    assert not (assent.folder / "assent.db").exists()


@pytest.mark.parametrize(
    ("url", "words", "code"),
    [
        ("postgres://host", "names no SQLite store", 2),
        ("sqlite://", "store in memory", 2),
        ("sqlite:///app.py", "no SQLite file", 9),
        ("sqlite:///empty.db", "is empty", 9),
    ],
)
def test_a_store_that_is_none_is_one_line(assent: Shell, url: str, words: str, code: int) -> None:
    (assent.folder / "empty.db").touch()
    assert words in assent.error("executions", "--store", url, code=code)
    assert (assent.folder / "empty.db").stat().st_size == 0


def test_the_store_is_named_by_option_or_environment(day: Day, assent: Shell) -> None:
    url = f"sqlite:///{day.shell.folder / 'assent.db'}"
    assert len(assent.read("executions", "--store", url)) == 5
    assert len(Shell(assent.folder, settings={"ASSENT_STORE": url}).read("executions")) == 5


def test_executions_says_of_each_what_it_waits_for(day: Day) -> None:
    facts = {each["id"]: each for each in day.shell.read("executions")}
    assert facts[day.order]["waits_for"] == ["signal address"]
    assert facts[day.doubtful]["waits_for"] == ["somebody to say whether charge has happened: assent resolve"]
    (approval,) = facts[day.transfer]["waits_for"]
    assert approval.startswith(f"approval {day.approval} by cfo@company.com until ")
    assert facts[day.quote]["waits_for"] == []
    assert facts[day.failed]["cause"] == "error"


def test_executions_can_be_chosen(day: Day) -> None:
    def ids(*options: str) -> set[str]:
        return {each["id"] for each in day.shell.read("executions", *options)}

    assert ids("--status", "completed") == {day.quote}
    assert ids("--name", "order", "--since", "1h") == {day.order}
    assert ids("--cause", "error") == {day.failed}
    assert ids("--since", "2999-01-01") == set()
    assert ids("--limit", "1") == {day.doubtful}
    assert "is no status" in day.shell.error("executions", "--status", "done", code=2)
    assert "neither a duration" in day.shell.error("executions", "--since", "yesterday", code=2)
    assert "--limit" in day.shell.error("executions", "--limit", "0", code=2)


def test_an_execution_that_nobody_can_drive_says_which_worker_it_waits_for(assent: Shell) -> None:
    started = assent.read("run", "app.py:order", "--arg", "item=lamp", code=75)
    said = assent("signal", started["execution_id"], "address", '"Main St 1"')
    assert "when there is a worker that has order version 1" in said
    (execution,) = assent.read("executions")
    assert "a worker that has order version 1; start one: assent worker FILE" in execution["waits_for"]


def test_in_a_pipe_each_execution_is_one_line_without_colour(day: Day) -> None:
    head, *lines = day.shell("executions").splitlines()
    assert head.startswith("EXECUTION")
    assert [line.split()[0] for line in lines] == [day.doubtful, day.failed, day.quote, day.order, day.transfer]
    assert "\x1b" not in head
    assert f"approval {day.approval} by cfo@company.com" in lines[-1]


@pytest.mark.parametrize("width", ["80", "60", "200"])
def test_ids_are_whole_on_terminals_of_every_width(day: Day, width: str) -> None:
    shell = Shell(day.shell.folder, width=width)
    printed = shell("executions") + shell("approvals") + shell("show", day.transfer)
    assert max(map(len, printed.splitlines())) <= int(width)
    for each in (day.transfer, day.order, day.approval):
        assert each in printed
    assert "…" not in shell("executions")


def test_show_tells_the_whole_story(day: Day) -> None:
    text = day.shell("show", day.transfer)
    for part in (
        "wire_transfer  suspended",
        "requester  alice",
        'amount = "50000"',
        f"waits for  approval {day.approval} by cfo@company.com until",
        "policy.validation.passed",
        "policy.approval.requested",
        "execution.suspended",
    ):
        assert part in text


def test_show_tells_how_an_execution_ended(day: Day) -> None:
    assert re.search(r"result +400", day.shell("show", day.quote))
    assert re.search(r"error +KeyError: 'moon'", day.shell("show", day.failed))
    assert re.search(r"step\.failed +look_up", day.shell("show", day.failed))


def test_show_for_programs_has_everything(day: Day) -> None:
    facts = day.shell.read("show", day.transfer)
    assert facts["arguments"] == {"amount": "50000", "recipient": "Acme"}
    assert facts["approvals"][0]["request"]["approvers"] == ["cfo@company.com"]
    assert facts["events"] == day.shell.read("events", day.transfer)
    assert facts["events"][0]["type"] == "execution.started"
    assert datetime.fromisoformat(facts["created_at"]).utcoffset() is not None
    assert day.shell.read("show", day.failed)["error"]["message"] == "'moon'"
    assert day.shell.read("show", day.quote)["result"] == 400


def test_events_prints_values_whole(assent: Shell) -> None:
    text = "long " * 200
    execution = assent.read("run", "app.py:echo", "--arg", f"text={text}")["execution_id"]
    assert text in assent("events", execution)
    assert "more characters" in assent("show", execution)


def test_approvals_lists_the_open_ones_unless_told_otherwise(day: Day) -> None:
    (open_one,) = day.shell.read("approvals")
    assert (open_one["id"], open_one["status"], open_one["votes"]) == (day.approval, "pending", 0)
    assert day.shell.read("approvals", "--status", "granted") == []
    assert "is no status" in day.shell.error("approvals", "--status", "open", code=2)
    text = day.shell("approvals")
    assert "cfo@company.com, asked by alice, until" in text
    assert 'recipient="Acme"' in text


def test_an_unambiguous_beginning_of_an_id_is_enough(day: Day) -> None:
    assert day.shell.read("show", day.order[:-1])["id"] == day.order
    assert "Give more of it" in day.shell.error("show", day.order[:2], code=2)
    assert "There is no execution 'zzz'" in day.shell.error("show", "zzz", code=3)
    assert "There is no execution ''" in day.shell.error("events", "", code=3)
    assert "There is no approval 'zzz'" in day.shell.error("approve", "zzz", "--as", "cfo@company.com", code=3)


def test_nothing_that_is_stored_reaches_the_terminal_as_an_order(assent: Shell) -> None:
    odd = "\x1b[31m[red]a[/red]\x9b2J\u202e\nb"
    done = assent.run("run", "app.py:odd", "--arg", f"text={odd}", "--id", odd, "--wait", "0", code=75)
    execution = assent.read("executions")[0]["id"]
    refused = assent.run("approve", assent.read("approvals")[0]["id"], "--as", odd, "--reason", odd, code=5)
    printed = [done.stdout, done.stderr, refused.stderr]
    reading = (["executions"], ["approvals"], ["show", execution], ["events", execution], ["approvals", "stats"])
    printed += [assent(*command, *form) for form in ([], ["--json"]) for command in reading]
    printed.append(assent.run("signal", execution, odd, odd, code=2).stderr)
    printed.append(assent("signal", execution, odd, "1"))
    printed.append(assent("cancel", execution, "--reason", odd, "--as", odd))
    assert {each for text in printed for each in text if not each.isprintable()} == {"\n"}
    assert r"\x1b[31m[red]odd[/red]\u202e" in printed[3]
    assert assent.read("show", execution)["arguments"] == {"text": odd}


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_goes_away_gets_no_traceback(day: Day, form: list[str]) -> None:
    listing = day.shell.start("events", day.transfer, *form)
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.close()
    with listing.stderr:
        assert listing.stderr.read() == ""
    assert listing.wait(20) == 1

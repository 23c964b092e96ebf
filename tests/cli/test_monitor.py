"""`assent monitor`: runs, sums, traces and the live view, to people and to programs."""

import os
import pty
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE, Shell
from tests.interrupting import interruptible

AGENCY = Path(__file__).parent / "agency.py"


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A store in which a writer ran twice and a poet once; tests only read it."""
    folder = tmp_path_factory.mktemp("agency")
    shutil.copy(AGENCY, folder / "app.py")
    shell = Shell(folder)
    shell("run", "app.py:write", "--arg", "topic=moon", "--as", "alice")
    shell("run", "app.py:write", "--arg", "topic=sun")
    shell("run", "app.py:write", "--arg", "topic=rain", "--arg", "agent=poet", "--id", "odd\x1b[31m")
    return shell


def test_runs_are_listed_with_what_they_took(agency: Shell) -> None:
    runs = agency.read("monitor", "list")
    assert [run["name"] for run in runs] == ["write"] * 3
    assert {run["metrics"]["total_cost"] for run in runs} == {"0.50"}
    assert [one["name"] for one in runs[0]["agents"]] == ["poet"]
    head, *lines = agency("monitor", "list").splitlines()
    assert head.split() == ["EXECUTION", "STATUS", "NAME", "STARTED", "TOOK", "COST", "TOKENS", "CALLS", "TOOLS"]
    assert re.search(r"completed +write .* \$0\.50 +240 +2 +1$", lines[-1])


def test_the_runs_of_one_agent_can_be_chosen(agency: Shell) -> None:
    writers = agency.read("monitor", "list", "--agent", "writer")
    assert [(run["name"], run["run"], run["stop"]) for run in writers] == [("writer", 1, "final")] * 2
    assert len(agency.read("monitor", "list", "--agent", "writer", "--limit", "1")) == 1
    assert agency.read("monitor", "list", "--status", "failed") == []
    assert agency.read("monitor", "list", "--since", "2999-01-01") == []
    assert "There is none" in agency("monitor", "list", "--agent", "nobody")
    assert "is no status" in agency.error("monitor", "list", "--status", "done", code=2)


def test_costs_are_added_up(agency: Shell) -> None:
    def costs(by: str) -> dict[str, str]:
        return {one[by]: one["total_cost"] for one in agency.read("monitor", "cost", "--by", by)}

    assert costs("agent") == {"writer": "1.00", "poet": "0.50"}
    assert costs("model") == {"gpt-5": "1.50"}
    assert costs("user") == {"(nobody)": "1.00", "alice": "0.50"}
    assert list(costs("day").values()) == ["1.50"]
    text = agency("monitor", "cost")
    assert re.search(r"writer +\$1\.00 +480 +4 +2 +█{30}", text)
    assert "$1.50 in all." in text
    assert "No model was asked." in agency("monitor", "cost", "--since", "2999-01-01")
    assert "--by" in agency.error("monitor", "cost", "--by", "colour", code=2)


def test_stats_say_how_executions_fare(agency: Shell) -> None:
    facts = agency.read("monitor", "stats")
    assert (facts["total"], facts["completed"], facts["open"]) == (3, 3, 0)
    assert facts["metrics"]["total_cost"] == "1.50"
    text = agency("monitor", "stats", "--name", "write")
    assert "3: 3 completed, 0 failed, 0 cancelled, 0 open" in text
    assert "720: 600 read, 120 written" in text


def test_a_trace_is_a_tree_with_bars(agency: Shell) -> None:
    (execution, *_) = [run["execution_id"] for run in agency.read("monitor", "list", "--agent", "writer")]
    lines = agency("monitor", "trace", execution[:-1]).splitlines()
    begins = [line.partition("+")[0].rstrip() for line in lines[1:]]
    assert begins == [
        "write",
        "  agent writer",
        "    model openai:gpt-5",
        "    tool look_up",
        "    model openai:gpt-5",
    ]
    assert all("█" in line for line in lines[1:])
    assert "120 tokens · $0.25" in lines[3]
    facts = agency.read("monitor", "trace", execution)
    assert [one["kind"] for one in facts] == ["execution", "agent", "model", "tool", "model"]
    assert facts[2]["parent"] == facts[1]["key"]
    assert "There is no execution 'zzz'" in agency.error("monitor", "trace", "zzz", code=3)


def test_in_a_pipe_the_live_view_is_shown_once(agency: Shell) -> None:
    assert agency("monitor").count("completed") == agency("monitor", "live").count("completed") == 3
    assert agency("monitor", "--limit", "1").count("completed") == 1


def test_nothing_that_is_stored_reaches_the_terminal_as_an_order(agency: Shell) -> None:
    printed = [agency("monitor", part) for part in ("live", "list", "stats", "cost")]
    printed.append(agency("monitor", "trace", "odd"))
    assert {each for text in printed for each in text if not each.isprintable()} == {"\n"}


def test_on_a_terminal_the_live_view_renews_itself_until_it_is_interrupted(agency: Shell) -> None:
    ours, theirs = pty.openpty()
    command = interruptible("-m", "assent", "monitor")
    environment = {**agency.environment, "TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
    watching = subprocess.Popen(command, cwd=agency.folder, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        seen = b""
        while seen.count(b"Ctrl-C ends") < 2:
            seen += os.read(ours, 65536)
        watching.send_signal(signal.SIGINT)
        with suppress(OSError):  # raised when nobody has the other end any more; until then it may be full
            while os.read(ours, 65536):
                pass
        assert watching.wait(PATIENCE) == 130
    finally:
        watching.kill()
        watching.wait()
        os.close(ours)
    assert b"poet" in seen
    assert b"3 " in seen

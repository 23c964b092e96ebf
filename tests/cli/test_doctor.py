"""`assent doctor`: what it finds, and that it says so when it finds nothing."""

import sys

from assent.cli.abilities import abilities
from tests.cli.conftest import Day, Shell

SANDBOXES = ["landlock", "seccomp", "user namespaces", "bubblewrap", "docker", "podman", "nerdctl"]


def test_a_sound_store_is_told_with_its_settings(day: Day) -> None:
    facts = day.shell.read("doctor")
    store = facts["store"]
    assert (store["ok"], store["problem"], store["schema"]) == (True, None, 2)
    assert store["settings"]["journal_mode"] == "wal"
    assert store["settings"]["synchronous"] == "FULL"
    assert store["executions"] == {"completed": 1, "failed": 1, "in_doubt": 1, "suspended": 2}
    assert store["approvals"] == {"pending": 1}
    assert facts["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["workers"] == []
    assert [each["name"] for each in facts["sandboxes"]] == SANDBOXES
    text = day.shell("doctor")
    assert "ok, checked whole" in text
    assert "None is at work." in text


def test_workers_are_told_with_what_they_have(assent: Shell) -> None:
    worker = assent.worker("app.py")
    (found,) = assent.read("doctor")["workers"]
    assert (found["pid"], found["alive"]) == (worker.pid, True)
    assert "order@1" in found["workflows"]
    assert "at work" in assent("doctor")


def test_a_damaged_store_is_told_and_the_rest_as_well(assent: Shell) -> None:
    (assent.folder / "assent.db").write_text("This is no database, and long enough to be looked at as one.")
    done = assent.run("doctor", code=9)
    assert "is damaged or no SQLite file" in done.stdout
    assert "Versions" in done.stdout
    assert "Sandboxes" in done.stdout
    facts = assent.read("doctor", code=9)
    assert facts["store"]["ok"] is False


def test_each_sandbox_says_how_it_is_known() -> None:
    found = abilities()
    assert [each.name for each in found] == SANDBOXES
    assert all(each.detail for each in found)

"""Every workflow, killed before and after every commit and started again, ends as if nothing had happened."""

import asyncio
import shutil
from functools import partial
from pathlib import Path

import pytest

from assent import Status
from assent.engine.replay import COMPLETIONS
from assent.testing import CrashAt, Ledger, Life, Recovery, every_crash, live, survived
from assent.testing.crashes import MOMENTS
from tests.crash.flows import EFFECTS, RESULTS, SEEN
from tests.crash.journals import (
    check,
    check_replays,
    effects_of,
    of_type,
    recorded_effects,
    story,
    story_in_order,
)
from tests.crash.programs import WATCHED, resolve_governed_blindly, run, run_governed_blindly

# Where branches or the outside overtake each other, the order of ops differs from run to run.
ORDERED = {"in_sequence", "race_won", "governed", "governed_with_approval", "timed"}

each_flow = pytest.mark.parametrize("name", RESULTS)


@each_flow
def test_a_crash_at_any_commit_changes_nothing(name: str, tmp_path: Path) -> None:
    program = partial(run, name)
    undisturbed = survived(program, tmp_path / "undisturbed")
    assert undisturbed.result == RESULTS[name]
    crashes = 0
    for recovery in every_crash(program, tmp_path):
        crashes += 1
        check_same(name, recovery.life, undisturbed)
        check_life(recovery.folder, recovery.life)
        check_what_was_seen(recovery)
    assert crashes > 10


@each_flow
def test_crashes_during_the_recovery_change_nothing_either(name: str, tmp_path: Path) -> None:
    program = partial(run, name)
    undisturbed = survived(program, tmp_path / "undisturbed")
    crashed = tmp_path / "crashed"
    assert live(program, crashed, crash=CrashAt("before commit", 5)) is None
    for again in range(3, 12):
        folder = tmp_path / str(again)
        shutil.copytree(crashed, folder)
        ended = live(program, folder, crash=CrashAt(MOMENTS[again % 2], again))
        life = ended or survived(program, folder)
        check_same(name, life, undisturbed)
        check_life(folder, life)


@each_flow
def test_a_process_that_crashes_ever_again_gets_there(name: str, tmp_path: Path) -> None:
    program = partial(run, name)
    undisturbed = survived(program, tmp_path / "undisturbed")
    for moment in MOMENTS:
        folder = tmp_path / moment
        number = 1
        while (ended := live(program, folder, crash=CrashAt(moment, number))) is None:
            number += 1
        check_same(name, ended, undisturbed)
        check_life(folder, ended)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replayed here, workflow code still tells what it has seen, to a file in the current folder."""
    monkeypatch.chdir(tmp_path)


def check_same(name: str, life: Life, undisturbed: Life) -> None:
    assert (life.result, repr(life.error)) == (undisturbed.result, repr(undisturbed.error))
    assert story(life.journal) == story(undisturbed.journal)
    if name in ORDERED:
        assert story_in_order(life.journal) == story_in_order(undisturbed.journal)


def check_life(folder: Path, life: Life) -> None:
    """What must hold of the store and the outside, and of a process that was started after a crash."""
    entries = Ledger(folder / EFFECTS).entries()
    check(life.journal, life.executions, entries)
    again = effects_of(entry for entry in entries if entry.pid == life.pid) & recorded_effects(life.found)
    assert not again, f"ran again though its outcome was journaled: {again}"
    asyncio.run(check_replays(life.journal, life.executions))


def check_what_was_seen(recovery: Recovery) -> None:
    """Workflow code and watchers of the killed process have seen nothing that was not on disk when it died."""
    found, survivor = recovery.life.found, recovery.life.pid
    values = [str(event.value) for event in found if event.type in COMPLETIONS]
    for entry in Ledger(recovery.folder / SEEN).entries():
        assert entry.pid == survivor or any(entry.what.rpartition(":")[2] in value for value in values), entry
    told = {f"{event.type} {event.op} {event.name} {event.attempt}" for event in found}
    watched = Ledger(recovery.folder / WATCHED).entries()
    assert {entry.what for entry in watched if entry.pid != survivor} <= told


def test_what_guards_calls_outlives_any_crash(tmp_path: Path) -> None:
    """Its steps differ from run to run, for what processes share outlives them; the results do not."""
    crashes = 0
    for recovery in every_crash(partial(run, "guarded"), tmp_path):
        crashes += 1
        life, entries = recovery.life, Ledger(recovery.folder / EFFECTS).entries()
        assert (life.result, life.error) == (["a done", "b done"], None)
        check(life.journal, life.executions, entries)
        known = {f"{event.execution_id}:{event.op}" for event in of_type(life.found, *COMPLETIONS)}
        assert not {entry.key for entry in entries if entry.pid == life.pid} & known
        asyncio.run(check_replays(life.journal, life.executions))
    assert crashes > 10


# An effect of which nobody can say whether it happened


def test_an_effect_is_in_doubt_exactly_between_its_intent_and_its_outcome(tmp_path: Path) -> None:
    doubts = 0
    for recovery in every_crash(run_governed_blindly, tmp_path):
        life, folder = recovery.life, recovery.folder
        is_open = bool(of_type(life.found, "step.started")) and not any(
            event.type == "step.completed" and event.name == "transfer_blindly" for event in life.found
        )
        assert life.error is None
        assert life.result == (Status.IN_DOUBT if is_open else ["before done", "x done", "after done"])
        if is_open:
            doubts += 1
            assert effects_by(life, folder).keys() & {"x#1", "x#2"} == set()
            life = survived(resolve_governed_blindly, folder)
            assert life.result == ["before done", "x done", "after done"]
        transfers = [entry.what for entry in Ledger(folder / EFFECTS).entries() if entry.what.startswith("x#")]
        assert len(transfers) == 1
        check_life(folder, life)
    assert doubts >= 2


def effects_by(life: Life, folder: Path) -> dict[str, int]:
    entries = [entry for entry in Ledger(folder / EFFECTS).entries() if entry.pid == life.pid]
    return {what: count for (_, what), count in effects_of(entries).items()}

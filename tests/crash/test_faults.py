"""A store that fails under running executions loses nothing that was acknowledged, says what is wrong, and goes on."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from assent import Handle, Runtime, StoreUnavailable, WorkerSettings
from assent.store import Event
from assent.store.sqlite import SqliteStore
from assent.testing import Ledger, live, survived
from tests.crash import flows
from tests.crash.flows import RESULTS
from tests.crash.journals import check, effects_of, recorded_effects
from tests.crash.programs import WATCHED, run, run_on_a_full_disk, run_under_a_ceiling


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# Full


def test_an_execution_goes_on_when_a_full_disk_has_space_again(tmp_path: Path) -> None:
    life = survived(run_on_a_full_disk, tmp_path)
    assert life.error is None
    told, durable, result = life.result
    assert "free some space" in told or "check the permissions of the file and its folder, and the disk" in told
    assert durable == ["execution.started", "step.completed"]
    assert result == ["before done", "during done", "after done"]
    effects = effects_of(Ledger(tmp_path / flows.EFFECTS).entries())
    assert effects == {("run", "before#1"): 1, ("run", "during#1"): 2, ("run", "after#1"): 1}
    told_of = [entry.what.partition(" ")[0] for entry in Ledger(tmp_path / WATCHED).entries()]
    assert told_of == [event.type for event in life.journal if event.type in set(told_of)]


def test_what_was_done_before_a_store_was_full_is_not_done_again(tmp_path: Path) -> None:
    full = live(partial(run_under_a_ceiling, "long"), tmp_path)
    assert full is not None
    assert isinstance(full.error, StoreUnavailable)
    assert "free some space" in str(full.error)
    done = recorded_effects(full.journal)
    assert 5 < done.total() < 30
    life = survived(partial(run, "long"), tmp_path)
    assert life.result == 600_000
    entries = Ledger(tmp_path / flows.EFFECTS).entries()
    check(life.journal, life.executions, entries)
    assert not effects_of(entry for entry in entries if entry.pid == life.pid) & done


# Read-only and locked


@asynccontextmanager
async def at_work(folder: Path, **options: Any) -> AsyncIterator[tuple[SqliteStore, Runtime, list[Event]]]:
    """A runtime with a short lease, its store, and what its watcher has been told."""
    store, told = SqliteStore(folder / "assent.db", **options), list[Event]()
    settings = WorkerSettings(lease=0.3)
    async with Runtime(store=store, workflows=[flows], settings=settings, watchers=[told.append]) as runtime:
        flows.here["runtime"] = runtime
        yield store, runtime, told


async def check_nothing_lost(store: SqliteStore, handle: Handle[Any], told: list[Event]) -> None:
    """All that a watcher was told of is in the journal, and the store is sound."""
    journal = await handle.events()
    assert [(event.type, event.op) for event in told if event.execution_id == handle.id] == [
        (event.type, event.op) for event in journal
    ]
    check(journal, [await handle.record()], Ledger(flows.EFFECTS).entries())
    assert await store.check() == []


async def result_or_error(handle: Handle[Any], limit: float) -> Any:
    """What a caller gets: a result, an error of the store, or nothing within the time limit."""
    waiting = asyncio.ensure_future(handle.result())
    await asyncio.wait([waiting], timeout=limit)
    if not waiting.done():
        waiting.cancel()
        return None
    return waiting.exception() or waiting.result()


async def test_a_store_that_becomes_read_only_fails_clearly_and_goes_on_later(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (store, runtime, told):
        handle = await runtime.start(flows.branches, id="e")
        store._connection.execute("PRAGMA query_only = ON")
        error = await result_or_error(handle, 10)
        assert isinstance(error, StoreUnavailable)
        assert "check the permissions" in str(error)
        with pytest.raises(StoreUnavailable):
            await runtime.start(flows.branches, id="another")
        store._connection.execute("PRAGMA query_only = OFF")
        assert await handle.result(timeout=20) == RESULTS["branches"]
        await check_nothing_lost(store, handle, told)


@pytest.mark.parametrize("flow", [flows.branches, flows.governed], ids=lambda flow: flow.name)
async def test_a_file_that_is_locked_for_longer_than_a_lease_is_waited_for(flow: Any, tmp_path: Path) -> None:
    async with at_work(tmp_path) as (_, runtime, told), at_work(tmp_path) as (_, _, also_told):
        handle = await runtime.start(flow, id="e")
        with locked(tmp_path):
            assert await result_or_error(handle, 1.0) is None, "nobody can write, and nobody is told that he has"
        assert await handle.result(timeout=20) == RESULTS[flow.name]
        told = sorted([*told, *also_told], key=lambda event: event.at)
        assert {(event.type, event.op) for event in told} == {(each.type, each.op) for each in await handle.events()}
        check(await handle.events(), [await handle.record()], Ledger(flows.EFFECTS).entries())


async def test_a_caller_is_told_of_a_file_that_stays_locked_and_the_execution_goes_on(tmp_path: Path) -> None:
    async with at_work(tmp_path, patience=0.2) as (store, runtime, told):
        handle = await runtime.start(flows.branches, id="e")
        with locked(tmp_path):
            error = await result_or_error(handle, 10)
            assert isinstance(error, StoreUnavailable)
            assert "locked by another process" in str(error)
        assert await handle.result(timeout=20) == RESULTS["branches"]
        await check_nothing_lost(store, handle, told)


def locked(folder: Path) -> Any:
    """The file of the store, locked for writing as by a process that does not end its transaction."""
    connection = sqlite3.connect(folder / "assent.db", isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    return closing(connection)

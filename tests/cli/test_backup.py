"""`assent backup`: a copy that is whole, whatever is written meanwhile, and that can be gone on with."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from assent import Event, Runtime, Status, WorkerSettings, approve, step, workflow
from assent.errors import StoreCorrupt, StoreUnavailable, UsageError
from assent.store.backup import Copy, back_up
from tests.cli.conftest import Day, Shell

WORKFLOWS, STEPS, COPIES = 20, 40, 4
SHORT_LEASE = WorkerSettings(
    lease=0.5
)  # whoever drove an execution when it was copied holds it for so long in the copy


@step
async def following(number: int) -> int:
    return number + 1


@workflow
async def count(steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = await following(number)
    return number


@workflow
async def ask_and_count(steps: int) -> int:
    await approve("May I count?", approvers=["boss@company.com"], within="1h")
    number = 0
    for _ in range(steps):
        number = await following(number)
    return number


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


async def test_copies_under_load_are_the_store_at_one_moment_and_can_be_gone_on_with(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    copies: list[Copy] = []
    async with Runtime(f"sqlite:///{live}", settings=SHORT_LEASE) as runtime:
        handles = [await runtime.start(count, STEPS) for _ in range(WORKFLOWS)]
        waiting = await runtime.start(ask_and_count, STEPS)
        ends = asyncio.gather(*(handle.result() for handle in handles))
        while len(copies) < COPIES:
            copies.append(await asyncio.to_thread(back_up, str(live), tmp_path / f"copy-{len(copies)}.db"))
        assert await ends == [STEPS] * WORKFLOWS
        journals = {handle.id: await handle.events() for handle in (*handles, waiting)}
    assert copies[0].last_event < max(events[-1].seq for events in journals.values())
    for copy in copies:
        assert rows(copy.path, "SELECT max(seq) FROM journal") == [(copy.last_event,)]
        assert copy.executions == WORKFLOWS + 1
        await goes_on(copy, journals)


async def goes_on(copy: Copy, journals: dict[str, list[Event]]) -> None:
    """A worker on the copy finds each journal up to the moment of the copy, and finishes each execution."""
    async with Runtime(f"sqlite:///{copy.path}", worker=False) as runtime:
        for execution_id, whole in journals.items():
            assert await runtime.handle(execution_id).events() == until(copy.last_event, whole)
    async with Runtime(f"sqlite:///{copy.path}", workflows=[count, ask_and_count], settings=SHORT_LEASE) as runtime:
        for record in await runtime.executions(name="count"):
            assert await runtime.handle(record.id).result(timeout=20) == STEPS
        (asked,) = await runtime.executions(name="ask_and_count")
        assert asked.status is Status.SUSPENDED
        (approval,) = await runtime.approvals()
        await runtime.decide(approval.id, approver="boss@company.com")
        assert await runtime.handle(asked.id).result(timeout=20) == STEPS


def until(last: int, events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.seq <= last]


def test_a_copy_is_one_file_for_its_owner_alone_beside_a_worker(day: Day, tmp_path: Path) -> None:
    worker = day.shell.worker("app.py")
    facts = day.shell.read("backup", str(tmp_path / "copy.db"))
    worker.terminate()
    worker.communicate(timeout=10)
    assert worker.returncode == 0
    assert [each.name for each in tmp_path.iterdir()] == ["copy.db"]
    assert os.stat(facts["path"]).st_mode & 0o777 == 0o600
    assert facts["executions"] == len(day.shell.read("executions"))
    assert rows(tmp_path / "copy.db", "PRAGMA journal_mode") == [("delete",)]
    listed = day.shell.read("show", day.transfer)
    copied = day.shell.read("show", day.transfer, "--store", f"sqlite:///{tmp_path}/copy.db")
    assert copied["events"] == listed["events"]
    assert copied["approvals"] == listed["approvals"]


def test_a_folder_gives_names_and_keeps_the_newest(assent: Shell) -> None:
    assent("run", "app.py:quote", "--arg", "item=lamp")
    folder = assent.folder / "backups"
    folder.mkdir()
    others = ["assent-20200101T000000Z.txt", "other-20200101T000000Z.db", "assent.db"]
    for name in ("assent-20200101T000000Z.db", "assent-20210101T000000Z.db", *others):
        (folder / name).write_text("")
    assert "2 executions" not in assent("backup", "backups")
    facts = assent.read("backup", "backups/second.db")
    assert (facts["executions"], facts["removed"]) == (1, [])
    (folder / "second.db").unlink()
    kept = {each.name for each in folder.iterdir()}
    newest = max(name for name in kept if name.startswith("assent-") and name.endswith(".db"))
    (folder / newest).unlink()
    facts = assent.read("backup", "backups", "--keep", "2")
    assert facts["removed"] == ["assent-20200101T000000Z.db"]
    assert {each.name for each in folder.iterdir()} == {*others, "assent-20210101T000000Z.db", Path(facts["path"]).name}


def test_nothing_is_overwritten_and_nothing_half_done_is_left(day: Day, tmp_path: Path) -> None:
    taken = tmp_path / "taken.db"
    taken.write_text("precious")
    assert "exists already" in day.shell.error("backup", str(taken), code=2)
    assert taken.read_text() == "precious"
    assert "cannot be written" in day.shell.error("backup", str(tmp_path / "no" / "copy.db"), code=9)
    assert "--keep is for a folder" in day.shell.error("backup", str(tmp_path / "x.db"), "--keep", "3", code=2)
    assert "no store at" in day.shell.error("backup", "x.db", "--store", "sqlite:///none.db", code=9)
    assert list(tmp_path.iterdir()) == [taken]


def test_a_damaged_store_makes_no_backup(tmp_path: Path) -> None:
    store = tmp_path / "store.db"

    async def fill() -> None:
        async with Runtime(f"sqlite:///{store}") as runtime:
            await (await runtime.start(count, 200)).result()

    asyncio.run(fill())
    damaged = bytearray(store.read_bytes())
    (root,) = rows(store, "SELECT rootpage FROM sqlite_schema WHERE name = 'journal_of'")[0]
    assert isinstance(root, int)
    start = (root - 1) * 4096
    damaged[start : start + 200] = b"\xff" * 200
    store.write_bytes(damaged)
    with pytest.raises((StoreCorrupt, StoreUnavailable)):
        back_up(str(store), tmp_path / "copy.db")
    assert sorted(each.name for each in tmp_path.glob("*copy*")) == []


def test_a_target_that_exists_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        back_up(str(tmp_path / "no-store.db"), tmp_path)

"""SQLite keeps the promises of a store, in a file and in memory, and survives what is done to its file."""

import asyncio
import gc
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from assent.errors import PermitRefused, StoreCorrupt, StoreError, StoreUnavailable, StoreVersion, UsageError
from assent.store import ApprovalStatus, Hold, Store
from assent.store.cells import CELLS, LIVE, OVERFLOW
from assent.store.connection import APPLICATION_ID, SCHEMA_VERSION, STEPS, location_of, translate
from assent.store.holds import IN_FORCE, MANDATES, UNDER
from assent.store.ledger import Drawn
from assent.store.notices import DUE, NOTICES
from assent.store.sqlite import EVENTS, EXECUTIONS, FREE, SqliteStore
from tests.conformance.store_records import (
    NOW,
    OWNER,
    approval,
    commit,
    digest_of,
    drawing,
    event,
    execution,
    finish,
    mandate,
    own,
    permit,
    person,
    types,
    verdict,
    worker,
)
from tests.conformance.store_sharing import SharedStoreSuite
from tests.conformance.store_suite import StoreSuite

SECRET = "hunter2-hunter2-hunter2"


class TestFile(SharedStoreSuite):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: SqliteStore(f"sqlite:///{tmp_path}/assent.db")


class TestFileThatCommitsOnAThread(SharedStoreSuite):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: SqliteStore(tmp_path / "assent.db", loop_budget=0)


class TestMemory(StoreSuite):
    @pytest.fixture
    def opened(self) -> Callable[[], Store]:
        return lambda: SqliteStore("sqlite://")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "assent.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(path) as store:
        await store.register(worker())
        yield store


# Where it is


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("sqlite:///assent.db", "assent.db"),
        ("sqlite:///sub folder/a.db", "sub folder/a.db"),
        ("sqlite:////var/lib/assent.db", "/var/lib/assent.db"),
        ("sqlite://", ":memory:"),
        ("sqlite:///:memory:", ":memory:"),
        (":memory:", ":memory:"),
        ("assent.db", "assent.db"),
        (Path("/var/assent.db"), "/var/assent.db"),
    ],
)
def test_a_url_names_a_file_or_memory(url: str | Path, location: str) -> None:
    assert location_of(url) == location


@pytest.mark.parametrize("url", ["postgres://host/db", "sqlite://assent.db", "http://x"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="names no SQLite store"):
        SqliteStore(url)


async def refusal(store: SqliteStore, kind: type[StoreError]) -> str:
    """What a store that must not open says."""
    with pytest.raises(kind) as refused:
        await store.__aenter__()
    return str(refused.value)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"create the folder '{tmp_path}/no'" in await refusal(SqliteStore(tmp_path / "no/a.db"), StoreUnavailable)


async def test_a_folder_is_no_store(tmp_path: Path) -> None:
    assert "it is a folder" in await refusal(SqliteStore(tmp_path), StoreUnavailable)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Permissions mean nothing to root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield
    if is_root:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
        Path(name).chmod(0o755)


async def test_a_file_that_may_not_be_read_is_refused(open_folder: Path) -> None:
    path = open_folder / "assent.db"
    path.touch(0o000)
    with ordinary_user():
        assert "permissions" in await refusal(SqliteStore(path), StoreUnavailable)


async def test_a_read_only_file_is_refused(open_folder: Path) -> None:
    path = open_folder / "assent.db"
    async with SqliteStore(path):
        pass
    path.chmod(0o444)
    open_folder.chmod(0o555)
    with ordinary_user():
        assert "permissions" in await refusal(SqliteStore(path), StoreUnavailable)


# What it is


async def test_a_file_bears_our_mark_and_the_schema_version(store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert raw.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    async with SqliteStore(path):
        pass
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    message = await refusal(SqliteStore(path), StoreVersion)
    assert "version 99" in message
    assert f"knows {SCHEMA_VERSION}" in message
    assert "upgrade Assent" in message
    assert path.read_bytes() == before


async def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()
    assert "another program" in await refusal(SqliteStore(path), StoreCorrupt)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)
    assert "no SQLite file" in await refusal(SqliteStore(path), StoreCorrupt)


async def test_a_misspelt_setting_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="'FUL'"):
        await SqliteStore(path, synchronous="FUL").__aenter__()  # type: ignore[arg-type]  # what is tested


async def test_a_store_is_used_between_open_and_close_only(path: Path) -> None:
    async with SqliteStore(path) as store:
        await store.register(worker())
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.append(OWNER, commit())
    with pytest.raises(StoreError, match="closed"):
        await store.journal("e1")


# What is in it


async def test_stores_in_memory_are_apart() -> None:
    async with SqliteStore("sqlite://") as one, SqliteStore("sqlite://") as two:
        await one.register(worker())
        assert await two.workers() == []
        assert not one.changed()


async def test_own_commits_are_no_change(store: SqliteStore) -> None:
    store.changed()
    await store.append(OWNER, commit(event()))
    assert not store.changed()


async def test_text_may_hold_any_character(store: SqliteStore) -> None:
    await store.append(OWNER, commit(event(value="a\0b🙂", name="\x1f' OR 1=1")))
    (written,) = await store.journal("e1")
    assert (written.value, written.name) == ("a\0b🙂", "\x1f' OR 1=1")


async def test_an_erased_value_does_not_linger_in_the_file(path: Path) -> None:
    async with SqliteStore(path) as store:
        await store.register(worker())
        await own(store, "e1")
        await store.append(OWNER, commit(sealed=[(number, SECRET * 50) for number in range(20)]))
        await store.append(OWNER, finish(unseals=True))
    assert [file.name for file in path.parent.iterdir()] == ["assent.db"]
    assert SECRET.encode() not in path.read_bytes()


def plan_of(path: Path, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[str]:
    """How SQLite goes about a statement."""
    with closing(sqlite3.connect(path)) as raw:
        return [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


async def test_a_shelf_is_measured_without_reading_its_texts(store: SqliteStore, path: Path) -> None:
    plan = plan_of(path, OVERFLOW, ("notes", 1))
    assert "SEARCH cells USING COVERING INDEX cells_written (shelf=?)" in plan
    (newest,) = plan_of(path, f"{CELLS} WHERE shelf = ? AND {LIVE} ORDER BY seq DESC", ("notes", 1))
    assert newest == "SEARCH cells USING INDEX cells_written (shelf=?)"  # no sorting


async def test_claiming_looks_at_due_executions_only(store: SqliteStore, path: Path) -> None:
    sql = f"{EXECUTIONS} WHERE {FREE} AND wake_at <= ? ORDER BY wake_at LIMIT ?"
    (plan,) = plan_of(path, sql, ("pay", 1, 0, 1))  # one step, no sorting
    assert plan.startswith("SEARCH executions USING INDEX executions_due (name=? AND version=? AND wake_at")


async def test_the_newest_executions_are_found_without_sorting_all(store: SqliteStore, path: Path) -> None:
    older = "(created_at, id) < (SELECT created_at, id FROM executions WHERE id = ?)"
    plan = plan_of(path, f"{EXECUTIONS} WHERE {older} ORDER BY created_at DESC, id DESC LIMIT ?", ("e1", 9))
    assert plan[0] == "SEARCH executions USING INDEX executions_newest (created_at<?)"
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan  # only those of one moment are sorted


async def test_a_whole_file_has_nothing_wrong(store: SqliteStore) -> None:
    await own(store, "e1")
    assert await store.check() == []
    async with SqliteStore("sqlite://") as memory:
        assert await memory.check() == []


async def test_mandates_in_force_are_looked_up_and_not_searched_for(store: SqliteStore, path: Path) -> None:
    sql = f"{MANDATES} AND request ->> '$.action' = ? AND {IN_FORCE}"
    (plan,) = plan_of(path, sql, ("pay", NOW))
    assert plan.startswith("SEARCH approvals USING INDEX approvals_mandates (<expr>=? AND <expr>>?)")
    (plan,) = plan_of(path, MANDATES)
    assert plan == "SCAN approvals USING INDEX approvals_mandates"


async def test_what_is_drawn_is_summed_from_the_spans_and_the_first_of_them(store: SqliteStore, path: Path) -> None:
    plan = plan_of(path, UNDER, {"key": "budget:b", "span": 0, "since": NOW})
    assert "SEARCH spans USING PRIMARY KEY (key=? AND span>?)" in plan
    assert "SEARCH holds USING COVERING INDEX holds_under (key=? AND span=? AND at>?)" in plan
    assert not any(step.startswith(("SCAN holds", "SCAN spans")) for step in plan)


async def test_claiming_notices_looks_at_due_ones_only(store: SqliteStore, path: Path) -> None:
    (plan,) = plan_of(path, f"{NOTICES} WHERE {DUE} AND due_at <= ? ORDER BY due_at LIMIT ?", ("mail", NOW, 1))
    assert plan.startswith("SEARCH notices USING INDEX notices_due (channel=? AND due_at<?)")


async def test_events_of_a_type_are_read_in_one_pass_over_all_pages(store: SqliteStore, path: Path) -> None:
    (plan,) = plan_of(path, f"{EVENTS} WHERE seq > ? AND type = ? ORDER BY seq LIMIT ?", (0, "x", 1))
    assert plan == "SEARCH journal USING INTEGER PRIMARY KEY (rowid>?)"


async def test_a_request_that_is_no_json_stops_nobody(store: SqliteStore) -> None:
    await own(store, "e1")
    edited = approval(request="scribbled", digest=digest_of("scribbled"), channels=("mail",))
    await store.append(OWNER, commit(approvals=[edited, mandate()]))
    assert list(await store.mandates()) == [mandate()]
    with pytest.raises(PermitRefused, match="is pending"):
        await store.append(OWNER, commit(permit=permit()))
    await store.append(OWNER, finish(withdraws=True))
    found = await store.approval("a1")
    assert found is not None
    assert found.status == ApprovalStatus.WITHDRAWN


async def test_a_hold_of_less_than_nothing_gives_nothing_back(store: SqliteStore) -> None:
    for amount in (-5, 2**63):
        with pytest.raises(StoreError):
            await store.append(OWNER, commit(event(), permit=drawing("p1", Hold(key="budget:b", amount=amount))))
    assert await store.draws() == []
    assert await types(store) == []


@pytest.mark.parametrize("edit", ["'[1'", "'{}'", "'7'"])
async def test_a_list_that_is_none_is_found_out(store: SqliteStore, path: Path, edit: str) -> None:
    await store.save_person(person(roles=("risk",)))
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute(f"UPDATE people SET roles = {edit}")
    with pytest.raises(StoreCorrupt, match="restore a backup"):
        await store.people()


# What it was


def version_1(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """A file as the first version left it, with something in each table; its rows by `table (columns)`."""
    requests = [f'{{"policy":"p","n":{number}}}' for number in range(5)]
    statuses = ("pending", "granted", "rejected", "expired", "withdrawn")
    rows: dict[str, list[tuple[object, ...]]] = {
        "workers (id, host, pid, started_at, expires_at, workflows)": [("w", "h", 1, 1.5, 2.5, "[]")],
        "executions (id, name, version, arguments, digest, requester, parent_id, created_at, status, updated_at,"
        " wake_at, owner, waits, cause)": [
            ("e1", "pay", 1, "{}", "d", None, None, 1.5, "suspended", 2.5, None, "w", "[]", None)
        ],
        "journal (seq, execution_id, type, at, value)": [
            (3, "e1", "permit.issued", 1.5, '{"permit":"p1","approvals":["a1"]}'),
            (4, "e1", "permit.consumed", 1.5, '{"permit":"p1","approvals":["a1"]}'),
            (9, "e1", "permit.consumed", 1.5, None),
        ],
        "inbox (seq, execution_id, kind, name, value, sender, at)": [(5, "e1", "signal", "go", "1", "ann", 1.5)],
        "approvals (id, execution_id, request, digest, status, version, created_at, expires_at, decided_at)": [
            (f"a{n}", "e1", requests[n], digest_of(requests[n]), status, n, 9.5 - n, 99.5, None)
            for n, status in enumerate(statuses)
        ],
        "verdicts (seq, approval_id, approver, decision, reason, at, refusal)": [
            (2, "a1", "cfo", "approve", "fine", 1.5, None),
            (7, "a1", "eve", "reject", "", 1.5, "not an approver"),
        ],
        "permits (id, execution_id, action_digest, at)": [("p1", "e1", "d", 1.5)],
        "blobs (digest, text)": [("d", "x" * 9000)],
        "sealed (execution_id, op, text)": [("e1", -1, "{}")],
        "buckets (key, full_at)": [("k", 10**18)],
    }
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript((files("assent.store") / STEPS[0]).read_text("utf-8"))
        for table, lines in rows.items():
            marks = ", ".join("?" * len(lines[0]))
            raw.executemany(f"INSERT INTO {table} VALUES ({marks})", lines)
        raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        raw.execute("PRAGMA user_version = 1")
        raw.execute("PRAGMA journal_mode = WAL")
        raw.commit()
    return rows


def rows_of(path: Path, tables: Iterable[str]) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as raw:
        parts = {table: table.removesuffix(")").split(" (") for table in tables}
        return {
            table: raw.execute(f"SELECT {columns} FROM {name} ORDER BY 1").fetchall()
            for table, (name, columns) in parts.items()
        }


async def test_a_file_of_the_first_version_keeps_all_that_is_in_it(path: Path) -> None:
    before = version_1(path)
    async with SqliteStore(path) as store:
        assert rows_of(path, before) == before
        assert await store.check() == []
        assert [record.id for record in await store.approvals()] == ["a4", "a3", "a2", "a1", "a0"]
        assert [said.approver for said in await store.verdicts("a1")] == ["cfo", "eve"]
        assert await store.verdicts("a1") == [
            verdict("cfo", reason="fine", at=1.5),
            verdict("eve", "reject", "not an approver", at=1.5),
        ]


async def test_a_file_of_the_first_version_can_do_all_that_a_new_one_can(path: Path) -> None:
    version_1(path)
    async with SqliteStore(path) as store:
        used = await store.approval("a1")
        assert used is not None
        assert used.used_by == "p1"
        revoked = replace(used, status=ApprovalStatus.REVOKED, version=used.version + 1)
        assert not await store.decide(revoked, None, [])
        pending = await store.approval("a0")
        assert pending is not None
        amended = replace(pending, status=ApprovalStatus.AMENDED, version=pending.version + 1)
        assert await store.decide(amended, None, [])
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            await store.append("w", commit(approvals=[approval("a9", "missing")]))
        await store.append("w", commit(event(), approvals=[mandate()]))
        assert list(await store.mandates("pay", NOW)) == [mandate()]
    fresh = path.with_name("fresh.db")
    async with SqliteStore(fresh):
        pass
    assert schema_of(path) == schema_of(fresh)


def schema_of(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


async def test_processes_that_open_an_old_file_at_once_all_succeed(path: Path) -> None:
    before = version_1(path)
    del before["workers (id, host, pid, started_at, expires_at, workflows)"]
    del before["journal (seq, execution_id, type, at, value)"]
    with children(*(child(WRITE_FIFTY, path) for _ in range(3))) as processes:
        for process in processes:
            assert await asyncio.to_thread(process.wait) == 0
    assert rows_of(path, before) == before
    async with SqliteStore(path) as store:
        assert len(await store.journal("e1")) == 153
        assert await store.check() == []


async def test_a_file_that_cannot_be_brought_up_to_date_is_left_as_it_was(path: Path) -> None:
    before = version_1(path)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE notices (mine)")
    assert "refuses a statement" in await refusal(SqliteStore(path), StoreError)
    assert rows_of(path, before) == before
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (1,)
        raw.execute("DROP TABLE notices")
    async with SqliteStore(path) as store:
        assert await store.check() == []


# Where the commit is done


@pytest.mark.parametrize(("budget", "expected"), [(0, "assent-commit_0"), (float("inf"), "MainThread")])
async def test_commits_go_to_a_thread_when_they_are_slow(path: Path, budget: float, expected: str) -> None:
    names: list[str] = []
    crash_point = lambda moment, number: names.append(threading.current_thread().name)  # noqa: E731 - one line
    async with SqliteStore(path, loop_budget=budget, crash_point=crash_point) as store:
        await store.register(worker())
    assert names == [expected, expected]


async def test_commits_gather_while_one_is_on_its_way(path: Path) -> None:
    numbers: list[int] = []
    on_its_way, go_on = threading.Event(), threading.Event()

    def crash_point(moment: str, number: int) -> None:
        numbers.append(number)
        if (moment, number) == ("before commit", 2):
            on_its_way.set()
            assert go_on.wait(30)

    async with SqliteStore(path, loop_budget=0, crash_point=crash_point) as store:
        await store.register(worker())
        futures = [store.append(OWNER, commit(event(op=0)))]
        await asyncio.to_thread(on_its_way.wait)
        futures += [store.append(OWNER, commit(event(op=op))) for op in range(1, 50)]
        assert not await store.journal("e1")
        assert store.changed() in (True, False)  # answers at once, though the writer is busy
        go_on.set()
        await asyncio.gather(*futures)
        assert [line.op for line in await store.journal("e1")] == list(range(50))
    assert numbers == [1, 1, 2, 2, 3, 3]


async def test_what_changes_nothing_is_no_commit(path: Path) -> None:
    seen: list[tuple[str, int]] = []
    async with SqliteStore(path, crash_point=lambda moment, number: seen.append((moment, number))) as store:
        await store.register(worker())
        assert not await store.renew("nobody", 0)
        assert await store.claim(OWNER, [], 0, 9) == []
    assert seen == [("before commit", 1), ("after commit", 1)]


# Who else is there


async def test_a_locked_file_is_waited_for_without_stopping_the_loop(store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        futures = [asyncio.ensure_future(store.append(OWNER, commit(event(op=0))))]
        await asyncio.wait(futures, timeout=0.05)
        futures.append(asyncio.ensure_future(store.append(OWNER, commit(event(op=1)))))
        await asyncio.wait(futures, timeout=0.05)
        assert not any(future.done() for future in futures)
        assert await store.journal("e1") == []
        raw.execute("COMMIT")
    await asyncio.gather(*futures)
    assert [line.op for line in await store.journal("e1")] == [0, 1]


async def test_a_file_that_stays_locked_is_given_up_with_the_remedy(path: Path) -> None:
    async with SqliteStore(path, patience=0.05) as store:
        await store.register(worker())
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match=r"locked by another process.*end it"):
                await store.append(OWNER, commit(event(type="lost")))
        await store.append(OWNER, commit(event(type="kept")))
        assert await types(store) == ["kept"]


def child(code: str, path: Path, *, flags: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A process that runs `code`; what matters to it is imported already."""
    head = (
        "import asyncio, os, resource, signal, sys\n"
        "from assent.errors import *\n"
        "from assent.store import *\n"
        "from assent.store.sqlite import SqliteStore\n"
        "path = sys.argv[1]\n"
        "lease = WorkerRecord(id=str(os.getpid()), host='', pid=0, started_at=0.0, expires_at=0.0)\n"
        "def line(n): return Commit(execution_id='e1', events=[Event('e1', 'step', 0.0, n)])\n"
    )
    command = [sys.executable, *flags, "-c", head + code, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@contextmanager
def children(*processes: subprocess.Popen[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that end with the test, whatever happens."""
    try:
        yield list(processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


WRITE_FIFTY = """
async def main():
    async with SqliteStore(path) as store:
        await store.register(lease)
        for n in range(50): await store.append(lease.id, line(n))
asyncio.run(main())
"""


async def test_processes_that_open_a_new_file_at_once_all_succeed(path: Path) -> None:
    with children(*(child(WRITE_FIFTY, path) for _ in range(4))) as processes:
        for process in processes:
            assert await asyncio.to_thread(process.wait) == 0
    async with SqliteStore(path) as store:
        assert len(await store.workers()) == 4
        written = await store.journal("e1")
        assert len(written) == 200
        assert await store.check() == []


# What is done to it

STREAM = """
async def main():
    async with SqliteStore(path, loop_budget=float(os.environ.get("BUDGET", "0.001"))) as store:
        await store.register(lease)
        async def one(first):
            for n in range(first, 10**9, 10):
                await store.append(lease.id, line(n))
                print(n, flush=True)
        await asyncio.gather(*(one(n) for n in range(10)))
asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 57, 400])
async def test_what_was_acknowledged_survives_a_kill(path: Path, lines: int) -> None:
    with children(child(STREAM, path)) as (process,):
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    async with SqliteStore(path) as store:
        written = [line.op for line in await store.journal("e1")]
        assert set(acknowledged) <= set(written)
        assert len(written) == len(set(written))
        assert await store.check() == []


@pytest.mark.parametrize(("moment", "expected"), [("before commit", [0, 1]), ("after commit", [0, 1, 2])])
async def test_a_process_may_be_ended_at_an_exact_commit(path: Path, moment: str, expected: list[int]) -> None:
    code = f"""
def crash_point(moment, number):
    if (moment, number) == ({moment!r}, 4): os._exit(70)
async def main():
    async with SqliteStore(path, crash_point=crash_point) as store:
        await store.register(lease)
        for n in range(9): await store.append(lease.id, line(n))
asyncio.run(main())
"""
    with children(child(code, path)) as (process,):
        assert await asyncio.to_thread(process.wait) == 70
    async with SqliteStore(path) as store:
        assert [line.op for line in await store.journal("e1")] == expected


TAKE = """
def crash_point(moment, number):
    if (moment, number) == (os.environ["MOMENT"], 4): os._exit(70)
def asked(id, status):
    facts = dict(request="{}", digest=DIGEST, status=status, created_at=1.0, channels=["mail"])
    return ApprovalRecord(id=id, execution_id="e1", **facts)
head = ExecutionRecord(id="e1", name="pay", version=1, arguments="{}", digest="d", created_at=1.0, updated_at=1.0)
approvals = [asked("used", ApprovalStatus.GRANTED), asked("open", ApprovalStatus.PENDING)]
hold = Hold(key="budget:b", amount=60, limit=100)
permit = Permit(id="p1", action_digest="d", approvals=[("used", DIGEST)], holds=[hold])
async def main():
    async with SqliteStore(path, crash_point=crash_point) as store:
        await store.register(lease)
        await store.create(head)
        await store.append(lease.id, Commit(execution_id="e1", approvals=approvals))
        await store.append(lease.id, Commit(execution_id="e1", events=line(0).events, permit=permit, withdraws=True))
asyncio.run(main())
"""


@pytest.mark.parametrize(("moment", "is_done"), [("before commit", False), ("after commit", True)])
async def test_a_permit_is_taken_up_with_all_that_goes_with_it_or_not_at_all(
    path: Path, moment: str, is_done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOMENT", moment)
    with children(child(f"DIGEST = {digest_of('{}')!r}{TAKE}", path)) as (process,):
        assert await asyncio.to_thread(process.wait) == 70
    async with SqliteStore(path) as store:
        used = await store.approval("used")
        assert used is not None
        assert used.used_by == ("p1" if is_done else None)
        assert await store.drawn("budget:b") == (Drawn(60, 0, 1) if is_done else Drawn())
        told = [notice.id for notice in await store.notices()]
        assert told == ["open:withdrawn:mail"] * is_done + ["open:requested:mail", "used:requested:mail"]
        assert await types(store) == ["policy.approval.withdrawn", "step"] * is_done


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
def test_ctrl_c_in_the_midst_of_a_commit_keeps_nobody_waiting(path: Path, moment: str) -> None:
    pressed: list[int] = []

    def crash_point(where: str, number: int) -> None:
        if (where, number) == (moment, 2) and not pressed:
            pressed.append(number)
            raise KeyboardInterrupt

    async def begin() -> SqliteStore:
        store = await SqliteStore(path, loop_budget=float("inf"), crash_point=crash_point).__aenter__()
        await store.register(worker())
        return store

    async def write(store: SqliteStore) -> None:
        await asyncio.gather(*(store.append(OWNER, commit(event(type=f"line {op}"))) for op in range(3)))

    with closing(asyncio.new_event_loop()) as loop:
        store = loop.run_until_complete(begin())
        writing = loop.create_task(write(store))
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(writing)
        loop.run_until_complete(writing)
        loop.run_until_complete(store.__aexit__())
    assert asyncio.run(journal_of(path)) == ["line 0", "line 1", "line 2"]


def test_ctrl_c_in_what_follows_a_commit_takes_no_word_from_the_others(path: Path) -> None:
    told: list[str] = []

    def presses(_: object) -> None:
        told.append("first")
        raise KeyboardInterrupt

    async def write() -> None:
        async with SqliteStore(path, loop_budget=float("inf")) as store:
            await store.register(worker())
            first, second = (store.append(OWNER, commit(event(op=op))) for op in range(2))
            first.then(presses)
            first.then(lambda _: told.append("first again"))
            second.then(lambda _: told.append("second"))
            await second

    with closing(asyncio.new_event_loop()) as loop:
        writing = loop.create_task(write())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(writing)
        loop.run_until_complete(writing)
    assert told == ["first", "first again", "second"]


async def test_a_store_answers_on_its_own_loop_only(store: SqliteStore) -> None:
    async def elsewhere() -> None:
        await receipt

    receipt = store.append(OWNER, commit(event()))
    with pytest.raises(UsageError, match="another one"):
        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
    await receipt


@pytest.mark.parametrize("budget", [0.0, float("inf")])
def test_a_commit_lands_though_the_loop_is_closed(path: Path, budget: float) -> None:
    async def begin() -> SqliteStore:
        store = await SqliteStore(path, loop_budget=budget).__aenter__()
        await store.register(worker())
        return store

    def call(store: SqliteStore) -> None:
        store.append(OWNER, commit(event(type="last words")))
        loop.stop()

    loop = asyncio.new_event_loop()
    store = loop.run_until_complete(begin())
    loop.call_soon(call, store)
    loop.run_forever()
    loop.close()
    del store
    gc.collect()
    assert asyncio.run(journal_of(path)) == ["last words"]


async def journal_of(path: Path) -> list[str]:
    async with SqliteStore(path) as store:
        return await types(store)


async def test_a_full_file_fails_clearly_and_loses_nothing(path: Path) -> None:
    acknowledged = 0

    async def fill(store: Store) -> None:
        nonlocal acknowledged
        while True:
            await store.append(OWNER, commit(event(op=acknowledged, value="x" * 5000)))
            acknowledged += 1

    async with SqliteStore(path, max_bytes=400_000) as store:
        await store.register(worker())
        with pytest.raises(StoreUnavailable, match="free some space"):
            await fill(store)
        assert [line.op for line in await store.journal("e1")] == list(range(acknowledged))
        assert await store.renew(OWNER, 0)
    assert acknowledged > 20
    async with SqliteStore(path) as store:
        await store.append(OWNER, commit(event(op=acknowledged)))
        assert [line.op for line in await store.journal("e1")] == list(range(acknowledged + 1))
        assert await store.check() == []


async def test_a_store_works_again_once_there_is_space(path: Path) -> None:
    code = """
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
async def main():
    async with SqliteStore(path) as store:
        await store.register(lease)
        await store.append(lease.id, line(0))
        room = os.path.getsize(path + "-wal")
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        group = [store.append(lease.id, line(n)) for n in range(1, 40)]
        outcomes = await asyncio.gather(*group, return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes), outcomes
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        await store.append(lease.id, line(40))
        assert [event.op for event in await store.journal("e1")] == [0, 40]
        assert await store.check() == []
asyncio.run(main())
"""
    with children(child(code, path)) as (process,):
        assert await asyncio.to_thread(process.wait) == 0


async def test_a_damaged_file_is_found_out(path: Path) -> None:
    async with SqliteStore(path) as store:
        await store.register(worker())
        for number in range(50):
            await store.append(OWNER, commit(*(event(op=number, value="x" * 500) for _ in range(20))))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4096 // 3 * 4096)  # behind the schema
        file.write(b"\xa5" * (size // 2))
    async with SqliteStore(path) as store:
        with pytest.raises(StoreCorrupt, match="assent doctor"):
            await store.journal("e1")
        with pytest.raises(StoreCorrupt, match="damaged"):
            await store.append(OWNER, commit(*(event(value="x" * 500) for _ in range(1000))))
        assert await store.check() != []


async def test_a_status_that_does_not_exist_is_found_out(store: SqliteStore, path: Path) -> None:
    await store.create(execution())
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        raw.execute("UPDATE executions SET status = 'perhaps'")
    with pytest.raises(StoreCorrupt, match="'perhaps'"):
        await store.execution("e1")


async def test_text_that_is_none_is_found_out(store: SqliteStore, path: Path) -> None:
    await store.create(execution())
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE executions SET arguments = CAST(x'ff' AS TEXT)")
    with pytest.raises(StoreCorrupt, match="damaged"):
        await store.execution("e1")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, StoreUnavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable),
        (sqlite3.SQLITE_LOCKED, StoreUnavailable),
        (sqlite3.SQLITE_FULL, StoreUnavailable),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StoreUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailable),
        (sqlite3.SQLITE_NOMEM, StoreUnavailable),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorrupt),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, StoreError),
        (sqlite3.SQLITE_MISUSE, StoreError),
    ],
)
def test_every_error_of_sqlite_becomes_ours(code: int, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("it says so")
    error.sqlite_errorcode = code
    ours = translate(error, "/data/assent.db")
    assert type(ours) is kind
    assert ours.__cause__ is error
    assert "'/data/assent.db'" in str(ours)
    assert "it says so" in str(ours)

"""Several workers on one store, stopped past their leases and killed: one drives, and nothing happens twice."""

import asyncio
import itertools
from collections import Counter
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, so that a failure can be looked at again
from typing import Any

import pytest

from assent import ExecutionCancelled, Handle, Runtime, Status, Workflow
from assent.store import ExecutionQuery
from assent.store.sqlite import SqliteStore
from assent.testing import CrashAt, Ledger
from tests.crash import flows
from tests.crash.crew import STORE, Crew, Worker, client_of, crew_in
from tests.crash.flows import RESULTS
from tests.crash.journals import check, check_approvals, check_replays

ALL = 10**9
MANY = 200


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replayed here, workflow code still tells what it has seen, to a file in the current folder."""
    monkeypatch.chdir(tmp_path)


async def check_store(folder: Path) -> None:
    """What must hold whatever happened."""
    async with SqliteStore(folder / STORE) as store:
        executions = await store.executions(ExecutionQuery(limit=ALL))
        journal = await store.events(limit=ALL)
        check(journal, executions, Ledger(folder / flows.EFFECTS).entries())
        await check_replays(journal, executions)
        check_approvals(await store.approvals(limit=ALL), executions)
        assert await store.check() == []


async def start_many(client: Runtime, numbers: range) -> list[Handle[str]]:
    return [await client.start(flows.three_then_once, number, id=f"e{number}") for number in numbers]


async def check_paid(folder: Path, handles: list[Handle[str]]) -> None:
    """All have ended well, and each has paid once."""
    async with asyncio.timeout(40):
        results = await asyncio.gather(*(handle.result() for handle in handles))
    assert results == [f"{number}.paid done" for number in range(len(handles))]
    paid = sorted(path.read_text(encoding="utf-8") for path in (folder / flows.PAYMENTS).iterdir())
    assert paid == sorted(f"{number}.paid" for number in range(len(handles)))


async def test_two_workers_share_what_there_is(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew, client_of(tmp_path) as client:
        pids = {(await crew.hire(lease=20.0)).pid, (await crew.hire(lease=20.0)).pid}
        handles = await start_many(client, range(MANY))
        await check_paid(tmp_path, handles)
    by = Counter(entry.pid for entry in Ledger(tmp_path / flows.EFFECTS).entries())
    assert by.keys() == pids
    assert by.total() == 3 * MANY
    await check_store(tmp_path)


async def test_a_worker_that_is_stopped_past_its_lease_again_and_again_does_no_harm(tmp_path: Path) -> None:
    lost = 0
    async with crew_in(tmp_path) as crew, client_of(tmp_path) as client:
        first, _ = await crew.hire(), await crew.hire()
        handles: list[Handle[str]] = []
        for number in range(0, MANY, 20):
            heard = len(first.heard)
            handles += await start_many(client, range(number, number + 20))
            await first.tells_kind("step.started", after=heard)
            first.stop()
            is_lost = await lease_ended(client, first)
            first.go_on()
            if is_lost:
                lost += 1
                await first.tells(lambda word: word.kind == "log" and "was lost" in word.text, after=heard)
        await check_paid(tmp_path, handles)
    assert lost > 0
    await check_store(tmp_path)


async def lease_ended(client: Runtime, worker: Worker) -> bool:
    """Whether the lease of a stopped process is ended by others; waits as long as that may take.

    A process that is stopped in the middle of a transaction keeps the file locked, and nobody can end its lease.
    """
    ended = asyncio.ensure_future(gone(client, worker.pid))
    await asyncio.wait([ended], timeout=1.0)
    ended.cancel()
    return ended.done()


async def gone(client: Runtime, pid: int) -> None:
    async with SqliteStore(client.url) as store:
        while pid in {lease.pid for lease in await store.workers()}:
            await changed(store)


async def changed(store: SqliteStore) -> None:
    """Wait for another process to write."""
    while not store.changed():  # noqa: ASYNC110 - no word comes from other processes: all that a store can do is look
        await asyncio.sleep(0.01)


async def test_a_worker_that_is_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew, client_of(tmp_path) as client:
        await crew.hire()
        handles: list[Handle[str]] = []
        for number in range(5):
            victim = await crew.hire()
            handles += await start_many(client, range(number * 40, (number + 1) * 40))
            await victim.tells_kind("step.started")
            victim.kill()
        await check_paid(tmp_path, handles)
    await check_store(tmp_path)


async def test_a_worker_that_is_stopped_in_a_transaction_delays_the_others_and_no_more(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew, client_of(tmp_path) as client:
        handle = await client.start(flows.in_sequence, id="e")
        first = await crew.hire(lease=0.2, stop=CrashAt("before commit", 5))
        await first.tells_kind("stopping")
        second = asyncio.ensure_future(crew.hire(lease=0.2))
        await asyncio.wait([second], timeout=0.5)
        assert not second.done(), "nobody can write while the stopped process holds the lock"
        first.go_on()
        await second
        async with asyncio.timeout(20):
            assert await handle.result() == ["a done", "b done", "c done", "d0 done", "d1 done"]
    await check_store(tmp_path)


# One worker, stopped at an exact commit past its lease


@pytest.mark.parametrize("flow", [flows.in_sequence, flows.governed, flows.branches], ids=lambda flow: flow.name)
async def test_a_worker_that_was_stopped_writes_no_word_and_goes_on_under_a_new_lease(
    flow: Workflow[[], Any], tmp_path: Path
) -> None:
    stopped = 0
    for number in itertools.count(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        if not await stop_after(number, flow, folder):
            break
        stopped += 1
    assert stopped >= 3


async def stop_after(number: int, flow: Workflow[[], Any], folder: Path) -> bool:
    """Stop a worker after its n-th commit until another has done its work. False: it had done it before."""
    async with crew_in(folder) as crew, client_of(folder) as client:
        handle = await client.start(flow, id="e")
        first = await crew.hire(lease=0.2, stop=CrashAt("after commit", number))
        if not await was_stopped(first, handle):
            return False
        told, written = len(first.heard), {event.type for event in await handle.events()}
        await crew.hire(lease=0.2)
        async with asyncio.timeout(20):
            await handle.result()
            await gone(client, first.pid)
        first.go_on()
        await first.tells(lambda word: word.kind == "log" and "was lost" in word.text, after=told)
        for late in first.heard[told:]:
            assert late.kind in written | {"log"}, "what a lost lease wrote has been taken for durable"
        await works_again(client, crew, first)
    await check_store(folder)
    return True


async def was_stopped(worker: Worker, handle: Handle[Any]) -> bool:
    stopping = asyncio.ensure_future(worker.tells_kind("stopping"))
    ended = asyncio.ensure_future(handle.result())
    try:
        async with asyncio.timeout(20):
            await asyncio.wait([stopping, ended], return_when=asyncio.FIRST_COMPLETED)
        return not ended.done()
    finally:
        stopping.cancel()
        ended.cancel()


async def works_again(client: Runtime, crew: Crew, worker: Worker) -> None:
    """A worker that lost its lease has taken a new one, and works when all others are gone."""
    crew.dismiss(but=worker)
    more = await client.start(flows.inline, "more", id="more")
    async with asyncio.timeout(20):
        assert await more.result() == ["more0 done", "more1 done"]


# Everything at once

KILLS = 30
MIXED: list[Workflow[[], Any]] = [getattr(flows, name) for name in RESULTS] + [flows.governed_blindly]


async def test_kills_at_random_moments_leave_every_journal_and_the_outside_in_agreement(tmp_path: Path) -> None:
    dice = Random(20)
    async with crew_in(tmp_path) as crew, client_of(tmp_path) as client:
        people = asyncio.ensure_future(decide_all(client, tmp_path))
        workers = [await crew.hire(lease=0.3), await crew.hire(lease=0.3)]
        handles: list[Handle[Any]] = []
        for number in range(KILLS):
            handles += [await start_one(client, flow, number) for flow in dice.sample(MIXED, 4)]
            await asyncio.wait([people], timeout=dice.uniform(0.0, 0.12))
            place = dice.randrange(2)
            workers[place].kill()
            workers[place] = await crew.hire(lease=0.3)
        async with asyncio.timeout(30):
            outcomes = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
        assert not people.done()
        people.cancel()
    for handle, outcome in zip(handles, outcomes, strict=True):
        name = handle.id.partition("-")[0]
        assert outcome == RESULTS.get(name, ["before done", "x done", "after done"]) or (name, type(outcome)) == (
            "cancelled",
            ExecutionCancelled,
        ), handle.id
    await check_store(tmp_path)


async def start_one(client: Runtime, flow: Workflow[[], Any], number: int) -> Handle[Any]:
    handle = await client.start(flow, id=f"{flow.name}-{number}")
    if flow is flows.signalled:
        await handle.signal("word", "yes")
    elif flow is flows.cancelled:
        await handle.cancel("enough")
    return handle


async def decide_all(client: Runtime, folder: Path) -> None:
    """Grant what is asked for, and say of effects in doubt what the ledger says of them, as long as this runs."""
    async with SqliteStore(folder / STORE) as store:
        while True:
            for approval in await client.approvals():
                await client.decide(approval.id, approver="ann@example.com")
            for record in await client.executions(status=Status.IN_DOUBT):
                if not await store.inbox(record.id):
                    await resolve(client.handle(record.id), folder)
            await changed(store)


async def resolve(handle: Handle[Any], folder: Path) -> None:
    entries = Ledger(folder / flows.EFFECTS).entries()
    is_done = any(entry.key.startswith(f"{handle.id}:") and entry.what.startswith("x#") for entry in entries)
    await handle.resolve(done=is_done, result="x done" if is_done else None, by="ann@example.com")

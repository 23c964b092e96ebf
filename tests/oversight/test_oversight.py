"""Two thousand actions under every kind of oversight at once, by workers that are killed all the time."""

import asyncio
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, so that a failure can be looked at again

import pytest

from assent import Event, Principal, Runtime, Status, acting_as
from assent.codec import to_json
from assent.store import ExecutionQuery
from assent.store.sqlite import SqliteStore
from tests.oversight import scenes
from tests.oversight.checker import Journal, authority_of, check_effects, effects_of
from tests.oversight.crowd import REQUESTERS, Crowd, amount_of

ACTIONS = 2000
AT_ONCE = 250
SEED = 20


class Workers:
    """Two worker processes, one of which is killed now and then."""

    def __init__(self, folder: Path, chance: Random) -> None:
        self.folder = folder
        self.chance = chance
        self.killed = 0
        self._processes: list[asyncio.subprocess.Process] = []

    async def hire(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.oversight.worker",
            str(self.folder),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._processes.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"

    async def haunt(self) -> None:
        """Kill one and hire another, again and again."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.5, 2.0))  # not to wait for anything: that is the fault injected
            victim = self._processes.pop(self.chance.randrange(len(self._processes)))
            victim.kill()
            await victim.wait()
            self.killed += 1
            await self.hire()

    async def dismiss(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def start_all(runtime: Runtime, chance: Random) -> None:
    """Start the actions, so many at a time."""
    room = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        for case in range(ACTIONS):
            await room.acquire()
            governed = scenes.ALL[case % len(scenes.ALL)]
            with acting_as(Principal(chance.choice(REQUESTERS))):
                handle = await runtime.start(
                    governed, case=case, amount=amount_of(chance), supplier=f"s{case % 6}", id=f"a{case}"
                )
            tasks.create_task(ended(handle.id, runtime, room))


async def ended(id: str, runtime: Runtime, room: asyncio.Semaphore) -> None:
    """Free a place when an execution is over, whatever came of it."""
    await asyncio.gather(runtime.handle(id).result(), return_exceptions=True)
    room.release()


async def grant_mandates(runtime: Runtime) -> None:
    for number, count in enumerate([3, 12, 40]):
        with acting_as(Principal("req@x.org")):
            handle = await runtime.ask_mandate(
                scenes.under_mandate,
                approvers=["ann@x.org", "bob@x.org"],
                until="1h",
                count=count,
                total=5000 * (number + 1),
                only=[f'supplier in ["s{number}", "s{number + 3}"]'],
                id=f"m{number}",
            )
        waiting: list[str] = []
        while not waiting:
            waiting = [one.id for one in await runtime.approvals(execution_id=handle.id)]
            await asyncio.sleep(0.02)
        await runtime.decide(waiting[0], approver="bob@x.org", reason="routine")
        await handle.result()


async def crowd_until_over(crowd: Crowd, over: asyncio.Event) -> None:
    while not over.is_set():
        await crowd.act_on_all()
        await asyncio.sleep(0.05)


@pytest.mark.timeout(400)
async def test_every_effect_has_exactly_the_authority_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, over = Random(SEED), asyncio.Event()
    workers = Workers(tmp_path, chance)
    async with Runtime(f"sqlite:///{tmp_path / 'assent.db'}", worker=False) as runtime:
        crowd = Crowd(runtime, Random(SEED + 1))
        await crowd.arrive()
        await workers.hire()
        await workers.hire()
        await grant_mandates(runtime)
        haunting = asyncio.create_task(workers.haunt())
        acting = asyncio.create_task(crowd_until_over(crowd, over))
        try:
            await start_all(runtime, chance)
        finally:
            over.set()
            haunting.cancel()
            await asyncio.gather(haunting, acting, return_exceptions=True)
            await workers.dismiss()
        acting.result()
    monkeypatch.chdir(tmp_path)
    async with SqliteStore(tmp_path / "assent.db") as store:
        executions = await store.executions(ExecutionQuery(limit=10**9))
        journal = Journal.of(await store.events(limit=10**9), crowd.disabled, crowd.lent)
        assert await store.check() == []
    assert {one.status for one in executions} <= {Status.COMPLETED, Status.FAILED}
    seen = check_effects(journal, tmp_path)
    happened = [one for one in executions if one.status is Status.COMPLETED]
    assert len(happened) == 3 + sum(seen[governed.name.rsplit(".", 1)[-1]] for governed in scenes.ALL)
    assert_tampering_is_found(journal, tmp_path)
    assert_nothing_was_missed(seen, Counter(one.cause for one in executions), workers.killed)


def assert_tampering_is_found(journal: Journal, folder: Path) -> None:
    """The check itself can fail: it finds each way of lacking authority, put into the journal by hand."""
    effect = next(each for each in effects_of(journal, folder) if each.name == "quorum_of_two")
    events = journal.events[effect.execution_id]
    first = next(event for event in events if event.type == "policy.approval.requested")
    revoked = first._replace(type="policy.approval.revoked", seq=effect.seq - 1)
    forged = [
        [event for event in events if event.type != "policy.approval.granted"],
        [event for event in events if event.type != "policy.evaluated"],
        [_changed(event, '"ask"', '"deny"') for event in events],
        [_changed(event, '"approver":"', '"approver":"not ') for event in events],
        [_changed(event, effect.permit["action_digest"], "0" * 64) for event in events],
        [*events[:-3], *(_for(revoked, each) for each in effect.permit["approvals"]), *events[-3:]],
    ]
    for each in forged:
        with pytest.raises((AssertionError, KeyError)):
            authority_of(replace(journal, events={**journal.events, effect.execution_id: each}), effect)


def _changed(event: Event, old: str, new: str) -> Event:
    return event._replace(value=event.value.replace(old, new)) if event.value else event


def _for(event: Event, approval_id: str) -> Event:
    return event._replace(value=to_json({"approval_id": approval_id, "approver": "ann@x.org", "decision": "revoke"}))


def assert_nothing_was_missed(seen: Counter[str], causes: Counter[str | None], killed: int) -> None:
    """What is meant to be in play was in play."""
    missing = [each.name for each in scenes.ALL if not seen[each.name.rsplit(".", 1)[-1]]]
    ways = ["own", "role", "delegated", "edited", "conditional", "mandate", "silence"]
    ways += ["budget nearly used up", "mandate used up"]
    missing += [way for way in ways if not seen[way]]
    missing += [cause for cause in ("denied", "rejected", "expired", "refused") if not causes[cause]]
    assert missing == []
    assert killed >= 10

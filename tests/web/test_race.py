"""Inbox, link, Slack, REST and command line at once: each approval is decided once, and the losers hear by whom."""

import asyncio
import json
import random  # noqa: TID251 - seeded, so that each run is the same
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from assent import ApprovalPolicy, govern
from assent.store import ApprovalStatus, Status, VerdictRecord
from assent.web.settings import WebSettings
from tests.web.doors import HTML, SIGNING_SECRET, browser, csrf, link_to, pressed, signed, text_of
from tests.web.place import Place, served

COUNT, BY_SHELL = 500, 125
SURFACES = ("inbox", "link", "slack", "rest")
CLI = "cli@company.com"
PEOPLE = {name: f"{name}@company.com" for name in SURFACES}
SETTINGS = WebSettings(slack_signing_secret=SIGNING_SECRET, sign_in_attempts=100_000)
EFFECTS: Counter[int] = Counter()


@govern(policies=[ApprovalPolicy(approvers=[*PEOPLE.values(), CLI], timeout_seconds=0, separation_of_duties=False)])
async def pay(number: int) -> int:
    EFFECTS[number] += 1
    return number


@dataclass
class Crowd:
    """Somebody at each surface. `said` has what each of them was told, by approval and surface."""

    there: Place
    inbox: httpx.AsyncClient
    rest: httpx.AsyncClient
    plain: httpx.AsyncClient
    links: dict[str, str]
    said: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    async def by_inbox(self, approval_id: str, decision: str) -> httpx.Response:
        form = {"decision": decision, "csrf_token": csrf(self.inbox)}
        return await self.inbox.post(f"/approvals/{approval_id}/verdict", data=form)

    async def by_link(self, approval_id: str, decision: str) -> httpx.Response:
        return await self.plain.post(self.links[approval_id], data={"decision": decision}, headers=HTML)

    async def by_slack(self, approval_id: str, decision: str) -> httpx.Response:
        body = pressed("U-RACE", approval_id, decision)
        return await self.plain.post(
            "/slack/interactive", content=body, headers=signed(body, self.there.runtime.clock.now())
        )

    async def by_rest(self, approval_id: str, decision: str) -> httpx.Response:
        return await self.rest.post(f"/api/v1/approvals/{approval_id}/verdicts", json={"decision": decision})

    async def at(self, surface: str, ids: list[str]) -> None:
        """Decide everything from one surface, in an order and with a mind of its own."""
        dice = random.Random(surface)
        decide: Callable[[str, str], Awaitable[httpx.Response]] = getattr(self, f"by_{surface}")
        for approval_id in dice.sample(ids, len(ids)):
            answer = await decide(approval_id, dice.choice(["approve", "reject"]))
            self.said[approval_id, surface] = answer.status_code, text_of(answer.text)


async def _from_the_shell(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """What `assent approve` says of each, in a process of its own: why the verdict does not count, if it does not."""
    command = ["-m", "assent", "approve", *ids, "--as", CLI, "--yes", "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--store", str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaint = await process.communicate()
    assert process.returncode in {0, 5}, complaint.decode()
    return {one["approval_id"]: one["refusal"] or "" for one in json.loads(printed)}


async def _ask(there: Place) -> dict[str, str]:
    """Ask for everything; the approvals, each with its execution."""
    handles = [await there.runtime.start(pay, number) for number in range(COUNT)]
    for handle in handles:
        await there.runtime.engine.waiting(handle.id)
    return {one.id: one.execution_id for one in await there.runtime.approvals(limit=COUNT + 1)}


@pytest.mark.timeout(240)
async def test_five_surfaces_decide_five_hundred_approvals_once_each(tmp_path: Path) -> None:
    path = tmp_path / "assent.db"
    async with served(path, settings=SETTINGS) as there, AsyncExitStack() as stack:
        for who in (*PEOPLE.values(), CLI):
            await there.runtime.people.add(who, contacts={"slack": "U-RACE"} if who == PEOPLE["slack"] else None)
        asked = await _ask(there)
        assert len(asked) == COUNT
        crowd = Crowd(
            there,
            await stack.enter_async_context(browser(there, PEOPLE["inbox"])),
            await stack.enter_async_context(there.client(PEOPLE["rest"])),
            await stack.enter_async_context(there.client()),
            {each: await link_to(there, each, PEOPLE["link"]) for each in asked},
        )
        ends = [asyncio.ensure_future(there.ended(each)) for each in asked.values()]
        # Fewer than all: a single process with no network between would have decided everything before the others.
        shell = asyncio.ensure_future(_from_the_shell(path, list(asked)[:: COUNT // BY_SHELL]))
        # A process takes a while to start. From its first verdict on the others come between.
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*(crowd.at(surface, list(asked)) for surface in SURFACES))
        refused = await shell
        await asyncio.gather(*ends)
        winners = Counter[str]()
        for approval_id, execution_id in asked.items():
            winner = await _decided_once(crowd, approval_id)
            winners[winner.approver] += 1
            assert winner.approver in (refused.get(approval_id) or winner.approver)
            await _effect_as_decided(there, execution_id, winner)
        assert set(EFFECTS.values()) <= {1}
        # Each surface has won some and lost some: it was a race.
        assert len(winners) == 5, winners
        assert Counter(not each for each in refused.values())[True] == winners[CLI]


async def _decided_once(crowd: Crowd, approval_id: str) -> VerdictRecord:
    store = crowd.there.runtime.open_store
    counted = [one for one in await store.verdicts(approval_id) if one.refusal is None]
    (winner,) = counted
    record = await store.approval(approval_id)
    assert record is not None
    assert record.status is (ApprovalStatus.GRANTED if winner.decision == "approve" else ApprovalStatus.REJECTED)
    for surface, who in PEOPLE.items():
        status, told = crowd.said[approval_id, surface]
        if who == winner.approver:
            assert status in {200, 303}, told
        else:
            assert status == (200 if surface == "slack" else 409), told
            assert winner.approver in told, told
            assert re.search(r"\d\d:\d\d", told), told
    return winner


async def _effect_as_decided(there: Place, execution_id: str, winner: VerdictRecord) -> None:
    ended = await there.ended(execution_id)
    assert ended is (Status.COMPLETED if winner.decision == "approve" else Status.FAILED)
    record = await there.runtime.engine.execution(execution_id)
    number = int(re.findall(r"\d+", record.arguments)[0])
    assert EFFECTS[number] == (1 if winner.decision == "approve" else 0)

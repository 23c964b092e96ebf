"""Verdicts in the store: of any number of processes exactly one decides."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assent.errors import ApprovalNotFound, UsageError, VerdictRefused
from assent.governance import cast, lapse
from assent.governance.people import add_person, delegate, disable_person, end_delegation
from assent.governance.verdicts import cast_all, find, objection_to, remind, show, withdraw
from assent.store import ApprovalRecord, ApprovalStatus, Commit, Permit
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock
from tests.governance.questions import ANA, BOB, CLARA, DAN, NOW, REQUEST, approval_events, asked, told


async def test_a_deciding_verdict_is_journaled_and_told_to_the_execution() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        record = await cast(store, clock, "A1", approver=ANA, decision="approve", reason="fine")
        assert record.status is ApprovalStatus.GRANTED
        assert await store.approval("A1") == record
        (event,) = await approval_events(store)
        assert (event.type, event.name) == ("policy.approval.granted", "large")
        assert json.loads(event.value or "") == {
            "approval_id": "A1",
            "approver": ANA,
            "decision": "approve",
            "reason": "fine",
            "approvals": 1,
        }
        ((name, word),) = await told(store)
        assert name == "approval:A1"
        assert word == {
            "status": "granted",
            "approver": ANA,
            "reason": "fine",
            "decided_at": clock.now(),
            "digest": record.digest,
            "expires_at": record.expires_at,
        }


async def test_a_vote_that_does_not_decide_is_only_journaled() -> None:
    clock = JumpingClock()
    async with asked(clock, replace(REQUEST, quorum=2)) as store:
        record = await cast(store, clock, "A1", approver=ANA, decision="approve")
        assert record.status is ApprovalStatus.PENDING
        assert not await told(store)
        await cast(store, clock, "A1", approver=BOB, decision="approve")
        assert [event.type for event in await approval_events(store)] == [
            "policy.approval.voted",
            "policy.approval.granted",
        ]
        assert len(await told(store)) == 1


async def test_a_rejection_is_told() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        await cast(store, clock, "A1", approver=ANA, decision="reject", reason="too much")
        assert [event.type for event in await approval_events(store)] == ["policy.approval.rejected"]
        ((_, word),) = await told(store)
        assert (word["status"], word["approver"], word["reason"]) == ("rejected", ANA, "too much")


async def test_a_refused_verdict_is_on_record_and_raised() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        await cast(store, clock, "A1", approver=ANA, decision="approve")
        with pytest.raises(VerdictRefused, match=f"approval A1 was granted by {ANA} at") as refused:
            await cast(store, clock, "A1", approver=BOB, decision="reject", reason="no")
        assert (refused.value.approval_id, refused.value.execution_id, refused.value.action) == ("A1", "E1", "wire")
        assert refused.value.reason.startswith("approval A1 was granted")
        assert [verdict.refusal for verdict in await store.verdicts("A1")] == [None, refused.value.reason]
        assert [event.type for event in await approval_events(store)][-1] == "policy.approval.refused"
        assert len(await told(store)) == 1


async def test_of_many_clicks_at_once_exactly_one_decides() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        clicks = [cast(store, clock, "A1", approver=(ANA, BOB)[n % 2], decision="approve") for n in range(20)]
        results = await asyncio.gather(*clicks, return_exceptions=True)
        assert [type(one) for one in results].count(ApprovalRecord) == 1
        assert [type(one) for one in results].count(VerdictRefused) == 19
        types = [event.type for event in await approval_events(store)]
        assert (types.count("policy.approval.granted"), types.count("policy.approval.refused")) == (1, 19)
        assert len(await told(store)) == 1
        assert len(await store.verdicts("A1")) == 20


async def test_votes_at_once_are_all_counted() -> None:
    clock = JumpingClock()
    people = tuple(f"p{number}@company.com" for number in range(10))
    async with asked(clock, replace(REQUEST, approvers=people, quorum=10)) as store:
        records = await asyncio.gather(*(cast(store, clock, "A1", approver=who, decision="approve") for who in people))
        assert [record.status for record in records].count(ApprovalStatus.GRANTED) == 1
        assert len(await told(store)) == 1


@pytest.mark.parametrize(
    ("rules", "types", "status"),
    [
        ({}, ["policy.approval.expired"], "expired"),
        ({"on_expiry": "approve"}, ["policy.approval.expired", "policy.approval.granted"], "granted"),
    ],
)
async def test_expiry_is_journaled_and_told(rules: dict[str, Any], types: list[str], status: str) -> None:
    clock = JumpingClock()
    async with asked(clock, replace(REQUEST, **rules)) as store:
        assert (await lapse(store, clock, "A1")).status is ApprovalStatus.PENDING
        clock.advance(3600)
        assert (await lapse(store, clock, "A1")).status == status
        assert (await lapse(store, clock, "A1")).status == status
        assert [event.type for event in await approval_events(store)] == types
        ((_, word),) = await told(store)
        assert (word["status"], word["approver"]) == (status, None)


async def test_an_escalated_approval_asks_others_in_the_store() -> None:
    clock = JumpingClock()
    async with asked(clock, replace(REQUEST, on_expiry="escalate", escalate_to=((DAN,),))) as store:
        clock.advance(3600)
        assert (await lapse(store, clock, "A1")).expires_at == clock.now() + 3600
        with pytest.raises(VerdictRefused, match="not an approver"):
            await cast(store, clock, "A1", approver=ANA, decision="approve")
        assert (await cast(store, clock, "A1", approver=DAN, decision="approve")).status is ApprovalStatus.GRANTED
        types = [event.type.removeprefix("policy.approval.") for event in await approval_events(store)]
        assert types == ["escalated", "refused", "granted"]


async def test_a_verdict_and_its_expiry_at_once_decide_once() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        verdict = asyncio.create_task(cast(store, clock, "A1", approver=ANA, decision="approve"))
        await verdict
        clock.advance(3600)
        ends = await asyncio.gather(*(lapse(store, clock, "A1") for _ in range(5)))
        assert {end.status for end in ends} == {ApprovalStatus.GRANTED}
        assert len(await told(store)) == 1


async def test_many_processes_that_see_an_expiry_write_it_once() -> None:
    clock = JumpingClock()
    async with asked(clock, replace(REQUEST, on_expiry="escalate", escalate_to=((DAN,),))) as store:
        clock.advance(3600)
        await asyncio.gather(*(lapse(store, clock, "A1") for _ in range(10)))
        assert [event.type for event in await approval_events(store)] == ["policy.approval.escalated"]


async def test_a_verdict_that_came_first_wins_over_expiry() -> None:
    early, late = JumpingClock(), JumpingClock(start=NOW + 3600)
    async with asked(early) as store:
        store.quicker = lambda: cast(store, early, "A1", approver=ANA, decision="approve")
        assert (await lapse(store, late, "A1")).status is ApprovalStatus.GRANTED
        assert [event.type for event in await approval_events(store)] == ["policy.approval.granted"]


async def test_a_stored_row_that_was_edited_grants_nothing() -> None:
    clock = JumpingClock()
    forged = replace(REQUEST, approvers=(DAN,))
    async with asked(clock) as store:
        record = await store.approval("A1")
        assert record is not None
        await store.decide(replace(record, request=forged.to_text(), version=1), None, [])
        with pytest.raises(VerdictRefused, match="was changed after it was asked for"):
            await cast(store, clock, "A1", approver=DAN, decision="approve")


async def test_an_unknown_approval_is_told_with_a_remedy() -> None:
    clock = JumpingClock()
    async with SqliteStore("sqlite://") as store:
        for call in (cast(store, clock, "none", approver=ANA, decision="approve"), lapse(store, clock, "none")):
            with pytest.raises(ApprovalNotFound, match="`assent approvals` lists the open ones"):
                await call


async def test_what_is_no_verdict_is_refused_before_anything_happens() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        with pytest.raises(UsageError, match='"approve", "reject" or "revoke"'):
            await cast(store, clock, "A1", approver=ANA, decision="ok")
        assert not await store.verdicts("A1")

"""Verdicts in the store: of any number of processes exactly one decides."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assent.errors import ApprovalNotFound, PermitRefused, UsageError, VerdictRefused
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


# Chains and reminders.


async def test_each_level_has_its_time_and_the_last_one_rejects() -> None:
    clock = JumpingClock()
    request = replace(REQUEST, on_expiry="escalate", escalate_to=((BOB,), (DAN,)))
    async with asked(clock, request) as store:
        for _ in range(3):
            clock.advance(3600)
            await lapse(store, clock, "A1")
        assert (await find(store, "A1")).status is ApprovalStatus.EXPIRED
        events = await approval_events(store)
        assert [event.type.rpartition(".")[2] for event in events] == ["escalated", "escalated", "expired"]
        assert [json.loads(event.value or "").get("approvers") for event in events] == [[BOB], [DAN], None]


async def test_a_reminder_is_journaled_and_told_to_the_same_people() -> None:
    clock = JumpingClock()
    async with asked(clock, channels=["mail"]) as store:
        clock.advance(60)
        assert await remind(store, clock, "A1")
        (event,) = await approval_events(store)
        assert (event.type, event.at) == ("policy.approval.reminded", clock.now())
        assert json.loads(event.value or "")["approvers"] == [ANA, BOB, CLARA]
        assert [notice.topic for notice in await store.notices(approval_id="A1")] == ["reminded", "requested"]


async def test_nobody_is_reminded_of_what_is_over() -> None:
    clock = JumpingClock()
    async with asked(clock, *[REQUEST] * 2) as store:
        await cast(store, clock, "A1", approver=ANA, decision="reject")
        clock.advance(3600)
        for approval_id in ("A1", "A2"):
            assert not await remind(store, clock, approval_id)
        with pytest.raises(ApprovalNotFound):
            await remind(store, clock, "none")


async def test_a_reminder_does_not_cost_a_verdict() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        store.quicker = lambda: remind(store, clock, "A1")
        assert (await cast(store, clock, "A1", approver=ANA, decision="approve")).status is ApprovalStatus.GRANTED


# People in the store.


async def test_a_role_is_resolved_when_the_verdict_is_cast() -> None:
    clock = JumpingClock()
    async with asked(clock, replace(REQUEST, approvers=("role:finance",))) as store:
        with pytest.raises(VerdictRefused, match=f"{DAN} is not an approver of A1; ask role:finance"):
            await cast(store, clock, "A1", approver=DAN, decision="approve")
        await add_person(store, clock, DAN, roles=["finance"])
        await cast(store, clock, "A1", approver=DAN, decision="approve")
        event = (await approval_events(store))[-1]
        assert json.loads(event.value or "")["seat"] == "role:finance"
        assert (await store.verdicts("A1"))[-1].seat == "role:finance"


async def test_a_delegate_decides_only_while_they_stand_in() -> None:
    clock = JumpingClock()
    async with asked(clock, *[REQUEST] * 2) as store:
        for who in (ANA, DAN):
            await add_person(store, clock, who)
        lent = await delegate(store, clock, ANA, DAN, until=clock.now() + 1000)
        assert (await cast(store, clock, "A1", approver=DAN, decision="approve")).status is ApprovalStatus.GRANTED
        clock.advance(10)
        await end_delegation(store, clock, lent.id)
        with pytest.raises(VerdictRefused, match="not an approver"):
            await cast(store, clock, "A2", approver=DAN, decision="approve")
        assert await objection_to(store, "A1", REQUEST) is None


async def test_a_disabled_person_cannot_decide_and_is_not_counted() -> None:
    clock = JumpingClock()
    async with asked(clock, replace(REQUEST, quorum=2, requester=None)) as store:
        await add_person(store, clock, ANA)
        await cast(store, clock, "A1", approver=ANA, decision="approve")
        clock.advance(1)
        await disable_person(store, clock, ANA)
        clock.advance(1)
        with pytest.raises(VerdictRefused, match="is disabled"):
            await cast(store, clock, "A1", approver="Ana@Company.com", decision="revoke")
        assert (await cast(store, clock, "A1", approver=BOB, decision="approve")).status is ApprovalStatus.PENDING
        assert (await cast(store, clock, "A1", approver=CLARA, decision="approve")).status is ApprovalStatus.GRANTED


async def test_who_has_lost_the_role_since_has_rightly_approved() -> None:
    clock = JumpingClock()
    request = replace(REQUEST, approvers=("role:finance",))
    async with asked(clock, request) as store:
        await add_person(store, clock, DAN, roles=["finance"])
        await add_person(store, clock, BOB)
        await cast(store, clock, "A1", approver=DAN, decision="approve")
        await add_person(store, clock, DAN)
        assert await objection_to(store, "A1", request) is None
        assert "was changed" in str(await objection_to(store, "A1", replace(request, quorum=2)))
        assert await objection_to(store, "none", request) == "its approval is gone"


# Taking back.


async def test_a_grant_is_taken_back_before_it_is_used() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        await cast(store, clock, "A1", approver=ANA, decision="approve")
        record = await cast(store, clock, "A1", approver=ANA, decision="revoke", reason="wrong account")
        assert record.status is ApprovalStatus.REVOKED
        event = (await approval_events(store))[-1]
        assert (event.type, json.loads(event.value or "")["reason"]) == ("policy.approval.revoked", "wrong account")
        assert await objection_to(store, "A1", REQUEST) == f"approval A1 was revoked by {ANA}"
        assert len(await told(store)) == 1


async def take_up(store: SqliteStore, approval_id: str = "A1") -> None:
    record = await find(store, approval_id)
    permit = Permit(id="E1:1", action_digest=REQUEST.action_digest, approvals=[(approval_id, record.digest)])
    await store.append("W", Commit(execution_id="E1", permit=permit))


async def test_what_is_acted_upon_is_not_taken_back() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        await cast(store, clock, "A1", approver=ANA, decision="approve")
        await take_up(store)
        with pytest.raises(VerdictRefused, match="already acted upon"):
            await cast(store, clock, "A1", approver=ANA, decision="revoke")
        with pytest.raises(VerdictRefused, match="was granted by"):
            await cast(store, clock, "A1", approver=BOB, decision="reject")
        assert (await find(store, "A1")).status is ApprovalStatus.GRANTED
        assert len([one for one in await store.verdicts("A1") if one.refusal]) == 2


async def test_either_the_revocation_or_the_permit_comes_first() -> None:
    clock = JumpingClock()
    for permit_is_quicker in (True, False):
        async with asked(clock) as store:
            await cast(store, clock, "A1", approver=ANA, decision="approve")
            if permit_is_quicker:
                store.quicker = lambda store=store: take_up(store)
                with pytest.raises(VerdictRefused, match="already acted upon"):
                    await cast(store, clock, "A1", approver=ANA, decision="revoke")
            else:
                await cast(store, clock, "A1", approver=ANA, decision="revoke")
                with pytest.raises(PermitRefused):
                    await take_up(store)


async def test_a_vote_is_taken_back_and_given_again() -> None:
    clock = JumpingClock()
    async with asked(clock, replace(REQUEST, quorum=2)) as store:
        for decision in ("approve", "revoke", "approve"):
            await cast(store, clock, "A1", approver=ANA, decision=decision)
        assert (await cast(store, clock, "A1", approver=BOB, decision="approve")).status is ApprovalStatus.GRANTED
        events = [json.loads(event.value or "") for event in await approval_events(store)]
        assert [(event["decision"], event["approvals"]) for event in events] == [
            ("approve", 1), ("revoke", 0), ("approve", 1), ("approve", 2),
        ]  # fmt: skip


# Conditions and changes.


async def test_conditions_are_kept_with_the_verdict() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        record = await cast(
            store, clock, "A1", approver=ANA, decision="approve", conditions=["amount<=4", "amount >= 1"]
        )
        assert record.status is ApprovalStatus.PENDING
        (verdict,) = await store.verdicts("A1")
        assert list(verdict.conditions) == ["amount <= 4", "amount >= 1"]
        (event,) = await approval_events(store)
        facts = json.loads(event.value or "")
        assert (event.type, facts["counts"], facts["approvals"]) == ("policy.approval.voted", False, 0)
        assert facts["conditions"] == ["amount <= 4", "amount >= 1"]


async def test_an_approval_with_changes_is_told_as_a_decision() -> None:
    clock = JumpingClock()
    async with asked(clock, replace(REQUEST, quorum=2)) as store:
        record = await cast(store, clock, "A1", approver=ANA, decision="approve", changes={"amount": Decimal("4.00")})
        assert record.status is ApprovalStatus.AMENDED
        (verdict,) = await store.verdicts("A1")
        assert verdict.changes == '{"amount":"4.00"}'
        (event,) = await approval_events(store)
        assert (event.type, json.loads(event.value or "")["changes"]) == ("policy.approval.amended", {"amount": "4.00"})
        ((_, word),) = await told(store)
        assert (word["status"], word["approver"]) == ("amended", ANA)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"decision": "maybe"}, "no verdict"),
        ({"decision": "reject", "changes": {"amount": 1}}, "go with an approval"),
        ({"decision": "revoke", "conditions": ["amount < 1"]}, "go with a plain approval"),
        ({"changes": {"amount": 1}, "conditions": ["amount < 1"]}, "go with a plain approval"),
        ({"conditions": ["amount"]}, "cannot be read"),
        ({"conditions": "amount < 1"}, "is one text"),
        ({"changes": {"amount": object()}}, "is no JSON"),
    ],
)
async def test_what_cannot_be_a_verdict_is_refused_before_anything_happens(said: Any, message: str) -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        with pytest.raises(UsageError, match=message):
            await cast(store, clock, "A1", **{"approver": ANA, "decision": "approve", **said})
        assert not await store.verdicts("A1")


# Several at once, and looking.


async def test_of_several_verdicts_each_stands_for_itself() -> None:
    clock = JumpingClock()
    async with asked(clock, REQUEST, replace(REQUEST, approvers=(BOB,)), REQUEST) as store:
        found = await cast_all(store, clock, ["A1", "A2", "none", "A3", "A1"], approver=ANA, decision="approve")
        assert [(each.approval_id, each.record is not None) for each in found] == [
            ("A1", True), ("A2", False), ("none", False), ("A3", True),
        ]  # fmt: skip
        assert "not an approver" in str(found[1].refusal)
        assert "There is no approval" in str(found[2].refusal)
        with pytest.raises(UsageError):
            await cast_all(store, clock, ["A1"], approver=ANA, decision="perhaps")


async def test_a_verdict_knows_when_its_request_was_first_seen() -> None:
    clock = JumpingClock()
    async with asked(clock, *[REQUEST] * 2) as store:
        seen = await show(store, clock, "A1", "Ana@Company.com")
        clock.advance(7)
        assert await show(store, clock, "A1", ANA) == seen
        for approval_id in ("A1", "A2"):
            await cast(store, clock, approval_id, approver="ANA@company.com", decision="approve")
        assert [(await store.verdicts(each))[0].shown_at for each in ("A1", "A2")] == [seen, None]


async def test_what_is_withdrawn_is_over() -> None:
    clock = JumpingClock()
    async with asked(clock) as store:
        assert (await withdraw(store, clock, "A1")).status is ApprovalStatus.WITHDRAWN
        with pytest.raises(VerdictRefused, match="its execution no longer needs it"):
            await cast(store, clock, "A1", approver=ANA, decision="approve")


# Two processes.


async def test_of_a_hundred_verdicts_from_two_processes_one_decides(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with asked(clock, at=tmp_path / "assent.db") as one, SqliteStore(tmp_path / "assent.db") as other:
        calls = [
            cast((one, other)[n % 2], clock, "A1", approver=(ANA, BOB)[n % 3 % 2], decision="approve")
            for n in range(100)
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in results].count(ApprovalRecord) == 1
        assert [type(each) for each in results].count(VerdictRefused) == 99
        assert len(await told(one)) == 1
        assert len(await one.verdicts("A1")) == 100


async def test_members_of_a_role_who_vote_from_two_processes_are_each_counted_once(tmp_path: Path) -> None:
    clock = JumpingClock()
    people = [f"p{number}@company.com" for number in range(10)]
    request = replace(REQUEST, approvers=("role:finance",), quorum=10)
    async with asked(clock, request, at=tmp_path / "assent.db") as one, SqliteStore(tmp_path / "assent.db") as other:
        for who in people:
            await add_person(one, clock, who, roles=["finance"])
        calls = [cast((one, other)[n % 2], clock, "A1", approver=people[n % 10], decision="approve") for n in range(50)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in results].count(ApprovalRecord) == 10
        assert (await find(other, "A1")).status is ApprovalStatus.GRANTED
        assert await objection_to(other, "A1", request) is None
        assert len(await told(one)) == 1


async def test_votes_and_their_taking_back_at_once_leave_what_was_said_last() -> None:
    clock = JumpingClock()
    async with asked(clock, replace(REQUEST, quorum=2, requester=None)) as store:
        calls = [cast(store, clock, "A1", approver=ANA, decision=("approve", "revoke")[n % 2]) for n in range(20)]
        await asyncio.gather(*calls, return_exceptions=True)
        said = [one.decision for one in await store.verdicts("A1") if one.refusal is None]
        assert said == [("approve", "revoke")[n % 2] for n in range(len(said))]
        last = await cast(store, clock, "A1", approver=BOB, decision="approve")
        expected = ApprovalStatus.GRANTED if said[-1] == "approve" else ApprovalStatus.PENDING
        assert last.status is expected

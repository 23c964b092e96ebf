"""Approvals: whose verdict counts, and that of any number of processes exactly one decides."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from assent.codec import digest
from assent.errors import ApprovalNotFound, UsageError, VerdictRefused
from assent.governance import ApprovalRequest, Judgement, cast, expire, judge, lapse
from assent.governance.approvals import opened, person, stems_from
from assent.store import (
    ApprovalRecord,
    ApprovalStatus,
    Commit,
    Event,
    ExecutionRecord,
    Message,
    VerdictRecord,
    WorkerRecord,
)
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock

ANA, BOB, CLARA, DAN = "ana@company.com", "bob@company.com", "clara@company.com", "dan@company.com"
NOW = 1_750_000_000.0
REQUEST = ApprovalRequest(
    approvers=(ANA, BOB, CLARA),
    requester=CLARA,
    policy="large",
    action="wire",
    action_digest="ab" * 32,
    policies_digest="cd" * 32,
    arguments={"amount": "5.0", "note": "für Ana", "ratio": 1e16, "big": 2**80, "none": None},
    labels=("sox",),
    expires=3600.0,
)


def record_of(**rules: Any) -> ApprovalRecord:
    return opened("A1", "E1", replace(REQUEST, **rules), NOW)


def said(approver: str, decision: str = "approve", reason: str = "", at: float = NOW + 1) -> VerdictRecord:
    return VerdictRecord(approval_id="A1", approver=approver, decision=decision, reason=reason, at=at)


def judged(record: ApprovalRecord, first: VerdictRecord, *rest: VerdictRecord) -> tuple[Judgement, list[VerdictRecord]]:
    """Hand in verdicts one after another; the last judgement, and all verdicts as they were kept."""
    judgement = judge(record, [], first, first.at)
    kept = [judgement.verdict]
    for verdict in rest:
        judgement = judge(judgement.record, kept, verdict, verdict.at)
        kept.append(judgement.verdict)
    return judgement, kept


# Requests.


def test_a_request_survives_as_text() -> None:
    text = REQUEST.to_text()
    assert ApprovalRequest.from_text(text) == REQUEST
    assert ApprovalRequest.from_text(text).to_text() == text
    assert REQUEST.digest() == digest(text)


@pytest.mark.parametrize(
    "change",
    [
        {"approvers": (ANA,)},
        {"quorum": 2},
        {"action_digest": "00"},
        {"policies_digest": "00"},
        {"policy_digest": "00"},
        {"arguments": {"amount": "6.0"}},
        {"requester": BOB},
        {"separation_of_duties": False},
        {"require_reason": True},
        {"expires": None},
        {"stage": 2},
    ],
)
def test_everything_in_a_request_is_in_its_digest(change: dict[str, Any]) -> None:
    assert replace(REQUEST, **change).digest() != REQUEST.digest()


def test_a_person_is_listed_once() -> None:
    assert ApprovalRequest(approvers=(ANA, BOB, "ANA@company.com")).approvers == (ANA, BOB)


def test_case_counts_except_in_plain_mail_addresses() -> None:
    assert person("Ana@Company.com") == ANA
    assert person("Ana") == "Ana"
    assert person("Straße@x") == "Straße@x"
    assert person("\N{KELVIN SIGN}im@x") != person("kim@x")


# Verdicts.


def test_one_approval_grants_where_one_is_enough() -> None:
    judgement, _ = judged(record_of(), said(ANA))
    assert judgement.decides
    assert judgement.record == replace(record_of(), status=ApprovalStatus.GRANTED, version=1, decided_at=NOW + 1)


def test_a_quorum_needs_as_many_people() -> None:
    record = record_of(quorum=2)
    first, _ = judged(record, said(ANA))
    assert (first.record.status, first.counted, first.decides) == (ApprovalStatus.PENDING, 1, False)
    second, _ = judged(record, said(ANA), said(BOB))
    assert (second.record.status, second.counted, second.record.version) == (ApprovalStatus.GRANTED, 2, 2)


def test_one_rejection_rejects() -> None:
    judgement, _ = judged(record_of(quorum=2), said(ANA), said(BOB, "reject"))
    assert judgement.record.status is ApprovalStatus.REJECTED


def test_the_spelling_of_a_mail_address_does_not_matter() -> None:
    assert judged(record_of(), said("ANA@Company.com"))[0].decides


@pytest.mark.parametrize(
    ("record", "before", "verdict", "reason"),
    [
        (record_of(), [], said(DAN), f"{DAN} is not an approver of A1; ask {ANA} or {BOB}"),
        (record_of(), [], said("ana"), f"ana is not an approver of A1; ask {ANA} or {BOB}"),
        (record_of(), [], said(f"{ANA} "), "is not an approver"),
        (record_of(), [], said(""), "is not an approver"),
        (record_of(), [], said(CLARA), f"{CLARA} asked for A1 and may not decide it; another approver must"),
        (record_of(), [], said("CLARA@company.com", "reject"), "asked for A1 and may not decide it"),
        (record_of(), [], said(ANA, "maybe"), "'maybe' is no verdict"),
        (record_of(require_reason=True), [], said(ANA, reason=" \n"), "approval A1 needs a reason with each verdict"),
        (record_of(quorum=2), [said(ANA)], said(ANA), f"{ANA} has already said approve at 2025-06-15T15:06:41Z"),
        (record_of(quorum=2), [said(ANA)], said("ANA@company.com", "reject"), "has already said approve"),
        (record_of(), [said(ANA)], said(BOB), f"approval A1 was granted by {ANA} at 2025-06-15T15:06:41Z"),
        (record_of(), [said(ANA, "reject")], said(ANA), f"approval A1 was rejected by {ANA} at"),
        (record_of(quorum=2), [said(ANA), said(BOB)], said(BOB), f"approval A1 was granted by {ANA} and {BOB} at"),
        (record_of(), [], said(ANA, at=NOW + 3600), "approval A1 expired at 2025-06-15T16:06:40Z"),
        (replace(record_of(), status=ApprovalStatus.EXPIRED), [], said(ANA), "approval A1 expired at"),
        (replace(record_of(), status=ApprovalStatus.WITHDRAWN), [], said(ANA), "approval A1 was withdrawn"),
        (replace(record_of(), status=ApprovalStatus.GRANTED), [], said(ANA), "was granted by the rule for its expiry"),
        (
            replace(record_of(), request=replace(REQUEST, quorum=1, approvers=(DAN,)).to_text()),
            [],
            said(DAN),
            "was changed",
        ),
        (replace(record_of(), digest="0"), [], said(ANA), "approval A1 was changed after it was asked for"),
        (replace(record_of(), request="{}", digest=digest("{}")), [], said(ANA), "was changed"),
        (replace(record_of(), request="[", digest=digest("[")), [], said(ANA), "was changed"),
    ],
)
def test_a_verdict_that_does_not_count_says_why(
    record: ApprovalRecord, before: list[VerdictRecord], verdict: VerdictRecord, reason: str
) -> None:
    judgement, kept = judged(record, *[*before, verdict])
    assert judgement.refusal is not None
    assert reason in judgement.refusal
    assert kept[-1].refusal == judgement.refusal
    assert not judgement.decides


def test_a_refused_verdict_changes_nothing_but_the_version() -> None:
    judgement, _ = judged(record_of(), said(DAN))
    assert judgement.record == replace(record_of(), version=1)


def test_who_was_refused_for_want_of_a_reason_may_give_one() -> None:
    judgement, _ = judged(record_of(require_reason=True), said(ANA), said(ANA, reason="it is paid for"))
    assert judgement.record.status is ApprovalStatus.GRANTED


def test_the_requester_may_decide_without_separation_of_duties() -> None:
    assert judged(record_of(separation_of_duties=False), said(CLARA))[0].decides


# Expiry.


def test_nothing_expires_before_its_time() -> None:
    record = record_of()
    assert expire(record, NOW + 3599.9) is record
    endless = record_of(expires=None)
    assert expire(endless, NOW * 10) is endless


@pytest.mark.parametrize("status", set(ApprovalStatus) - {ApprovalStatus.PENDING})
def test_what_is_decided_does_not_expire(status: ApprovalStatus) -> None:
    record = replace(record_of(), status=status)
    assert expire(record, NOW + 3600) is record


@pytest.mark.parametrize(
    ("on_expiry", "status"), [("reject", ApprovalStatus.EXPIRED), ("approve", ApprovalStatus.GRANTED)]
)
def test_expiry_decides_as_the_policy_says(on_expiry: Any, status: ApprovalStatus) -> None:
    record = record_of(on_expiry=on_expiry)
    assert expire(record, NOW + 3600) == replace(record, status=status, version=1, decided_at=NOW + 3600)


def test_a_changed_request_is_never_granted_by_expiry() -> None:
    record = replace(record_of(), request=replace(REQUEST, on_expiry="approve").to_text())
    assert expire(record, NOW + 3600).status is ApprovalStatus.EXPIRED


ESCALATING: dict[str, Any] = {"on_expiry": "escalate", "escalate_to": (DAN, ANA), "quorum": 2}


def test_escalation_asks_others_afresh() -> None:
    record = record_of(**ESCALATING)
    _, kept = judged(record, said(ANA))
    escalated = expire(replace(record, version=1), NOW + 3600)
    request = ApprovalRequest.from_text(escalated.request)
    assert (escalated.status, escalated.version, escalated.expires_at) == (ApprovalStatus.PENDING, 2, NOW + 7200)
    assert (request.approvers, request.on_expiry, request.escalated_at) == ((DAN, ANA), "reject", NOW + 3600)
    assert escalated.digest == request.digest() != record.digest
    late = said(DAN, at=NOW + 3601)
    assert judge(escalated, kept, late, late.at).counted == 1
    assert "is not an approver" in str(judge(escalated, kept, said(BOB, at=NOW + 3601), NOW + 3601).refusal)
    assert expire(escalated, NOW + 7200).status is ApprovalStatus.EXPIRED


def test_a_slow_clock_does_not_lose_a_verdict_after_an_escalation() -> None:
    escalated = expire(record_of(**ESCALATING), NOW + 3600)
    first = judge(escalated, [], said(DAN, at=NOW + 3000), NOW + 3000)
    second = judge(first.record, [first.verdict], said(ANA, at=NOW + 3601), NOW + 3601)
    assert second.record.status is ApprovalStatus.GRANTED


def test_a_stored_approval_is_known_by_what_was_asked_at_first() -> None:
    request = replace(REQUEST, **ESCALATING)
    record = opened("A1", "E1", request, NOW)
    escalated = expire(record, NOW + 3600)
    assert stems_from(record, request)
    assert stems_from(escalated, request)
    for forged in (replace(request, approvers=(DAN,), quorum=1), replace(request, separation_of_duties=False)):
        assert not stems_from(replace(record, request=forged.to_text(), digest=forged.digest()), request)
        assert not stems_from(replace(record, request=forged.to_text()), request)
        assert not stems_from(expire(opened("A1", "E1", forged, NOW), NOW + 3600), REQUEST)
    assert not stems_from(replace(record, digest="0"), request)


class Verdicts(RuleBasedStateMachine):
    """Any verdicts of anybody at any time: nothing is ever granted without a quorum of those who may grant."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.request = replace(REQUEST, **ESCALATING, approvers=(ANA, BOB, CLARA), require_reason=True)
        self.record = opened("A1", "E1", self.request, NOW)
        self.kept: list[VerdictRecord] = []

    @rule(who=st.sampled_from([ANA, "ANA@company.com", BOB, CLARA, DAN, "Dan@Company.com", "eve"]))
    def approve(self, who: str) -> None:
        self.say(who, "approve", "fine")

    @rule(who=st.sampled_from([ANA, CLARA, "eve"]), decision=st.sampled_from(["approve", "reject", "maybe"]))
    def say_badly(self, who: str, decision: str) -> None:
        self.say(who, decision, "")

    @rule(who=st.sampled_from([CLARA, "eve"]))
    def reject_without_right(self, who: str) -> None:
        self.say(who, "reject", "no")

    @rule(seconds=st.sampled_from([1.0, 600.0, 3600.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def lapse(self) -> None:
        self.record = expire(self.record, self.now)

    def say(self, who: str, decision: str, reason: str) -> None:
        before = self.record
        judgement = judge(before, self.kept, said(who, decision, reason, self.now), self.now)
        if before.status is not ApprovalStatus.PENDING or self.now >= (before.expires_at or 0):
            assert judgement.refusal is not None
        self.record = judgement.record
        self.kept.append(judgement.verdict)

    @invariant()
    def granted_only_by_a_quorum_of_those_who_may(self) -> None:
        request = ApprovalRequest.from_text(self.record.request)
        since = request.escalated_at or NOW
        voters = {person(one.approver) for one in self.kept if one.refusal is None and one.at >= since}
        entitled = {DAN, ANA} if request.escalated_at else {ANA, BOB}
        assert voters <= entitled
        assert (self.record.status is ApprovalStatus.GRANTED) == (len(voters) >= 2)

    @invariant()
    def never_rejected_by_those_who_may_not(self) -> None:
        assert self.record.status is not ApprovalStatus.REJECTED

    @precondition(lambda self: self.record.status is not ApprovalStatus.PENDING)
    @invariant()
    def what_is_decided_stays(self) -> None:
        assert expire(self.record, self.now + 1e6) is self.record


TestVerdicts = Verdicts.TestCase


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from([ANA, BOB, CLARA, DAN]), st.sampled_from(["approve", "reject"])), max_size=8),
)
def test_nobody_decides_alone_what_needs_more(quorum: int, votes: list[tuple[str, str]]) -> None:
    record, kept = record_of(quorum=quorum, requester=None), list[VerdictRecord]()
    for who, decision in votes:
        judgement = judge(record, kept, said(who, decision), NOW + 1)
        record, kept = judgement.record, [*kept, judgement.verdict]
    counted = [one for one in kept if one.refusal is None]
    approved = {one.approver for one in counted if one.decision == "approve"}
    assert len({one.approver for one in counted}) == len(counted)
    assert approved <= {ANA, BOB, CLARA}
    if any(one.decision == "reject" for one in counted):
        assert record.status is ApprovalStatus.REJECTED
    else:
        assert (record.status is ApprovalStatus.GRANTED) == (len(approved) >= quorum)


# In the store.


class CutIn(SqliteStore):
    """A store in which somebody else is quicker, once, between reading and writing."""

    quicker: Callable[[], Any] | None = None

    async def decide(self, *args: Any, **kwargs: Any) -> bool:
        if (quicker := self.quicker) is not None:
            self.quicker = None
            await quicker()
        return await SqliteStore.decide(self, *args, **kwargs)


@asynccontextmanager
async def asked(clock: JumpingClock, request: ApprovalRequest = REQUEST) -> AsyncIterator[CutIn]:
    """A store with a suspended execution E1 that has asked for the approval A1."""
    head = ExecutionRecord(
        id="E1", name="wire", version=1, arguments="{}", digest="", created_at=clock.now(), updated_at=clock.now()
    )
    async with CutIn("sqlite://") as store:
        await store.register(
            WorkerRecord(id="W", host="h", pid=1, started_at=clock.now(), expires_at=clock.now() + 1e6)
        )
        await store.create(head)
        await store.claim_one("W", "E1")
        approval = opened("A1", "E1", request, clock.now())
        await store.append("W", Commit(execution_id="E1", approvals=[approval]))
        yield store


async def approval_events(store: SqliteStore) -> list[Event]:
    return [event for event in await store.journal("E1") if event.type.startswith("policy.approval.")]


async def told(store: SqliteStore) -> list[tuple[str, Any]]:
    return [(message.name, json.loads(message.value)) for message in await store.inbox("E1") if is_signal(message)]


def is_signal(message: Message) -> bool:
    return message.kind == "signal"


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
    async with asked(clock, replace(REQUEST, on_expiry="escalate", escalate_to=(DAN,))) as store:
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
    async with asked(clock, replace(REQUEST, on_expiry="escalate", escalate_to=(DAN,))) as store:
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
        with pytest.raises(UsageError, match='"approve" or "reject"'):
            await cast(store, clock, "A1", approver=ANA, decision="ok")
        assert not await store.verdicts("A1")

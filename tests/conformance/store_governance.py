"""What every store must do for approvals, permits and rates."""

import asyncio
from collections.abc import Sequence

import pytest

from assent.codec import to_json
from assent.errors import PermitRefused, UsageError
from assent.store import ApprovalRecord, ApprovalStatus, Permit, Store, VerdictRecord
from tests.conformance.store_records import (
    NOW,
    OWNER,
    REQUEST,
    approval,
    commit,
    digest_of,
    event,
    execution,
    finish,
    found,
    granted,
    own,
    permit,
    signal,
    types,
    verdict,
)


async def ask(store: Store, *approvals: ApprovalRecord) -> None:
    """Open approvals of e1, which OWNER drives."""
    await own(store, "e1")
    await store.append(OWNER, commit(event(type="asked"), approvals=approvals or [approval()]))


class GovernanceSuite:
    """For one open store; the fixture `store` comes from the suite that inherits this."""

    # approvals

    async def test_approvals_open_with_their_commit(self, store: Store) -> None:
        record = approval(expires_at=NOW + 60)
        await ask(store, record)
        assert await store.approval("a1") == record
        assert await store.approval("a2") is None

    async def test_approvals_are_listed_oldest_first(self, store: Store) -> None:
        await store.create(execution("e2"))
        await ask(store, approval("young", created_at=NOW + 2), approval("old", created_at=NOW - 2), approval("middle"))
        await store.append(OWNER, commit(approvals=[approval("foreign", "e2", created_at=NOW + 9)], execution_id="e2"))
        await store.decide(granted("middle"), verdict(approval_id="middle"), [])

        async def listed(**query: object) -> list[str]:
            return [record.id for record in await store.approvals(**query)]  # type: ignore[arg-type]  # as a table

        assert await listed() == ["old", "middle", "young", "foreign"]
        assert await listed(limit=2) == ["old", "middle"]
        assert await listed(execution_id="e1") == ["old", "middle", "young"]
        assert await listed(status=ApprovalStatus.PENDING) == ["old", "young", "foreign"]
        assert await listed(status=ApprovalStatus.GRANTED, execution_id="e1") == ["middle"]
        assert await listed(newest=True, limit=2) == ["foreign", "young"]
        assert await listed(after="middle") == ["young", "foreign"]
        assert await listed(after="middle", newest=True) == ["old"]
        assert await listed(after="unknown") == []

    async def test_approvals_are_found_by_whom_they_ask_and_by_their_action(self, store: Store) -> None:
        def asking(approval_id: str, action: str, *approvers: str) -> ApprovalRecord:
            return approval(approval_id, request=to_json({"action": action, "approvers": approvers}))

        await ask(
            store,
            asking("a1", "pay", "CFO@company.com", "role:finance"),
            asking("a2", "ship", "role:finance"),
            asking("a3", "pay", "ann"),
            approval("broken", request="{"),
        )

        async def listed(**query: object) -> list[str]:
            return [record.id for record in await store.approvals(**query)]  # type: ignore[arg-type]  # as a table

        assert await listed(approvers=["cfo@company.com", "bob"]) == ["a1"]
        assert await listed(approvers=["role:finance"]) == ["a1", "a2"]
        assert await listed(approvers=["role:finance"], action="ship") == ["a2"]
        assert await listed(approvers=["ann"], after="a1", limit=1) == ["a3"]
        assert await listed(approvers=[]) == []
        assert await listed(action="pay") == ["a1", "a3"]
        assert (await store.counts())["approvals"] == {"pending": 4}

    async def test_a_decision_brings_its_verdict_its_events_and_word_to_the_execution(self, store: Store) -> None:
        await ask(store)
        said = verdict(reason="fine")
        assert await store.decide(granted(), said, [event(type="granted")], signal(name="a1"))
        assert await store.approval("a1") == granted()
        assert await store.verdicts("a1") == [said]
        assert await types(store) == ["asked", "granted"]
        assert [message.name for message in await store.inbox("e1")] == ["a1"]
        assert (await found(store)).wake_at == 0

    async def test_a_decision_on_an_old_version_changes_nothing(self, store: Store) -> None:
        await ask(store)
        await store.decide(granted(), verdict(), [])
        late = granted(status=ApprovalStatus.REJECTED)
        assert not await store.decide(late, verdict("ceo", "reject"), [event(type="late")], signal())
        assert await store.approval("a1") == granted()
        assert await store.verdicts("a1") == [verdict()]
        assert await types(store) == ["asked"]
        assert await store.inbox("e1") == []

    async def test_a_decision_on_an_unknown_approval_changes_nothing(self, store: Store) -> None:
        assert not await store.decide(granted(), verdict(), [event(type="never")])
        assert not await store.decide(approval(), verdict(refusal="who?"), [event(type="never")])
        assert await store.journal("e1") == []
        assert await store.verdicts("a1") == []

    async def test_of_many_deciders_at_once_exactly_one_decides(self, store: Store) -> None:
        await ask(store)
        won = await asyncio.gather(*(store.decide(granted(), verdict(f"p{number}"), []) for number in range(40)))
        assert won.count(True) == 1
        assert [said.approver for said in await store.verdicts("a1")] == [f"p{won.index(True)}"]

    async def test_a_refused_verdict_is_only_put_on_record(self, store: Store) -> None:
        await ask(store)
        foreign = verdict("intern", refusal="not an approver")
        assert await store.decide(granted(), foreign, [event(type="refused")], signal())
        assert await store.approval("a1") == approval()
        assert await store.verdicts("a1") == [foreign]
        assert await types(store) == ["asked", "refused"]
        assert await store.inbox("e1") == []
        assert await store.decide(granted(), verdict(), [])

    async def test_an_escalation_replaces_the_request(self, store: Store) -> None:
        await ask(store)
        higher = approval(request="{}", digest=digest_of("{}"), version=1, expires_at=NOW + 9)
        assert await store.decide(higher, None, [event(type="escalated")])
        assert await store.approval("a1") == higher
        assert await store.verdicts("a1") == []

    async def test_withdrawing_closes_what_is_open_and_defeats_late_deciders(self, store: Store) -> None:
        await ask(store, approval("a1"), approval("a2"))
        await store.decide(granted("a2"), verdict(approval_id="a2"), [])
        await store.append(OWNER, finish(withdraws=True))
        closed = approval(status=ApprovalStatus.WITHDRAWN, version=1, decided_at=NOW)
        assert await store.approval("a1") == closed
        assert await store.approval("a2") == granted("a2")
        assert not await store.decide(granted(), verdict(), [])

    async def test_a_commit_may_withdraw_the_old_and_open_the_new(self, store: Store) -> None:
        await ask(store)
        await store.append(OWNER, commit(event(), withdraws=True, approvals=[approval("a2")]))
        states = [(record.id, record.status) for record in await store.approvals()]
        assert states == [("a1", ApprovalStatus.WITHDRAWN), ("a2", ApprovalStatus.PENDING)]

    # permits

    async def test_a_permit_is_used_once(self, store: Store) -> None:
        await ask(store)
        await store.decide(granted(), verdict(), [])
        uses = [store.append(OWNER, commit(event(type="effect", op=op), permit=permit())) for op in range(5)]
        outcomes = await asyncio.gather(*uses, return_exceptions=True)
        assert outcomes[0] is None
        assert all(isinstance(outcome, PermitRefused) for outcome in outcomes[1:])
        assert await types(store) == ["asked", "effect"]

    async def test_a_refused_permit_says_what_and_why(self, store: Store) -> None:
        await ask(store)
        with pytest.raises(PermitRefused, match=r"'p1'.*is pending, not granted") as refused:
            await store.append(OWNER, commit(event(), event(name="wire"), permit=permit()))
        facts = (refused.value.execution_id, refused.value.action, refused.value.reason)
        assert facts == ("e1", "wire", "approval 'a1' is pending, not granted")

    async def test_a_refused_permit_is_not_used_up(self, store: Store) -> None:
        await ask(store)
        with pytest.raises(PermitRefused):
            await store.append(OWNER, commit(permit=permit()))
        await store.decide(granted(), verdict(), [])
        await store.append(OWNER, commit(event(), permit=permit()))

    async def test_a_permit_that_had_no_effect_is_used_again_for_the_same_action_only(self, store: Store) -> None:
        await ask(store)
        await store.decide(granted(), verdict(), [])
        with pytest.raises(PermitRefused, match="never used"):
            await store.append(OWNER, commit(permit=permit(again=True)))
        await store.append(OWNER, commit(permit=permit()))
        await store.append(OWNER, commit(event(type="again"), permit=permit(again=True)))
        with pytest.raises(PermitRefused, match="another action"):
            await store.append(OWNER, commit(permit=permit(again=True, action_digest="edited")))
        with pytest.raises(PermitRefused, match="already used"):
            await store.append(OWNER, commit(permit=permit()))

    @pytest.mark.parametrize(
        ("stored", "said", "reason"),
        [
            ([], [], "is gone"),
            ([approval(version=1)], [], "is pending"),
            ([granted(status=ApprovalStatus.REJECTED)], [verdict(decision="reject")], "is rejected"),
            ([granted(status=ApprovalStatus.EXPIRED)], [], "is expired"),
            ([granted(digest="edited")], [verdict()], "digest of approval 'a1' has changed"),
            ([granted(request=REQUEST.replace("5", "9"))], [verdict()], "request of approval 'a1' was edited"),
            ([granted(request="{}", digest=digest_of("{}"))], [verdict()], "digest of approval 'a1' has changed"),
            ([granted()], [verdict(refusal="late")], "is pending"),
        ],
    )
    async def test_a_permit_is_refused_when_an_approval(
        self, store: Store, stored: Sequence[ApprovalRecord], said: Sequence[VerdictRecord], reason: str
    ) -> None:
        await own(store, "e1")
        for record in stored:
            await store.append(OWNER, commit(approvals=[approval()]))
            await store.decide(record, next(iter(said), None), [])
        with pytest.raises(PermitRefused, match=reason):
            await store.append(OWNER, commit(event(type="effect"), permit=permit()))
        assert await types(store) == []

    async def test_a_permit_needs_each_of_its_approvals(self, store: Store) -> None:
        await ask(store, approval("a1"), approval("a2"))
        await store.decide(granted("a1"), verdict(), [])
        with pytest.raises(PermitRefused, match="'a2'"):
            await store.append(OWNER, commit(permit=permit(approvals=["a1", "a2"])))
        await store.decide(granted("a2"), verdict(approval_id="a2"), [])
        await store.append(OWNER, commit(permit=permit(approvals=["a1", "a2"])))

    async def test_an_approval_is_used_by_one_permit(self, store: Store) -> None:
        await ask(store)
        await store.decide(granted(), verdict(), [])
        await store.append(OWNER, commit(event(type="effect"), permit=permit("p1")))
        with pytest.raises(PermitRefused, match="approval 'a1' was used by another permit"):
            await store.append(OWNER, commit(event(type="effect"), permit=permit("p2")))
        await store.append(OWNER, commit(event(type="effect"), permit=permit("p1", again=True)))
        assert await types(store) == ["asked", "effect", "effect"]

    async def test_either_an_approval_is_taken_back_or_it_is_used(self, store: Store) -> None:
        await ask(store, *(approval(f"a{number}") for number in range(20)))
        for number in range(20):
            name = f"a{number}"
            await store.decide(granted(name), verdict(approval_id=name), [])
            revoked = granted(name, status=ApprovalStatus.REVOKED, version=2)
            revoking = store.decide(revoked, verdict(approval_id=name, decision="revoke"), [])
            using = store.append(OWNER, commit(event(), permit=permit(f"p{number}", [name])))
            first, second = (revoking, using) if number % 2 else (using, revoking)
            outcomes = await asyncio.gather(first, second, return_exceptions=True)
            assert (True in outcomes) == any(isinstance(outcome, PermitRefused) for outcome in outcomes)
            record = await store.approval(name)
            assert record is not None
            assert (record.used_by is None) == (record.status == ApprovalStatus.REVOKED) == (True in outcomes)

    async def test_a_verdict_comes_back_with_all_that_was_said(self, store: Store) -> None:
        await ask(store)
        full = verdict(
            seat="role:finance", changes='{"amount":"5"}', conditions=("amount <= 5", "é"), shown_at=NOW - 1, reason="x"
        )
        await store.decide(approval(version=1), full, [])
        assert await store.verdicts("a1") == [full]

    async def test_a_permit_without_approvals_is_single_use_too(self, store: Store) -> None:
        alone = Permit(id="p", action_digest="d")
        await store.append(OWNER, commit(permit=alone))
        with pytest.raises(PermitRefused, match="already used"):
            await store.append(OWNER, commit(permit=alone))

    # rates

    async def test_a_bucket_gives_its_burst_and_then_its_rate(self, store: Store) -> None:
        async def take(now: float) -> float:
            return await store.admit("key", rate=0.5, burst=3, now=now)

        assert [await take(NOW) for _ in range(3)] == [0, 0, 0]
        wait = await take(NOW)
        assert wait == pytest.approx(2, abs=0.001)
        assert await take(NOW + wait / 2) == pytest.approx(wait / 2, abs=0.001)
        assert await take(NOW + wait) == 0
        assert await take(NOW + wait) > 0
        assert [await take(NOW + 1000) > 0 for _ in range(4)] == [False, False, False, True]

    async def test_a_bucket_that_takes_long_to_fill_can_be_emptied(self, store: Store) -> None:
        takes = [store.admit("key", rate=1e-6, burst=3_000, now=NOW) for _ in range(3_001)]
        assert [wait > 0 for wait in await asyncio.gather(*takes)] == [False] * 3_000 + [True]

    async def test_buckets_are_apart(self, store: Store) -> None:
        takes = [store.admit(key, rate=1, burst=1, now=NOW) for key in ("a", "b", "a")]
        assert [wait > 0 for wait in await asyncio.gather(*takes)] == [False, False, True]

    async def test_of_many_at_once_exactly_the_burst_is_admitted(self, store: Store) -> None:
        waits = await asyncio.gather(*(store.admit("key", rate=0.1, burst=7, now=NOW) for _ in range(50)))
        assert waits.count(0) == 7

    @pytest.mark.parametrize("rate", [0.3, 1 / 3, 3.0, 7.7])
    async def test_never_more_is_admitted_than_burst_and_rate_allow(self, store: Store, rate: float) -> None:
        burst, moments = 4, [NOW + number * 0.0371 for number in range(400)]
        waits = await asyncio.gather(*(store.admit("key", rate=rate, burst=burst, now=now) for now in moments))
        admitted = [now for now, wait in zip(moments, waits, strict=True) if wait == 0]
        assert len(admitted) >= int(rate * (moments[-1] - NOW))
        for first, start in enumerate(admitted):
            for last, end in enumerate(admitted[first:], first):
                assert last - first + 1 <= burst + rate * (end - start) + 1e-6

    async def test_a_wait_is_long_enough(self, store: Store) -> None:
        now = NOW
        for _ in range(50):
            wait = await store.admit("key", rate=3.0, burst=1, now=now)
            now += wait
            assert wait == 0 or await store.admit("key", rate=3.0, burst=1, now=now) == 0

    async def test_a_clock_that_goes_back_admits_nothing_extra(self, store: Store) -> None:
        assert await store.admit("key", rate=1, burst=1, now=NOW) == 0
        assert await store.admit("key", rate=1, burst=1, now=NOW - 100) > 100

    @pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0), (1e-10, 1), (1e-6, 10_000)])
    async def test_a_bucket_that_could_never_fill_is_refused(self, store: Store, rate: float, burst: int) -> None:
        with pytest.raises(UsageError, match="rate above 0"):
            await store.admit("key", rate=rate, burst=burst, now=NOW)

    async def test_buckets_that_are_full_again_are_forgotten_without_effect(self, store: Store) -> None:
        assert await store.admit("key", rate=1, burst=1, now=NOW) == 0
        await store.take_over(NOW + 0.5)
        assert await store.admit("key", rate=1, burst=1, now=NOW + 0.5) > 0
        await store.take_over(NOW + 5)
        assert [await store.admit("key", rate=1, burst=1, now=NOW + 5) > 0 for _ in range(2)] == [False, True]

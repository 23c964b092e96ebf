"""What a store must do when several processes have it open; here several stores on the same storage."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from assent.errors import ExecutionConflict, LeaseLost, PermitRefused
from assent.store import ApprovalStatus, Change, ExecutionRecord, Status, Store
from assent.store.ledger import Drawn
from tests.conformance.store_governance import ask
from tests.conformance.store_ledger import budget
from tests.conformance.store_outbox import claim, told
from tests.conformance.store_records import (
    NOW,
    OTHER,
    OWNER,
    PAY,
    approval,
    commit,
    drawing,
    event,
    execution,
    found,
    granted,
    own,
    permit,
    person,
    signal,
    types,
    verdict,
    worker,
)
from tests.conformance.store_shelf import cell
from tests.conformance.store_suite import StoreSuite


class SharedStoreSuite(StoreSuite):
    """For stores that several processes may open."""

    doors = 2

    @pytest.fixture
    async def other(self, store: Store, opened: Callable[[], Store]) -> AsyncIterator[Store]:
        """A second store on the storage of `store`."""
        async with opened() as other:
            await other.register(worker(OTHER))
            yield other

    async def test_what_one_has_written_the_other_reads_at_once(self, store: Store, other: Store) -> None:
        for number in range(20):
            writer, reader = (store, other) if number % 2 else (other, store)
            await writer.append(OWNER, commit(event(op=number)))
            assert (await reader.journal("e1"))[-1].op == number

    async def test_it_is_all_there_after_closing(self, opened: Callable[[], Store]) -> None:
        async with opened() as store:
            await store.register(worker())
            await store.append(OWNER, commit(event(), create=execution()))
        async with opened() as store:
            assert len(await store.journal("e1")) == 1
            assert await store.workers() == [worker()]

    async def test_both_write_at_once_and_all_of_it_lands_in_order(self, store: Store, other: Store) -> None:
        async def write(to: Store, owner: str) -> None:
            for number in range(60):
                await to.append(owner, commit(event(owner, op=number), execution_id=owner))

        await asyncio.gather(*(write(store, OWNER) for _ in range(3)), write(other, OTHER))
        assert [line.op for line in await store.journal(OTHER)] == list(range(60))
        assert sorted(line.op or 0 for line in await other.journal(OWNER)) == sorted(list(range(60)) * 3)

    async def test_each_execution_is_claimed_by_exactly_one(self, store: Store, other: Store) -> None:
        for number in range(60):
            await store.create(execution(f"e{number}"))

        async def claim_all(by: Store, owner: str) -> list[ExecutionRecord]:
            claimed: list[ExecutionRecord] = []
            while batch := await by.claim(owner, [PAY], NOW, 4):
                claimed += batch
            return claimed

        mine, theirs = await asyncio.gather(claim_all(store, OWNER), claim_all(other, OTHER))
        assert len(mine) + len(theirs) == 60
        assert len({record.id for record in mine + theirs}) == 60

    async def test_one_execution_is_claimed_by_exactly_one(self, store: Store, other: Store) -> None:
        for number in range(20):
            await store.create(execution(f"e{number}"))
            both = await asyncio.gather(store.claim_one(OWNER, f"e{number}"), other.claim_one(OTHER, f"e{number}"))
            assert len([record for record in both if record]) == 1

    async def test_one_id_is_created_by_exactly_one(self, store: Store, other: Store) -> None:
        first, second = await asyncio.gather(
            store.create(execution(digest="mine")), other.create(execution(digest="theirs"))
        )
        assert first == second == await found(store)
        with pytest.raises(ExecutionConflict):
            await other.append(OTHER, commit(create=execution()))

    async def test_a_stopped_worker_cannot_write_after_it_was_taken_over(self, store: Store, other: Store) -> None:
        await own(store, "e1")
        await store.append(OWNER, commit(event(type="mine")))
        await other.register(worker(OTHER, NOW + 120))
        assert await other.take_over(NOW + 31) == 1
        assert [record.id for record in await other.claim(OTHER, [PAY], NOW, 1)] == ["e1"]
        with pytest.raises(LeaseLost):
            await store.append(OWNER, commit(event(type="too late"), change=Change(status=Status.COMPLETED)))
        assert not await store.renew(OWNER, NOW + 60)
        assert await types(other) == ["mine"]
        assert (await found(store)).owner == OTHER

    async def test_word_from_elsewhere_is_not_lost_while_the_owner_lets_go(self, store: Store, other: Store) -> None:
        release = Change(status=Status.SUSPENDED, wake_at=NOW + 60, release=True)
        for number in range(30):
            await own(store, f"e{number}")
            seen = max((message.seq for message in await store.mail(OWNER, 0)), default=0)
            parked = commit(execution_id=f"e{number}", change=release, seen=seen)
            await asyncio.gather(other.post(signal(f"e{number}")), store.append(OWNER, parked))
        due = await other.claim(OTHER, [PAY], NOW, 99)
        assert len(due) == 30

    async def test_of_deciders_everywhere_exactly_one_decides(self, store: Store, other: Store) -> None:
        await ask(store)
        stores = [store, other] * 10
        won = await asyncio.gather(*(by.decide(granted(), verdict(f"p{n}"), []) for n, by in enumerate(stores)))
        assert won.count(True) == 1
        assert [said.approver for said in await other.verdicts("a1")] == [f"p{won.index(True)}"]

    async def test_a_permit_is_used_by_exactly_one(self, store: Store, other: Store) -> None:
        await ask(store)
        await store.decide(granted(), verdict(), [])
        uses = [(store, OWNER), (other, OTHER)] * 5
        outcomes = await asyncio.gather(
            *(by.append(owner, commit(event(type="effect"), permit=permit())) for by, owner in uses),
            return_exceptions=True,
        )
        assert outcomes.count(None) == 1
        assert all(isinstance(outcome, PermitRefused) for outcome in outcomes if outcome is not None)
        assert (await types(store)).count("effect") == 1

    async def test_what_is_held_is_one_for_all_and_exact(self, store: Store, other: Store) -> None:
        doors = [(store, OWNER), (other, OTHER)]
        tries = [(*doors[number % 2], drawing(f"p{number}", budget(7))) for number in range(50)]
        outcomes = await asyncio.gather(
            *(by.append(owner, commit(event(type="effect"), permit=permit)) for by, owner, permit in tries),
            return_exceptions=True,
        )
        assert outcomes.count(None) == 14
        assert [await each.drawn("budget:b") for each, _ in doors] == [Drawn(98, 0, 14)] * 2
        assert (await types(store)).count("effect") == 14

    async def test_either_an_approval_is_taken_back_or_it_is_used_elsewhere(self, store: Store, other: Store) -> None:
        await ask(store, *(approval(f"a{number}") for number in range(20)))
        for number in range(20):
            name = f"a{number}"
            await store.decide(granted(name), verdict(approval_id=name), [])
            revoked = granted(name, status=ApprovalStatus.REVOKED, version=2)
            was_revoked, refusal = await asyncio.gather(
                store.decide(revoked, verdict(approval_id=name, decision="revoke"), []),
                other.append(OTHER, commit(event(), permit=permit(f"p{number}", [name]))),
                return_exceptions=True,
            )
            assert was_revoked == isinstance(refusal, PermitRefused)

    async def test_each_notice_is_claimed_by_exactly_one(self, store: Store, other: Store) -> None:
        await ask(store, *(told(f"a{number}") for number in range(40)))
        claims = await asyncio.gather(*(claim(by, limit=3) for by in [store, other] * 10))
        handed_out = [notice.id for batch in claims for notice in batch]
        assert len(handed_out) == len(set(handed_out)) == 40

    async def test_who_was_disabled_elsewhere_is_known_at_once(self, store: Store, other: Store) -> None:
        await store.save_person(person())
        await other.save_person(person(disabled_at=NOW))
        assert await store.person("ann") == person(disabled_at=NOW)

    async def test_a_bucket_is_one_for_all(self, store: Store, other: Store) -> None:
        stores = [store, other] * 15
        waits = await asyncio.gather(*(by.admit("key", rate=0.1, burst=7, now=NOW) for by in stores))
        assert waits.count(0) == 7

    async def test_a_cell_is_swapped_by_exactly_one(self, store: Store, other: Store) -> None:
        for version in range(20):
            both = await asyncio.gather(*(each.put(cell(), expected=version) for each in (store, other)))
            assert sorted(both) == [False, True]
        assert await other.cell("notes", "k", NOW) == cell(version=20)

    async def test_a_write_elsewhere_is_a_change_once(self, store: Store, other: Store) -> None:
        store.changed()
        await other.append(OTHER, commit(event()))
        assert store.changed()
        assert not store.changed()

"""What every store must do, without a word about how. An implementation inherits this and gives `opened`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from assent.errors import ExecutionConflict, LeaseLost, PermitRefused, StoreCorrupt, StoreError
from assent.store import Change, Event, ExecutionQuery, Status, Store, Workflow
from tests.conformance.store_credentials import CredentialsSuite
from tests.conformance.store_governance import GovernanceSuite
from tests.conformance.store_ledger import LedgerSuite
from tests.conformance.store_outbox import OutboxSuite
from tests.conformance.store_people import DirectorySuite
from tests.conformance.store_questions import QuestionsSuite
from tests.conformance.store_records import (
    NOW,
    OTHER,
    OWNER,
    PAY,
    commit,
    event,
    execution,
    finish,
    found,
    own,
    permit,
    signal,
    types,
    worker,
)
from tests.conformance.store_retention import RetentionSuite
from tests.conformance.store_shelf import ShelfSuite


class StoreSuite(
    CredentialsSuite,
    GovernanceSuite,
    DirectorySuite,
    LedgerSuite,
    OutboxSuite,
    QuestionsSuite,
    RetentionSuite,
    ShelfSuite,
):
    """For one store. One that several processes may open inherits `SharedStoreSuite` instead."""

    @pytest.fixture
    def opened(self) -> Callable[[], Store]:
        """Makes a store on the storage of this test: each time another one, on the same data."""
        raise NotImplementedError

    @pytest.fixture
    async def store(self, opened: Callable[[], Store]) -> AsyncIterator[Store]:
        async with opened() as store:
            await store.register(worker())
            yield store

    # leases

    async def test_a_lease_is_prolonged_while_it_is_there(self, store: Store) -> None:
        assert await store.renew(OWNER, NOW + 60)
        assert [lease.expires_at for lease in await store.workers()] == [NOW + 60]
        assert not await store.renew("nobody", NOW)

    async def test_workers_come_back_as_they_registered(self, store: Store) -> None:
        late = worker(OTHER, NOW + 5, started_at=NOW + 1, host="there", pid=9, workflows='["pay@1"]')
        await store.register(late)
        assert await store.workers() == [worker(), late]

    async def test_nothing_is_written_without_a_lease(self, store: Store) -> None:
        with pytest.raises(LeaseLost, match="'nobody'"):
            await store.append("nobody", commit(event(), create=execution()))
        assert await store.journal("e1") == []
        assert await store.execution("e1") is None

    async def test_nothing_is_claimed_or_created_for_an_owner_without_a_lease(self, store: Store) -> None:
        await store.create(execution())
        with pytest.raises(LeaseLost):
            await store.claim("nobody", [PAY], NOW, 10)
        with pytest.raises(LeaseLost):
            await store.claim_one("nobody", "e1")
        with pytest.raises(LeaseLost):
            await store.create(execution("e2", owner="nobody"))
        assert (await found(store)).owner is None

    async def test_an_expired_lease_is_taken_over_and_its_executions_are_due_at_once(self, store: Store) -> None:
        await store.register(worker(OTHER, NOW + 90))
        await own(store, "e1", "e2")
        await store.create(execution("e3"))
        await store.claim_one(OTHER, "e3")
        assert await store.take_over(NOW + 30) == 0
        assert await store.take_over(NOW + 31) == 2
        assert not await store.renew(OWNER, NOW + 90)
        freed = await found(store)
        assert (freed.owner, freed.wake_at) == (None, 0)
        assert (await found(store, "e3")).owner == OTHER
        with pytest.raises(LeaseLost):
            await store.append(OWNER, commit(event()))
        assert {record.id for record in await store.claim(OTHER, [PAY], NOW, 10)} == {"e1", "e2"}
        assert await store.take_over(float("inf")) == 3

    async def test_a_lease_given_back_frees_what_has_not_ended(self, store: Store) -> None:
        await own(store, "e1", "e2")
        await store.append(OWNER, finish("e2"))
        await store.retire(OWNER)
        await store.retire(OWNER)
        assert await store.workers() == []
        assert ((await found(store)).owner, (await found(store)).wake_at) == (None, 0)
        assert (await found(store, "e2")).wake_at is None

    async def test_a_lease_that_ends_stops_what_was_called_after_it(self, store: Store) -> None:
        before = store.append(OWNER, commit(event(type="before")))
        ending = asyncio.ensure_future(store.retire(OWNER))
        await asyncio.sleep(0)
        after = store.append(OWNER, commit(event(type="after")))
        await before
        await ending
        with pytest.raises(LeaseLost):
            await after
        assert await types(store) == ["before"]

    # executions

    async def test_an_execution_comes_back_as_it_was_created(self, store: Store) -> None:
        record = execution(requester='{"id":"ann"}', parent_id="e0", waits='["x"]', cause="é", wake_at=None)
        assert await store.create(record) == record
        assert await store.execution("e1") == record
        assert await store.execution("e2") is None

    async def test_creating_it_again_returns_the_first(self, store: Store) -> None:
        first = await store.create(execution())
        assert await store.create(execution(digest="other", arguments="[]")) == first
        assert await store.execution("e1") == first

    async def test_executions_are_listed_newest_first_and_in_pages(self, store: Store) -> None:
        for number in range(7):  # pairs of the same moment
            await store.create(execution(f"e{number}", created_at=NOW + number // 2))
        everything = [record.id for record in await store.executions(ExecutionQuery())]
        assert everything == ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]
        pages: list[str] = []
        while page := await store.executions(ExecutionQuery(limit=3, before=pages[-1] if pages else None)):
            pages += [record.id for record in page]
        assert pages == everything

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (ExecutionQuery(name="ship"), ["e2"]),
            (ExecutionQuery(status=Status.FAILED), ["e3"]),
            (ExecutionQuery(cause="denied"), ["e3"]),
            (ExecutionQuery(since=NOW + 2), ["e3", "e2"]),
            (ExecutionQuery(parent_id="e0"), ["e1"]),
            (ExecutionQuery(text="LAMP"), ["e2"]),
            (ExecutionQuery(text="%"), []),
            (ExecutionQuery(since=NOW, before="e3", limit=2), ["e2", "e1"]),
            (ExecutionQuery(name="pay", status=Status.COMPLETED), []),
        ],
    )
    async def test_executions_are_found_by(self, store: Store, query: ExecutionQuery, expected: list[str]) -> None:
        await store.create(execution("e0"))
        await store.create(execution("e1", parent_id="e0", created_at=NOW + 1))
        await store.create(execution("e2", name="ship", created_at=NOW + 2, arguments='{"item":"Lamp"}'))
        await store.create(execution("e3", status=Status.FAILED, cause="denied", created_at=NOW + 3))
        assert [record.id for record in await store.executions(query)] == expected

    async def test_only_free_and_due_executions_of_known_workflows_are_claimed(self, store: Store) -> None:
        await own(store, "owned")
        await store.create(execution("due", wake_at=NOW))
        await store.create(execution("later", wake_at=NOW + 1))
        await store.create(execution("parked", wake_at=None))
        await store.create(execution("other-version", version=2))
        await store.create(execution("other-name", name="ship"))
        claimed = await store.claim(OWNER, [PAY, Workflow("pay", 3), PAY], NOW, 10)
        assert claimed == [await found(store, "due")]
        assert (claimed[0].owner, claimed[0].status, claimed[0].wake_at) == (OWNER, Status.RUNNING, None)
        assert await store.claim(OWNER, [PAY], NOW, 10) == []
        assert await store.claim(OWNER, [], NOW, 10) == []

    async def test_what_is_due_longest_is_claimed_first(self, store: Store) -> None:
        for number in (3, 1, 4, 2, 0):
            await store.create(execution(f"e{number}", name=f"n{number % 2}", wake_at=NOW + number))
        both = [Workflow("n0", 1), Workflow("n1", 1)]
        assert [record.id for record in await store.claim(OWNER, both, NOW + 9, 2)] == ["e0", "e1"]
        assert [record.id for record in await store.claim(OWNER, both, NOW + 9, 9)] == ["e2", "e3", "e4"]

    async def test_one_execution_is_claimed_due_or_not(self, store: Store) -> None:
        await store.create(execution(wake_at=NOW + 99))
        assert await store.claim_one(OWNER, "e1") == await found(store)
        assert await store.claim_one(OWNER, "e1") is None
        await store.append(OWNER, finish())
        assert await store.claim_one(OWNER, "e1") is None
        assert await store.claim_one(OWNER, "missing") is None

    async def test_the_next_wake_is_that_of_free_executions_of_known_workflows(self, store: Store) -> None:
        assert await store.next_wake([PAY]) is None
        await store.create(execution("later", wake_at=NOW + 9))
        await store.create(execution("sooner", wake_at=NOW + 5, version=2))
        await own(store, "owned")
        assert await store.next_wake([PAY]) == NOW + 9
        assert await store.next_wake([PAY, Workflow("pay", 2)]) == NOW + 5
        assert await store.next_wake([]) is None

    # journal

    async def test_events_come_back_as_written_with_rising_numbers(self, store: Store) -> None:
        full = Event("e1", "step.completed", NOW, 3, "reserve", 2, NOW - 1, '{"n":"ü"}', '"\\u0000 🙂"')
        bare = Event("e1", "execution.started", NOW + 0.25)
        await store.append(OWNER, commit(full, bare))
        await store.append(OWNER, commit(event("e2"), execution_id="e2"))
        await store.append(OWNER, commit(bare))
        written = await store.journal("e1")
        assert [line._replace(seq=0) for line in written] == [full, bare, bare]
        assert 0 < written[0].seq < written[1].seq < written[2].seq
        assert await store.journal("e1", after=written[0].seq) == written[1:]

    async def test_events_of_all_executions_are_read_in_order_and_in_pages(self, store: Store) -> None:
        for number in range(5):
            await store.append(OWNER, commit(event(f"e{number}"), execution_id=f"e{number}"))
        assert await store.last_seq() == (await store.events())[-1].seq
        first = await store.events(limit=3)
        rest = await store.events(after=first[-1].seq)
        assert [line.execution_id for line in first + rest] == ["e0", "e1", "e2", "e3", "e4"]

    @pytest.mark.parametrize(
        ("type", "expected"),
        [
            ("policy.*", ["policy.a", "policy.b"]),
            ("policy.a", ["policy.a"]),
            ("policy", []),
            ("policy%*", ["policy%x"]),
            ("policy_*", ["policy_x"]),
            ("policy[*", ["policy[x"]),
            ("*", ["policy.a", "policy%x", "policy_x", "policy[x", "Policy.a", "policy.b"]),
        ],
    )
    async def test_events_are_found_by_type_or_prefix(self, store: Store, type: str, expected: list[str]) -> None:
        written = ["policy.a", "policy%x", "policy_x", "policy[x", "Policy.a", "policy.b"]
        await store.append(OWNER, commit(*(event(type=name) for name in written)))
        assert [line.type for line in await store.events(type=type)] == expected

    async def test_commits_take_effect_in_the_order_of_the_calls(self, store: Store) -> None:
        futures = [store.append(OWNER, commit(event(op=number), event(op=number))) for number in range(300)]
        await asyncio.gather(*futures)
        assert [line.op for line in await store.journal("e1")] == [number for number in range(300) for _ in range(2)]

    async def test_writes_of_all_kinds_keep_one_order(self, store: Store) -> None:
        await own(store, "e1")
        first = store.append(OWNER, commit(event(type="first")))
        post = asyncio.ensure_future(store.post(signal(), [event(type="posted")]))
        await asyncio.sleep(0)
        last = store.append(OWNER, commit(event(type="last")))
        await asyncio.gather(first, post, last)
        assert await types(store) == ["first", "posted", "last"]

    async def test_a_refused_commit_fails_alone(self, store: Store) -> None:
        await own(store, "e1")
        refused = {
            "lease": store.append("nobody", commit(event(type="no lease"))),
            "permit": store.append(OWNER, commit(event(type="no approval"), permit=permit())),
            "create": store.append(OWNER, commit(event(type="no room"), create=execution())),
        }
        landed = [store.append(OWNER, commit(event(type=name))) for name in ("a", "b")]
        outcomes = await asyncio.gather(*refused.values(), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LeaseLost, PermitRefused, ExecutionConflict]
        await asyncio.gather(*landed)
        assert await types(store) == ["a", "b"]

    @pytest.mark.parametrize("unfit", [{"type": "\ud800"}, {"at": "yesterday"}, {"value": object()}])
    async def test_a_commit_that_cannot_be_stored_fails_alone(self, store: Store, unfit: dict[str, Any]) -> None:
        await own(store, "e1", "e2")
        before = store.append(OWNER, commit(event(type="before")))
        store.append(OWNER, finish("e2", messages=[signal()]))
        bad = store.append(OWNER, commit(event(), event(**unfit), change=Change(status=Status.FAILED)))
        after = store.append(OWNER, commit(event(type="after")))
        with pytest.raises(StoreError):
            await bad
        await asyncio.gather(before, after)
        assert await types(store) == ["before", "after"]
        assert (await found(store)).status == Status.RUNNING
        assert (await found(store, "e2")).status == Status.COMPLETED

    async def test_a_commit_lands_though_nobody_waits_for_it_any_more(self, store: Store) -> None:
        waiting = asyncio.ensure_future(store.append(OWNER, commit(event(type="abandoned"))))
        await asyncio.sleep(0)
        waiting.cancel()
        await store.append(OWNER, commit(event(type="awaited")))
        assert await types(store) == ["abandoned", "awaited"]

    async def test_closing_writes_what_was_called_before(self, opened: Callable[[], Store]) -> None:
        async with opened() as store:
            await store.register(worker())
            told: list[Exception | None] = []
            store.append(OWNER, commit(event())).then(told.append)
            assert told == []
        assert told == [None]

    async def test_whoever_is_named_is_told_in_order_and_once(self, store: Store) -> None:
        told: list[tuple[int, bool]] = []

        def tell(name: int, error: Exception | None) -> None:
            told.append((name, error is None))

        receipts = [store.append(OWNER, commit(event(op=op))) for op in range(3)]
        for number, receipt in enumerate(receipts):
            for name in (number, number + 10):
                receipt.then(partial(tell, name))
        store.append("nobody", commit(event())).then(partial(tell, 99))
        await asyncio.gather(*receipts)
        assert told == [(0, True), (10, True), (1, True), (11, True), (2, True), (12, True), (99, False)]

    async def test_whoever_comes_late_is_told_too_though_not_at_once(self, store: Store) -> None:
        told: list[Exception | None] = []
        receipt = store.append(OWNER, commit(event()))
        await receipt
        receipt.then(told.append)
        assert told == []
        await receipt
        await asyncio.sleep(0)
        assert told == [None]

    async def test_one_who_fails_when_told_takes_no_word_from_the_others(self, store: Store) -> None:
        def fail(error: Exception | None) -> None:
            raise IndexError(error)

        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, facts: complaints.append(facts["exception"]))
        first, second = (store.append(OWNER, commit(event(op=op))) for op in range(2))
        first.then(fail)
        await asyncio.gather(first, second)
        await store.append(OWNER, commit(event(op=2)))
        assert [type(each) for each in complaints] == [IndexError]
        assert [line.op for line in await store.journal("e1")] == [0, 1, 2]

    # heads

    async def test_a_change_keeps_the_head_in_step_with_the_journal(self, store: Store) -> None:
        await own(store, "e1")
        change = Change(status=Status.SUSPENDED, wake_at=NOW + 60, waits='["timer"]', cause="x")
        await store.append(OWNER, commit(event(at=NOW + 1), event(at=NOW + 2), change=change))
        head = await found(store)
        assert (head.status, head.wake_at, head.waits, head.cause) == (Status.SUSPENDED, NOW + 60, '["timer"]', "x")
        assert (head.owner, head.updated_at) == (OWNER, NOW + 2)
        await store.append(OWNER, commit(change=Change(status=Status.IN_DOUBT, release=True)))
        head = await found(store)
        assert (head.status, head.owner, head.wake_at, head.updated_at) == (Status.IN_DOUBT, None, None, NOW + 2)

    @pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
    async def test_an_execution_that_ends_is_free_and_never_due_again(self, store: Store, status: Status) -> None:
        await own(store, "e1")
        await store.post(signal())
        change = Change(status=status, wake_at=NOW, cause="why")
        await store.append(OWNER, commit(event(at=NOW + 5), change=change))
        head = await found(store)
        assert (head.status, head.owner, head.wake_at, head.cause) == (status, None, None, "why")
        assert await store.inbox("e1") == []
        assert not await store.post(signal(), [event(type="never")])
        assert "never" not in await types(store)

    async def test_word_that_came_after_the_owner_looked_keeps_the_execution_due(self, store: Store) -> None:
        await own(store, "e1")
        await store.post(signal(name="known"))
        seen = (await store.mail(OWNER, 0))[-1].seq
        assert await store.post(signal(name="unknown"))
        release = Change(status=Status.SUSPENDED, wake_at=NOW + 60, release=True)
        await store.append(OWNER, commit(event(), change=release, seen=seen))
        assert [record.id for record in await store.claim(OWNER, [PAY], NOW, 1)] == ["e1"]

    async def test_word_that_the_owner_knows_does_not_keep_the_execution_due(self, store: Store) -> None:
        await own(store, "e1")
        for name in ("kept", "consumed"):
            await store.post(signal(name=name))
        kept, consumed = await store.mail(OWNER, 0)
        release = Change(status=Status.SUSPENDED, wake_at=NOW + 60, release=True)
        await store.append(OWNER, commit(change=release, seen=kept.seq, consumed=[consumed.seq]))
        assert (await found(store)).wake_at == NOW + 60
        assert await store.inbox("e1") == [kept]

    async def test_an_execution_is_created_with_its_first_commit(self, store: Store) -> None:
        record = execution(owner=OWNER, status=Status.RUNNING, wake_at=None)
        await store.append(OWNER, commit(event(), create=record))
        assert await store.execution("e1") == record
        with pytest.raises(ExecutionConflict, match="'e1'"):
            await store.append(OWNER, commit(event(), create=execution()))
        assert len(await store.journal("e1")) == 1

    async def test_large_values_are_kept_once_and_for_good(self, store: Store) -> None:
        large = "x" * 300_000
        await store.append(OWNER, commit(blobs=[("d1", large), ("d2", "")]))
        await store.append(OWNER, commit(blobs=[("d1", large)]))
        assert await store.blob("d1") == large
        assert await store.blob("d2") == ""
        with pytest.raises(StoreCorrupt, match="'d3'"):
            await store.blob("d3")

    async def test_sealed_values_are_erased_with_the_commit_that_says_so(self, store: Store) -> None:
        await own(store, "e1", "e2")
        await store.append(OWNER, commit(sealed=[(-1, '{"card":1}'), (4, "1")]))
        await store.append(OWNER, commit(sealed=[(4, "2")]))
        await store.append(OWNER, commit(sealed=[(4, "3")], execution_id="e2"))
        assert await store.sealed("e1") == {-1: '{"card":1}', 4: "2"}
        await store.append(OWNER, finish(unseals=True, sealed=[(5, "late")]))
        assert await store.sealed("e1") == {}
        assert await store.sealed("e2") == {4: "3"}

    # inbox

    async def test_word_makes_its_execution_due_and_brings_its_events(self, store: Store) -> None:
        await store.create(execution(wake_at=None))
        assert await store.post(signal(value='{"n":1}', sender="ann"), [event(type="signal.received")])
        assert (await found(store)).wake_at == 0
        assert await types(store) == ["signal.received"]
        (message,) = await store.inbox("e1")
        assert message == signal(value='{"n":1}', sender="ann", seq=message.seq)

    async def test_word_to_nobody_is_not_kept(self, store: Store) -> None:
        assert not await store.post(signal("missing"), [event("missing")])
        assert await store.journal("missing") == []
        assert await store.inbox("missing") == []

    async def test_an_owner_gets_the_mail_of_its_executions(self, store: Store) -> None:
        await store.register(worker(OTHER))
        await own(store, "e1", "e2")
        await store.create(execution("e3"))
        for target, name in [("e1", "a"), ("e3", "not mine"), ("e2", "b"), ("e1", "c")]:
            await store.post(signal(target, name))
        mail = await store.mail(OWNER, 0)
        assert [message.name for message in mail] == ["a", "b", "c"]
        assert [message.name for message in await store.mail(OWNER, mail[1].seq)] == ["c"]
        assert await store.mail(OTHER, 0) == []
        assert [message.name for message in await store.inbox("e1")] == ["a", "c"]

    async def test_numbers_of_messages_are_not_given_twice(self, store: Store) -> None:
        await own(store, "e1")
        await store.post(signal())
        (first,) = await store.inbox("e1")
        await store.append(OWNER, commit(consumed=[first.seq]))
        await store.post(signal())
        assert [message.name for message in await store.mail(OWNER, first.seq)] == ["go"]

    async def test_only_the_own_messages_are_consumed(self, store: Store) -> None:
        await own(store, "e1", "e2")
        await store.post(signal("e2"))
        (foreign,) = await store.inbox("e2")
        await store.append(OWNER, commit(consumed=[foreign.seq]))
        assert await store.inbox("e2") == [foreign]

    async def test_a_commit_sends_messages_to_other_executions(self, store: Store) -> None:
        await own(store, "e1", "done")
        await store.append(OWNER, finish("done"))
        await store.create(execution("parent", wake_at=None))
        sent = [signal("parent", "child ended"), signal("done"), signal("missing")]
        await store.append(OWNER, finish(messages=sent))
        assert [message.name for message in await store.inbox("parent")] == ["child ended"]
        assert (await found(store, "parent")).wake_at == 0
        assert await store.inbox("done") == []

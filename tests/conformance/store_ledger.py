"""What every store must do for budgets and mandates."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from assent.errors import LeaseLost, PermitRefused
from assent.store import ApprovalRecord, ApprovalStatus, Commit, Hold, Permit, Settlement, Store
from assent.store.ledger import Drawn
from tests.conformance.store_governance import ask
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
    granted,
    mandate,
    own,
    permit,
    types,
    verdict,
    worker,
)

T = TypeVar("T")


def budget(amount: int, limit: int | None = 100, key: str = "budget:b", **facts: Any) -> Hold:
    return Hold(key=key, amount=amount, limit=limit, **facts)


def settled(permit_id: str, outcome: str, **amounts: int) -> Settlement:
    """`amounts` are those of budgets, by the end of their keys."""
    by_key = {f"budget:{name}": amount for name, amount in amounts.items()}
    return Settlement(permit_id=permit_id, outcome=outcome, amounts=by_key)  # type: ignore[arg-type]  # as a table


def under(mandate_id: str = "m1", record: ApprovalRecord | None = None, permit_id: str = "p1", **facts: Any) -> Permit:
    """A permit that needs nothing but a mandate."""
    digest = (record or mandate(mandate_id)).digest
    return permit(permit_id, approvals=(), mandates=[(mandate_id, digest)], **facts)


async def take(store: Store, permit: Permit, at: float = NOW) -> None:
    await store.append(OWNER, commit(event(type="effect", at=at), permit=permit))


async def refusal(store: Store, permit: Permit, at: float = NOW) -> PermitRefused:
    with pytest.raises(PermitRefused) as refused:
        await take(store, permit, at)
    return refused.value


class LedgerSuite:
    """For one open store; the fixtures come from the suite that inherits this."""

    doors = 1  # how many stores on the same storage the machine below uses

    # holds

    async def test_what_was_never_drawn_on_is_empty(self, store: Store) -> None:
        assert await store.drawn("budget:b") == Drawn()
        assert await store.draws() == []

    async def test_a_hold_is_taken_with_its_permit(self, store: Store) -> None:
        await take(store, drawing("p1", budget(60), budget(5, key="budget:other")))
        assert await store.drawn("budget:b") == Drawn(held=60, spent=0, count=1)
        assert await store.drawn("budget:other") == Drawn(held=5, spent=0, count=1)

    async def test_what_is_drawn_is_listed_by_key_and_prefix(self, store: Store) -> None:
        keys = ["budget:é", "budget:a", "mandate:a", "budget", "budget:%"]
        await take(store, drawing("p1", *(budget(number, key=key) for number, key in enumerate(keys))))
        assert [key for key, _ in await store.draws()] == sorted(keys)
        listed = await store.draws("budget:")
        assert listed == [("budget:%", Drawn(4, 0, 1)), ("budget:a", Drawn(1, 0, 1)), ("budget:é", Drawn(0, 0, 1))]

    async def test_holds_fit_up_to_the_limit_and_no_further(self, store: Store) -> None:
        await take(store, drawing("p1", budget(60)))
        refused = await refusal(store, drawing("p2", budget(41)))
        assert refused.reason == "'budget:b' has 0.00004 left of 0.0001, and 0.000041 is needed"
        assert refused.hold == "budget:b"
        await take(store, drawing("p3", budget(40)))
        assert await store.drawn("budget:b") == Drawn(100, 0, 2)

    async def test_holds_fit_up_to_the_count_and_no_further(self, store: Store) -> None:
        for number in range(3):
            await take(store, drawing(f"p{number}", budget(9, limit=None, count=3)))
        refused = await refusal(store, drawing("p3", budget(0, limit=None, count=3)))
        assert refused.reason == "'budget:b' is good for 3 and was used 3 times"

    async def test_a_refused_hold_leaves_nothing_of_its_commit(self, store: Store) -> None:
        await ask(store)
        await store.decide(granted(), verdict(), [])
        both = permit(holds=[budget(10, key="budget:fits"), budget(101)])
        entry = commit(event("e9"), execution_id="e9", create=execution("e9"), permit=both, blobs=[("d", "x")])
        with pytest.raises(PermitRefused):
            await store.append(OWNER, entry)
        assert await store.execution("e9") is None
        assert await store.draws() == []
        assert await store.approval("a1") == granted()
        await store.append(OWNER, commit(event(type="effect"), permit=permit()))

    async def test_of_many_at_once_exactly_as_many_fit_as_there_is_room_for(self, store: Store) -> None:
        takes = [take(store, drawing(f"p{number}", budget(7))) for number in range(50)]
        outcomes = await asyncio.gather(*takes, return_exceptions=True)
        assert outcomes.count(None) == 14
        assert await store.drawn("budget:b") == Drawn(98, 0, 14)

    async def test_only_what_came_after_the_beginning_of_a_window_counts(self, store: Store) -> None:
        await take(store, drawing("p1", budget(60)), NOW)
        await take(store, drawing("p2", budget(40)), NOW + 5)
        assert (await refusal(store, drawing("p3", budget(60, since=NOW - 1)), NOW + 9)).hold == "budget:b"
        await take(store, drawing("p3", budget(60, since=NOW)), NOW + 10)
        assert await store.drawn("budget:b", NOW) == Drawn(100, 0, 2)
        assert await store.drawn("budget:b", NOW + 10) == Drawn()
        assert await store.drawn("budget:b") == Drawn(160, 0, 3)

    @pytest.mark.parametrize("apart", [0.25, 300.0, 600.0, 86400.0])
    async def test_windows_are_exact_wherever_they_begin(self, store: Store, apart: float) -> None:
        moments = [NOW + number * apart for number in range(12)]
        for number, at in enumerate(moments):
            await take(store, drawing(f"p{number}", budget(2**number, limit=None)), at)
        for number, at in enumerate(moments):
            after = sum(2**later for later in range(number + 1, 12))
            assert await store.drawn("budget:b", at) == Drawn(after, 0, 11 - number)
            assert await store.drawn("budget:b", at - 0.125) == Drawn(after + 2**number, 0, 12 - number)

    async def test_a_commit_without_a_moment_counts_for_ever(self, store: Store) -> None:
        await store.append(OWNER, commit(permit=drawing("p1", budget(60))))
        assert (await store.drawn("budget:b", NOW + 1e9)).held == 60

    async def test_holds_of_one_permit_under_one_key_are_one(self, store: Store) -> None:
        await take(store, drawing("p1", budget(60), budget(70), budget(10)))
        assert await store.drawn("budget:b") == Drawn(70, 0, 1)

    async def test_amounts_may_be_large_and_sums_stay_exact(self, store: Store) -> None:
        large = 10**17 + 1
        for number in range(9):
            await take(store, drawing(f"p{number}", budget(large, limit=9 * large)))
        assert (await store.drawn("budget:b")).total == 9 * large
        assert (await refusal(store, drawing("p9", budget(1, limit=9 * large)))).hold == "budget:b"

    # settlements

    @pytest.mark.parametrize(
        ("on_failure", "outcome", "amounts", "expected"),
        [
            ("release", "done", {}, Drawn(0, 60, 1)),
            ("keep", "done", {}, Drawn(0, 60, 1)),
            ("release", "done", {"b": 25}, Drawn(0, 25, 1)),
            ("release", "done", {"b": 300}, Drawn(0, 300, 1)),
            ("release", "done", {"b": -5}, Drawn(0, 0, 1)),
            ("release", "done", {"elsewhere": 25}, Drawn(0, 60, 1)),
            ("release", "failed", {"b": 25}, Drawn()),
            ("keep", "failed", {"b": 25}, Drawn(0, 60, 1)),
            ("release", "undone", {}, Drawn()),
            ("keep", "undone", {}, Drawn()),
        ],
    )
    @pytest.mark.parametrize("with_commit", [True, False])
    async def test_a_hold_is_settled(
        self, store: Store, on_failure: Any, outcome: str, amounts: dict[str, int], expected: Drawn, with_commit: bool
    ) -> None:
        await take(store, drawing("p1", budget(60, on_failure=on_failure)))
        if with_commit:
            await store.append(OWNER, commit(event(type="end"), settlement=settled("p1", outcome, **amounts)))
        else:
            await store.settle(settled("p1", outcome, **amounts))
        assert await store.drawn("budget:b") == expected

    async def test_what_is_settled_stays_settled(self, store: Store) -> None:
        await take(store, drawing("p1", budget(60)))
        await take(store, drawing("p2", budget(30)))
        await store.settle(settled("p1", "done", b=50))
        await store.settle(settled("p2", "undone"))
        for permit_id in ("p1", "p2"):
            await store.settle(settled(permit_id, "undone"))
            await store.settle(settled(permit_id, "done", b=1))
        assert await store.drawn("budget:b") == Drawn(0, 50, 1)

    async def test_all_holds_of_a_permit_are_settled_and_no_others(self, store: Store) -> None:
        await take(store, drawing("p1", budget(1, key="budget:x"), budget(2, key="budget:y", on_failure="keep")))
        await take(store, drawing("p2", budget(4, key="budget:x")))
        await store.settle(settled("p1", "failed"))
        await store.settle(settled("missing", "failed"))
        assert await store.draws() == [("budget:x", Drawn(4, 0, 1)), ("budget:y", Drawn(0, 2, 1))]

    async def test_a_settlement_is_written_by_the_owner_only(self, store: Store) -> None:
        await take(store, drawing("p1", budget(60)))
        with pytest.raises(LeaseLost):
            await store.append("nobody", commit(event(), settlement=settled("p1", "undone")))
        assert (await store.drawn("budget:b")).held == 60

    async def test_what_is_released_can_be_taken_again(self, store: Store) -> None:
        await take(store, drawing("p1", budget(60)))
        await store.append(OWNER, finish(settlement=settled("p1", "undone")))
        await take(store, drawing("p2", budget(100)))
        assert await store.drawn("budget:b") == Drawn(100, 0, 1)

    # the same permit once more

    async def test_the_holds_of_a_permit_used_again_stay_as_they_are(self, store: Store) -> None:
        again = drawing("p1", budget(60))
        await take(store, again)
        await take(store, drawing("p2", budget(40)))
        await take(store, again.once_more(), NOW + 1)
        assert await store.drawn("budget:b") == Drawn(100, 0, 2)
        assert await store.drawn("budget:b", NOW) == Drawn()

    async def test_a_permit_used_again_after_its_release_needs_room_again(self, store: Store) -> None:
        again = drawing("p1", budget(60)).once_more()
        await take(store, drawing("p1", budget(60)))
        await store.settle(settled("p1", "undone"))
        await take(store, drawing("p2", budget(50)))
        assert (await refusal(store, again)).hold == "budget:b"
        await store.settle(settled("p2", "undone"))
        await take(store, again)
        assert await store.drawn("budget:b") == Drawn(60, 0, 1)

    # mandates

    async def test_a_mandate_is_good_for_many_permits_and_is_not_used_up(self, store: Store) -> None:
        await ask(store, mandate())
        for number in range(3):
            await take(store, under(permit_id=f"p{number}"))
        assert await store.approval("m1") == mandate()

    @pytest.mark.parametrize(
        ("stored", "reason"),
        [
            ([], "mandate 'm1' is gone"),
            ([mandate(status=ApprovalStatus.PENDING)], "mandate 'm1' is pending, not granted"),
            ([mandate(status=ApprovalStatus.REVOKED)], "mandate 'm1' is revoked, not granted"),
            ([mandate(until=NOW)], "mandate 'm1' has expired"),
            ([mandate(digest="edited")], "the digest of mandate 'm1' has changed"),
            ([mandate(request=mandate().request.replace("pay", "buy"))], "the request of mandate 'm1' was edited"),
            ([mandate(action="buy")], "the digest of mandate 'm1' has changed"),
            ([granted("m1")], "mandate 'm1' is an approval of a single action"),
        ],
    )
    async def test_a_permit_is_refused_when_its_mandate(
        self, store: Store, stored: Sequence[ApprovalRecord], reason: str
    ) -> None:
        await own(store, "e1")
        await store.append(OWNER, commit(approvals=stored))
        refused = await refusal(store, under())
        assert (refused.reason, refused.hold) == (reason, "mandate:m1")
        assert await types(store) == []

    async def test_a_mandate_holds_until_its_end(self, store: Store) -> None:
        await ask(store, mandate(until=NOW + 60))
        await take(store, under(permit_id="p1"), NOW + 59.5)
        assert (await refusal(store, under(permit_id="p2"), NOW + 60)).reason == "mandate 'm1' has expired"

    async def test_a_mandate_cannot_be_used_as_an_approval(self, store: Store) -> None:
        await ask(store, mandate())
        single = Permit(id="p1", action_digest="action", approvals=[("m1", mandate().digest)])
        assert "is a mandate" in (await refusal(store, single)).reason
        assert await store.approval("m1") == mandate()

    async def test_a_mandate_can_be_revoked_as_long_as_it_is_in_force(self, store: Store) -> None:
        await ask(store, mandate())
        await take(store, under())
        revoked = mandate(status=ApprovalStatus.REVOKED, version=1)
        assert await store.decide(revoked, verdict(approval_id="m1", decision="revoke"), [])
        assert (await refusal(store, under(permit_id="p2"))).reason == "mandate 'm1' is revoked, not granted"
        assert (await refusal(store, under().once_more())).reason == "mandate 'm1' is revoked, not granted"

    async def test_mandates_are_found_by_action_and_by_whether_they_are_in_force(self, store: Store) -> None:
        await ask(
            store,
            approval("ordinary"),
            mandate("young", created_at=NOW + 5),
            mandate("other", "ship"),
            mandate("over", until=NOW + 1, created_at=NOW - 1),
            mandate("open", status=ApprovalStatus.PENDING),
            mandate("old", created_at=NOW - 5),
        )

        async def listed(*query: Any) -> list[str]:
            return [record.id for record in await store.mandates(*query)]

        assert await listed() == ["old", "over", "other", "open", "young"]
        assert await listed("pay") == ["old", "over", "open", "young"]
        assert await listed("pay", NOW) == ["old", "over", "young"]
        assert await listed(None, NOW + 1) == ["old", "other", "young"]
        assert await listed("pay", NOW + 60) == []
        assert list(await store.mandates("ship")) == [mandate("other", "ship")]

    async def test_a_mandate_without_an_end_is_never_in_force(self, store: Store) -> None:
        request = '{"action":"pay","kind":"mandate","terms":{}}'
        endless = mandate(request=request, digest=digest_of(request))
        await ask(store, endless)
        assert list(await store.mandates("pay", NOW)) == []
        assert list(await store.mandates("pay")) == [endless]
        assert (await refusal(store, under(record=endless))).reason == "mandate 'm1' has expired"

    # all of it at once

    def test_no_interleaving_draws_more_than_there_is(self, opened: Callable[[], Store]) -> None:
        class HereSpenders(Spenders):
            doors = [opened] * self.doors

        run_state_machine_as_test(HereSpenders, settings=settings(max_examples=25, stateful_step_count=20))


LIMIT, COUNT, WINDOW = 20, 6, 1000.0
OUTCOMES = ("done", "failed", "undone")


class Spenders(RuleBasedStateMachine):
    """Permits draw on two keys through several stores at once, are settled and used again, while time goes on.

    A model beside it knows of each permit what it holds; the store must agree, and never pass a limit.
    """

    doors: ClassVar[Sequence[Callable[[], Store]]]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stores = [self.run(self.enter(make(), f"worker-{number}")) for number, make in enumerate(self.doors)]
        self.now, self.made = NOW, 0
        # The storage may be that of the last example, which has left keys with other numbers.
        self.tag = str(len(self.run(self.stores[0].draws())))
        self.held: dict[tuple[str, str], tuple[float, int]] = {}
        self.spent: dict[tuple[str, str], tuple[float, int]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def enter(self, store: Store, owner: str) -> Store:
        await store.__aenter__()
        await store.register(worker(owner))
        return store

    def teardown(self) -> None:
        for store in self.stores:
            self.run(store.__aexit__())
        self.runner.close()

    def holds(self, amount: int) -> list[Hold]:
        series = Hold(key=f"mandate:{self.tag}", amount=amount, limit=LIMIT, count=COUNT, on_failure="keep")
        return [budget(amount, LIMIT, f"budget:{self.tag}", since=self.now - WINDOW), series]

    async def attempt(self, place: int, permit: Permit) -> bool:
        with_intent = Commit(execution_id="e1", events=[event(at=self.now)], permit=permit)
        try:
            await self.stores[place].append(f"worker-{place}", with_intent)
        except PermitRefused:
            return False
        return True

    def note(self, permit: Permit) -> None:
        for hold in permit.holds:
            if (permit.id, hold.key) not in self.held | self.spent:
                self.held[permit.id, hold.key] = (self.now, hold.amount)

    def drawn(self, key: str, since: float | None = None) -> Drawn:
        def sums(side: dict[tuple[str, str], tuple[float, int]]) -> list[int]:
            start = -1.0 if since is None else since
            return [amount for (_, of), (at, amount) in side.items() if of == key and at > start]

        held, spent = sums(self.held), sums(self.spent)
        return Drawn(sum(held), sum(spent), len(held) + len(spent))

    @rule(amounts=st.lists(st.integers(0, 9), min_size=1, max_size=6))
    def several_draw_at_once(self, amounts: list[int]) -> None:
        permits = []
        for amount in amounts:
            self.made += 1
            permits.append(drawing(f"{self.tag}:{self.made}", *self.holds(amount)))
        through = [number % len(self.stores) for number in range(len(permits))]

        async def race() -> list[bool]:
            return await asyncio.gather(*map(self.attempt, through, permits))

        for made, was_taken in zip(permits, self.run(race()), strict=True):
            if was_taken:
                self.note(made)
        # Who was refused was refused for want of room: the least of them still finds none.
        refused = [amount for amount, made in zip(amounts, permits, strict=True) if not self.has(made)]
        assert all(self.is_short_of(amount) for amount in refused)

    def has(self, permit: Permit) -> bool:
        return any(permit.id == permit_id for permit_id, _ in self.held)

    def is_short_of(self, amount: int) -> bool:
        window, series = self.holds(amount)
        drawn = self.drawn(series.key)
        is_full = drawn.count >= COUNT or drawn.total + amount > LIMIT
        return is_full or self.drawn(window.key, window.since).total + amount > LIMIT

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES), times=st.integers(1, 2), actual=st.integers(0, 9))
    def one_is_settled(self, data: st.DataObject, outcome: str, times: int, actual: int) -> None:
        permit_id = data.draw(st.sampled_from(sorted({permit_id for permit_id, _ in self.held})))
        store = data.draw(st.sampled_from(self.stores))
        # Not more than was held, so that the limits stay true; that it may be more is tested above.
        amount = self.held[permit_id, f"budget:{self.tag}"][1]
        for _ in range(times):
            self.run(store.settle(settled(permit_id, outcome, **{self.tag: min(actual, amount)})))
        for key in (f"budget:{self.tag}", f"mandate:{self.tag}"):
            at, amount = self.held.pop((permit_id, key))
            if outcome == "done" or (outcome == "failed" and key.startswith("mandate")):
                is_actual = outcome == "done" and key.startswith("budget")
                self.spent[permit_id, key] = (at, min(actual, amount) if is_actual else amount)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def one_is_used_again(self, data: st.DataObject) -> None:
        permit_id = data.draw(st.sampled_from(sorted({permit_id for permit_id, _ in self.held})))
        amount = self.held[permit_id, f"mandate:{self.tag}"][1]
        again = drawing(permit_id, *self.holds(amount), again=True)
        assert self.run(self.attempt(data.draw(st.integers(0, len(self.stores) - 1)), again))

    @rule(seconds=st.sampled_from([0.5, 300.0, WINDOW]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_store_agrees_and_no_limit_is_passed(self) -> None:
        window, series = self.holds(0)
        for store in self.stores:
            recent, ever = self.run(store.drawn(window.key, window.since)), self.run(store.drawn(series.key))
            assert (recent, ever) == (self.drawn(window.key, window.since), self.drawn(series.key))
            assert max(recent.total, ever.total) <= LIMIT
            assert ever.count <= COUNT

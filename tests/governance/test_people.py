"""People: who may sit on which seat of an approval, whom to tell, and what is done to them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import UsageError
from assent.governance.people import (
    NOBODY,
    Roster,
    Seat,
    add_person,
    delegate,
    disable_person,
    enable_person,
    end_delegation,
    history_of,
    roster_of,
    seat_of,
)
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock
from tests.governance.questions import ANA, BOB, CLARA, DAN, NOW, REQUEST, known, lends, somebody

EVE = "eve@company.com"
FINANCE, LEGAL = "role:finance", "role:legal"
OPEN = replace(REQUEST, requester=None)


# Seats.


@pytest.mark.parametrize(
    ("roster", "rules", "who", "seats"),
    [
        (NOBODY, {}, ANA, (ANA,)),
        (NOBODY, {}, "ANA@Company.com", (ANA,)),
        (NOBODY, {}, DAN, ()),
        (NOBODY, {"approvers": (FINANCE,)}, DAN, ()),
        (NOBODY, {"approvers": (FINANCE,)}, FINANCE, ()),
        (known(somebody(DAN, "finance")), {"approvers": (FINANCE, LEGAL)}, DAN, (FINANCE,)),
        (known(somebody(DAN, "finance")), {"approvers": (FINANCE, DAN)}, DAN, (DAN, FINANCE)),
        (known(somebody("Dan@Company.com", "finance")), {"approvers": (FINANCE,)}, DAN, (FINANCE,)),
        (known(somebody(DAN, "Finance")), {"approvers": (FINANCE,)}, DAN, ()),
        (known(somebody(DAN, "finance", "legal")), {"approvers": (LEGAL, FINANCE)}, DAN, (LEGAL, FINANCE)),
        (known(lent=[lends(ANA, DAN)]), {}, DAN, (ANA,)),
        (known(lent=[lends(ANA, "DAN@company.com")]), {}, DAN, (ANA,)),
        (known(lent=[lends(ANA, DAN), lends(BOB, DAN)]), {}, DAN, (ANA, BOB)),
        (known(lent=[lends(ANA, DAN), lends(DAN, EVE)]), {}, EVE, ()),
        (known(lent=[lends(ANA, BOB), lends(BOB, ANA)]), {}, ANA, (ANA, BOB)),
        (known(somebody(ANA, "finance"), lent=[lends(ANA, DAN)]), {"approvers": (FINANCE, BOB)}, DAN, (FINANCE,)),
        (known(lent=[lends(ANA, DAN)]), {"approvers": (DAN, ANA)}, DAN, (DAN, ANA)),
        (known(lent=[lends(ANA, DAN)]), {"approvers": (ANA, DAN)}, DAN, (DAN, ANA)),
        # disabled
        (known(somebody(ANA, disabled_at=NOW)), {}, ANA, ()),
        (known(somebody(ANA, disabled_at=NOW)), {}, "Ana@company.com", ()),
        (known(somebody(ANA, disabled_at=NOW), lent=[lends(ANA, DAN)]), {}, DAN, ()),
        (known(somebody(DAN, disabled_at=NOW), lent=[lends(ANA, DAN)]), {}, DAN, ()),
        # separation of duties, and conflict of interest
        (NOBODY, {"requester": ANA}, ANA, ()),
        (NOBODY, {"requester": ANA, "separation_of_duties": False}, ANA, (ANA,)),
        (known(somebody(ANA, "finance")), {"requester": ANA, "approvers": (FINANCE,)}, ANA, ()),
        (known(lent=[lends(ANA, DAN)]), {"requester": ANA}, DAN, ()),
        (known(lent=[lends(ANA, DAN)]), {"requester": DAN}, DAN, ()),
        (known(lent=[lends(ANA, BOB)]), {"requester": ANA}, BOB, (BOB,)),
        (NOBODY, {"excluded": (ANA,)}, ANA, ()),
        (NOBODY, {"excluded": (ANA,)}, "Ana@Company.com", ()),
        (known(lent=[lends(ANA, DAN)]), {"excluded": (ANA,)}, DAN, ()),
        (known(lent=[lends(ANA, DAN)]), {"excluded": (DAN,)}, DAN, ()),
        (known(somebody(DAN, "finance")), {"approvers": (FINANCE,), "excluded": (DAN,)}, DAN, ()),
    ],
)
def test_who_may_sit_where(roster: Roster, rules: dict[str, Any], who: str, seats: tuple[str, ...]) -> None:
    assert roster.seats(replace(OPEN, **rules), who) == seats


def test_seats_do_not_depend_on_the_order_in_which_things_are_read() -> None:
    people = [somebody(ANA, "finance"), somebody(BOB, "finance", "legal")]
    lent = [lends(ANA, DAN, since=2), lends(BOB, DAN, since=1), lends(CLARA, DAN, since=1)]
    request = replace(OPEN, approvers=(LEGAL, FINANCE, CLARA))
    first = known(*people, lent=lent).sittings(request, DAN)
    assert known(*reversed(people), lent=[*reversed(lent)]).sittings(request, DAN) == first
    assert [seat.holder for seat in first] == [BOB, BOB, CLARA, ANA]


def test_a_seat_survives_as_text() -> None:
    request = replace(OPEN, approvers=(ANA, FINANCE))
    for approver, seat in [
        (ANA, Seat(ANA, ANA)),
        (DAN, Seat(ANA, ANA)),
        (DAN, Seat(FINANCE, DAN)),
        (DAN, Seat(FINANCE, BOB)),
    ]:
        assert seat_of(request, approver, seat.text(approver)) == seat
    assert Seat(FINANCE, BOB).text(DAN) == "role:finance for bob@company.com"


@pytest.mark.parametrize(
    ("approver", "text"),
    [(DAN, ""), (DAN, DAN), (DAN, LEGAL), (DAN, "role:financeX"), (DAN, "for bob"), (CLARA, ANA), (DAN, CLARA)],
)
def test_a_seat_that_the_request_does_not_have_or_bars_is_none(approver: str, text: str) -> None:
    request = replace(REQUEST, approvers=(ANA, CLARA, FINANCE))  # asked for by Clara
    assert seat_of(request, approver, text) is None


PEOPLE = [ANA, BOB, CLARA, DAN, EVE]
ROSTERS = st.builds(
    lambda roles, disabled, lent: known(
        *[somebody(who, *each, disabled_at=NOW if who in disabled else None) for who, each in roles.items()],
        lent=[lends(*pair) for pair in lent],
    ),
    st.dictionaries(st.sampled_from(PEOPLE), st.sets(st.sampled_from(["finance", "legal"]))),
    st.sets(st.sampled_from(PEOPLE)),
    st.lists(st.permutations(PEOPLE).map(lambda some: (some[0], some[1])), max_size=5),
)


@given(
    ROSTERS,
    st.lists(st.sampled_from([ANA, BOB, CLARA, FINANCE, LEGAL]), min_size=1, unique=True),
    st.sampled_from(PEOPLE),
    st.sets(st.sampled_from(PEOPLE), max_size=2),
    st.sampled_from(PEOPLE),
)
def test_every_seat_is_the_persons_own_or_rightly_lent(
    roster: Roster, approvers: list[str], requester: str, excluded: set[str], who: str
) -> None:
    request = replace(OPEN, approvers=tuple(approvers), requester=requester, excluded=tuple(excluded))
    barred = {requester, *excluded} | {each for each in PEOPLE if roster.is_disabled(each)}
    sittings = roster.sittings(request, who)
    assert len(set(sittings)) == len(sittings)
    assert (who in roster.seated(request)) == bool(sittings)
    for entry, holder in sittings:
        assert entry in approvers
        assert not {who, holder} & barred
        assert entry == holder or roster.has_role(holder, entry)
        assert who == holder or any((one.delegator, one.delegate) == (holder, who) for one in roster.delegations)


# Whom to tell.


@pytest.mark.parametrize(
    ("roster", "approvers", "told"),
    [
        (NOBODY, [ANA, "Ana@Company.com", BOB], (ANA, BOB)),
        (NOBODY, [FINANCE], ()),
        (known(somebody(DAN, "finance"), somebody(BOB, "finance"), ANA), [FINANCE, BOB], (BOB, DAN)),
        (known(somebody(ANA, disabled_at=NOW)), [ANA, BOB], (BOB,)),
        (known(somebody(DAN, "finance", disabled_at=NOW)), [FINANCE], ()),
        (known(lent=[lends(ANA, DAN)]), [ANA], (ANA, DAN)),
        (known(lent=[lends(ANA, DAN, is_away=True)]), [ANA], (DAN,)),
        (known(lent=[lends(ANA, DAN, is_away=True), lends(ANA, EVE)]), [ANA], (DAN, EVE)),
        (known(somebody(DAN, disabled_at=NOW), lent=[lends(ANA, DAN, is_away=True)]), [ANA], (ANA,)),
        (known(lent=[lends(ANA, DAN, is_away=True), lends(DAN, EVE, is_away=True)]), [ANA], (DAN,)),
        (known(somebody(ANA, "finance"), lent=[lends(ANA, DAN, is_away=True)]), [FINANCE, ANA], (DAN,)),
        (known(lent=[lends(ANA, BOB), lends(BOB, ANA)]), [ANA, BOB], (ANA, BOB)),
    ],
)
def test_who_is_told(roster: Roster, approvers: list[str], told: tuple[str, ...]) -> None:
    assert roster.recipients(approvers) == told


# In the store.


async def test_a_roster_about_some_knows_them_and_those_for_whom_they_stand_in() -> None:
    clock = JumpingClock()
    async with SqliteStore("sqlite://") as store:
        for who in PEOPLE:
            await add_person(store, clock, who)
        await delegate(store, clock, ANA, DAN, until=clock.now() + 10)
        await delegate(store, clock, BOB, ANA, until=clock.now() + 10)
        for roster in (await roster_of(store, clock.now(), ["Dan@company.com"]), await history_of(store, [DAN, ""])):
            assert set(roster.people) == {ANA, DAN}
            assert roster.seats(OPEN, DAN) == (ANA,)


async def test_people_come_and_go() -> None:
    clock = JumpingClock()
    async with SqliteStore("sqlite://") as store:
        added = await add_person(
            store, clock, "Ana@Company.com", name="Ana", roles=["role:finance", "finance", "legal"]
        )
        assert (added.id, added.roles, added.created_at) == (ANA, ("finance", "legal"), clock.now())
        clock.advance(60)
        disabled = await disable_person(store, clock, "ANA@company.com")
        assert disabled.disabled_at == clock.now()
        clock.advance(60)
        assert await disable_person(store, clock, ANA) == disabled
        changed = await add_person(store, clock, ANA, roles=["sales"], contacts={"slack": "U1"})
        assert (changed.roles, changed.created_at, changed.disabled_at) == (
            ("sales",),
            added.created_at,
            disabled.disabled_at,
        )
        assert (await roster_of(store, clock.now())).is_disabled(ANA)
        assert (await enable_person(store, clock, ANA)).disabled_at is None
        assert [one.id for one in await store.people()] == [ANA]


async def test_somebody_who_is_spelled_otherwise_is_the_same_person() -> None:
    clock = JumpingClock()
    async with SqliteStore("sqlite://") as store:
        await store.save_person(somebody("Ana@Company.com", "finance"))
        await disable_person(store, clock, "ANA@company.com")
        assert (await add_person(store, clock, ANA, roles=["legal"])).disabled_at == clock.now()
        for about in (None, [ANA]):
            roster = await roster_of(store, clock.now(), about)
            assert (list(roster.people), roster.is_disabled(ANA), roster.roles(ANA)) == ([ANA], True, ("legal",))


async def test_a_delegation_holds_for_its_time() -> None:
    clock = JumpingClock()
    async with SqliteStore("sqlite://") as store:
        for who in (ANA, DAN):
            await add_person(store, clock, who)
        start = clock.now()
        made = await delegate(store, clock, "Ana@company.com", DAN, since=start + 10, until=start + 20, is_away=True)
        assert (made.delegator, made.delegate, made.is_away) == (ANA, DAN, True)
        seen = [bool((await roster_of(store, start + each)).seats(OPEN, DAN)) for each in (0, 9, 10, 19, 20, 21)]
        assert seen == [False, False, True, True, False, False]
        history = await history_of(store)
        assert [history.has_stood_in(DAN, ANA, start + each) for each in (9, 10, 19, 20)] == [False, True, True, False]
        assert not history.has_stood_in(ANA, DAN, start + 15)


async def test_a_delegation_can_be_ended_before_its_time() -> None:
    clock = JumpingClock()
    async with SqliteStore("sqlite://") as store:
        for who in (ANA, DAN):
            await add_person(store, clock, who)
        made = await delegate(store, clock, ANA, DAN, until=clock.now() + 100)
        clock.advance(50)
        ended = await end_delegation(store, clock, made.id)
        assert ended.ended_at == clock.now()
        assert not (await roster_of(store, clock.now())).seats(OPEN, DAN)
        assert (await history_of(store)).has_stood_in(DAN, ANA, clock.now() - 1)
        clock.advance(10)
        assert await end_delegation(store, clock, made.id) == ended
        over = await delegate(store, clock, ANA, DAN, until=clock.now() + 100)
        clock.advance(100)
        assert await end_delegation(store, clock, over.id) == over


async def test_what_cannot_be_is_told_with_a_remedy() -> None:
    clock = JumpingClock()
    async with SqliteStore("sqlite://") as store:
        for who in (ANA, DAN, EVE):
            await add_person(store, clock, who)
        await disable_person(store, clock, EVE)
        now = clock.now()
        for call, message in [
            (add_person(store, clock, " "), "must be a text that is not empty"),
            (add_person(store, clock, "role:finance"), "is a role, not a person"),
            (add_person(store, clock, ANA, roles="finance"), r"roles=\['finance'\]"),
            (disable_person(store, clock, BOB), f"Nobody is known as '{BOB}'. .*`assent users add {BOB}`"),
            (enable_person(store, clock, BOB), "Nobody is known as"),
            (delegate(store, clock, BOB, DAN, until=now + 1), "Nobody is known as"),
            (delegate(store, clock, ANA, BOB, until=now + 1), "Nobody is known as"),
            (delegate(store, clock, ANA, "Ana@company.com", until=now + 1), "cannot stand in for themselves"),
            (delegate(store, clock, ANA, EVE, until=now + 1), f"{EVE} is disabled. `assent users enable"),
            (delegate(store, clock, EVE, ANA, until=now + 1), f"{EVE} is disabled"),
            (delegate(store, clock, ANA, DAN, until=now), "in the future"),
            (delegate(store, clock, ANA, DAN, until=now - 1), "in the future"),
            (delegate(store, clock, ANA, DAN, since=now - 5, until=now - 1), "in the future"),
            (delegate(store, clock, ANA, DAN, since=now + 5, until=now + 5), "never hold"),
            (delegate(store, clock, ANA, DAN, until=float("inf")), "never end"),
            (delegate(store, clock, ANA, DAN, until=float("nan")), "never hold"),
            (end_delegation(store, clock, "none"), "`assent users list`"),
        ]:
            with pytest.raises(UsageError, match=message):
                await call
        assert not await store.delegations()

"""Points add up exactly, and a higher number is never in a lower tier."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import UsageError
from assent.governance import Action, Facts
from assent.policies import Criterion, Dynamic, Finding, Matches, Score, Threshold, Tiers
from assent.policies.measures import MISSING, Reading

NOW = Facts(now=1000.0)
LARGE = Threshold("amount", above=10_000)
ABROAD = Matches("country", one_of=["US", "CH"])
KNOWN = Dynamic(lambda action: action.recipient == "acme", label="a known recipient")


async def read(score: Score, **arguments: Any) -> Reading:
    reading = score.read(Action(name="wire", arguments=arguments), NOW)
    return reading if isinstance(reading, Reading) else await reading


async def test_what_is_met_adds_its_points() -> None:
    score = Score([(LARGE, 40), (ABROAD, "0.5"), (KNOWN, -15)], base=10)
    assert (await read(score, amount=5, country="DE", recipient="new")).value == 10
    assert (await read(score, amount=50_000, country="US", recipient="new")).value == Decimal("50.5")
    reading = await read(score, amount=50_000, country="DE", recipient="acme")
    assert reading.value == 35
    assert reading.facts == {
        "arguments": {"amount": 50_000, "country": "DE"},
        "a known recipient": True,
        "score": 35,
        "points": ["+40 amount is over 10,000", "-15 a known recipient holds"],
    }


async def test_without_one_of_its_values_there_is_no_score() -> None:
    reading = await read(Score([(LARGE, 40), (ABROAD, 30)]), country="US")
    assert reading.value is MISSING
    assert reading.facts["unknown"] == ["there is no amount"]


async def test_one_criterion_may_take_its_time() -> None:
    async def later(action: Action) -> bool:
        await asyncio.sleep(0)
        return True

    assert (await read(Score([(LARGE, 1), (Dynamic(later), 2), (LARGE, 4)]), amount=50_000)).value == 7


@pytest.mark.parametrize(
    "points",
    [[], [(LARGE, "many")], [(LARGE, True)], [LARGE], [(LARGE, 1, 2)], [("large", 1)], {LARGE: 1}, "ab", None],
)
def test_points_that_make_no_sense_are_refused(points: Any) -> None:
    with pytest.raises(UsageError):
        Score(points)


@pytest.mark.parametrize("tiers", [{}, [0, 1], None, {"low": 1}, {1: "a", "1.0": "b"}, {float("nan"): "a"}])
def test_tiers_that_make_no_sense_are_refused(tiers: Any) -> None:
    with pytest.raises(UsageError):
        Tiers(tiers)


def test_a_tier_holds_from_its_number_on() -> None:
    tiers = Tiers({"10": "middle", 0: "low", Decimal("99.5"): "high"})
    numbers = ("-0.01", "0", "9.99", "10", "99.49", "99.5", "1e6")
    places = [tiers.place_of(Decimal(number)) for number in numbers]
    assert places == [-1, 0, 0, 1, 1, 2, 2]
    assert [tiers.at(place) for place in (0, 1, 2)] == [(0, "low"), (10, "middle"), (Decimal("99.5"), "high")]


numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000)
bounds = st.lists(numbers, min_size=1, max_size=6, unique=True)


@given(bounds, numbers, numbers)
def test_a_higher_number_is_never_in_a_lower_tier(given_bounds: list[Decimal], one: Decimal, other: Decimal) -> None:
    tiers = Tiers({bound: str(bound) for bound in given_bounds})
    lower, higher = sorted([one, other])
    assert tiers.place_of(lower) <= tiers.place_of(higher)


class Fixed(Criterion):
    def __init__(self, met: bool) -> None:
        self.met = met

    def meets(self, action: Action, facts: Facts) -> Finding:
        return Finding(self.met)


weights = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=100)


@given(st.lists(st.tuples(st.booleans(), weights), min_size=1, max_size=6), st.data(), bounds)
def test_one_more_thing_that_speaks_against_it_never_lowers_the_tier(
    points: list[tuple[bool, Decimal]], data: st.DataObject, given_bounds: list[Decimal]
) -> None:
    place = data.draw(st.integers(min_value=0, max_value=len(points) - 1))
    more = [(met or at == place, weight) for at, (met, weight) in enumerate(points)]
    tiers = Tiers(dict.fromkeys(given_bounds, ""))

    async def place_of(rows: list[tuple[bool, Decimal]]) -> int:
        reading = await read(Score([(Fixed(met), weight) for met, weight in rows]))
        return tiers.place_of(reading.value)

    assert asyncio.run(place_of(points)) <= asyncio.run(place_of(more))
    assert asyncio.run(place_of(points)) == asyncio.run(place_of(points[::-1]))

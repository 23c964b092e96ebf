"""Points for what speaks for or against an action, and tiers of a number."""

from bisect import bisect_right
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from assent.errors import UsageError
from assent.governance import Action, Facts
from assent.policies.criteria import Criterion, Finding, criteria_of, findings, merged
from assent.policies.measures import MISSING, Amount, Measure, Reading, amount_of

T = TypeVar("T")


@dataclass(frozen=True)
class Score(Measure):
    """Points that add up: for each criterion that is met its own, on top of `base`. Points may be negative.

    `Score([(Environment("production"), 40), (Threshold("amount", above=10_000), 30)])`. If one of the criteria cannot
    tell, there is no score.
    """

    points: Sequence[tuple[Criterion, Amount]]
    _: KW_ONLY
    base: Amount = 0
    label: str = "score"
    _criteria: tuple[Criterion, ...] = field(init=False, repr=False, compare=False)
    _worth: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)
    _base: Decimal = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pairs = _pairs_of(self.points)
        criteria = criteria_of("Score", [criterion for criterion, _ in pairs])
        worth = tuple(amount_of("points", points) for _, points in pairs)
        base = amount_of("base", self.base)
        settled = {"points": tuple(zip(criteria, worth, strict=True)), "base": base}
        for name, value in {**settled, "_criteria": criteria, "_worth": worth, "_base": base}.items():
            object.__setattr__(self, name, value)

    def read(self, action: Action, facts: Facts) -> Reading | Awaitable[Reading]:
        found = findings(self._criteria, action, facts)
        return self._later(found) if isinstance(found, Awaitable) else self._total(found)

    async def _later(self, waiting: Awaitable[list[Finding]]) -> Reading:
        return self._total(await waiting)

    def _total(self, found: Sequence[Finding]) -> Reading:
        seen = merged(one.facts for one in found)
        unknown = [one.reason for one in found if one.met is None]
        if unknown:
            return Reading(MISSING, {**seen, self.label: None, "unknown": unknown})
        given = [(one.reason, points) for one, points in zip(found, self._worth, strict=True) if one.met]
        total = sum((points for _, points in given), self._base)
        return Reading(
            total, {**seen, self.label: total, "points": [f"{points:+} {reason}" for reason, points in given]}
        )


def _pairs_of(given: object) -> list[tuple[Any, Any]]:
    pairs = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else []
    if not pairs or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise UsageError(f"{given!r} are no points. Give pairs: Score([(Environment('production'), 40), ...]).")
    return [(criterion, points) for criterion, points in pairs]


@dataclass(frozen=True)
class Tiers(Generic[T]):
    """What holds from which number on: each key is the least number of its tier.

    A higher number is never in a lower tier. A number below them all is in none.
    """

    tiers: Mapping[Amount, T]
    _bounds: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)
    _held: tuple[T, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given: object = self.tiers  # user code need not keep to its types
        if not isinstance(given, Mapping) or not given:
            raise UsageError(f"tiers={given!r} holds no tiers. Give what holds from which number on: {{0: ...}}.")
        pairs = sorted(((amount_of("tier", bound), held) for bound, held in self.tiers.items()), key=lambda one: one[0])
        bounds = tuple(bound for bound, _ in pairs)
        if len(set(bounds)) < len(bounds):
            raise UsageError(f"tiers={list(self.tiers)} has one number twice. Give each tier a number of its own.")
        object.__setattr__(self, "tiers", MappingProxyType(dict(pairs)))
        object.__setattr__(self, "_bounds", bounds)
        object.__setattr__(self, "_held", tuple(held for _, held in pairs))

    def place_of(self, number: Decimal) -> int:
        """The place of the number's tier, from 0; -1 if it is below them all."""
        return bisect_right(self._bounds, number) - 1

    def at(self, place: int) -> tuple[Decimal, T]:
        """The least number of a tier, and what holds in it."""
        return self._bounds[place], self._held[place]

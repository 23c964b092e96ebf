"""What a criterion is, and how several become one."""

import typing
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

from assent.errors import UsageError
from assent.governance import Action, Facts
from assent.governance.action import nothing


@dataclass(frozen=True, slots=True)
class Finding:
    """What a criterion found: whether it is met, what it saw, and what is the case, in words without values.

    `met` is None when it cannot be told, since a value is missing or is none that can be compared. A policy that
    depends on it denies then. A finding is true only if it is met.
    """

    met: bool | None
    facts: Mapping[str, typing.Any] = field(default_factory=nothing)  # JSON-like, by root and name of each value
    reason: str = ""

    def __bool__(self) -> bool:
        return self.met is True


class Criterion(ABC):
    """A question about an action that is answered yes or no. Write your own as a frozen dataclass with a `meets`.

    It keeps no state, and says the same of the same action and facts; the time is `facts.now`. Whatever it raises is a
    denial. Criteria combine: `one & other`, `one | other`, `~one`.
    """

    @abstractmethod
    def meets(self, action: Action, facts: Facts) -> Finding | Awaitable[Finding]:
        """Whether the action meets it."""

    def __and__(self, other: "Criterion") -> "All":
        return All([*_members(self, All), *_members(other, All)])

    def __or__(self, other: "Criterion") -> "Any":
        return Any([*_members(self, Any), *_members(other, Any)])

    def __invert__(self) -> "Criterion":
        return Not(self)


@dataclass(frozen=True)
class All(Criterion):
    """Every one of the criteria is met.

    One that is not met settles it, also beside one that cannot be told. All are asked, so that the record is complete
    and their order means nothing.
    """

    criteria: Sequence[Criterion]

    def __post_init__(self) -> None:
        object.__setattr__(self, "criteria", criteria_of("All", self.criteria))

    def meets(self, action: Action, facts: Facts) -> Finding | Awaitable[Finding]:
        return combined(self.criteria, action, facts, settled_by=False)


@dataclass(frozen=True)
class Any(Criterion):
    """At least one of the criteria is met.

    One that is met settles it, also beside one that cannot be told. All are asked, so that the record is complete and
    their order means nothing.
    """

    criteria: Sequence[Criterion]

    def __post_init__(self) -> None:
        object.__setattr__(self, "criteria", criteria_of("Any", self.criteria))

    def meets(self, action: Action, facts: Facts) -> Finding | Awaitable[Finding]:
        return combined(self.criteria, action, facts, settled_by=True)


@dataclass(frozen=True)
class Not(Criterion):
    """The criterion is not met. What cannot be told of it cannot be told of its opposite."""

    criterion: Criterion

    def __post_init__(self) -> None:
        criteria_of("Not", [self.criterion])

    def meets(self, action: Action, facts: Facts) -> Finding | Awaitable[Finding]:
        found = self.criterion.meets(action, facts)
        return self._later(found) if isinstance(found, Awaitable) else _opposite(settled(self.criterion, found))

    async def _later(self, waiting: Awaitable[Finding]) -> Finding:
        return _opposite(settled(self.criterion, await waiting))

    def __invert__(self) -> Criterion:
        return self.criterion


def _opposite(found: Finding) -> Finding:
    return Finding(None if found.met is None else not found.met, found.facts, found.reason)


def _members(one: Criterion, kind: type[All] | type[Any]) -> Sequence[Criterion]:
    """Those of a criterion of the same kind, so that `a & b & c` is one row."""
    if isinstance(one, All | Any) and isinstance(one, kind):
        return one.criteria
    return (one,)


def criteria_of(what: str, given: object) -> tuple[Criterion, ...]:
    """What was given as several criteria. Raises UsageError if there is none, or something else among them."""
    if isinstance(given, Criterion) or not isinstance(given, Sequence):
        raise UsageError(f"{what} takes a list of criteria, as in {what}([Environment('production'), ...]).")
    for one in given:
        if not isinstance(one, Criterion):
            raise UsageError(
                f"{what} holds {one!r}, which is no criterion. Give Threshold(...), Matches(...) and the like, or "
                "make a function one with Dynamic(function)."
            )
    if not given:
        raise UsageError(f"{what} holds no criteria, so there is nothing to meet. Give at least one.")
    return tuple(given)


def settled(criterion: Criterion, found: object) -> Finding:
    """What a criterion returned, which must be a finding."""
    if isinstance(found, Finding):
        return found
    raise UsageError(f"{type(criterion).__name__}.meets() returned {type(found).__name__}. Return a Finding.")


def findings(criteria: Sequence[Criterion], action: Action, facts: Facts) -> list[Finding] | Awaitable[list[Finding]]:
    """What each of the criteria finds, in their order; awaitable only if one of them is."""
    found: list[Finding] = []
    for place, one in enumerate(criteria):
        answer = one.meets(action, facts)
        if isinstance(answer, Awaitable):
            return _with_the_rest(found, answer, criteria[place:], action, facts)
        found.append(settled(one, answer))
    return found


async def _with_the_rest(
    found: list[Finding], waiting: Awaitable[object], criteria: Sequence[Criterion], action: Action, facts: Facts
) -> list[Finding]:
    first, *rest = criteria
    return [*found, settled(first, await waiting), *[await finding_of(one, action, facts) for one in rest]]


async def finding_of(criterion: Criterion, action: Action, facts: Facts) -> Finding:
    """What a criterion finds, whether it is async or not."""
    found = criterion.meets(action, facts)
    return settled(criterion, await found if isinstance(found, Awaitable) else found)


def combined(
    criteria: Sequence[Criterion], action: Action, facts: Facts, *, settled_by: bool
) -> Finding | Awaitable[Finding]:
    """One finding of several, where one that says `settled_by` settles it, and else one that cannot tell."""
    found = findings(criteria, action, facts)
    if isinstance(found, Awaitable):
        return _combined_later(found, settled_by)
    return _together(found, settled_by)


async def _combined_later(waiting: Awaitable[list[Finding]], settled_by: bool) -> Finding:
    return _together(await waiting, settled_by)


def _together(found: Sequence[Finding], settled_by: bool) -> Finding:
    said = {one.met for one in found}
    met = settled_by if settled_by in said else None if None in said else not settled_by
    reasons = dict.fromkeys(one.reason for one in found if one.met is met and one.reason)
    return Finding(met, merged(one.facts for one in found), " and ".join(reasons))


def merged(several: typing.Iterable[Mapping[str, typing.Any]]) -> dict[str, typing.Any]:
    """The facts of several findings as one, at every depth."""
    facts: dict[str, typing.Any] = {}
    for one in several:
        for key, value in one.items():
            known = facts.get(key)
            facts[key] = merged([known, value]) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return facts

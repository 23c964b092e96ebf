"""Criteria about what an action says: its amounts, its other values, where it happens, how risky it is."""

import operator
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from assent.errors import UsageError
from assent.governance import Action, Facts
from assent.governance.action import names_of
from assent.policies.criteria import Criterion, Finding
from assent.policies.measures import (
    MISSING,
    Amount,
    Attribute,
    Measure,
    Reading,
    Root,
    amount_of,
    asking,
    called,
    measure_of,
    number_of,
)

BOUNDS: Final[Mapping[str, tuple[str, Callable[[Decimal, Decimal], bool]]]] = {
    "above": ("over", operator.gt),
    "at_least": ("at least", operator.ge),
    "below": ("under", operator.lt),
    "at_most": ("at most", operator.le),
}


@dataclass(frozen=True)
class Threshold(Criterion):
    """A number is on the right side of its bounds: `above`, `at_least`, `below`, `at_most`, or two of them.

    `value` is the path of an argument (or of something else, see `of`), or a function or `Score` that gives it; a
    function gets the action, or action and facts, and may be async. Numbers are compared exactly. `missing` is
    what is said when there is no value; None: it cannot be told. What is no number never can.
    """

    value: str | Measure | Callable[..., Any]
    _: KW_ONLY
    above: Amount | None = None
    at_least: Amount | None = None
    below: Amount | None = None
    at_most: Amount | None = None
    of: Root = "arguments"
    missing: bool | None = None
    _measure: Measure = field(init=False, repr=False, compare=False)
    _bounds: tuple[tuple[Callable[[Decimal, Decimal], bool], Decimal], ...] = field(
        init=False, repr=False, compare=False
    )
    _wanted: str = field(init=False, repr=False, compare=False)  # the bounds in words

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in BOUNDS if getattr(self, name) is not None}
        if not given:
            raise UsageError(f"{type(self).__name__} has no bound. Give above=, at_least=, below= or at_most=.")
        amounts = {name: amount_of(name, bound) for name, bound in given.items()}
        settled = {
            **amounts,
            "_measure": measure_of(self.value, self.of, self._label),
            "_bounds": tuple((BOUNDS[name][1], bound) for name, bound in amounts.items()),
            "_wanted": " and ".join(f"{BOUNDS[name][0]} {bound:,}" for name, bound in amounts.items()),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    @property
    def _label(self) -> str:
        return ""

    def meets(self, action: Action, facts: Facts) -> Finding | Awaitable[Finding]:
        return judged(self._measure.read(action, facts), self._judge)

    def _judge(self, reading: Reading) -> Finding:
        label = self._measure.label
        if reading.value is MISSING:
            return Finding(self.missing, reading.facts, f"there is no {label}")
        number = number_of(reading.value)
        if number is None:
            return Finding(None, reading.facts, f"{label} is no number")
        met = all(is_within(number, bound) for is_within, bound in self._bounds)
        return Finding(met, reading.facts, f"{label} is {'' if met else 'not '}{self._wanted}")


@dataclass(frozen=True)
class RiskScore(Threshold):
    """The risk that a function or a `Score` works out is on the right side of its bounds, as for a `Threshold`."""

    @property
    def _label(self) -> str:
        return "risk score"


@dataclass(frozen=True)
class Matches(Criterion):
    """A value is as it should be. Give one of `equals`, `one_of`, `pattern` and `contains`.

    `pattern` is a regular expression for the whole text; `contains` is for a collection, as in
    `Matches("roles", contains="treasurer", of="requester")`. Numbers are compared exactly, so 5 is "5.00".
    `missing` is what is said when there is no value; None: it cannot be told.
    """

    path: str
    _: KW_ONLY
    equals: Any = None
    one_of: Collection[Any] | None = None
    pattern: str | re.Pattern[str] | None = None
    contains: Any = None
    of: Root = "arguments"
    missing: bool | None = None
    _attribute: Attribute = field(init=False, repr=False, compare=False)
    _wanted: str = field(init=False, repr=False, compare=False)  # what it should be, in words

    def __post_init__(self) -> None:
        given = [name for name in ("equals", "one_of", "pattern", "contains") if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                f"Matches takes one of equals=, one_of=, pattern= and contains=, and has {given or 'none'}."
            )
        one_of = None if self.one_of is None else _choices(self.one_of)
        pattern = None if self.pattern is None else _compiled(self.pattern)
        settled = {"one_of": one_of, "pattern": pattern, "_attribute": Attribute(self.path, self.of)}
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_wanted", self._in_words())

    def _in_words(self) -> str:
        if isinstance(self.pattern, re.Pattern):
            return f"like {self.pattern.pattern}"
        if self.one_of is not None:
            told = ", ".join(map(str, self.one_of))
            return f"one of {told}" if len(self.one_of) > 1 else told
        return f"a collection with {self.contains}" if self.equals is None else str(self.equals)

    def meets(self, action: Action, facts: Facts) -> Finding:
        label, reading = self._attribute.label, self._attribute.read(action, facts)
        if reading.value is MISSING:
            return Finding(self.missing, reading.facts, f"there is no {label}")
        met = self._fits(reading.value)
        if met is None:
            return Finding(None, reading.facts, f"{label} is nothing that could be {self._wanted}")
        return Finding(met, reading.facts, f"{label} is {'' if met else 'not '}{self._wanted}")

    def _fits(self, value: Any) -> bool | None:
        if isinstance(self.pattern, re.Pattern):
            text = value.value if isinstance(value, Enum) else value
            return bool(self.pattern.fullmatch(text)) if isinstance(text, str) else None
        if self.one_of is not None:
            return any(_is_same(value, one) for one in self.one_of)
        return _holds(value, self.contains) if self.equals is None else _is_same(value, self.equals)


def _choices(given: object) -> tuple[Any, ...]:
    if isinstance(given, str | bytes) or not isinstance(given, Collection) or not given:
        raise UsageError(f'one_of={given!r} is no list of values. Give one, as in one_of=["EUR", "USD"].')
    # The order of a set is another in every process, and the fingerprint must not be.
    return tuple(sorted(given, key=repr)) if isinstance(given, AbstractSet) else tuple(given)


def _compiled(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(f"pattern={pattern!r} is no regular expression: {error}.") from error


def _is_same(value: Any, wanted: Any) -> bool:
    value, wanted = (one.value if isinstance(one, Enum) else one for one in (value, wanted))
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    number = number_of(wanted) if not isinstance(wanted, str) else None
    return bool(value == wanted) if number is None else number_of(value) == number


def _holds(value: Any, wanted: Any) -> bool | None:
    if isinstance(value, str | bytes) or not isinstance(value, Collection):
        return None
    return any(_is_same(one, wanted) for one in value)


@dataclass(frozen=True)
class Environment(Criterion):
    """It happens in one of these environments, as in `Environment("production")`.

    That is what `Runtime(environment={"name": "production"})` says, or its entry `key`. `missing` is what is said when
    there is none, as in a call without a runtime; None: it cannot be told.
    """

    names: str | Collection[str]
    _: KW_ONLY
    key: str = "name"
    missing: bool | None = None
    _matches: Matches = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(sorted(names_of("names", [self.names] if isinstance(self.names, str) else self.names)))
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "_matches", Matches(self.key, one_of=names, of="environment", missing=self.missing))

    def meets(self, action: Action, facts: Facts) -> Finding:
        return self._matches.meets(action, facts)


@dataclass(frozen=True)
class Dynamic(Criterion):
    """A function says so: it gets the action, or action and facts, returns True or False, and may be async.

    None from it means that it cannot tell. A `Finding` from it also says what it saw. `label` is what people call it.
    """

    rule: Callable[..., Any]
    label: str = ""
    _asked: Callable[[Action, Facts], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_asked", asking(self.rule))
        object.__setattr__(self, "label", self.label or called(self.rule))

    def meets(self, action: Action, facts: Facts) -> Finding | Awaitable[Finding]:
        answer = self._asked(action, facts)
        return self._later(answer) if isinstance(answer, Awaitable) else self._judge(answer)

    async def _later(self, waiting: Awaitable[Any]) -> Finding:
        return self._judge(await waiting)

    def _judge(self, answer: object) -> Finding:
        match answer:
            case Finding():
                return answer
            case bool():
                return Finding(answer, {self.label: answer}, f"{self.label} {'holds' if answer else 'does not hold'}")
            case None:
                return Finding(None, {self.label: None}, f"{self.label} cannot tell")
            case _:
                raise UsageError(f"{self.label} returned {type(answer).__name__}. Return True, False or a Finding.")


def judged(reading: Reading | Awaitable[Reading], judge: Callable[[Reading], Finding]) -> Finding | Awaitable[Finding]:
    """The finding on a reading, after awaiting it if it is async."""
    return _judged_later(reading, judge) if isinstance(reading, Awaitable) else judge(reading)


async def _judged_later(waiting: Awaitable[Reading], judge: Callable[[Reading], Finding]) -> Finding:
    return judge(await waiting)

"""Where the values come from that criteria look at, and how amounts are compared."""

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from assent.errors import UsageError
from assent.governance import Action, Facts
from assent.governance.action import nothing
from assent.governance.fingerprint import name_of

Root = Literal["arguments", "context", "requester", "environment", "action"]
"""Where a value is looked up: in the arguments, the context, the requester, the runtime's environment, the action."""

Amount = Decimal | int | float | str
"""A number as people write it. Floats stand for their shortest text, so 0.1 is a tenth."""

MISSING: Final = object()
SCALARS: Final = (str, bytes, int, float, complex, Decimal, date, time, timedelta, type(None))
OF_ACTION: Final = ("name", "labels", "risk")
NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)


def number_of(value: object) -> Decimal | None:
    """A value as an exact number; None if it is none. Texts that are numbers count, as JSON writes decimals."""
    match value:
        case bool():
            return None
        case Decimal():
            return value if value.is_finite() else None
        case int():
            return Decimal(value)
        case float() | str():
            text = repr(value) if isinstance(value, float) else value.strip()
            return Decimal(text) if NUMBER.fullmatch(text) else None
        case _:
            return None


def amount_of(what: str, given: object) -> Decimal:
    """A number that somebody has configured. Raises UsageError if it is none."""
    number = number_of(given)
    if number is None:
        raise UsageError(f"{what}={given!r} is no number. Give an int, a Decimal or a text, as in {what}=10_000.")
    return number


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that was looked up or worked out; `value` is MISSING if there is none."""

    value: Any
    facts: Mapping[str, Any] = field(default_factory=nothing)


class Measure(ABC):
    """Where a criterion gets its value. `label` is what people call it."""

    label: str

    @abstractmethod
    def read(self, action: Action, facts: Facts) -> Reading | Awaitable[Reading]:
        """The value for this action."""


@dataclass(frozen=True)
class Attribute(Measure):
    """A value by its dotted path, as in `order.total` or `lines.0.price`. None counts as missing."""

    path: str
    of: Root = "arguments"
    label: str = field(init=False, compare=False)
    _parts: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.of not in get_args(Root):
            raise UsageError(f"of={self.of!r} is unknown. Give one of {', '.join(get_args(Root))}.")
        parts = tuple(self.path.split("."))
        if not all(part and not part.startswith("_") for part in parts):
            raise UsageError(f"{self.path!r} is no path to a value. Give names with dots between, as in 'order.total'.")
        if self.of == "action" and parts[0] not in OF_ACTION:
            raise UsageError(f"An action has no {parts[0]!r} to look at. Give one of {', '.join(OF_ACTION)}.")
        object.__setattr__(self, "_parts", parts)
        object.__setattr__(self, "label", self.path if self.of == "arguments" else f"{self.of}.{self.path}")

    def read(self, action: Action, facts: Facts) -> Reading:
        value: Any = _root(self.of, action, facts)
        for part in self._parts:
            value = _part_of(value, part)
        return Reading(MISSING if value is None else value, self._seen(value))

    def _seen(self, value: Any) -> dict[str, Any]:
        """The value under the names that lead to it, so that it is redacted wherever one of them is."""
        seen = None if value is MISSING else value
        for part in reversed(self._parts):
            seen = {part: seen}
        return {self.of: seen}


def _root(of: Root, action: Action, facts: Facts) -> Any:
    match of:
        case "arguments":
            return action.arguments
        case "context":
            return action.context
        case "requester":
            return action.requester
        case "environment":
            return facts.environment
        case "action":
            return {name: getattr(action, name) for name in OF_ACTION}


def _part_of(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part, MISSING)
    if value is MISSING or isinstance(value, SCALARS):
        return MISSING
    if isinstance(value, Sequence):
        return value[int(part)] if part.isdecimal() and int(part) < len(value) else MISSING
    return getattr(value, part, MISSING)


@dataclass(frozen=True)
class Calculated(Measure):
    """A value that a function works out, from the action or from action and facts; it may be async."""

    function: Callable[..., Any]
    label: str = ""
    _asked: Callable[[Action, Facts], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_asked", asking(self.function))
        object.__setattr__(self, "label", self.label or called(self.function))

    def read(self, action: Action, facts: Facts) -> Reading | Awaitable[Reading]:
        answer = self._asked(action, facts)
        return self._later(answer) if inspect.isawaitable(answer) else self._reading(answer)

    async def _later(self, waiting: Awaitable[Any]) -> Reading:
        return self._reading(await waiting)

    def _reading(self, value: Any) -> Reading:
        return Reading(MISSING, {self.label: None}) if value is None else Reading(value, {self.label: value})


def asking(function: Callable[..., Any]) -> Callable[[Action, Facts], Any]:
    """The function as one of action and facts, although it may want the action only."""
    if not callable(function):
        raise UsageError(f"{function!r} cannot be called. Give a function of the action, or of action and facts.")
    wanted = _wanted(function)
    if wanted not in {1, 2}:
        raise UsageError(f"{called(function)} wants {wanted} arguments. It is given the action, or action and facts.")
    return function if wanted == 2 else lambda action, _: function(action)


def _wanted(function: Callable[..., Any]) -> int:
    """How many arguments the function cannot do without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a built-in without a signature
        return 1
    required = [one for one in parameters if one.default is one.empty]
    positional = [one for one in required if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
    takes_any = any(one.kind is one.VAR_POSITIONAL for one in required)
    return len(positional) or int(takes_any or len(parameters) > 0)


def called(function: Callable[..., Any]) -> str:
    """What a function is called, for people."""
    name = name_of(function).rpartition(":")[2].rpartition("<locals>.")[2]
    return name if name.isidentifier() else "a rule"


def measure_of(given: "str | Measure | Callable[..., Any]", of: Root = "arguments", label: str = "") -> Measure:
    """A path, a function, or what is a measure already."""
    if isinstance(given, Measure):
        return given
    return Attribute(given, of) if isinstance(given, str) else Calculated(given, label)

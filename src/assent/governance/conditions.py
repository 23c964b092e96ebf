"""Conditions on the arguments of an action, as in "amount <= 20000": read from text, and held against JSON."""

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Self

from assent.errors import UsageError
from assent.governance.redaction import REDACTED

TEXT: Final = re.compile(
    r"\s*(?P<path>[^\W\d]\w*(?:\.\w+)*)\s*(?P<op><=|>=|==|!=|<|>|\bin\b)\s*(?P<value>.*\S)\s*", re.DOTALL
)
# Decimal itself would also take " 1_0 ", other scripts' digits, NaN and the infinities.
NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")

ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
MISSING: Final = object()
INCOMPARABLE: Final = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """What an argument must be: `PATH OP VALUE`.

    PATH names an argument, and with dots what is inside it; VALUE is JSON. Numbers are compared exactly, also with
    numeric texts (a Decimal is a text in JSON); `<` and its like order numbers, dates and times. What is missing,
    redacted or cannot be compared does not hold, whatever the operator.
    """

    argument: str  # with dots for a part of it
    op: str
    value: Any  # JSON data, its numbers as Decimal

    @classmethod
    def parse(cls, text: str) -> Self:
        """The condition that a text states. Raises UsageError."""
        found = TEXT.fullmatch(text)
        if found is None:
            raise _malformed(text, "it is not of the form PATH OP VALUE")
        condition = cls(found["path"], found["op"], _value_of(text, found["value"]))
        _check(text, condition)
        return condition

    def holds(self, arguments: Mapping[str, Any]) -> bool:
        """Whether arguments (JSON data) satisfy it."""
        found = _lookup(arguments, self.argument)
        if found is MISSING or found == REDACTED:
            return False
        if self.op == "in":
            return any(_is_same(found, one) for one in self.value)
        if self.op in ORDERS:
            left, right = _ordered(found, self.value)
            return left is not INCOMPARABLE and ORDERS[self.op](left, right)
        same = _is_same(found, self.value)
        return same is (self.op == "==") and (same or _is_comparable(found, self.value))

    def to_text(self) -> str:
        """The condition as text, which `parse` reads again."""
        return f"{self.argument} {self.op} {_written(self.value)}"


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(
        f"The condition {text!r} cannot be read: {why}. Write PATH OP VALUE with one of < <= > >= == != in, and "
        f'the value as JSON: "amount <= 20000", "currency == \\"EUR\\"", "supplier in [\\"acme\\", \\"globex\\"]".'
    )


def _value_of(text: str, value: str) -> Any:
    try:
        return json.loads(value, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise _malformed(text, f"{value!r} is no JSON") from error


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _check(text: str, condition: Condition) -> None:
    value = condition.value
    parts = value if isinstance(value, list) else [value]
    if isinstance(value, list) != (condition.op == "in"):
        raise _malformed(text, '"in" goes with a list, and a list with "in"')
    if any(isinstance(one, list | dict) for one in parts):
        raise _malformed(text, "it compares with texts, numbers, true, false and null only")
    if condition.op in ORDERS and not isinstance(value, Decimal) and _moment(value) is None:
        raise _malformed(text, f"{condition.op} orders numbers (without quotes), dates and times only")


def _lookup(data: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(data, Mapping):
            data = data.get(name, MISSING)
        elif isinstance(data, list) and name.isascii() and name.isdigit() and int(name) < len(data):
            data = data[int(name)]
        else:
            return MISSING
    return data


def _number(data: Any) -> Decimal | None:
    """A number of JSON, or a text that is one."""
    match data:
        case bool():
            return None
        case Decimal() | int():
            return Decimal(data)
        case float() | str():
            text = repr(data) if isinstance(data, float) else data
            return Decimal(text) if NUMBER.fullmatch(text) else None
        case _:
            return None


def _moment(data: Any) -> datetime | None:
    """A date or a time of ISO 8601; a date is its first moment."""
    if not isinstance(data, str) or NUMBER.fullmatch(data):
        return None
    try:
        return datetime.fromisoformat(data) if len(data) > len("2026-01-01") else _midnight(date.fromisoformat(data))
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a date has no time zone


def _ordered(found: Any, value: Any) -> tuple[Any, Any]:
    """Both sides in a form that can be ordered."""
    left: Any = _number(found) if isinstance(value, Decimal) else _moment(found)
    right: Any = value if isinstance(value, Decimal) else _moment(value)
    if left is None:
        return INCOMPARABLE, right
    # A time with a zone and one without cannot be ordered.
    if isinstance(left, datetime) and (left.tzinfo is None) != (right.tzinfo is None):
        return INCOMPARABLE, right
    return left, right


def _is_same(found: Any, value: Any) -> bool:
    if isinstance(value, Decimal):
        return _number(found) == value
    return type(found) is type(value) and bool(found == value)


def _is_comparable(found: Any, value: Any) -> bool:
    """Whether two values that differ are at least of one kind, so that the difference means something."""
    if value is None or found is None:
        return True
    return _number(found) is not None if isinstance(value, Decimal) else type(found) is type(value)


def _written(value: Any) -> str:
    match value:
        case Decimal():
            return str(value)
        case list():
            return f"[{', '.join(map(_written, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)

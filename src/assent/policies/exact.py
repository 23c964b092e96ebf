"""What operators and functions of CEL do here: numbers are exact, and texts that are numbers count as numbers.

The CEL library knows 64-bit integers and floats only, and turns other numbers into floats before anybody can object. So
exact numbers travel through it as bytes, which no expression can hold otherwise and which none of its own operators
takes; whatever may touch a number is done by the functions of this module.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from assent.clock import seconds
from assent.errors import UsageError

Number = int | Decimal | Fraction

NUMERIC: Final = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)
MAX_DIGITS: Final = 400  # of a number, before or after the point: far beyond any amount, and quick to work with
MAX_VALUES: Final = 20_000  # of one argument; about 20 ms of work
MAX_DEPTH: Final = 40
LARGEST: Final = 2**63 - 1
# Room for the product of two of the longest numbers; what does not fit is refused and not rounded.
EXACT: Final = Context(prec=4 * MAX_DIGITS, traps=[DivisionByZero, Inexact, InvalidOperation, Overflow])


def carried(value: Any) -> Any:
    """A value as the CEL library may have it. Raises UsageError for what no expression can use."""
    return _Carrier().carry(value, 0)


class _Carrier:
    """Counts the values of one argument, so that a huge one is refused and not worked through."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def carry(self, value: Any, depth: int) -> Any:
        self.count += 1
        if self.count > MAX_VALUES or depth > MAX_DEPTH:
            raise UsageError("it is too large for an expression; compare a part of it")
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        if kind is int or kind is Decimal or kind is float:
            return carried_number(value)
        if kind is list or kind is tuple:
            return [self.carry(one, depth + 1) for one in value]
        if kind is frozenset or kind is set:
            return self._carry_set(value, depth + 1)
        return self._carry_other(value, depth + 1)

    def _carry_set(self, value: Iterable[Any], depth: int) -> list[Any]:
        # A set has an order of its own in every process.
        return sorted((self.carry(one, depth) for one in value), key=repr)

    def _carry_other(self, value: Any, depth: int) -> Any:
        match value:
            case Enum():
                return self.carry(value.value, depth)
            case bool() | str() | timedelta():
                return value
            case int() | float() | Decimal() | Fraction():
                return carried_number(value)
            case datetime():
                return _aware(value)
            case date() | UUID() | PurePath():
                return str(value)
            case Mapping():
                return {_key(key): self.carry(one, depth) for key, one in value.items()}
            case list() | tuple():
                return [self.carry(one, depth) for one in value]
            case AbstractSet():
                return self._carry_set(value, depth)
            case _:
                return {name: self.carry(one, depth) for name, one in members(value).items()}


def _key(key: Any) -> str:
    if isinstance(key, Enum):
        key = key.value
    if not isinstance(key, str):
        raise UsageError(f"it has a key that is no text: {key!r}")
    return key


def members(value: Any) -> dict[str, Any]:
    """What an object has under which names. Raises UsageError for one that does not say."""
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    raise UsageError(f"it is {type(value).__name__}, which expressions cannot look into")


def carried_number(value: Number | float) -> int | bytes:
    """A number for the way through CEL: an int as it is, if that knows it, and anything else as bytes."""
    if isinstance(value, int) and -LARGEST <= value <= LARGEST:
        return int(value)
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal) and (not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS):
        raise UsageError("it is no number to work with")
    if not isinstance(value, Decimal) and _bits(value) > 4 * MAX_DIGITS:
        raise UsageError("it is a number too long to work with")
    text = str(value).encode()
    if len(text) > 3 * MAX_DIGITS:
        raise UsageError("it is a number too long to work with")
    return text


def _bits(value: int | Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def number(value: Any) -> Number | None:
    """The number that a value of CEL is; None if it is none. A text counts if it is written as a number."""
    if isinstance(value, bytes):
        text = value.decode()
        return Fraction(text) if "/" in text else Decimal(text)
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    if isinstance(value, str) and NUMERIC.fullmatch(value) and len(value) <= MAX_DIGITS:
        return Decimal(value)
    return None


def plain(value: Any) -> Any:
    """What came out of CEL, with numbers as numbers again."""
    if isinstance(value, bytes):
        return number(value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise UsageError("it is a time without a zone, and nobody knows which moment that is")
    return moment.astimezone(UTC)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return _aware(value)
    if not isinstance(value, str):
        return None
    try:
        return _aware(datetime.fromisoformat(value))
    except ValueError:
        return None


def _called(value: Any) -> str:
    """What kind of thing a value is, in words; never the value, which may be secret."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | bytes():
            return "a number"
        case str():
            return "a text that is no number"
        case datetime():
            return "a time"
        case timedelta():
            return "a duration"
        case list():
            return "a list"
        case _:
            return "a map"


def _pair(left: Any, right: Any, what: str) -> tuple[Any, Any]:
    """Two values in one form, so that Python may compare them or work with them. Raises UsageError."""
    first, second = number(left), number(right)
    if first is not None and second is not None:
        if isinstance(first, Fraction) or isinstance(second, Fraction):
            return Fraction(first), Fraction(second)
        return first, second
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return left, right
    if isinstance(left, datetime) or isinstance(right, datetime):
        before, after = _moment(left), _moment(right)
        if before is not None and after is not None:
            return before, after
    raise UsageError(f"{_called(left)} {what} {_called(right)} has no meaning")


def less(left: Any, right: Any) -> bool:
    """`<`"""
    first, second = _pair(left, right, "<")
    return bool(first < second)


def less_or_equal(left: Any, right: Any) -> bool:
    """`<=`"""
    first, second = _pair(left, right, "<=")
    return bool(first <= second)


def greater(left: Any, right: Any) -> bool:
    """`>`"""
    first, second = _pair(left, right, ">")
    return bool(first > second)


def greater_or_equal(left: Any, right: Any) -> bool:
    """`>=`"""
    first, second = _pair(left, right, ">=")
    return bool(first >= second)


def equal(left: Any, right: Any) -> bool:
    """`==`: of two texts letter by letter, of a number and a text that is one by their value."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(one, right[key]) for key, one in left.items())
    if (isinstance(left, str) and isinstance(right, str)) or isinstance(left, bool) or isinstance(right, bool):
        return type(left) is type(right) and bool(left == right)
    try:
        first, second = _pair(left, right, "==")
    except UsageError:
        return left is None and right is None
    return bool(first == second)


def different(left: Any, right: Any) -> bool:
    """`!=`"""
    return not equal(left, right)


def contained(one: Any, several: Any) -> bool:
    """`in`, of a list or the keys of a map."""
    if not isinstance(several, list | dict):
        raise UsageError(f"nothing is in {_called(several)}")
    return any(equal(one, each) for each in several)


def plus(left: Any, right: Any) -> Any:
    """`+` of numbers, texts, lists, durations, and times with durations."""
    match left, right:
        case list(), list():
            return [*left, *right]
        case datetime() | timedelta(), timedelta():
            return left + right
        case timedelta(), datetime():
            return right + left
    first, second = _pair(left, right, "+")
    if isinstance(first, str):
        return first + second
    return _exactly(EXACT.add, *_numbers(left, right, "+"))


def minus(left: Any, right: Any) -> Any:
    """`-` of numbers, and of times and durations."""
    match left, right:
        case datetime() | timedelta(), timedelta():
            return left - right
        case datetime(), datetime():
            return left - right
    return _exactly(EXACT.subtract, *_numbers(left, right, "-"))


def _numbers(left: Any, right: Any, what: str) -> tuple[Number, Number]:
    first, second = number(left), number(right)
    if first is None or second is None:
        raise UsageError(f"{_called(left)} {what} {_called(right)} has no meaning")
    return first, second


def times(left: Any, right: Any) -> Number:
    """`*`"""
    return _exactly(EXACT.multiply, *_numbers(left, right, "*"))


def divided(left: Any, right: Any) -> Number:
    """`/`: of two whole numbers without the rest, as everywhere in CEL, and else exact."""
    first, second = _numbers(left, right, "/")
    if second == 0:
        raise UsageError("division by zero")
    if isinstance(first, int) and isinstance(second, int):
        quotient = abs(first) // abs(second)
        return quotient if (first < 0) == (second < 0) else -quotient
    try:
        return _exactly(EXACT.divide, first, second)
    except Inexact:
        return Fraction(first) / Fraction(second)


def rest(left: Any, right: Any) -> int:
    """`%` of whole numbers."""
    first, second = _numbers(left, right, "%")
    if not isinstance(first, int) or not isinstance(second, int):
        raise UsageError("% is for whole numbers")
    if second == 0:
        raise UsageError("division by zero")
    left_over = abs(first) % abs(second)
    return left_over if first >= 0 else -left_over


def negated(value: Any) -> Any:
    """`-` before one value."""
    if isinstance(value, timedelta):
        return -value
    return -_needed(value, "-")


def _exactly(work: Callable[[Any, Any], Decimal], first: Number, second: Number) -> Number:
    """Work with two numbers as Decimals, or as fractions if one of them is none."""
    if isinstance(first, Fraction) or isinstance(second, Fraction):
        return FRACTIONS[work.__name__](Fraction(first), Fraction(second))
    found = work(Decimal(first), Decimal(second))
    return (
        int(found)
        if isinstance(first, int) and isinstance(second, int) and found == found.to_integral_value()
        else found
    )


FRACTIONS: Final[Mapping[str, Callable[[Fraction, Fraction], Fraction]]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
}


def _needed(value: Any, what: str) -> Number:
    found = number(value)
    if found is None:
        raise UsageError(f"{what} needs a number, and got {_called(value)}")
    return found


def size(value: Any) -> int:
    """`size`: characters of a text, members of a list or map."""
    if isinstance(value, str | list | dict):
        return len(value)
    raise UsageError(f"{_called(value)} has no size")


def to_number(value: Any) -> Number:
    """`decimal` and `double`: the number that a text says, exactly."""
    return _needed(value, "decimal()")


def to_int(value: Any) -> int:
    """`int`: without what is after the point."""
    return int(_needed(value, "int()"))


def to_text(value: Any) -> str:
    """`string`"""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str | int | bytes):
        return value.decode() if isinstance(value, bytes) else str(value)
    raise UsageError(f"string() of {_called(value)} has no meaning")


def to_moment(value: Any) -> datetime:
    """`timestamp`"""
    found = _moment(value)
    if found is None:
        raise UsageError('timestamp() needs a time with its zone, as "2030-01-31T14:00:00Z"')
    return found


def to_span(value: Any) -> timedelta:
    """`duration`"""
    if isinstance(value, str):
        return timedelta(seconds=seconds(value))
    raise UsageError('duration() needs a text such as "1h30m"')


def total(value: Any) -> Number:
    """`sum` of a list of numbers."""
    found: Number = 0
    for one in _several(value, "sum()"):
        found = _exactly(EXACT.add, found, _needed(one, "sum()"))
    return found


def least(*values: Any) -> Number:
    """`min` of numbers, or of a list of them."""
    return min(_all_numbers(values, "min()"), key=_by_value)


def most(*values: Any) -> Number:
    """`max` of numbers, or of a list of them."""
    return max(_all_numbers(values, "max()"), key=_by_value)


def _by_value(one: Number) -> Fraction:
    return Fraction(one)


def absolute(value: Any) -> Number:
    """`abs`"""
    found = _needed(value, "abs()")
    return -found if found < 0 else found


def _several(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"{what} needs a list, and got {_called(value)}")
    return value


def _all_numbers(values: Iterable[Any], what: str) -> list[Number]:
    given = list(values)
    listed = given[0] if len(given) == 1 and isinstance(given[0], list) else given
    if not listed:
        raise UsageError(f"{what} of nothing has no meaning")
    return [_needed(one, what) for one in listed]


def part_of_time(read: Callable[[datetime], int]) -> Callable[..., int]:
    """A function such as `getHours`: of a time, in a zone if one is given, else in UTC."""

    def part(value: Any, zone: Any = "UTC") -> int:
        return read(to_moment(value).astimezone(zone_of(zone)))

    return part


def zone_of(name: Any) -> ZoneInfo:
    """The time zone of that name. Raises UsageError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise UsageError(f"{name!r} is no time zone. Give its name, as in 'Europe/Berlin'.") from error


OPERATORS: Final[Mapping[str, tuple[str, Callable[..., Any]]]] = {
    "<": ("_lt", less),
    "<=": ("_le", less_or_equal),
    ">": ("_gt", greater),
    ">=": ("_ge", greater_or_equal),
    "==": ("_eq", equal),
    "!=": ("_ne", different),
    "in": ("_in", contained),
    "+": ("_plus", plus),
    "-": ("_minus", minus),
    "*": ("_times", times),
    "/": ("_over", divided),
    "%": ("_rest", rest),
    "neg": ("_neg", negated),
}
"""What stands between values, under which name it is called, and what it does."""

FUNCTIONS: Final[Mapping[str, tuple[Callable[..., Any], str]]] = {
    "abs": (absolute, "number"),
    "decimal": (to_number, "number"),
    "double": (to_number, "number"),
    "duration": (to_span, "span"),
    "int": (to_int, "number"),
    "max": (most, "number"),
    "min": (least, "number"),
    "size": (size, "number"),
    "string": (to_text, "text"),
    "sum": (total, "number"),
    "timestamp": (to_moment, "time"),
    "getDate": (part_of_time(lambda at: at.day), "number"),
    "getDayOfMonth": (part_of_time(lambda at: at.day - 1), "number"),
    "getDayOfWeek": (part_of_time(lambda at: at.isoweekday() % 7), "number"),
    "getDayOfYear": (part_of_time(lambda at: at.timetuple().tm_yday - 1), "number"),
    "getFullYear": (part_of_time(lambda at: at.year), "number"),
    "getHours": (part_of_time(lambda at: at.hour), "number"),
    "getMinutes": (part_of_time(lambda at: at.minute), "number"),
    "getMonth": (part_of_time(lambda at: at.month - 1), "number"),
    "getSeconds": (part_of_time(lambda at: at.second), "number"),
}
"""Functions that an expression may call, with the kind of their result. Months and weekdays begin with 0, as in CEL."""

FAULTS: Final = (UsageError, ArithmeticError, InvalidOperation, DivisionByZero, ValueError, TypeError, OverflowError)
"""What these functions may raise."""

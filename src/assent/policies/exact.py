"""What operators and functions of CEL do here: numbers are exact, and texts that are numbers count as numbers."""

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from assent.clock import seconds
from assent.errors import UsageError
from assent.policies.carrying import MAX_DIGITS, Number, in_utc, number

# Room for the product of two of the longest numbers; what does not fit is refused and not rounded.
EXACT: Final = Context(prec=4 * MAX_DIGITS, traps=[DivisionByZero, Inexact, InvalidOperation, Overflow])


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return in_utc(value)
    if not isinstance(value, str):
        return None
    try:
        return in_utc(datetime.fromisoformat(value))
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
        if type(first) is Fraction or type(second) is Fraction:
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

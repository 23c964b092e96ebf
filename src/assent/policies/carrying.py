"""Values on their way through the CEL library and back, without becoming floats.

It knows 64-bit integers and floats only, and turns other numbers into floats before anybody can object. So exact
numbers travel through it as bytes, which no expression can hold otherwise and which none of its own operators takes;
whatever may touch a number is done by the functions of `assent.policies.exact`.
"""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final, cast
from uuid import UUID

from pydantic import BaseModel

from assent.errors import UsageError

Number = int | Decimal | Fraction

NUMERIC: Final = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)
MAX_DIGITS: Final = 400  # of a number, before or after the point: far beyond any amount, and quick to work with
MAX_VALUES: Final = 20_000  # of one argument; about 20 ms of work
MAX_DEPTH: Final = 40
LARGEST: Final = 2**63 - 1


def carried(value: Any) -> Any:
    """A value as the CEL library may have it. Raises UsageError for what no expression can use."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int or kind is Decimal:
        return carried_number(value)
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
                return in_utc(value)
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
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
            raise UsageError("it is no number to work with")
    elif _bits(value) > 4 * MAX_DIGITS:
        raise UsageError("it is a number too long to work with")
    text = str(value).encode()
    if len(text) > 3 * MAX_DIGITS:
        raise UsageError("it is a number too long to work with")
    return text


def _bits(value: int | Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def number(value: Any) -> Number | None:
    """The number that a value of CEL is; None if it is none. A text counts if it is written as a number."""
    kind = type(value)
    if kind is bytes:
        text = value.decode()
        return Fraction(text) if "/" in text else Decimal(text)
    if kind is int:
        return cast(int, value)
    if kind is str and NUMERIC.fullmatch(value) and len(value) <= MAX_DIGITS:
        return Decimal(value)
    return None


def plain(value: Any) -> Any:
    """What came out of CEL, with numbers as numbers again."""
    if value is True or value is False:
        return value
    if isinstance(value, bytes):
        return number(value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC. Raises UsageError for one without a zone."""
    if moment.tzinfo is None:
        raise UsageError("it is a time without a zone, and nobody knows which moment that is")
    return moment.astimezone(UTC)

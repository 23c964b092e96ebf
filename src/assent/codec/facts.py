"""What a value is made of, and the first place where two values are not made of the same."""

import datetime
import decimal
import math
import reprlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum, auto
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar, assert_never

from pydantic import BaseModel


class Shape(Enum):
    """How the parts of a value are reached."""

    PLAIN = auto()  # no parts, and equal exactly if `==` says so
    LEAF = auto()  # no parts that concern us: the type says what equal means
    SEQUENCE = auto()
    MAPPING = auto()
    SET = auto()
    MODEL = auto()
    RECORD = auto()  # a dataclass
    OBJECT = auto()  # its state is its attributes


_PLAIN: frozenset[Any] = frozenset({str, int, bool, type(None), bytes, datetime.date, datetime.timedelta})
_SHAPES: tuple[tuple[Shape, tuple[type, ...]], ...] = (
    (Shape.SEQUENCE, (list, tuple, deque)),
    (Shape.MAPPING, (Mapping,)),
    (Shape.SET, (AbstractSet,)),
    (Shape.MODEL, (BaseModel,)),
    (Shape.LEAF, (Enum, type)),
)


class _Missing:
    """What stands in for a part that is not there."""


_MISSING = _Missing()
_R = TypeVar("_R")


def _once_per_type(fn: Callable[[type], _R]) -> Callable[[type], _R]:
    return lru_cache(maxsize=4096)(fn)


def shape_of(value: object) -> Shape:
    """The shape of a value, which is that of its type."""
    return _shape_of_type(type(value))


@_once_per_type
def _shape_of_type(kind: type) -> Shape:
    if kind in _PLAIN:
        return Shape.PLAIN
    for shape, kinds in _SHAPES:
        if issubclass(kind, kinds):
            return shape
    if is_dataclass(kind):
        return Shape.RECORD
    speaks_for_itself = "__eq__" in {name for owner in kind.__mro__[:-1] for name in vars(owner)}
    return Shape.LEAF if speaks_for_itself else Shape.OBJECT


def parts_of(value: Any, shape: Shape) -> dict[str, Any]:
    """The named parts of a model, a dataclass or an object."""
    match shape:
        case Shape.MODEL:
            # Not the whole `__dict__`: cached properties live there too, and are no state.
            stored = value.__dict__
            parts = {name: stored[name] for name in type(value).__pydantic_fields__ if name in stored}
            extra, private = value.__pydantic_extra__, value.__pydantic_private__
            return parts | (extra or {}) | (private or {}) if extra or private else parts
        case Shape.RECORD:
            return {each.name: getattr(value, each.name, _MISSING) for each in fields(value)}
        case _:
            return _attributes(value)


def _attributes(value: object) -> dict[str, Any]:
    slots = {
        name: getattr(value, name)
        for owner in type(value).__mro__
        for name in _names(getattr(owner, "__slots__", ()))
        if name not in {"__dict__", "__weakref__"} and hasattr(value, name)
    }
    return slots | getattr(value, "__dict__", {})


def _names(slots: str | Iterable[str]) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots


class Difference(NamedTuple):
    """Where a value and its copy part, and how."""

    path: str
    problem: str
    remedy: str

    def under(self, step: str) -> "Difference":
        return self._replace(path=step + self.path)


Met = set[tuple[int, int]]  # pairs of objects under comparison, so that circles end


def difference(value: Any, copy: Any, met: Met | None = None) -> Difference | None:
    """Where a value and the copy that came back from JSON first differ, in type or content; None: nowhere."""
    kind = type(value)
    if kind is not type(copy):
        return _difference_of_types(value, copy)
    if kind in _PLAIN:
        return None if value == copy else _unequal(value, copy)
    return _comparison_for(kind)(value, copy, set() if met is None else met)


@_once_per_type
def _comparison_for(kind: type) -> Callable[[Any, Any, Met], Difference | None]:
    match _shape_of_type(kind):
        case Shape.SEQUENCE:
            return _compare_sequences
        case Shape.MAPPING:
            return _compare_mappings
        case Shape.SET:
            return _compare_sets
        case Shape.MODEL:
            return _compare_models
        case Shape.RECORD | Shape.OBJECT as shape:
            return partial(_compare_parts, shape)
        case Shape.PLAIN | Shape.LEAF:
            return _compare_leaves
        case never:
            assert_never(never)


def _compare_sequences(value: Any, copy: Any, met: Met) -> Difference | None:
    if len(value) != len(copy):
        return _unequal(value, copy)
    for index, (part, other) in enumerate(zip(value, copy, strict=True)):
        if found := difference(part, other, met):
            return found.under(f"[{index}]")
    return None


def _compare_mappings(value: Mapping[Any, Any], copy: Mapping[Any, Any], met: Met) -> Difference | None:
    if len(value) != len(copy):
        return _unequal(value, copy)
    keys = {_key(each): each for each in copy}
    for key, part in value.items():
        other = keys.get(_key(key), _MISSING)
        if other is _MISSING:
            return _lost_key(key)
        if found := difference(key, other, met) or difference(part, copy[other], met):
            return found.under(step_to(key))
    return None


def _compare_sets(value: AbstractSet[Any], copy: AbstractSet[Any], met: Met) -> Difference | None:
    if len(value) != len(copy):
        return _unequal(value, copy)
    members = {_key(each): each for each in copy}
    for member in value:
        if found := difference(member, members.get(_key(member), _MISSING), met):
            return found.under(f"[{short(member)}]")
    return None


def _compare_models(value: BaseModel, copy: BaseModel, met: Met) -> Difference | None:
    stored, others = value.__dict__, copy.__dict__
    for name in type(value).__pydantic_fields__:
        if found := difference(stored.get(name, _MISSING), others.get(name, _MISSING), met):
            return found.under(f".{name}")
    if value.__pydantic_extra__ or value.__pydantic_private__:
        return _compare_parts(Shape.MODEL, value, copy, met)
    return None


def _compare_parts(shape: Shape, value: Any, copy: Any, met: Met) -> Difference | None:
    pair = (id(value), id(copy))
    if pair in met:
        return None
    met.add(pair)
    parts, others = parts_of(value, shape), parts_of(copy, shape)
    for name in parts if parts.keys() == others.keys() else parts | others:
        if found := difference(parts.get(name, _MISSING), others.get(name, _MISSING), met):
            return found.under(f".{name}")
    return None


def _compare_leaves(value: Any, copy: Any, met: Met) -> Difference | None:
    return None if _are_equal(value, copy) else _unequal(value, copy)


def _key(value: Any) -> Any:
    # NaN is not equal to itself, so it could not be found again.
    return value if value == value else "NaN"  # noqa: PLR0124 - the test for NaN


def _are_equal(value: Any, copy: Any) -> bool:
    match value:
        case float():
            return value == copy or (math.isnan(value) and math.isnan(copy))
        case decimal.Decimal():
            return str(value) == str(copy)  # `==` overlooks trailing zeros, and NaN is unequal to itself
        case datetime.datetime() | datetime.time():
            return _as_told(value) == _as_told(copy)
        case _:
            equal: Any = value == copy
            return equal is True  # not a plain truth test: arrays answer with an array


def _as_told(moment: Any) -> tuple[Any, ...]:
    """A datetime or time as `==` does not see it: with `fold`, and without a zone's doubts in repeated hours."""
    offset = moment.utcoffset()
    fold = moment.fold if offset is None else 0
    return moment.replace(tzinfo=None, fold=0), moment.tzinfo is None, offset, fold


def _difference_of_types(value: object, copy: object) -> Difference | None:
    if isinstance(value, _Missing) or isinstance(copy, _Missing):
        return Difference("", "is lost or made up on the way", "let its type write and read all of its state")
    if type(value) is int and type(copy) is float and value == copy:
        return None  # an int is welcome where a float is annotated, as for every type checker
    kind, other = name_of(type(value)), name_of(type(copy))
    remedy = f"annotate it as {kind}"
    if issubclass(type(value), type(copy)):
        remedy += ", or as a union of the possible types with a discriminator"
    else:
        remedy += "; in a union of types that look alike in JSON, use a discriminator"
    return Difference("", f"is a {kind} and would come back as a {other}", remedy)


def _lost_key(key: Any) -> Difference:
    problem = f"has the key {short(key)}, a {name_of(type(key))}, which would not come back as it is"
    return Difference("", problem, "annotate the dict with the type of its keys, and use keys that are text or scalars")


def _unequal(value: Any, copy: Any) -> Difference:
    kind = name_of(type(value))
    problem = f"is the {kind} {short(value)} and would come back as {short(copy)}"
    return Difference("", problem, f"pass plain data, or let {kind} write and read all of its state")


def step_to(key: Any) -> str:
    """How a path goes on to the part under this key."""
    return f".{key}" if type(key) is str and key.isidentifier() else f"[{short(key)}]"


def name_of(kind: Any) -> str:
    """A type as a person would write it."""
    if not isinstance(kind, type):
        return str(kind)
    return (
        kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"
    )


def short(value: Any) -> str:
    """The beginning of a value's repr."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"<{name_of(type(value))}>"

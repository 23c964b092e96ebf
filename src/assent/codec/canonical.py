"""The canonical form of a value: RFC 8785 JSON that is equal for equal values, byte for byte.

RFC 8785 knows neither sets, nor integers beyond 2**53, nor NaN and the infinities. Sets become lists sorted by the
canonical form of their members; those numbers become objects with the one key `$int` or `$float`. So that nobody can
pass off plain data as one of these, each key of the data that begins with `$` gets another `$` in front.

Only numbers are left to the library: it writes everything else in pure Python, and this is done for each governed call.
"""

import math
from collections.abc import Collection, Mapping
from itertools import repeat
from json.encoder import encode_basestring
from typing import Any

import rfc8785
from pydantic import RootModel

from assent.codec.facts import Shape, parts_of, shape_of

_LARGEST = 2**53 - 1


def canonical_text(value: Any, written: Any) -> str:
    """The canonical form of `value`, which pydantic has written as `written` (parsed JSON).

    `written` says what each part looks like in JSON, `value` says what is a set and what is NaN. Where their shapes
    differ, because a type writes itself in a way of its own, `written` alone counts.
    """
    match written:
        case str():
            is_number = value is not written and isinstance(value, float) and not math.isfinite(value)
            return f'{{"$float":"{value!r}"}}' if is_number else encode_basestring(written)
        case None:
            return "null"
        case bool():
            return "true" if written else "false"
        case int():
            return str(written) if -_LARGEST <= written <= _LARGEST else f'{{"$int":"{written}"}}'
        case float():
            return rfc8785.dumps(written).decode() if math.isfinite(written) else f'{{"$float":"{written!r}"}}'
        case list():
            return f"[{','.join(_members(_inside(value), written))}]"
        case _:
            return f"{{{','.join(_pairs(_inside(value), written))}}}"


def _inside(value: Any) -> Any:
    return value.root if shape_of(value) is Shape.MODEL and isinstance(value, RootModel) else value


def _members(value: Any, written: list[Any]) -> list[str]:
    shape = shape_of(value)
    is_aligned = shape in {Shape.SEQUENCE, Shape.SET} and len(value) == len(written)
    parts = value if is_aligned else repeat(None)
    members = [canonical_text(part, each) for part, each in zip(parts, written, strict=False)]
    return sorted(members) if shape is Shape.SET else members


def _pairs(value: Any, written: dict[str, Any]) -> list[str]:
    parts = _parts(value, written)
    return [f"{label}{canonical_text(parts.get(key), written[key])}" for key, label in labelled(written)]


def labelled(keys: Collection[str]) -> list[tuple[str, str]]:
    """The keys of an object in their canonical order, each with what stands before its value."""
    # RFC 8785 sorts by UTF-16 units, which differs from the order of the characters only beyond ASCII. The `$` in front
    # of another changes no place.
    order = sorted(keys) if "".join(keys).isascii() else sorted(keys, key=lambda key: key.encode("utf-16-be"))
    return [(key, f"{encode_basestring(f'${key}' if key.startswith('$') else key)}:") for key in order]


def _parts(value: Any, written: dict[str, Any]) -> Mapping[str, Any]:
    """The parts of `value` under the names that they have in JSON."""
    match shape_of(value):
        case Shape.MAPPING if len(value) == len(written):
            return value if value.keys() == written.keys() else dict(zip(written, value.values(), strict=True))
        case Shape.MODEL | Shape.RECORD | Shape.OBJECT as shape:
            return parts_of(value, shape)
        case _:
            return {}

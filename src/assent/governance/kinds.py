"""The types that a record of arguments loses, kept beside it: a Decimal is a text in JSON, and a moment too."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pydantic import BaseModel

KINDS: Final[Mapping[type, str]] = {Decimal: "decimal", datetime: "datetime", date: "date", time: "time"}
READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}
PLAIN: Final[frozenset[type]] = frozenset({str, int, float, bool, type(None)})
EACH: Final = "*"  # stands for every item of a list
MOST: Final = 2_000  # values looked at; a longer list of the same says nothing new
DEEPEST: Final = 20


def kinds_of(values: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each value that is only a text in JSON, by its dotted path, in which `*` is every item of a list."""
    if PLAIN.issuperset(map(type, values.values())):
        return {}
    found: dict[str, str] = {}
    mixed: set[str] = set()
    for _, (path, kind) in zip(range(MOST), _typed("", values, 0), strict=False):
        if found.setdefault(path, kind) != kind:
            mixed.add(path)
    return {path: kind for path, kind in found.items() if kind and path not in mixed}


def _typed(path: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Every single value inside with its path, and its kind; the kind is empty if JSON keeps it."""
    parts = _parts_of(value) if depth < DEEPEST else None
    if parts is None:
        yield path, KINDS.get(type(value), "")
        return
    for name, part in parts:
        yield from _typed(f"{path}.{name}" if path else name, part, depth + 1)


def _parts_of(value: Any) -> Iterable[tuple[str, Any]] | None:
    match value:
        case Mapping():
            return ((str(name), one) for name, one in value.items())
        case BaseModel():
            return value
        case list() | tuple():
            names = getattr(type(value), "_fields", None)
            return zip(names, value, strict=True) if names else ((EACH, one) for one in value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return ((one.name, getattr(value, one.name, None)) for one in dataclasses.fields(value))
        case _:
            return None


def revived(data: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Recorded JSON data with the values that it had; what cannot be read as its kind stays the text that it is."""
    whole = dict(data)
    for path, kind in kinds.items():
        reader = READERS.get(kind)
        if reader is not None:
            whole = _with(whole, path.split("."), reader)
    return whole


def _with(data: Any, path: list[str], reader: Callable[[str], Any]) -> Any:
    """A copy of the data in which what stands at the path has been read."""
    if not path:
        return _read(data, reader)
    first, rest = path[0], path[1:]
    if isinstance(data, list):
        return [_with(one, rest, reader) for one in data] if first == EACH else data
    if not isinstance(data, dict):
        return data
    # A name may hold dots itself, so it is looked for as a whole too.
    name = first if first in data else ".".join(path)
    return data | {name: _with(data[name], rest if name == first else [], reader)} if name in data else data


def _read(data: Any, reader: Callable[[str], Any]) -> Any:
    if not isinstance(data, str):
        return data
    try:
        return reader(data)
    except (ValueError, InvalidOperation):
        return data

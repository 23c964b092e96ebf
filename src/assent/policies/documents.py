"""Text of YAML, JSON and TOML as data that knows its lines: exact numbers, no name twice, nothing executed."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from assent.errors import PolicyFileError
from assent.policies.extras import extra

Place = tuple[str | int, ...]
"""Where something stands in the data: keys and positions, from the outside in."""

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 30
MAX_VALUES: Final = 50_000
INTEGER: Final = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
DECIMAL: Final = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+([eE][+-]?\d+)?|[eE][+-]?\d+)", re.ASCII)
TOML_ITEM: Final = re.compile(r"^\s*\[\[\s*([\w.\"-]+)\s*\]\]|^\s*\[\s*([\w.\"-]+)\s*\]|^\s*([\w\"-]+)\s*=", re.ASCII)


@dataclass(frozen=True, slots=True)
class Document:
    """What stands in a policy file."""

    name: str  # of the file, for people
    data: Any
    lines: Mapping[Place, int] = field(default_factory=dict)
    folder: Path | None = None  # against which the paths in it are meant

    def line_of(self, place: Place) -> int | None:
        """The line of what stands there, or else of what it would stand in."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)

    def error(self, problem: str, place: Place = ()) -> PolicyFileError:
        """What is wrong there, and what to do about it."""
        line = self.line_of(place)
        where = f"{self.name} line {line}" if line else self.name
        key = shown(place)
        return PolicyFileError(f"{where}: {f'{key}: ' if key else ''}{problem}", file=self.name, line=line, key=key)


def shown(place: Place) -> str:
    """A place as people write it: `policies[2].approvers`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def read_document(path: Path, name: str = "") -> Document:
    """Read a file by its suffix. Raises PolicyFileError, under that name, for what cannot be read as data."""
    name, readers = (
        name or str(path),
        {".yaml": _from_yaml, ".yml": _from_yaml, ".json": _from_json, ".toml": _from_toml},
    )
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise Document(name, None).error("its name tells no format. Call it .yaml, .json or .toml.")
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= MAX_BYTES else ""
    except (OSError, UnicodeDecodeError) as error:
        raise Document(name, None).error(f"it cannot be read ({error}). Give the path of a text in UTF-8.") from error
    if size > MAX_BYTES:
        raise Document(name, None).error(f"it has {size:,} bytes. Give at most {MAX_BYTES:,}, or several files.")
    found = reader(name, text)
    return Document(name, found.data, found.lines, path.resolve().parent)


def document_of(data: Mapping[str, Any]) -> Document:
    """Data that was given as it is."""
    document = Document("policies", None)
    return Document("policies", _copied(document, data, ()))


def _copied(document: Document, value: Any, place: Place) -> Any:
    """The data with exact numbers and texts for times, as the formats that are read have them."""
    if len(place) > MAX_DEPTH:
        raise document.error(f"it is nested more than {MAX_DEPTH} deep. Write it flatter.", place)
    match value:
        case Mapping():
            return {
                _text_key(document, key, place): _copied(document, one, (*place, key)) for key, one in value.items()
            }
        case list() | tuple():
            return [_copied(document, one, (*place, number)) for number, one in enumerate(value)]
        case float():
            return Decimal(repr(value))
        case None | bool() | int() | str() | Decimal():
            return value
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            raise document.error(f"{type(value).__name__} is no data. Give texts, numbers, lists and maps.", place)


def _text_key(document: Document, key: Any, place: Place) -> str:
    if not isinstance(key, str):
        raise document.error(f"the key {key!r} is no text. Put it into quotes.", place)
    return key


def _from_json(name: str, text: str) -> Document:
    try:
        data = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise Document(name, None, {(): error.lineno}).error(f"it is no JSON: {error.msg}. Mend it.") from error
    except (ValueError, RecursionError) as error:
        raise Document(name, None).error(f"it is no JSON: {error}. Mend it.") from error
    # Outside of texts, JSON is YAML but for tabs, and inside of them it has none.
    return Document(name, data, _from_yaml(name, text.replace("\t", " ")).lines)


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"it has no {constant}")


def _from_toml(name: str, text: str) -> Document:
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"line (\d+)", str(error))
        lines: dict[Place, int] = {(): int(line[1])} if line else {}
        raise Document(name, None, lines).error(f"it is no TOML: {error}. Mend it.") from error
    lines = _toml_lines(text)
    return Document(name, _copied(Document(name, None, lines), data, ()), lines)


def _toml_lines(text: str) -> dict[Place, int]:
    """The lines of tables and of the keys in them. What looks like one inside a long text may shift a line number."""
    lines: dict[Place, int] = {}
    counts: dict[str, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), start=1):
        found = TOML_ITEM.match(line)
        if found is None:
            continue
        several, single, key = found.groups()
        if several:
            counts[several] = counts.get(several, -1) + 1
        if several or single:
            table = _toml_place((several or single).replace('"', ""), counts)
        lines.setdefault((*table, key.strip('"')) if key else table, number)
    return lines


def _toml_place(header: str, counts: Mapping[str, int]) -> Place:
    place: Place = ()
    parts = header.split(".")
    for number, part in enumerate(parts, start=1):
        place = (*place, part)
        prefix = ".".join(parts[:number])
        if prefix in counts:
            place = (*place, counts[prefix])
    return place


def _from_yaml(name: str, text: str) -> Document:
    yaml = extra("yaml")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        lines: dict[Place, int] = {(): mark.line + 1} if mark else {}
        raise Document(name, None, lines).error(f"it is no YAML: {error.problem or error.context}. Mend it.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Document(name, None).error(f"it is no YAML: {error}. Mend it.") from error
    builder = _YamlReader(name)
    return Document(name, None if root is None else builder.value(root, ()), builder.lines)


@dataclass(slots=True)
class _YamlReader:
    """Makes data of YAML's nodes. Words are words: only true and false are booleans, and no date is made of a text."""

    name: str
    lines: dict[Place, int] = field(default_factory=dict)
    count: int = 0

    def value(self, node: Any, place: Place) -> Any:
        self.lines.setdefault(place, node.start_mark.line + 1)
        self.count += 1
        # An alias stands for its anchor again and again, so that a short text can mean a huge one.
        if self.count > MAX_VALUES or len(place) > MAX_DEPTH:
            raise self._error("it holds too much, or nests too deeply. Write several files.", place)
        if node.id == "scalar":
            return self._scalar(node, place)
        if node.id == "sequence":
            return [self.value(one, (*place, number)) for number, one in enumerate(node.value)]
        return self._map(node, place)

    def _map(self, node: Any, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if key_node.id == "scalar" else None
            self.lines[*place, str(key)] = key_node.start_mark.line + 1
            if not isinstance(key, str) or key_node.tag == "tag:yaml.org,2002:merge":
                raise self._error("a key must be a text, and << is not supported. Use defaults.", (*place, str(key)))
            if key in found:
                raise self._error("this key stands here twice. Keep one of them.", (*place, key))
            found[key] = self.value(value_node, (*place, key))
        return found

    def _scalar(self, node: Any, place: Place) -> Any:
        kind, text = node.tag.rpartition(":")[2], node.value
        reader = SCALARS.get(kind)
        if reader is None:
            raise self._error(f"{node.tag} is not supported. Write plain texts, numbers, lists and maps.", place)
        return reader(text)

    def _error(self, problem: str, place: Place) -> PolicyFileError:
        return Document(self.name, None, self.lines).error(problem, place)


def _number_or_text(text: str) -> int | Decimal | str:
    if INTEGER.fullmatch(text) and len(text) <= 100:
        return int(text)
    return Decimal(text) if DECIMAL.fullmatch(text) and len(text) <= 100 else text


SCALARS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "int": _number_or_text,
    "float": _number_or_text,
    "bool": lambda text: {"true": True, "false": False}.get(text.lower(), text),
    "null": lambda _: None,
    "timestamp": str,
    "value": str,
}

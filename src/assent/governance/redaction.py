"""Values as people and records may see them: JSON data in which secrets are blanked out, at any depth."""

import dataclasses
import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, SecretBytes, SecretStr

from assent.governance.action import names_of

SENSITIVE: Final = (
    "password", "passwords", "passwd", "pwd", "passphrase", "secret", "secrets", "token", "api key", "access key",
    "private key", "secret key", "authorization", "cookie", "credential", "credentials", "ssn", "cvv", "cvc", "pin",
    "card number", "credit card",
)  # fmt: skip
"""Field names that are always taken for secrets."""

SENSITIVE_TYPES: Final[tuple[type, ...]] = (SecretStr, SecretBytes)
"""Types whose values are always taken for secrets."""

REDACTED: Final = "[redacted]"
CUT: Final = "[cut]"
MARKER: Final = re.compile(
    r"\[(?:cut|cycle|too deep|\d+ bytes|whole number of \d+ bits|unreadable [^\]]+|\w+(?:\.[\w<>]+)+)\]"
    r"|.*\[redacted\].*|.*\[cut: \d+ characters in all\]",
    re.DOTALL,
)
"""What stands in place of what is hidden or cannot be shown. A real text of that form counts as such too."""

MAX_DEPTH: Final = 60  # far deeper than people read, far shallower than Python's stack
MAX_VALUES: Final = 20_000  # about 20 ms of work; what nobody would read to its end anyway
MAX_TEXT: Final = 20_000  # characters of one text, for the same reason
MAX_BITS: Final = 4_096  # of one whole number; Python refuses to print much longer ones
TOO_LARGE: Final = 1 << MAX_BITS
MAX_NAMES: Final = 5_000  # remembered field names; beyond it somebody uses data as names

PLAIN: Final[frozenset[type]] = frozenset({str, int, bool, type(None)})
ATOMS: Final = PLAIN | {float, bytes, Decimal, datetime, date, time, timedelta, UUID}
WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def _words_of(name: str) -> tuple[str, ...]:
    """The words of a field name, however it is spelled: `api_key`, `apiKey` and `API-KEY` are (api, key)."""
    return tuple(word.lower() for word in WORDS.findall(name))


def _endings(words: tuple[str, ...]) -> Iterator[str]:
    return ("".join(words[start:]) for start in range(len(words)))


@dataclass(frozen=True, slots=True)
class Redaction:
    """What must not be seen: fields by name and values by type.

    A field is blanked if its name ends in one of the names, so that `password` also covers `db_password` and
    `newPassword`. The spelling (case, underscores, hyphens) does not matter.
    """

    names: Iterable[str] = SENSITIVE
    types: tuple[type, ...] = SENSITIVE_TYPES
    _joined: frozenset[str] = field(init=False, repr=False, compare=False)
    _plain: frozenset[type] = field(init=False, repr=False, compare=False)
    _atoms: frozenset[type] = field(init=False, repr=False, compare=False)
    _known: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        words = {_words_of(name) for name in names_of("names", self.names)} - {()}
        object.__setattr__(self, "names", frozenset(" ".join(one) for one in words))
        object.__setattr__(self, "types", tuple(self.types))
        object.__setattr__(self, "_joined", frozenset("".join(one) for one in words))
        object.__setattr__(self, "_plain", frozenset(kind for kind in PLAIN if not issubclass(kind, self.types)))
        object.__setattr__(self, "_atoms", frozenset(kind for kind in ATOMS if not issubclass(kind, self.types)))

    def __or__(self, other: "Redaction") -> "Redaction":
        types = tuple(dict.fromkeys((*self.types, *other.types)))
        return Redaction((*self.names, *other.names), types)

    def hides(self, name: str) -> bool:
        """Whether a field of that name is blanked."""
        known = self._known.get(name)
        if known is None:
            known = self._is_sensitive(name)
            if _shortened(name) == name:  # only names that are shown as they are, which `_Walk.fields` relies on
                if len(self._known) >= MAX_NAMES:
                    self._known.clear()
                self._known[name] = known
        return known

    def spares(self, value: Any) -> bool:
        """Whether it surely hides nothing of the value. Most values are of that kind, and need not be read again."""
        atoms, known = self._atoms, self._known
        if type(value) is not dict:
            return type(value) in atoms
        for name, one in value.items():
            if type(one) not in atoms or type(name) is not str:
                return False
            if known.get(name) is not False and self.hides(name):
                return False
        return True

    def _is_sensitive(self, name: str) -> bool:
        words = _words_of(name)
        counted = words[:-1] if words and words[-1].isdigit() else words  # `password2` is another password
        return any(end in self._joined for end in (*_endings(words), *_endings(counted)))

    def apply(self, value: Any) -> Any:
        """A copy of `value` as JSON data without its secrets; `value` itself stays as it is.

        Models, dataclasses and named tuples become objects, other collections lists. What has no form of its own
        in JSON is named by its type and never printed, since its text might hold a secret. Very long texts and very
        large or deep values are cut, and say so; a value inside itself is written as "[cycle]".
        """
        return _Walk(self).visit(value, 0)


def is_whole(shown: Any) -> bool:
    """Whether data that a redaction shows is all there was: nothing is hidden in it, cut, or named by its type only."""
    match shown:
        case str():
            return MARKER.fullmatch(shown) is None
        case Mapping():
            return all(is_whole(name) and is_whole(value) for name, value in shown.items())
        case list():
            return all(map(is_whole, shown))
        case _:
            return True


class Record(Mapping[str, Any]):
    """Facts that are worked out when somebody looks at them, since often nobody does, and by what may then be seen."""

    __slots__ = ("_facts", "_make", "_redaction")

    def __init__(self, make: Callable[[Redaction], dict[str, Any]], redaction: Redaction) -> None:
        self._make = make
        self._redaction = redaction
        self._facts: dict[str, Any] | None = None

    def shown(self, redaction: Redaction) -> dict[str, Any]:
        """The facts for those from whom more is hidden; `redaction` must cover that of the record."""
        return self._make(redaction)

    def _made(self) -> dict[str, Any]:
        if self._facts is None:
            self._facts = self._make(self._redaction)
        return self._facts

    def __getitem__(self, key: str) -> Any:
        return self._made()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())


class _Walk:
    """One pass over a value, with what it has seen on the way down and how much it may still see."""

    __slots__ = ("left", "path", "redaction")

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction
        self.path: set[int] = set()
        self.left = MAX_VALUES

    def visit(self, value: Any, depth: int) -> Any:
        self.left -= 1
        kind = type(value)
        if kind in self.redaction._plain:
            if kind is str:
                return value if len(value) <= MAX_TEXT and value.isascii() else _shortened(value)
            return _number(value) if kind is int else value
        if isinstance(value, self.redaction.types):
            return REDACTED
        try:
            return _scalar(value) if (open_up := _opener(kind)) is None else self.inside(value, open_up, depth)
        except Exception:  # noqa: BLE001 - a value that cannot be read must not undo the record of an effect
            return f"[unreadable {kind.__qualname__}]"

    def inside(self, value: Any, open_up: "_Opener", depth: int) -> Any:
        place = id(value)
        if place in self.path:
            return "[cycle]"
        if depth >= MAX_DEPTH:
            return "[too deep]"
        self.path.add(place)
        try:
            return open_up(self, value, depth + 1)
        finally:
            self.path.discard(place)

    def fields(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        known = self.redaction._known
        for key, value in pairs:
            if self.left <= 0:
                found[CUT] = "too many values"
                break
            self.left -= 1
            name, is_hidden = key, known.get(key) if type(key) is str else None
            if is_hidden is None:
                name = _shortened(key) if isinstance(key, str) else _text_of_key(key)
                is_hidden = self.redaction.hides(name)
            found[name] = REDACTED if is_hidden else self.visit(value, depth)
        return found

    def items(self, values: Iterable[Any], depth: int) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if self.left <= 0:
                found.append(CUT)
                break
            found.append(self.visit(value, depth))
        return found


_Opener = Callable[[_Walk, Any, int], Any]


def _opener_of(kind: type) -> _Opener | None:
    """How to look into values of that type; None if there is nothing inside."""
    if issubclass(kind, Mapping):
        return _of_mapping
    if issubclass(kind, BaseModel):
        return _of_model
    if issubclass(kind, list | tuple | deque):
        return _of_sequence
    if issubclass(kind, set | frozenset):
        return _of_set
    return _of_dataclass if dataclasses.is_dataclass(kind) and not issubclass(kind, type) else None


_opener: Final[Callable[[type], _Opener | None]] = lru_cache(maxsize=4096)(_opener_of)


def _of_mapping(walk: _Walk, value: Mapping[Any, Any], depth: int) -> Any:
    return walk.fields(value.items(), depth)


def _of_model(walk: _Walk, value: BaseModel, depth: int) -> Any:
    return walk.fields(_model_fields(walk.redaction, value), depth)


def _model_fields(redaction: Redaction, value: BaseModel) -> Iterator[tuple[str, Any]]:
    known = type(value).model_fields
    for name, content in value:
        alias = known[name].alias if name in known else None
        # A secret that is called so only outside the program is still a secret.
        yield name, REDACTED if alias is not None and redaction.hides(alias) else content


def _of_dataclass(walk: _Walk, value: Any, depth: int) -> Any:
    names = [one.name for one in dataclasses.fields(value)]
    return walk.fields(((name, getattr(value, name, None)) for name in names), depth)


def _of_sequence(walk: _Walk, value: Any, depth: int) -> Any:
    names = getattr(type(value), "_fields", None)
    if names is not None and isinstance(value, tuple):
        return walk.fields(zip(names, value, strict=True), depth)
    # Headers and form fields often come as a list of pairs of name and value.
    if all(_is_named_pair(item) for item in value):
        return [list(pair) for item in value for pair in walk.fields([item], depth).items()]
    return walk.items(value, depth)


def _is_named_pair(item: Any) -> bool:
    return type(item) in {list, tuple} and len(item) == 2 and type(item[0]) is str


def _of_set(walk: _Walk, value: Iterable[Any], depth: int) -> Any:
    # A set has another order in every process; its record must not.
    return sorted(walk.items(value, depth), key=lambda item: json.dumps(item, sort_keys=True))


def _shortened(text: str) -> str:
    """The text itself unless it is longer than anybody reads; it can always be written as UTF-8."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}[cut: {len(text)} characters in all]"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _number(value: int) -> int | str:
    """The whole number itself unless it is longer than anybody reads."""
    return value if -TOO_LARGE < value < TOO_LARGE else f"[whole number of {value.bit_length()} bits]"


def _text_of_key(key: Any) -> str:
    """A key that is no text, as JSON would have it."""
    text = _scalar(key)
    return text if isinstance(text, str) else json.dumps(text)


def _scalar(value: Any) -> Any:
    """A single value in JSON."""
    match value:
        case Enum():
            return _scalar(value.value)
        case bool() | None:
            return value
        case int():
            return _number(value)
        case str():
            return _shortened(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal() | UUID() | PurePath() | timedelta():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return f"[{len(value)} bytes]"
        case BaseException():
            return f"{type(value).__qualname__}: {value}"
        case _:
            return f"[{type(value).__module__}.{type(value).__qualname__}]"

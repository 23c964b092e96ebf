"""Policies from files: what is inherited and overridden is put together, and each entry becomes a policy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from assent.errors import UsageError
from assent.governance import Policy
from assent.policies.building import built
from assent.policies.documents import Document, Place, document_of, read_document, shown
from assent.policies.schema import COMMON, SETTINGS, json_schema
from assent.policies.settings import Settings
from assent.policies.shapes import problems_of

MAX_PARENTS: Final = 8
SHOWN_PROBLEMS: Final = 3

Source = str | Path | Mapping[str, Any]
"""A path, or what would stand in the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A policy of a file with all that is said of it, wherever that stands."""

    name: str
    kind: str
    settings: Settings = field(repr=False)
    policy: Policy | None  # None: it is not enabled

    @property
    def where(self) -> str:
        """File and line."""
        line = self.settings.document.line_of(self.settings.place)
        return f"{self.settings.document.name}:{line}" if line else self.settings.document.name


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy file under one environment, with what it inherits."""

    document: Document = field(repr=False)
    environment: str | None
    environments: tuple[str, ...]  # that it knows
    entries: tuple[Entry, ...]

    @property
    def policies(self) -> list[Policy]:
        """Those that are enabled, in their order."""
        return [entry.policy for entry in self.entries if entry.policy is not None]

    @property
    def examples(self) -> Sequence[Mapping[str, Any]]:
        """What the file itself says must come of which action; those of inherited files stay with them."""
        found: Sequence[Mapping[str, Any]] = self.document.data.get("examples", ())
        return found


def load_policies(source: Source, environment: str | None = None) -> list[Policy]:
    """The policies of a YAML, JSON or TOML file, or of a mapping that says the same.

    `environment` is one of the file's own environments, whose defaults and overrides then hold; a file that tells none
    apart takes any. Raises PolicyFileError that names file, line, key and remedy; half a file is never loaded.
    """
    return read_policies(source, environment).policies


def read_policies(source: Source, environment: str | None = None) -> PolicyFile:
    """The same with all that the file says beside: entries that are not enabled, examples, environments."""
    documents = _documents(source)
    known = tuple(dict.fromkeys(name for each in documents for name in each.data.get("environments", {})))
    last = documents[-1]
    # Where no environments are told apart, every one is alike.
    if environment is not None and known and environment not in known:
        raise last.error(f"there is no environment {environment!r}. {_instead(environment, known, 'environments')}")
    chain = _Chain(documents, environment)
    return PolicyFile(last, environment, known, tuple(chain.entries()))


def _documents(source: Source) -> list[Document]:
    """The file and those that it extends, the first ancestor first."""
    document = document_of(source) if isinstance(source, Mapping) else read_document(Path(source))
    found, seen = [_checked(document)], set[Path]()
    while (parent := found[0].data.get("extends")) is not None:
        path = ((found[0].folder or Path()) / parent).resolve()
        if path in seen or len(found) > MAX_PARENTS:
            raise found[0].error(f"{parent!r} leads round in a circle, or too far. Extend another file.", ("extends",))
        seen.add(path)
        found.insert(0, _checked(_parent(found[0], path)))
    return found


def _parent(child: Document, path: Path) -> Document:
    if not path.is_file():
        raise child.error(f"there is no file {child.data['extends']!r} beside it. Give its path.", ("extends",))
    return read_document(path, str(Path(child.name).parent / str(child.data["extends"])))


def _checked(document: Document) -> Document:
    """The document, whose shape is right. Raises PolicyFileError."""
    schema = json_schema()
    found = list(problems_of(schema, document.data, schema))
    if found:
        told = "; also " + "; ".join(f"{shown(each.place)}: {each.words}" for each in found[1:SHOWN_PROBLEMS])
        raise document.error(f"{found[0].words}{told if len(found) > 1 else ''}", found[0].place)
    return document


@dataclass(frozen=True, slots=True)
class _Layer:
    """Settings that stand together somewhere."""

    document: Document
    place: Place
    values: Mapping[str, Any]

    @classmethod
    def at(cls, document: Document, *place: str | int) -> "_Layer":
        """What stands there; nothing if nothing does."""
        values: Any = document.data
        for part in place:
            values = values[part] if isinstance(part, int) else values.get(part, {})
        return cls(document, place, values)


@dataclass(frozen=True, slots=True)
class _Chain:
    """Files that extend each other, the first ancestor first, under an environment."""

    documents: Sequence[Document]
    environment: str | None

    def entries(self) -> Iterator[Entry]:
        """All policies. What is said later, or more closely, holds instead of what was said before."""
        found: dict[str, _Layer] = {}
        for layer in self._policies():
            name = layer.values["name"]
            if name in found:
                first = found[name]
                line = first.document.line_of(first.place)
                there = f"{first.document.name} line {line}" if line else first.document.name
                remedy = "Give it another name" if first.document is layer.document else "Change it under overrides"
                raise layer.document.error(
                    f"{name!r} is the name of a policy in {there}. {remedy}.", (*layer.place, "name")
                )
            found[name] = layer
        self._check_overrides(found)
        defaults = {kind: self._settled(Settings(self.documents[-1], ()), "defaults", kind) for kind in SETTINGS}
        return (self._entry(layer, defaults) for layer in found.values())

    def _policies(self) -> Iterator[_Layer]:
        for document in self.documents:
            for number, values in enumerate(document.data.get("policies", ())):
                yield _Layer(document, ("policies", number), values)

    def _layers(self, *place: str) -> Iterator[_Layer]:
        """What stands at a place in each of the files, and then under the environment in each."""
        for document in self.documents:
            yield _Layer.at(document, *place)
        if self.environment is not None:
            for document in self.documents:
                yield _Layer.at(document, "environments", self.environment, *place)

    def _check_overrides(self, known: Mapping[str, Any]) -> None:
        every: list[tuple[Document, Place]] = [(document, ()) for document in self.documents]
        every += [
            (each, ("environments", name)) for each in self.documents for name in each.data.get("environments", {})
        ]
        for document, place in every:
            for name in _Layer.at(document, *place, "overrides").values:
                if name not in known:
                    problem = f"there is no policy {name!r} to override. {_instead(name, known, 'policies')}"
                    raise document.error(problem, (*place, "overrides", name))

    def _entry(self, own: _Layer, defaults: Mapping[str, Settings]) -> Entry:
        name, kind = own.values["name"], own.values["type"]
        settings = self._settled(Settings(own.document, own.place, defaults=defaults), "defaults", "all")
        settings = self._settled(settings, "defaults", kind).under(own.document, own.place, own.values)
        settings = self._settled(settings, "overrides", name)
        _check_keys(settings, kind)
        settings.check_complete(kind)
        policy = built(name, kind, settings)
        return Entry(name, kind, settings, policy if settings.values.get("enabled", True) else None)

    def _settled(self, settings: Settings, *place: str) -> Settings:
        """The settings, and instead of them what stands at a place in the files, and then under the environment."""
        for layer in self._layers(*place):
            settings = settings.under(layer.document, layer.place, layer.values)
        return settings


def _check_keys(settings: Settings, kind: str) -> None:
    known = {"name", "type", *COMMON, *SETTINGS[kind]}
    for key in settings.values:
        if key not in known:
            told = f"a policy of type {kind} has no {key!r}. {_instead(key, known - {'name', 'type'}, 'keys')}"
            raise settings.error(UsageError(told), key)


def _instead(name: str, known: Any, what: str) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"There are {', '.join(sorted(known))}." if known else f"There are no {what}."

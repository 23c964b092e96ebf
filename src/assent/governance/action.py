"""What a governed call wants to do, for whom, and what came of it."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from assent.codec import codec_for, digest
from assent.codec.canonical import canonical_text
from assent.errors import UsageError

NOTHING: Mapping[str, Any] = MappingProxyType({})


def nothing() -> Mapping[str, Any]:
    """The default of a mapping that is never changed."""
    return NOTHING


def names_of(what: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names once each, in order. Raises UsageError for a bare string, which would fall apart into letters."""
    if isinstance(names, str | bytes):
        raise UsageError(f"{what}={names!r} is one text. Give a list: {what}=[{names!r}].")
    found: tuple[Any, ...] = tuple(dict.fromkeys(names))
    for name in found:
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f"{what} holds {name!r}. Each entry must be a text that is not empty.")
    return found


@dataclass(frozen=True, slots=True, init=False)
class Principal:
    """For whom something is done: a person or a service, with its roles and permissions."""

    id: str
    roles: frozenset[str]
    permissions: frozenset[str]

    def __init__(self, id: str, roles: Iterable[str] = (), permissions: Iterable[str] = ()) -> None:
        (known,) = names_of("id", [id])
        object.__setattr__(self, "id", known)
        object.__setattr__(self, "roles", frozenset(names_of("roles", roles)))
        object.__setattr__(self, "permissions", frozenset(names_of("permissions", permissions)))

    def to_text(self) -> str:
        """The principal as JSON, the same text in every process."""
        facts = {"id": self.id, "permissions": sorted(self.permissions), "roles": sorted(self.roles)}
        return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The principal that `to_text` wrote."""
        facts = json.loads(text)
        return cls(facts["id"], facts["roles"], facts["permissions"])


acting: ContextVar[Principal | None] = ContextVar("acting", default=None)


def current_principal() -> Principal | None:
    """For whom the code that runs now acts; None if nobody has said."""
    return acting.get()


@contextmanager
def acting_as(principal: Principal | None) -> Iterator[Principal | None]:
    """Let every governed call inside the block be requested by this principal; None: by nobody."""
    token = acting.set(principal)
    try:
        yield principal
    finally:
        acting.reset(token)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Action:
    """What a governed call wants to do.

    `arguments` are bound: by parameter name, with defaults, however the call was written. Each is also an attribute,
    so that checks read well: `action.amount`. A parameter that is called like a field (`name`, `context` ...) is in
    `action.arguments` only. Two actions with the same `digest` want the same thing.
    """

    name: str
    arguments: Mapping[str, Any]
    requester: Principal | None = None
    labels: frozenset[str] = frozenset()
    risk: str = ""  # of `selection.RISKS`; "" if nobody has said
    context: Mapping[str, Any] = field(default_factory=nothing)
    execution_id: str | None = None
    idempotency_key: str | None = None
    captured: bool = True  # False: nothing that is stored may show its values
    canonical: Callable[[Mapping[str, Any]], bytes] | None = None  # arguments as JSON; None: by their own types
    _digest: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", MappingProxyType(dict(self.arguments)))

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON (RFC 8785) of name and arguments; worked out once, when first asked for."""
        if not self._digest:
            text = b'{"arguments":%b,"name":%b}' % (self.to_canonical(), _canonical_name(self.name))
            object.__setattr__(self, "_digest", digest(text))
        return self._digest

    def to_canonical(self) -> bytes:
        """The arguments as canonical JSON."""
        return self.canonical(self.arguments) if self.canonical is not None else _canonical(self.arguments)

    def __getattr__(self, name: str) -> Any:
        # Asked for only what is no field. While a copy is being made `arguments` may not be there yet.
        arguments: Mapping[str, Any] = object.__getattribute__(self, "arguments")
        try:
            return arguments[name]
        except KeyError:
            known = ", ".join(arguments) or "no arguments"
        raise AttributeError(f"action {self.name!r} has no argument {name!r}; it has {known}", name=name, obj=self)


def _canonical(arguments: Mapping[str, Any]) -> bytes:
    """The arguments as canonical JSON, each typed by the class of its value, for want of annotations."""
    names = sorted(arguments, key=lambda name: name.encode("utf-16-be"))
    parts = (
        b"%b:%b" % (_canonical_name(name), codec_for(type(arguments[name])).canonical(arguments[name]))
        for name in names
    )
    return b"{%b}" % b",".join(parts)


def _canonical_name(name: str) -> bytes:
    return canonical_text(name, name).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an action: its value, or the error that it raised."""

    value: Any = None
    error: BaseException | None = None

    @property
    def failed(self) -> bool:
        return self.error is not None

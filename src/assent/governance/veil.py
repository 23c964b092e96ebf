"""What a store may learn of the values of a call: no secrets, and nothing at all of a call that keeps no state."""

import dataclasses
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from assent.codec import from_json, to_json
from assent.governance.redaction import REDACTED, Redaction

SHORTEST_SECRET: Final = 4  # characters; anything shorter is found in every text by chance

UNKNOWN: Final = object()  # the value behind a piece of JSON that has another shape than its value


def veiled(redaction: Redaction, text: str, value: Any) -> str:
    """The JSON of a value without what the redaction hides, and otherwise whole; `text` itself if it hides nothing."""
    if redaction.spares(value):
        return text
    veil = _Veil(redaction)
    shown = veil.visit(from_json(text), value)
    return to_json(shown) if veil.hidden else text


def secrets_of(redaction: Redaction, text: str, value: Any) -> frozenset[str]:
    """The texts and numbers that the redaction hides in the JSON of a value."""
    veil = _Veil(redaction)
    veil.visit(from_json(text), value)
    return frozenset(leaf for data in veil.hidden for leaf in _leaves(data) if len(leaf) >= SHORTEST_SECRET)


def without(secrets: frozenset[str], text: str) -> str:
    """JSON in which the secrets do not occur, not even inside a longer text; `text` itself if they never did."""
    if not secrets:
        return text
    data = from_json(text)
    shown = _scrubbed(sorted(secrets, key=len, reverse=True), data)
    return text if shown == data else to_json(shown)


# Errors of ours that tell nothing of the values of a call.
HARMLESS: Final = frozenset(
    f"assent.errors:{name}"
    for name in (
        "ApprovalExpired", "ApprovalRejected", "PermitRefused", "RateLimited", "StateNotCaptured", "StepTimeout",
    )
)  # fmt: skip
ABOUT_CALLS: Final = ("execution_id", "action", "policy", "approval_id")  # attributes of errors, without values


def withheld_error(text: str) -> str:
    """The JSON of an error, of which only type and place are kept: its words may tell values of the call."""
    facts: dict[str, Any] = from_json(text)
    hold = facts["state"].get("hold")
    if facts["type"] in HARMLESS and not hold:
        return text
    state = {name: each for name, each in facts["state"].items() if name in ABOUT_CALLS}
    if hold:
        # Which budget or mandate it was; what follows is for whom a budget counts, which is made of the arguments.
        state["hold"] = ":".join(hold.split(":")[:2])
    if "reason" in facts["state"]:
        state["reason"] = "not kept"
    by = f" by policy {state['policy']!r}" if "policy" in state else ""
    message = f"{facts['type'].rpartition(':')[2]}{by}: what it said is not kept (capture_state=False)"
    return to_json({**facts, "message": message, "traceback": "", "args": None, "state": state})


class _Veil:
    """One pass over a piece of JSON beside the value that it stands for."""

    __slots__ = ("hidden", "redaction")

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction
        self.hidden: list[Any] = []

    def visit(self, data: Any, value: Any) -> Any:
        if isinstance(value, self.redaction.types):
            return self.hide(data)
        match data:
            case dict():
                parts = _parts_of(value, data)
                return self.fields(data, parts) if parts is not None else self.unmatched(data, value)
            case list():
                return self.items(data, value)
            case _:
                return data

    def fields(self, data: Mapping[str, Any], parts: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
        return {name: self.field(parts[name][0], data[name], parts[name][1], name) for name in data}

    def field(self, alias: str, data: Any, value: Any, name: str) -> Any:
        hides = self.redaction.hides
        return self.hide(data) if hides(name) or hides(alias) else self.visit(data, value)

    def items(self, data: list[Any], value: Any) -> list[Any] | str:
        values = _values_of(value, data)
        if values is None:
            return self.unmatched(data, value)  # type: ignore[no-any-return]  # the JSON of a list
        names = getattr(type(value), "_fields", None) if isinstance(value, tuple) else None
        if names is not None:
            return [self.field(name, one, each, name) for name, one, each in zip(names, data, values, strict=True)]
        # Headers and form fields often come as a list of pairs of name and value.
        if all(_is_named_pair(one) for one in data):
            return [
                [one[0], self.field(one[0], one[1], _second(each), one[0])]
                for one, each in zip(data, values, strict=True)
            ]
        return [self.visit(one, each) for one, each in zip(data, values, strict=True)]

    def unmatched(self, data: Any, value: Any) -> Any:
        """A serializer of its own has given the value another shape, so types are found nowhere in it: only names."""
        return self.hide(data) if _holds(value, self.redaction.types) else self.visit(data, UNKNOWN)

    def hide(self, data: Any) -> str:
        self.hidden.append(data)
        return REDACTED


def _parts_of(value: Any, data: Mapping[str, Any]) -> Mapping[str, tuple[str, Any]] | None:
    """For each field of the JSON object: what else it is called, and its value; None if the value has other fields."""
    found: dict[str, tuple[str, Any]]
    match value:
        case _ if value is UNKNOWN:
            return {name: (name, UNKNOWN) for name in data}
        case Mapping():
            if len(value) != len(data):
                return None
            found = {name: (name, one) for name, one in zip(data, value.values(), strict=True)}
        case BaseModel():
            known = type(value).model_fields
            found = {name: (known[name].alias or name if name in known else name, one) for name, one in value}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found = {one.name: (one.name, getattr(value, one.name, None)) for one in dataclasses.fields(value)}
        case _:
            return None
    return found if data.keys() <= found.keys() else None


def _values_of(value: Any, data: Sequence[Any]) -> Sequence[Any] | None:
    """The values behind the items of the JSON list; None if there are others."""
    if value is UNKNOWN:
        return [UNKNOWN] * len(data)
    if not isinstance(value, list | tuple | set | frozenset | deque) or len(value) != len(data):
        return None
    return list(value)


def _is_named_pair(data: Any) -> bool:
    return isinstance(data, list) and len(data) == 2 and isinstance(data[0], str)


def _second(value: Any) -> Any:
    return value[1] if isinstance(value, list | tuple) and len(value) == 2 else UNKNOWN


def _holds(value: Any, types: tuple[type, ...]) -> bool:
    """Whether there is a value of these types anywhere inside."""
    if isinstance(value, types):
        return True
    match value:
        case Mapping():
            return any(_holds(one, types) for one in value.values())
        case BaseModel():
            return any(_holds(one, types) for _, one in value)
        case list() | tuple() | set() | frozenset() | deque():
            return any(_holds(one, types) for one in value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return any(_holds(getattr(value, one.name, None), types) for one in dataclasses.fields(value))
        case _:
            return False


def _leaves(data: Any) -> Iterator[str]:
    match data:
        case dict():
            for one in data.values():
                yield from _leaves(one)
        case list():
            for one in data:
                yield from _leaves(one)
        case None | bool():
            return
        case _:
            yield str(data)


def _scrubbed(secrets: Sequence[str], data: Any) -> Any:
    match data:
        case str():
            for secret in secrets:
                # A traceback or another message may hold it as it stands, or as Python or JSON would write it.
                for form in {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}:
                    data = data.replace(form, REDACTED)
            return data
        case list():
            return [_scrubbed(secrets, one) for one in data]
        case dict():
            return {name: one if name == "type" else _scrubbed(secrets, one) for name, one in data.items()}
        case int() | float() if not isinstance(data, bool) and str(data) in secrets:
            return REDACTED
        case _:
            return data

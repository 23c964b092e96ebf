"""Arguments from the command line, as the function's own types."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_type_hints

from pydantic import ValidationError

from assent.codec import codec_for
from assent.engine import Program
from assent.errors import CodecError, UsageError


def bound_arguments(program: Program, document: str | None, pairs: Sequence[str]) -> dict[str, Any]:
    """The arguments of a call: those of the JSON document, then those of the pairs. Raises UsageError."""
    hints = _hints(program)
    given = {name: _decoded(name, [text], hints) for name, text in _members(document).items()}
    given |= {name: _decoded(name, _readings(name, text, hints), hints) for name, text in _split(pairs)}
    try:
        return program.signature.bind((), given)
    except TypeError as error:
        raise UsageError(f"{error}. Give arguments as --arg name=value, or as one JSON object.") from error


def parsed(text: str, what: str) -> Any:
    """The value of a JSON text. Raises UsageError."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        looks_like_words = text[:1] not in {"{", "[", '"'} and "'" not in text
        quoted = f" A text needs quotes of its own: '{json.dumps(text)}'." if looks_like_words else ""
        raise UsageError(f"{what} {text!r} is no JSON ({error}).{quoted}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"it has no {constant}")


def _members(document: str | None) -> dict[str, str]:
    if document is None:
        return {}
    value = parsed(document, "The document of arguments")
    if not isinstance(value, dict):
        raise UsageError(f"{document!r} is no JSON object. Give the arguments by name: '{{\"amount\": 50000}}'.")
    return {name: json.dumps(each) for name, each in value.items()}


def _split(pairs: Sequence[str]) -> Iterable[tuple[str, str]]:
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{pair!r} is no argument. Write --arg name=value.")
        yield name, text


def _readings(name: str, text: str, hints: Mapping[str, Any]) -> list[str]:
    """A pair's value as text, and as JSON if it is that; without an annotation JSON goes first."""
    readings = [json.dumps(text)]
    try:
        json.loads(text)
        readings.append(text)
    except ValueError:
        pass
    return readings if name in hints else readings[::-1]


def _decoded(name: str, readings: Sequence[str], hints: Mapping[str, Any]) -> Any:
    codec = codec_for(hints.get(name, Any))
    problem = ""
    for text in readings:
        try:
            return codec.decode(text)
        except CodecError as error:
            problem = _problem(error)
    raise UsageError(f"Argument {name} does not fit with {readings[-1]}: {problem}.")


def _problem(error: CodecError) -> str:
    """What is wrong with a value, without the advice for values that a program has written."""
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return str(error).rstrip(".")
    places = (".".join(map(str, each["loc"])) for each in cause.errors())
    words = (each["msg"] for each in cause.errors())
    return "; ".join(f"{place}: {said}" if place else said for place, said in zip(places, words, strict=True))


def _hints(program: Program) -> dict[str, Any]:
    try:
        return get_type_hints(program.signature.function, include_extras=True)
    except NameError as error:
        raise UsageError(
            f"The annotations of {program.name} cannot be resolved: {error}. Import what they name."
        ) from error

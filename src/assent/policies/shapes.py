"""Whether data has the shape that a JSON Schema tells, and if not, what is wrong with it in words for people."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from assent.policies.documents import Place

SHOWN: Final = 60  # characters of a wrong value


class Problem(NamedTuple):
    """What is wrong, and where."""

    place: Place
    words: str


KINDS: Final[Mapping[str, tuple[str, tuple[type, ...]]]] = {
    "string": ("a text", (str,)),
    "boolean": ("true or false", (bool,)),
    "integer": ("a whole number", (int, Decimal)),
    "number": ("a number", (int, Decimal)),
    "array": ("a list", (list,)),
    "object": ("a map", (dict,)),
}


def problems_of(schema: Mapping[str, Any], data: Any, root: Mapping[str, Any], place: Place = ()) -> Iterator[Problem]:
    """All that is wrong with the data; `root` has the definitions that the schema refers to."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        yield from _of_choice(schema["anyOf"], data, root, place)
        return
    problem = _of_value(schema, data)
    if problem:
        yield Problem(place, problem)
    elif isinstance(data, dict):
        yield from _of_map(schema, data, root, place)
    elif isinstance(data, list):
        for number, one in enumerate(data):
            yield from problems_of(schema.get("items", {}), one, root, (*place, number))


def _of_value(schema: Mapping[str, Any], data: Any) -> str:
    """What is wrong with a value, leaving out what is inside of it."""
    kind = schema.get("type")
    if kind is not None and not _is(kind, data):
        return f"{_told(data)} is not {KINDS[kind][0]}. Write {KINDS[kind][0]}."
    if "const" in schema and (data != schema["const"] or isinstance(data, bool)):
        return f"{_told(data)} is unknown. Write {_told(schema['const'])}."
    if "enum" in schema and data not in schema["enum"]:
        return f"{_told(data)} is unknown. {_instead(data, schema['enum'])}"
    return _of_size(schema, data)


def _of_size(schema: Mapping[str, Any], data: Any) -> str:
    if isinstance(data, str):
        if not schema.get("minLength", 0) <= len(data) <= schema.get("maxLength", len(data)):
            return (
                "it is empty. Write something."
                if not data
                else f"it is too long. Write {schema['maxLength']} characters."
            )
        if "pattern" in schema and not re.search(schema["pattern"], data, re.ASCII):
            return f"{_told(data)} is not of the form that is needed here. Write it as in the documentation."
    if isinstance(data, int | Decimal) and not isinstance(data, bool) and data < schema.get("minimum", data):
        return f"{data} is too small. Write {schema['minimum']} or more."
    if isinstance(data, list) and len(data) < schema.get("minItems", 0):
        return "it is empty. Name something, or leave the key out."
    return ""


def _is(kind: str, data: Any) -> bool:
    if isinstance(data, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(data, Decimal):
        return data == data.to_integral_value()
    return isinstance(data, KINDS[kind][1])


def _of_map(
    schema: Mapping[str, Any], data: Mapping[str, Any], root: Mapping[str, Any], place: Place
) -> Iterator[Problem]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key in schema.get("required", ()):
        if key not in data:
            yield Problem(place, f"{key!r} is missing. Write it.")
    for key, one in data.items():
        if key in known:
            yield from problems_of(known[key], one, root, (*place, key))
        elif others is False:
            yield Problem((*place, key), f"there is no key {key!r} here. {_instead(key, known)}")
        elif isinstance(others, Mapping):
            yield from problems_of(others, one, root, (*place, key))


def _of_choice(choices: list[Mapping[str, Any]], data: Any, root: Mapping[str, Any], place: Place) -> Iterator[Problem]:
    """What is wrong with data that may have one of several shapes: with that of them which it seems to be meant for."""
    found = [list(problems_of(each, data, root, place)) for each in choices]
    if [] in found:
        return
    types = [each.get("properties", {}).get("type", {}).get("const") for each in choices]
    if isinstance(data, dict) and any(types):
        yield from _of_type(types, found, data, place)
        return
    # The shape that the data is nearest to: of its kind, and with the trouble deep inside.
    yield from max(zip(choices, found, strict=True), key=lambda each: _nearness(each[0], each[1], data))[1]


def _nearness(shape: Mapping[str, Any], problems: list[Problem], data: Any) -> tuple[int, bool]:
    return max(len(each.place) for each in problems), "type" in shape and _is(shape["type"], data)


def _of_type(types: list[Any], found: list[list[Problem]], data: Mapping[str, Any], place: Place) -> Iterator[Problem]:
    if "type" not in data:
        yield Problem(place, f"'type' is missing. {_instead('', types)}")
    elif data["type"] not in types:
        yield Problem((*place, "type"), f"{_told(data['type'])} is unknown. {_instead(data['type'], types)}")
    else:
        yield from found[types.index(data["type"])]


def _instead(word: Any, known: Any) -> str:
    words = [str(each) for each in known]
    close = get_close_matches(str(word), words, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(words)}."


def _told(value: Any) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"

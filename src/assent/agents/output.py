"""What an agent must answer: the schema that the model is shown, and its text as a value of the type.

A text is read strictly: what is not surely meant is an error that tells the model what was expected, and never a guess.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from functools import cached_property
from itertools import islice
from typing import Any, Final, Literal, get_args, get_origin

import pydantic_core
from pydantic import ValidationError

from assent.agents.messages import OutputSchema
from assent.codec import codec_for, from_json, to_json
from assent.errors import CodecError

# Around a value that is no object, since providers take schemas of objects only.
RESULT: Final = "result"

_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_FENCED = re.compile(r"```[a-zA-Z]*[ \t]*\n(.*?)```", re.DOTALL)
_YES_AND_NO: Final[Mapping[str, str]] = {"true": "true", "yes": "true", "false": "false", "no": "false"}
_WRAPPED = "\"'`*. \t\r\n"
_LONGEST = 1000
_PLACES = 50  # at which JSON is looked for within a text; each costs a look at all that follows


class OutputInvalid(Exception):
    """The model's text is no value of the type; the message is for the model."""


class Output:
    """The type of an agent's answer."""

    def __init__(self, annotation: Any, name: str) -> None:
        self.annotation = annotation
        self.name = name
        self.is_text = annotation is str or annotation is Any
        self._codec = codec_for(annotation)

    @cached_property
    def schema(self) -> OutputSchema | None:
        """What the model is asked for; None: a text. Raises CodecError for a type that has no schema."""
        if self.is_text:
            return None
        schema = self._codec.schema()
        definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
        if not self._is_object:
            schema = {"type": "object", "properties": {RESULT: schema}, "required": [RESULT]}
        elif "$ref" in schema:  # to itself, and no provider takes that for an object
            schema = definitions["$defs"][_last(schema["$ref"])]
        schema = {**schema, **definitions}
        return OutputSchema("final_result", schema, f"the result of {self.name}")

    def read(self, text: str) -> Any:
        """The value that a text means. Raises OutputInvalid."""
        if self.is_text:
            return text
        problem = ""
        for candidate in self._candidates(text):
            try:
                return self._codec.decode(candidate)
            except CodecError as error:
                problem = problem or _told(error)
        expected = to_json(self._codec.schema())
        raise OutputInvalid(
            f"That is no valid result: {problem or 'no JSON was found in it'}. Answer again, with nothing but JSON of "
            f"this schema: {expected}"
        )

    def partial(self, text: str) -> Any:
        """What a text that is still being written is as a value of the type; None if that cannot be told yet."""
        if self.is_text:
            return text
        try:
            found = pydantic_core.from_json(text, allow_partial="trailing-strings")
        except (ValueError, TypeError):  # or it is no text that can be written
            return None
        if not self._is_object and isinstance(found, dict):
            found = found.get(RESULT)
        return None if found is None else self._codec.decode_partial(to_json(found))

    @cached_property
    def _is_object(self) -> bool:
        schema = self._codec.schema()
        target = schema.get("$defs", {}).get(_last(schema.get("$ref", "")), schema)
        return bool(target.get("type") == "object")

    def _candidates(self, text: str) -> Iterator[str]:
        """What a text may mean as JSON, the likeliest first."""
        plain = text.strip(_WRAPPED)
        if Decimal in _kinds(self.annotation) and _NUMBER.fullmatch(plain):
            yield to_json(plain.replace(",", ""))  # as text: a number in JSON is a float, which forgets digits
        for part in (text.strip(), *(found.strip() for found in _FENCED.findall(text))):
            value = _parsed(part)
            if not self._is_object and isinstance(value, dict) and value.keys() == {RESULT}:
                value, part = value[RESULT], to_json(value[RESULT])
            # Where a number is asked for, true is none, although pydantic would take it for 1.
            if value is not _NOTHING and not (isinstance(value, bool) and self._is_number):
                yield part
        yield from self._plain(plain)
        if self._is_object or self._is_array:
            yield from _embedded(text, "{" if self._is_object else "[")
        if str in _kinds(self.annotation):
            yield to_json(text)

    @cached_property
    def _is_number(self) -> bool:
        kinds = _kinds(self.annotation)
        return bool not in kinds and any(each in kinds for each in (int, float, Decimal))

    @cached_property
    def _is_array(self) -> bool:
        return self._codec.schema().get("type") == "array"

    def _plain(self, text: str) -> Iterator[str]:
        """A word or a number that is the whole answer."""
        for kind in _kinds(self.annotation):
            if kind is bool and text.lower() in _YES_AND_NO:
                yield _YES_AND_NO[text.lower()]
            elif kind is not bool and _NUMBER.fullmatch(text):
                yield text.replace(",", "").removeprefix("+")
            choices = [each for each in _choices(kind) if isinstance(each, str) and each.lower() == text.lower()]
            yield from (to_json(each) for each in sorted(choices, key=text.__ne__))


_NOTHING: Final = object()


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


def _parsed(text: str) -> Any:
    try:
        return from_json(text)
    except (ValueError, TypeError):  # or it is no text that can be written
        return _NOTHING


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    if get_origin(annotation) in {Literal, list, dict, tuple, set}:
        return (annotation,)
    return get_args(annotation) or (annotation,)


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(each.value for each in kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()


def _embedded(text: str, opening: str) -> Iterator[str]:
    """Balanced JSON within other text, the longest first."""
    found, end = [], 0
    for place in islice((match.start() for match in re.finditer(re.escape(opening), text)), _PLACES):
        if place >= end and (length := _balanced(text[place:])):
            found.append(text[place : place + length])
            end = place + length
    yield from sorted(found, key=len, reverse=True)


def _balanced(text: str) -> int:
    """How long the JSON at the start of a text is, 0 if there is none."""
    depth, in_string, escaped = 0, False, False
    for place, letter in enumerate(text):
        if in_string:
            in_string, escaped = escaped or letter != '"', not escaped and letter == "\\"
        elif letter == '"':
            in_string = True
        elif letter in "{[":
            depth += 1
        elif letter in "}]":
            depth -= 1
            if depth == 0:
                return place + 1 if _parsed(text[: place + 1]) is not _NOTHING else 0
    return 0


def _told(error: CodecError) -> str:
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return str(error)[:_LONGEST]
    faults = cause.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the value'}: {each['msg']}" for each in faults)[:_LONGEST]

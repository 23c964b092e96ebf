"""A model's text is read as what it surely means, and never as a guess."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from assent.agents.output import Output, OutputInvalid


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Person(BaseModel):
    name: str
    age: int


@dataclass
class Place:
    city: str
    tags: list[str]


class Node(BaseModel):
    name: str
    children: list["Node"] = []


ADA = Person(name="Ada", age=36)

MEANT: list[tuple[Any, str, Any]] = [
    (str, "as it is ", "as it is "),
    (bool, "true", True),
    (bool, "Yes.", True),
    (bool, "**no**", False),
    (bool, '{"result": false}', False),
    (int, "5", 5),
    (int, "1,250", 1250),
    (int, "-7.", -7),
    (int, "`12`", 12),
    (int, '{"result": 3}', 3),
    (float, "0.9", 0.9),
    (float, "1e3", 1000.0),
    (Decimal, "12.50", Decimal("12.50")),
    (Decimal, "0.1234567890123456789", Decimal("0.1234567890123456789")),
    (Decimal, "1,000.10", Decimal("1000.10")),
    (Literal["positive", "negative"], "Positive", "positive"),
    (Literal["positive", "negative"], '"negative"', "negative"),
    (Colour, "Red", Colour.RED),
    (Colour, '"blue"', Colour.BLUE),
    (list[int], "[1, 2]", [1, 2]),
    (list[int], "The numbers are [1, 2, 3], I think.", [1, 2, 3]),
    (list[str], '{"result": ["a"]}', ["a"]),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (Person, '{"name": "Ada", "age": 36}', ADA),
    (Person, 'Sure!\n```json\n{"name": "Ada", "age": 36}\n```\nDone.', ADA),
    (Person, 'It is {"name": "Ada", "age": 36}, as {asked}.', ADA),
    (Place, '{"city": "Rome {old}", "tags": ["a"]}', Place("Rome {old}", ["a"])),
    (int | None, "null", None),
    (int | None, "4", 4),
    (str | None, "just words", "just words"),
    (int | str, "7", 7),
    (Person | int, "8", 8),
    (Literal["a", "A"], "A", "A"),
    (Node, '{"name": "a", "children": [{"name": "b"}]}', Node(name="a", children=[Node(name="b")])),
    (tuple[int, str], '[1, "a"]', (1, "a")),
    (Annotated[int, Field(ge=3)], "5", 5),
    (Person | int, '{"name": "Ada", "age": 36}', ADA),
]

UNCLEAR: list[tuple[Any, str]] = [
    (bool, "Not true"),
    (bool, "yesterday was false"),
    (bool, "10 reasons against: no"),
    (bool, "maybe"),
    (int, "five"),
    (int, "5 or 6"),
    (int, "1.5"),
    (int, "12,50"),
    (int, "true"),
    (int, '{"result": true}'),
    (Annotated[int, Field(ge=3)], "2"),
    (float, "about 0.9"),
    (float, "false"),
    (Decimal, "12 euros"),
    (dict[str, int], "half a letter: \ud83d"),
    (Literal["positive", "negative"], "not positive"),
    (Colour, "reddish"),
    (list[int], "1, 2"),
    (list[int], '["a"]'),
    (Person, '{"name": "Ada"}'),
    (Person, '{"name": "Ada", "age": "old"}'),
    (Person, "Ada, 36"),
    (dict[str, int], '{"a": "b"}'),
]


@pytest.mark.parametrize(("annotation", "text", "meant"), MEANT, ids=str)
def test_what_is_meant(annotation: Any, text: str, meant: Any) -> None:
    found = Output(annotation, "f").read(text)
    assert (type(found), found) == (type(meant), meant)


@pytest.mark.parametrize(("annotation", "text"), UNCLEAR, ids=str)
def test_what_is_unclear_is_told_with_the_schema(annotation: Any, text: str) -> None:
    with pytest.raises(OutputInvalid, match="Answer again, with nothing but JSON of this schema"):
        Output(annotation, "f").read(text)


def test_the_model_is_told_which_field_is_wrong() -> None:
    with pytest.raises(OutputInvalid, match=r"age: Input should be a valid integer.*"):
        Output(Person, "f").read('{"name": "Ada", "age": "old"}')


def test_a_schema_is_always_one_of_an_object() -> None:
    for annotation, _, _ in MEANT[1:]:
        schema = Output(annotation, "f").schema
        assert schema is not None
        assert schema.schema["type"] == "object"
    assert Output(str, "f").schema is None


class Story(TypedDict, total=False):
    title: str
    parts: list[str]


def test_partial_texts_grow_into_the_value() -> None:
    text = '{"title": "Ada", "parts": ["one", "two"]}'
    found = [Output(Story, "f").partial(text[:end]) for end in range(1, len(text) + 1)]
    assert found[0] == {}
    assert {"title": "Ad"} in found
    assert {"title": "Ada", "parts": ["one", "t"]} in found
    assert found[-1] == {"title": "Ada", "parts": ["one", "two"]}


def test_a_partial_list_holds_what_is_whole() -> None:
    people = Output(list[Person], "f")
    assert people.partial('{"result": [{"name": "Ada", "age": 36}, {"name": "Bo') == [ADA]
    assert people.partial('[{"name": "Ada", "age": 36}') == [ADA]
    assert people.partial("soon") is None
    assert Output(Person, "f").partial('{"name": "Ada"') is None


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", ["{" * 200_000, "[" * 100_000 + "]" * 100_000, "```" + "\n" * 100_000, "1," * 100_000])
def test_no_text_takes_long(text: str) -> None:
    for annotation in (Person, list[int], int, Literal["a"]):
        with pytest.raises(OutputInvalid):
            Output(annotation, "f").read(text)


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    for annotation in (int, bool, Decimal, Person, list[int], dict[str, int], Colour, float):
        try:
            Output(annotation, "f").read(text)
        except OutputInvalid as error:
            assert str(error)  # noqa: PT017 - most texts are invalid, and some are not


@given(st.integers())
def test_every_number_is_read_with_separators_and_without(number: int) -> None:
    assert Output(int, "f").read(str(number)) == number
    assert Output(int, "f").read(f"{number:,}") == number

"""`@tool`: functions as models see them, and what they make of a model's arguments."""

import functools
from dataclasses import dataclass
from typing import Any

import pytest

from assent import Retry, ValidationPolicy, govern, step, workflow
from assent.errors import CodecError, PolicyDenied, UsageError
from assent.testing import memory_runtime
from assent.tools import Tool, as_tool, tool


@dataclass
class Point:
    x: int
    y: int = 0


@tool
async def draw(points: list[Point], color: str = "black") -> str:
    """Draw a line.

    From the first point to the last.
    """
    return f"{color} {points}"


class Desk:
    def __init__(self, owner: str) -> None:
        self.owner = owner

    @tool
    async def read(self, paper: str) -> str:
        """Read a paper."""
        return f"{self.owner} reads {paper}"


# As a model sees it.


def test_a_tool_has_the_name_the_docstring_and_the_schema_of_its_function() -> None:
    assert (draw.name, draw.description) == ("draw", "Draw a line.\n\nFrom the first point to the last.")
    assert draw.parameters["required"] == ["points"]
    assert draw.parameters["properties"]["points"]["type"] == "array"
    assert draw.parameters["properties"]["color"]["type"] == "string"


def test_name_and_description_can_be_given() -> None:
    named = tool(name="paint-1", description="Paint.")(draw.__wrapped__)
    assert (named.name, named.description) == ("paint-1", "Paint.")
    assert tool(name="paint")(draw).name == "paint"
    assert as_tool(draw) is draw


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "naïve", "a.b"])
def test_a_name_that_providers_refuse_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a tool"):
        tool(name=name)(draw.__wrapped__)


def test_a_parameter_without_a_name_is_refused() -> None:
    async def several(*numbers: int) -> int:
        return sum(numbers)

    async def anything(**facts: Any) -> int:
        return len(facts)

    async def first(number: int, /) -> int:
        return number

    for fn in (several, anything, first):
        with pytest.raises(UsageError, match="by the names of its parameters"):
            tool(fn)


def test_what_tells_nothing_about_itself_is_refused() -> None:
    # Of a partial, the model could also change what is fixed in it.
    for thing in (functools.partial(draw, color="red"), functools.partial(draw.__wrapped__, color="red")):
        with pytest.raises(UsageError, match="Write a function with a docstring"):
            as_tool(thing)
    with pytest.raises(UsageError, match="is no tool"):
        as_tool("draw")


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match=r"@tool has no option onec. It has cache, description, .*once"):
        tool(onec=True)(draw.__wrapped__)  # type: ignore[call-overload]  # what must not be


def test_terms_that_would_not_hold_are_refused() -> None:
    @step
    async def one() -> None: ...

    @workflow
    async def two() -> None: ...

    @govern([ValidationPolicy(check=lambda action: True)])
    async def three() -> None: ...

    for fn in (one, two, three):
        with pytest.raises(UsageError, match="terms of its own, so retry, once would have no effect"):
            tool(once=True, retry=Retry(3))(fn)


# Arguments as a model writes them.


def test_arguments_are_read_as_the_types_of_the_parameters() -> None:
    assert draw.read('{"points": [{"x": 1}]}') == {"points": [Point(1)], "color": "black"}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", "missing a required argument: 'points'"),
        ("null", "must be a JSON object"),
        ('["a"]', "must be a JSON object"),
        ("{points: []}", "are no JSON"),
        ('{"points": [}', "are no JSON"),
        ("[" * 100_000, "are no JSON"),
        ('{"points": ' * 100_000, "are no JSON"),
        ('{"points": "\ud800"}', "are no JSON"),
        ('{"points": 9' + "9" * 9999 + "}", "are no JSON"),
        ('{"points": [{"x": "much"}]}', "valid integer"),
        ('{"points": [], "size": 3}', "unexpected keyword argument 'size'"),
        ('{"points": [], "self": 3}', "unexpected keyword argument 'self'"),
        ('{"points": NaN}', "valid array"),
    ],
)
def test_what_cannot_be_read_is_told(written: str, told: str) -> None:
    with pytest.raises(CodecError, match=told):
        draw.read(written)


def test_a_template_in_an_argument_is_data() -> None:
    assert draw.read('{"points": [], "color": "{{ 7 * 7 }}"}')["color"] == "{{ 7 * 7 }}"


# As a function.


async def test_called_by_hand_it_is_the_function() -> None:
    assert await draw([Point(1)], color="red") == "red [Point(x=1, y=0)]"

    @tool
    def plain(number: int) -> int:
        return number + 1

    assert await plain(1) == 2


async def test_a_method_is_a_tool_of_its_object() -> None:
    ada, ben = Desk("ada"), Desk("ben")
    assert await ada.read("it") == "ada reads it"
    assert await ben.read(paper="it") == "ben reads it"
    assert list(ada.read.parameters["properties"]) == ["paper"]
    assert isinstance(Desk.read, Tool)


async def test_in_a_workflow_a_call_is_a_step_with_its_terms() -> None:
    tried = []

    @tool(retry=Retry(3, initial=0.001), timeout="1m")
    async def flaky(number: int) -> int:
        tried.append(number)
        if len(tried) < 3:
            raise ConnectionError
        return number

    @workflow
    async def uses() -> int:
        return await flaky(7)

    async with memory_runtime() as runtime:
        handle = await runtime.start(uses)
        assert await handle.result() == 7
        told = [(event.type, event.name) for event in await handle.events() if event.op == 0 or event.name]
    assert [each for each in told if each[1] == "tool flaky"] == [
        ("step.retried", "tool flaky"),
        ("step.retried", "tool flaky"),
        ("step.completed", "tool flaky"),
    ]


async def test_govern_and_tool_may_stand_in_either_order() -> None:
    few = ValidationPolicy(check=lambda action: action.amount < 100)

    @tool
    @govern([few])
    async def pay(amount: int) -> str:
        """Pay."""
        return "paid"

    @govern([few])
    @tool
    async def send(amount: int) -> str:
        """Send."""
        return "sent"

    for each, result in ((pay, "paid"), (as_tool(send), "sent")):
        assert each.parameters["properties"]["amount"]["type"] == "integer"
        assert await each(5) == result
        with pytest.raises(PolicyDenied):
            await each(500)

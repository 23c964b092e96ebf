"""What an agent says can be heard while it says it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from assent import step, workflow
from assent.agents.agent import agent
from assent.agents.messages import AssistantMessage, ModelRequest, ModelResponse
from assent.agents.streaming import Piece
from assent.errors import AgentStopped, ModelUnavailable, UsageError
from assent.runtime import Runtime
from assent.testing.scripted import ScriptedModel


@agent(model=ScriptedModel(lambda _: "one two three"))
async def counts(to: int) -> str:
    """Count to {{ to }}."""
    ...


async def pieces_of(stream: Any) -> list[Piece]:
    return [piece async for piece in stream]


async def test_the_pieces_make_the_result() -> None:
    async with counts.stream(3) as stream:
        pieces = await pieces_of(stream)
        assert await stream.result() == "one two three"
    assert [piece.text for piece in pieces] == ["one", " two", " three"]
    assert [piece.is_fresh for piece in pieces] == [True, False, False]
    assert pieces[1].partial == "one two"


async def test_an_execution_is_heard_as_well(runtime: Runtime) -> None:
    async with counts.stream(3) as stream:
        pieces = await pieces_of(stream)
        assert await stream.result() == "one two three"
    assert "".join(piece.text for piece in pieces) == "one two three"
    (execution,) = await runtime.executions()
    assert execution.status.value == "completed"


async def test_two_that_listen_hear_each_their_own() -> None:
    @agent(model=ScriptedModel(lambda request: f"to {request.messages[-1].text}"))
    async def echo(text: str) -> str:
        """{{ text }}"""
        ...

    async with echo.stream("a") as one, echo.stream("b") as other:
        found = await asyncio.gather(pieces_of(one), pieces_of(other))
    assert [[piece.text for piece in pieces] for pieces in found] == [["to", " a"], ["to", " b"]]


async def test_typed_partials_grow() -> None:
    @agent(model=ScriptedModel('{"result": ["a", "b", "c"]}'))
    async def letters() -> list[str]:
        """Letters."""
        ...

    async with letters.stream() as stream:
        pieces = await pieces_of(stream)
    assert [piece.partial for piece in pieces] == [None, ["a"], ["a", "b"], ["a", "b", "c"]]


class Stutters:
    """Breaks off once in the middle of its answer, and hangs after it if it is told to."""

    name = "stutters"

    def __init__(self) -> None:
        self.requests = 0
        self.is_closed = False

    async def request(self, request: ModelRequest) -> ModelResponse:
        raise AssertionError("nobody listens")

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse, None]:
        self.requests += 1
        try:
            yield "half"
            if self.requests == 1:
                raise ModelUnavailable("cut off", model=self.name)
            if request.messages[-1].text == "hang":
                await asyncio.Event().wait()
            yield " of it"
            yield ModelResponse(message=AssistantMessage("half of it"), model=self.name)
        finally:
            self.is_closed = True


async def test_an_answer_that_was_cut_off_begins_anew(runtime: Runtime) -> None:
    @agent(model=Stutters())
    async def act() -> str:
        """Act."""
        ...

    async with act.stream() as stream:
        pieces = await pieces_of(stream)
        assert await stream.result() == "half of it"
    assert [(piece.text, piece.is_fresh) for piece in pieces] == [("half", True), ("half", True), (" of it", False)]


async def test_who_leaves_a_plain_call_ends_it() -> None:
    model = Stutters()
    model.requests = 1

    @agent(model=model)
    async def act() -> str:
        """Hang"""
        ...

    async with act.stream() as stream:
        async for piece in stream:
            assert piece.text == "half"
            break
    assert model.is_closed


async def test_what_goes_wrong_is_raised_with_the_result() -> None:
    @agent(model=ScriptedModel("x"), repairs=0)
    async def number() -> int:
        """A number."""
        ...

    async with number.stream() as stream:
        await pieces_of(stream)
        with pytest.raises(AgentStopped):
            await stream.result()


async def test_workflow_code_hears_only_results(runtime: Runtime) -> None:
    @workflow
    async def listens() -> str:
        async with counts.stream(3) as stream:
            return await stream.result()

    with pytest.raises(UsageError, match="Workflow code hears only results"):
        await listens()


async def test_a_step_hears_its_agent_as_well(runtime: Runtime) -> None:
    @step
    async def listen() -> list[str]:
        async with counts.stream(3) as stream:
            return [piece.text async for piece in stream]

    @workflow
    async def listens() -> list[str]:
        return await listen()

    assert await listens() == ["one", " two", " three"]
    assert {execution.name for execution in await runtime.executions()} == {"counts", "listens"}


async def test_what_has_been_heard_is_heard_once() -> None:
    async with counts.stream(3) as stream:
        assert len(await pieces_of(stream)) == 3
        assert await pieces_of(stream) == []


async def test_nobody_is_remembered_who_listens_no_more(runtime: Runtime) -> None:
    for _ in range(3):
        async with counts.stream(3):
            pass
        async with counts.stream(3) as stream:
            async for _piece in stream:
                break
    assert not counts.spec.audience._ears


class Strange(BaseModel):
    kind: str
    text: str

    @field_validator("kind")
    @classmethod
    def known(cls, kind: str) -> str:
        return {"note": "note"}[kind]


class Spells:
    """Gives its answer letter by letter, with nothing before the first."""

    name = "spells"

    async def request(self, request: ModelRequest) -> ModelResponse:
        raise AssertionError("somebody listens")

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse, None]:
        text = '{"kind": "note", "text": "half a letter: \ud83d"}'
        yield ""
        for letter in text:
            yield letter
        yield ModelResponse(message=AssistantMessage(text), model=self.name)


async def test_a_type_that_cannot_read_half_an_answer_disturbs_nothing(runtime: Runtime) -> None:
    @agent(model=Spells())
    async def act() -> Strange:
        """Act."""
        ...

    async with act.stream() as stream:
        pieces = await pieces_of(stream)
        assert await stream.result() == Strange(kind="note", text="half a letter: ?")
    assert [piece.is_fresh for piece in pieces[:2]] == [True, False]

"""Agents made with Pydantic AI run on the journal as they are."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from assent import Selector, ValidationPolicy, workflow
from assent.agents.durable import durable
from assent.errors import UsageError
from assent.runtime import Runtime
from assent.store.sqlite import SqliteStore
from assent.testing import every_crash, memory_runtime, survived

ASKED = Path("asked.txt")  # in the folder of the process


class Report(BaseModel):
    places: int
    text: str


def say(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    turn = sum(isinstance(each, ModelResponse) for each in messages)
    with ASKED.open("a") as file:
        file.write(f"model {turn}\n")
    if turn == 0:
        return ModelResponse(parts=[ToolCallPart("look", {"place": each}, tool_call_id=each) for each in "ab"])
    if turn == 1:
        return ModelResponse(parts=[ToolCallPart("wrong", {}, tool_call_id="c")])
    seen = [str(part.content) for part in messages[2].parts if part.part_kind == "tool-return"]
    return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"places": 2, "text": " and ".join(seen)})])


scout: Agent[str, Report] = Agent(FunctionModel(say), deps_type=str, output_type=Report, name="scout", retries=3)


@scout.tool
async def look(ctx: RunContext[str], place: str) -> str:
    with ASKED.open("a") as file:
        file.write(f"look {place}\n")
    await asyncio.sleep(0.001)
    return f"{place} is {ctx.deps}"


recorded = durable(scout)


@workflow
async def explore(task: str) -> Report:
    return (await recorded.run(task, deps="fine")).output


EXPECTED = Report(places=2, text="a is fine and b is fine")


async def program(store: SqliteStore) -> Report:
    async with Runtime(store=store, workflows=[explore]) as runtime:
        found: Report = await (await runtime.start(explore, "Look around.", id="it")).result()
        return found


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("own_folder")
async def test_it_is_replayed_after_every_step(runtime: Runtime) -> None:
    handle = await runtime.start(explore, "Look around.")
    assert await handle.result() == EXPECTED
    steps = [event.name for event in await handle.events() if event.type == "step.completed"]
    assert steps == ["model function:function:say:", "tool look", "tool look", *["model function:function:say:"] * 2]


@pytest.mark.timeout(240)
def test_it_goes_on_from_the_middle_after_a_crash(tmp_path: Path) -> None:
    assert survived(program, tmp_path / "undisturbed").result == EXPECTED
    crashes = 0
    for recovery in every_crash(program, tmp_path / "crashed"):
        crashes += 1
        assert recovery.life.result == EXPECTED, f"after {recovery.crash}: {recovery.life.error!r}"
        again = (recovery.folder / ASKED).read_text().splitlines()
        kept = sum(event.type == "step.completed" for event in recovery.life.found)
        assert len(again) <= 5 + 2, "no more than the two calls side by side were cut off"
        assert len(again) >= 5
        assert kept <= 5
    assert crashes >= 10


@pytest.mark.usefixtures("own_folder")
async def test_its_tools_pass_the_policies_of_the_runtime() -> None:
    seen = []

    def allowed(action: Any) -> bool:
        seen.append(dict(action.arguments))
        return bool(action.arguments["place"] != "b")

    told: list[str] = []

    def say(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        if len(messages) == 1:
            return ModelResponse(parts=[ToolCallPart("look", {"place": "b"})])
        return ModelResponse(parts=[TextPart("done")])

    agent = Agent(FunctionModel(say), name="clerk")

    @agent.tool_plain
    async def look(place: str) -> str:
        told.append(place)
        return place

    clerk = durable(agent)

    @workflow
    async def work() -> str:
        try:
            return (await clerk.run("Look.")).output
        except PermissionError as error:
            return f"denied: {type(error).__name__}"

    policy = ValidationPolicy(check=allowed, applies_to=Selector(actions=["look"]))
    async with memory_runtime(policies=[policy]) as runtime:
        assert await (await runtime.start(work)).result() == "denied: ValidationDenied"
    assert seen[0] == {"place": "b"}
    assert told == []


@pytest.mark.usefixtures("own_folder")
async def test_a_run_that_fails_is_told_as_ended(runtime: Runtime) -> None:
    def breaks(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise LookupError("no such model")

    clumsy = durable(Agent(FunctionModel(breaks), name="clumsy"))

    @workflow
    async def tries() -> str:
        try:
            await clumsy.run("Do it.")
        except LookupError:
            return "failed"
        return "done"

    handle = await runtime.start(tries)
    assert await handle.result() == "failed"
    (end,) = [event for event in await handle.events() if event.name == "agent.ended"]
    assert end.value == ('{"agent":"clumsy","run":0,"stop":"failed","turns":1,"error":"LookupError: no such model"}')


@pytest.mark.usefixtures("own_folder")
async def test_outside_of_workflow_code_it_is_the_agent_itself() -> None:
    assert (await recorded.run("Look around.", deps="fine")).output == EXPECTED


def test_it_needs_a_name() -> None:
    with pytest.raises(UsageError, match="Give it one"):
        durable(Agent(FunctionModel(say)))

"""Agents put together piece by piece are agents like all others."""

from typing import Any

import pytest

from assent.agents.agent import agent
from assent.agents.builder import PRESETS, AgentBuilder, Preset
from assent.agents.hooks import before_tool, block
from assent.agents.messages import UserMessage
from assent.agents.router import Router
from assent.agents.session import SessionRecollection
from assent.errors import UsageError
from assent.runtime import Runtime
from assent.testing import memory_runtime
from assent.testing.scripted import ScriptedModel, tool_call
from tests.agents.test_loop import add, calls_until, results


def said(model: ScriptedModel) -> list[list[str]]:
    return [[each.text for each in request.messages] for request in model.requests]


async def test_the_prompt_of_the_user_reaches_the_model() -> None:
    model = ScriptedModel("hello")
    clerk = AgentBuilder("clerk").with_model(model).build()
    assert await clerk("What {{ now }}?") == "hello"
    assert said(model) == [["What {{ now }}?"]]
    assert clerk.name == "clerk"


async def test_every_setting_reaches_the_model() -> None:
    model = ScriptedModel("hello")
    settings: Any = {"temperature": 0.3, "max_tokens": 50, "top_p": 0.9, "system": "Be exact."}
    await AgentBuilder("clerk").with_model(model).with_context(**settings).build()("Hi")
    (request,) = model.requests
    found = request.settings
    assert (found.temperature, found.max_tokens, found.top_p, request.system) == (0.3, 50, 0.9, "Be exact.")


async def test_tools_and_hooks_are_used() -> None:
    model = calls_until(1, tool_call("add", a=1))
    hook = before_tool()(lambda use: block("no"))
    clerk = AgentBuilder("clerk").with_model(model).with_tools(add).with_hooks(hook).build()
    assert await clerk("Add.") == "done"
    assert results(model)[0].text == "blocked: no"


async def test_a_conversation_is_remembered_by_its_session(runtime: Runtime) -> None:
    model = ScriptedModel(lambda request: f"answer {len(request.messages)}")
    clerk = AgentBuilder("clerk").with_model(model).with_memory().with_session_id("ada").build()
    assert await clerk("one") == "answer 1"
    assert await clerk("two") == "answer 3"
    assert await clerk("three", session_id="bob") == "answer 1"
    assert said(model)[1] == ["one", "answer 1", "two"]


def test_a_session_needs_a_memory() -> None:
    with pytest.raises(UsageError, match=r"Add with_memory\(\)"):
        AgentBuilder("clerk").with_session_id("ada").build()


async def test_a_prompt_that_fits_another_agent_goes_there(runtime: Runtime) -> None:
    @agent(model=ScriptedModel(lambda request: f"translated: {request.messages[-1].text}"))
    async def translator(text: str) -> str:
        """{{ text }}"""
        ...

    router = Router()
    router.register(translator, intents=["translate"])
    clerk = AgentBuilder("clerk").with_model(ScriptedModel("mine")).with_routing(router).build()
    assert await clerk("Please translate this.") == "translated: Please translate this."
    assert await clerk("Good morning!") == "mine"


async def test_a_result_can_have_a_type(runtime: Runtime) -> None:
    counter = AgentBuilder("counter").with_model(ScriptedModel("[1, 2]")).with_output(list[int]).build()
    assert await counter("Count.") == [1, 2]


async def test_one_builder_begins_several_agents() -> None:
    base = AgentBuilder("base").with_model(ScriptedModel("a", "b"))
    assert base.with_tools(add).tools == (add,)
    assert base.tools == ()
    assert [await base.build()("x"), await base.build()("x")] == ["a", "b"]


@pytest.mark.parametrize("name", PRESETS)
async def test_a_preset_sets_what_nobody_else_sets(name: str) -> None:
    model = ScriptedModel("one", "two")
    builder = AgentBuilder("clerk").with_model(model).with_preset(name)
    await builder.build()("Hi")
    await builder.with_context(system="Mine.", temperature=0.5).build()("Hi")
    preset = PRESETS[name]
    first, second = model.requests
    assert (first.system, first.settings.temperature) == (preset.system, preset.options.get("temperature"))
    assert (second.system, second.settings.temperature) == ("Mine.", 0.5)


async def test_a_chatbot_remembers_its_session() -> None:
    model = ScriptedModel("hi", "again")
    bot = AgentBuilder("bot").with_preset("chatbot").with_session_id("ada").with_model(model).build()
    async with memory_runtime():
        await bot("one")
        await bot("two")
    assert model.requests[1].messages[0] == UserMessage("one")


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="chatbot, research, code_review"):
        AgentBuilder("clerk").with_preset("poet")
    own = Preset(system="Rhyme.", options={"max_turns": 1})
    assert AgentBuilder("poet").with_preset(own).with_memory(SessionRecollection()).build().spec.limits.turns == 1

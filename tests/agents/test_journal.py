"""The journal of one run, word for word: what telemetry reads in it, and what later releases must be able to resume."""

import json
from contextvars import copy_context
from pathlib import Path
from typing import Any

from assent import workflow
from assent.agents.agent import agent
from assent.agents.hooks import ToolUse, before_tool
from assent.agents.messages import AssistantMessage, ModelRequest
from assent.clock import SystemClock
from assent.engine.ground import DurableGround
from assent.engine.replay import read
from assent.engine.reviving import revived
from assent.resilience.ground import ambient_ground
from assent.store import Event, ExecutionRecord
from assent.store.sqlite import SqliteStore
from assent.testing import memory_runtime
from assent.testing.scripted import ScriptedModel, tool_call
from assent.tools import tool

GOLDEN = Path(__file__).parent / "journal.json"


@tool
async def look(place: str) -> str:
    """Look at a place."""
    return f"{place} is fine"


@tool
async def fail() -> str:
    """Fail."""
    raise LookupError("nothing there")


@before_tool("look")
def watch(use: ToolUse) -> None:
    """Let it pass."""


def say(request: ModelRequest) -> Any:
    turn = sum(isinstance(each, AssistantMessage) for each in request.messages)
    calls = [tool_call("look", id="1", place="here"), tool_call("fly", id="2"), tool_call("fail", id="3")]
    return [calls, "a dozen", "12"][turn]


@agent(model=ScriptedModel(say, price="0.001"), tools=[look, fail], hooks=[watch])
async def errand(task: str) -> int:
    """Do {{ task }}."""
    ...


@workflow
async def errands() -> int:
    return await errand("it")


def untraced(text: str | None) -> str | None:
    found = json.loads(text or "null")
    return json.dumps({**found, "traceback": ""}) if isinstance(found, dict) and "traceback" in found else text


def told(events: list[Event]) -> list[dict[str, Any]]:
    """What stands in a journal, without times and tracebacks."""
    facts = [
        {
            "type": each.type,
            "op": each.op,
            "name": each.name,
            "arguments": each.arguments,
            "value": untraced(each.value),
        }
        for each in events
    ]
    return [{name: value for name, value in each.items() if value is not None} for each in facts]


async def test_the_journal_of_a_run_keeps_its_form() -> None:
    async with memory_runtime() as runtime:
        handle = await runtime.start(errands)
        assert await handle.result() == 12
        found = told(await handle.events())
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8")), json.dumps(found, indent=1)


def test_a_journal_of_that_form_is_resumed_anywhere() -> None:
    events = [
        Event("x", at=0.0, **each)
        for each in json.loads(GOLDEN.read_text(encoding="utf-8"))
        if each["type"] != "execution.completed"
    ]
    record = ExecutionRecord(
        id="x", name="errands", version=1, arguments="{}", digest="", created_at=0.0, updated_at=0.0
    )
    context = copy_context()
    context.run(ambient_ground.set, DurableGround(SqliteStore("none.db"), SystemClock()))
    for end in range(1, len(events) + 1):
        live = context.run(revived, record, errands.program, {}, read(events[:end]))
        assert live.done == (end >= len(events) - 1)  # the last of them is a note
        if live.done:
            assert live.result() == 12
        live.discard()

"""Agents for the tests of the command line: what they ask and cost stands in the journal, without a model."""

from decimal import Decimal

from assent import step, workflow
from assent.agents.messages import AssistantMessage, ModelResponse, Usage
from assent.engine import current
from assent.testing.scripted import tool_call


@step(name="model openai:gpt-5")
async def ask(agent: str, run: int, turn: int) -> ModelResponse:
    calls = (tool_call("look_up", word="moon"),) if turn == 1 else ()
    message, usage = AssistantMessage("ok", calls), Usage(100, 20)
    return ModelResponse(message=message, model="gpt-5", usage=usage, cost=Decimal("0.25"))


@step(name="tool look_up")
async def look_up(word: str) -> str:
    return word


@workflow
async def write(topic: str, agent: str = "writer") -> str:
    live = current()
    assert live is not None
    live.note("agent.started", {"agent": agent, "run": 1, "model": "openai:gpt-5", "prompt": topic})
    await ask(agent, 1, 1)
    await look_up(topic)
    await ask(agent, 1, 2)
    live.note("agent.ended", {"agent": agent, "run": 1, "stop": "final", "turns": 2})
    return topic

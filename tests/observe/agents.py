"""Agents as the journal knows them: notes of their runs, and steps that ask models and call tools."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from assent import step
from assent.agents.messages import ModelRequest, ModelResponse
from assent.agents.models import Model
from assent.codec import from_json
from assent.engine import current

Tools = Mapping[str, Callable[..., Awaitable[Any]]]


async def run_agent(name: str, model: Model, run: int, tools: Tools | None = None, stop: str = "final") -> str:
    """One run, as workflow code."""
    live = current()
    assert live is not None
    live.note("agent.started", {"agent": name, "run": run, "model": model.name, "prompt": "do it"})
    turn = 0
    while True:
        turn += 1
        response = await asked(model, name, run, turn)
        if not response.message.calls:
            break
        await asyncio.gather(*(call((tools or {})[one.name], one.arguments) for one in response.message.calls))
    live.note("agent.ended", {"agent": name, "run": run, "stop": stop, "turns": turn})
    return response.message.text


async def asked(model: Model, name: str, run: int, turn: int) -> ModelResponse:
    @step(name=f"model {model.name}")
    async def ask(agent: str, run: int, turn: int) -> ModelResponse:
        return await model.request(ModelRequest(messages=()))

    return await ask(name, run, turn)


async def call(tool: Callable[..., Awaitable[Any]], arguments: str) -> Any:
    return await tool(**from_json(arguments))


@step(name="tool look_up")
async def look_up(word: str) -> str:
    return f"{word} is a word"

"""Microseconds of a turn of Pydantic AI's agent with a function model, as JSON: `pydantic_ai_child RUNS TURNS ...`."""

import asyncio
import importlib
import json
import sys
from time import perf_counter
from typing import Any


def agent_of(turns: int) -> Any:
    """An agent that calls its tool in each turn but the last."""
    messages = importlib.import_module("pydantic_ai.messages")

    def say(history: list[Any], _info: Any) -> Any:
        if len(history) >= 2 * turns - 1:
            return messages.ModelResponse(parts=[messages.TextPart("done")])
        return messages.ModelResponse(parts=[messages.ToolCallPart("look_up", {"city": "Rome"})])

    model = importlib.import_module("pydantic_ai.models.function").FunctionModel(say)
    agent = importlib.import_module("pydantic_ai").Agent(model)

    @agent.tool_plain  # type: ignore[untyped-decorator]  # the library is imported at run time
    async def look_up(city: str) -> int:
        return len(city)

    return agent


async def microseconds(turns: int, runs: int) -> float:
    agent = agent_of(turns)
    limits = importlib.import_module("pydantic_ai.usage").UsageLimits(request_limit=None)
    await agent.run("How warm is it?", usage_limits=limits)
    start = perf_counter()
    for _ in range(runs):
        await agent.run("How warm is it?", usage_limits=limits)
    return (perf_counter() - start) * 1e6 / runs / turns


if __name__ == "__main__":
    runs, *sizes = map(int, sys.argv[1:])
    print(json.dumps([asyncio.run(microseconds(turns, runs)) for turns in sizes]))

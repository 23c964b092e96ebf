"""Microseconds of a turn of the OpenAI Agents SDK, with a stub model, as JSON: `openai_agents_child RUNS TURNS ...`."""

import asyncio
import importlib
import json
import sys
from time import perf_counter
from typing import Any


def agent_of(turns: int) -> Any:
    """An agent that calls its tool in each turn but the last."""
    sdk = importlib.import_module("agents")
    responses = importlib.import_module("openai.types.responses")

    class Stub(sdk.Model):  # type: ignore[name-defined,misc]  # the library is imported at run time
        async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> Any:
            called = 0 if isinstance(input, str) else sum(item.get("type") == "function_call" for item in input)
            return sdk.ModelResponse(output=[_said(responses, called, turns)], usage=sdk.Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    @sdk.function_tool  # type: ignore[untyped-decorator]  # as above
    async def look_up(city: str) -> int:
        return len(city)

    sdk.set_tracing_disabled(True)
    return sdk.Agent(name="clerk", model=Stub(), tools=[look_up])


def _said(responses: Any, called: int, turns: int) -> Any:
    if called < turns - 1:
        facts = {"name": "look_up", "arguments": '{"city":"Rome"}', "call_id": str(called), "type": "function_call"}
        return responses.ResponseFunctionToolCall(**facts)
    text = responses.ResponseOutputText(annotations=[], text="done", type="output_text")
    return responses.ResponseOutputMessage(id="1", content=[text], role="assistant", status="completed", type="message")


async def microseconds(turns: int, runs: int) -> float:
    agent, runner = agent_of(turns), importlib.import_module("agents").Runner
    await runner.run(agent, "How warm is it?", max_turns=turns + 1)
    start = perf_counter()
    for _ in range(runs):
        await runner.run(agent, "How warm is it?", max_turns=turns + 1)
    return (perf_counter() - start) * 1e6 / runs / turns


if __name__ == "__main__":
    runs, *sizes = map(int, sys.argv[1:])
    print(json.dumps([asyncio.run(microseconds(turns, runs)) for turns in sizes]))

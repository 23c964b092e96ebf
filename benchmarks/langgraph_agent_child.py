"""Microseconds of a turn of LangGraph's agent with a fake model, as JSON: `langgraph_agent_child RUNS TURNS ...`."""

import asyncio
import importlib
import json
import sys
import warnings
from time import perf_counter
from typing import Any


def agent_of(turns: int) -> Any:
    """An agent that calls its tool in each turn but the last."""
    models = importlib.import_module("langchain_core.language_models.chat_models")
    messages = importlib.import_module("langchain_core.messages")
    outputs = importlib.import_module("langchain_core.outputs")

    class Fake(models.BaseChatModel):  # type: ignore[name-defined,misc]  # the library is imported at run time
        @property
        def _llm_type(self) -> str:
            return "fake"

        def bind_tools(self, *_: Any, **__: Any) -> Any:
            return self

        def _generate(self, history: list[Any], *_: Any, **__: Any) -> Any:
            said = sum(each.type == "ai" for each in history)
            calls = [{"name": "look_up", "args": {"city": "Rome"}, "id": f"{said}"}] if said < turns - 1 else []
            message = messages.AIMessage(content="" if calls else "done", tool_calls=calls)
            return outputs.ChatResult(generations=[outputs.ChatGeneration(message=message)])

        async def _agenerate(self, history: list[Any], *_: Any, **__: Any) -> Any:
            return self._generate(history)

    async def look_up(city: str) -> int:
        """How warm it is."""
        return len(city)

    return importlib.import_module("langgraph.prebuilt").create_react_agent(Fake(), [look_up])


async def microseconds(turns: int, runs: int) -> float:
    agent, asked = agent_of(turns), {"messages": [("user", "How warm is it?")]}
    config = {"recursion_limit": 3 * turns + 10}
    await agent.ainvoke(asked, config)
    start = perf_counter()
    for _ in range(runs):
        await agent.ainvoke(asked, config)
    return (perf_counter() - start) * 1e6 / runs / turns


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # on the new home of what is measured
    runs, *sizes = map(int, sys.argv[1:])
    print(json.dumps([asyncio.run(microseconds(turns, runs)) for turns in sizes]))

"""Durable steps a second of LangGraph on a SQLite file, as JSON: `langgraph_child FILE SEQUENTIAL WORKFLOWS EACH`.

A step is a node of a graph, because only between nodes does it wait until a checkpoint is stored; what its functional
interface runs is stored in the background.
"""

import asyncio
import importlib
import json
import sys
from time import perf_counter
from typing import Any, TypedDict


class State(TypedDict):
    number: int
    steps: int


async def following(state: State) -> dict[str, int]:
    return {"number": state["number"] + 1}


def next_node(state: State) -> str:
    return "following" if state["number"] < state["steps"] else "__end__"


def graph_on(saver: Any) -> Any:
    graph = importlib.import_module("langgraph.graph").StateGraph(State)
    graph.add_node("following", following)
    graph.add_edge("__start__", "following")
    graph.add_conditional_edges("following", next_node, ["following", "__end__"])
    return graph.compile(checkpointer=saver)


async def count(graph: Any, thread: str, steps: int) -> None:
    config = {"configurable": {"thread_id": thread}, "recursion_limit": steps + 10}
    await graph.ainvoke({"number": 0, "steps": steps}, config, durability="sync")


async def main(file: str, sequential: int, workflows: int, each: int) -> None:
    aio = importlib.import_module("langgraph.checkpoint.sqlite.aio")
    async with aio.AsyncSqliteSaver.from_conn_string(file) as saver:
        graph = graph_on(saver)
        await asyncio.gather(*(count(graph, f"first-{number}", 1) for number in range(4)))
        start = perf_counter()
        await count(graph, "alone", sequential)
        alone = sequential / (perf_counter() - start)
        start = perf_counter()
        await asyncio.gather(*(count(graph, f"together-{number}", each) for number in range(workflows)))
        together = workflows * each / (perf_counter() - start)
    print(json.dumps([alone, together]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:5])))

"""Turns of an agent, which are a model request and a tool call each: journaled, plain, and beside other libraries.

They are journaled in a store that has been in use: the write-ahead log of a new one grows with each commit until it is
overwritten for the first time, and until then each commit waits about twice as long for the disk.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from assent import Runtime, agent, tool
from assent.agents.messages import AssistantMessage, ModelRequest, ModelResponse, ToolCall
from benchmarks.child import ChildFailed, run_child
from benchmarks.figures import Figure, Scale, Target
from benchmarks.parked_child import resident

RIVALS: Final = {
    "LangGraph": "langgraph_agent_child", "OpenAI Agents": "openai_agents_child", "Pydantic AI": "pydantic_ai_child",
}  # fmt: skip
SIZES: Final = (20, 100)  # turns of a run
TOGETHER: Final = 10  # turns of each of many
WARM_UP: Final = 300  # turns; half of them fill the write-ahead log for the first time


class Stub:
    """Calls the tool in each turn but the last, and counts turns by the length of the conversation."""

    name = "stub"

    def __init__(self, turns: int) -> None:
        self._messages = 2 * turns - 1

    async def request(self, request: ModelRequest) -> ModelResponse:
        if len(request.messages) >= self._messages:
            return ModelResponse(message=AssistantMessage("done"), model=self.name)
        call = ToolCall("1", "look_up", '{"city":"Rome"}')
        return ModelResponse(message=AssistantMessage(calls=(call,)), model=self.name, finish="tool_calls")

    async def stream(self, request: ModelRequest):  # type: ignore[no-untyped-def]  # nobody listens
        yield await self.request(request)


@tool
async def look_up(city: str) -> int:
    """How warm it is."""
    return len(city)


@agent(tools=[look_up], max_turns=1000)
async def clerk(question: str) -> str:
    """{{ question }}"""
    ...


CLERKS: Final = {
    turns: clerk.replace(name=f"clerk of {turns}", model=Stub(turns)) for turns in (*SIZES, TOGETHER)
}  # fmt: skip


async def turns(scale: Scale, folder: Path) -> list[Figure]:
    """One after another beside each library, and many at once."""
    rates = {
        size: {name: await _theirs(child, scale.agent_runs, size) for name, child in RIVALS.items()} for size in SIZES
    }
    async with Runtime(f"sqlite:///{folder / 'turns.db'}", workflows=CLERKS.values()) as runtime:
        await _warm_up(runtime)
        journaled = {size: await _rate(size, scale.agent_runs, runtime) for size in SIZES}
        crowd = await _crowd(scale.agents, runtime)
    plain = {size: await _rate(size, scale.agent_runs) for size in SIZES}
    return [
        *(line for size in SIZES for line in _compared(size, journaled[size], rates[size])),
        *(_plain(size, plain[size], journaled[size]) for size in SIZES),
        _flat(journaled),
        *crowd,
    ]


async def _warm_up(runtime: Runtime) -> None:
    """Use the store before anything is measured in it."""
    size = max(SIZES)
    for _ in range(WARM_UP // size):
        await (await runtime.start(CLERKS[size], "How warm is it?")).result()


async def _rate(size: int, runs: int, runtime: Runtime | None = None) -> float:
    """Turns a second, one run after another: the median of the runs."""
    found = []
    for _ in range(runs + 1):
        start = perf_counter()
        if runtime is None:
            await CLERKS[size]("How warm is it?")
        else:
            await (await runtime.start(CLERKS[size], "How warm is it?")).result()
        found.append(size / (perf_counter() - start))
    return median(found[1:])  # the first makes all that is made once


async def _theirs(child: str, runs: int, size: int) -> float | str:
    try:
        (microseconds,) = await run_child(child, runs, size)
    except ChildFailed as failure:
        return f"could not be run: {failure}"
    return 1e6 / float(microseconds)


async def _crowd(agents: int, runtime: Runtime) -> list[Figure]:
    """Many agents at once, and what memory they take."""
    before, start = resident(), perf_counter()
    handles = [await runtime.start(CLERKS[TOGETHER], f"How warm is it in {number}?") for number in range(agents)]
    await asyncio.gather(*(handle.result() for handle in handles))
    rate = agents * TOGETHER / (perf_counter() - start)
    name = f"{agents} agents of {TOGETHER} turns at once"
    return [
        Figure(name=name, ours=rate, unit="turns/s"),
        Figure(name=f"{name}, memory", ours=max(resident() - before, 0) / 1e6, unit="MB"),
    ]


def _compared(size: int, ours: float, rates: dict[str, float | str]) -> list[Figure]:
    """A line for each library; the fastest bears the target."""
    title = f"agent of {size} turns, journaled"
    lines = [_line(title, ours, name, theirs) for name, theirs in rates.items()]
    best = max(lines, key=lambda line: line.yardstick or 0)
    return [replace(line, target=Target(5, "ratio at least")) if line is best else line for line in lines]


def _line(title: str, ours: float, name: str, theirs: float | str) -> Figure:
    if isinstance(theirs, str):
        return Figure(name=title, ours=ours, unit="turns/s", against=f"{name} {theirs}")
    return Figure(name=title, ours=ours, unit="turns/s", yardstick=theirs, against=name, ratio=ours / theirs)


def _plain(size: int, ours: float, journaled: float) -> Figure:
    title = f"agent of {size} turns, plain"
    return Figure(
        name=title, ours=ours, unit="turns/s", yardstick=journaled, against="journaled", ratio=ours / journaled
    )


def _flat(journaled: dict[int, float]) -> Figure:
    few, many = SIZES
    return Figure(
        name=f"agent of {many} turns",
        ours=journaled[many],
        unit="turns/s",
        yardstick=journaled[few],
        against=f"of {few} turns",
        ratio=journaled[many] / journaled[few],
        target=Target(0.8, "ratio at least"),
    )

"""An agent that is killed at any commit goes on where it was, and repeats nothing that had finished."""

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from assent import NOT_DONE, Action, ValidationPolicy, govern, step, workflow
from assent.agents.agent import agent
from assent.agents.hooks import HookResult, ToolUse, before_tool, modify
from assent.agents.messages import AssistantMessage, ModelRequest
from assent.runtime import Runtime
from assent.store import Event
from assent.store.sqlite import SqliteStore
from assent.testing import every_crash, survived
from assent.testing.scripted import ScriptedModel, tool_call
from assent.tools import tool

DIARY = Path("diary.txt")  # in the folder of the process


def diary(what: str) -> None:
    with DIARY.open("a") as file:
        file.write(f"{os.getpid()} {what}\n")


@tool
async def look(place: str) -> str:
    """Look at a place."""
    diary(f"look {place}")
    return f"{place} is fine"


async def look_up(action: Action) -> Any:
    return "paid" if done(Path())[f"pay {action.arguments['amount']}"] else NOT_DONE


@tool
@govern([ValidationPolicy(check=lambda action: action.arguments["amount"] < 100)], verify=look_up)
async def pay(amount: int) -> str:
    """Pay."""
    diary(f"pay {amount}")
    return "paid"


def say(request: ModelRequest) -> Any:
    turn = 1 + sum(isinstance(each, AssistantMessage) for each in request.messages)
    diary(f"model {turn}")
    if turn == 1:
        return [tool_call("look", id="a", place="here"), tool_call("look", id="b", place="there")]
    if turn == 2:
        return [tool_call("pay", amount=5)]
    return "; ".join(each.text for each in request.messages if each.role == "tool")


@agent(model=ScriptedModel(say), tools=[look, pay])
async def errand(task: str) -> str:
    """Do {{ task }}."""
    ...


# All that agents can be made of, side by side.


@tool(serial=True)
async def write(text: str) -> str:
    """Write."""
    diary(f"write {text}")
    return f"wrote {text}"


@before_tool("write")
def shout(use: ToolUse) -> HookResult:
    diary(f"hook {use.arguments['text']}")
    return modify({"text": use.arguments["text"].upper()})


@agent(model=ScriptedModel(lambda request: f"expert on {request.messages[-1].text}"))
async def expert(subject: str) -> str:
    """{{ subject }}"""
    ...


@step
async def consult(subject: str) -> str:
    """Ask the expert from inside of a step."""
    return await expert(subject)


def speak(request: ModelRequest) -> Any:
    told = [each for each in request.messages if each.role == "tool"]
    if not told:
        texts = (tool_call("write", id=each, text=each) for each in "ab")
        return [*texts, tool_call("expert", subject="x"), tool_call("consult", subject="y")]
    return " ".join(each.text for each in told)


@agent(model=ScriptedModel(speak), tools=[write, expert, consult], hooks=[shout])
async def crew(name: str) -> str:
    """Crew {{ name }}."""
    ...


@workflow
async def company() -> list[str]:
    return list(await asyncio.gather(crew("one"), crew("two")))


async def together(store: SqliteStore) -> Any:
    async with Runtime(store=store, workflows=[company, expert]) as runtime:
        found = await (await runtime.start(company, id="company")).result()
        told = await (await runtime.start(expert.telling, "z", id="telling")).result()
        return [*found, told.output]


async def program(store: SqliteStore) -> str:
    async with Runtime(store=store, workflows=[errand]) as runtime:
        handle = await runtime.start(errand, "it", id="errand")
        return str(await handle.result())


def finished(events: list[Event]) -> Counter[str]:
    return Counter(event.name or "" for event in events if event.type == "step.completed")


def done(folder: Path, pid: int | None = None) -> Counter[str]:
    """What the steps have told, of all processes or of one."""
    lines = [line.partition(" ") for line in (folder / DIARY).read_text().splitlines()]
    return Counter(what for who, _, what in lines if pid in {None, int(who)})


@pytest.mark.timeout(240)
def test_nothing_that_finished_is_repeated_after_a_crash(tmp_path: Path) -> None:
    expected = survived(program, tmp_path / "undisturbed")
    assert expected.result == "here is fine; there is fine; paid"
    crashes = 0
    for recovery in every_crash(program, tmp_path / "crashed"):
        crashes += 1
        life, kept = recovery.life, finished(recovery.life.found)
        assert life.result == expected.result, f"after {recovery.crash}: {life.error!r}"
        assert finished(life.journal) == finished(expected.journal)
        again = done(recovery.folder, life.pid)
        assert sorted(again) == sorted(set(again))  # nothing twice in one life
        assert {turn for turn in again if turn.startswith("model")} == {
            f"model {turn}" for turn in range(1 + kept["model scripted"], 4)
        }
        assert again["look here"] + again["look there"] == 2 - kept["tool look"]
        # An effect under policies happens once, whatever happens.
        assert done(recovery.folder)["pay 5"] == 1
    assert crashes >= 16


@pytest.mark.timeout(300)
def test_agents_side_by_side_in_steps_and_as_tools_go_on_after_a_crash(tmp_path: Path) -> None:
    expected = survived(together, tmp_path / "undisturbed")
    assert expected.result == ["wrote A wrote B expert on x expert on y"] * 2 + ["expert on z"]
    names = ("model scripted", "tool write", "hook before_tool write", "consult")
    for recovery in every_crash(together, tmp_path / "crashed"):
        life = recovery.life
        assert life.result == expected.result, f"after {recovery.crash}: {life.error!r}"
        found, kept = finished(life.journal), finished(life.found)
        assert {name: found[name] for name in names} == {name: finished(expected.journal)[name] for name in names}
        again = done(recovery.folder, life.pid)
        assert sum(again[f"write {each}"] for each in "AB") <= 4 - kept["tool write"]
        assert sum(again[f"hook {each}"] for each in "ab") <= 4 - kept["hook before_tool write"]

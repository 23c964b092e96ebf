"""Answers and results are kept under what was asked, for a while, and the journal tells which were."""

import asyncio
from typing import Any

import pytest

from assent import Retry
from assent.agents.agent import agent
from assent.agents.cache import Cache
from assent.errors import UsageError
from assent.runtime import Runtime
from assent.testing.scripted import ScriptedModel, tool_call
from assent.tools import tool
from tests.agents.test_loop import calls_until, results


def asking(model: ScriptedModel, **options: Any) -> Any:
    @agent(model=model, **options)
    async def ask(text: str) -> str:
        """{{ text }}"""
        ...

    return ask


@tool
async def look_around() -> None:
    """Look around."""


async def test_the_same_is_asked_once(runtime: Runtime) -> None:
    model = ScriptedModel("one", "two", "three", price="1")
    ask = asking(model, cache=Cache("1h"))
    assert [await ask("a"), await ask("a"), await ask("b")] == ["one", "one", "two"]
    assert len(model.requests) == 2
    first, again = [await ask.run("a") for _ in range(2)]
    assert (first.output, first.cost) == (again.output, again.cost) == ("one", 0)


async def test_a_hit_is_journaled_as_such(runtime: Runtime) -> None:
    ask = asking(ScriptedModel("one"), cache=Cache())
    for is_hit in ("false", "true"):
        handle = await runtime.start(ask, "a")
        await handle.result()
        (step,) = [event for event in await handle.events() if event.type == "step.completed"]
        assert f'"cached":{is_hit}' in (step.value or "")


async def test_what_is_kept_expires(runtime: Runtime) -> None:
    ask = asking(ScriptedModel("one", "two"), cache=Cache("1m"))
    assert await ask("a") == "one"
    await asyncio.sleep(59)
    assert await ask("a") == "one"
    await asyncio.sleep(2)
    assert await ask("a") == "two"


async def test_another_model_other_settings_and_other_tools_are_another_question(runtime: Runtime) -> None:
    model = ScriptedModel(*map(str, range(9)))
    other = ScriptedModel("other", name="other")
    for name, options, said in (
        ("plain", {"model": model}, "0"),
        ("warmer", {"model": model, "temperature": 0.5}, "1"),
        ("brief", {"model": model, "system": "Be brief."}, "2"),
        ("handy", {"model": model, "tools": [look_around]}, "3"),
        ("elsewhere", {"model": other}, "other"),
        ("plain again", {"model": model}, "0"),
    ):
        assert await asking(name=name, cache=Cache(), **options)("a") == said


async def test_no_more_is_kept_than_fits(runtime: Runtime) -> None:
    model = ScriptedModel(lambda request: "x" * 1000)
    ask = asking(model, cache=Cache(most_bytes=3000))
    for each in "aabbccaa":
        await ask(each)
    assert [request.messages[0].text for request in model.requests] == ["a", "b", "c", "a"]


async def test_an_error_is_not_kept(runtime: Runtime) -> None:
    ask = asking(ScriptedModel(LookupError("no"), "yes"), cache=Cache())
    with pytest.raises(LookupError):
        await ask("a")
    assert await ask("a") == "yes"


async def test_without_a_runtime_nothing_is_kept() -> None:
    ask = asking(ScriptedModel("one", "two"), cache=Cache())
    assert [await ask("a"), await ask("a")] == ["one", "two"]


async def test_results_of_a_tool_are_kept_by_its_arguments(runtime: Runtime) -> None:
    looked = []

    @tool(cache="1h")
    async def look(place: str, near: bool = False) -> list[str]:
        """Look."""
        looked.append(place)
        return [place, str(near)]

    model = calls_until(
        1,
        tool_call("look", id="1", place="a"),
        tool_call("look", id="2", place="a", near=False),
        tool_call("look", id="3", place="b"),
    )

    @agent(model=model, tools=[look])
    async def act() -> str:
        """Act."""
        ...

    await act()
    handle = await runtime.start(act)
    await handle.result()
    assert sorted(set(looked)) == ["a", "b"]
    assert len(looked) <= 3  # two of the first calls ran side by side
    assert [each.text for each in results(model)] == ['["a","False"]'] * 2 + ['["b","False"]']
    noted = [event.name for event in await handle.events() if event.type == "agent.tool.cached"]
    assert noted == ["look"] * 3


def test_what_may_happen_only_once_is_not_kept() -> None:
    @tool(cache="1h", once=True)
    async def pay() -> None:
        """Pay."""

    @agent(model=ScriptedModel(), tools=[pay])
    async def act() -> str:
        """Act."""
        ...

    with pytest.raises(UsageError, match="Leave out `cache`"):
        _ = act.spec
    with pytest.raises(UsageError, match="keeps nothing"):
        Cache(0)

    class Desk:
        @tool(cache="1h")
        async def read(self) -> str:
            """Read."""
            return "its own papers"

    with pytest.raises(UsageError, match="those of a method depend on its object"):
        _ = act.replace(tools=[Desk().read]).spec


async def searched(runtime: Runtime, search: Any, name: str) -> str:
    """What a tool says to the first call of an agent."""
    model = calls_until(1, tool_call("search", text="a"))

    @agent(model=model, tools=[search], name=name)
    async def act() -> str:
        """Act."""
        ...

    await (await runtime.start(act)).result()
    return results(model)[0].text


async def test_tools_of_one_name_do_not_share_what_they_keep(runtime: Runtime) -> None:
    @tool(cache="1h")
    async def search(text: str) -> str:
        """Search the web."""
        return "public"

    @tool(cache="1h", name="search")
    async def search_files(text: str) -> str:
        """Search the files."""
        return "secret"

    said = [await searched(runtime, each, f"a{n}") for n, each in enumerate((search, search_files, search))]
    assert said == ["public", "secret", "public"]


async def test_what_other_code_has_kept_in_another_form_is_asked_for_again(runtime: Runtime) -> None:
    def search_of(kind: Any, found: Any) -> Any:
        async def search(text: str) -> Any:
            return found

        search.__annotations__["return"] = kind
        return tool(cache="1h")(search)

    assert await searched(runtime, search_of(str, "one"), "before") == "one"
    assert await searched(runtime, search_of(int, 1), "after") == "1"


async def test_a_tool_that_is_kept_is_tried_again_and_in_time(runtime: Runtime) -> None:
    tried = []

    @tool(cache="1h", retry=Retry(3, initial=1), timeout="1m")
    async def search(text: str) -> str:
        """Search."""
        tried.append(text)
        if len(tried) == 1:
            raise ConnectionError
        if len(tried) == 2:
            await asyncio.sleep(3600)
        return "found"

    assert await searched(runtime, search, "act") == "found"
    assert len(tried) == 3

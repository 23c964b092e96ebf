"""Facts that are remembered: scopes, time to live, search, and what agents are told of them."""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from assent import step, workflow
from assent.agents.agent import agent
from assent.agents.memory import FACTS, FactRecollection, Memo, Memory
from assent.errors import CodecError, RuntimeRequired, UsageError
from assent.governance import Principal, acting_as
from assent.runtime import Runtime
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock, memory_runtime
from assent.testing.scripted import ScriptedModel

ADA, GLOBAL = "user:ada", "global"


@dataclass
class Address:
    street: str
    since: datetime


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    async with SqliteStore("sqlite://") as store:
        yield store


async def test_what_is_remembered_is_recalled_as_it_was(runtime: Runtime) -> None:
    memory = Memory(ADA)
    values: list[Any] = ["blue", 3, 0.5, True, None, ["a", {"b": [1]}], {}, "", "日本"]
    for value in values:
        await memory.remember("it", value)
        assert await memory.recall("it", "nothing") == value


async def test_a_typed_value_is_recalled_as_its_type(runtime: Runtime) -> None:
    home = Address("Main Street 1", datetime(2025, 1, 2, tzinfo=UTC))
    await Memory(ADA).remember("home", home)
    await Memory(ADA).remember("price", Decimal("0.10"))
    assert await Memory(ADA).recall("home", type=Address) == home
    assert await Memory(ADA).recall("price", type=Decimal) == Decimal("0.10")
    with pytest.raises(CodecError):
        await Memory(ADA).recall("home", type=int)


async def test_what_cannot_be_kept_or_found_is_refused(runtime: Runtime) -> None:
    with pytest.raises(CodecError):
        await Memory().remember("it", object())
    with pytest.raises(UsageError, match="key"):
        await Memory().remember("", 1)
    with pytest.raises(UsageError, match="ttl"):
        await Memory().remember("it", 1, ttl=0)


async def test_what_is_not_there_is_the_default(runtime: Runtime) -> None:
    assert await Memory(ADA).recall("colour") is None
    assert await Memory(ADA).recall("colour", "grey") == "grey"


async def test_recall_falls_back_to_wider_scopes(runtime: Runtime) -> None:
    memory = Memory("session:1", ADA, "agent:helper")
    assert memory.scopes == ("session:1", ADA, "agent:helper", GLOBAL)
    for scope in reversed(memory.scopes):
        await Memory(scope).remember("colour", f"of {scope}")
        found = await memory.find("colour")
        assert found is not None
        assert (found.value, found.scope) == (f"of {scope}", scope)


async def test_scopes_do_not_see_each_other(runtime: Runtime) -> None:
    await Memory(ADA).remember("colour", "blue")
    await Memory("agent:ada").remember("colour", "red")
    assert await Memory("user:eve").recall("colour") is None
    assert await Memory("user:ada/x").recall("colour") is None
    assert await Memory("session:ada").recall("colour") is None
    assert await Memory().recall("colour") is None


async def test_to_forget_forgets_only_in_its_own_scope(runtime: Runtime) -> None:
    for scope in (GLOBAL, ADA, "user:eve"):
        await Memory(scope).remember("colour", scope)
    assert await Memory(ADA).forget("colour")
    assert not await Memory(ADA).forget("colour")
    assert await Memory(ADA).recall("colour") == GLOBAL
    assert await Memory("user:eve").recall("colour") == "user:eve"
    assert await Memory("user:eve").clear() == 1
    assert await Memory("user:eve").recall("colour") == GLOBAL


@pytest.mark.parametrize("scope", ["", "ada", "user:", "user: ", "group:x", "Global"])
def test_what_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(UsageError, match="no scope"):
        Memory(scope)


async def test_a_memory_ends_with_its_time(store: SqliteStore) -> None:
    clock = JumpingClock()
    memory = Memory(ADA, store=store, clock=clock)
    await memory.remember("code", 1234, ttl="10m")
    clock.advance("9m")
    assert await memory.recall("code") == 1234
    clock.advance("1m")
    assert await memory.recall("code") is None
    assert await memory.search("code") == []


async def test_pruning_forgets_what_is_old_in_its_own_scope(store: SqliteStore) -> None:
    clock = JumpingClock()
    memory, everybody = Memory(ADA, store=store, clock=clock), Memory(store=store, clock=clock)
    await memory.remember("old", 1)
    await everybody.remember("shared", 1)
    clock.advance("90d")
    await memory.remember("new", 1)
    assert await memory.prune("30d") == 1
    assert await memory.prune("30d") == 0
    assert [memo.key for memo in await memory.search()] == ["new", "shared"]


async def test_search_finds_keys_and_values_newest_first(store: SqliteStore) -> None:
    clock = JumpingClock()
    memory = Memory(ADA, store=store, clock=clock)
    for key, value in {"pet": "a Cat", "catalogue": 1, "dog": {"name": "Rex"}}.items():
        await memory.remember(key, value)
        clock.advance(1)
    assert [memo.key for memo in await memory.search("CAT")] == ["catalogue", "pet"]
    assert [memo.key for memo in await memory.search("rex")] == ["dog"]
    assert [memo.key for memo in await memory.search(limit=2)] == ["dog", "catalogue"]
    assert await memory.search("bird") == []


@pytest.mark.parametrize("text", ['say "hi"', "a\\b", "two\nlines", "50%", "a_c", "Größe"])
async def test_search_takes_letters_as_they_are(runtime: Runtime, text: str) -> None:
    await Memory().remember("key", f"<{text}>")
    await Memory().remember(f"<{text}>", 1)
    await Memory().remember("other", "abc")
    assert {memo.key for memo in await Memory().search(text)} == {"key", f"<{text}>"}


async def test_search_shows_the_narrowest_of_a_key(runtime: Runtime) -> None:
    await Memory().remember("colour", "blue")
    await Memory(ADA).remember("colour", "red")
    assert [memo.value for memo in await Memory(ADA).search("colour")] == ["red"]
    assert await Memory(ADA).search("blue") == []
    assert [memo.value for memo in await Memory().search("blue")] == ["blue"]


async def test_without_a_store_it_says_what_is_missing() -> None:
    with pytest.raises(RuntimeRequired, match="give the memory a store"):
        await Memory().recall("x")


# In workflows.


@workflow
async def learn(value: Any) -> list[Any]:
    memory = Memory(ADA)
    before = await memory.recall("colour")
    await memory.remember("colour", value, ttl="1h")
    found = await memory.search("colour")
    return [before, found[0].value, await memory.forget("colour"), await memory.prune("1h"), await memory.clear()]


async def test_in_a_workflow_each_call_is_a_recorded_step(runtime: Runtime) -> None:
    handle = await runtime.start(learn, {"shade": "blue"})
    assert await handle.result() == [None, {"shade": "blue"}, True, 0, 0]
    steps = [event for event in await handle.events() if event.type == "step.completed"]
    names = ["recall", "remember", "search", "forget", "prune", "clear"]
    assert [event.name for event in steps] == [f"memory.{name}" for name in names]
    assert steps[1].arguments == '{"key":"colour","value":{"shade":"blue"},"ttl":3600.0}'


@step
async def recall_in_a_step() -> Any:
    return await Memory().recall("colour")


@workflow
async def recall_there() -> Any:
    return await recall_in_a_step()


async def test_a_step_finds_the_store_of_its_runtime(runtime: Runtime) -> None:
    await Memory().remember("colour", "blue")
    assert await recall_there() == "blue"


async def test_a_store_of_its_own_is_used_before_that_of_the_runtime(runtime: Runtime, store: SqliteStore) -> None:
    await Memory(store=store).remember("colour", "red")
    assert await Memory().recall("colour") is None
    assert await Memory(store=store).recall("colour") == "red"


async def test_a_value_that_no_json_has_is_kept_as_text(runtime: Runtime) -> None:
    await Memory().remember("it", math.inf)
    assert await Memory().recall("it", type=float) == math.inf


# As what an agent is told.


def helper(model: ScriptedModel, memory: Any) -> Any:
    @agent(model=model, memory=memory, name="helper")
    async def ask(text: str, session_id: str = "") -> str:
        """{{ text }}"""
        ...

    return ask


async def test_an_agent_is_told_the_facts_of_all_its_scopes(runtime: Runtime) -> None:
    facts = {"session:1": ("topic", "cats"), ADA: ("name", "Ada"), "agent:helper": ("style", {"short": True})}
    for scope, (key, value) in {GLOBAL: ("office", "Rome"), **facts, "user:eve": ("secret", "x")}.items():
        await Memory(scope).remember(key, value)
    model = ScriptedModel("ok", "ok")
    ask = helper(model, FactRecollection())
    with acting_as(Principal("ada")):
        await ask("hello", session_id="1")
    told = [message.text for message in model.requests[0].messages]
    lines = [FACTS, '- style: {"short":true}', "- name: Ada", "- topic: cats", "- office: Rome"]
    assert sorted(told[0].splitlines()) == sorted(lines)
    assert told[1:] == ["hello"]
    await ask("hello")
    assert "Ada" not in model.requests[1].messages[0].text


async def test_only_the_newest_facts_are_told(store: SqliteStore) -> None:
    clock = JumpingClock()
    memory = Memory(ADA, store=store, clock=clock)
    for number in range(5):
        await memory.remember(f"fact {number}", number)
        clock.advance(1)
    (told,) = await FactRecollection(memory, limit=2).before("helper", "", "hello")
    assert told.text == f"{FACTS}\n- fact 4: 4\n- fact 3: 3"


async def test_nothing_remembered_is_nothing_told(runtime: Runtime) -> None:
    recollection = FactRecollection()
    assert await recollection.before("helper", "1", "hello") == []
    await recollection.after("helper", "1", [])
    assert await Memory("agent:helper").search() == []


async def test_outside_of_executions_the_user_is_who_acts(runtime: Runtime) -> None:
    await Memory(ADA).remember("name", "Ada")
    with acting_as(Principal("ada")):
        (told,) = await FactRecollection().before("helper", "", "hello")
    assert told.text == f"{FACTS}\n- name: Ada"


async def test_memories_outlive_a_runtime(tmp_path: Any) -> None:
    for _ in range(2):
        async with Runtime(f"sqlite:///{tmp_path}/assent.db"):
            known = await Memory(ADA).recall("count", 0)
            await Memory(ADA).remember("count", known + 1)
    async with memory_runtime():
        assert await Memory(ADA).recall("count") is None
    async with Runtime(f"sqlite:///{tmp_path}/assent.db"):
        found = await Memory(ADA).find("count")
    assert isinstance(found, Memo)
    assert found.value == 2

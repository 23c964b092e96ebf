"""Texts that are found by their meaning: exact search, scopes, and what agents are reminded of."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent import workflow
from assent.agents.agent import agent
from assent.agents.embedding import likeness
from assent.agents.semantic import RECALLED, SemanticMemory, SemanticRecollection
from assent.errors import UsageError
from assent.governance import Principal, acting_as
from assent.runtime import Runtime
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock
from assent.testing.embedding import WordEmbedder
from assent.testing.scripted import ScriptedModel

ADA = "user:ada"
CAT, DOG, TAX = "the cat sleeps on the mat", "the dog chases the ball", "taxes are due in april"


class Plane:
    """Embeds "x,y" as the vector that it writes."""

    name = "plane"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(each) for each in text.split(",")] for text in texts]


def texts(found: Sequence[Any]) -> list[str]:
    return [each.text for each in found]


async def test_the_nearest_text_comes_first(runtime: Runtime) -> None:
    memory = SemanticMemory(ADA, embedder=WordEmbedder())
    for text in (CAT, DOG, TAX):
        await memory.remember(text)
    found = await memory.recall("when are taxes due")
    assert found[0].text == TAX
    assert found[0].score == pytest.approx(3 / math.sqrt(4 * 5))
    assert texts(await memory.recall("the cat", top=1)) == [CAT]
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


async def test_what_is_not_near_enough_is_not_found(runtime: Runtime) -> None:
    memory = SemanticMemory(embedder=Plane())
    for text in ("1,0", "1,1", "0,1", "-1,0"):
        await memory.remember(text)
    assert texts(await memory.recall("2,0")) == ["1,0", "1,1"]
    assert texts(await memory.recall("2,0", least=0.8)) == ["1,0"]
    assert await memory.recall("2,0", top=0) == []


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=20, unique=True),
    st.tuples(st.integers(-9, 9), st.integers(1, 9)),
)
async def test_search_is_exact(points: list[tuple[int, int]], wanted: tuple[int, int]) -> None:
    async with SqliteStore("sqlite://") as store:
        memory = SemanticMemory(embedder=Plane(), store=store)
        for x, y in points:
            await memory.remember(f"{x},{y}")
        found = await memory.recall(f"{wanted[0]},{wanted[1]}", top=20, least=1e-6)
    expected = {f"{x},{y}": likeness((x, y), wanted) for x, y in points}
    assert {each.text: pytest.approx(each.score, abs=1e-6) for each in found} == {
        text: score for text, score in expected.items() if score > 1e-6
    }


async def test_the_same_text_is_kept_once_and_a_key_can_be_given(runtime: Runtime) -> None:
    memory = SemanticMemory(embedder=WordEmbedder())
    assert await memory.remember(CAT) == await memory.remember(CAT)
    assert await memory.remember(DOG, key="pet", facts={"legs": 4}) == "pet"
    await memory.remember(TAX, key="pet", facts={"month": "april"})
    found = {each.key: each for each in await memory.recall(f"{CAT} {TAX}")}
    assert len(found) == 2
    assert (found["pet"].text, found["pet"].facts, found["pet"].scope) == (TAX, {"month": "april"}, "global")


async def test_scopes_are_searched_together_and_forgotten_alone(runtime: Runtime) -> None:
    embedder = WordEmbedder()
    everybody, ada = SemanticMemory(embedder=embedder), SemanticMemory(ADA, embedder=embedder)
    await everybody.remember(CAT, key="pet")
    await everybody.remember(TAX)
    await ada.remember("my cat is called Tom", key="pet")
    await SemanticMemory("user:eve", embedder=embedder).remember("a secret cat")
    assert set(texts(await ada.recall("cat taxes"))) == {"my cat is called Tom", TAX}
    assert await ada.forget("pet")
    assert not await ada.forget("pet")
    assert set(texts(await ada.recall("cat taxes"))) == {CAT, TAX}
    assert await ada.clear() == 0
    assert await everybody.clear() == 2


async def test_texts_end_with_their_time_and_are_pruned_by_age() -> None:
    clock = JumpingClock()
    async with SqliteStore("sqlite://") as store:
        memory = SemanticMemory(embedder=WordEmbedder(), store=store, clock=clock)
        await memory.remember(CAT, ttl="1h")
        await memory.remember(DOG)
        clock.advance("1h")
        assert texts(await memory.recall("the cat and the dog")) == [DOG]
        assert await memory.prune("2h") == 0
        clock.advance("2h")
        assert await memory.prune("2h") == 1
        assert await memory.recall("the dog") == []


async def test_vectors_of_another_embedder_are_not_compared(runtime: Runtime) -> None:
    await SemanticMemory(embedder=WordEmbedder()).remember("1,0")
    assert await SemanticMemory(embedder=Plane()).recall("1,0") == []


async def test_vectors_of_another_length_are_not_compared(runtime: Runtime) -> None:
    memory = SemanticMemory(embedder=Plane())
    await memory.remember("1,0")
    await memory.remember("1,0,0")
    assert texts(await memory.recall("1,0")) == ["1,0"]
    assert await memory.recall("1,0,0,0") == []


async def test_a_text_without_a_direction_is_never_near(runtime: Runtime) -> None:
    memory = SemanticMemory(embedder=WordEmbedder())
    await memory.remember("...")
    assert await memory.recall("...") == []
    with pytest.raises(UsageError, match="no meaning"):
        await memory.remember("  ")


async def test_nothing_is_embedded_where_nothing_is_kept(runtime: Runtime) -> None:
    embedder = WordEmbedder()
    assert await SemanticMemory(embedder=embedder).recall("anything") == []
    assert embedder.embedded == []


SHARED = WordEmbedder()


@workflow
async def learn() -> list[str]:
    memory = SemanticMemory(ADA, embedder=SHARED)
    await memory.remember(CAT, facts={"n": 1})
    return texts(await memory.recall("a cat"))


async def test_in_a_workflow_each_call_is_a_recorded_step(runtime: Runtime) -> None:
    handle = await runtime.start(learn)
    assert await handle.result() == [CAT]
    steps = [event for event in await handle.events() if event.type == "step.completed"]
    assert [event.name for event in steps] == ["semantic.remember", "semantic.recall"]
    assert SHARED.embedded == [CAT, "a cat"]  # replayed after every step, and asked once


def chatter(model: ScriptedModel, recollection: SemanticRecollection) -> Any:
    @agent(model=model, memory=recollection, name="chatter")
    async def chat(text: str, session_id: str = "") -> str:
        """{{ text }}"""
        ...

    return chat


async def test_an_agent_is_reminded_of_what_its_user_has_said_in_other_sessions(runtime: Runtime) -> None:
    model = ScriptedModel("Tom is a fine name", "Tom", "Who knows")
    chat = chatter(model, SemanticRecollection(WordEmbedder()))
    with acting_as(Principal("ada")):
        await chat("my cat is called Tom", session_id="1")
        await chat("how is my cat called", session_id="2")
    with acting_as(Principal("eve")):
        await chat("how is my cat called", session_id="2")
    told = [[message.text for message in request.messages] for request in model.requests]
    assert told == [
        ["my cat is called Tom"],
        [f"{RECALLED}\n- my cat is called Tom\nTom is a fine name", "how is my cat called"],
        ["how is my cat called"],
    ]


async def test_without_a_user_an_agent_remembers_by_session(runtime: Runtime) -> None:
    model = ScriptedModel("one", "two", "three")
    chat = chatter(model, SemanticRecollection(WordEmbedder()))
    for session in ("1", "2", "1"):
        await chat("my cat is called Tom", session_id=session)
    assert [len(request.messages) for request in model.requests] == [1, 1, 2]


async def test_a_memory_of_its_own_is_used_as_it_is(runtime: Runtime) -> None:
    memory = SemanticMemory("agent:books", embedder=WordEmbedder())
    await memory.remember(TAX)
    recollection = SemanticRecollection(memory, top=1)
    (told,) = await recollection.before("chatter", "1", "when are taxes due")
    assert told.text == f"{RECALLED}\n- {TAX}"
    assert await recollection.before("chatter", "1", "hello") == []
    await recollection.after("chatter", "1", [told])  # an exchange without an answer
    assert await memory.clear() == 1


def test_likeness_is_the_cosine() -> None:
    assert likeness([3, 4], [3, 4]) == pytest.approx(1)
    assert likeness([1, 0], [0, 5]) == 0
    assert likeness([1, 0], [-2, 0]) == pytest.approx(-1)
    assert likeness([0, 0], [1, 1]) == 0

"""A router that remembers: follow-ups go where they belong, with what was said before, and nothing else does."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from assent import workflow
from assent.agents.conversing import Decision, MemoryAwareRouter
from assent.agents.matching import Match
from assent.agents.messages import AssistantMessage, UserMessage
from assent.agents.router import Router
from assent.agents.semantic import SemanticMemory
from assent.errors import NoRouteFound
from assent.runtime import Runtime
from assent.testing.embedding import WordEmbedder


class Heard:
    """Agents that remember what they were asked."""

    def __init__(self) -> None:
        self.queries: list[tuple[str, str]] = []
        self.contexts: list[str] = []

    def plain(self, name: str) -> Callable[..., Any]:
        async def answer(query: str) -> str:
            self.queries.append((name, query))
            return f"{name} says {len(self.queries)}"

        return answer

    def with_context(self, name: str) -> Callable[..., Any]:
        async def answer(query: str, context: str) -> str:
            self.queries.append((name, query))
            self.contexts.append(context)
            return f"{name} says {len(self.queries)}"

        return answer


def desk(make: Callable[[str], Any], **options: Any) -> MemoryAwareRouter:
    router = Router()
    for name in ("weather", "joke", "money"):
        router.register(make(name), intents=[name], name=name)
    return MemoryAwareRouter(router, **options)


async def test_a_follow_up_goes_to_the_agent_of_the_last_query_that_was_clear(runtime: Runtime) -> None:
    heard = Heard()
    router = desk(heard.with_context)
    for query in ("A joke please", "The weather in Rome?", "And in Oslo?", "What about tomorrow?", "one more joke"):
        await router.route(query, session="1")
    assert [name for name, _ in heard.queries] == ["joke", "weather", "weather", "weather", "joke"]


async def test_an_agent_that_takes_a_context_gets_the_query_as_it_is(runtime: Runtime) -> None:
    heard = Heard()
    router = desk(heard.with_context)
    await router.route("The weather in Rome?", session="1")
    await router.route("And in Oslo?", session="1")
    await router.route("A joke about money", session="1")
    assert [query for _, query in heard.queries] == ["The weather in Rome?", "And in Oslo?", "A joke about money"]
    assert heard.contexts == ["", "User: The weather in Rome?\nAssistant: weather says 1", ""]


async def test_another_agent_gets_both_in_one_text_and_only_if_it_must(runtime: Runtime) -> None:
    heard = Heard()
    router = desk(heard.plain)
    await router.route("The weather in Rome?", session="1")
    await router.route("And in Oslo?", session="1")
    await router.route("A joke", session="1")
    assert heard.queries[0] == ("weather", "The weather in Rome?")
    assert heard.queries[1][1] == (
        "Earlier in this conversation:\nUser: The weather in Rome?\nAssistant: weather says 1\n\n"
        "Now answer this:\nAnd in Oslo?"
    )
    assert heard.queries[2] == ("joke", "A joke")


async def test_a_query_that_says_where_it_belongs_goes_there_whatever_was_said(runtime: Runtime) -> None:
    heard = Heard()
    router = desk(heard.with_context)
    await router.route("The weather in Rome?", session="1")
    await router.route("Tell me a joke about it", session="1")
    assert heard.queries[-1] == ("joke", "Tell me a joke about it")
    assert heard.contexts[-1].startswith("User: The weather")


async def test_words_of_the_past_never_route_a_complete_query(runtime: Runtime) -> None:
    router = desk(Heard().plain)
    await router.route("The weather in Rome?", session="1")
    with pytest.raises(NoRouteFound):
        await router.route("Her Majesty", session="1")


async def test_sessions_do_not_mix(runtime: Runtime) -> None:
    router = desk(Heard().plain)
    await router.route("The weather in Rome?", session="1")
    with pytest.raises(NoRouteFound):
        await router.route("And in Oslo?", session="2")


async def test_a_decision_tells_where_to_with_what_and_why(runtime: Runtime) -> None:
    router = desk(Heard().plain)
    match = Match("weather", 1.0, "it says 'weather'")
    assert await router.decide("The weather there?", session="1") == Decision(match, None, "")  # nothing was said yet
    await router.route("The weather in Rome?", session="1")
    context = "User: The weather in Rome?\nAssistant: weather says 1"
    assert await router.decide("And there?", session="1") == Decision(match, "and", context)
    assert await router.decide("Good morning", session="1") == Decision(None, None, "")


async def test_what_was_said_is_kept_and_can_be_cleared(runtime: Runtime) -> None:
    router = desk(Heard().plain)
    await router.route("A joke", session="1")
    assert await router.conversation("1").messages() == (UserMessage("A joke"), AssistantMessage("joke says 1"))
    assert await router.conversation("1").clear()
    assert await router.decide("And another?", session="1") == Decision(None, None, "")


async def test_an_answer_that_is_no_text_is_kept_as_json(runtime: Runtime) -> None:
    async def answer(query: str) -> dict[str, int]:
        return {"degrees": 20}

    router = desk(lambda name: answer)
    assert await router.route("weather", session="1") == {"degrees": 20}
    assert (await router.conversation("1").messages())[-1] == AssistantMessage('{"degrees":20}')


async def test_after_a_failure_the_query_can_be_meant_again(runtime: Runtime) -> None:
    class Flaky(Heard):
        def plain(self, name: str) -> Callable[..., Any]:
            async def answer(query: str) -> str:
                self.queries.append((name, query))
                if len(self.queries) == 1:
                    raise ConnectionError("no line")
                return "sunny"

            return answer

    heard = Flaky()
    router = desk(heard.plain)
    with pytest.raises(ConnectionError):
        await router.route("The weather in Rome?", session="1")
    assert await router.conversation("1").messages() == (UserMessage("The weather in Rome?"),)
    assert await router.route("try again", session="1") == "sunny"
    assert "The weather in Rome?" in heard.queries[-1][1]


async def test_the_context_is_limited(runtime: Runtime) -> None:
    heard = Heard()
    router = desk(heard.with_context, context_tokens=29)
    for number in range(5):
        await router.route(f"joke number {number}", session="1")
    await router.route("again", session="1")
    assert heard.contexts[-1] == "User: joke number 4\nAssistant: joke says 5"


async def test_what_is_known_of_the_subject_is_added(runtime: Runtime) -> None:
    knowledge = SemanticMemory(embedder=WordEmbedder())
    await knowledge.remember("oslo is in norway")
    await knowledge.remember("bananas are yellow")
    heard = Heard()
    router = desk(heard.with_context, knowledge=knowledge)
    await router.route("The weather in Rome?", session="1")
    await router.route("And in Oslo?", session="1")
    assert heard.contexts == ["", "Known: oslo is in norway\nUser: The weather in Rome?\nAssistant: weather says 1"]


async def test_another_way_to_find_references_can_be_given(runtime: Runtime) -> None:
    heard = Heard()
    router = desk(heard.with_context, refers=lambda query: "それ" if "それ" in query else None)
    await router.route("weather 東京", session="1")
    await router.route("それは?", session="1")
    assert heard.queries[-1][0] == "weather"


ASKED = Heard()
DESK = desk(ASKED.with_context)


@workflow
async def chat() -> list[str]:
    first = await DESK.route("The weather in Rome?", session="w")
    await asyncio.sleep(3600)
    return [first, await DESK.route("And in Oslo?", session="w")]


async def test_in_a_workflow_the_conversation_is_read_and_kept_in_recorded_steps(runtime: Runtime) -> None:
    handle = await runtime.start(chat)
    assert len(await handle.result()) == 2
    assert len(await DESK.conversation("w").messages()) == 4
    steps = [event.name for event in await handle.events() if event.type == "step.completed"]
    assert steps == ["session.messages", "session.add", "session.messages", "session.add"]

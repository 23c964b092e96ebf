"""Conversations that are kept: trimmed to what fits, never torn, the same after a crash."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent import step, workflow
from assent.agents.agent import agent
from assent.agents.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from assent.agents.recollection import CombinedRecollection
from assent.agents.session import Session, SessionRecollection, tokens_in, tokens_of, trimmed
from assent.errors import RuntimeRequired, UsageError
from assent.runtime import Runtime
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock, every_crash
from assent.testing.scripted import ScriptedModel, tool_call

HELLO, HI = UserMessage("hello"), AssistantMessage("hi")


def exchange(number: int, *calls: str) -> list[Message]:
    """A question, tool calls with their results, an answer."""
    asked = tuple(ToolCall(f"{number}{name}", name, "{}") for name in calls)
    said: list[Message] = [UserMessage(f"question {number}")]
    if asked:
        said += [AssistantMessage(calls=asked), *(ToolMessage(call.id, call.name, "done") for call in asked)]
    return [*said, AssistantMessage(f"answer {number}")]


def cost(messages: Sequence[Message]) -> int:
    return sum(map(tokens_of, messages))


async def test_messages_are_kept_in_order_and_apart_from_other_sessions(runtime: Runtime) -> None:
    await Session("one").add(HELLO, HI)
    await Session("one").add(UserMessage("again"))
    await Session("two").add(UserMessage("other"))
    assert await Session("one").messages() == (HELLO, HI, UserMessage("again"))
    assert await Session("two").messages() == (UserMessage("other"),)


async def test_a_cleared_session_is_empty(runtime: Runtime) -> None:
    await Session("one").add(HELLO)
    assert await Session("one").clear()
    assert not await Session("one").clear()
    assert await Session("one").messages() == ()


async def test_what_a_provider_needs_back_is_kept_as_it_was(runtime: Runtime) -> None:
    said: list[Message] = [
        UserMessage("2+2"),
        AssistantMessage("", (ToolCall("c", "add", '{"a": 2'),), raw='{"signature": "xyz"}'),
        ToolMessage("c", "add", "bad JSON", failed=True),
    ]
    await Session("one").add(*said)
    assert await Session("one").messages() == tuple(said)


async def test_a_session_is_forgotten_when_nothing_was_said_for_its_time() -> None:
    clock = JumpingClock()
    async with SqliteStore("sqlite://") as store:
        session = Session("one", ttl="1h", store=store, clock=clock)
        await session.add(HELLO)
        clock.advance("50m")
        await session.add(HI)
        clock.advance("50m")
        assert await session.messages() == (HELLO, HI)
        clock.advance("11m")
        assert await session.messages() == ()


async def test_additions_at_the_same_time_are_all_kept_side_by_side(runtime: Runtime) -> None:
    await asyncio.gather(*(Session("one").add(*exchange(number)) for number in range(20)))
    messages = await Session("one").messages()
    assert len(messages) == 40
    for asked, told in zip(messages[::2], messages[1::2], strict=True):
        assert asked.text.replace("question", "answer") == told.text


async def test_only_the_last_messages_are_kept(runtime: Runtime) -> None:
    session = Session("one", limit_tokens=cost(exchange(1)) * 2)
    for number in range(5):
        await session.add(*exchange(number))
    assert await session.messages() == (*exchange(3), *exchange(4))
    assert await Session("one", limit_tokens=cost(exchange(4))).messages() == tuple(exchange(4))


async def test_without_a_limit_all_is_kept(runtime: Runtime) -> None:
    session = Session("one", limit_tokens=None)
    for _ in range(50):
        await session.add(UserMessage("x" * 4000))
    assert len(await session.messages()) == 50


def test_a_call_goes_with_its_results() -> None:
    messages = [*exchange(1, "a", "b"), *exchange(2)]
    assert trimmed(messages, cost(messages)) == tuple(messages)
    assert trimmed(messages, cost(messages) - 1) == tuple(exchange(2))


def test_an_exchange_that_is_too_long_loses_its_middle() -> None:
    question, first, first_result, answer = exchange(1, "a")
    second = AssistantMessage(calls=(ToolCall("z", "b", "{}"),))
    messages = [question, first, first_result, second, ToolMessage("z", "b", "done"), answer]
    assert trimmed(messages, cost(messages) - 1) == (question, *messages[3:])
    assert trimmed(messages, cost([question, answer])) == (question, answer)


def test_a_question_that_does_not_fit_takes_its_answers_along() -> None:
    assert trimmed([UserMessage("long " * 100), AssistantMessage("short")], 50) == ()
    assert trimmed([AssistantMessage("long " * 100), AssistantMessage("short")], 50) == ()


@pytest.mark.parametrize("results", [[], ["1"], ["1", "2", "3"], ["1", "3"]])
def test_calls_that_have_not_just_their_results_are_left_out(results: list[str]) -> None:
    calls = AssistantMessage(calls=(ToolCall("1", "a", "{}"), ToolCall("2", "b", "{}")))
    said = [ToolMessage(each, "a", "done") for each in results]
    assert trimmed([HELLO, calls, *said, HI], None) == (HELLO, HI)


def messages_of(kinds: Sequence[tuple[str, int]]) -> list[Message]:
    made: list[Message] = []
    for place, (kind, size) in enumerate(kinds):
        if kind == "user":
            made.append(UserMessage("u" * size))
        elif kind == "text":
            made.append(AssistantMessage("a" * size))
        elif kind == "stray":
            made.append(ToolMessage("nobody", "t", "s" * size))
        else:
            calls = tuple(ToolCall(f"{place}-{each}", "t", "{}") for each in range(size % 3 + 1))
            made += [AssistantMessage(calls=calls), *(ToolMessage(call.id, "t", "r" * size) for call in calls)]
            if kind == "torn":
                made.pop()
    return made


conversations = st.lists(
    st.tuples(st.sampled_from(["user", "text", "calls", "torn", "stray"]), st.integers(0, 60))
).map(messages_of)


@given(conversations, st.integers(1, 200))
def test_what_is_left_fits_is_whole_and_in_order(messages: list[Message], limit: int) -> None:
    left = trimmed(messages, limit)
    assert cost(left) <= limit
    rest = iter(messages)
    assert all(any(message is other for other in rest) for message in left)
    calls = [call.id for message in left if isinstance(message, AssistantMessage) for call in message.calls]
    assert calls == [message.call_id for message in left if isinstance(message, ToolMessage)]
    assert trimmed(left, limit) == left


@given(conversations, st.integers(1, 200))
def test_what_is_left_of_a_longer_one_begins_with_a_user(messages: list[Message], limit: int) -> None:
    whole, left = trimmed(messages, None), trimmed(messages, limit)
    assert left == whole or not left or isinstance(left[0], UserMessage)


def test_tokens_are_about_a_quarter_of_the_bytes() -> None:
    assert tokens_in("") == 0
    assert tokens_in("abcd") == 1
    assert tokens_in("abcde") == 2
    assert tokens_in("日本語") == 3
    assert tokens_in("\ud800") == 1


async def test_tokens_can_be_counted_in_another_way(runtime: Runtime) -> None:
    session = Session("one", limit_tokens=2 * (4 + 1), count=lambda text: len(text.split()))
    await session.add(UserMessage("one"), AssistantMessage("two"), UserMessage("three"), AssistantMessage("four"))
    assert [message.text for message in await session.messages()] == ["three", "four"]


@pytest.mark.parametrize("options", [{"id": ""}, {"id": "a", "limit_tokens": 0}, {"id": "a", "ttl": 0}])
def test_what_makes_no_session_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Session(**options)


async def test_without_a_store_it_says_what_is_missing() -> None:
    with pytest.raises(RuntimeRequired, match="open a Runtime"):
        await Session("one").messages()


# In workflows.


@workflow
async def talk() -> int:
    session = Session("talk")
    before = await session.messages()
    await session.add(HELLO)
    await asyncio.sleep(3600)
    await session.add(HI)
    return len(before)


async def test_a_workflow_reads_and_adds_in_recorded_steps(runtime: Runtime) -> None:
    handle = await runtime.start(talk)
    assert await handle.result() == 0
    steps = [event for event in await handle.events() if event.type == "step.completed"]
    assert [event.name for event in steps] == ["session.messages", "session.add", "session.add"]
    assert steps[1].arguments == "{}"  # the journal does not repeat what its steps have told
    assert await Session("talk").messages() == (HELLO, HI)
    assert await talk() == 2


@step
async def add_two() -> None:
    await Session("both").add(HELLO)
    await Session("both").add(HELLO)


@workflow
async def add_in_a_step() -> None:
    await add_two()


async def test_equal_messages_that_a_step_adds_are_all_kept(runtime: Runtime) -> None:
    await add_in_a_step()
    assert await Session("both").messages() == (HELLO, HELLO)


async def crashing(store: SqliteStore) -> int:
    async with Runtime(store=store, workflows=[talk]) as runtime:
        await (await runtime.start(talk_at_once, id="talk")).result()
        return len(await Session("talk").messages())


@workflow
async def talk_at_once() -> None:
    session = Session("talk")
    for number in range(3):
        await session.add(UserMessage(str(number)))


@pytest.mark.timeout(240)
def test_a_crash_at_any_commit_adds_nothing_twice(tmp_path: Path) -> None:
    crashes = 0
    for recovery in every_crash(crashing, tmp_path):
        crashes += 1
        assert recovery.life.result == 3, recovery.crash
    assert crashes > 8


# As what an agent remembers.


async def test_an_agent_goes_on_with_its_conversation(runtime: Runtime) -> None:
    model = ScriptedModel("Hello Ada", "You are Ada")

    @agent(model=model, memory=SessionRecollection())
    async def chat(text: str, session_id: str) -> str:
        """{{ text }}"""
        ...

    await chat("I am Ada", session_id="one")
    assert await chat("Who am I?", session_id="one") == "You are Ada"
    assert [each.text for each in model.requests[1].messages] == ["I am Ada", "Hello Ada", "Who am I?"]
    assert len(await Session("one").messages()) == 4


async def test_an_agent_keeps_the_tools_that_it_used(runtime: Runtime) -> None:
    @agent(model=ScriptedModel(tool_call("add", a=1), "2", "3"), tools=[add], memory=SessionRecollection())
    async def count(text: str, session_id: str) -> str:
        """{{ text }}"""
        ...

    await count("1+1", session_id="one")
    roles = [message.role for message in await Session("one").messages()]
    assert roles == ["user", "assistant", "tool", "assistant"]


async def add(a: int) -> int:
    """Add one."""
    return a + 1


async def test_an_agent_that_is_told_no_session_says_so(runtime: Runtime) -> None:
    @agent(model=ScriptedModel("never"), memory=SessionRecollection())
    async def chat(text: str) -> str:
        """{{ text }}"""
        ...

    with pytest.raises(UsageError, match="Give it a session id"):
        await chat("hello")


class Noted:
    """Recalls one text, and keeps what it is given."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.kept: list[Sequence[Message]] = []

    async def before(self, agent: str, session: str, prompt: str) -> Sequence[Message]:
        return [UserMessage(f"{self.text} of {agent} in {session} for {prompt}")]

    async def after(self, agent: str, session: str, new: Sequence[Message]) -> None:
        self.kept.append(new)


async def test_several_recall_in_order_and_each_keeps() -> None:
    one, two = Noted("one"), Noted("two")
    both = CombinedRecollection(one, two)
    recalled = await both.before("helper", "s", "why")
    assert [each.text for each in recalled] == ["one of helper in s for why", "two of helper in s for why"]
    await both.after("helper", "s", [HELLO])
    assert one.kept == two.kept == [[HELLO]]

"""`@agent`: functions whose results a model finds."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from assent import workflow
from assent.agents.agent import agent, answer
from assent.agents.choosing import use_model
from assent.agents.limits import StopReason
from assent.agents.messages import AssistantMessage, ModelResponse, UserMessage
from assent.errors import AgentStopped, OutsideWorkflow, PromptError, UsageError
from assent.runtime import Runtime
from assent.testing import memory_runtime
from assent.testing.scripted import ScriptedModel


class Person(BaseModel):
    name: str
    age: int


def asked(model: ScriptedModel) -> list[str]:
    """The last message of each request."""
    return [request.messages[-1].text for request in model.requests]


async def test_the_docstring_is_the_prompt_and_the_annotation_the_type() -> None:
    model = ScriptedModel('{"name": "Ada", "age": 36}')

    @agent(model=model, system="Be exact.")
    async def who(text: str, hint: str = "none") -> Person:
        """Who is in {{ text }}? Hint: {{ hint }}."""
        ...

    assert await who("the story") == Person(name="Ada", age=36)
    assert asked(model) == ["Who is in the story? Hint: none."]
    assert model.requests[0].system == "Be exact."
    assert model.requests[0].output is not None


async def test_the_type_of_the_result_can_be_given_beside_the_annotation() -> None:
    @agent(model=ScriptedModel("41"), output=int)
    async def number() -> Any:
        """A number, please."""

    assert await number() == 41


async def test_a_body_is_executed_and_asks_by_itself() -> None:
    model = ScriptedModel("3", "4")

    @agent(model=model)
    async def rate(text: str) -> int:
        """Rate {{ text }}."""
        first: int = await answer()
        second: int = await answer(f"Rate {text.upper()}, which you gave {first}.")
        return first + second

    assert await rate("it") == 7
    assert asked(model) == ["Rate it.", "Rate IT, which you gave 3."]


async def test_an_answer_that_does_not_fit_is_mended() -> None:
    model = ScriptedModel("old", '{"name": "Ada"}', '{"name": "Ada", "age": 36}')

    @agent(model=model)
    async def who() -> Person:
        """Who?"""
        ...

    assert (await who()).age == 36
    assert ["age: Field required" in text for text in asked(model)] == [False, False, True]


async def test_an_answer_that_never_fits_stops_the_agent() -> None:
    model = ScriptedModel("old", "older", "oldest")

    @agent(model=model, repairs=2)
    async def age() -> int:
        """How old?"""
        ...

    with pytest.raises(AgentStopped, match=r"age stopped without a result \(output_invalid, after 3 turns\)") as raised:
        await age()
    assert (raised.value.agent, raised.value.reason) == ("age", "output_invalid")
    assert len(model.requests) == 3


async def test_silence_is_no_result() -> None:
    model = ScriptedModel("", " \n", "something")

    @agent(model=model)
    async def say() -> str:
        """Say something."""
        ...

    assert await say() == "something"
    assert asked(model)[1:] == ["You said nothing. Give the result."] * 2


@pytest.mark.parametrize(
    ("finish", "stop"), [("content_filter", StopReason.CONTENT_FILTER), ("length", StopReason.LENGTH)]
)
async def test_an_answer_that_was_cut_or_filtered_is_no_result(finish: Any, stop: StopReason) -> None:
    @agent(model=ScriptedModel(ModelResponse(message=AssistantMessage("half of"), model="m", finish=finish)))
    async def say() -> str:
        """Say something."""
        ...

    with pytest.raises(AgentStopped) as raised:
        await say()
    assert raised.value.reason == stop


def test_what_can_be_seen_is_refused_at_decoration() -> None:
    with pytest.raises(PromptError, match="names nmae"):

        @agent
        async def wrong(name: str) -> str:
            """Greet {{ nmae }}."""
            ...

    with pytest.raises(PromptError, match="has no docstring"):

        @agent
        async def silent(name: str) -> None: ...

    with pytest.raises(TypeError, match="async def"):

        @agent  # type: ignore[arg-type]  # what must not be
        def plain(name: str) -> str:
            """Greet {{ name }}."""
            return name


async def test_without_a_model_the_remedy_is_named() -> None:
    @agent
    async def say() -> str:
        """Say."""
        ...

    with pytest.raises(UsageError, match=r'@agent\(model="openai:gpt-5"\)'):
        await say()
    with use_model(ScriptedModel("hi")):
        assert await say() == "hi"


async def test_answer_belongs_into_a_body() -> None:
    with pytest.raises(OutsideWorkflow, match="@agent"):
        await answer("hi")


async def test_a_copy_with_other_options_is_another_agent() -> None:
    @agent(model=ScriptedModel("one"), system="first")
    async def say() -> str:
        """Say."""
        ...

    other = ScriptedModel("two")
    assert await say.replace(model=other, max_turns=1)() == "two"
    assert other.requests[0].system == "first"
    assert await say() == "one"


async def test_all_about_a_run_is_told() -> None:
    @agent(model=ScriptedModel("x", "7", price="0.5"))
    async def number() -> int:
        """A number."""
        ...

    found = await number.run()
    assert (found.output, found.stop, found.turns) == (7, StopReason.FINAL, 2)
    assert found.messages[0] == UserMessage("A number.")
    assert found.cost == Decimal("0.5") * found.usage.total_tokens > 0


async def test_a_run_without_a_result_raises_nothing() -> None:
    @agent(model=ScriptedModel("x", "y", "z"))
    async def number() -> int:
        """A number."""
        ...

    found = await number.run()
    assert (found.output, found.stop) == (None, StopReason.OUTPUT_INVALID)
    assert "no JSON was found" in found.reason


async def test_an_answer_that_was_cut_is_no_output() -> None:
    for kind in (str, str | int):

        @agent(model=ScriptedModel(ModelResponse(message=AssistantMessage("half of"), model="m", finish="length")))
        async def say() -> Any:
            """Say something."""
            ...

        found = await say.replace(output=kind).run()
        assert (found.output, found.stop) == (None, StopReason.LENGTH)


async def test_of_another_agent_that_stops_in_a_body_nothing_is_hidden() -> None:
    @agent(model=ScriptedModel("x"), repairs=0)
    async def number() -> int:
        """A number."""
        ...

    @agent(model=ScriptedModel("fine"))
    async def says() -> str:
        """Say."""
        said: str = await answer()
        return said * await number()

    with pytest.raises(AgentStopped, match="agent number stopped"):
        await says.run()


def test_an_option_that_does_not_exist_is_refused() -> None:
    async def act() -> str:
        """Act."""
        ...

    with pytest.raises(UsageError, match=r"@agent has no option max_cots"):
        agent(max_cots="0.1")(act)  # type: ignore[call-overload]  # what must not be
    with pytest.raises(UsageError, match=r"@agent has no option max_turn"):
        agent(act).replace(max_turn=3)  # type: ignore[call-arg]  # what must not be


@pytest.mark.parametrize("cost", ["much", "nan", float("nan")])
async def test_what_is_no_amount_is_no_limit(cost: Any) -> None:
    @agent(model=ScriptedModel("hi"), max_cost=cost)
    async def act() -> str:
        """Act."""
        ...

    with pytest.raises(UsageError, match="is no amount"):
        await act()


class Clerk:
    def __init__(self, name: str) -> None:
        self.name = name

    @agent(model=ScriptedModel(lambda request: request.messages[-1].text))
    async def sign(self, paper: str) -> str:
        """{{ self.name }} signs {{ paper }}."""
        ...


async def check_methods() -> None:
    ada, ben = Clerk("Ada"), Clerk("Ben")
    assert list(await asyncio.gather(ada.sign("it"), ben.sign(paper="it"))) == ["Ada signs it.", "Ben signs it."]
    assert (await ada.sign.run("it")).output == "Ada signs it."
    async with ben.sign.stream("it") as stream:
        assert "".join([piece.text async for piece in stream]) == "Ben signs it."


async def test_a_method_is_an_agent_of_its_object() -> None:
    await check_methods()


async def test_a_method_under_a_runtime_is_an_agent_of_its_object(runtime: Runtime) -> None:
    await check_methods()
    assert {each.name for each in await runtime.executions()} == {"Clerk.sign", "Clerk.sign.run"}


async def test_agents_of_one_question_do_not_mix() -> None:
    """The body of one calls another, and asks for itself again."""

    @agent(model=ScriptedModel(lambda request: f"[{request.messages[-1].text}]"))
    async def inner(text: str) -> str:
        """In {{ text }}"""
        ...

    @agent(model=ScriptedModel(lambda request: f"<{request.messages[-1].text}>"))
    async def outer(text: str) -> str:
        """Out {{ text }}"""
        return f"{await answer()} {await inner(text)} {await answer()}"

    found = await asyncio.gather(outer("a"), outer("b"))
    assert list(found) == ["<Out a> [In a] <Out a>", "<Out b> [In b] <Out b>"]


# Under a runtime.


@agent(model=ScriptedModel(lambda request: f"{len(request.messages[-1].text)}"))
async def count_letters(text: str) -> int:
    """{{ text }}"""
    ...


async def test_a_call_is_an_execution_of_its_own(runtime: Runtime) -> None:
    assert await count_letters("four") == 4
    (execution,) = await runtime.executions()
    assert (execution.name, execution.status.value) == ("count_letters", "completed")


async def test_a_call_in_a_workflow_is_part_of_it(runtime: Runtime) -> None:
    @workflow
    async def twice(text: str) -> list[int]:
        return list(await asyncio.gather(count_letters(text), count_letters(text * 2)))

    handle = await runtime.start(twice, "four")
    assert await handle.result() == [4, 8]
    events = await handle.events()
    assert [event.type for event in events if event.name == "agent.started"] == ["execution.noted"] * 2
    runs = [event.arguments for event in events if event.type == "step.completed"]
    assert runs == ['{"agent":"count_letters","run":0,"turn":1}', '{"agent":"count_letters","run":1,"turn":1}']


async def test_all_about_a_run_crosses_the_journal(runtime: Runtime) -> None:
    found = await count_letters.run("four")
    assert (found.output, found.turns) == (4, 1)
    handle = await runtime.start(count_letters.telling, "four", id="again")
    assert (await handle.result()) == found


async def test_a_typed_result_crosses_the_journal(runtime: Runtime) -> None:
    @agent(model=ScriptedModel('{"name": "Ada", "age": 36}'))
    async def who() -> Person:
        """Who?"""
        ...

    assert await (await runtime.start(who)).result() == Person(name="Ada", age=36)


async def test_a_result_of_a_type_given_beside_the_annotation_crosses_the_journal(runtime: Runtime) -> None:
    model = ScriptedModel(lambda request: '{"name": "Ada", "age": 36}')

    @agent(model=model, output=Person)
    async def who() -> Any:
        """Who?"""
        ...

    @agent(model=model, output=Person)
    async def name() -> str:
        """Who?"""
        return str((await answer()).name)

    assert await (await runtime.start(who)).result() == (await who.run()).output == Person(name="Ada", age=36)
    assert await (await runtime.start(name)).result() == (await name.run()).output == "Ada"


async def test_an_agent_resumes_in_another_process_by_its_name() -> None:
    async with memory_runtime(workflows=[count_letters]) as runtime:
        assert {"count_letters", "count_letters.run"} <= {program.name for program in runtime.programs}

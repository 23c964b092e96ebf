"""The loop: limits, tools, retries, and what the journal tells of them."""

import asyncio
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest

from assent import ApprovalPolicy, Selector, ValidationPolicy, govern, now, step, workflow
from assent.agents.agent import agent
from assent.agents.limits import StopReason
from assent.agents.messages import RESPONSE, AssistantMessage, ModelRequest, ModelResponse, ToolCall, ToolMessage, Usage
from assent.errors import AgentStopped, ExecutionCancelled, ModelRateLimited, ModelRefused, ModelUnavailable, UsageError
from assent.runtime import Runtime
from assent.testing import memory_runtime
from assent.testing.scripted import ScriptedModel, tool_call
from assent.tools import tool


class Mood(StrEnum):
    GOOD = "good"


@tool
async def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def results(model: ScriptedModel) -> list[ToolMessage]:
    """What the model was told of its last calls."""
    return [each for each in model.requests[-1].messages if isinstance(each, ToolMessage)]


def calls_until(turns: int, *calls: ToolCall) -> ScriptedModel:
    """A model that makes the same calls in each turn, and then has done."""

    def say(request: ModelRequest) -> Any:
        said = sum(isinstance(each, AssistantMessage) for each in request.messages)
        return list(calls) if said < turns else "done"

    return ScriptedModel(say, price="0.01")


async def test_the_model_is_told_what_came_of_its_calls_in_their_order() -> None:
    first = asyncio.Event()

    @tool
    async def slow() -> str:
        await first.wait()
        return "slow"

    @tool
    async def fast() -> str:
        first.set()
        return "fast"

    model = calls_until(1, tool_call("slow"), tool_call("fast"), tool_call("add", a=1, b=2))

    @agent(model=model, tools=[slow, fast, add])
    async def act() -> str:
        """Act."""
        ...

    assert await act() == "done"
    assert [each.text for each in results(model)] == ["slow", "fast", "3"]
    assert [schema.name for schema in model.requests[0].tools] == ["slow", "fast", "add"]


async def test_serial_tools_wait_for_each_other_in_the_order_of_the_calls() -> None:
    seen = []

    @tool(serial=True)
    async def write(text: str) -> None:
        seen.append(f"{text} begins")
        await asyncio.sleep(1)
        seen.append(f"{text} ends")

    @agent(model=calls_until(1, *(tool_call("write", id=each, text=each) for each in "abc")), tools=[write])
    async def act() -> str:
        """Act."""
        ...

    await act()
    assert seen == [f"{each} {what}" for each in "abc" for what in ("begins", "ends")]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (ToolCall("1", "subtract", "{}"), "there is no tool 'subtract'; the tools are: add"),
        (ToolCall("1", "add", "{a: 1}"), "the arguments of add are no JSON"),
        (ToolCall("1", "add", "[1]"), "must be a JSON object"),
        (ToolCall("1", "add", '{"a": "one"}'), "Input should be a valid integer"),
        (ToolCall("1", "add", '{"b": 1}'), "missing a required argument: 'a'"),
        (ToolCall("1", "add", '{"a": 1, "c": 1}'), "unexpected keyword argument 'c'"),
    ],
)
async def test_a_call_that_cannot_be_made_is_told_to_the_model(call: ToolCall, told: str) -> None:
    model = calls_until(1, call)

    @agent(model=model, tools=[add])
    async def act() -> str:
        """Act."""
        ...

    assert await act() == "done"
    (result,) = results(model)
    assert result.failed
    assert told in result.text


async def test_a_tool_that_fails_is_told_to_the_model_and_its_siblings_go_on(runtime: Runtime) -> None:
    @tool
    async def breaks() -> str:
        raise LookupError("nothing there")

    model = calls_until(1, tool_call("breaks"), tool_call("add", a=1))

    @agent(model=model, tools=[breaks, add])
    async def act() -> str:
        """Act."""
        ...

    assert await act() == "done"
    assert [(each.failed, each.text) for each in results(model)] == [(True, "LookupError: nothing there"), (False, "2")]


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


ODD = [
    asyncio.CancelledError(),
    ExceptionGroup("several", [ValueError("one"), KeyError("two")]),
    StopIteration(1),
    StopAsyncIteration(1),
    TimeoutError(),
    Mute(),
    OSError(2, "no such file", "half a letter \udcff"),
]


async def odd_results() -> list[ToolMessage]:
    @tool
    async def fail(number: int) -> str:
        raise ODD[number]

    model = calls_until(2, *(tool_call("fail", id=str(each), number=each) for each in range(len(ODD))))

    @agent(model=model, tools=[fail])
    async def act() -> str:
        """Act."""
        ...

    assert await act() == "done"
    alone = ScriptedModel(tool_call("fail", number=0), "done")
    assert await act.replace(model=alone, name="alone")() == "done"
    return [*results(model), *results(alone)]


async def test_a_tool_may_fail_in_the_strangest_way() -> None:
    assert all(each.failed for each in await odd_results())


async def test_a_recorded_tool_may_fail_in_the_strangest_way(runtime: Runtime) -> None:
    found = await odd_results()
    assert all(each.failed for each in found)
    assert found[0].text == found[-1].text == "CancelledError: "


async def test_a_body_that_is_cancelled_in_the_middle_of_calls_is_cancelled(runtime: Runtime) -> None:
    began = asyncio.Event()

    @tool
    async def hang() -> None:
        began.set()
        await asyncio.Event().wait()

    model = calls_until(1, tool_call("hang", id="1"), tool_call("hang", id="2"))

    @agent(model=model, tools=[hang])
    async def act() -> str:
        """Act."""
        ...

    @workflow
    async def gives_up() -> str:
        task = asyncio.create_task(act())
        done, _ = await asyncio.wait([task], timeout=5)
        task.cancel()
        await asyncio.wait([task])
        return f"{len(done)} {task.cancelled()}"

    assert await gives_up() == "0 True"
    assert len(model.requests) == 1


async def test_halves_of_letters_do_not_break_the_journal(runtime: Runtime) -> None:
    """Models write them when they are cut off, and JSON parsers let them pass."""
    said = AssistantMessage("\ud83d", (ToolCall("1\ud83d", "add", '{"a": "\ud83d"}'),), raw="[\ud83d]")
    model = ScriptedModel(said, "good\ud83d")

    @agent(model=model, tools=[add])
    async def act() -> str:
        """Act."""
        ...

    found = await act.run()
    assert (found.output, found.stop) == ("good?", StopReason.FINAL)
    assert found.messages[1] == AssistantMessage("?", (ToolCall("1?", "add", '{"a": "?"}'),))
    assert results(model)[0].failed


async def test_a_result_that_is_more_than_text_is_told_as_text(runtime: Runtime) -> None:
    @tool
    async def mood() -> Mood:
        return Mood.GOOD

    @agent(model=calls_until(1, tool_call("mood")), tools=[mood])
    async def act() -> str:
        """Act."""
        ...

    assert type((await act.run()).messages[2].text) is str


async def test_thousands_of_calls_keep_their_order() -> None:
    model = calls_until(1, *(tool_call("add", id="same", a=each) for each in range(2000)))

    @agent(model=model, tools=[add])
    async def act() -> str:
        """Act."""
        ...

    async with memory_runtime(check_replay=False):
        assert await act() == "done"
    assert [each.text for each in results(model)] == [str(each + 1) for each in range(2000)]


async def test_a_huge_result_is_cut() -> None:
    @tool
    async def read() -> str:
        return "x" * 1_000_000

    model = calls_until(1, tool_call("read"))

    @agent(model=model, tools=[read])
    async def act() -> str:
        """Act."""
        ...

    await act()
    assert results(model)[0].text.endswith("x [cut: 1000000 letters in all]")
    assert len(results(model)[0].text) < 50_000


def test_two_tools_of_one_name_are_refused() -> None:
    @agent(model=ScriptedModel(), tools=[add, tool(name="add")(lambda a: a)])
    async def act() -> str:
        """Act."""
        ...

    with pytest.raises(UsageError, match="Two tools are called 'add'"):
        _ = act.spec


# Limits.


@pytest.mark.parametrize(
    ("limits", "stop", "turns"),
    [
        ({"max_turns": 3}, StopReason.TURN_LIMIT, 3),
        ({"max_total_tokens": 1}, StopReason.TOKEN_LIMIT, 1),
        ({"max_cost": "0.01"}, StopReason.COST_LIMIT, 1),
        ({"max_cost": Decimal(1000), "max_turns": 2}, StopReason.TURN_LIMIT, 2),
    ],
)
async def test_a_limit_stops_before_the_next_request(limits: Any, stop: StopReason, turns: int) -> None:
    model = calls_until(99, tool_call("add", a=1))

    @agent(model=model, tools=[add], **limits)
    async def act() -> str:
        """Act, a bit."""
        ...

    with pytest.raises(AgentStopped) as raised:
        await act()
    assert (raised.value.reason, len(model.requests)) == (stop, turns)


async def test_the_limit_of_time_cuts_off_what_is_under_way(runtime: Runtime) -> None:
    cut = []

    @tool
    async def wait() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cut.append(True)
            raise

    @agent(model=calls_until(1, tool_call("wait")), tools=[wait], max_time="1m")
    async def act() -> str:
        """Act."""
        ...

    @workflow
    async def timed() -> tuple[str, float]:
        began = now()
        result = await act.run()
        return result.stop.value, (now() - began).total_seconds()

    stop, seconds = await (await runtime.start(timed)).result()
    assert (stop, cut) == ("time_limit", [True])
    assert 60 <= seconds < 61


# Failures of the model.


async def test_a_failed_request_is_tried_again_as_long_as_its_provider_wants(runtime: Runtime) -> None:
    busy = ModelRateLimited("slow down", model="m", status=429, retry_after=20.0)
    model = ScriptedModel(busy, ModelUnavailable("down", model="m"), "at last")

    @agent(model=model)
    async def act() -> str:
        """Act."""
        ...

    handle = await runtime.start(act)
    assert await handle.result() == "at last"
    events = await handle.events()
    tried = [event for event in events if event.op is not None and event.type.startswith("step")]
    assert [event.type for event in tried] == ["step.retried", "step.retried", "step.completed"]
    assert tried[1].at - tried[0].at >= 20


async def test_a_request_that_is_refused_is_not_tried_again(runtime: Runtime) -> None:
    model = ScriptedModel(ModelRefused("no such model", model="m", status=404), "never")

    @agent(model=model)
    async def act() -> str:
        """Act."""
        ...

    handle = await runtime.start(act)
    with pytest.raises(ModelRefused, match="no such model"):
        await handle.result()
    assert len(model.requests) == 1
    (end,) = [event for event in await handle.events() if event.name == "agent.ended"]
    assert '"stop":"model_failed"' in (end.value or "")


# What the journal tells.


async def test_every_request_and_every_call_is_a_recorded_step(runtime: Runtime) -> None:
    @agent(model=calls_until(2, tool_call("add", a=1)), tools=[add])
    async def act() -> str:
        """Act."""
        ...

    handle = await runtime.start(act)
    await handle.result()
    told = [(event.type, event.name) for event in await handle.events()]
    assert told == [
        ("execution.started", "act"),
        ("execution.noted", "agent.started"),
        *[("step.completed", name) for _ in range(2) for name in ("model scripted", "tool add")],
        ("step.completed", "model scripted"),
        ("execution.noted", "agent.ended"),
        ("execution.completed", None),
    ]


async def test_calls_of_one_turn_overlap(runtime: Runtime) -> None:
    together = asyncio.Barrier(3)

    @tool
    async def meet() -> None:
        await together.wait()  # passes only if all three are under way at once

    @agent(model=calls_until(1, *(tool_call("meet", id=str(each)) for each in range(3))), tools=[meet])
    async def act() -> str:
        """Act."""
        ...

    assert await act() == "done"


async def test_the_journal_grows_evenly_with_the_turns(runtime: Runtime) -> None:
    @agent(model=calls_until(60, tool_call("add", a=1)), tools=[add], max_turns=100)
    async def act() -> str:
        """Act."""
        ...

    handle = await runtime.start(act)
    await handle.result()
    sizes = [len(event.value or "") + len(event.arguments or "") for event in await handle.events() if event.op]
    assert sum(sizes[-20:]) < 1.1 * sum(sizes[:20])


async def test_a_cancelled_agent_says_so(runtime: Runtime) -> None:
    began = asyncio.Event()

    async def hang(_request: ModelRequest) -> str:
        began.set()
        await asyncio.Event().wait()
        return "never"

    @agent(model=ScriptedModel(hang))
    async def act() -> str:
        """Act."""
        ...

    handle = await runtime.start(act)
    await began.wait()
    await handle.cancel("enough")
    with pytest.raises(ExecutionCancelled):
        await handle.result()
    (end,) = [event for event in await handle.events() if event.name == "agent.ended"]
    assert '"stop":"cancelled"' in (end.value or "")


async def test_usage_and_cost_add_up() -> None:
    said = [
        ModelResponse(
            message=AssistantMessage(calls=(ToolCall("1", "add", '{"a": 1}'),)),
            model="m",
            usage=Usage(10, 5, 4, 3),
            cost=Decimal("0.1"),
        ),
        ModelResponse(message=AssistantMessage("done"), model="m", usage=Usage(20, 6, 1), cost=None),
    ]

    @agent(model=ScriptedModel(*said), tools=[add])
    async def act() -> str:
        """Act."""
        ...

    found = await act.run()
    assert (found.usage, found.cost) == (Usage(30, 11, 5, 3), Decimal("0.1"))


# Tools under policies.


async def test_a_denied_call_is_told_to_the_model_and_never_happens(runtime: Runtime) -> None:
    paid = []

    @tool
    @govern([ValidationPolicy(check=lambda action: action.arguments["amount"] < 100)])
    async def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return "paid"

    model = calls_until(1, tool_call("pay", id="1", amount=5), tool_call("pay", id="2", amount=500))

    @agent(model=model, tools=[pay])
    async def act() -> str:
        """Act."""
        ...

    assert await act() == "done"
    assert paid == [5]
    assert [each.failed for each in results(model)] == [False, True]
    assert "ValidationDenied" in results(model)[1].text


async def test_a_call_waits_for_people_and_survives_the_wait() -> None:
    @tool
    @govern([ApprovalPolicy(approvers=["ada"], timeout_seconds=0, expires="1d")])
    async def pay(amount: int) -> str:
        """Pay."""
        return "paid"

    model = calls_until(1, tool_call("pay", amount=5))

    @agent(model=model, tools=[pay])
    async def act() -> str:
        """Act."""
        ...

    async with memory_runtime() as runtime:
        handle = await runtime.start(act)
        await runtime.engine.waiting(handle.id)
        (approval,) = await runtime.approvals()
        await runtime.decide(approval.id, approver="ada")
        assert await handle.result() == "done"
    assert results(model)[0].text == "paid"


async def test_the_policies_of_the_runtime_hold_for_plain_tools_too() -> None:
    done = []

    @tool
    async def delete(path: str) -> None:
        """Delete."""
        done.append(path)

    model = calls_until(1, tool_call("delete", path="/"))

    @agent(model=model, tools=[delete])
    async def act() -> str:
        """Act."""
        ...

    never = ValidationPolicy(check=lambda action: False, applies_to=Selector(actions=["delete"]))
    async with memory_runtime(policies=[never]) as runtime:
        assert await (await runtime.start(act)).result() == "done"
    assert done == []
    assert results(model)[0].failed


async def test_the_policies_of_the_runtime_hold_for_whatever_is_a_tool() -> None:
    done = []

    @step
    async def delete(path: str) -> None:
        """Delete."""
        done.append(path)

    @workflow
    async def wipe(path: str) -> None:
        """Delete by other means."""
        await delete(path)

    def say(request: ModelRequest) -> str:
        done.append("asked")
        return "ok"

    @agent(model=ScriptedModel(say))
    async def delegate(path: str) -> str:
        """{{ path }}"""
        ...

    tools = (delete, wipe, delegate)
    model = calls_until(1, *(tool_call(each, path="/") for each in ("delete", "wipe", "delegate")))

    @agent(model=model, tools=tools)
    async def act() -> str:
        """Act."""
        ...

    names = Selector(actions=["delete", "wipe", "delegate"])
    verdicts = []
    for allowed, effects in ((False, []), (True, ["/", "/", "asked"])):
        verdicts.append(allowed)
        rule = ValidationPolicy(check=lambda action: verdicts[-1], applies_to=names)
        async with memory_runtime(policies=[rule]) as runtime:
            assert await (await runtime.start(act)).result() == "done"
        assert sorted(done) == effects
        assert [each.failed for each in results(model)] == [not allowed] * 3


async def test_what_policies_hide_of_a_call_is_hidden_in_the_answer_that_asks_for_it(runtime: Runtime) -> None:
    """Of the arguments as the model wrote them, also where they are no valid ones, and of whatever repeats them."""
    logged_in = []

    @tool
    @govern([ValidationPolicy(check=lambda action: True)])
    async def log_in(user: str, password: str, pin: int = 0) -> str:
        """Log in."""
        logged_in.append(password)
        return "in"

    calls = (
        tool_call("log_in", id="1", user="ada", password="hunter-4711", pin=42),
        ToolCall("2", "log_in", '{"user": "ada", "password": "hunter-4711", "pin": "no number"}'),
        ToolCall("3", "log_in", '{"user": "ada", "password": "hunter-4711"'),
        tool_call("add", id="4", a=1),
    )
    first = AssistantMessage("I take hunter-4711.", calls, raw='[{"args":"hunter-4711"}]')
    model = ScriptedModel(first, "done")

    @agent(model=model, tools=[log_in, add])
    async def act() -> str:
        """Act."""
        ...

    handle = await runtime.start(act)
    assert await handle.result() == "done"
    assert logged_in == ["hunter-4711"]
    assert model.requests[1].messages[1] == first
    journal = "".join(f"{event.arguments} {event.value}" for event in await handle.events())
    assert "hunter" not in journal
    (answer, _) = [event for event in await handle.events() if event.name == "model scripted"]
    shown = RESPONSE.decode(answer.value or "").message.calls
    assert shown[0].arguments == '{"user":"ada","password":"[redacted]","pin":"[redacted]"}'
    assert [each.arguments for each in shown[2:]] == ["[redacted]", calls[3].arguments]


async def test_of_a_call_that_keeps_no_state_the_answer_keeps_none(runtime: Runtime) -> None:
    @tool
    @govern([ValidationPolicy(check=lambda action: True)], capture_state=False)
    async def whisper(text: str) -> None:
        """Keep nothing."""

    @agent(model=ScriptedModel(tool_call("whisper", text="between us"), "done"), tools=[whisper])
    async def act() -> str:
        """Act."""
        ...

    handle = await runtime.start(act)
    assert await handle.result() == "done"
    assert "between us" not in "".join(f"{event.arguments} {event.value}" for event in await handle.events())


async def test_steps_and_workflows_and_agents_are_tools_as_well(runtime: Runtime) -> None:
    @step
    async def one() -> int:
        """One."""
        return 1

    @workflow
    async def two() -> int:
        """Two."""
        return await one() + 1

    @tool(description="Ask the expert.")
    @agent(model=ScriptedModel(lambda request: f"expert: {request.messages[-1].text}"))
    async def expert(question: str) -> str:
        """{{ question }}"""
        ...

    model = calls_until(1, tool_call("one"), tool_call("two"), tool_call("expert", question="why?"))

    @agent(model=model, tools=[one, two, expert])
    async def act() -> str:
        """Act."""
        ...

    assert await act() == "done"
    assert [each.text for each in results(model)] == ["1", "2", "expert: why?"]
    assert model.requests[0].tools[2].description == "Ask the expert."

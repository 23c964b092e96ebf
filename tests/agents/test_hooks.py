"""Hooks look, block, modify and suggest; one that fails blocks."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from assent.agents.agent import agent
from assent.agents.hooks import (
    HookResult,
    ToolUse,
    after_model,
    after_tool,
    allow,
    before_model,
    before_tool,
    block,
    modify,
    suggest,
)
from assent.agents.messages import AssistantMessage, ModelRequest, ModelResponse, UserMessage
from assent.errors import AgentStopped, UsageError
from assent.runtime import Runtime
from assent.testing.scripted import ScriptedModel, tool_call
from assent.tools import tool
from tests.agents.test_loop import calls_until, results

PAID: list[int] = []


@tool
async def pay(amount: int) -> str:
    """Pay."""
    PAID.append(amount)
    return f"paid {amount}"


@pytest.fixture(autouse=True)
def nothing_paid() -> None:
    PAID.clear()


def payer(model: ScriptedModel, *hooks: Any) -> Any:
    @agent(model=model, tools=[pay], hooks=hooks)
    async def payer() -> str:
        """Pay."""
        ...

    return payer


def one_payment() -> ScriptedModel:
    return calls_until(1, tool_call("pay", amount=500))


def fails(*_: Any) -> HookResult:
    raise LookupError("no list of limits")


def returns_nonsense(*_: Any) -> Any:
    return "yes"


async def test_a_blocked_call_does_not_happen_and_the_model_is_told() -> None:
    model = one_payment()

    @before_tool("pay")
    def limit(use: ToolUse) -> HookResult:
        return block("too much") if use.arguments["amount"] > 100 else allow()

    assert await payer(model, limit)() == "done"
    assert PAID == []
    assert (results(model)[0].failed, results(model)[0].text) == (True, "blocked: too much")


async def test_a_call_is_modified_before_policies_and_the_tool_see_it() -> None:
    model = one_payment()

    @before_tool("pay")
    async def halve(use: ToolUse) -> HookResult:
        return modify({"amount": use.arguments["amount"] // 2})

    await payer(model, halve, halve)()
    assert PAID == [125]


async def test_a_modification_that_the_tool_does_not_take_is_told_to_the_model() -> None:
    model = one_payment()
    await payer(model, before_tool("*")(lambda use: modify({"amount": "much"})))()
    assert PAID == []
    assert "valid integer" in results(model)[0].text


async def test_a_suggestion_is_told_with_the_result() -> None:
    model = one_payment()
    hooks = (
        before_tool("p*")(lambda use: suggest("Mind the limit.")),
        after_tool()(lambda use, text: suggest(f"{use.tool} said {text!r}.")),
        before_tool("other")(fails),
    )
    await payer(model, *hooks)()
    assert results(model)[0].text == "paid 500\nMind the limit.\npay said 'paid 500'."


async def test_a_result_is_withheld_or_modified() -> None:
    for hook, told, failed in (
        (after_tool()(lambda use, text: block("secret")), "its result is withheld: secret", True),
        (after_tool()(lambda use, text: modify(text.upper())), "PAID 500", False),
    ):
        model = one_payment()
        await payer(model, hook)()
        assert (results(model)[0].text, results(model)[0].failed) == (told, failed)


@pytest.mark.parametrize("broken", [fails, returns_nonsense])
async def test_a_failing_hook_blocks(broken: Any) -> None:
    model = one_payment()
    await payer(model, before_tool()(broken))()
    assert PAID == []
    assert results(model)[0].text.startswith("blocked: the hook")
    for hook in (before_model(broken), after_model(broken)):
        with pytest.raises(AgentStopped, match=r"blocked, after \d turns\): the hook"):
            await payer(one_payment(), hook)()


async def test_a_request_is_blocked_modified_or_hinted_at() -> None:
    model = ScriptedModel("a", "b")

    @before_model
    def shout(request: ModelRequest) -> HookResult:
        return modify(replace(request, system="SHOUT"))

    @before_model
    def hint(request: ModelRequest) -> HookResult:
        assert request.system == "SHOUT"
        return suggest("Be brief.")

    assert await payer(model, shout, hint)() == "a"
    assert model.requests[0].messages == (UserMessage("Pay."), UserMessage("Be brief."))
    with pytest.raises(AgentStopped) as raised:
        await payer(model, before_model(lambda request: block("not today")))()
    assert raised.value.reason == "blocked"
    assert len(model.requests) == 1


async def test_an_answer_is_modified_or_sent_back() -> None:
    polite = iter([suggest("Say please."), allow()])
    model = ScriptedModel("give", "please give")
    assert await payer(model, after_model(lambda response: next(polite)))() == "please give"
    assert model.requests[1].messages[-1] == UserMessage("Say please.")

    def upper(response: ModelResponse) -> HookResult:
        return modify(replace(response, message=AssistantMessage(response.message.text.upper())))

    assert await payer(ScriptedModel("quiet"), after_model(upper))() == "QUIET"


async def test_what_hooks_said_is_journaled_and_not_asked_again(runtime: Runtime) -> None:
    asked = []

    @before_tool()
    def count(use: ToolUse) -> None:
        asked.append(use)

    handle = await runtime.start(payer(one_payment(), count))
    await handle.result()
    assert len(asked) == 1  # although every commit was replayed
    assert "hook before_tool pay" in [event.name for event in await handle.events()]


async def test_a_hook_that_cancels_itself_has_failed(runtime: Runtime) -> None:
    async def gives_up(use: ToolUse) -> None:
        raise asyncio.CancelledError

    model = one_payment()
    await payer(model, before_tool()(gives_up))()
    assert PAID == []
    assert results(model)[0].text.startswith("blocked: the hook gives_up failed")


async def test_what_a_hook_does_to_its_copy_changes_nothing(runtime: Runtime) -> None:
    def scribbles_on_call(use: ToolUse, *_: str) -> None:
        use.arguments["amount"] = 1

    def scribbles_on_request(request: ModelRequest) -> None:
        request.tools[0].parameters["properties"].clear()

    model, seen = one_payment(), []
    act = payer(
        model,
        before_model(scribbles_on_request),
        before_tool()(scribbles_on_call),
        before_tool()(lambda use: seen.append(use.arguments["amount"])),
        after_tool()(scribbles_on_call),
        after_tool()(lambda use, text: seen.append(use.arguments["amount"])),
    )
    assert await act() == "done"
    assert (PAID, seen) == ([500], [500, 500])
    assert all(request.tools[0].parameters["properties"] for request in model.requests)


async def test_what_a_call_failed_with_is_shown_to_hooks_as_well() -> None:
    @tool
    async def log_in() -> str:
        raise LookupError("wrong key 4711")

    def hides(use: ToolUse, text: str) -> HookResult:
        assert use.failed
        return modify(text.replace("4711", "****"))

    model = calls_until(1, tool_call("log_in"))

    @agent(model=model, tools=[log_in], hooks=[after_tool()(hides)])
    async def act() -> str:
        """Act."""
        ...

    await act()
    assert (results(model)[0].failed, results(model)[0].text) == (True, "LookupError: wrong key ****")


async def test_an_answer_that_is_blocked_is_paid_for() -> None:
    found = await payer(ScriptedModel("a long answer", price="1"), after_model(lambda response: block("no"))).run()
    assert (found.stop, found.output) == ("blocked", None)
    assert found.cost == found.usage.total_tokens > 0


def test_what_is_no_hook_is_refused() -> None:
    with pytest.raises(UsageError, match="is no hook"):
        _ = payer(ScriptedModel(), fails).spec

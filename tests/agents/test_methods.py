"""Decorated methods: what they are is read once for all objects, and nothing keeps an object alive."""

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from assent import agent, answer, govern, step, tool, workflow
from assent.codec import signature_of
from assent.engine import current
from assent.testing import memory_runtime
from assent.testing.scripted import ScriptedModel, tool_call
from assent.tools.tool import as_tool

MODEL = ScriptedModel(*["Fine."] * 20)


class Shop:
    def __init__(self, factor: int = 2) -> None:
        self.factor = factor

    def plain(self, amount: int) -> int:
        return self.factor * amount

    @step
    async def price(self, amount: int) -> int:
        return self.factor * amount

    @step
    def weigh(self, amount: int) -> int:
        return self.factor * amount

    @workflow
    async def buy(self, amount: int) -> int:
        return await self.price(amount)

    @govern()
    async def pay(self, amount: int) -> int:
        return self.factor * amount

    @govern()
    @step
    async def refund(self, amount: int) -> int:
        return self.factor * amount

    @tool(description="Looks something up.")
    async def look(self, amount: int) -> int:
        return self.factor * amount

    @tool(description="Orders something.")
    @workflow
    async def order(self, amount: int) -> int:
        return await self.price(amount)

    @agent(model=MODEL)
    async def ask(self, amount: int) -> str:
        """How are {{ amount }}?"""
        ...

    @agent(model=MODEL)
    async def advise(self, amount: int) -> str:
        return f"{await answer(f'How are {self.factor * amount}?')} Really."


METHODS: list[Callable[[Shop], Any]] = [
    lambda shop: shop.price,
    lambda shop: shop.weigh,
    lambda shop: shop.buy,
    lambda shop: shop.pay,
    lambda shop: shop.refund,
    lambda shop: shop.look,
    lambda shop: shop.order,
]
AGENTS: list[Callable[[Shop], Any]] = [lambda shop: shop.ask, lambda shop: shop.advise]


def test_a_signature_is_the_same_for_all_objects() -> None:
    assert signature_of(Shop(2).plain) is signature_of(Shop(3).plain)
    assert signature_of(Shop(2).plain).names == ("amount",)
    assert signature_of(Shop.plain).names == ("self", "amount")
    with pytest.raises(TypeError, match=r"plain\(\) missing a required argument: 'amount'"):
        signature_of(Shop(2).plain).bind((), {})
    assert Shop(2).price.spec.signature is Shop(3).price.spec.signature
    assert Shop(2).price.spec.returns is Shop(3).price.spec.returns
    assert Shop(2).buy.program.signature is Shop(3).buy.program.signature
    assert Shop(2).pay.signature is Shop(3).pay.signature
    assert Shop(2).look.signature is Shop(3).look.signature
    assert Shop(2).ask.program.signature is Shop(3).ask.program.signature


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What is in no circle goes at once."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("method", [*METHODS, *AGENTS])
async def test_what_was_called_once_is_gone_at_once(method: Callable[[Shop], Any], no_collector: None) -> None:
    shop = Shop()
    gone = weakref.ref(shop)
    await method(shop)(2)
    assert signature_of(shop.plain).names
    del shop
    assert gone() is None


@pytest.mark.parametrize("method", METHODS)
async def test_a_workflow_keeps_no_object_whose_method_it_has_called(method: Callable[[Shop], Any]) -> None:
    seen: list[weakref.ref[Shop]] = []

    @workflow
    async def calls() -> int:
        assert current() is not None
        shop = Shop()
        seen.append(weakref.ref(shop))
        result: int = await method(shop)(2)
        return result

    async with memory_runtime(check_replay=False) as runtime:
        handle = await runtime.start(calls)
        assert await handle.result() == 4
        assert not any("self" in (event.arguments or "") for event in await handle.events())
        gc.collect()
        assert [each() for each in seen] == [None]


@pytest.mark.parametrize("method", [METHODS[2], METHODS[3], *AGENTS])
async def test_of_all_objects_a_runtime_keeps_the_first_alone(method: Callable[[Shop], Any]) -> None:
    async with memory_runtime() as runtime:
        shops = [Shop(factor) for factor in (1, 2, 3)]
        results = [await method(shop)(2) for shop in shops]
        assert results in ([2, 4, 6], ["Fine."] * 3, ["Fine. Really."] * 3)
        seen = [weakref.ref(shop) for shop in shops]
        shops.clear()
        gc.collect()
        assert [each() for each in seen[1:]] == [None, None]
        assert all('"self"' not in record.arguments for record in await runtime.executions())


# Agents and tools


async def test_a_method_can_be_a_tool() -> None:
    shop = Shop()
    found = as_tool(shop.look)
    assert (found.name, list(found.parameters["properties"])) == ("look", ["amount"])
    model = ScriptedModel([tool_call("look", amount=3), tool_call("order", amount=4)], "Done.")

    @agent(model=model, tools=[shop.look, shop.order, shop.ask])
    async def clerk() -> str:
        """Look."""
        ...

    async with memory_runtime():
        assert await clerk() == "Done."
    assert [message.text for message in model.requests[-1].messages[-2:]] == ["6", "8"]
    assert [each.name for each in model.requests[-1].tools] == ["look", "order", "ask"]


async def test_a_method_can_be_an_agent() -> None:
    model = ScriptedModel(*["Fine."] * 6)

    class Desk:
        factor = 5

        @agent(model=model)
        async def ask(self, amount: int) -> str:
            """How are {{ self.factor }} times {{ amount }}?"""
            ...

        @agent(model=model)
        async def advise(self, amount: int) -> str:
            return f"{await answer(f'How are {self.factor * amount}?')} Really."

    desk = Desk()
    assert await desk.ask(1) == "Fine."
    assert await desk.advise(1) == "Fine. Really."
    assert (await desk.ask.run(2)).output == "Fine."
    async with memory_runtime() as runtime:
        assert (await desk.advise.run(2)).output == "Fine. Really."
        async with desk.ask.stream(3) as stream:
            assert await stream.result() == "Fine."
        assert await (await runtime.start(desk.advise, 3)).result() == "Fine. Really."
    assert await desk.advise.replace(model=ScriptedModel("Bad."))(1) == "Bad. Really."
    asked = [request.messages[-1].text for request in model.requests]
    assert asked[0::2] == [f"How are 5 times {amount}?" for amount in (1, 2, 3)]
    assert asked[1::2] == ["How are 5?", "How are 10?", "How are 15?"]

"""Uses that type checkers must accept, with the types that they must see."""

# mypy: disable-error-code="empty-body"

from collections.abc import Callable
from decimal import Decimal
from typing import Any, assert_type

from assent import (
    ApprovalPolicy,
    Handle,
    Retry,
    Runtime,
    ValidationPolicy,
    agent,
    govern,
    signal,
    step,
    tool,
    workflow,
)


@step
async def reserve(item: str, count: int = 1) -> Decimal:
    return Decimal(count)


@step(retry=Retry(attempts=3), timeout="5s")
def price(item: str) -> float:
    return 1.0


@govern([ValidationPolicy(check=lambda a: a.amount > 0), ApprovalPolicy(["cfo@company.com"])])
async def pay(amount: Decimal, to: str) -> str:
    return to


class Bank:
    @step
    async def balance(self, account: str) -> int:
        return len(account)

    @govern()
    async def transfer(self, account: str) -> bool:
        return bool(account)


@workflow
async def order(item: str, *, count: int = 2) -> str:
    assert_type(await reserve(item, count), Decimal)
    assert_type(await price(item), float)
    assert_type(await pay(Decimal(1), to="x"), str)
    assert_type(await signal("go", int), int)
    assert_type(await Bank().balance("1"), int)
    assert_type(await Bank().transfer("1"), bool)
    return item


async def use() -> None:
    assert_type(await order("x", count=3), str)
    async with Runtime("sqlite://", workflows=[order, pay]) as runtime:
        handle = await runtime.start(order, "x")
        assert_type(handle, Handle[str])
        assert_type(await handle.result(), str)


@workflow(version=2)
async def renamed(item: str) -> int:
    return len(item)


async def use_again(anything: Callable[..., Any]) -> None:
    assert_type(await renamed("x"), int)
    anything(renamed)


@tool(serial=True)
async def look(place: str) -> list[str]:
    return [place]


@tool
def weigh(thing: str) -> float:
    return float(len(thing))


@agent(model="openai:gpt-5", tools=[look, weigh], max_cost="0.5")
async def summarize(text: str, *, words: int = 10) -> Decimal:
    """Summarize {{ text }} in {{ words }} words."""
    ...


@agent
async def bare() -> None:
    """Say nothing."""
    ...


class Clerk:
    @tool
    async def file(self, paper: str) -> int:
        return len(paper)

    @agent(model="openai:gpt-5")
    async def judge(self, paper: str) -> bool:
        """Is {{ paper }} in order?"""
        ...


async def use_agents() -> None:
    assert_type(await look("here"), list[str])
    assert_type(await weigh("it"), float)
    assert_type(await summarize("x", words=3), Decimal)
    assert_type(await bare(), None)
    assert_type((await summarize.run("x")).output, Decimal | None)
    assert_type(await Clerk().file("x"), int)
    assert_type(await Clerk().judge("x"), bool)
    assert_type((await Clerk().judge.run("x")).output, bool | None)
    assert_type(await summarize.replace(max_turns=2)("x"), Decimal)
    async with summarize.stream("x") as stream:
        async for piece in stream:
            assert_type(piece.text, str)
        assert_type(await stream.result(), Decimal)
    async with Runtime("sqlite://") as runtime:
        assert_type(await runtime.start(summarize, "x"), Handle[Decimal])

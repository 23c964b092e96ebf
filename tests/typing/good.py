"""Uses that type checkers must accept, with the types that they must see."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, assert_type

from assent import ApprovalPolicy, Handle, Retry, Runtime, ValidationPolicy, govern, signal, step, workflow


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

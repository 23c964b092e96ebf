"""Uses that type checkers must refuse: each line that ends in `# refused` is an error, and no other line is."""

from assent import Runtime, govern, step, workflow


@step
async def reserve(item: str, count: int = 1) -> int:
    return count


@govern()
async def pay(amount: int) -> str:
    return str(amount)


@workflow
async def order(item: str) -> str:
    await reserve(5)  # refused
    await reserve("x", cuont=1)  # refused
    await pay("5")  # refused
    wrong: str = await reserve("x")  # refused
    return wrong


@workflow  # refused
def not_async(item: str) -> str:
    return item


async def use() -> None:
    await order()  # refused
    async with Runtime("sqlite://", wroker=True) as runtime:  # refused
        handle = await runtime.start(order, "x")
        result: int = await handle.result()  # refused
        assert result

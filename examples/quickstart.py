"""An order that waits for the boss, and outlives its process."""

import asyncio

from assent import ApprovalPolicy, Runtime, govern, step, workflow


@step
async def find_price(item: str) -> int:
    print(f"finding the price of a {item}")
    return 1200


@govern(policies=[ApprovalPolicy(approvers=["boss@company.com"])])
async def buy(item: str, price: int) -> str:
    return f"bought a {item} for ${price}"


@workflow
async def procure(item: str) -> str:
    return await buy(item, await find_price(item))


async def main() -> None:
    async with Runtime("sqlite:///assent.db") as runtime:
        order = await runtime.start(procure, "laptop", id="order-1")
        print(await order.result())


if __name__ == "__main__":
    asyncio.run(main())

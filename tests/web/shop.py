"""What the servers of the tests can run."""

import asyncio
from decimal import Decimal

from assent import ApprovalPolicy, ValidationPolicy, govern, signal, step, workflow


@govern(
    policies=[
        ValidationPolicy(check=lambda action: action.amount > 0),
        ApprovalPolicy(approvers=["cfo@company.com", "role:finance"], timeout_seconds=0, expires="24h"),
    ]
)
async def wire_transfer(amount: Decimal, recipient: str = "Acme") -> str:
    return f"{amount} to {recipient}"


@step
async def price(item: str) -> int:
    return 100 * len(item)


@workflow
async def order(item: str, count: int = 1) -> int:
    """Waits for a signal between a step and its end."""
    total = await price(item) * count
    return total + len(await signal("address", str))


@workflow
async def stroll() -> str:
    """Goes on until it is called home."""
    return await signal("home", str)


@workflow
async def quote(item: str) -> int:
    return await price(item)


@workflow
async def failing(item: str) -> int:
    raise KeyError(item)


@step(once=True, timeout=0.01)
async def charge(amount: int) -> str:
    await asyncio.sleep(3600)
    return f"charged {amount}"


@workflow
async def doubtful(amount: int) -> str:
    """Leaves its effect in doubt, since nobody knows what an interrupted one did."""
    return await charge(amount)

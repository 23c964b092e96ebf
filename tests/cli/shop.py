"""The workflows that the tests of the command line run, as a user would write them."""

import asyncio
import decimal

from assent import ApprovalPolicy, ValidationPolicy, approve, govern, signal, step, workflow


@govern(
    policies=[
        ValidationPolicy(check=lambda action: action.amount > 0),
        ApprovalPolicy(approvers=["cfo@company.com"], timeout_seconds=0, expires="24h"),
    ]
)
async def wire_transfer(amount: decimal.Decimal, recipient: str) -> str:
    return f"{amount} to {recipient}"


@step
async def price(item: str) -> int:
    return 100 * len(item)


@workflow
async def order(item: str, count: int = 1) -> int:
    """Waits for a signal between a step and its end."""
    total = await price(item) * count
    address = await signal("address", str)
    return total + len(address)


@workflow
async def quote(item: str) -> int:
    return await price(item)


@workflow
async def risky(item: str) -> str:
    await approve("Risky order", approvers=["risk@company.com", "ceo@company.com"], quorum=2, within="4h")
    return f"sent {item}"


@step
async def look_up(item: str) -> int:
    raise KeyError(item)


@workflow
async def failing(item: str) -> int:
    return await look_up(item)


@step(once=True, timeout=0.01)
async def charge(amount: int) -> str:
    await asyncio.sleep(3600)
    return f"charged {amount}"


@workflow
async def doubtful(amount: int) -> str:
    """Leaves its effect in doubt, since nobody knows what an interrupted one did."""
    return await charge(amount)


@workflow(name="\x1b[31m[red]odd[/red]\u202e")
async def odd(text: str) -> str:
    await approve(f"May I? {text}", approvers=[f"bob {text}"], within="1h")
    return text


@workflow
async def echo(text: str) -> str:
    return text


def plain() -> None:
    """Is decorated with nothing."""

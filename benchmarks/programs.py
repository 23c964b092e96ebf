"""The workflows that are measured, and what is governed in them."""

import asyncio
from typing import NamedTuple, Protocol

from assent import AuditPolicy, ValidationPolicy, approve, govern, signal, step, workflow

APPROVER = "cfo@company.com"


@step
async def following(number: int) -> int:
    return number + 1


@workflow
async def count(steps: int) -> int:
    """So many steps, one after another."""
    number = 0
    for _ in range(steps):
        number = await following(number)
    return number


@workflow
async def wait_for_number() -> int:
    return await signal("number", int)


@workflow
async def wait_for_people() -> None:
    await approve("Pay the supplier", approvers=[APPROVER], within="90d")


class Amount(Protocol):
    """What the validator looks at."""

    @property
    def amount(self) -> int: ...


class Transfer(NamedTuple):
    """The arguments of the bare call, as its validator sees them."""

    amount: int
    recipient: str


def is_positive(action: Amount) -> bool:
    return action.amount > 0


async def bare_transfer(amount: int, recipient: str) -> str:
    await asyncio.sleep(0)
    return recipient


transfer = govern(policies=[ValidationPolicy(check=is_positive), AuditPolicy(tags=["sox"])])(bare_transfer)

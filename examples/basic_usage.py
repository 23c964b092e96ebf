"""First steps with `@govern`: policies, actions before and after, captured state, events.

python examples/basic_usage.py
"""

import asyncio
import tempfile
from pathlib import Path

from assent import (
    Action,
    ApprovalPending,
    ApprovalPolicy,
    ApprovalRequest,
    AuditPolicy,
    AuthorizationPolicy,
    Outcome,
    PolicyDenied,
    Principal,
    RateLimitPolicy,
    Runtime,
    ValidationPolicy,
    acting_as,
    govern,
)


def amount_is_positive(action: Action) -> bool:
    return bool(action.amount > 0)


def before(action: Action) -> None:
    print(f"   pre   {action.name}: {action.amount} for {action.customer}")


def after(action: Action, outcome: Outcome) -> None:
    print(f"   post  {action.name}: {outcome.value}")


# All policies must agree before the function runs. `pre` and `post` run around it.
@govern(
    policies=[
        ValidationPolicy(check=amount_is_positive),
        AuthorizationPolicy(roles=["support"]),
        RateLimitPolicy(2, window="60s", per_user=True),
        AuditPolicy(tags=["billing"], sensitive=["card_number"]),
    ],
    pre=before,
    post=after,
)
async def refund(customer: str, amount: int, card_number: str) -> str:
    return f"${amount} went back to {customer}"


# This one needs a person. A caller waits 0.1 seconds for the answer; the question stays open for a day.
@govern(policies=[ApprovalPolicy(approvers=["lead@company.com"], timeout_seconds=0.1, expires="24h")])
async def close_account(customer: str) -> str:
    return f"the account of {customer} is closed"


# The values of this one are not kept, only their digests.
@govern(capture_state=False)
async def reset_pin(customer: str, pin: str) -> str:
    return f"{customer} has a new pin"


ANNA = Principal("anna@company.com", roles=["support"])
BOB = Principal("bob@company.com", roles=["sales"])


async def attempt(who: Principal, amount: int) -> None:
    """Ask for a refund, and say what comes of it."""
    with acting_as(who):
        try:
            await refund("Ada", amount, card_number="4111 1111 1111 1111")
        except PolicyDenied as denied:
            print(f"   {type(denied).__name__} by {denied.policy}: {denied.reason}")


async def an_ordinary_function() -> None:
    print("\n1. Without a runtime it is an ordinary function, and its policies hold")
    await attempt(ANNA, 20)
    await attempt(ANNA, -5)
    await attempt(BOB, 20)
    await attempt(ANNA, 30)
    await attempt(ANNA, 40)


async def a_journaled_call(url: str) -> None:
    print("\n2. Under a runtime the same call is an execution with a journal")
    async with Runtime(url) as runtime:
        await attempt(ANNA, 50)
        [record] = await runtime.executions(name="refund")
        print(f"   {record.status}: {record.name}({record.arguments})")
        print(f"   requested by {record.requester}")
        for event in await runtime.handle(record.id).events():
            print(f"   {event.type:29} {event.name or ''}".rstrip())
        await reset_pin("Ada", pin="0815")
        [record] = await runtime.executions(name="reset_pin")
        print(f"   {record.status}: {record.name}, arguments kept as {record.arguments[:22]}...")


async def a_captured_state(url: str) -> None:
    print("\n3. A call that waits for a person outlives its process")
    async with Runtime(url):
        try:
            await close_account("Ada")
        except ApprovalPending as pending:
            print(f"   {type(pending).__name__}, like HTTP {pending.http_status}: ask again at {pending.poll_url}")
    print("   this runtime is closed; the next one could be another process, hours later")
    async with Runtime(url) as runtime:
        [approval] = await runtime.approvals()
        request = ApprovalRequest.from_text(approval.request)
        print(f"   open: {request.subject} for {', '.join(request.approvers)}")
        await runtime.decide(approval.id, approver="lead@company.com", reason="she asked for it")
        handle = runtime.handle(approval.execution_id)
        print(f"   {await handle.result()}")
        print("   " + ", ".join(event.type for event in await handle.events() if event.type.startswith("execution.")))


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'basic_usage.db'}"
        await an_ordinary_function()
        await a_journaled_call(url)
        await a_captured_state(url)


if __name__ == "__main__":
    asyncio.run(main())

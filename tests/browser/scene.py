"""A store in the middle of a working week: what people are asked, what they said, and what came of it."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel

from assent import (
    ApprovalPending,
    ApprovalPolicy,
    AuditPolicy,
    BudgetPolicy,
    PolicyDenied,
    Preview,
    Principal,
    RateLimitPolicy,
    Retry,
    Runtime,
    ValidationPolicy,
    acting_as,
    agent,
    execution,
    govern,
    signal,
    step,
    tool,
    workflow,
)
from assent.agents.messages import ModelRequest, ToolMessage
from assent.errors import DeliveryFailed
from assent.governance import Action
from assent.notify import Channel, ConsoleChannel, Notification
from assent.testing import ScriptedModel, tool_call
from assent.web.app import create_app
from assent.web.server import listen, serving
from assent.web.settings import WebSettings
from tests.web.doors import AheadClock, link_to
from tests.web.place import Place

ADA, CARLA, OMAR, VERA, GUS = (f"{name}@company.com" for name in ("ada", "carla", "omar", "vera", "gus"))
HOUR = 3600.0
HOUSE_RULES = (RateLimitPolicy(100, "1h", name="a hundred an hour"),)
IBAN = "DE02 1203 0000 0000 2020 51"


def moved(action: Action) -> Preview:
    columns = ["Account", "Before", "After"]
    rows = [["4711 Operating", "812,400.00 EUR", "762,400.00 EUR"], ["Acme GmbH", "", "+ 50,000.00 EUR"]]
    return Preview.table(rows, columns)


def rolled_out(action: Action) -> Preview:
    before = "service: shop\nreplicas: 2\nimage: shop:1.4\nmemory: 512Mi\n"
    return Preview.diff(before, before.replace("replicas: 2", "replicas: 6").replace("1.4", "1.5"))


@govern(
    policies=[
        ValidationPolicy(check=lambda action: action.amount > 0, name="amounts are positive"),
        ApprovalPolicy(
            name="large transfers",
            approvers=[CARLA, "role:finance"],
            quorum=2,
            timeout_seconds=0,
            expires="24h",
        ),
        BudgetPolicy(name="transfers of a week", amount="amount", limit=2_000_000, window="7d"),
        AuditPolicy(tags=["sox"], sensitive=["iban"]),
    ],
    preview=moved,
    labels=["payment", "external"],
    risk="high",
)
async def wire_transfer(amount: Decimal, recipient: str, iban: str = IBAN, note: str = "") -> str:
    """Send money to a supplier."""
    return f"{amount} EUR to {recipient}"


@govern(
    policies=[
        ApprovalPolicy(
            name="production deploys",
            approvers=[ADA, OMAR],
            timeout_seconds=0,
            expires="2h",
            require_reason=True,
        )
    ],
    preview=rolled_out,
    labels=["production"],
    risk="medium",
)
async def deploy(service: str, version: str, options: dict[str, Any]) -> str:
    """Roll a service out."""
    return f"{service} {version} is out"


@govern(policies=[ApprovalPolicy(name="refunds", approvers=[ADA], timeout_seconds=0, expires=None)])
async def refund(order: str, amount: Decimal, reason: str) -> str:
    """Give a customer money back."""
    return f"{amount} EUR for {order}"


class Attempts:
    """How often the carrier was asked, by execution: it answers the second time."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def is_first(self) -> bool:
        is_first = execution().id not in self._seen
        self._seen.add(execution().id)
        return is_first


ATTEMPTS = Attempts()


@step
async def score(supplier: str) -> float:
    return 0.83


@step(retry=Retry(attempts=3, initial=0.05, jitter="none"))
async def book_carrier(order: str) -> str:
    if ATTEMPTS.is_first():
        raise ConnectionError("The carrier did not answer in time")
    return f"pickup for {order} on Thursday"


@step(once=True, timeout=0.01)
async def print_label(order: str) -> str:
    await asyncio.sleep(HOUR)
    return order


@step
async def read_invoice(number: str) -> Decimal:
    raise ValueError(f"Invoice {number} has no total")


@workflow
async def pay_supplier(order: str, supplier: str, amount: Decimal) -> str:
    """Score and book at once, pay with approval, and wait for the delivery note."""
    risk, pickup = await asyncio.gather(score(supplier), book_carrier(order))
    paid = await wire_transfer(amount, supplier, note=f"{order}, risk {risk}, {pickup}")
    return f"{paid}, {await signal('delivery_note', str)}"


@workflow
async def ship(order: str) -> str:
    """Leaves a label in doubt: nobody knows whether it was printed."""
    return await print_label(order)


@workflow
async def post_invoice(number: str) -> Decimal:
    """Fails on an invoice that cannot be read."""
    return await read_invoice(number)


@dataclass(frozen=True)
class BrokenChannel:
    """Delivers nothing, for the reason that its receiver gives."""

    reason: str
    name: str = "chat"
    kind: str = "slack"
    is_personal: bool = False

    async def send(self, notification: Notification) -> str | None:
        raise DeliveryFailed("Refused", reason=self.reason, is_final=True)


@dataclass
class Scene:
    """A served store with a story in it. `paths` leads to what happened, by a short name."""

    there: Place
    clock: AheadClock
    paths: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """A real server on a store in a folder, three days into the story."""
    clock = AheadClock()
    clock.ahead = -70 * HOUR
    settings = WebSettings()
    channels: list[Channel] = [ConsoleChannel(file=io.StringIO()), BrokenChannel("there is no such room")]
    url, programs = f"sqlite:///{folder / 'assent.db'}", [sys.modules[__name__]]
    async with Runtime(url, workflows=programs, clock=clock, channels=channels, policies=HOUSE_RULES) as runtime:
        listener = listen("127.0.0.1", 0)
        there = Place(runtime, create_app(runtime, settings), f"http://127.0.0.1:{listener.getsockname()[1]}")
        made = Scene(there, clock)
        await tell(made)
        clock.ahead = 0.0
        made.paths["link"] = await link_to(there, made.paths["deploy"].rpartition("/")[2], OMAR)
        async with serving(there.app, listener, settings):
            yield made


async def tell(made: Scene) -> None:
    """All that happens, in order."""
    runtime = made.there.runtime
    await hire(runtime)
    await early_days(made)
    await this_morning(made)


async def hire(runtime: Runtime) -> None:
    people = runtime.people
    await people.add(ADA, name="Ada Moreno", roles=["finance"], access="admin")
    await people.add(
        CARLA, name="Carla Fischer", roles=["finance", "board"], access="approver", contacts={"slack": "U012AB3CD"}
    )
    await people.add(OMAR, name="Omar Petrov", roles=["operations"], access="operator", contacts={"email": OMAR})
    await people.add(VERA, name="Vera Long", access="viewer")
    await people.add(GUS, name="Gus Rivera")
    await people.add("former@company.com", name="Olga Keller", roles=["finance"], access="approver")
    await people.disable("former@company.com")


async def asked(call: Awaitable[Any], who: str) -> str:
    """Make a governed call as somebody; the approval that it waits for, or "" if it waits for none."""
    with acting_as(Principal(who)):
        try:
            await call
        except ApprovalPending as pending:
            return str(pending.approvals[0])
        except PolicyDenied:
            return ""
    return ""


@tool
async def find_order(number: str) -> dict[str, str]:
    """Find an order by its number."""
    return {"number": number, "item": "kettle", "price": "39.90 EUR", "state": "delivered"}


def clerk_says(request: ModelRequest) -> Any:
    """Looks the order up, pays it back, and says so."""
    told = [each for each in request.messages if isinstance(each, ToolMessage)]
    if not told:
        return tool_call("find_order", number="D-4711")
    if len(told) == 1:
        return tool_call("refund", order="D-4711", amount="39.90", reason="The lid is broken")
    return '{"reply": "We are sorry. Your 39.90 EUR are on their way back.", "refunded": "39.90"}'


class Reply(BaseModel):
    """What a customer is told."""

    reply: str
    refunded: Decimal


@agent(
    model=ScriptedModel(clerk_says, name="openai:gpt-5-mini", price="0.0000021"),
    tools=[find_order, tool(name="refund")(refund)],
    output=Reply,
    max_cost="0.05",
)
async def support_clerk(letter: str) -> Any:
    """Answer this letter, and pay back what is fair: {{ letter }}."""


async def early_days(made: Scene) -> None:
    """Two days of requests that were decided, by and by."""
    runtime, clock = made.there.runtime, made.clock
    for number, (amount, supplier) in enumerate([(12_000, "Globex"), (900_000, "Initech"), (48_000, "Umbrella")]):
        approval = await asked(wire_transfer(Decimal(amount), supplier), "buyer-agent")
        clock.ahead += (1 + number) * HOUR
        if supplier == "Initech":
            await runtime.decide(approval, approver=CARLA, decision="reject", reason="Supplier is not vetted")
            continue
        await runtime.decide(approval, approver=CARLA, reason="Matches the contract", conditions=["amount <= 50000"])
        clock.ahead += 0.5 * HOUR
        await runtime.decide(approval, approver=ADA, reason="Fine with me")
        made.paths["decided"] = f"/approvals/{approval}"
    await asked(wire_transfer(Decimal(-5), "Hooli"), "buyer-agent")
    for number in range(6):
        approval = await asked(refund(f"A-{1030 + number}", Decimal("24.90"), "Damaged in transit"), "support-agent")
        clock.ahead += 0.4 * HOUR
        await runtime.show(approval, ADA)
        clock.ahead += 2 + 9 * number
        verdict: Literal["approve", "reject"] = "reject" if number == 4 else "approve"
        await runtime.decide(approval, approver=ADA, decision=verdict, reason="" if number % 3 else "Seen the pictures")
    handle = await runtime.ask_mandate(
        "refund",
        approvers=[ADA],
        until="7d",
        total=500,
        count=20,
        only=["amount <= 50"],
        title="Refunds of the week",
    )
    await runtime.engine.waiting(handle.id)
    (record,) = await runtime.approvals(execution_id=handle.id)
    await runtime.decide(record.id, approver=ADA, reason="For the sale")
    made.paths["mandate"] = f"/mandates/{record.id}"
    for number in range(3):
        await asked(refund(f"B-{2010 + number}", Decimal("41.50"), "Arrived late"), "support-agent")
    await runtime.people.delegate(CARLA, ADA, until="6d", is_away=True, reason="Conference in Lisbon")


async def this_morning(made: Scene) -> None:
    """What is still open, and executions in each of their states."""
    runtime, clock = made.there.runtime, made.clock
    await run(made, "failed", post_invoice, number="2026-117")
    await run(made, "doubt", ship, order="A-1042")
    clock.ahead = -21 * HOUR
    paying = await run(made, "paying", pay_supplier, order="A-1042", supplier="Acme GmbH", amount=Decimal(50_000))
    clock.ahead = -3 * HOUR
    await decide_of(runtime, paying, CARLA, "Second half of the machine tool order")
    clock.ahead = -2 * HOUR
    await decide_of(runtime, paying, ADA, "Agreed")
    note = "Invoice 2026-118, second half\nof the machine tool order"
    transfer = await asked(wire_transfer(Decimal(50_000), "Acme GmbH", note=note), "buyer-agent")
    made.paths["transfer"] = f"/approvals/{transfer}"
    clock.ahead = -1.8 * HOUR
    options = {"replicas": 6, "regions": ["eu-1", "us-2"], "canary": True}
    made.paths["deploy"] = f"/approvals/{await asked(deploy('shop', '1.5', options), 'deploy-bot')}"
    await runtime.decide(transfer, approver=CARLA, reason="Fine with me")
    await runtime.ask_mandate("deploy", approvers=[ADA, OMAR], until="9d", count=3)
    clock.ahead = -0.6 * HOUR
    await run(made, "agent", support_clerk, letter="My kettle D-4711 came with a broken lid.")
    clock.ahead = -0.4 * HOUR
    for number in range(4):
        call = refund(f"C-{3001 + number}", Decimal("89.90") + number, "Not as described")
        made.paths["refund"] = f"/approvals/{await asked(call, 'support-agent')}"


async def run(made: Scene, name: str, program: Any, **arguments: Any) -> str:
    with acting_as(Principal("purchasing")):
        handle = await made.there.runtime.start(program, **arguments)
    await made.there.runtime.engine.waiting(handle.id)
    made.paths[name] = f"/executions/{handle.id}"
    return str(handle.id)


async def decide_of(runtime: Runtime, execution_id: str, approver: str, reason: str) -> None:
    (record,) = await runtime.approvals(execution_id=execution_id)
    await runtime.decide(record.id, approver=approver, reason=reason)


# Every page that is worth a look, by a short name; in braces what `Scene.paths` has.
TOUR: Final[Mapping[str, str]] = MappingProxyType(
    {
        "inbox": "/inbox",
        "inbox-team": "/inbox?view=team",
        "inbox-overdue": "/inbox?view=overdue",
        "inbox-decided": "/inbox?view=decided",
        "approval": "{transfer}",
        "approval-diff": "{deploy}",
        "approval-decided": "{decided}",
        "executions": "/executions",
        "executions-nothing-found": "/executions?text=there-is-none",
        "execution": "{paying}",
        "execution-agent": "{agent}",
        "execution-failed": "{failed}",
        "execution-in-doubt": "{doubt}",
        "policies": "/policies",
        "mandates": "/mandates?all=1",
        "mandate": "{mandate}",
        "mandate-new": "/mandates/new",
        "people": "/people",
        "person": f"/people/{CARLA}",
        "notifications": "/notifications",
        "dashboard": "/dashboard",
        "missing": "/there-is-no-such-page",
    }
)

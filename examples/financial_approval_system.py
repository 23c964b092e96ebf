"""Wire transfers that need a person's consent, outlive `kill -9`, and happen exactly once. Served over HTTP.

    python examples/financial_approval_system.py                                  the show, on a store that it removes
    python examples/financial_approval_system.py --store sqlite:///transfers.db   the show, on a store to look into
    python examples/financial_approval_system.py --interactive                    the server, for you to decide

The show stands in `financial_approval_show.py`. It starts the processes of this file, kills some, and prints what the
clients were answered, what the approvers were sent, and what the store and the bank's ledger say. By hand:

    assent serve examples/financial_approval_system.py --as you@company.com       prints a link to sign in with
    assent worker examples/financial_approval_system.py                           beside it, on the same store
"""

import asyncio
import fcntl
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse

from assent import (
    NOT_DONE,
    Action,
    ApprovalPending,
    ApprovalPolicy,
    AuditPolicy,
    Principal,
    Runtime,
    ValidationPolicy,
    WorkerSettings,
    acting_as,
    execution,
    govern,
    idempotency_key,
)
from assent.notify import Channel, EmailChannel, SlackChannel
from assent.web.access import Access, identity_of
from assent.web.bodies import body_of
from assent.web.desk import desk_of
from assent.web.routing import Route
from assent.web.settings import WebSettings

STORE = os.environ.get("ASSENT_STORE", "sqlite:///transfers.db")
LEDGER = Path(os.environ.get("BANK_LEDGER", "transfers.ledger.jsonl"))


class Order(BaseModel):
    """What a client sends."""

    amount: Decimal
    recipient: str
    account_number: str


@dataclass(frozen=True)
class Transfer:
    transaction_id: str
    amount: Decimal
    recipient: str
    status: str = "completed"


@dataclass(frozen=True)
class Bank:
    """The outside world: a file with a line for each transfer, on disk before `send` returns.

    It does not mind being told twice, so a doubled transfer would show.
    """

    ledger: Path

    def send(self, key: str, reference: str, amount: Decimal, recipient: str, account_number: str) -> Transfer:
        with self.ledger.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            transfer = Transfer(f"TXN-{len(file.readlines()) + 1:04}", amount, recipient)
            origin = {"key": key, "reference": reference, "account_number": account_number, "sent_by": os.getpid()}
            file.write(json.dumps({**origin, **asdict(transfer)}, default=str) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if "KILLED_AFTER_TRANSFER" in os.environ:  # the worst moment: the money has left, and nobody has noted it
            os.kill(os.getpid(), signal.SIGKILL)
        return transfer

    def find(self, key: str | None) -> Transfer | None:
        lines = self.ledger.read_text(encoding="utf-8").splitlines() if self.ledger.exists() else []
        for entry in map(json.loads, lines):
            if entry["key"] == key:
                return Transfer(entry["transaction_id"], Decimal(entry["amount"]), entry["recipient"])
        return None


async def send(amount: Decimal, recipient: str, account_number: str) -> Transfer:
    work = Bank(LEDGER).send
    return await asyncio.to_thread(work, idempotency_key(), execution().id, amount, recipient, account_number)


async def find_transfer(action: Action) -> object:
    """Asked after a crash in the middle of a transfer: has the money left?"""
    return Bank(LEDGER).find(action.idempotency_key) or NOT_DONE


@govern(
    policies=[
        ValidationPolicy(check=lambda action: 0 < action.amount < 10_000),
        ApprovalPolicy(approvers=["manager@company.com"], timeout_seconds=30),
        AuditPolicy(tags=["sox"], sensitive=["account_number"]),
    ],
    verify=find_transfer,
)
async def quick_wire_transfer(amount: Decimal, recipient: str, account_number: str) -> Transfer:
    return await send(amount, recipient, account_number)


@govern(
    policies=[
        ValidationPolicy(check=lambda action: action.amount >= 10_000),
        ApprovalPolicy(approvers=["cfo@company.com"], timeout_seconds=0.8, expires="24h"),
        AuditPolicy(tags=["sox"], sensitive=["account_number"]),
    ],
    verify=find_transfer,
)
async def large_wire_transfer(amount: Decimal, recipient: str, account_number: str) -> Transfer:
    return await send(amount, recipient, account_number)


# What is served: found at the top of this file by `assent serve`, and the runtime by `assent worker` too


async def post_transfer(request: Request) -> JSONResponse:
    """Call the governed function as whoever has shown a token, and answer with what comes of it.

    What is raised otherwise (a denial, a rejection) becomes a problem document with its own status.
    """
    order = await body_of(request, Order)
    transfer = quick_wire_transfer if order.amount < 10_000 else large_wire_transfer
    with desk_of(request).runtime.ambient(), acting_as(Principal(identity_of(request).person)):
        try:
            done = await transfer(order.amount, order.recipient, order.account_number)
        except ApprovalPending as pending:
            return awaiting(pending)
    return JSONResponse({**asdict(done), "amount": str(done.amount)})


def awaiting(pending: ApprovalPending) -> JSONResponse:
    body = {
        "status": "awaiting_approval",
        "execution_id": pending.execution_id,
        "message": str(pending),
        "poll_url": pending.poll_url,
    }
    return JSONResponse(body, pending.http_status, headers={"Location": pending.poll_url, "Retry-After": "1"})


def channels() -> Sequence[Channel]:
    """How approvers hear of it; without these settings nobody does, and they look into the inbox."""
    found: list[Channel] = []
    if "SMTP_PORT" in os.environ:
        port = int(os.environ["SMTP_PORT"])
        found.append(EmailChannel(host="127.0.0.1", port=port, security="none", sender="Assent <assent@company.com>"))
    if "SLACK_URL" in os.environ:
        found.append(SlackChannel(token="xoxb-demo", channel="#treasury", base_url=os.environ["SLACK_URL"]))
    return found


transfers = Route(
    method="POST", path="/transfers", access=Access.OPERATOR, handler=post_transfer, name="post_transfer", body=Order
)
settings = WebSettings(slack_signing_secret=os.environ.get("SLACK_SIGNING_SECRET"))
# So short a lease lets the next process take over from a dead one within about a second.
runtime = Runtime(
    STORE, channels=channels(), settings=WorkerSettings(lease=1), web_url=os.environ.get("ASSENT_BASE_URL")
)


if __name__ == "__main__":
    show = Path(__file__).with_name("financial_approval_show.py")
    os.execv(sys.executable, [sys.executable, str(show), *sys.argv[1:]])

"""Wire transfers that need a person's consent, outlive `kill -9`, and happen exactly once.

    python examples/financial_approval_system.py                                  the show, on a store that it removes
    python examples/financial_approval_system.py --store sqlite:///transfers.db   the show, on a store to look into

The show stands in `financial_approval_show.py`. It starts the processes of this file, kills some, and prints what the
store and the bank's ledger say. They also run by hand, each in a terminal of its own:

    python examples/financial_approval_system.py worker
    python examples/financial_approval_system.py client 50000 "BigCorp Industries" 987-654-3210
    python examples/financial_approval_system.py approver cfo@company.com APPROVAL "invoice checked"
"""

import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from assent import (
    NOT_DONE,
    Action,
    ApprovalPending,
    ApprovalPolicy,
    AuditPolicy,
    Principal,
    Runtime,
    SystemClock,
    ValidationPolicy,
    VerdictRefused,
    WorkerSettings,
    acting_as,
    execution,
    govern,
    idempotency_key,
)

STORE = os.environ.get("ASSENT_STORE", "sqlite:///transfers.db")
LEDGER = Path(os.environ.get("BANK_LEDGER", "transfers.ledger.jsonl"))


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


async def client(amount: str, recipient: str, account_number: str) -> None:
    """What a web handler does: call the function, and answer with what comes of it."""
    transfer = quick_wire_transfer if Decimal(amount) < 10_000 else large_wire_transfer
    async with Runtime(STORE, worker=False):
        began = time.perf_counter()
        with acting_as(Principal("treasury@company.com")):
            try:
                status, body = 200, asdict(await transfer(Decimal(amount), recipient, account_number))
            except ApprovalPending as pending:
                status = pending.http_status
                body = {
                    "status": "awaiting_approval",
                    "execution_id": pending.execution_id,
                    "poll_url": pending.poll_url,
                }
        tell(status=status, body=body, seconds=time.perf_counter() - began, at=SystemClock().now())


async def approver(who: str, approval_id: str, reason: str) -> None:
    """What stands behind the link in an e-mail."""
    async with Runtime(STORE, worker=False) as runtime:
        try:
            approval = await runtime.decide(approval_id, approver=who, decision="approve", reason=reason)
            tell(status=approval.status, because=[])
        except VerdictRefused as refused:
            tell(status="refused", because=[refused.reason])


async def worker() -> None:
    """Finishes what others have started, until it is told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # So short a lease lets the next worker take over from a dead one within about a second.
    async with Runtime(STORE, settings=WorkerSettings(lease=1)):
        tell(status="ready")
        await stop.wait()


def tell(**facts: Any) -> None:
    print(json.dumps(facts, default=str), flush=True)


def main(arguments: list[str]) -> None:
    roles: dict[str, Callable[..., Coroutine[Any, Any, None]]]
    roles = {"client": client, "approver": approver, "worker": worker}
    if not arguments or arguments[0] not in roles:
        show = Path(__file__).with_name("financial_approval_show.py")
        os.execv(sys.executable, [sys.executable, str(show), *arguments])
    asyncio.run(roles[arguments[0]](*arguments[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])

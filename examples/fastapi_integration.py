"""Governed functions in a FastAPI app that several processes serve, on one store.

    python examples/fastapi_integration.py                     starts the app with two workers, and calls it
    uvicorn examples.fastapi_integration:app --workers 2       the app by itself, for you to call

    curl localhost:8000/refunds -H 'Authorization: Bearer ana-demo' --json '{"amount": 500, "customer": "Ada"}'
    curl localhost:8000/governance/approvals -H 'Authorization: Bearer lea-demo'
    curl localhost:8000/governance/approvals/ID/verdicts -H 'Authorization: Bearer lea-demo' \
        --json '{"decision": "approve", "reason": "ticket 7"}'
"""

import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from assent import (
    NOT_DONE,
    Action,
    ApprovalPolicy,
    AuditPolicy,
    AuthorizationPolicy,
    Principal,
    RateLimitPolicy,
    Runtime,
    ValidationPolicy,
    WorkerSettings,
    govern,
    idempotency_key,
    workflow,
)
from assent.integrations.fastapi import RESPONSES, Governance

STORE = os.environ.get("ASSENT_STORE", "sqlite:///shop.db")
LEDGER = Path(os.environ.get("SHOP_LEDGER", "shop.ledger.jsonl"))

# What the app knows of tokens: whose they are, and not what they are.
PEOPLE = {
    sha256(b"ana-demo").hexdigest(): Principal("ana@shop.com", roles=["clerk"]),
    sha256(b"lea-demo").hexdigest(): Principal("lea@shop.com", roles=["lead"]),
    sha256(b"max-demo").hexdigest(): Principal("max@shop.com", roles=["auditor"]),
}


# The actions


class Refund(BaseModel):
    customer: str
    amount: int


def find_refund(action: Action) -> object:
    """Asked after a crash in the middle of a refund: has the money left?"""
    lines = LEDGER.read_text(encoding="utf-8").splitlines() if LEDGER.exists() else []
    found = [entry for entry in map(json.loads, lines) if entry["key"] == action.idempotency_key]
    return Refund(**found[0]) if found else NOT_DONE


def is_sensible(action: Action) -> bool:
    return bool(0 < action.amount <= 10_000)


@govern(
    [
        ValidationPolicy(check=is_sensible),
        ApprovalPolicy(["lea@shop.com"], timeout_seconds=2, auto_approve=lambda action: action.amount < 100),
        AuditPolicy(tags=["money"]),
    ],
    verify=find_refund,
)
def refund(amount: int, customer: str) -> Refund:
    with LEDGER.open("a", encoding="utf-8") as ledger:
        entry = {"key": idempotency_key(), "customer": customer, "amount": amount, "process": os.getpid()}
        ledger.write(json.dumps(entry) + "\n")
    return Refund(customer=customer, amount=amount)


@govern(AuthorizationPolicy(roles=["lead"]))
async def close_shop() -> str:
    return "closed"


@govern(RateLimitPolicy(2, "1h", per_user=True))
async def remind(customer: str) -> str:
    return f"{customer} was reminded"


@workflow
async def refund_all(customers: list[str], amount: int) -> list[Refund]:
    return [await refund(amount, customer) for customer in customers]


# The app


def signed_in(found: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> Principal:
    """The sign-in that the app has anyway: whoever it finds is the requester, and the approver."""
    try:
        return PEOPLE[sha256(found.credentials.encode()).hexdigest()]
    except KeyError:
        raise HTTPException(401, "This token is nobody's.", {"WWW-Authenticate": "Bearer"}) from None


# So short a lease lets another process take over from a dead one within about a second.
runtime = Runtime(STORE, workflows=[refund, refund_all], settings=WorkerSettings(lease=1))
governance = Governance(runtime, principal=signed_in, overseers=["auditor"])
app = FastAPI(title="Shop", dependencies=[Depends(governance.requester)], responses=RESPONSES)
governance.install(app)
app.include_router(governance.router, prefix="/governance")


@app.post("/refunds")
async def post_refund(order: Refund) -> Refund:
    return await refund(order.amount, order.customer)


@app.post("/refunds/several")
async def post_refunds(request: Request, customers: list[str]) -> Any:
    handle = await runtime.start(refund_all, customers, 20)
    return await governance.accepted(request, handle.id)


@app.post("/shop/close")
async def post_close() -> str:
    return await close_shop()


@app.post("/reminders/{customer}")
async def post_reminder(customer: str) -> str:
    return await remind(customer)


@app.get("/process")
def get_process() -> int:
    return os.getpid()


if __name__ == "__main__":
    show = Path(__file__).with_name("fastapi_integration_show.py")
    os.execv(sys.executable, [sys.executable, str(show)])

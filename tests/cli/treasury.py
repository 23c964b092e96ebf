"""What the tests of oversight run: actions that several people share, as a user would write them."""

from decimal import Decimal

from assent import Action, ApprovalPolicy, Preview, govern

ODD = "\x1b[2J\u202eodd"


def look_ahead(action: Action) -> Preview:
    return Preview.diff({"left": 90_000}, {"left": 90_000 - int(action.amount), "for": f"{action.supplier} {ODD}"})


@govern(
    policies=[
        ApprovalPolicy(
            approvers=["role:finance", "cfo@company.com"],
            quorum=2,
            exclude=["eve@company.com"],
            remind=["1h"],
            timeout_seconds=0,
            expires="4h",
            on_expiry="escalate",
            escalate_to=[["ceo@company.com", "coo@company.com"], ["role:board"]],
        )
    ],
    preview=look_ahead,
    risk="high",
    labels=["payment"],
)
async def pay(amount: Decimal, supplier: str, days: int = 30, note: str | None = None) -> str:
    return f"{amount} to {supplier} in {days} days, {note}"


@govern(policies=[ApprovalPolicy(approvers=["boss@company.com", "ceo@company.com"], timeout_seconds=0)])
async def buy(item: str) -> str:
    return f"{item} bought"


@govern(policies=[ApprovalPolicy(approvers=["boss@company.com", "cfo@company.com"], quorum="all", timeout_seconds=0)])
async def sell(item: str) -> str:
    return f"{item} sold"


@govern(policies=[ApprovalPolicy(approvers=["boss@company.com"], timeout_seconds=0, name="money")])
async def refund(amount: Decimal, customer: str) -> str:
    return f"{amount} to {customer}"

"""An app as a user writes it: governed functions in endpoints, its own sign-in, and the router."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request, WebSocket
from pydantic import BaseModel

from assent import (
    ApprovalPolicy,
    AuditPolicy,
    AuthorizationPolicy,
    InDoubt,
    Principal,
    RateLimitPolicy,
    Runtime,
    RuntimeRequired,
    StoreUnavailable,
    ValidationPolicy,
    WorkerSettings,
    acting_as,
    govern,
    signal,
    workflow,
)
from assent.integrations.fastapi import RESPONSES, Governance

CFO = "cfo@company.com"
PEOPLE = {
    "token-ana": Principal("ana@company.com", roles=["clerk"]),
    "token-bob": Principal("bob@company.com", roles=["clerk"]),
    "token-cfo": Principal(CFO, roles=["treasurer"]),
    "token-eve": Principal("eve@company.com", roles=["auditor"]),
}


class Order(BaseModel):
    amount: int
    recipient: str = "Acme"


@govern(
    [
        ValidationPolicy(check=lambda action: action.amount > 0),
        ApprovalPolicy(approvers=[CFO], timeout_seconds=0.05, auto_approve=lambda action: action.amount < 1000),
        AuditPolicy(sensitive=["iban"]),
    ]
)
async def transfer(amount: int, recipient: str, iban: str = "DE1") -> str:
    if recipient == "nobody":
        raise HTTPException(410, "the recipient has closed the account")
    if recipient == "broken":
        raise ZeroDivisionError("the secret of the bank")
    return f"{amount} to {recipient}"


@govern(ApprovalPolicy(approvers=[CFO], timeout_seconds=20))
async def patient_transfer(amount: int) -> str:
    return f"{amount} at last"


@govern(AuthorizationPolicy(roles=["treasurer"]))
async def close_books() -> str:
    return "closed"


@govern(RateLimitPolicy(1, "1h", per_user=True))
async def remind() -> str:
    return "reminded"


@workflow
async def count_stock() -> int:
    return await signal("stock", int)


def signed_in(authorization: Annotated[str, Header()] = "") -> Principal | None:
    """Whose token it is; whoever has none is nobody, and a wrong one is refused."""
    if not authorization:
        return None
    try:
        return PEOPLE[authorization.removeprefix("Bearer ")]
    except KeyError:
        raise HTTPException(401, "unknown token", {"WWW-Authenticate": "Bearer"}) from None


ERRORS = {
    "usage": RuntimeRequired("the secret of the developer"),
    "store": StoreUnavailable("/secret/path.db is locked"),
    "doubt": InDoubt("whether the transfer happened is unknown", execution_id="e1", action="transfer"),
}


class Shop:
    """The app, with what tests look at."""

    def __init__(self, folder: Path, *, prefix: str | None = "/governance", **options: Any) -> None:
        self.runtime = Runtime(
            f"sqlite:///{folder}/shop.db",
            workflows=[transfer, patient_transfer, count_stock],
            settings=WorkerSettings(grace=0.0),
            **options,
        )
        self.governance = Governance(self.runtime, principal=signed_in, overseers=["auditor"])
        self.app = FastAPI()
        self.governance.install(self.app)
        if prefix is not None:
            self.app.include_router(self.governance.router, prefix=prefix)
        self._add_endpoints()
        self._add_uncommon_endpoints()

    def _add_endpoints(self) -> None:
        app, governance = self.app, self.governance
        ours: dict[str, Any] = {"dependencies": [Depends(governance.requester)], "responses": RESPONSES}

        @app.post("/transfers", **ours)
        async def post_transfer(order: Order) -> str:
            return await transfer(order.amount, order.recipient)

        @app.post("/patient", **ours)
        async def post_patiently(order: Order) -> str:
            return await patient_transfer(order.amount)

        @app.post("/books/close", **ours)
        async def post_close() -> str:
            return await close_books()

        @app.post("/reminders")
        async def post_reminder(who: Annotated[Principal, Depends(governance.requester)]) -> list[str]:
            return [who.id, await remind()]

        @app.post("/stock", status_code=202, **ours)
        async def post_stock(request: Request, id: str | None = None) -> Any:
            handle = await self.runtime.start(count_stock, id=id)
            return await governance.accepted(request, handle.id)

    def _add_uncommon_endpoints(self) -> None:
        app, governance = self.app, self.governance
        ours: dict[str, Any] = {"dependencies": [Depends(governance.requester)]}

        @app.post("/forgotten")
        async def post_forgotten() -> str:
            return await remind()

        @app.post("/nightly")
        async def post_nightly() -> str:
            with acting_as(Principal("nightly")):
                return await remind()

        @app.post("/later", **ours)
        async def post_later(background: BackgroundTasks) -> None:
            background.add_task(remind)

        @app.websocket("/talk")
        async def talk(socket: WebSocket, who: Annotated[Principal, Depends(governance.requester)]) -> None:
            await socket.accept()
            await socket.send_text(await transfer(int(await socket.receive_text()), who.id))
            await socket.close()

        @app.get("/errors/{name}")
        async def get_error(name: str) -> None:
            raise ERRORS[name]

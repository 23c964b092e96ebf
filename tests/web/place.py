"""A server of the tests: a runtime on a store of its own, people with tokens, and clients for them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from assent import Runtime
from assent.runtime.credentials import add_token
from assent.store import Status
from assent.web.app import create_app
from assent.web.server import listen, serving
from assent.web.settings import WebSettings
from tests.web import shop

PEOPLE = {
    "viewer@company.com": "viewer",
    "ann@company.com": "approver",
    "operator@company.com": "operator",
    "admin@company.com": "admin",
    "cfo@company.com": "",
    "stranger@company.com": "",
}


@dataclass
class Place:
    runtime: Runtime
    app: Starlette
    base_url: str = "http://127.0.0.1:8400"
    tokens: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def client(self, who: str | None = None, scopes: Sequence[str] = ()) -> AsyncIterator[httpx.AsyncClient]:
        """A client of this application, with a token of a person; None: of nobody."""
        headers = {} if who is None else {"Authorization": f"Bearer {await self.token(who, scopes)}"}
        transport = httpx.ASGITransport(app=self.app) if self.base_url.endswith(":8400") else None
        async with httpx.AsyncClient(
            transport=transport, base_url=self.base_url, headers=headers, timeout=20
        ) as client:
            yield client

    async def token(self, who: str, scopes: Sequence[str] = ()) -> str:
        made = await add_token(self.runtime.open_store, self.runtime.clock, who, scopes=scopes)
        return made.secret

    async def started(self, client: httpx.AsyncClient, name: str, **arguments: Any) -> str:
        """Start an execution by REST, and return its id when it waits or has ended."""
        answer = await client.post("/api/v1/executions", json={"name": name, "arguments": arguments})
        assert answer.status_code == 202, answer.text
        execution_id: str = answer.json()["id"]
        await self.runtime.engine.waiting(execution_id)
        return execution_id

    async def asked(self, client: httpx.AsyncClient, amount: str = "50000") -> tuple[str, str]:
        """Ask for a transfer; its execution and its approval."""
        execution_id = await self.started(client, "wire_transfer", amount=amount)
        (approval,) = await self.runtime.approvals(execution_id=execution_id)
        return execution_id, approval.id

    async def ended(self, execution_id: str) -> Status:
        """The status of an execution when it has ended."""
        known: str | None = None
        while True:
            try:
                news = await self.runtime.engine.news(execution_id, known=known)
            except Exception:  # noqa: BLE001 - whatever it raised, it has ended
                break
            if news.has_ended:
                break
            known = news.waits
        return (await self.runtime.engine.execution(execution_id)).status


@asynccontextmanager
async def place(
    url: str | Path = "sqlite://", *, settings: WebSettings | None = None, **options: Any
) -> AsyncIterator[Place]:
    """The application on a store, in memory unless it is told otherwise, without a socket."""
    location = url if isinstance(url, str) else f"sqlite:///{url}"
    async with Runtime(location, workflows=[shop], **options) as runtime:
        for who, access in PEOPLE.items():
            await runtime.people.add(who, access=access)
        await runtime.people.add("ann@company.com", roles=["finance"], contacts={"slack": "U1"})
        yield Place(runtime, create_app(runtime, settings))


@asynccontextmanager
async def served(url: str | Path, *, settings: WebSettings | None = None, **options: Any) -> AsyncIterator[Place]:
    """The same behind a real socket on loopback."""
    settings = settings or WebSettings()
    async with place(url, settings=settings, **options) as found:
        listener = listen("127.0.0.1", 0)
        found.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with serving(found.app, listener, settings):
            yield found

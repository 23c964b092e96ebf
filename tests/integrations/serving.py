"""A real server on loopback, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(uvicorn.Config(app, log_level="critical", lifespan="on", **options))
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[str]:
    """The address of an app that is served for as long as the block takes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(app, **options)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve([listener]))
            await server.listens.wait()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True


@asynccontextmanager
async def client(base_url: str, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False, verify=False, **options) as found:
        yield found

"""The server that carries the application: its socket, its limits, its start and its end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager

import uvicorn
from starlette.types import ASGIApp

from assent.errors import UsageError
from assent.web.access_log import AccessLog
from assent.web.settings import WebSettings
from assent.web.slow_clients import slow_client_protocol

BACKLOG = 2048
# Seconds for requests under way when it ends. Streams of events never end by themselves, and browsers come again.
GRACE = 2


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 takes any that is free. Raises UsageError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Nobody can listen on {host} port {port}: {error}. Name another address with --host, or port with --port."
        ) from error
    # Connections inherit it. asyncio sets it only on sockets that name their protocol, which those of `create_server`
    # do not; without it the body of an answer waits up to 40 ms for the client to acknowledge the head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


@asynccontextmanager
async def serving(
    app: ASGIApp, listener: socket.socket, settings: WebSettings, *, trust_proxy: str | None = None
) -> AsyncIterator[None]:
    """Answer requests while the block runs; those under way at its end get two seconds.

    `trust_proxy` is the address of a reverse proxy, whose word on who calls is taken. The process's signals are left
    to the caller. The application must be able to answer until the block has been left.
    """
    config = uvicorn.Config(
        AccessLog(app),
        http=slow_client_protocol(settings.request_seconds),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=trust_proxy is not None,
        forwarded_allow_ips=trust_proxy,
        timeout_graceful_shutdown=GRACE,
    )
    server = _Server(config)
    # The server closes it as well, but not if it is interrupted.
    with closing(listener):
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(server.serve([listener]), name="web")
            try:
                await server.wait_until_ready(task)
                yield
            finally:
                server.should_exit = True
                # Also when the block failed: cancelled, it would leave its socket with the event loop.
                await asyncio.wait({task})


class _Server(uvicorn.Server):
    """Leaves signals alone, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def wait_until_ready(self, serving: asyncio.Task[None]) -> None:
        ready = asyncio.ensure_future(self._ready.wait())
        await asyncio.wait({ready, serving}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

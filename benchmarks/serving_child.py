"""Serves an endpoint on a free port, and says where: `serving_child governed|bare FILE`, until its input ends."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from assent import Runtime
from assent.runtime.credentials import add_token
from assent.store import Event
from assent.store.connection import connect, migrate
from assent.store.rows import ADD_EVENT
from assent.web.access import Access
from assent.web.app import create_app
from assent.web.desk import desk_of
from assent.web.routing import Route
from assent.web.server import listen, serving
from assent.web.settings import WebSettings
from benchmarks import programs


async def pay(request: Request) -> Response:
    """A governed call, journaled, for whoever has shown a token."""
    order = await request.json()
    with desk_of(request).runtime.ambient():
        recipient = await programs.transfer(order["amount"], order["recipient"])
    return JSONResponse({"paid": recipient})


async def governed(file: Path, port: int, stack: AsyncExitStack) -> tuple[Starlette, str]:
    runtime = await stack.enter_async_context(Runtime(f"sqlite:///{file}", workflows=[programs]))
    await runtime.people.add(programs.APPROVER, access="admin")
    token = await add_token(runtime.open_store, runtime.clock, programs.APPROVER)
    route = Route(method="POST", path="/pay", access=Access.OPERATOR, handler=pay, name="pay")
    settings = WebSettings(base_url=f"http://127.0.0.1:{port}")
    return create_app(runtime, settings, extra_routes=[route]), token.secret


def bare(file: Path, stack: AsyncExitStack) -> Starlette:
    """One row a request, on disk before the answer. With one connection, and no thread to hand it to."""
    connection = stack.enter_context(closing(connect(str(file), "FULL")))
    migrate(connection)

    async def insert(request: Request) -> Response:
        order = await request.json()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(ADD_EVENT, Event("bench", "step.completed", 1.7e9, value=json.dumps(order)))
        connection.execute("COMMIT")
        return JSONResponse({"paid": order["recipient"]})

    return Starlette(routes=[StarletteRoute("/pay", insert, methods=["POST"])])


async def main(kind: str, file: Path) -> None:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with AsyncExitStack() as stack:
        app, token = await governed(file, port, stack) if kind == "governed" else (bare(file, stack), "")
        async with serving(app, listener, WebSettings()):
            print(json.dumps({"port": port, "token": token}), flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))

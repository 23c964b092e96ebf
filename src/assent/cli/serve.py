"""`assent serve`: the web and a worker in one process, until it is told to stop."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from socket import socket
from types import ModuleType
from typing import TypeVar

from starlette.types import ASGIApp

from assent.cli.logs import log_to, tell
from assent.cli.options import error_screen
from assent.cli.output import Screen
from assent.cli.reference import load_module, runtime_of
from assent.cli.worker import Stop, names_in, report
from assent.errors import UsageError
from assent.runtime import Runtime
from assent.runtime.credentials import TICKETS, add_ticket
from assent.web.app import create_app
from assent.web.guards import is_loopback
from assent.web.routing import Route
from assent.web.server import listen, serving
from assent.web.settings import WebSettings

FIRST_ADMIN = "admin"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the command was told."""

    files: Sequence[str]
    host: str
    port: int
    base_url: str | None
    allow_hosts: Sequence[str]
    trust_proxy: str | None
    who: str | None  # gets a link to sign in
    worker: bool
    quiet: bool
    as_json: bool


def serve(screen: Screen, url: str | None, order: Order) -> int:
    """`assent serve`; returns when a signal has asked it to stop and it has stopped."""
    modules = [load_module(each) for each in order.files]
    names = names_in(modules, order.files)
    runtime = runtime_of(modules, url, worker=order.worker)
    log_to(screen, as_json=order.as_json)
    if not order.quiet:
        runtime.watchers = (*runtime.watchers, report)
    listener = listen(order.host, order.port)
    settings = _settings(modules, order, runtime.web_url, listener)
    runtime.web_url = settings.base_url
    # Only who sits before it is given a secret: what is gathered as a log must not let anybody in.
    who = order.who or (FIRST_ADMIN if sys.stdout.isatty() and not order.as_json else None)
    app = create_app(runtime, settings, extra_routes=_found(modules, Route))
    asyncio.run(
        _Server(error_screen() if order.as_json else screen, runtime, settings, app, listener, who).run(
            names, order.trust_proxy
        )
    )
    return 0


def _settings(modules: Sequence[ModuleType], order: Order, web_url: str | None, listener: socket) -> WebSettings:
    """Those that the modules set up for themselves, if they do, with what the command was told."""
    own = {id(each): each for each in _found(modules, WebSettings)}
    if len(own) > 1:
        raise UsageError(f"There are {len(own)} WebSettings at the top of these modules. Keep one.")
    settings = next(iter(own.values()), WebSettings())
    is_told = settings.base_url != WebSettings().base_url
    base_url = order.base_url or (settings.base_url if is_told else web_url) or _address(listener, order.host)
    return replace(settings, base_url=base_url, allowed_hosts=(*settings.allowed_hosts, *order.allow_hosts))


def _found(modules: Sequence[ModuleType], kind: type[T]) -> list[T]:
    """What of this kind stands at the top of the modules."""
    return [value for module in modules for value in vars(module).values() if isinstance(value, kind)]


def _address(listener: socket, host: str) -> str:
    if not is_loopback(host):
        raise UsageError(f"People do not reach it as {host}. Say how they do: --base-url https://assent.example.com")
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


@dataclass(frozen=True, slots=True)
class _Server:
    screen: Screen  # for what is no part of the log
    runtime: Runtime
    settings: WebSettings
    app: ASGIApp
    listener: socket
    who: str | None

    async def run(self, names: Sequence[str], trust_proxy: str | None) -> None:
        stop = Stop(self.runtime)
        stop.listen()
        async with self.runtime, serving(self.app, self.listener, self.settings, trust_proxy=trust_proxy):
            drives = f"drives {', '.join(names)}" if self.runtime.worker else "drives nothing"
            tell(
                f"Server {os.getpid()} is ready at {self.settings.base_url} on {self.runtime.url}, and {drives}. "
                "Ctrl-C stops it."
            )
            await self._invite()
            await stop.asked.wait()
        tell(f"Server {os.getpid()} has stopped.")

    async def _invite(self) -> None:
        """Print a link to sign in with. Whoever starts the first server on a store becomes its administrator."""
        if self.who is None:
            return
        people = await self.runtime.people.list()
        if not any(each.access == "admin" and each.disabled_at is None for each in people):
            await self.runtime.people.add(self.who, access="admin")
        elif self.who == FIRST_ADMIN and not any(each.id == FIRST_ADMIN for each in people):
            self.screen.say("To sign in: assent sign-in-link PERSON")
            return
        store, clock = self.runtime.open_store, self.runtime.clock
        ticket = await add_ticket(store, clock, self.who, expires=f"{self.settings.ticket_minutes:g}m")
        self.screen.say(f"Sign in as {self.who}, once, within {self.settings.ticket_minutes:g} minutes:")
        self.screen.say(f"  {self.settings.base_url}{TICKETS}{ticket.secret}")

"""What every request must pass: the right host, a body that comes in time and fits, and for each route whoever may.

`guards_of` lists what stands around the whole application, outermost first; `guarded` what stands before one handler.
"""

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assent.errors import AccessRefused
from assent.web.access import IDENTITY, Access, Identity, identity_of, require
from assent.web.csrf import SAFE, check_form, check_origin
from assent.web.problems import Answering, Problem
from assent.web.routing import Handler, Route
from assent.web.sessions import identity_by_session
from assent.web.settings import WebSettings
from assent.web.tokens import identity_by_token

HEADERS: Final = MappingProxyType({
    # Scripts and styles only from files of ours: what slips into a page as text stays text.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Other sites never learn a path, which may hold a signed link; our own forms still say where they come from.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
})  # fmt: skip
TRANSPORT_SECURITY: Final = "max-age=31536000"
HANG_UP: Final = MappingProxyType({"Connection": "close"})  # what is still to come of the body is not read


def guards_of(settings: WebSettings) -> list[Middleware]:
    """The guards of the whole application, in their order."""
    return [
        Middleware(SecurityHeaders, is_secure=settings.is_secure),
        Middleware(Answering),
        Middleware(HostCheck, settings=settings),
        Middleware(Intake, limit=settings.body_limit, seconds=settings.request_seconds),
    ]


class SecurityHeaders:
    """Adds to every answer, errors too, what it does not say itself."""

    def __init__(self, app: ASGIApp, is_secure: bool) -> None:
        self.app = app
        transport: Mapping[str, str] = {"Strict-Transport-Security": TRANSPORT_SECURITY} if is_secure else {}
        self._headers = {**HEADERS, **transport}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, add if scope["type"] == "http" else send)


class HostCheck:
    """Lets in what names this host: a page of another name that leads here must not pass for ours."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self.app = app
        self._hosts = frozenset({settings.host, *(host.lower() for host in settings.allowed_hosts)})
        # Whoever is on this machine may call it by any of its own names.
        self._is_local = is_loopback(urlsplit(settings.base_url).hostname or "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._check(Headers(scope=scope).getlist("host"))
        await self.app(scope, receive, send)

    def _check(self, given: list[str]) -> None:
        if len(given) != 1 or not given[0]:
            raise Problem(400, "no-host", "The request does not name one host.", headers=HANG_UP)
        host = given[0].lower()
        name = _name_in(host)
        if not name:
            raise Problem(400, "malformed-host", "The host of the request is no host.", headers=HANG_UP)
        if not ({host, name} & self._hosts or (self._is_local and is_loopback(name))):
            raise Problem(
                421,
                "misdirected-request",
                "This host is not served here. Whoever runs the server can add it to its allowed hosts.",
                headers=HANG_UP,
            )


def _name_in(host: str) -> str | None:
    """The host without its port; None for what is no host."""
    if not host.isascii() or not all(each.isalnum() or each in "-._:[]" for each in host):
        return None
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def is_loopback(name: str) -> bool:
    """Whether a host name is one of this machine for itself."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


class Intake:
    """Takes in no body that is larger than `limit` bytes, or takes longer than `seconds`."""

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self.app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > self._limit:
            raise self._too_large()
        await self.app(scope, self._bounded(receive), send)

    def _bounded(self, receive: Receive) -> Receive:
        deadline = asyncio.get_running_loop().time() + self._seconds
        size, is_over = 0, False

        async def take() -> Message:
            nonlocal size, is_over
            if is_over:  # what comes now is only that the client has left
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                detail = f"The request was not all there after {self._seconds:g} seconds."
                raise Problem(408, "request-timeout", detail, headers=HANG_UP) from error
            size += len(message.get("body", b""))
            is_over = not message.get("more_body", False)
            if size > self._limit:
                raise self._too_large()
            return message

        return take

    def _too_large(self) -> Problem:
        detail = f"The body is larger than the {self._limit:,} bytes that are taken here."
        return Problem(413, "content-too-large", detail, headers=HANG_UP)


async def identify(request: Request) -> Identity | None:
    """Who sends this request, noted for `identity_of`. A header goes before a cookie. Raises what tokens raise."""
    authorization = request.headers.get("authorization")
    if authorization is None:
        identity = await identity_by_session(request)
    else:
        identity = await identity_by_token(request, authorization)
    request.scope[IDENTITY] = identity
    return identity


def guarded(route: Route) -> Handler:
    """The handler of a route, behind the question who asks and whether they may."""

    async def handle(request: Request) -> Response:
        if route.access is Access.PUBLIC:
            if route.page and request.method not in SAFE:
                check_origin(request)
        else:
            await admit(request, route)
        return await route.handler(request)

    return handle


async def admit(request: Request, route: Route) -> None:
    """Raises SignInRequired or AccessRefused unless whoever asks may use the route in this way."""
    await identify(request)
    identity = identity_of(request)
    if identity.via == "session" and request.method not in SAFE:
        await check_form(request, identity)
    require(identity, route.access, route.scope)
    if not (route.own or identity.sees_all):
        raise AccessRefused(
            f"{identity.person} sees here only what is asked of them. An administrator can give more with "
            f"`assent users add --access`."
        )

"""Signing in with a token or a one-time link, and out again."""

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from assent.errors import AccessRefused, SignInRequired
from assent.runtime import credentials
from assent.runtime.credentials import TICKETS
from assent.web.access import Access, identity_of
from assent.web.attempts import count_attempt
from assent.web.desk import desk_of
from assent.web.forms import field
from assent.web.guards import identify
from assent.web.pages import local_path, redirect, render
from assent.web.routing import Route
from assent.web.sessions import close_session, open_session

SIGN_IN: Final = "/sign-in"
USED_TICKET: Final = (
    "This sign-in link has expired, or was used already. `assent sign-in-link` makes another; each is good for once."
)


async def sign_in_page(request: Request) -> Response:
    """The form for a token, and the way to single sign-on. Who is signed in already goes on."""
    onward = local_path(request.query_params.get("next", ""))
    if "authorization" not in request.headers and await identify(request) is not None:
        return redirect(request, onward)
    return await _form(request, onward)


async def _form(request: Request, onward: str, *, status: int = 200, error: str = "") -> Response:
    oidc = desk_of(request).settings.oidc
    return await render(
        request,
        "sign_in.html",
        status=status,
        onward=onward,
        error=error,
        oidc_name=oidc.name if oidc else "",
        oidc_url=f"/oidc/start?{urlencode({'next': onward})}" if oidc else "",
    )


async def sign_in(request: Request) -> Response:
    """Open a session for the person of a token, which must be one for everything."""
    await count_attempt(request)
    desk, form = desk_of(request), await request.form(max_files=0, max_fields=10)
    onward = local_path(field(form, "next"))
    try:
        holder = await credentials.holder_of_token(desk.store, desk.clock, field(form, "token"))
        if holder.record.scopes:
            raise AccessRefused("This token is for programs that do a few things only. Use one without --scope.")
    except AccessRefused as error:
        detail = str(error) if not isinstance(error, SignInRequired) else "This token does not let anybody in."
        return await _form(request, onward, status=error.http_status, error=detail)
    return await _welcome(request, holder.person.id, onward)


async def _welcome(request: Request, person: str, onward: str) -> Response:
    response = redirect(request, onward)
    await open_session(request, response, person)
    return response


async def ticket_page(request: Request) -> Response:
    """Who would be signed in by a one-time link. Looking does not use it up: what scans mails opens links too."""
    holder = await _holder(request)
    return await render(
        request,
        "sign_in_link.html",
        person=holder.person.id,
        name=holder.person.name,
        action=request.url.path,
        onward=local_path(request.query_params.get("next", "")),
        until=holder.record.expires_at,
    )


async def _holder(request: Request) -> credentials.Holder:
    desk = desk_of(request)
    try:
        return await credentials.holder_of_ticket(desk.store, desk.clock, request.path_params["ticket"])
    except SignInRequired:
        await count_attempt(request)
        raise AccessRefused(USED_TICKET) from None


async def use_ticket(request: Request) -> Response:
    """Open a session by a one-time link."""
    desk, holder = desk_of(request), await _holder(request)
    form = await request.form(max_files=0, max_fields=10)
    try:
        await credentials.use_ticket(desk.store, desk.clock, request.path_params["ticket"])
    except SignInRequired:
        raise AccessRefused(USED_TICKET) from None
    return await _welcome(request, holder.person.id, local_path(field(form, "next")))


async def sign_out(request: Request) -> Response:
    """End the session of this browser; with `everywhere` those of all others too."""
    desk, identity = desk_of(request), identity_of(request)
    form = await request.form(max_files=0, max_fields=10)
    if field(form, "everywhere"):
        await credentials.revoke_sessions(desk.store, desk.clock, identity.person)
    response = redirect(request, SIGN_IN, "You are signed out.")
    await close_session(request, response)
    return response


ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path=SIGN_IN, access=Access.PUBLIC, handler=sign_in_page, name="sign_in_page", page=True),
    Route(method="POST", path=SIGN_IN, access=Access.PUBLIC, handler=sign_in, name="sign_in", page=True),
    Route(
        method="GET",
        path=f"{TICKETS}{{ticket}}",
        access=Access.PUBLIC,
        handler=ticket_page,
        name="ticket_page",
        page=True,
    ),
    Route(
        method="POST",
        path=f"{TICKETS}{{ticket}}",
        access=Access.PUBLIC,
        handler=use_ticket,
        name="use_ticket",
        page=True,
    ),
    Route(
        method="POST", path="/sign-out", access=Access.VIEWER, handler=sign_out, name="sign_out", page=True, own=True
    ),
)

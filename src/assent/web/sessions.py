"""Sessions of browsers: a random secret in a cookie, of which the store has the digest."""

from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from assent.errors import SignInRequired
from assent.runtime import credentials
from assent.runtime.credentials import LONGEST_SESSION
from assent.web.access import Identity, identity_for
from assent.web.csrf import csrf_of
from assent.web.desk import Desk, desk_of

COOKIE: Final = "assent"


def cookie_name(desk: Desk) -> str:
    """The name of the cookie. With `__Host-` browsers take it only by https, and from no other host."""
    return f"__Host-{COOKIE}" if desk.settings.is_secure else COOKIE


async def identity_by_session(request: HTTPConnection) -> Identity | None:
    """Who is signed in with this browser; None if nobody is, or is not any more."""
    desk = desk_of(request)
    secret = request.cookies.get(cookie_name(desk))
    if not secret:
        return None
    try:
        holder = await credentials.holder_of_session(
            desk.store, desk.clock, secret, expires=desk.settings.session_hours * 3600
        )
    except SignInRequired:
        return None
    return identity_for(holder.person, "session", credential=holder.record.id, csrf=csrf_of(secret))


async def open_session(request: HTTPConnection, response: Response, person: str) -> None:
    """Sign somebody in with the answer to this request. The session that the browser had before ends."""
    desk = desk_of(request)
    await close_session(request)
    fresh = await credentials.add_session(desk.store, desk.clock, person, expires=desk.settings.session_hours * 3600)
    response.set_cookie(
        cookie_name(desk),
        fresh.secret,
        max_age=int(LONGEST_SESSION),
        path="/",
        secure=desk.settings.is_secure,
        httponly=True,
        samesite="lax",
    )


async def close_session(request: HTTPConnection, response: Response | None = None) -> None:
    """End the session of this browser, if it has one; with the answer the cookie goes too."""
    desk = desk_of(request)
    identity = await identity_by_session(request)
    if identity is not None:
        await credentials.revoke(desk.store, desk.clock, identity.credential)
    if response is not None:
        response.delete_cookie(
            cookie_name(desk), path="/", secure=desk.settings.is_secure, httponly=True, samesite="lax"
        )

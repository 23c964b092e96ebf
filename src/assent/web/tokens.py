"""Tokens of programs, sent with each request as `Authorization: Bearer assent_...`."""

from starlette.requests import HTTPConnection

from assent.errors import SignInRequired
from assent.runtime import credentials
from assent.web.access import EVERYTHING, Identity, identity_for
from assent.web.attempts import count_attempt
from assent.web.desk import desk_of


async def identity_by_token(request: HTTPConnection, authorization: str) -> Identity:
    """Who sends this Authorization header. Raises SignInRequired, and TooManyAttempts if that happens too often."""
    scheme, _, text = authorization.partition(" ")
    desk = desk_of(request)
    try:
        if scheme.lower() != "bearer":
            raise SignInRequired("Only tokens are taken here: send `Authorization: Bearer assent_...`.")
        holder = await credentials.holder_of_token(desk.store, desk.clock, text.strip())
    except SignInRequired:
        await count_attempt(request)  # only those that fail: each is counted by a commit
        raise
    scopes = frozenset(holder.record.scopes) or frozenset({EVERYTHING})
    return identity_for(holder.person, "token", credential=holder.record.id, scopes=scopes)

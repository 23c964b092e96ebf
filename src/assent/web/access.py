"""Who asks, how they showed it, and what that lets them do."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from starlette.requests import HTTPConnection

from assent.errors import AccessRefused, SignInRequired
from assent.store import PersonRecord

Via = Literal["session", "token", "link"]

IDENTITY: Final = "assent.identity"  # where the guard leaves it in the ASGI scope
EVERYTHING: Final = "*"  # the scope of a token that may do all that its person may


class Access(IntEnum):
    """What somebody may do here; each may do what those before it may."""

    PUBLIC = 0  # whoever asks
    VIEWER = 1  # looks at everything
    APPROVER = 2  # and decides what is asked of them
    OPERATOR = 3  # and starts, cancels, signals and resolves executions
    ADMIN = 4  # and says who is who


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody who has shown who they are.

    With `sees_all` off they see only what concerns them: approvals that are asked of them, and their executions.
    """

    person: str
    name: str
    access: Access
    via: Via
    scopes: frozenset[str] = frozenset({EVERYTHING})
    csrf: str = ""  # what every form of this session must bring back; empty for tokens, which need none
    sees_all: bool = False
    credential: str = ""  # the id of the session or token


def identity_for(
    record: PersonRecord, via: Via, *, credential: str, scopes: frozenset[str] = frozenset({EVERYTHING}), csrf: str = ""
) -> Identity:
    """The identity of a person of the store."""
    return Identity(
        person=record.id,
        name=record.name or record.id,
        access=access_of(record),
        via=via,
        scopes=scopes,
        csrf=csrf,
        sees_all=bool(record.access),
        credential=credential,
    )


def access_of(record: PersonRecord) -> Access:
    """The access of a person of the store; who has none may decide what is asked of them."""
    return Access[record.access.upper()] if record.access else Access.APPROVER


def identity_of(request: HTTPConnection) -> Identity:
    """Who asks. Raises SignInRequired if nobody has shown who they are."""
    found = identity_if_any(request)
    if found is None:
        raise SignInRequired("This is only for people who have signed in. Sign in, or send a token as a Bearer token.")
    return found


def identity_if_any(request: HTTPConnection) -> Identity | None:
    """Who asks, if they have shown it."""
    found = request.scope.get(IDENTITY)
    return found if isinstance(found, Identity) else None


def may(identity: Identity, access: Access, scope: str = "") -> bool:
    """Whether this identity reaches what needs that access, and with a token that scope."""
    return identity.access >= access and (EVERYTHING in identity.scopes or scope in identity.scopes)


def require(identity: Identity, access: Access, scope: str = "") -> None:
    """Raises AccessRefused unless `may`; it says what is missing."""
    if identity.access < access:
        raise AccessRefused(
            f"{identity.person} has the access {identity.access.name.lower()!r}, and this needs "
            f"{access.name.lower()!r}. An administrator can give it with `assent users add --access`."
        )
    if not may(identity, access, scope):
        raise AccessRefused(
            f"This token is not for {scope!r}. Make one that is with `assent tokens add --scope`."
            if scope
            else "This token is for a few things only, and this is none of them. Use one without --scope."
        )

"""`/api/v1/tokens`: what lets programs in. The secret of a token is told once, to whoever makes it."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from assent.errors import AccessRefused
from assent.governance.approvals import person
from assent.runtime import credentials
from assent.store import CredentialRecord
from assent.web.access import EVERYTHING, Access, Identity, identity_of
from assent.web.bodies import answer, body_of, query_of
from assent.web.desk import Desk, desk_of
from assent.web.paging import answer_page
from assent.web.people_answers import TokenMade, Tokens, TokenShown
from assent.web.problems import Problem, invalid
from assent.web.reading import page_of
from assent.web.routing import Onward, Route
from assent.web.schemas import TokenFilter, TokenToMake

PATH: Final = "/api/v1/tokens"
LIFETIME: Final = 90 * 86400.0  # seconds, unless it is said otherwise


async def list_tokens(request: Request) -> Response:
    """A page of tokens, oldest first, without their secrets."""
    desk, wanted = desk_of(request), query_of(request, TokenFilter)
    found = await desk.credentials.credentials("token", person(wanted.person) if wanted.person else None)
    now = desk.clock.now()
    kept = [one for one in found if wanted.all or credentials.is_good(one, now)]
    page = page_of(kept, lambda one: one.id, wanted.cursor, wanted.limit)
    return answer_page(request, Tokens(items=[TokenShown.of(one) for one in page.items], next=page.next), page.next)


async def make_token(request: Request) -> Response:
    """Make a token for a program. It is shown in this answer and never again."""
    desk, identity = desk_of(request), identity_of(request)
    wanted = await body_of(request, TokenToMake)
    who = wanted.person or identity.person
    _check(identity, who, wanted)
    expires = wanted.until.timestamp() - desk.clock.now() if wanted.until else LIFETIME
    if expires <= 0:
        raise invalid(f"until={wanted.until} is over already.")
    fresh = await credentials.add_token(
        desk.store, desk.clock, who, name=wanted.name, scopes=wanted.scopes, expires=expires
    )
    return answer(TokenMade(**TokenShown.of(fresh.record).model_dump(), token=fresh.secret), 201)


def _check(identity: Identity, who: str, wanted: TokenToMake) -> None:
    """A token reaches no further than the one by which it is made, and nobody decides in the name of another."""
    asked = frozenset[str](wanted.scopes) or frozenset({EVERYTHING})
    if EVERYTHING not in identity.scopes and not asked <= identity.scopes:
        reach = ", ".join(sorted(identity.scopes))
        raise AccessRefused(f"Your own token is for {reach} only, and makes none that is for more.")
    if person(who) != person(identity.person) and asked & {EVERYTHING, "decide"}:
        raise AccessRefused(
            f"A token with which to decide as {who} is for {who} alone: give scopes without 'decide'. Whoever runs the "
            "server can make one with `assent tokens add`."
        )


async def revoke_token(request: Request) -> Response:
    """From now on nobody gets in with it. What was revoked before stays so."""
    desk, token_id = desk_of(request), request.path_params["token_id"]
    await _token(desk, token_id)
    await credentials.revoke(desk.store, desk.clock, token_id)
    return answer(TokenShown.of(await _token(desk, token_id)))


async def _token(desk: Desk, token_id: str) -> CredentialRecord:
    found = await desk.credentials.credential(token_id)
    if found is None or found.kind != "token":
        raise Problem(404, "token-not-found", f"There is no token {token_id!r}. GET {PATH} lists those that there are.")
    return found


ROUTES: Final = (
    Route(
        method="GET",
        path=PATH,
        access=Access.ADMIN,
        scope="administer",
        handler=list_tokens,
        name="list_tokens",
        summary="What lets programs in",
        query=TokenFilter,
        answers={200: Tokens},
    ),
    Route(
        method="POST",
        path=PATH,
        access=Access.ADMIN,
        scope="administer",
        handler=make_token,
        name="make_token",
        summary="Make a token, which is shown once",
        body=TokenToMake,
        answers={201: TokenMade},
        onward=[Onward("revoke_token", "token_id", "$response.body#/id")],
    ),
    Route(
        method="POST",
        path=PATH + "/{token_id}/revoke",
        access=Access.ADMIN,
        scope="administer",
        handler=revoke_token,
        name="revoke_token",
        summary="Nobody gets in with it any more",
        answers={200: TokenShown},
    ),
)

"""Signing in through a provider of OpenID Connect, and whom of the people here it speaks of."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from assent.errors import AccessRefused
from assent.governance.approvals import person
from assent.web.access import Access
from assent.web.attempts import count_attempt
from assent.web.desk import Desk, desk_of
from assent.web.oidc_flow import Flow, forget, recall, remember
from assent.web.pages import local_path, redirect
from assent.web.problems import Problem
from assent.web.routing import Route
from assent.web.sessions import open_session
from assent.web.settings import OidcSettings

if TYPE_CHECKING:
    from assent.web.oidc_provider import Provider

CALLBACK: Final = "/oidc/callback"


async def start(request: Request) -> Response:
    """Send the browser to the provider."""
    desk, oidc = desk_of(request), _settings_of(request)
    await count_attempt(request)
    flow = Flow.begin(local_path(request.query_params.get("next", "")), desk.clock.now())
    response = RedirectResponse(await _provider(desk, oidc).address(flow), 303)
    await remember(request, response, flow)
    return response


async def finish(request: Request) -> Response:
    """Take the browser back from the provider, and sign in the person whom it names, if the store knows them."""
    desk, oidc = desk_of(request), _settings_of(request)
    await count_attempt(request)
    flow = await recall(request)
    claims = await _provider(desk, oidc).claims(flow, _code_of(request, oidc), desk.clock.now())
    who = await _person_of(desk, oidc, claims)
    response = redirect(request, local_path(flow.onward))
    forget(request, response)
    await open_session(request, response, who)
    return response


def _settings_of(request: Request) -> OidcSettings:
    oidc = desk_of(request).settings.oidc
    if oidc is None:
        raise Problem(404, "not-found", "This server has no single sign-on.")
    return oidc


def _provider(desk: Desk, oidc: OidcSettings) -> "Provider":
    from assent.web.oidc_provider import Provider  # noqa: PLC0415 - needs an extra, which most servers do without

    return Provider(settings=oidc, redirect_uri=f"{desk.settings.base_url.rstrip('/')}{CALLBACK}")


def _code_of(request: Request, oidc: OidcSettings) -> str:
    query = request.query_params
    if query.get("iss", oidc.issuer) != oidc.issuer:
        raise AccessRefused("Another provider answers than the one that was asked.")
    if "code" not in query:
        raise AccessRefused(f"The provider did not sign you in: {query.get('error', 'it gave no code')!r}.")
    return query["code"]


async def _person_of(desk: Desk, oidc: OidcSettings, claims: Mapping[str, Any]) -> str:
    who = claims.get(oidc.person_claim)
    if not isinstance(who, str) or not who:
        raise AccessRefused(f"The provider does not say who you are: its answer has no {oidc.person_claim!r}.")
    if oidc.person_claim == "email" and claims.get("email_verified") is not True:
        raise AccessRefused(f"The provider has not verified that {who} is yours.")
    record = await desk.store.person(person(who))
    if record is None or record.disabled_at is not None:
        raise AccessRefused(f"Nobody here is known as {who}. An administrator can add you with `assent users add`.")
    return record.id


ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path="/oidc/start", access=Access.PUBLIC, handler=start, name="oidc_start", page=True),
    Route(method="GET", path=CALLBACK, access=Access.PUBLIC, handler=finish, name="oidc_callback", page=True),
)

"""The application: every route behind its guards, and the document of what there is."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from assent.runtime import Runtime
from assent.web import (
    approval_pages,
    approvals_api,
    dashboard_pages,
    events,
    executions_api,
    executions_pages,
    governance_api,
    health,
    inbox_pages,
    links,
    mandates_pages,
    metrics,
    notices_pages,
    oidc,
    openapi,
    pages,
    people_api,
    people_pages,
    policies_pages,
    sign_in,
    slack,
    tokens_api,
)
from assent.web.desk import Desk
from assent.web.guards import guarded, guards_of
from assent.web.pages import error_page
from assent.web.problems import Problem, answer_http_exception
from assent.web.routing import Handler, Route
from assent.web.settings import WebSettings

EXECUTION: Final = "{execution_id}"
ANY_EXECUTION: Final = "{execution_id:path}"
# Matched in this order.
ALL_ROUTES: Final[Sequence[Route]] = (
    *health.ROUTES,
    *metrics.ROUTES,
    *openapi.ROUTES,
    *events.ROUTES,
    *executions_api.ROUTES,
    *approvals_api.ROUTES,
    *governance_api.ROUTES,
    *people_api.ROUTES,
    *tokens_api.ROUTES,
    *sign_in.ROUTES,
    *oidc.ROUTES,
    *links.ROUTES,
    *slack.ROUTES,
    *pages.ROUTES,
    *inbox_pages.ROUTES,
    *approval_pages.ROUTES,
    *executions_pages.ROUTES,
    *policies_pages.ROUTES,
    *dashboard_pages.ROUTES,
    *mandates_pages.ROUTES,
    *people_pages.ROUTES,
    *notices_pages.ROUTES,
)


def create_app(
    runtime: Runtime, settings: WebSettings | None = None, *, extra_routes: Sequence[Route] = ()
) -> Starlette:
    """The web room as an ASGI application on a runtime, which must be open while it serves.

    `extra_routes` stand behind the same guards, and before none of ours.
    """
    settings = settings or WebSettings()
    routes = (*ALL_ROUTES, *extra_routes)
    app = Starlette(
        routes=_crossings(routes),
        middleware=guards_of(settings),
        exception_handlers={HTTPException: answer_http_exception},
    )
    app.router.redirect_slashes = False
    app.state.desk = Desk(runtime, settings)
    app.state.openapi = openapi.document_of(routes)
    app.state.error_page = error_page
    return app


def _crossings(routes: Iterable[Route]) -> list[StarletteRoute]:
    """One for each path. Programs may choose ids with slashes, so what ends with such an id is looked at last."""
    found = sorted(_by_path(routes).items(), key=lambda each: each[0].endswith(EXECUTION))
    return [StarletteRoute(path.replace(EXECUTION, ANY_EXECUTION), Crossing(handlers)) for path, handlers in found]


def _by_path(routes: Iterable[Route]) -> dict[str, Mapping[str, Handler]]:
    found: dict[str, dict[str, Handler]] = {}
    for route in routes:
        found.setdefault(route.path, {}).setdefault(route.method, guarded(route))
    return {path: MappingProxyType(handlers) for path, handlers in found.items()}


class Crossing:
    """What stands at one path: a handler for each method, and word of those that there are to all others."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        also_head = ["HEAD"] if "GET" in handlers else []
        self._allow = ", ".join(sorted([*handlers, *also_head, "OPTIONS"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": self._allow})
        handler = self._handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            detail = f"{request.method[:20]} is not for this address. It takes {self._allow}."
            raise Problem(405, "method-not-allowed", detail, headers={"Allow": self._allow})
        return await handler(request)

"""The dashboard: how asking and deciding goes, at a glance."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from assent.clock import seconds
from assent.web.access import Access
from assent.web.dashboard import figures_of
from assent.web.desk import desk_of
from assent.web.pages import render
from assent.web.routing import Route

SPANS: Final[Mapping[str, str]] = MappingProxyType({"1d": "Day", "7d": "Week", "30d": "30 days", "365d": "Year"})
USUAL: Final = "7d"


async def show_dashboard(request: Request) -> Response:
    """The figures of the last week, or of another time."""
    desk = desk_of(request)
    span = request.query_params.get("since", USUAL)
    span = span if span in SPANS else USUAL
    figures = await figures_of(desk, desk.clock.now() - seconds(span))
    views = [(label, f"/dashboard?since={name}", name == span, None) for name, label in SPANS.items()]
    return await render(request, "dashboard.html", figures=figures, views=views)


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        method="GET",
        path="/dashboard",
        access=Access.VIEWER,
        handler=show_dashboard,
        name="dashboard_page",
        page=True,
    ),
)

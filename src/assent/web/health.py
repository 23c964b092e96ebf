"""Whether the process answers, and whether it can work."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from assent.web.access import Access
from assent.web.answers import Health, Ready
from assent.web.bodies import answer
from assent.web.desk import desk_of
from assent.web.routing import Route


async def health(_request: Request) -> Response:
    """Says that the process answers, without a look at the store."""
    return answer(Health(status="ok"))


async def ready(request: Request) -> Response:
    """Reads from the store, and says how many workers are at it; what the store raises becomes 503."""
    desk = desk_of(request)
    now = desk.clock.now()
    workers = [one for one in await desk.store.workers() if one.expires_at > now]
    return answer(Ready(status="ok", workers=len(workers)))


ROUTES: Final = (
    Route(
        method="GET",
        path="/health",
        access=Access.PUBLIC,
        handler=health,
        name="health",
        summary="The process answers",
        answers={200: Health},
    ),
    Route(
        method="GET",
        path="/ready",
        access=Access.VIEWER,
        scope="metrics",
        handler=ready,
        name="ready",
        summary="The process can work: 503 if its store fails",
        answers={200: Ready},
    ),
)

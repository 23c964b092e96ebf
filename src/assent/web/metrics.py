"""`/metrics`: what stands in the store, in the text format of Prometheus."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from assent.store import ApprovalStatus, NoticeStatus, Status
from assent.web.access import Access
from assent.web.desk import Desk, desk_of
from assent.web.routing import Route

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(request: Request) -> Response:
    """What waits, for how long, and who is at work: gauges, as the store has them at this moment."""
    lines = await _lines(desk_of(request))
    return Response("\n".join(lines) + "\n", headers={"Content-Type": MEDIA_TYPE})


async def _lines(desk: Desk) -> list[str]:
    now, counts = desk.clock.now(), await desk.store.counts()
    workers = [one for one in await desk.store.workers() if one.expires_at > now]
    oldest = await desk.store.approvals(ApprovalStatus.PENDING, limit=1)
    age = max(0.0, now - oldest[0].created_at) if oldest else 0.0
    return [
        *_by_status("assent_executions", "Executions by status.", counts["executions"], Status),
        *_by_status("assent_approvals", "Approvals by status.", counts["approvals"], ApprovalStatus),
        *_by_status("assent_notifications", "Notices by status.", counts["notices"], NoticeStatus),
        *_gauge("assent_oldest_approval_seconds", "Age of the oldest approval that is open.", age),
        *_gauge("assent_workers", "Workers whose leases hold.", len(workers)),
        *_gauge("assent_streams", "Streams of events that are open in this process.", desk.streams.count),
        *_head("assent_events_total", "Events that were journaled.", "counter"),
        f"assent_events_total {await desk.store.last_seq()}",
    ]


def _by_status(name: str, help: str, counts: Mapping[str, int], known: Iterable[str]) -> Iterator[str]:
    yield from _head(name, help, "gauge")
    for status in known:
        yield f'{name}{{status="{status}"}} {counts.get(status, 0)}'


def _gauge(name: str, help: str, value: float) -> Iterator[str]:
    yield from _head(name, help, "gauge")
    yield f"{name} {round(value, 3)}"


def _head(name: str, help: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"


ROUTES: Final = (
    Route(
        method="GET",
        path="/metrics",
        access=Access.VIEWER,
        scope="metrics",
        handler=metrics,
        name="metrics",
        summary="Metrics for Prometheus",
        answers={200: None},
        media_type="text/plain",
    ),
)

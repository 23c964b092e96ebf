"""Notifications: what people are told, what became of it, and trying again."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from assent.errors import NoticeNotFound
from assent.governance.asked import asked_of
from assent.store import NoticeRecord, NoticeStatus
from assent.web.access import Access, identity_of
from assent.web.desk import Desk, desk_of
from assent.web.forms import field
from assent.web.pages import redirect, render
from assent.web.routing import Route

PAGE: Final = 50
MOST_AT_ONCE: Final = 10_000
VIEWS: Final = (
    ("", "All"),
    ("pending", "To be sent"),
    ("sent", "Sent"),
    ("dead", "Given up"),
    ("skipped", "Skipped"),
)
SETTLED: Final = frozenset({NoticeStatus.DEAD, NoticeStatus.SKIPPED})


async def show_notices(request: Request) -> Response:
    """Notices, newest first, a page at a time."""
    desk, query = desk_of(request), request.query_params
    status = query.get("status", "") if query.get("status") in set(NoticeStatus) else ""
    before = query.get("before")
    found = await desk.store.notices(NoticeStatus(status) if status else None, before=before, limit=PAGE + 1)
    shown = found[:PAGE]
    onward = urlencode({"status": status, "before": shown[-1].id}) if len(found) > PAGE else ""
    return await render(
        request,
        "notices.html",
        notices=shown,
        subjects=await _subjects(desk, shown),
        status_shown=status,
        views=[(label, f"/notifications?status={name}", name == status, None) for name, label in VIEWS],
        channels=[channel.name for channel in desk.runtime.channels],
        next_url=f"/notifications?{onward}" if onward else None,
        first_url=f"/notifications?status={status}" if before else None,
        may_retry=identity_of(request).access >= Access.OPERATOR,
        dead=len(await desk.store.notices(NoticeStatus.DEAD, limit=PAGE)),
    )


async def _subjects(desk: Desk, notices: Sequence[NoticeRecord]) -> dict[str, str]:
    """What the approvals are about of which notices tell."""
    records = [await desk.store.approval(each) for each in dict.fromkeys(one.approval_id for one in notices)]
    asked = await asked_of(desk.store, [one for one in records if one is not None], desk.clock.now())
    return {one.record.id: one.subject for one in asked}


async def retry_notices(request: Request) -> Response:
    """Send a notice once more, or with `dead` all that were given up."""
    desk, form = desk_of(request), await request.form()
    if field(form, "dead"):
        found = await desk.store.notices(NoticeStatus.DEAD, limit=MOST_AT_ONCE)
    else:
        found = [await _settled(desk, field(form, "notice"))]
    for one in found:
        fresh = replace(one, status=NoticeStatus.PENDING, attempts=0, due_at=desk.clock.now(), error=None)
        await desk.store.close_notice(fresh)
    return redirect(request, "/notifications", f"{len(found)} due now. A worker with the channel sends them.")


async def _settled(desk: Desk, notice_id: str) -> NoticeRecord:
    """The notice of that id, if it is one that is sent again by hand. Raises NoticeNotFound."""
    about = await desk.store.notices(approval_id=notice_id.partition(":")[0], limit=MOST_AT_ONCE)
    notice = next((one for one in about if one.id == notice_id and one.status in SETTLED), None)
    if notice is None:
        raise NoticeNotFound(f"No notice {notice_id!r} was given up or skipped in this store.", notice_id=notice_id)
    return notice


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        method="GET",
        path="/notifications",
        access=Access.VIEWER,
        handler=show_notices,
        name="notices_page",
        page=True,
    ),
    Route(
        method="POST",
        path="/notifications/retry",
        access=Access.OPERATOR,
        handler=retry_notices,
        name="notices_retry_page",
        page=True,
    ),
)

"""The inbox: what waits for me, for the team, for too long, and what was decided."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from assent.errors import UsageError
from assent.governance import Cast
from assent.runtime.oversight import Said
from assent.web.access import Access, Identity, identity_of
from assent.web.desk import Desk, desk_of
from assent.web.forms import field
from assent.web.inbox import Listed, decided, is_overdue, overdue, team, waiting
from assent.web.pages import redirect, render
from assent.web.reading import cast_all
from assent.web.routing import Route

View = Callable[[Desk, Identity, str | None], Awaitable[Listed]]
MOST_AT_ONCE: Final = 100
MOST_TOLD: Final = 3
VIEWS: Final[Mapping[str, tuple[str, View]]] = MappingProxyType(
    {
        "mine": ("Mine", lambda desk, who, after: waiting(desk, who.person, after)),
        "team": ("Team", lambda desk, who, after: team(desk, who.person, sees_all=who.sees_all, after=after)),
        "overdue": ("Overdue", lambda desk, who, after: overdue(desk, who.person, sees_all=who.sees_all, after=after)),
        "decided": ("Decided", lambda desk, who, after: decided(desk, who.person, sees_all=who.sees_all, after=after)),
    }
)


async def show_inbox(request: Request) -> Response:
    """One view of the inbox, a page at a time."""
    desk, identity = desk_of(request), identity_of(request)
    view = request.query_params.get("view", "mine")
    view = view if view in VIEWS else "mine"
    after = request.query_params.get("after")
    listed = await VIEWS[view][1](desk, identity, after)
    now = desk.clock.now()
    return await render(
        request,
        "inbox.html",
        view=view,
        views=[(label, f"/inbox?view={name}", name == view, None) for name, (label, _) in VIEWS.items()],
        entries=listed.entries,
        late={one.record.id for one in listed.entries if is_overdue(one.record, now)},
        may_pick=view == "mine" and identity.access >= Access.APPROVER,
        next_url=f"/inbox?{urlencode({'view': view, 'after': listed.after})}" if listed.after else None,
        first_url=f"/inbox?view={view}" if after else None,
    )


async def decide_picked(request: Request) -> Response:
    """Give one verdict on all approvals that were picked."""
    desk, identity = desk_of(request), identity_of(request)
    form = await request.form()
    ids = [one for one in form.getlist("approval_id") if isinstance(one, str)]
    if not ids:
        return redirect(request, "/inbox", "Pick at least one request first.", "warn")
    if len(ids) > MOST_AT_ONCE:
        raise UsageError(f"{len(ids)} at once are too many. Pick at most {MOST_AT_ONCE}.")
    decision = _decision_in(field(form, "decision"))
    found = await cast_all(desk, identity, ids, decision, field(form, "reason"))
    return redirect(request, "/inbox", *_told(decision, found))


def _decision_in(word: str) -> Said:
    if word not in {"approve", "reject"}:
        raise UsageError(f"{word!r} is no verdict. Press one of the buttons.")
    return "approve" if word == "approve" else "reject"


def _told(decision: Said, found: list[Cast]) -> tuple[str, str]:
    """What became of several verdicts, and its tone."""
    refused = [one for one in found if one.refusal is not None]
    count = len(found) - len(refused)
    done = f"{count} {'request' if count == 1 else 'requests'} {'approved' if decision == 'approve' else 'rejected'}."
    if not refused:
        return done, "ok"
    reasons = "; ".join(str(one.refusal) for one in refused[:MOST_TOLD])
    more = f"; and {len(refused) - MOST_TOLD} more" if len(refused) > MOST_TOLD else ""
    return f"{done} {len(refused)} did not count: {reasons}{more}.", "warn"


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        method="GET", path="/inbox", access=Access.VIEWER, handler=show_inbox, name="inbox_page", page=True, own=True
    ),
    Route(
        method="POST",
        path="/inbox/decide",
        access=Access.APPROVER,
        handler=decide_picked,
        name="inbox_decide_page",
        page=True,
        own=True,
    ),
)

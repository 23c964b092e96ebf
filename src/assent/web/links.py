"""Links that let one person decide one approval, once, without signing in. Opening one decides nothing."""

from typing import Final, Literal, cast

from starlette.requests import Request
from starlette.responses import Response

from assent.errors import ApprovalNotFound, LinkRefused, VerdictRefused
from assent.governance.approvals import person
from assent.governance.asked import Asked
from assent.runtime.links import DECIDE, USED, DecisionLink, DecisionLinks, is_used, use_link
from assent.store import PersonRecord
from assent.web import reading
from assent.web.access import Access, Identity, access_of, require
from assent.web.attempts import count_attempt
from assent.web.desk import Desk, desk_of
from assent.web.forms import field
from assent.web.pages import render
from assent.web.problems import Problem
from assent.web.routing import Route

LINK: Final = "link"  # the only scope of who comes by one
NO_REASON: Final = "This needs a reason. Say why, in a few words."
WORDS: Final = {"approve": "approved", "reject": "rejected"}


async def decision_page(request: Request) -> Response:
    """What is asked, and the two buttons. A look counts once a button is pressed: programs open links before people."""
    desk, link = desk_of(request), await _link_of(request)
    return await _page(request, link, await _asked(desk, link))


async def _link_of(request: Request) -> DecisionLink:
    desk = desk_of(request)
    try:
        link = (await _links(desk)).read(request.path_params["signed"])
    except LinkRefused:
        await count_attempt(request)
        raise
    if await is_used(desk.store, link):
        raise LinkRefused(USED)
    return link


async def _links(desk: Desk) -> DecisionLinks:
    return await DecisionLinks.of(desk.store, desk.clock, desk.settings.base_url)


async def _asked(desk: Desk, link: DecisionLink) -> Asked:
    """The approval as the person may see it: a link shows nothing to somebody who may decide it no more."""
    record = await desk.store.person(link.person)
    if record is not None and record.disabled_at is not None:
        raise LinkRefused(f"{link.person} is disabled, so this link lets nobody in.")
    identity = identity_by(link, record)
    require(identity, Access.APPROVER, LINK)
    try:
        return await reading.approval(desk, identity, link.approval_id)
    except ApprovalNotFound as error:
        raise LinkRefused("What this link asks for is not there, or not for you to decide any more.") from error


def identity_by(link: DecisionLink, record: PersonRecord | None = None) -> Identity:
    """Who comes by a link. It is good for looking at this one approval, and opens no session."""
    return Identity(
        person=link.person,
        name=(record.name if record else "") or link.person,
        access=access_of(record) if record else Access.APPROVER,
        via="link",
        scopes=frozenset({LINK}),
    )


async def _page(
    request: Request, link: DecisionLink, asked: Asked, *, status: int = 200, error: str = "", stamp: str = ""
) -> Response:
    return await render(
        request,
        "decision_link.html",
        status=status,
        asked=asked,
        person=link.person,
        until=link.expires_at,
        is_open=asked.is_open(desk_of(request).clock.now()),
        action=request.url.path,
        error=error,
        stamp=stamp or (await _links(desk_of(request))).stamp(link),
    )


async def decide_by_link(request: Request) -> Response:
    """Give the verdict of the person whom the link is for; the link is used up, whether or not the verdict counts."""
    desk, link = desk_of(request), await _link_of(request)
    asked = await _asked(desk, link)
    form = await request.form(max_files=0, max_fields=10)
    decision, reason, stamp = (field(form, name) for name in ("decision", "reason", "stamp"))
    if decision not in WORDS:
        raise Problem(422, "invalid-request", "Say approve or reject.")
    if asked.request is not None and asked.request.require_reason and not reason:
        return await _page(request, link, asked, status=422, error=NO_REASON, stamp=stamp)
    # Used up before it decides: a second press finds it used, and a crash in between costs a link, not a verdict twice.
    await use_link(desk.store, desk.clock, link)
    shown_at = (await _links(desk)).shown_at(link, stamp)
    if shown_at is not None:
        await desk.store.show(link.approval_id, person(link.person), shown_at)
    return await _decided(request, link, cast("Literal['approve', 'reject']", decision), reason)


async def _decided(
    request: Request, link: DecisionLink, decision: Literal["approve", "reject"], reason: str
) -> Response:
    desk = desk_of(request)
    refusal = ""
    try:
        await desk.runtime.decide(link.approval_id, approver=link.person, decision=decision, reason=reason)
    except VerdictRefused as error:
        refusal = error.reason
    asked = await _asked(desk, link)
    return await render(
        request,
        "decided.html",
        status=409 if refusal else 200,
        asked=asked,
        person=link.person,
        decision=WORDS[decision],
        refusal=refusal,
    )


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        method="GET",
        path=f"{DECIDE}{{signed}}",
        access=Access.PUBLIC,
        handler=decision_page,
        name="decision_page",
        page=True,
    ),
    Route(
        method="POST",
        path=f"{DECIDE}{{signed}}",
        access=Access.PUBLIC,
        handler=decide_by_link,
        name="decide_by_link",
        page=True,
    ),
)

"""Mandates: one approval for a bounded series of actions, what is left of each, and asking for another."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from assent.clock import moment
from assent.codec import from_json
from assent.errors import ApprovalNotFound, UsageError
from assent.governance import MandateOptions, MandateTerms, Principal, Remainder, acting_as, roster_of
from assent.governance.approvals import ApprovalRequest
from assent.governance.asked import asked_of
from assent.governance.budgets import decimal_of, millionths
from assent.governance.mandates import PREFIX
from assent.store import ApprovalStatus
from assent.web.access import Access, identity_of
from assent.web.desk import Desk, desk_of
from assent.web.forms import field, lines, moment_in, texts, whole_number, words
from assent.web.pages import redirect, render
from assent.web.routing import Route

EVENTS: Final = 2000  # that are read at once
MOST_READS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A mandate as a list shows it."""

    left: Remainder
    status: str
    givers: tuple[str, ...]

    @property
    def used(self) -> float | None:
        """How much of it is used up, from 0 to 1: of number and amount, whichever is closer to its end."""
        terms, shares = self.left.terms, []
        if terms.count and self.left.count is not None:
            shares.append(1 - self.left.count / terms.count)
        if terms.total and self.left.total is not None:
            shares.append(float(1 - self.left.total / terms.total))
        return max(shares, default=None)


@dataclass(frozen=True, slots=True)
class Draw:
    """One action that drew on a mandate."""

    execution_id: str
    at: float
    amount: Decimal | None


async def show_mandates(request: Request) -> Response:
    """Those in force and asked for, or all."""
    desk = desk_of(request)
    everything = request.query_params.get("all") == "1"
    found = [one for one in reversed(await desk.runtime.mandates()) if everything or _matters(one)]
    return await render(
        request,
        "mandates.html",
        mandates=await _shown(desk, found),
        everything=everything,
        views=[("In force", "/mandates", not everything, None), ("All", "/mandates?all=1", everything, None)],
        may_ask=identity_of(request).access >= Access.OPERATOR,
    )


def _matters(left: Remainder) -> bool:
    return left.is_in_force or left.mandate.status is ApprovalStatus.PENDING


async def _shown(desk: Desk, found: list[Remainder]) -> list[Shown]:
    asked = await asked_of(desk.store, [one.mandate for one in found], desk.clock.now())
    return [
        Shown(left=left, status=_status(left), givers=tuple(voice.verdict.approver for voice in one.voices))
        for left, one in zip(found, asked, strict=True)
    ]


def _status(left: Remainder) -> str:
    if left.mandate.status is not ApprovalStatus.GRANTED:
        return left.mandate.status.value
    return "in_force" if left.is_in_force else "over"


async def show_mandate(request: Request) -> Response:
    """One mandate, and what has drawn on it."""
    desk, wanted = desk_of(request), request.path_params["mandate_id"]
    left = next((one for one in await desk.runtime.mandates() if one.mandate.id == wanted), None)
    if left is None:
        raise ApprovalNotFound(f"There is no mandate {wanted!r} in this store.", approval_id=wanted)
    (shown,) = await _shown(desk, [left])
    draws = [draw async for draw in _draws(desk, wanted)]
    return await render(request, "mandate.html", shown=shown, left=left, terms=left.terms, draws=draws[::-1])


async def _draws(desk: Desk, mandate_id: str) -> AsyncIterator[Draw]:
    after = 0
    for _ in range(MOST_READS):
        page = await desk.store.events(after, "permit.consumed", EVENTS)
        for event in page:
            facts = from_json(event.value or "{}") if mandate_id in (event.value or "") else {}
            if mandate_id in facts.get("mandates", ()):
                amount = facts.get("holds", {}).get(f"{PREFIX}{mandate_id}")
                yield Draw(event.execution_id, event.at, None if amount is None else decimal_of(amount))
        if len(page) < EVENTS:
            return
        after = page[-1].seq


async def show_form(request: Request) -> Response:
    """The form that asks for a mandate."""
    return await _form(request, {"action": request.query_params.get("action", "")})


async def _form(request: Request, values: Mapping[str, str], error: str = "", status: int = 200) -> Response:
    names = sorted({program.name for program in desk_of(request).runtime.programs})
    return await render(
        request, "mandate_new.html", status=status, values=values, error=error, actions=[each for each in names if each]
    )


async def ask_mandate(request: Request) -> Response:
    """Ask people for a mandate, for whoever asks."""
    desk, identity, form = desk_of(request), identity_of(request), await request.form()
    try:
        wanted = _wanted(form, desk.clock.now())
    except UsageError as error:
        return await _form(request, texts(form), str(error), error.http_status)
    roster = await roster_of(desk.store, desk.clock.now(), [identity.person])
    with acting_as(Principal(identity.person, roles=roster.roles(identity.person))):
        await desk.runtime.ask_mandate(
            wanted.action, approvers=wanted.approvers, until=wanted.until, total=wanted.total, **wanted.options
        )
    return redirect(request, "/mandates", f"Asked for a mandate for {wanted.action}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A mandate to ask for, found to be sound."""

    action: str
    approvers: list[str]
    until: datetime
    total: Decimal | None
    options: MandateOptions


def _wanted(form: FormData, now: float) -> Wanted:
    """What a form asks for, checked before anything is started. Raises UsageError."""
    until = moment_in(field(form, "until"))
    total, count = field(form, "total"), whole_number(field(form, "count"), "The number of times")
    terms = MandateTerms(
        action=field(form, "action"),
        only=tuple(lines(field(form, "only"))),
        count=count,
        total=decimal_of(millionths(total, "total")) if total else None,
        amount=field(form, "amount") or "amount",
        until=moment(until, now),
    )
    if terms.until <= now:
        raise UsageError("That moment is over already. Give one to come.")
    return Wanted(
        action=terms.action,
        approvers=words(field(form, "approvers")),
        until=datetime.fromtimestamp(terms.until, UTC),
        total=terms.total,
        options=_options(form, terms),
    )


def _options(form: FormData, terms: MandateTerms) -> MandateOptions:
    approvers = tuple(words(field(form, "approvers")))
    quorum = whole_number(field(form, "quorum"), "The number of approvals") or 1
    ApprovalRequest(approvers=approvers, quorum=quorum)
    options: MandateOptions = {
        "only": list(terms.only),
        "amount": terms.amount,
        "quorum": quorum,
        "require_reason": bool(field(form, "require_reason")),
        "title": field(form, "title"),
    }
    if terms.count is not None:
        options["count"] = terms.count
    return options


ROUTES: Final[tuple[Route, ...]] = (
    Route(method="GET", path="/mandates", access=Access.VIEWER, handler=show_mandates, name="mandates_page", page=True),
    Route(
        method="POST", path="/mandates", access=Access.OPERATOR, handler=ask_mandate, name="mandate_ask_page", page=True
    ),
    Route(
        method="GET",
        path="/mandates/new",
        access=Access.OPERATOR,
        handler=show_form,
        name="mandate_form_page",
        page=True,
    ),
    Route(
        method="GET",
        path="/mandates/{mandate_id}",
        access=Access.VIEWER,
        handler=show_mandate,
        name="mandate_page",
        page=True,
    ),
)

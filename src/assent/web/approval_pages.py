"""One approval: what is asked and why, who has said what, and the form for a verdict."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from types import MappingProxyType
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from assent.errors import UsageError, VerdictRefused
from assent.governance import Roster, judge, roster_of
from assent.governance.amending import has_arguments
from assent.governance.approvals import ApprovalRequest
from assent.governance.asked import Asked, asked_of
from assent.governance.redaction import REDACTED
from assent.runtime.oversight import Said
from assent.store import ApprovalRecord, VerdictRecord
from assent.web.access import Access, Identity, identity_of
from assent.web.approval_story import history_of_approval, seats_of, why_of
from assent.web.desk import Desk, desk_of
from assent.web.forms import field, lines, texts
from assent.web.inbox import waiting
from assent.web.pages import redirect, render
from assent.web.reading import alike, approval, see
from assent.web.routing import Route

ARGUMENT: Final = "argument."  # how the fields of an edit begin
OTHERS: Final = 6  # requests for the same action that are shown beside
MISFIT: Final = "Nothing was decided: what you changed does not fit. See below."
DONE: Final = MappingProxyType({"approve": "Approved.", "reject": "Rejected.", "revoke": "Taken back."})


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument as a form shows it: a text as it is, anything else as JSON."""

    name: str
    text: str
    is_text: bool
    may_change: bool  # what is hidden from people cannot be changed by them


@dataclass(frozen=True, slots=True)
class Filled:
    """What somebody has written into the form, shown again if it did not go through."""

    error: str = ""
    values: Mapping[str, str] = default(default_factory=dict)
    problems: Mapping[str, str] = default(default_factory=dict)  # of new values, by argument


async def show_approval(request: Request) -> Response:
    """The page of one approval. That its approver has seen it is noted."""
    desk, identity = desk_of(request), identity_of(request)
    asked = await approval(desk, identity, request.path_params["approval_id"])
    return await _page(request, asked, Filled())


async def give_verdict(request: Request) -> Response:
    """Give the verdict of the form. One that does not count is told of on the same page, with all that was written."""
    desk, identity = desk_of(request), identity_of(request)
    asked = await approval(desk, identity, request.path_params["approval_id"])
    form = await request.form()
    try:
        decision, changes, conditions = said_in(form, asked.request)
        problems = await desk.runtime.misfits(asked.record.id, changes or {})
        if problems:
            return await _page(request, asked, Filled(MISFIT, texts(form), problems), 422)
        await desk.runtime.decide(
            asked.record.id,
            approver=identity.person,
            decision=decision,
            reason=field(form, "reason"),
            changes=changes,
            conditions=conditions,
        )
    except (UsageError, VerdictRefused) as error:
        fresh = await approval(desk, identity, asked.record.id)
        return await _page(request, fresh, Filled(str(error), texts(form)), error.http_status)
    done = "Approved with changes. It is asked for anew, as changed." if changes is not None else DONE[decision]
    return redirect(request, f"/approvals/{asked.record.id}", done)


async def remind_approvers(request: Request) -> Response:
    """Tell the approvers once more."""
    desk, identity = desk_of(request), identity_of(request)
    asked = await approval(desk, identity, request.path_params["approval_id"])
    reminded = await desk.runtime.remind(asked.record.id)
    message, tone = ("They are told once more.", "ok") if reminded else ("It is no longer open.", "warn")
    return redirect(request, f"/approvals/{asked.record.id}", message, tone)


def said_in(form: FormData, request: ApprovalRequest | None) -> tuple[Said, dict[str, Any] | None, list[str]]:
    """The decision, changes and conditions of a form. Raises UsageError if they do not go together."""
    word = field(form, "decision")
    conditions = lines(field(form, "conditions"))
    changes = changes_in(form, request) if request is not None else {}
    match word:
        case "approve" if changes:
            names = ", ".join(changes)
            raise UsageError(f'You changed {names}. Press "Approve with changes" to approve that, or undo the change.')
        case "approve":
            return "approve", None, conditions
        case "approve_changed" if not changes:
            raise UsageError('You changed no argument. Change one, or press "Approve".')
        case "approve_changed":
            return "approve", changes, conditions
        case "reject":
            return "reject", None, []
        case "revoke":
            return "revoke", None, []
        case _:
            raise UsageError(f"{word!r} is no verdict. Press one of the buttons.")


def changes_in(form: FormData, request: ApprovalRequest) -> dict[str, Any]:
    """The arguments that the form has otherwise than the request. Raises UsageError for what is no JSON."""
    found = {}
    for one in arguments_of(request):
        given = form.get(ARGUMENT + one.name)
        if one.may_change and isinstance(given, str):
            text = given.replace("\r\n", "\n")
            if text != one.text.replace("\r\n", "\n"):
                found[one.name] = text if one.is_text else _data_in(one.name, text)
    return found


def _data_in(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"{name} = {text!r} is no JSON. Give a number, true, false, null, a text in quotes, or a list."
        ) from error


def arguments_of(request: ApprovalRequest) -> list[Argument]:
    """The arguments of a request as a form shows them."""
    found = []
    for name, value in request.arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        found.append(Argument(name, text, isinstance(value, str), REDACTED not in text))
    return found


async def _page(request: Request, asked: Asked, filled: Filled, status: int = 200) -> Response:
    desk, identity = desk_of(request), identity_of(request)
    now, record = desk.clock.now(), asked.record
    roster = await roster_of(desk.store, now)
    refusals = _refusals(asked, identity, roster, now)
    await see(desk, identity, asked)
    arguments = arguments_of(asked.request) if asked.request else []
    events = await desk.store.journal(record.execution_id)
    execution = await desk.store.execution(record.execution_id)
    return await render(
        request,
        "approval.html",
        status=status,
        asked=asked,
        record=record,
        request=asked.request,
        execution=execution,
        refusals=refusals,
        filled=filled,
        arguments=arguments,
        may_edit=asked.request is not None and has_arguments(asked.request),
        is_edited=any(filled.values.get(ARGUMENT + one.name, one.text) != one.text for one in arguments),
        seats=seats_of(asked, roster),
        why=why_of(asked, events),
        history=history_of_approval(asked, events),
        others=await alike(desk, identity, asked, OTHERS),
        siblings=await _siblings(desk, record, now),
        next_waiting=await _next_waiting(desk, identity, record.id),
        may_remind=asked.is_open(now) and identity.access >= Access.OPERATOR,
    )


def _refusals(asked: Asked, identity: Identity, roster: Roster, now: float) -> dict[str, str | None]:
    """Why a verdict of this person would not count, by decision; None: it would."""
    if identity.access < Access.APPROVER:
        reason = "viewers look at everything and decide nothing"
        return {"approve": reason, "revoke": reason}
    found = {}
    for decision in ("approve", "revoke"):
        # With a reason, since whether one is needed is the form's business.
        verdict = VerdictRecord(
            approval_id=asked.record.id, approver=identity.person, decision=decision, reason="-", at=now
        )
        found[decision] = judge(asked.record, asked.verdicts, verdict, now, roster).refusal
    return found


async def _siblings(desk: Desk, record: ApprovalRecord, now: float) -> list[Asked]:
    """What else the same execution asks, or has asked."""
    records = await desk.store.approvals(None, record.execution_id)
    return await asked_of(desk.store, [one for one in records if one.id != record.id], now)


async def _next_waiting(desk: Desk, identity: Identity, approval_id: str) -> Asked | None:
    """What this person could turn to next."""
    found = (await waiting(desk, identity.person, limit=2)).entries
    return next((one for one in found if one.record.id != approval_id), None)


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        method="GET",
        path="/approvals/{approval_id}",
        access=Access.VIEWER,
        handler=show_approval,
        name="approval_page",
        page=True,
        own=True,
    ),
    Route(
        method="POST",
        path="/approvals/{approval_id}/verdict",
        access=Access.APPROVER,
        handler=give_verdict,
        name="approval_verdict_page",
        page=True,
        own=True,
    ),
    Route(
        method="POST",
        path="/approvals/{approval_id}/remind",
        access=Access.OPERATOR,
        handler=remind_approvers,
        name="approval_remind_page",
        page=True,
    ),
)

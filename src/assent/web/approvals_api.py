"""`/api/v1/approvals`: what is asked of people, and their verdicts, on one approval or on many."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from assent.governance.asked import Asked
from assent.web import inbox
from assent.web.access import Access, Identity, identity_of
from assent.web.bodies import answer, answer_tagged, body_of, query_of
from assent.web.desk import Desk, desk_of
from assent.web.governance_answers import Approvals, ApprovalShown, Outcome, Outcomes, Reminded
from assent.web.paging import answer_page
from assent.web.problems import invalid
from assent.web.reading import ApprovalsWanted, Page, approval, approvals, cast_all, see
from assent.web.routing import Onward, Route
from assent.web.schemas import ApprovalFilter, Verdict, Verdicts

PATH: Final = "/api/v1/approvals"


async def list_approvals(request: Request) -> Response:
    """A page of what is asked of people."""
    wanted = query_of(request, ApprovalFilter)
    page = await _page(desk_of(request), identity_of(request), wanted)
    body = Approvals(items=[ApprovalShown.of(one) for one in page.items], next=page.next)
    return answer_page(request, body, page.next)


async def _page(desk: Desk, identity: Identity, wanted: ApprovalFilter) -> Page[Asked]:
    if wanted.view == "all":
        return await approvals(
            desk,
            identity,
            ApprovalsWanted(
                status=wanted.status,
                action=wanted.action,
                execution_id=wanted.execution_id,
                newest=wanted.newest,
                cursor=wanted.cursor,
                limit=wanted.limit,
            ),
        )
    if wanted.view == "mine":
        listed = await inbox.waiting(desk, identity.person, wanted.cursor, wanted.limit)
    else:
        listed = await inbox.overdue(
            desk, identity.person, sees_all=identity.sees_all, after=wanted.cursor, limit=wanted.limit
        )
    return Page(listed.entries, listed.after)


async def show(request: Request) -> Response:
    """One approval. For whoever may decide it, their dwell time begins."""
    desk, identity = desk_of(request), identity_of(request)
    asked = await approval(desk, identity, request.path_params["approval_id"])
    await see(desk, identity, asked)
    return answer_tagged(request, ApprovalShown.of(asked))


async def decide(request: Request) -> Response:
    """Give the verdict of whoever asks, and answer the approval as it is afterwards."""
    desk, identity = desk_of(request), identity_of(request)
    approval_id = request.path_params["approval_id"]
    said = await body_of(request, Verdict)
    await approval(desk, identity, approval_id)
    if said.changes is not None and (said.decision != "approve" or said.conditions):
        raise invalid('Changes go with an approval and without conditions: decision="approve" and no conditions.')
    await _check(desk, approval_id, said.changes or {})
    await desk.runtime.decide(
        approval_id,
        approver=identity.person,
        decision=said.decision,
        reason=said.reason,
        changes=said.changes,
        conditions=said.conditions,
    )
    return answer(ApprovalShown.of(await approval(desk, identity, approval_id)))


async def _check(desk: Desk, approval_id: str, changes: Mapping[str, Any]) -> None:
    """Raise Problem for new values that the function does not take."""
    found = await desk.runtime.misfits(approval_id, changes)
    if found:
        words = "; ".join(f"{name}: {problem}" for name, problem in found.items())
        errors = [{"at": f"changes.{name}", "problem": problem} for name, problem in found.items()]
        raise invalid(f"The changes do not fit. {words}.", errors)


async def decide_all(request: Request) -> Response:
    """Give one verdict on several approvals; one that does not count stops none of the others."""
    said = await body_of(request, Verdicts)
    done = await cast_all(
        desk_of(request), identity_of(request), said.approval_ids, said.decision, said.reason, said.conditions
    )
    return answer(Outcomes(items=[Outcome.of(one) for one in done]))


async def remind(request: Request) -> Response:
    """Tell the approvers once more."""
    desk = desk_of(request)
    asked = await approval(desk, identity_of(request), request.path_params["approval_id"])
    return answer(Reminded(reminded=await desk.runtime.remind(asked.record.id)))


ROUTES: Final = (
    Route(
        method="GET",
        path=PATH,
        access=Access.VIEWER,
        scope="read",
        handler=list_approvals,
        name="list_approvals",
        summary="What is asked of people",
        query=ApprovalFilter,
        answers={200: Approvals},
        onward=[Onward("show_approval", "approval_id", "$response.body#/items/0/id")],
        own=True,
    ),
    Route(
        method="GET",
        path=PATH + "/{approval_id}",
        access=Access.VIEWER,
        scope="read",
        handler=show,
        name="show_approval",
        summary="One approval, with what was said on it",
        answers={200: ApprovalShown},
        onward=[
            Onward("decide_approval", "approval_id", "$response.body#/id"),
            Onward("remind_approvers", "approval_id", "$response.body#/id"),
            Onward("show_execution", "execution_id", "$response.body#/execution_id"),
        ],
        own=True,
        has_etag=True,
    ),
    Route(
        method="POST",
        path=PATH + "/{approval_id}/verdicts",
        access=Access.APPROVER,
        scope="decide",
        handler=decide,
        name="decide_approval",
        summary="Approve, reject, or take back what you said",
        body=Verdict,
        answers={200: ApprovalShown},
        onward=[
            Onward("show_approval", "approval_id", "$response.body#/id"),
            Onward("show_execution", "execution_id", "$response.body#/execution_id"),
        ],
        own=True,
    ),
    Route(
        method="POST",
        path="/api/v1/verdicts",
        access=Access.APPROVER,
        scope="decide",
        handler=decide_all,
        name="decide_approvals",
        summary="The same verdict on several approvals",
        body=Verdicts,
        answers={200: Outcomes},
        own=True,
    ),
    Route(
        method="POST",
        path=PATH + "/{approval_id}/remind",
        access=Access.OPERATOR,
        scope="operate",
        handler=remind,
        name="remind_approvers",
        summary="Tell the approvers once more",
        answers={200: Reminded},
    ),
)

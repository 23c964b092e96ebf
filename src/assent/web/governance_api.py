"""`/api/v1`: the policies in force, what they say of an action, mandates, and how approvers decide."""

from decimal import Decimal
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from assent.errors import CodecError
from assent.governance import (
    ApprovalRequest,
    Decision,
    MandateOptions,
    MandateTerms,
    Policy,
    Principal,
    acting_as,
    roster_of,
)
from assent.web.access import Access, identity_of
from assent.web.answers import Started
from assent.web.bodies import answer, body_of, query_of
from assent.web.desk import desk_of
from assent.web.executions_api import PATH as EXECUTIONS
from assent.web.explaining import explain
from assent.web.governance_answers import (
    DecisionShown,
    ExplanationShown,
    Mandates,
    MandateShown,
    Policies,
    PolicyShown,
)
from assent.web.paging import answer_page
from assent.web.people_answers import Statistics, StatisticsShown
from assent.web.problems import invalid
from assent.web.reading import page_of
from assent.web.routing import Onward, Route
from assent.web.schemas import ActionToExplain, MandateFilter, MandateToAsk, StatisticsFilter

# Policies


async def list_policies(request: Request) -> Response:
    """The policies that hold for every governed call of this process, in their order."""
    return answer(Policies(items=[_policy(one) for one in desk_of(request).runtime.policies_in_force]))


def _policy(policy: Policy) -> PolicyShown:
    selector = policy.applies_to
    applies_to = None
    if selector is not None:
        applies_to = {"actions": list(selector.actions), "labels": list(selector.labels), "risk": selector.risk}
    return PolicyShown(
        name=policy.name,
        kind=policy.kind,
        version=policy.version,
        mode=policy.mode,
        phase=policy.phase.value,
        digest=policy.fingerprint(),
        applies_to=applies_to,
    )


async def explain_action(request: Request) -> Response:
    """Ask the policies about an action. Every limit has room, and nothing is counted, drawn or asked."""
    desk, wanted = desk_of(request), await body_of(request, ActionToExplain)
    try:
        ruling = await explain(
            desk,
            wanted.name,
            wanted.arguments,
            requester=Principal(wanted.requester, roles=wanted.roles) if wanted.requester else None,
            labels=wanted.labels,
            risk=wanted.risk,
            at=wanted.at.timestamp() if wanted.at else None,
        )
    except (CodecError, TypeError) as error:
        raise invalid(f"The arguments do not fit {wanted.name}: {error}") from error
    decisions = [_decision(each, is_shadow=False) for each in ruling.decisions]
    decisions += [_decision(each, is_shadow=True) for each in ruling.shadows]
    return answer(ExplanationShown(action=wanted.name, outcome=ruling.outcome, decisions=decisions))


def _decision(decision: Decision, *, is_shadow: bool) -> DecisionShown:
    approvers = dict.fromkeys(one for asked in decision.requests for one in asked.approvers)
    return DecisionShown(
        policy=decision.policy,
        kind=decision.kind,
        outcome=decision.outcome,
        reason=decision.reason,
        approvers=list(approvers),
        is_shadow=is_shadow,
    )


# Mandates


async def list_mandates(request: Request) -> Response:
    """A page of mandates with what is left of them."""
    wanted = query_of(request, MandateFilter)
    found = await desk_of(request).runtime.mandates(wanted.action)
    page = page_of(found, lambda one: one.mandate.id, wanted.cursor, wanted.limit)
    body = Mandates(items=[MandateShown.of(one) for one in page.items], next=page.next)
    return answer_page(request, body, page.next)


async def ask_mandate(request: Request) -> Response:
    """Ask people for a mandate, for whoever asks."""
    desk, identity = desk_of(request), identity_of(request)
    wanted = await body_of(request, MandateToAsk)
    options = _checked(wanted)
    roster = await roster_of(desk.store, desk.clock.now(), [identity.person])
    with acting_as(Principal(identity.person, roles=roster.roles(identity.person))):
        handle = await desk.runtime.ask_mandate(
            wanted.action, approvers=wanted.approvers, until=wanted.until, total=_total(wanted), **options
        )
    record = await handle.record()
    url = f"{EXECUTIONS}/{handle.id}"
    body = Started(id=handle.id, name=record.name, version=record.version, status=record.status, poll_url=url)
    return answer(body, 202, {"Location": url, "Retry-After": "1"})


def _checked(wanted: MandateToAsk) -> MandateOptions:
    """The options, found to be sound before anything is started. Raises UsageError."""
    MandateTerms(
        action=wanted.action,
        only=tuple(wanted.only),
        count=wanted.count,
        total=_total(wanted),
        amount=wanted.amount,
        until=wanted.until.timestamp(),
    )
    is_all = wanted.quorum == "all"
    ApprovalRequest(
        approvers=tuple(wanted.approvers), quorum=1 if wanted.quorum == "all" else wanted.quorum, each=is_all
    )
    options: MandateOptions = {
        "only": wanted.only,
        "amount": wanted.amount,
        "quorum": wanted.quorum,
        "require_reason": wanted.require_reason,
        "title": wanted.title,
    }
    if wanted.count is not None:
        options["count"] = wanted.count
    return options


def _total(wanted: MandateToAsk) -> Decimal | None:
    return None if wanted.total is None else Decimal(wanted.total)


async def statistics(request: Request) -> Response:
    """How each approver decides, and what waits for them."""
    wanted = query_of(request, StatisticsFilter)
    since = wanted.since.timestamp() if wanted.since else None
    found = await desk_of(request).runtime.statistics(since)
    return answer(Statistics(items=[StatisticsShown.of(one) for one in found]))


ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/policies",
        access=Access.VIEWER,
        scope="read",
        handler=list_policies,
        name="list_policies",
        summary="The policies in force",
        answers={200: Policies},
    ),
    Route(
        method="POST",
        path="/api/v1/policies/explain",
        access=Access.VIEWER,
        scope="read",
        handler=explain_action,
        name="explain_action",
        summary="What they say of an action, without doing it",
        body=ActionToExplain,
        answers={200: ExplanationShown},
    ),
    Route(
        method="GET",
        path="/api/v1/mandates",
        access=Access.VIEWER,
        scope="read",
        handler=list_mandates,
        name="list_mandates",
        summary="Mandates with what is left of them",
        query=MandateFilter,
        answers={200: Mandates},
    ),
    Route(
        method="POST",
        path="/api/v1/mandates",
        access=Access.OPERATOR,
        scope="start",
        handler=ask_mandate,
        name="ask_mandate",
        summary="Ask for one approval of a bounded series of actions",
        body=MandateToAsk,
        answers={202: Started},
        onward=[Onward("show_execution", "execution_id", "$response.body#/id")],
    ),
    Route(
        method="GET",
        path="/api/v1/statistics",
        access=Access.VIEWER,
        scope="read",
        handler=statistics,
        name="approver_statistics",
        summary="How approvers decide",
        query=StatisticsFilter,
        answers={200: Statistics},
    ),
)

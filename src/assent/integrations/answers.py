"""What is told over HTTP of refusals (RFC 9457), executions and approvals, whatever the framework."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from math import ceil
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from assent.codec import from_json
from assent.engine.failure import decode_failure
from assent.engine.replay import ENDINGS
from assent.engine.texts import is_withheld
from assent.errors import AssentError, ExecutionCancelled, ExecutionFailed, StoreError
from assent.governance import ApprovalRequest, Principal, Roster
from assent.governance.approvals import intact_request, is_role, person
from assent.governance.voices import voices_of
from assent.store import ApprovalRecord, ApprovalStatus, Event, ExecutionRecord, Status, VerdictRecord

PROBLEM_JSON: Final = "application/problem+json"

# Facts of errors that a client may have; not `hold`, which names a budget, nor what was recorded of somebody's code.
FACTS: Final = (
    "execution_id",
    "action",
    "approval_id",
    "policy",
    "approver",
    "reason",
    "retry_after",
    "limit",
    "spent",
    "remainder",
)

# Seconds to leave a store alone that has failed: it is tried again as often itself.
STORE_AGAIN: Final = 1


class Problem(BaseModel):
    """Why a call did not give its result; with the facts of the error beside what RFC 9457 names."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""


def problem_of(error: BaseException) -> Problem:
    """What a client is told of an error. Of failures that are not its business: that there was one."""
    status = error.http_status if isinstance(error, AssentError) else 500
    if status >= 500:
        execution_id = getattr(error, "execution_id", None)
        facts = {"execution_id": execution_id} if execution_id else {}
        return Problem(title=HTTPStatus(status).phrase, status=status, **facts)
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
    title = name.replace("-", " ").capitalize()
    return Problem(type=f"urn:assent:{name}", title=title, status=status, detail=str(error), **_facts_of(error))


def unfit(found: Sequence[tuple[Sequence[str | int], str]]) -> Problem:
    """The problem of a request that does not fit: where in it, and why."""
    facts: dict[str, Any] = {"errors": [{"at": ".".join(map(str, place)), "problem": why} for place, why in found]}
    words = "; ".join(f"{each['at']}: {each['problem']}" for each in facts["errors"])
    detail = f"The request does not fit. {words}."
    return Problem(type="urn:assent:invalid-request", title="Invalid request", status=422, detail=detail, **facts)


def _facts_of(error: BaseException) -> dict[str, Any]:
    found = {name: getattr(error, name, None) for name in FACTS}
    return {name: str(fact) if isinstance(fact, Decimal) else fact for name, fact in found.items() if fact is not None}


def headers_of(error: BaseException) -> dict[str, str]:
    """When to come back, in whole seconds, if that is known."""
    seconds = STORE_AGAIN if isinstance(error, StoreError) else getattr(error, "retry_after", None)
    return {} if seconds is None else {"retry-after": str(max(1, ceil(seconds)))}


# Executions


class Accepted(BaseModel):
    """The answer to a call that goes on without its caller."""

    status: Literal["awaiting_approval", "accepted"]
    execution_id: str
    message: str
    poll_url: str


def accepted(execution_id: str, name: str, poll_url: str, asked: Sequence[ApprovalRecord]) -> Accepted:
    """The answer of an execution for which these approvals are still open."""
    requests = [request for request in map(intact_request, asked) if request is not None]
    return Accepted(
        status="awaiting_approval" if asked else "accepted",
        execution_id=execution_id,
        message="; ".join(map(_in_words, requests)) or f"{name} goes on by itself",
        poll_url=poll_url,
    )


def _in_words(request: ApprovalRequest) -> str:
    names = [f"the role {one.partition(':')[2]}" if is_role(one) else one for one in request.electorate]
    whom = " or ".join(names) if request.quorum == 1 else f"{request.quorum} of {', '.join(names)}"
    return f"{request.subject} waits for approval by {whom}"


class Execution(BaseModel):
    """An execution as its requester polls it: with its result or its error once it has ended."""

    id: str
    name: str
    status: Status
    created_at: datetime
    updated_at: datetime
    approvals: list[str] = Field(default_factory=list, description="Ids of the approvals that it waits for.")
    result: Any = None
    error: Problem | None = None


def execution_of(
    record: ExecutionRecord,
    ending: Event | None,
    asked: Sequence[ApprovalRecord],
    explain: Callable[[BaseException], Problem] = problem_of,
) -> Execution:
    """An execution, the event that ended it, and the approvals that are still open."""
    text = None if ending is None else ending.value or "null"
    is_done = record.status is Status.COMPLETED
    return Execution(
        id=record.id,
        name=record.name,
        status=record.status,
        created_at=moment(record.created_at),
        updated_at=moment(record.updated_at),
        approvals=[one.id for one in asked],
        result=_data_of(text) if is_done and text is not None else None,
        error=None if is_done or text is None else explain(_error_of(record, text)),
    )


def ending_of(events: Sequence[Event]) -> Event | None:
    """The event that ended an execution; late verdicts may stand behind it."""
    return next((event for event in reversed(events) if event.type in ENDINGS), None)


def _data_of(text: str) -> Any:
    # Of a call that keeps no state there is a digest, which is no JSON.
    return text if is_withheld(text) else from_json(text)


def _error_of(record: ExecutionRecord, text: str) -> BaseException:
    """What an execution raised, as its journal tells it."""
    if record.status is Status.FAILED:
        return decode_failure(text, wrapper=ExecutionFailed)
    reason = from_json(text)["reason"]
    message = f"execution {record.id} was cancelled: {reason}"
    return ExecutionCancelled(message, execution_id=record.id, reason=reason)


def was_asked_for_by(record: ExecutionRecord, who: Principal) -> bool:
    """Whether an execution runs for this principal."""
    return record.requester is not None and person(Principal.from_text(record.requester).id) == person(who.id)


def moment(at: float) -> datetime:
    """A moment in UTC."""
    return datetime.fromtimestamp(at, UTC)


# Approvals


class Verdict(BaseModel):
    """What somebody says to an approval. Who says it is whoever has signed in, and nothing in here can change that."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "reject", "revoke"]
    reason: Annotated[str, Field(max_length=10_000)] = ""
    changes: Annotated[dict[str, Any] | None, Field(description="Arguments to be other than asked for.")] = None
    conditions: Annotated[list[str], Field(max_length=100, description='As in "amount <= 20000".')] = []


class SaidVerdict(BaseModel):
    """A verdict on record."""

    approver: str
    decision: str
    reason: str
    at: datetime
    refusal: str | None = Field(None, description="Why it does not count; null: it does.")
    conditions: list[str]
    changes: Any = None

    @classmethod
    def of(cls, record: VerdictRecord) -> Self:
        return cls(
            approver=record.approver,
            decision=record.decision,
            reason=record.reason,
            at=moment(record.at),
            refusal=record.refusal,
            conditions=list(record.conditions),
            changes=None if record.changes is None else from_json(record.changes),
        )


class Request(BaseModel):
    """What is asked of people, and under which rules."""

    title: str
    kind: str
    action: str
    arguments: dict[str, Any]
    preview: dict[str, Any] | None
    terms: dict[str, Any] | None = Field(description="The bounds of a mandate.")
    risk: str
    labels: list[str]
    requester: str | None
    policy: str
    approvers: list[str]
    quorum: int
    stage: int
    stages: int
    stage_name: str
    require_reason: bool

    @classmethod
    def of(cls, request: ApprovalRequest) -> Self:
        facts: Mapping[str, Any] = {name: getattr(request, name) for name in cls.model_fields if name != "title"}
        whole = {name: dict(facts[name]) or None for name in ("preview", "terms")}
        rest = {name: list(facts[name]) for name in ("approvers", "labels")}
        return cls.model_validate({**facts, **whole, **rest, "title": request.subject})


class Approval(BaseModel):
    """An approval: what is asked, what was said, and what is still needed."""

    id: str
    execution_id: str
    status: ApprovalStatus
    created_at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    votes: int = Field(description="Approvals that count as things stand.")
    may_decide: bool = Field(description="Whether a verdict of whoever asks would count.")
    request: Request | None = Field(description="Null: it was changed after it was made, so nothing counts.")
    verdicts: list[SaidVerdict]


class Approvals(BaseModel):
    """A page of approvals, oldest first."""

    items: list[Approval]
    next: str | None = Field(None, description="The cursor of the next page; null: this is the last.")


def approval_of(record: ApprovalRecord, verdicts: Sequence[VerdictRecord], roster: Roster, who: Principal) -> Approval:
    """An approval as this principal sees it."""
    request = intact_request(record)
    return Approval(
        id=record.id,
        execution_id=record.execution_id,
        status=record.status,
        created_at=moment(record.created_at),
        expires_at=None if record.expires_at is None else moment(record.expires_at),
        decided_at=None if record.decided_at is None else moment(record.decided_at),
        votes=len(voices_of(request, verdicts, roster, record.decided_at)) if request else 0,
        may_decide=record.status is ApprovalStatus.PENDING and is_asked_of(record, roster, who),
        request=None if request is None else Request.of(request),
        verdicts=[SaidVerdict.of(one) for one in verdicts],
    )


def is_asked_of(record: ApprovalRecord, roster: Roster, who: Principal) -> bool:
    """Whether this principal is among those who are asked, also by role or for somebody else."""
    request = intact_request(record)
    return request is not None and bool(roster.seats(request, who.id))


def entries_of(roster: Roster, who: Principal) -> list[str]:
    """The entries of approvers that may stand for this principal: their own, their roles, those whom they stand for."""
    people = [person(who.id)]
    people += [person(one.delegator) for one in roster.delegations if person(one.delegate) == people[0]]
    return [*people, *(f"role:{role}" for one in people for role in roster.roles(one))]

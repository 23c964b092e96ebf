"""The shapes of what `/api/v1` answers, and how they are made of what the store keeps."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from assent.codec import from_json
from assent.engine.texts import is_withheld
from assent.governance import ApproverStatistics, Cast, Remainder
from assent.governance.approvals import ApprovalRequest
from assent.governance.asked import Asked
from assent.store import (
    ApprovalStatus,
    DelegationRecord,
    Event,
    ExecutionRecord,
    NoticeRecord,
    NoticeStatus,
    PersonRecord,
    Status,
    VerdictRecord,
)


def at(moment: float | None) -> datetime | None:
    """Unix seconds as a moment in UTC; None for what no calendar knows."""
    if moment is None:
        return None
    try:
        return datetime.fromtimestamp(moment, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def data_of(text: str | None) -> Any:
    """A recorded value; the text itself where no value was kept, or where it is no JSON."""
    if text is None or is_withheld(text):
        return text
    try:
        return from_json(text)
    except ValueError:
        return text


class Told(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True)


class ProblemDocument(Told):
    """What went wrong (RFC 9457). Other members tell the facts of the error."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


class EventShown(Told):
    """An event of a journal. Large values are filled in only where one execution is asked for."""

    seq: int
    execution_id: str
    at: datetime | None
    type: str
    op: int | None
    name: str | None
    attempt: int | None
    started_at: datetime | None
    arguments: Any = None
    value: Any = None

    @classmethod
    def of(cls, event: Event, *, whole: bool = True) -> Self:
        """With `whole` off, without arguments and value."""
        return cls(
            seq=event.seq,
            execution_id=event.execution_id,
            at=at(event.at),
            type=event.type,
            op=event.op,
            name=event.name,
            attempt=event.attempt,
            started_at=at(event.started_at),
            arguments=data_of(event.arguments) if whole else None,
            value=data_of(event.value) if whole else None,
        )


class Events(Told):
    """A page of events, in order."""

    items: list[EventShown]
    next: int | None = Field(None, description="To be given as `after`; none: these are the last so far.")


class ExecutionShown(Told):
    """An execution as it stands."""

    id: str
    name: str
    version: int
    status: Status
    cause: str | None = Field(description="Why it failed.")
    requester: str | None
    parent_id: str | None
    created_at: datetime | None
    updated_at: datetime | None
    waits: Any = Field(description="What it waits for.")
    arguments: Any

    @classmethod
    def of(cls, record: ExecutionRecord) -> Self:
        return cls(**_head_of(record))


def _head_of(record: ExecutionRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "version": record.version,
        "status": record.status,
        "cause": record.cause,
        "requester": requester_of(record),
        "parent_id": record.parent_id,
        "created_at": at(record.created_at),
        "updated_at": at(record.updated_at),
        "waits": data_of(record.waits),
        "arguments": data_of(record.arguments),
    }


def requester_of(record: ExecutionRecord) -> str | None:
    """The id of the person for whom an execution runs."""
    found = data_of(record.requester)
    return str(found["id"]) if isinstance(found, dict) and "id" in found else None


class ExecutionWhole(ExecutionShown):
    """An execution with what came of it."""

    result: Any = Field(None, description="If it has completed.")
    error: Any = Field(None, description="If it has failed or was cancelled.")
    approvals: list[str] = Field(description="The ids of what people were asked.")

    @classmethod
    def whole(cls, record: ExecutionRecord, ending: Event | None, approvals: Sequence[str]) -> Self:
        """`ending` is the event that ended it."""
        value = data_of(ending.value) if ending is not None else None
        is_done = record.status is Status.COMPLETED
        return cls(
            **_head_of(record),
            result=value if is_done else None,
            error=None if is_done else _shown_error(value),
            approvals=list(approvals),
        )


def _shown_error(value: Any) -> Any:
    # The traceback tells of the server; the journal has it, for those who may read that.
    return {name: each for name, each in value.items() if name != "traceback"} if isinstance(value, dict) else value


class Executions(Told):
    """A page of executions, newest first."""

    items: list[ExecutionShown]
    next: str | None = None


class Started(Told):
    """An execution that was started, now or before with the same key."""

    id: str
    name: str
    version: int
    status: Status
    poll_url: str


class WorkflowShown(Told):
    """A workflow or governed function that can be started here."""

    name: str
    version: int
    parameters: list[str]


class Workflows(Told):
    """What can be started here."""

    items: list[WorkflowShown]


class Accepted(Told):
    """Word was left for an execution; a worker reads it."""

    execution_id: str


class RequestShown(Told):
    """What is asked of whom, under which rules."""

    title: str
    kind: str
    action: str
    arguments: Any
    preview: Any
    terms: Any
    requester: str | None
    policy: str
    approvers: list[str]
    electorate: list[str] = Field(description="Those of the approvers whose verdict counts.")
    quorum: int
    each: bool
    excluded: list[str]
    stage: int
    stages: int
    stage_name: str
    require_reason: bool
    separation_of_duties: bool
    on_expiry: str
    escalate_to: list[list[str]]
    labels: list[str]
    risk: str

    @classmethod
    def of(cls, request: ApprovalRequest) -> Self:
        return cls(
            title=request.subject,
            kind=request.kind,
            action=request.action,
            arguments=dict(request.arguments),
            preview=dict(request.preview) or None,
            terms=dict(request.terms) or None,
            requester=request.requester,
            policy=request.policy,
            approvers=list(request.approvers),
            electorate=list(request.electorate),
            quorum=request.quorum,
            each=request.each,
            excluded=list(request.excluded),
            stage=request.stage,
            stages=request.stages,
            stage_name=request.stage_name,
            require_reason=request.require_reason,
            separation_of_duties=request.separation_of_duties,
            on_expiry=request.on_expiry,
            escalate_to=[list(level) for level in request.escalate_to],
            labels=list(request.labels),
            risk=request.risk,
        )


class VerdictShown(Told):
    """What one person said."""

    approver: str
    decision: str
    reason: str
    at: datetime | None
    counts: bool
    refusal: str | None = Field(description="Why it was refused.")
    seat: str
    conditions: list[str]
    changes: Any

    @classmethod
    def of(cls, asked: Asked, verdict: VerdictRecord) -> Self:
        return cls(
            approver=verdict.approver,
            decision=verdict.decision,
            reason=verdict.reason,
            at=at(verdict.at),
            counts=asked.counts(verdict),
            refusal=verdict.refusal,
            seat=verdict.seat,
            conditions=list(verdict.conditions),
            changes=data_of(verdict.changes),
        )


class ApprovalShown(Told):
    """What is asked of people, and what they said."""

    id: str
    execution_id: str
    status: ApprovalStatus
    created_at: datetime | None
    expires_at: datetime | None
    decided_at: datetime | None
    used_by: str | None = Field(description="The permit that has taken it up.")
    votes: int = Field(description="Approvals that count.")
    missing: int = Field(description="Approvals that are still needed.")
    request: RequestShown | None = Field(description="None: it was changed after it was asked for.")
    verdicts: list[VerdictShown]

    @classmethod
    def of(cls, asked: Asked) -> Self:
        record = asked.record
        return cls(
            id=record.id,
            execution_id=record.execution_id,
            status=record.status,
            created_at=at(record.created_at),
            expires_at=at(record.expires_at),
            decided_at=at(record.decided_at),
            used_by=record.used_by,
            votes=len(asked.voices),
            missing=asked.missing,
            request=RequestShown.of(asked.request) if asked.request else None,
            verdicts=[VerdictShown.of(asked, one) for one in asked.verdicts],
        )


class Approvals(Told):
    """A page of approvals."""

    items: list[ApprovalShown]
    next: str | None = None


class Outcome(Told):
    """What became of one of several verdicts."""

    approval_id: str
    status: ApprovalStatus | None = Field(description="Of the approval afterwards.")
    refusal: str | None = Field(description="Why the verdict does not count.")

    @classmethod
    def of(cls, cast: Cast) -> Self:
        status = cast.record.status if cast.record else None
        return cls(approval_id=cast.approval_id, status=status, refusal=cast.refusal)


class Outcomes(Told):
    """What became of each verdict, in order."""

    items: list[Outcome]


class Reminded(Told):
    """Whether people were reminded; not if there was nothing to decide any more."""

    reminded: bool


class PolicyShown(Told):
    """A policy that holds for every governed call of this process that it applies to."""

    name: str
    kind: str
    version: int
    mode: str
    phase: str
    digest: str
    applies_to: Any = Field(description="None: all actions.")


class Policies(Told):
    """The policies, in the order in which they are asked."""

    items: list[PolicyShown]


class DecisionShown(Told):
    """What one policy says of an action."""

    policy: str
    kind: str
    outcome: str
    reason: str
    approvers: list[str]
    is_shadow: bool = Field(description="It is recorded, and decides nothing.")


class ExplanationShown(Told):
    """What all policies say of an action. Nothing was counted, drawn or asked."""

    action: str
    outcome: str
    decisions: list[DecisionShown]


class MandateShown(Told):
    """A mandate, and what is left of it."""

    id: str
    execution_id: str
    status: ApprovalStatus
    is_in_force: bool
    action: str
    only: list[str]
    until: datetime | None
    count: int | None
    total: Decimal | None
    amount: str
    count_left: int | None
    total_left: Decimal | None

    @classmethod
    def of(cls, left: Remainder) -> Self:
        terms = left.terms
        return cls(
            id=left.mandate.id,
            execution_id=left.mandate.execution_id,
            status=left.mandate.status,
            is_in_force=left.is_in_force,
            action=terms.action,
            only=list(terms.only),
            until=at(terms.until),
            count=terms.count,
            total=terms.total,
            amount=terms.amount,
            count_left=left.count,
            total_left=left.total,
        )


class Mandates(Told):
    """A page of mandates, oldest first."""

    items: list[MandateShown]
    next: str | None = None


class Me(Told):
    """Who asks."""

    person: str
    name: str
    access: str
    via: str
    scopes: list[str]
    sees_all: bool


class PersonShown(Told):
    """Somebody who decides."""

    id: str
    name: str
    roles: list[str]
    contacts: dict[str, str]
    access: str
    created_at: datetime | None
    disabled_at: datetime | None

    @classmethod
    def of(cls, record: PersonRecord) -> Self:
        return cls(
            id=record.id,
            name=record.name,
            roles=list(record.roles),
            contacts=dict(record.contacts),
            access=record.access,
            created_at=at(record.created_at),
            disabled_at=at(record.disabled_at),
        )


class People(Told):
    """A page of people, by id."""

    items: list[PersonShown]
    next: str | None = None


class DelegationShown(Told):
    """One person stands in for another for a time."""

    id: str
    delegator: str
    delegate: str
    since: datetime | None
    until: datetime | None
    is_away: bool
    reason: str
    ended_at: datetime | None

    @classmethod
    def of(cls, record: DelegationRecord) -> Self:
        return cls(
            id=record.id,
            delegator=record.delegator,
            delegate=record.delegate,
            since=at(record.since),
            until=at(record.until),
            is_away=record.is_away,
            reason=record.reason,
            ended_at=at(record.ended_at),
        )


class Delegations(Told):
    """Delegations, oldest first."""

    items: list[DelegationShown]


class NoticeShown(Told):
    """A message to people, and what became of it."""

    id: str
    approval_id: str
    channel: str
    topic: str
    recipient: str | None
    status: NoticeStatus
    attempts: int
    created_at: datetime | None
    due_at: datetime | None
    error: str | None

    @classmethod
    def of(cls, notice: NoticeRecord) -> Self:
        return cls(
            id=notice.id,
            approval_id=notice.approval_id,
            channel=notice.channel,
            topic=notice.topic,
            recipient=notice.recipient or None,
            status=notice.status,
            attempts=notice.attempts,
            created_at=at(notice.created_at),
            due_at=at(notice.due_at) if notice.status is NoticeStatus.PENDING else None,
            error=notice.error,
        )


class Notices(Told):
    """A page of notices, newest first."""

    items: list[NoticeShown]
    next: str | None = None


class StatisticsShown(Told):
    """How one person decides; durations are in seconds."""

    approver: str
    verdicts: int
    approvals: int
    rejections: int
    revocations: int
    refused: int
    median_decision: float | None
    median_dwell: float | None
    least_dwell: float | None
    quick: float | None
    longest_streak: int
    current_streak: int
    waiting: int
    overdue: int

    @classmethod
    def of(cls, one: ApproverStatistics) -> Self:
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


class Statistics(Told):
    """The statistics of every approver, by name."""

    items: list[StatisticsShown]


class Health(Told):
    """The process answers."""

    status: str


class Ready(Told):
    """The process can work."""

    status: str
    workers: int = Field(description="Whose leases hold on this store.")

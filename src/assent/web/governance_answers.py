"""The shapes of what `/api/v1` answers on approvals, policies and mandates."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from pydantic import Field

from assent.governance import Cast, Remainder
from assent.governance.approvals import ApprovalRequest
from assent.governance.asked import Asked
from assent.store import ApprovalStatus, VerdictRecord
from assent.web.answers import Told, at, data_of


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

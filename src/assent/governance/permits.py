"""From a governed call to its permit: what the policies said, what people said, and whether both still hold.

The permit itself is a row that the store writes in the transaction that journals the intent of the effect. There it checks
that the permit is new and that each approval is granted with the digest named. What a store cannot check (who may
approve, what a policy thinks today) is checked by `recheck` between that intent and the effect: a refusal then
costs the permit, never an effect without authority.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from assent.codec import to_json
from assent.engine import LiveExecution, Note, StepScope
from assent.errors import PermitRefused
from assent.governance.action import Action, Outcome
from assent.governance.approvals import ApprovalRequest, intact_request, person, stems_from
from assent.governance.asking import Grant
from assent.governance.authority import Authority
from assent.governance.policy import Phase, Policy
from assent.governance.redaction import Redaction
from assent.governance.ruling import Ruling, evaluate_all, policies_digest, redaction_of
from assent.store import ApprovalRecord, ApprovalStatus, Permit, VerdictRecord


@dataclass(frozen=True)
class PolicySet:
    """All policies of an action, with what can be said of them before any call."""

    policies: tuple[Policy, ...]

    @cached_property
    def digest(self) -> str:
        return policies_digest(self.policies)

    @cached_property
    def redaction(self) -> Redaction:
        return redaction_of(self.policies)

    @cached_property
    def is_rechecked(self) -> bool:
        return any(policy.rechecked for policy in self.policies)

    @cached_property
    def audits(self) -> tuple[Policy, ...]:
        """Those that only record; their word on the outcome is journaled with it."""
        return tuple(policy for policy in self.policies if policy.kind == "audit" and policy.phase != Phase.BEFORE)

    @cached_property
    def reviews(self) -> tuple[Policy, ...]:
        """Those that judge the outcome."""
        return tuple(policy for policy in self.policies if policy.kind != "audit" and policy.phase != Phase.BEFORE)

    @cached_property
    def after(self) -> tuple[Policy, ...]:
        """All that are asked after the effect."""
        return (*self.audits, *self.reviews)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the policies said before the effect, as it is journaled."""

    action_digest: str
    policies_digest: str
    evaluated_at: float
    series: Sequence[Sequence[ApprovalRequest]] = field(default_factory=tuple)

    @property
    def granted(self) -> frozenset[str]:
        """The fingerprints of the policies that asked; when an effect is due, people have said yes to all of them."""
        return frozenset(request.policy_digest for requests in self.series for request in requests)

    def to_facts(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "action_digest": self.action_digest,
            "policies_digest": self.policies_digest,
            "evaluated_at": self.evaluated_at,
            "series": [[request.to_text() for request in requests] for requests in self.series],
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Evaluation":
        series = [[ApprovalRequest.from_text(text) for text in texts] for texts in facts["series"]]
        return cls(**{**facts, "series": series})


async def evaluate(rules: PolicySet, action: Action, authority: Authority, scope: StepScope) -> dict[str, Any]:
    """Ask the policies before the effect, and leave their words in the journal. Raises PolicyDenied."""
    ruling = await evaluate_all(rules.policies, action, authority.facts(), redaction=rules.redaction)
    record(ruling, scope)
    if ruling.outcome == "deny":
        raise ruling.denial()
    evaluation = Evaluation(
        action_digest=action.digest,
        policies_digest=rules.digest,
        evaluated_at=authority.clock.now(),
        series=ruling.requests,
    )
    return evaluation.to_facts()


async def review(
    policies: Sequence[Policy], rules: PolicySet, action: Action, outcome: Outcome, authority: Authority,
    scope: StepScope,
) -> None:
    """Ask policies about the outcome, and leave their words in the journal. Raises PolicyDenied."""
    facts = authority.facts(Phase.AFTER, outcome)
    ruling = await evaluate_all(policies, action, facts, redaction=rules.redaction)
    record(ruling, scope)
    if ruling.outcome == "deny":
        raise ruling.denial()


def record(ruling: Ruling, scope: StepScope) -> None:
    """Have the words of the policies journaled together with the step that asked them."""
    for kind, name, facts in ruling.events():
        scope.notes.append(Note(kind, name, to_json(facts)))


def permit_for(live: LiveExecution, action: Action, grants: Sequence[Grant]) -> tuple[Permit, list[Note]]:
    """The permit for one effect, and the events that tell of it."""
    permit = Permit(id=f"{live.info.id}:{len(live.ops)}", action_digest=action.digest, approvals=tuple(grants))
    facts = {"permit": permit.id, "action_digest": permit.action_digest, "approvals": [id for id, _ in grants]}
    text = to_json(facts)
    return permit, [Note("permit.issued", action.name, text), Note("permit.consumed", action.name, text)]


async def recheck(
    rules: PolicySet,
    action: Action,
    evaluation: Evaluation | None,
    grants: Sequence[Grant],
    authority: Authority,
    scope: StepScope,
) -> None:
    """At the moment of the effect: raise PermitRefused or PolicyDenied unless everything still holds."""
    if evaluation is None:
        return
    reason = None
    if evaluation.policies_digest != rules.digest:
        reason = "the policies have changed since they were evaluated"
    asked = [request for requests in evaluation.series for request in requests]
    for request, (approval_id, _) in zip(asked, grants, strict=True):
        reason = reason or await _objection(approval_id, request, action, authority)
    if reason is not None:
        scope.notes.append(Note("permit.refused", action.name, to_json({"reason": reason})))
        raise refusal(action, reason)
    if rules.is_rechecked:
        facts = authority.facts(evaluated_at=evaluation.evaluated_at, granted=evaluation.granted)
        ruling = await evaluate_all(rules.policies, action, facts, redaction=rules.redaction)
        if ruling.outcome != "allow":
            record(ruling, scope)
            scope.notes.append(Note("permit.refused", action.name, to_json({"reason": ruling.denial().reason})))
            raise ruling.denial()


def refusal(action: Action, reason: str) -> PermitRefused:
    """The error for an action whose authority no longer holds."""
    return PermitRefused(
        f"{action.name} was not permitted: {reason} (execution {action.execution_id}). Ask for it again.",
        execution_id=action.execution_id,
        action=action.name,
        reason=reason,
    )


async def _objection(
    approval_id: str, asked: ApprovalRequest, action: Action, authority: Authority
) -> str | None:
    approval = await authority.store.approval(approval_id)
    if approval is None:
        return f"approval {approval_id} is gone"
    request = intact_request(approval)
    if request is None or not stems_from(approval, asked):
        return f"the request of approval {approval_id} was changed after it was made"
    if request.action_digest != action.digest:
        return f"approval {approval_id} is for other arguments"
    verdicts = await authority.store.verdicts(approval_id)
    if approval.status is not ApprovalStatus.GRANTED or not is_earned(approval, request, verdicts):
        return f"approval {approval_id} is {approval.status}, but those who may grant it have not"
    return None


def is_earned(approval: ApprovalRecord, request: ApprovalRequest, verdicts: Sequence[VerdictRecord]) -> bool:
    """Whether a granted approval really has the verdicts, or the expiry, that its rules ask for."""
    if request.on_expiry == "approve" and (approval.decided_at or 0) >= (approval.expires_at or float("inf")):
        return True
    counting = [one for one in verdicts if one.refusal is None and one.at >= (request.escalated_at or 0)]
    entitled = {person(one) for one in request.electorate}
    yes = {person(one.approver) for one in counting if one.decision == "approve"} & entitled
    return len(yes) >= request.quorum and all(one.decision == "approve" for one in counting)


def blank(redaction: Redaction, data: Any) -> Any:
    """JSON data without the fields that the redaction hides, and otherwise whole."""
    match data:
        case dict():
            hidden = {key: "[redacted]" for key in data if redaction.hides(key)}
            return {key: hidden.get(key) or blank(redaction, value) for key, value in data.items()}
        case list():
            return [blank(redaction, value) for value in data]
        case _:
            return data


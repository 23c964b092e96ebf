"""From a governed call to its permit: what the policies said, what people said, and whether both still hold.

The permit itself is a row that the store writes in the transaction that journals the intent of the effect. There it
checks that the permit is new and that each approval is granted with the digest named. What a store cannot check (who
may approve, what a policy thinks today) is checked by `recheck` between that intent and the effect: a refusal then
costs the permit, never an effect without authority.

Whatever was stored in between is held against the code and the arguments at hand: the digest of the action, the digest
of its policies, and the requests that these policies make now. An edited row takes authority away and never gives any.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from assent.codec import to_json
from assent.engine import LiveExecution, Note, StepScope
from assent.governance.action import Action, Outcome
from assent.governance.approvals import ApprovalRequest, objection
from assent.governance.asking import Grant, refusal
from assent.governance.authority import Authority
from assent.governance.policy import Facts, Phase, Policy
from assent.governance.ruling import Ruling, evaluate_all
from assent.governance.terms import PolicySet
from assent.store import Permit

Hush = Callable[[str], str]
"""Takes the secrets of a call out of a JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the policies said before the effect, as it is journaled."""

    action_digest: str
    policies_digest: str
    evaluated_at: float
    series: Sequence[Sequence[ApprovalRequest]] = field(default_factory=tuple)

    @property
    def asked(self) -> list[ApprovalRequest]:
        """All that was asked of people, in the order of the grants."""
        return [request for requests in self.series for request in requests]

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


async def evaluate(
    rules: PolicySet, action: Action, hush: Hush, authority: Authority, scope: StepScope
) -> dict[str, Any]:
    """Ask the policies before the effect, and leave their words in the journal. Raises PolicyDenied."""
    ruling = await evaluate_all(rules.policies, action, authority.facts(), redaction=rules.redaction)
    record(ruling, hush, scope)
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
    policies: Sequence[Policy],
    rules: PolicySet,
    action: Action,
    outcome: Outcome,
    hush: Hush,
    authority: Authority,
    scope: StepScope,
) -> None:
    """Ask policies about the outcome, and leave their words in the journal. Raises PolicyDenied."""
    facts = authority.facts(Phase.AFTER, outcome)
    ruling = await evaluate_all(policies, action, facts, redaction=rules.redaction)
    record(ruling, hush, scope)
    if ruling.outcome == "deny":
        raise ruling.denial()


# What an event may say of a call that keeps no state: nothing that a policy made of its values.
VALUELESS: Final = frozenset({"phase", "at", "execution_id", "tags", "labels", "requester", "retry_after", "cause"})


def record(ruling: Ruling, hush: Hush, scope: StepScope) -> None:
    """Have the words of the policies journaled together with the step that asked them."""
    for kind, name, facts in ruling.events():
        if not ruling.action.captured:
            facts = {key: each for key, each in facts.items() if key in VALUELESS}
        text = to_json(facts) if facts else "{}"
        scope.notes.append(Note(kind, name, hush(text) if "reason" in facts or "error" in facts else text))


def permit_for(live: LiveExecution, action: Action, grants: Sequence[Grant]) -> tuple[Permit, list[Note]]:
    """The permit for one effect, and the events that tell of it."""
    permit = Permit(id=f"{live.info.id}:{len(live.ops)}", action_digest=action.digest, approvals=tuple(grants))
    facts = {
        "permit": permit.id,
        "action_digest": permit.action_digest,
        "approvals": [approval_id for approval_id, _ in grants],
    }
    text = to_json(facts)
    return permit, [Note("permit.issued", action.name, text), Note("permit.consumed", action.name, text)]


async def recheck(
    rules: PolicySet,
    action: Action,
    evaluation: Evaluation | None,
    grants: Sequence[Grant],
    hush: Hush,
    authority: Authority,
    scope: StepScope,
) -> None:
    """At the moment of the effect: raise PermitRefused or PolicyDenied unless everything still holds."""
    if evaluation is None:
        return
    asked = evaluation.asked
    reason = None
    if evaluation.action_digest != action.digest:
        reason = "its arguments are not those that were evaluated"
    elif evaluation.policies_digest != rules.digest:
        reason = "its policies have changed since they were evaluated"
    elif asked:
        reason = await _objection(asked, grants, action, authority)
    if reason is not None:
        scope.notes.append(Note("permit.refused", action.name, to_json({"reason": reason})))
        raise refusal(action.name, reason, action.execution_id)
    if rules.is_rechecked:
        granted = frozenset(request.digest() for request in asked)
        facts = authority.facts(evaluated_at=evaluation.evaluated_at, granted=granted)
        await _ask_again(rules, action, facts, hush, scope)


async def _ask_again(rules: PolicySet, action: Action, facts: Facts, hush: Hush, scope: StepScope) -> None:
    ruling = await evaluate_all(rules.policies, action, facts, redaction=rules.redaction)
    if ruling.outcome != "allow":
        record(replace(ruling, decisions=ruling.denials), hush, scope)
        denial = ruling.denial()
        scope.notes.append(Note("permit.refused", action.name, hush(to_json({"policy": denial.policy}))))
        raise denial


async def _objection(
    asked: Sequence[ApprovalRequest], grants: Sequence[Grant], action: Action, authority: Authority
) -> str | None:
    """Why the approvals are no authority for the action."""
    for request, (approval_id, _) in zip(asked, grants, strict=True):
        if request.action_digest != action.digest:
            return f"approval {approval_id} is for other arguments"
        verdicts = await authority.store.verdicts(approval_id)
        reason = objection(await authority.store.approval(approval_id), request, verdicts)
        if reason is not None:
            return reason
    return None

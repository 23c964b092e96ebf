"""From a governed call to its permit: what the policies said, what people said, and whether both still hold.

The permit itself is a row that the store writes in the transaction that journals the intent of the effect. There it
checks that the permit is new and that each approval is granted with the digest named. What a store cannot check (who
may approve, what a policy thinks today) is checked by `recheck` between that intent and the effect: a refusal then
costs the permit, never an effect without authority.

Whatever was stored in between is held against the code and the arguments at hand: the digest of the action, the digest
of its policies, and the requests that these policies make now. An edited row takes authority away and never gives any.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from assent.codec import to_json
from assent.engine import LiveExecution, Note, StepScope
from assent.errors import BudgetExceeded, PermitRefused
from assent.governance.action import NOTHING, Action, Outcome
from assent.governance.approvals import ApprovalRequest
from assent.governance.asking import Grant, refusal, revoked, said_last
from assent.governance.authority import Authority
from assent.governance.evaluating import Order, evaluate_all
from assent.governance.mandates import Cover, cover_objection, covers_of
from assent.governance.policy import Facts
from assent.governance.ruling import Ruling
from assent.governance.terms import PolicySet
from assent.governance.verdicts import objection_to
from assent.store import ApprovalStatus, Hold, Permit

Hush = Callable[[str], str]
"""Takes the secrets of a call out of a JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the policies said before the effect, as it is journaled."""

    action_digest: str
    policies_digest: str
    evaluated_at: float
    series: Sequence[Sequence[ApprovalRequest]] = field(default_factory=tuple)
    holds: Sequence[Hold] = ()  # what it draws on, for as long as it was evaluated
    covers: Mapping[int, Cover] = field(default_factory=dict)  # mandates that stand in for requests, by place

    @property
    def asked(self) -> list[ApprovalRequest]:
        """All that was asked, each in its place."""
        return [request for requests in self.series for request in requests]

    @property
    def preview(self) -> Mapping[str, Any]:
        """What people were shown of the effect, or would have been."""
        return next((request.preview for request in self.asked), NOTHING)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Evaluation":
        """What `evaluate` has written down."""
        parts = {
            "series": [[ApprovalRequest.from_text(text) for text in texts] for texts in facts["series"]],
            "holds": [Hold(**hold) for hold in facts.get("holds", ())],
            "covers": {place: Cover.from_facts(cover) for place, cover in facts.get("covers", ())},
        }
        return cls(**{**facts, **parts})


class Warrant:
    """What stands behind one effect: the evaluation, and for each request the approval or the mandate."""

    __slots__ = ("covers", "evaluation", "grants")

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.covers = dict(evaluation.covers)
        self.grants: dict[int, Grant] = {}

    @property
    def missing(self) -> list[list[tuple[int, ApprovalRequest]]]:
        """The requests that people are still to be asked, with their places, series by series."""
        if not self.evaluation.series:
            return []
        places = iter(range(len(self.evaluation.asked)))
        series = [[(next(places), request) for request in requests] for requests in self.evaluation.series]
        open_ones = [
            [(place, each) for place, each in requests if place not in self.grants and place not in self.covers]
            for requests in series
        ]
        return [requests for requests in open_ones if requests]

    def drop(self, error: PermitRefused) -> bool:
        """Do without the mandate for which a permit was refused, so that people are asked; False if it was none."""
        hold = getattr(error, "hold", None)
        kept = {place: cover for place, cover in self.covers.items() if cover.hold.key != hold}
        has_dropped, self.covers = len(kept) < len(self.covers), kept
        return has_dropped

    @property
    def is_free(self) -> bool:
        """Whether the effect needs no more than the word of its policies: nobody was asked, and nothing is drawn on."""
        return not (self.grants or self.covers or self.evaluation.holds)

    def holds(self, now: float) -> list[Hold]:
        """What the effect draws on if it happens now."""
        passed = now - self.evaluation.evaluated_at
        moved = [
            hold if hold.since is None else replace(hold, since=hold.since + passed) for hold in self.evaluation.holds
        ]
        # A mandate that covers two requests of one action is drawn on once.
        return [*moved, *{cover.hold.key: cover.hold for cover in self.covers.values()}.values()]

    def mandates(self) -> list[Grant]:
        return list(dict.fromkeys((cover.mandate_id, cover.digest) for cover in self.covers.values()))


async def evaluate(
    rules: PolicySet, action: Action, hush: Hush, preview: Any, authority: Authority, scope: StepScope
) -> dict[str, Any]:
    """Ask the policies before the effect, and leave their words in the journal: the facts of an `Evaluation`.

    Raises PolicyDenied.
    """
    facts, redaction = authority.facts(), rules.redaction
    ruling = await evaluate_all(
        rules.policies, action, facts, redaction=redaction, preview=preview, hush=hush, order=rules.order, timed=True
    )
    record(ruling, hush, scope)
    told = {**ruling.record(facts.environment), "now": facts.now}
    scope.note("policy.evaluated", action.name, hush(to_json(told)))
    if told["outcome"] == "deny":
        raise ruling.denial()
    series, holds = ruling.requests, ruling.holds
    covers = await covers_of([request for requests in series for request in requests], authority) if series else {}
    return {
        "action_digest": action.digest,
        "policies_digest": rules.digest,
        "evaluated_at": facts.now,
        "series": [[request.to_text() for request in requests] for requests in series],
        "holds": [asdict(hold) for hold in holds],
        "covers": [[place, cover.to_facts()] for place, cover in covers.items()],
    }


async def review(
    order: Order,
    rules: PolicySet,
    action: Action,
    outcome: Outcome,
    hush: Hush,
    authority: Authority,
    scope: StepScope,
) -> None:
    """Ask policies about the outcome, in that order, and leave their words in the journal. Raises PolicyDenied."""
    facts = authority.facts(outcome)
    ruling = await evaluate_all(rules.policies, action, facts, redaction=rules.redaction, order=order)
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
        scope.note(kind, name, hush(text) if "reason" in facts or "error" in facts else text)


def permit_for(live: LiveExecution, action: Action, warrant: Warrant | None, hush: Hush) -> tuple[Permit, list[Note]]:
    """The permit for one effect, and the events that tell of it."""
    permit = Permit(id=f"{live.info.id}:{len(live.ops)}", action_digest=action.digest)
    if warrant is not None and not warrant.is_free:
        grants = [grant for _, grant in sorted(warrant.grants.items())]
        holds = warrant.holds(live.loop.now)
        permit = replace(permit, approvals=tuple(grants), mandates=tuple(warrant.mandates()), holds=tuple(holds))
    facts: dict[str, Any] = {
        "permit": permit.id,
        "action_digest": permit.action_digest,
        "approvals": [approval_id for approval_id, _ in permit.approvals],
    }
    if permit.mandates:
        facts["mandates"] = [approval_id for approval_id, _ in permit.mandates]
    if permit.holds and action.captured:
        facts["holds"] = {hold.key: hold.amount for hold in permit.holds}
    text = hush(to_json(facts)) if permit.holds else to_json(facts)
    return permit, [Note("permit.issued", action.name, text), Note("permit.consumed", action.name, text)]


async def recheck(
    rules: PolicySet,
    action: Action,
    warrant: Warrant,
    hush: Hush,
    authority: Authority,
    scope: StepScope,
) -> None:
    """At the moment of the effect: raise PermitRefused or PolicyDenied unless everything still holds."""
    evaluation = warrant.evaluation
    refused = None
    if evaluation.action_digest != action.digest:
        refused = refusal(action.name, "its arguments are not those that were evaluated", action.execution_id)
    elif evaluation.policies_digest != rules.digest:
        refused = refusal(action.name, "its policies have changed since they were evaluated", action.execution_id)
    elif evaluation.series:
        refused = await _refused(warrant, action, authority)
    if refused is not None:
        scope.note("permit.refused", action.name, to_json({"reason": refused.reason}))
        raise refused
    if rules.is_rechecked:
        granted = frozenset(request.digest() for request in evaluation.asked)
        facts = replace(
            authority.facts(), evaluated_at=evaluation.evaluated_at, granted=granted, preview=evaluation.preview
        )
        await _ask_again(rules, action, facts, hush, scope)


async def _ask_again(rules: PolicySet, action: Action, facts: Facts, hush: Hush, scope: StepScope) -> None:
    ruling = await evaluate_all(rules.policies, action, facts, redaction=rules.redaction, order=rules.order)
    if ruling.outcome != "allow":
        record(replace(ruling, decisions=ruling.denials), hush, scope)
        denial = ruling.denial()
        scope.note("permit.refused", action.name, hush(to_json({"policy": denial.policy})))
        raise denial


async def _refused(warrant: Warrant, action: Action, authority: Authority) -> PermitRefused | None:
    """Why approvals and mandates are no authority for the action; None if they are."""
    for place, request in enumerate(warrant.evaluation.asked):
        if request.action_digest != action.digest:
            return refusal(action.name, "an approval is for other arguments", action.execution_id)
        cover = warrant.covers.get(place)
        if cover is None:
            approval_id = warrant.grants[place][0]
            reason, facts = await objection_to(authority.store, approval_id, request), {}
        else:
            reason, facts = await cover_objection(cover, request, authority), {"hold": cover.hold.key}
        if reason is not None:
            return refusal(action.name, reason, action.execution_id, **facts)
    return None


def exceeded(error: PermitRefused, action: Action) -> BudgetExceeded | None:
    """The error for a permit that was refused since a budget has not enough left; None if that was not why."""
    hold = getattr(error, "hold", None) or ""
    if not hold.startswith("budget:"):
        return None
    name = unquote(hold.split(":")[1])
    reason = f"others have drawn on budget {name!r} since it was evaluated, and what is left is not enough"
    return BudgetExceeded(
        f"{action.name} was denied by policy {name!r}: {reason} (execution {action.execution_id})",
        execution_id=action.execution_id,
        action=action.name,
        policy=name,
        reason=reason,
    )


async def revocation(approvals: Sequence[str], authority: Authority, _: StepScope) -> dict[str, Any]:
    """Which of the approvals was revoked by whom, in words for people; empty if none was."""
    for approval_id in approvals:
        record = await authority.store.approval(approval_id)
        if record is not None and record.status is ApprovalStatus.REVOKED:
            return {"reason": revoked(record.id, said_last(record, await authority.store.verdicts(approval_id)))}
    return {}

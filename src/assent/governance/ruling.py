"""What several policies say together on one action."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from assent.errors import BudgetExceeded, PolicyDenied, RateLimited, UsageError, ValidationDenied
from assent.governance.account import Trace, described, facts_of, facts_of_trace, recorded, type_of_event
from assent.governance.action import NOTHING, Action, nothing
from assent.governance.approvals import ApprovalRequest
from assent.governance.fingerprint import fingerprint_of
from assent.governance.policy import Decision, Policy
from assent.governance.redaction import Redaction
from assent.store import Hold

SHADOW: Final = "shadow:"
"""What the keys of buckets and holds of policies in shadow mode begin with, so that nobody else counts them."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What several policies say together: any denial denies, else any question asks, else the action may happen.

    `decisions` are those of policies that are in force. What the others would have said is in `shadows`, and nothing
    else comes of it.
    """

    action: Action
    decisions: tuple[Decision, ...]
    policies: tuple[Policy, ...] = field(default=(), repr=False)
    redaction: Redaction | None = field(default=None, repr=False)
    trail: tuple[Trace, ...] = field(default=(), repr=False)
    preview: Mapping[str, Any] = field(default_factory=nothing)  # what people are shown; empty if nobody is asked

    @property
    def outcome(self) -> Literal["allow", "deny", "ask"]:
        outcome: Literal["allow", "ask"] = "allow"
        for decision in self.decisions:
            if decision.outcome == "deny":
                return "deny"
            if decision.outcome == "ask":
                outcome = "ask"
        return outcome

    @property
    def denials(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.outcome == "deny")

    @property
    def warnings(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.outcome == "warn")

    @property
    def requests(self) -> tuple[tuple[ApprovalRequest, ...], ...]:
        """What people must agree to: one series for each policy that asks.

        Series go side by side; the requests of one series are asked one after another.
        """
        return tuple([decision.requests for decision in self.decisions if decision.outcome == "ask"])

    @property
    def retry_after(self) -> float | None:
        """In how many seconds the action may be tried again; None unless rate limits alone stand against it."""
        waits = [decision.retry_after for decision in self.denials]
        return max((wait for wait in waits if wait is not None), default=None) if None not in waits else None

    @property
    def shadows(self) -> tuple[Decision, ...]:
        """What policies in shadow mode would have said."""
        return tuple(trace.decision for trace in self.trail if trace.is_shadow)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """What is to be drawn together with the permit, once for each key.

        Policies in shadow mode draw on something of their own, which never runs out.
        """
        drawn = [hold for one in self.decisions for hold in one.holds]
        drawn += [
            replace(hold, key=SHADOW + hold.key, limit=None, count=None)
            for trace in self.trail
            if trace.is_shadow
            for hold in trace.decision.holds
        ]
        found: dict[str, Hold] = {}
        for hold in drawn:
            before = found.get(hold.key)
            found[hold.key] = hold if before is None else replace(hold, amount=before.amount + hold.amount)
        return tuple(found.values())

    def events(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """What the journal should say: type, policy and facts (JSON data without secrets) of each decision.

        Approvals have their own events, which are written when the requests are opened and decided.
        """
        redaction = self.redaction or redaction_of(self.policies)
        told = [
            (type_of_event(decision), decision.policy, facts_of(decision, redaction))
            for decision in self.decisions
            if (decision.outcome, decision.kind) != ("ask", "approval")
        ]
        shadows = [
            (f"policy.{one.decision.kind}.shadowed", one.decision.policy, facts_of_trace(one, redaction))
            for one in self.trail
            if one.is_shadow
        ]
        return [*told, *shadows]

    def record(self, environment: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
        """The evaluation as JSON data without secrets, from which it can be repeated.

        Of a call that keeps no state it says nothing that was made of its values.
        """
        redaction, is_captured = self.redaction or redaction_of(self.policies), self.action.captured
        return {
            "action": described(self.action, redaction),
            "environment": redaction.apply(environment) if environment else {},
            "outcome": self.outcome,
            "decisions": [recorded(trace, redaction, is_captured) for trace in self.trail],
        }

    def denial(self) -> PolicyDenied:
        """The error of a ruling that denies: of authorization rather than validation, of these rather than a limit."""
        if not self.denials:
            raise UsageError(f"No policy denied {self.action.name}. Look at ruling.outcome first.")
        first, *others = sorted(self.denials, key=lambda one: SEVERITY.get(one.kind, 0))
        action = self.action
        also = "".join(f"; also by {one.policy!r}: {one.reason}" for one in others)
        where = f" (execution {action.execution_id})" if action.execution_id else ""
        kind, facts = self._error_of(first)
        error = kind(
            f"{action.name} was denied by policy {first.policy!r}: {first.reason}{also}{where}",
            execution_id=action.execution_id,
            action=action.name,
            policy=first.policy,
            reason=first.reason,
            **facts,
        )
        error.__cause__ = first.cause
        return error

    def _error_of(self, first: Decision) -> tuple[type[PolicyDenied], dict[str, Any]]:
        if first.kind == "rate_limit":
            return RateLimited, {"retry_after": self.retry_after or 0.0}
        if first.kind == "budget":
            known = {name: first.facts[name] for name in ("limit", "spent", "remainder") if name in first.facts}
            return (BudgetExceeded, known) if known else (PolicyDenied, {})
        return (ValidationDenied if first.kind == "validation" else PolicyDenied), {}


SEVERITY: Final[Mapping[str, int]] = {"validation": 1, "budget": 2, "rate_limit": 2}


def policies_digest(policies: Iterable[Policy]) -> str:
    """One digest for all policies of an action that are in force, whatever their order."""
    return fingerprint_of(sorted(one.fingerprint() for one in policies if one.mode == "enforce"))


def redaction_of(policies: Iterable[Policy]) -> Redaction:
    """What must be kept out of the records of an action: the usual secrets, and what its policies in force name."""
    redaction = Redaction()
    for one in policies:
        if one.mode == "enforce" and one.redaction is not None:
            redaction = redaction | one.redaction
    return redaction

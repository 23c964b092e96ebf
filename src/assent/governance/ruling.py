"""What several policies say together on one action."""

import asyncio
import inspect
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from assent.errors import PolicyDenied, RateLimited, UsageError, ValidationDenied
from assent.governance.action import NOTHING, Action
from assent.governance.approvals import ApprovalRequest
from assent.governance.fingerprint import fingerprint_of, name_of
from assent.governance.policy import Decision, Facts, Phase, Policy, said_yes
from assent.governance.redaction import Record, Redaction


@dataclass(frozen=True, slots=True)
class Ruling:
    """What several policies say together: any denial denies, else any question asks, else the action may happen."""

    action: Action
    decisions: tuple[Decision, ...]
    policies: tuple[Policy, ...] = field(default=(), repr=False)
    redaction: Redaction | None = field(default=None, repr=False)

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
        return tuple(decision.requests for decision in self.decisions if decision.outcome == "ask")

    @property
    def retry_after(self) -> float | None:
        """In how many seconds the action may be tried again; None unless rate limits alone stand against it."""
        waits = [decision.retry_after for decision in self.denials]
        return max((wait for wait in waits if wait is not None), default=None) if None not in waits else None

    def events(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """What the journal should say: type, policy and facts (JSON data without secrets) of each decision.

        Approvals have their own events, which are written when the requests are opened and decided.
        """
        redaction = self.redaction or redaction_of(self.policies)
        return [
            (_type_of_event(decision), decision.policy, _facts_of(decision, redaction))
            for decision in self.decisions
            if (decision.outcome, decision.kind) != ("ask", "approval")
        ]

    def denial(self) -> PolicyDenied:
        """The error of a ruling that denies: of authorization rather than validation, of these rather than a limit."""
        if not self.denials:
            raise UsageError(f"No policy denied {self.action.name}. Look at ruling.outcome first.")
        first, *others = sorted(self.denials, key=lambda one: SEVERITY.get(one.kind, 0))
        action = self.action
        also = "".join(f"; also by {one.policy!r}: {one.reason}" for one in others)
        where = f" (execution {action.execution_id})" if action.execution_id else ""
        facts: dict[str, Any] = {"execution_id": action.execution_id, "action": action.name, "policy": first.policy}
        if first.kind == "rate_limit":
            facts["retry_after"] = self.retry_after or 0.0
        error = ERRORS.get(first.kind, PolicyDenied)(
            f"{action.name} was denied by policy {first.policy!r}: {first.reason}{also}{where}",
            reason=first.reason,
            **facts,
        )
        error.__cause__ = first.cause
        return error


ERRORS: Mapping[str, type[PolicyDenied]] = {"validation": ValidationDenied, "rate_limit": RateLimited}
SEVERITY: Mapping[str, int] = {"validation": 1, "rate_limit": 2}


def _type_of_event(decision: Decision) -> str:
    match decision.outcome:
        case "allow":
            return "audit.logged" if decision.kind == "audit" else f"policy.{decision.kind}.passed"
        case "deny":
            return f"policy.{decision.kind}.failed"
        case _:
            return f"policy.{decision.kind}.warned"


def _facts_of(decision: Decision, redaction: Redaction) -> Mapping[str, Any]:
    if isinstance(decision.facts, Record):
        return decision.facts.shown(redaction)
    facts = dict(decision.facts)
    if decision.reason:
        facts["reason"] = decision.reason
    if decision.retry_after is not None:
        facts["retry_after"] = decision.retry_after
    if decision.cause is not None:
        facts["cause"] = name_of(type(decision.cause))
    if decision.requests:
        facts["asks"] = [request.approvers for request in decision.requests]
    return redaction.apply(facts) if facts else {}


def policies_digest(policies: Iterable[Policy]) -> str:
    """One digest for all policies of an action, whatever their order."""
    return fingerprint_of(sorted(one.fingerprint() for one in policies))


def redaction_of(policies: Iterable[Policy]) -> Redaction:
    """What must be kept out of the records of an action: the usual secrets, and what its policies name."""
    redaction = Redaction()
    for one in policies:
        if one.redaction is not None:
            redaction = redaction | one.redaction
    return redaction


async def evaluate_all(
    policies: Sequence[Policy], action: Action, facts: Facts, *, redaction: Redaction | None = None
) -> Ruling:
    """Ask every policy that applies now; never raises for what a policy does.

    All are asked even after a denial, so that the record is complete, except those that use something up: they come
    last and only while nothing has denied. `redaction` saves working out `redaction_of(policies)` again.
    """
    asking = _Asking(policies, action, facts, redaction)
    consuming: list[Policy] = []
    for one in policies:
        if getattr(one, "consumes", False):
            consuming.append(one)
        elif (waiting := asking.begin(one)) is not None:
            await asking.finish(one, waiting)
    for one in consuming:
        if not asking.denied and (waiting := asking.begin(one)) is not None:
            await asking.finish(one, waiting)
    return Ruling(action, tuple(asking.decisions), tuple(policies), redaction)


class _Asking:
    """One round of questions to policies. Whatever goes wrong in a policy becomes a denial that names its cause."""

    __slots__ = ("action", "decisions", "denied", "facts", "policies", "redaction")

    def __init__(
        self, policies: Sequence[Policy], action: Action, facts: Facts, redaction: Redaction | None = None
    ) -> None:
        self.policies = policies
        self.action = action
        self.facts = facts
        self.redaction = redaction
        self.decisions: list[Decision] = []
        self.denied = False

    def begin(self, one: Policy) -> Awaitable[Any] | None:
        """Ask a policy. What is returned is still to be awaited, with `finish`."""
        try:
            if not one.applies(self.facts):
                return None
            answer = one.evaluate(self.action, self.facts)
            if answer is one.allowed:
                self.decisions.append(one.allowed)
                return None
            if not isinstance(answer, Decision) and inspect.isawaitable(answer):
                return answer
            self.add(self.settled(one, answer))
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 - fail closed: whatever a policy raises is a denial
            self.add(_broken(one, error))
        return None

    async def finish(self, one: Policy, waiting: Awaitable[Any]) -> None:
        try:
            self.add(self.settled(one, await waiting))
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 - fail closed: whatever a policy raises is a denial
            self.add(_broken(one, error))

    def add(self, decision: Decision) -> None:
        self.decisions.append(decision)
        if decision.outcome == "deny":
            self.denied = True

    def settled(self, one: Policy, answer: object) -> Decision:
        """The answer as a decision that can be relied on."""
        if not isinstance(answer, Decision):
            return one.allow() if said_yes(answer, f"policy {one.name!r}") else one.deny(_no_reason(answer))
        if not _makes_sense(answer):
            raise UsageError(f"policy {one.name!r} returned a decision that makes no sense: {answer!r}")
        if answer.policy != one.name or answer.kind != one.kind:
            answer = answer._replace(policy=one.name, kind=one.kind)
        return self.asked(one, answer) if answer.outcome == "ask" else answer

    def asked(self, one: Policy, decision: Decision) -> Decision:
        if self.facts.phase != Phase.BEFORE:
            return one.deny("it asks for approval when the effect has already happened")
        requests = tuple(self.bound(one, request) for request in decision.requests)
        if not self.facts.is_recheck:
            return decision._replace(requests=requests)
        # What people granted is held against what the policy asks now, so nothing that was stored in between counts.
        if all(request.digest() in self.facts.granted for request in requests):
            return one.allow("people have approved it")
        return one.deny("it asks now for an approval that nobody has given")

    def bound(self, one: Policy, request: ApprovalRequest) -> ApprovalRequest:
        """The request, tied to this action and these policies, whatever the policy itself wrote there."""
        action = self.action
        requester = action.requester.id if action.requester else None
        request = replace(
            request,
            policy=one.name,
            policy_digest=one.fingerprint(),
            policies_digest=policies_digest(self.policies),
            action=action.name,
            action_digest=action.digest,
            arguments=(self.redaction or redaction_of(self.policies)).apply(action.arguments)
            if action.captured
            else {},
            labels=tuple(sorted(action.labels)),
            requester=requester,
        )
        if request.on_expiry != "escalate" and len(request.electorate) < request.quorum:
            raise UsageError(
                f"nobody can grant it: {request.quorum} of {list(request.approvers)} must approve, and {requester} "
                f"asks for it and may not. Name more approvers."
            )
        return request


OUTCOMES = frozenset({"allow", "deny", "warn", "ask"})


def _makes_sense(decision: Decision) -> bool:
    """Whether the record can be relied on: a question without requests, say, would be granted by nobody's consent."""
    facts: object = decision.facts  # user code need not keep to its types
    retry_after: object = decision.retry_after
    return (
        decision.outcome in OUTCOMES
        and (decision.outcome == "ask") == bool(decision.requests)
        and (facts is NOTHING or isinstance(facts, Mapping))
        and (retry_after is None or isinstance(retry_after, int | float))
    )


PASSED_ON = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
"""What ends the caller itself, not only the policy. The action does not happen then either."""


def _broken(one: Policy, error: BaseException) -> Decision:
    """The denial of a policy that did not work."""
    name, kind = getattr(one, "name", ""), getattr(one, "kind", Policy.kind)
    reason = f"the policy failed with {type(error).__name__}: {error}"
    return Decision("deny", str(name) or type(one).__name__, str(kind), reason, cause=error)


def _no_reason(answer: object) -> str:
    return "it said no" if answer is False else "it gave no answer; return True or False"

"""The account that is given of an evaluation: events for people, and a record from which it can be repeated."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from assent.errors import AssentError
from assent.governance.action import Action, Principal
from assent.governance.fingerprint import name_of
from assent.governance.kinds import kinds_of
from assent.governance.policy import Decision, Policy
from assent.governance.redaction import Record, Redaction


class Trace(NamedTuple):
    """Who said what, and how long it took."""

    policy: Policy
    decision: Decision
    took_us: int | None = None  # microseconds; None if nobody measured
    is_shadow: bool = False


def type_of_event(decision: Decision) -> str:
    """The public name of the event that tells of a decision."""
    match decision.outcome:
        case "allow":
            return "audit.logged" if decision.kind == "audit" else f"policy.{decision.kind}.passed"
        case "deny":
            return f"policy.{decision.kind}.failed"
        case _:
            return f"policy.{decision.kind}.warned"


def facts_of(decision: Decision, redaction: Redaction) -> Mapping[str, Any]:
    """What a decision says beside its outcome, as JSON data without secrets."""
    if type(decision.facts) is Record:
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


def facts_of_trace(trace: Trace, redaction: Redaction) -> Mapping[str, Any]:
    """The facts of a decision. What a policy in shadow mode wants to be hidden, it hides here only."""
    if not trace.is_shadow:
        return facts_of(trace.decision, redaction)
    own = getattr(trace.policy, "redaction", None)
    shown = facts_of(trace.decision, redaction | own if isinstance(own, Redaction) else redaction)
    return {**shown, "outcome": trace.decision.outcome}


def described(action: Action, redaction: Redaction) -> dict[str, Any]:
    """What can be told of an action: enough to ask other policies about it later."""
    return {
        "name": action.name,
        "digest": _digest_of(action),
        "arguments": redaction.apply(action.arguments) if action.captured else {},
        **({"types": kinds} if action.captured and (kinds := kinds_of(action.arguments)) else {}),
        "labels": sorted(action.labels),
        "risk": action.risk,
        "requester": _requester(action.requester),
        "context": redaction.apply(action.context) if action.context else {},
    }


def _digest_of(action: Action) -> str:
    try:
        return action.digest
    except AssentError:
        return ""  # its arguments cannot be stored; that is the business of whoever wants to store them


def _requester(who: Principal | None) -> dict[str, Any] | None:
    if who is None:
        return None
    return {"id": who.id, "roles": sorted(who.roles), "permissions": sorted(who.permissions)}


def recorded(trace: Trace, redaction: Redaction, is_captured: bool) -> dict[str, Any]:
    """One decision: who said it, in which edition, and why."""
    decision = trace.decision
    shown: dict[str, Any] = {"policy": decision.policy, "kind": decision.kind, **_edition(trace.policy)}
    shown["outcome"] = decision.outcome
    if trace.is_shadow:
        shown["mode"] = "shadow"
    if decision.requests:
        shown["asks"] = [{"approvers": one.electorate, "quorum": one.quorum} for one in decision.requests]
    # The facts of an audit have an event of their own.
    if is_captured and type(decision.facts) is not Record and (facts := dict(facts_of_trace(trace, redaction))):
        reason = facts.pop("reason", "")
        facts = {name: value for name, value in facts.items() if name != "outcome"} if trace.is_shadow else facts
        shown |= {"reason": reason} if reason else {}
        shown |= {"facts": facts} if facts else {}
    if trace.took_us is not None:
        shown["took_us"] = trace.took_us
    return shown


def _edition(one: object) -> dict[str, Any]:
    return (
        {"version": one.version, "digest": one.fingerprint()}
        if isinstance(one, Policy)
        else {"version": 0, "digest": ""}
    )

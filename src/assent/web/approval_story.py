"""The story of an approval as its page tells it: whose word is asked for, why, and what has happened to it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from assent.codec import from_json
from assent.governance import Roster
from assent.governance.approvals import ROLE, is_role, person
from assent.governance.asked import Asked
from assent.governance.voices import standing
from assent.store import Event, VerdictRecord

EVENTS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "policy.approval.reminded": ("Approvers were reminded", "", "bell"),
        "policy.approval.escalated": ("Nobody decided in time: it went to others", "warn", "sort"),
        "policy.approval.expired": ("Its time ran out", "bad", "clock"),
        "policy.approval.withdrawn": ("It is no longer needed", "", "cross"),
        "policy.approval.edited": ("The action was asked for anew, as changed", "accent", "edit"),
        "policy.approval.edit_refused": (
            "The changes are impossible; it was asked for anew, as it was",
            "warn",
            "warn",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Why:
    """One policy's part in it, as it was journaled when the action was evaluated."""

    policy: str
    kind: str
    outcome: str
    reason: str
    facts: Mapping[str, Any]
    asks: bool  # whether it is the one behind this request


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened to an approval."""

    at: float
    what: str
    tone: str = ""
    icon: str = "info"
    who: str = ""
    seat: str = ""
    reason: str = ""
    more: Sequence[str] = ()
    dwell: float | None = None  # seconds from when they first saw it


def seats_of(asked: Asked, roster: Roster) -> list[tuple[str, str, VerdictRecord | None]]:
    """Each approver by entry, what they are called, and what was said for them: an approval that counts, or a no."""
    if asked.request is None:
        return []
    said = {one.seat or one.approver: one for one in standing(asked.request, asked.verdicts) if _is_no(one)}
    said |= {voice.seat.entry: voice.verdict for voice in asked.voices}
    return [(entry, _name_of(entry, roster), said.get(entry)) for entry in asked.request.approvers]


def _is_no(verdict: VerdictRecord) -> bool:
    """Whether somebody did not want the action as it was asked for."""
    return verdict.decision == "reject" or verdict.changes is not None


def _name_of(entry: str, roster: Roster) -> str:
    if is_role(entry):
        return f"Anyone in {entry.removeprefix(ROLE)}"
    record = roster.people.get(person(entry))
    return record.name if record is not None and record.name else entry


def why_of(asked: Asked, events: Sequence[Event]) -> list[Why]:
    """What each policy said when the action was evaluated for this request."""
    request = asked.request
    if request is None:
        return []
    told: dict[str, Any] = {}
    for event in events:
        if event.type == "policy.evaluated" and event.at <= asked.record.created_at:
            facts = _facts(event)
            if facts.get("action", {}).get("digest") == request.action_digest:
                told = facts
    return [
        Why(
            policy=str(one.get("policy", "")),
            kind=str(one.get("kind", "")),
            outcome=str(one.get("outcome", "")),
            reason=str(one.get("reason", "")),
            facts=one.get("facts") or {},
            asks=one.get("policy") == request.policy,
        )
        for one in told.get("decisions", ())
        if isinstance(one, dict)
    ]


def _facts(event: Event) -> dict[str, Any]:
    try:
        found = from_json(event.value or "{}")
    except ValueError:  # an edited row tells of nothing
        return {}
    return found if isinstance(found, dict) else {}


def history_of_approval(asked: Asked, events: Sequence[Event]) -> list[Moment]:
    """What happened to an approval, oldest first."""
    record = asked.record
    by = asked.request.requester if asked.request else None
    found = [Moment(at=record.created_at, what="asked for approval", icon="send", tone="accent", who=by or "")]
    found += [_of_verdict(asked, one) for one in asked.verdicts]
    found += [moment for event in events if (moment := _of_event(event, record.id)) is not None]
    if record.used_by is not None:
        used = [one.at for one in events if one.type == "permit.consumed" and record.id in (one.value or "")]
        found += [Moment(at=at, what="The permit was used: the action may happen now, once", icon="key") for at in used]
    return sorted(found, key=lambda one: one.at)


def _of_verdict(asked: Asked, one: VerdictRecord) -> Moment:
    more = [f"if {condition}" for condition in one.conditions]
    if one.changes is not None:
        changes = from_json(one.changes)
        more += [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in changes.items()]
    what, tone, icon = {
        "approve": ("approved", "ok", "check"),
        "reject": ("rejected", "bad", "cross"),
        "revoke": ("took it back", "warn", "undo"),
    }.get(one.decision, (one.decision, "", "info"))
    if one.changes is not None:
        what, tone, icon = "approved with changes", "accent", "edit"
    if one.refusal is not None:
        what, tone, icon = f"tried to {one.decision}, refused: {one.refusal}", "warn", "warn"
    elif not asked.counts(one):
        what, tone = f"{what}, which does not count now", ""
    return Moment(
        at=one.at,
        what=what,
        tone=tone,
        icon=icon,
        who=one.approver,
        seat=one.seat if one.seat != one.approver else "",
        reason=one.reason,
        more=more,
        dwell=None if one.shown_at is None else max(0.0, one.at - one.shown_at),
    )


def _of_event(event: Event, approval_id: str) -> Moment | None:
    """What an event tells of an approval beside the verdicts."""
    known = EVENTS.get(event.type)
    if known is None:
        return None
    facts = _facts(event)
    if facts.get("approval_id") != approval_id:
        return None
    what, tone, icon = known
    return Moment(at=event.at, what=what, tone=tone, icon=icon, reason=str(facts.get("reason") or ""))

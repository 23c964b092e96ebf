"""Approvals as they stand, for programs and for people."""

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from assent.cli.output import Row, iso, moment, plain, short_moment, shortened, styled
from assent.cli.timeline import LONGEST_VALUE, compact, facts_in_words
from assent.cli.waiting import electorate_in_words, is_open
from assent.codec import from_json
from assent.governance import MandateTerms
from assent.governance.approvals import ApprovalRequest, person
from assent.governance.asked import Asked
from assent.store import ApprovalStatus, VerdictRecord

# For programs


def approval_facts(asked: Asked) -> dict[str, Any]:
    """An approval for programs."""
    record = asked.record
    return {
        "id": record.id,
        "execution_id": record.execution_id,
        "status": record.status.value,
        "created_at": iso(record.created_at),
        "expires_at": iso(record.expires_at),
        "decided_at": iso(record.decided_at),
        "used_by": record.used_by,
        "channels": list(record.channels),
        "votes": len(asked.voices),
        "missing": asked.missing,
        "request": _request_facts(asked.request) if asked.request else None,
        "verdicts": [_verdict_facts(asked, one) for one in asked.verdicts],
    }


def _request_facts(request: ApprovalRequest) -> dict[str, Any]:
    return {
        "title": request.subject,
        "kind": request.kind,
        "action": request.action,
        "arguments": dict(request.arguments),
        "preview": dict(request.preview) or None,
        "terms": dict(request.terms) or None,
        "requester": request.requester,
        "policy": request.policy,
        "approvers": list(request.approvers),
        "quorum": request.quorum,
        "each": request.each,
        "excluded": list(request.excluded),
        "stage": request.stage,
        "stages": request.stages,
        "stage_name": request.stage_name,
        "require_reason": request.require_reason,
        "separation_of_duties": request.separation_of_duties,
        "on_expiry": request.on_expiry,
        "escalate_to": [list(level) for level in request.escalate_to],
        "reminders": list(request.reminders),
        "labels": list(request.labels),
        "risk": request.risk,
    }


def _verdict_facts(asked: Asked, one: VerdictRecord) -> dict[str, Any]:
    return {
        "approver": one.approver,
        "decision": one.decision,
        "reason": one.reason,
        "at": iso(one.at),
        "refusal": one.refusal,
        "counts": asked.counts(one),
        "seat": one.seat,
        "conditions": list(one.conditions),
        "changes": None if one.changes is None else from_json(one.changes),
        "shown_at": iso(one.shown_at),
    }


# For people


def approval_row(asked: Asked, now: float) -> Row:
    """An approval as a line, with who may decide it, until when, and what has been said."""
    record = asked.record
    cells = [plain(record.id), status_of(asked, now), Text(short_moment(record.created_at, now)), plain(asked.subject)]
    notes = [plain(_progress(asked, now))]
    if asked.terms is not None:
        notes.append(plain(terms_in_words(asked.terms, now)))
    if asked.request is not None and asked.request.arguments:
        notes.append(plain(shortened(facts_in_words(dict(asked.request.arguments)), LONGEST_VALUE)))
    notes += [plain(verdict_in_words(asked, one), "" if asked.counts(one) else "dim") for one in asked.verdicts]
    return Row(cells, notes)


def status_of(asked: Asked, now: float) -> Text:
    """Where it stands; an open one whose time is over is expired, though nobody has noted it yet."""
    record = asked.record
    overdue = record.status is ApprovalStatus.PENDING and not is_open(record, now)
    return styled("expired" if overdue else record.status.value)


def _progress(asked: Asked, now: float) -> str:
    words, request, record = electorate_in_words(asked.request), asked.request, asked.record
    if request is None:
        return words
    if request.quorum > 1:
        words += f", {len(asked.voices)} of {request.quorum} so far"
    if request.stages > 1:
        words += f", stage {request.stage} of {request.stages}"
    if request.requester is not None:
        words += f", asked by {request.requester}"
    if is_open(record, now) and record.expires_at is not None:
        words += f", until {moment(record.expires_at, now)}"
    return words


def verdict_in_words(asked: Asked, one: VerdictRecord) -> str:
    """What one person said, from whose seat, and what becomes of it."""
    said = f"{one.approver}: {one.decision}{_seat_in_words(one)}{''.join(_terms_of_verdict(one))}"
    said += f" ({one.reason})" if one.reason else ""
    if one.refusal is not None:
        return f"{said}, refused: {one.refusal}"
    return said if asked.counts(one) else f"{said}, does not count now"


def _seat_in_words(one: VerdictRecord) -> str:
    return f" for {one.seat}" if one.seat and person(one.seat) != person(one.approver) else ""


def _terms_of_verdict(one: VerdictRecord) -> Iterator[str]:
    if one.changes is not None:
        yield f" with {changes_in_words(from_json(one.changes))}"
    if one.conditions:
        yield f" if {' and '.join(one.conditions)}"


def changes_in_words(changes: Any) -> str:
    """Which arguments somebody wants to be what."""
    if not isinstance(changes, dict):
        return compact(changes)
    return ", ".join(f"{name} = {compact(value)}" for name, value in changes.items())


def terms_in_words(terms: MandateTerms, now: float) -> str:
    """The bounds of a mandate."""
    parts = [f"good for {terms.action} until {moment(terms.until, now)}"]
    if terms.count is not None:
        parts.append(f"at most {terms.count} times")
    if terms.total is not None:
        parts.append(f"at most {terms.total:f} of {terms.amount} in all")
    parts += [f"only if {each}" for each in terms.only]
    return ", ".join(parts)

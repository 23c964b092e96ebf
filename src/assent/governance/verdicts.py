"""Deciding approvals: `judge` and `expire` applied by compare-and-set, so that of all processes one decides."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assent.clock import Clock
from assent.codec import to_json
from assent.errors import ApprovalNotFound, UsageError, VerdictRefused
from assent.governance.approvals import DECISIONS, Judgement, expire, intact_request, judge, signal_name
from assent.store import ApprovalRecord, ApprovalStatus, Event, Message, Store, VerdictRecord


async def cast(
    store: Store, clock: Clock, approval_id: str, *, approver: str, decision: str, reason: str = ""
) -> ApprovalRecord:
    """Give a person's verdict ("approve" or "reject"), and return the approval as it is afterwards.

    The caller answers for who the approver is. A verdict that does not count is kept on record with the reason, and
    raised as VerdictRefused.
    """
    if decision not in DECISIONS:
        raise UsageError(f'{decision!r} is no verdict. Give "approve" or "reject".')
    while True:  # a compare-and-set fails only if another verdict came first, and of these there are few
        record = await find(store, approval_id)
        now = clock.now()
        verdict = VerdictRecord(approval_id=approval_id, approver=approver, decision=decision, reason=reason, at=now)
        judged = judge(record, await store.verdicts(approval_id), verdict, now)
        event = _event_of(record, _type_of_verdict(judged), now, _facts_of(judged))
        word = _message_of(judged.record, now, approver, reason) if judged.decides else None
        if await store.decide(judged.record, judged.verdict, [event], word):
            break
    if judged.refusal is not None:
        raise _refused(record, judged.refusal)
    return judged.record


async def lapse(store: Store, clock: Clock, approval_id: str) -> ApprovalRecord:
    """See to an approval whose time has run out, and return it as it is afterwards; a verdict that came first wins."""
    while True:  # as above
        record = await find(store, approval_id)
        now = clock.now()
        following = expire(record, now)
        if following is record:
            return record
        events = [_event_of(following, kind, now, {"status": following.status}) for kind in _types_of_expiry(following)]
        word = None if following.status is ApprovalStatus.PENDING else _message_of(following, now)
        if await store.decide(following, None, events, word):
            return following


async def withdraw(store: Store, clock: Clock, approval_id: str) -> ApprovalRecord:
    """Close an open approval that its execution no longer needs; a verdict that came first stands."""
    while True:  # as above
        record = await find(store, approval_id)
        if record.status is not ApprovalStatus.PENDING:
            return record
        now = clock.now()
        following = replace(record, status=ApprovalStatus.WITHDRAWN, version=record.version + 1, decided_at=now)
        if await store.decide(following, None, [_event_of(record, "policy.approval.withdrawn", now, {})]):
            return following


async def find(store: Store, approval_id: str) -> ApprovalRecord:
    """The approval of that id. Raises ApprovalNotFound."""
    record = await store.approval(approval_id)
    if record is None:
        raise ApprovalNotFound(
            f"There is no approval {approval_id!r} in this store. `assent approvals` lists the open ones.",
            approval_id=approval_id,
        )
    return record


def _refused(record: ApprovalRecord, reason: str) -> VerdictRefused:
    request = intact_request(record)
    return VerdictRefused(
        f"The verdict does not count: {reason}.",
        approval_id=record.id,
        reason=reason,
        execution_id=record.execution_id,
        action=request.action if request else "",
    )


def _event_of(record: ApprovalRecord, kind: str, now: float, facts: Mapping[str, Any]) -> Event:
    request = intact_request(record)
    value = to_json({"approval_id": record.id, **facts})
    return Event(record.execution_id, kind, now, name=request.policy if request else None, value=value)


def _type_of_verdict(judged: Judgement) -> str:
    if judged.refusal is not None:
        return "policy.approval.refused"
    return f"policy.approval.{judged.record.status.value if judged.decides else 'voted'}"


def _types_of_expiry(following: ApprovalRecord) -> list[str]:
    match following.status:
        case ApprovalStatus.PENDING:
            return ["policy.approval.escalated"]
        case ApprovalStatus.GRANTED:
            return ["policy.approval.expired", "policy.approval.granted"]
        case _:
            return ["policy.approval.expired"]


def _facts_of(judged: Judgement) -> dict[str, Any]:
    verdict = judged.verdict
    facts: dict[str, Any] = {"approver": verdict.approver, "decision": verdict.decision, "reason": verdict.reason}
    return {**facts, "refusal": verdict.refusal} if verdict.refusal else {**facts, "approvals": judged.counted}


def _message_of(record: ApprovalRecord, now: float, approver: str | None = None, reason: str = "") -> Message:
    """Word of a decision to the execution that waits for it; `approver` is None if nobody decided in time."""
    facts = {
        "status": record.status,
        "approver": approver,
        "reason": reason,
        "decided_at": record.decided_at,
        "digest": record.digest,  # another than at first if it was escalated
        "expires_at": record.expires_at,
    }
    return Message(
        execution_id=record.execution_id,
        kind="signal",
        name=signal_name(record.id),
        value=to_json(facts),
        sender=approver,
        at=now,
    )

"""Deciding approvals: `judge` and `expire` applied by compare-and-set, so that of all processes one decides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assent.clock import Clock
from assent.codec import from_json, to_json
from assent.errors import ApprovalNotFound, UsageError, VerdictRefused
from assent.governance.action import names_of
from assent.governance.approvals import DECISIONS, ApprovalRequest, expire, intact_request, person, signal_name
from assent.governance.conditions import Condition
from assent.governance.judging import Judgement, judge
from assent.governance.people import history_of, roster_of, speakers
from assent.governance.voices import objection
from assent.store import ApprovalRecord, ApprovalStatus, Event, Message, Store, VerdictRecord


async def cast(
    store: Store,
    clock: Clock,
    approval_id: str,
    *,
    approver: str,
    decision: str,
    reason: str = "",
    changes: Mapping[str, Any] | None = None,
    conditions: Sequence[str] = (),
) -> ApprovalRecord:
    """Give a person's verdict ("approve", "reject" or "revoke"), and return the approval as it is afterwards.

    The caller answers for who the approver is. A verdict that does not count is kept on record with the reason, and
    raised as VerdictRefused. An approval with `changes` (new JSON values by argument) ends this approval: the edited
    action is asked for anew. One under `conditions` that do not hold is kept, but counts only for an edited action.
    """
    verdict = VerdictRecord(
        approval_id=approval_id,
        approver=approver,
        decision=decision,
        reason=reason,
        at=clock.now(),
        changes=_changes(decision, changes),
        conditions=_conditions(decision, changes, conditions),
    )
    while True:  # a compare-and-set fails only if another verdict came first, and of these there are few
        record = await find(store, approval_id)
        now = clock.now()  # before the roster: who is disabled after this moment was not when it was decided
        said = await store.verdicts(approval_id)
        roster = await roster_of(store, now, {approver, *speakers(said)})
        verdict = replace(verdict, at=now, shown_at=await _shown(store, approval_id, approver))
        judged = judge(record, said, verdict, now, roster)
        event = _event_of(record, _type_of_verdict(judged), now, _facts_of(judged))
        if await store.decide(judged.record, judged.verdict, [event], _word_of(judged, now)):
            break
    if judged.refusal is not None:
        raise _refused(record, judged.refusal)
    return judged.record


@dataclass(frozen=True, slots=True)
class Cast:
    """What became of one of several verdicts: the approval as it is afterwards, or why the verdict does not count."""

    approval_id: str
    record: ApprovalRecord | None = None
    refusal: str | None = None


async def cast_all(
    store: Store,
    clock: Clock,
    ids: Iterable[str],
    *,
    approver: str,
    decision: str,
    reason: str = "",
    conditions: Sequence[str] = (),
) -> list[Cast]:
    """Give the same verdict on several approvals, in order; where it does not count it stops none of the others."""
    _conditions(decision, None, conditions)
    found: list[Cast] = []
    for approval_id in names_of("ids", ids):
        try:
            record = await cast(
                store, clock, approval_id, approver=approver, decision=decision, reason=reason, conditions=conditions
            )
            found.append(Cast(approval_id, record))
        except VerdictRefused as error:
            found.append(Cast(approval_id, refusal=error.reason))
        except ApprovalNotFound as error:
            found.append(Cast(approval_id, refusal=str(error)))
    return found


def _changes(decision: str, changes: Mapping[str, Any] | None) -> str | None:
    """The changes as JSON."""
    if decision not in DECISIONS:
        raise UsageError(f'{decision!r} is no verdict. Give "approve", "reject" or "revoke".')
    if changes is None:
        return None
    try:
        text = to_json(dict(changes))
    except ValueError as error:
        raise UsageError(f"changes={changes!r} is no JSON: {error}. Give JSON values by argument.") from error
    if decision != "approve":
        raise UsageError(f'changes={changes!r} go with an approval. Give decision="approve", or no changes.')
    return text


def _conditions(decision: str, changes: Mapping[str, Any] | None, conditions: Sequence[str]) -> tuple[str, ...]:
    """The conditions in one form."""
    given = names_of("conditions", conditions)
    if given and (decision != "approve" or changes is not None):
        raise UsageError(f'conditions={list(given)} go with a plain approval: decision="approve" and no changes.')
    return tuple(Condition.parse(text).to_text() for text in given)


async def show(store: Store, clock: Clock, approval_id: str, who: str) -> float:
    """Note that a person sees an approval; return when they first saw it. It gives the dwell time of their verdict."""
    return await store.show(approval_id, person(who), clock.now())


async def _shown(store: Store, approval_id: str, who: str) -> float | None:
    found = await store.shown(approval_id, person(who))
    return found if found is not None or person(who) == who else await store.shown(approval_id, who)


async def lapse(store: Store, clock: Clock, approval_id: str) -> ApprovalRecord:
    """See to an approval whose time has run out, and return it as it is afterwards; a verdict that came first wins."""
    while True:  # as above
        record = await find(store, approval_id)
        now = clock.now()
        following = expire(record, now)
        if following is record:
            return record
        facts = _facts_of_expiry(following)
        events = [_event_of(following, kind, now, facts) for kind in _types_of_expiry(following)]
        word = None if following.status is ApprovalStatus.PENDING else _message_of(following, now)
        if await store.decide(following, None, events, word):
            return following


async def remind(store: Store, clock: Clock, approval_id: str) -> bool:
    """Remind those who may decide; False if there is nothing to decide any more."""
    while True:  # as above
        record = await find(store, approval_id)
        now = clock.now()
        request = intact_request(record)
        is_over = record.expires_at is not None and record.expires_at <= now
        if request is None or is_over or record.status is not ApprovalStatus.PENDING:
            return False
        facts = {"approvers": request.approvers, "expires_at": record.expires_at}
        event = _event_of(record, "policy.approval.reminded", now, facts)
        if await store.remind(replace(record, version=record.version + 1), [event]):
            return True


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


async def objection_to(store: Store, approval_id: str, asked: ApprovalRequest) -> str | None:
    """Why a stored approval is no authority for what was asked, in words for people; None if it is."""
    record = await store.approval(approval_id)
    verdicts = await store.verdicts(approval_id)
    roster = await history_of(store, speakers(verdicts))
    found = objection(record, asked, verdicts, roster)
    if found is None or record is None or record.status is not ApprovalStatus.GRANTED:
        return found
    # Only now is it worth reading: somebody may have lost the role in which they approved.
    return objection(record, asked, verdicts, roster, await store.journal(record.execution_id))


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


def _facts_of_expiry(following: ApprovalRecord) -> dict[str, Any]:
    request = intact_request(following)
    if following.status is not ApprovalStatus.PENDING or request is None:
        return {"status": following.status}
    return {"status": following.status, "approvers": request.approvers, "expires_at": following.expires_at}


def _facts_of(judged: Judgement) -> dict[str, Any]:
    verdict = judged.verdict
    facts: dict[str, Any] = {"approver": verdict.approver, "decision": verdict.decision, "reason": verdict.reason}
    if verdict.conditions:
        facts["conditions"] = verdict.conditions
    if verdict.changes is not None:
        facts["changes"] = from_json(verdict.changes)
    if verdict.refusal is not None:
        return {**facts, "refusal": verdict.refusal}
    if verdict.seat and person(verdict.seat) != person(verdict.approver):
        facts["seat"] = verdict.seat
    if not judged.counts:
        facts["counts"] = False
    return {**facts, "approvals": judged.counted}


def _word_of(judged: Judgement, now: float) -> Message | None:
    # Who waited for a grant that is taken back has had word of it, and reads what has become of it.
    if not judged.decides or judged.record.status is ApprovalStatus.REVOKED:
        return None
    return _message_of(judged.record, now, judged.verdict.approver, judged.verdict.reason)


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

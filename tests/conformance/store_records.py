"""Records for the suite of stores: complete, with only what matters to a test spelled out."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from assent.codec import to_json
from assent.store import (
    ApprovalRecord,
    ApprovalStatus,
    Change,
    Commit,
    CredentialRecord,
    DelegationRecord,
    Event,
    ExecutionRecord,
    Hold,
    Message,
    Permit,
    PersonRecord,
    Status,
    Store,
    VerdictRecord,
    WorkerRecord,
    Workflow,
)

OWNER = "worker-1"
OTHER = "worker-2"
PAY = Workflow("pay", 1)
NOW = 1_700_000_000.0
REQUEST = '{"ask":"pay 50000"}'


def worker(worker_id: str = OWNER, expires_at: float = NOW + 30, **facts: Any) -> WorkerRecord:
    given: Mapping[str, Any] = {"host": "here", "pid": 7, "started_at": NOW, **facts}
    return WorkerRecord(id=worker_id, expires_at=expires_at, **given)


def execution(execution_id: str = "e1", **facts: Any) -> ExecutionRecord:
    """A new execution of `pay`, due at once."""
    given = {"name": "pay", "version": 1, "arguments": "{}", "digest": "d", "created_at": NOW, "updated_at": NOW}
    return ExecutionRecord(id=execution_id, **{**given, "wake_at": 0.0, **facts})


def event(execution_id: str = "e1", type: str = "step.completed", at: float = NOW, **facts: Any) -> Event:
    return Event(execution_id, type, at, **facts)


def signal(execution_id: str = "e1", name: str = "go", **facts: Any) -> Message:
    return Message(execution_id=execution_id, kind="signal", name=name, at=NOW, **facts)


def credential(credential_id: str = "c1", **facts: Any) -> CredentialRecord:
    """A token of ann's that never expires."""
    given: Mapping[str, Any] = {"kind": "token", "person": "ann", "created_at": NOW}
    return CredentialRecord(id=credential_id, **{**given, "digest": f"digest of {credential_id}", **facts})


def digest_of(request: str) -> str:
    return hashlib.sha256(request.encode()).hexdigest()


def approval(approval_id: str = "a1", execution_id: str = "e1", **facts: Any) -> ApprovalRecord:
    given = {"request": REQUEST, "digest": digest_of(REQUEST), "created_at": NOW, **facts}
    return ApprovalRecord(id=approval_id, execution_id=execution_id, **given)


def granted(approval_id: str = "a1", execution_id: str = "e1", **facts: Any) -> ApprovalRecord:
    given = {"status": ApprovalStatus.GRANTED, "version": 1, "decided_at": NOW, **facts}
    return approval(approval_id, execution_id, **given)


def verdict(
    approver: str = "cfo", decision: str = "approve", refusal: str | None = None, **facts: Any
) -> VerdictRecord:
    given: Mapping[str, Any] = {"approval_id": "a1", "at": NOW, **facts}
    return VerdictRecord(approver=approver, decision=decision, refusal=refusal, **given)


def permit(permit_id: str = "p1", approvals: Sequence[str] = ("a1",), **facts: Any) -> Permit:
    given = {"action_digest": "action", **facts}
    return Permit(id=permit_id, approvals=[(name, digest_of(REQUEST)) for name in approvals], **given)


def person(person_id: str = "ann", **facts: Any) -> PersonRecord:
    return PersonRecord(id=person_id, **{"created_at": NOW, **facts})


def delegation(delegation_id: str = "d1", **facts: Any) -> DelegationRecord:
    given: Mapping[str, Any] = {"delegator": "ann", "delegate": "bob", "since": NOW, "until": NOW + 60, **facts}
    return DelegationRecord(id=delegation_id, **given)


def mandate(mandate_id: str = "m1", action: str = "pay", until: float = NOW + 60, **facts: Any) -> ApprovalRecord:
    """A mandate that people have granted already."""
    request = to_json({"action": action, "kind": "mandate", "terms": {"until": until}})
    given = {"status": ApprovalStatus.GRANTED, "request": request, "digest": digest_of(request), **facts}
    return approval(mandate_id, **given)


def drawing(permit_id: str, *holds: Hold, **facts: Any) -> Permit:
    """A permit that needs no approvals, and draws on something."""
    return permit(permit_id, approvals=(), holds=holds, **facts)


def commit(*events: Event, execution_id: str = "e1", **facts: Any) -> Commit:
    return Commit(execution_id=execution_id, events=list(events), **facts)


def finish(execution_id: str = "e1", status: Status = Status.COMPLETED, **facts: Any) -> Commit:
    return commit(event(execution_id), execution_id=execution_id, change=Change(status=status), **facts)


async def own(store: Store, *execution_ids: str) -> None:
    """Executions that OWNER drives."""
    for execution_id in execution_ids:
        await store.create(execution(execution_id))
        assert await store.claim_one(OWNER, execution_id)


async def found(store: Store, execution_id: str = "e1") -> ExecutionRecord:
    """An execution that is there."""
    record = await store.execution(execution_id)
    assert record is not None
    return record


async def types(store: Store, execution_id: str = "e1") -> list[str]:
    """The types of an execution's events, in order."""
    return [event.type for event in await store.journal(execution_id)]

"""What one commit checks and writes, within the transaction of its group."""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

import hashlib
from collections.abc import Sequence

from assent.codec import to_json
from assent.errors import ExecutionConflict, PermitRefused
from assent.store.records import (
    FINAL,
    ApprovalRecord,
    ApprovalStatus,
    Change,
    Commit,
    Event,
    Message,
    Permit,
    VerdictRecord,
)
from assent.store.rows import APPROVAL, EXECUTION, VERDICT, approval_row, execution_row, insert, verdict_row
from assent.store.writer import Transaction

ADD_EXECUTION = insert(EXECUTION, "executions")
ADD_APPROVAL = insert(APPROVAL, "approvals")
ADD_VERDICT = insert(VERDICT, "verdicts")
UNFINISHED = f"status NOT IN ({', '.join(f'{status.value!r}' for status in sorted(FINAL))})"


def write_commit(owner: str, commit: Commit, transaction: Transaction) -> None:
    """Check all guards, then write all rows. A refusal leaves the transaction as it was."""
    transaction.fence(owner)
    if commit.create is not None:
        _check_new(commit.create.id, transaction)
    if commit.permit is not None:
        _check_permit(commit, commit.permit, transaction)
    if commit.create is not None:
        transaction.execute(ADD_EXECUTION, execution_row(commit.create))
    if commit.permit is not None:
        _take_up(commit, commit.permit, transaction)
    if commit.withdraws:
        _withdraw(commit, transaction)
    _write_rows(commit, transaction)
    if commit.change is not None:
        _write_change(commit, commit.change, transaction)
    if commit.unseals:
        transaction.execute("DELETE FROM sealed WHERE execution_id = ?", (commit.execution_id,))
    transaction.events += commit.events


def deliver(message: Message, transaction: Transaction) -> bool:
    """Put a message in an inbox and make its execution due. False: there is none, or it has ended."""
    delivered = transaction.execute(
        "INSERT INTO inbox (execution_id, kind, name, value, sender, at)"
        f" SELECT id, ?, ?, ?, ?, ? FROM executions WHERE id = ? AND {UNFINISHED}",
        (message.kind, message.name, message.value, message.sender, message.at, message.execution_id),
    )
    if delivered.rowcount != 1:
        return False
    transaction.execute("UPDATE executions SET wake_at = 0 WHERE id = ?", (message.execution_id,))
    return True


def write_decision(
    approval: ApprovalRecord,
    verdict: VerdictRecord | None,
    events: Sequence[Event],
    message: Message | None,
    transaction: Transaction,
) -> bool:
    """Store a decision by compare-and-set; a refused verdict is only put on record. False: somebody came first."""
    if verdict is not None and verdict.refusal is not None:
        applies = transaction.execute("SELECT 1 FROM approvals WHERE id = ?", (approval.id,)).fetchone() is not None
    else:
        applies = _replace(approval, transaction)
    if not applies:
        return False
    if verdict is not None:
        transaction.execute(ADD_VERDICT, verdict_row(verdict))
        message = message if verdict.refusal is None else None
    if message is not None:
        deliver(message, transaction)
    transaction.events += events
    return True


def _replace(approval: ApprovalRecord, transaction: Transaction) -> bool:
    # The version in the condition closes the race between two deciders who read the same approval.
    replaced = transaction.execute(
        "UPDATE approvals SET request = ?, digest = ?, status = ?, version = ?, expires_at = ?, decided_at = ?"
        " WHERE id = ? AND version = ?",
        (
            approval.request,
            approval.digest,
            approval.status,
            approval.version,
            approval.expires_at,
            approval.decided_at,
            approval.id,
            approval.version - 1,
        ),
    )
    return replaced.rowcount == 1


def _check_new(execution_id: str, transaction: Transaction) -> None:
    if transaction.execute("SELECT 1 FROM executions WHERE id = ?", (execution_id,)).fetchone():
        raise ExecutionConflict(f"Execution {execution_id!r} exists already; look it up, or choose another id.")


def _check_permit(commit: Commit, permit: Permit, transaction: Transaction) -> None:
    used = transaction.execute("SELECT action_digest FROM permits WHERE id = ?", (permit.id,)).fetchone()
    if used and not permit.again:
        raise _refused(commit, permit, "already used")
    if permit.again and used != (permit.action_digest,):
        raise _refused(commit, permit, "used for another action" if used else "never used, so it cannot be used again")
    for approval_id, digest in permit.approvals:
        reason = _objection(approval_id, digest, transaction)
        if reason is not None:
            raise _refused(commit, permit, reason)


def _objection(approval_id: str, digest: str, transaction: Transaction) -> str | None:
    found = transaction.execute("SELECT status, digest, request FROM approvals WHERE id = ?", (approval_id,)).fetchone()
    if found is None:
        return f"approval {approval_id!r} is gone"
    status, stored_digest, request = found
    if status != ApprovalStatus.GRANTED:
        return f"approval {approval_id!r} is {status}, not granted"
    if stored_digest != digest:
        return f"the digest of approval {approval_id!r} has changed"
    if hashlib.sha256(request.encode()).hexdigest() != digest:
        return f"the request of approval {approval_id!r} was edited"
    return None


def _refused(commit: Commit, permit: Permit, reason: str) -> PermitRefused:
    return PermitRefused(
        f"The permit {permit.id!r} does not hold: {reason}. Nothing was done; ask for a new approval.",
        execution_id=commit.execution_id,
        action=next((event.name for event in commit.events if event.name), ""),
        reason=reason,
    )


def _take_up(commit: Commit, permit: Permit, transaction: Transaction) -> None:
    if not permit.again:
        transaction.execute(
            "INSERT INTO permits (id, execution_id, action_digest, at) VALUES (?, ?, ?, ?)",
            (permit.id, commit.execution_id, permit.action_digest, _moment(commit)),
        )


def _withdraw(commit: Commit, transaction: Transaction) -> None:
    at = _moment(commit)
    withdrawn = transaction.execute(
        "UPDATE approvals SET status = 'withdrawn', version = version + 1, decided_at = ?"
        " WHERE execution_id = ? AND +status = 'pending' RETURNING id, request ->> '$.policy'",
        (at, commit.execution_id),
    )
    for approval_id, policy in withdrawn.fetchall():
        facts = to_json({"approval_id": approval_id})
        transaction.events.append(
            Event(commit.execution_id, "policy.approval.withdrawn", at or 0.0, name=policy, value=facts)
        )


def _write_rows(commit: Commit, transaction: Transaction) -> None:
    if commit.blobs:
        transaction.executemany("INSERT OR IGNORE INTO blobs (digest, text) VALUES (?, ?)", commit.blobs)
    if commit.sealed:
        transaction.executemany(
            "INSERT OR REPLACE INTO sealed (execution_id, op, text) VALUES (?, ?, ?)",
            [(commit.execution_id, op, text) for op, text in commit.sealed],
        )
    if commit.approvals:
        transaction.executemany(ADD_APPROVAL, [approval_row(approval) for approval in commit.approvals])
    if commit.consumed:
        transaction.executemany(
            "DELETE FROM inbox WHERE seq = ? AND execution_id = ?",
            [(seq, commit.execution_id) for seq in commit.consumed],
        )
    for message in commit.messages:
        deliver(message, transaction)


def _write_change(commit: Commit, change: Change, transaction: Transaction) -> None:
    head = (change.status, change.waits, change.cause, _moment(commit))
    if change.status.is_final:
        transaction.execute(
            "UPDATE executions SET status = ?, waits = ?, cause = ?, updated_at = coalesce(?, updated_at),"
            " wake_at = NULL, owner = NULL WHERE id = ?",
            (*head, commit.execution_id),
        )
        transaction.execute("DELETE FROM inbox WHERE execution_id = ?", (commit.execution_id,))
        return
    # Word that came after the owner last looked would be overwritten by the `wake_at` that it decided on without
    # that word; so the execution stays due.
    transaction.execute(
        "UPDATE executions SET status = ?, waits = ?, cause = ?, updated_at = coalesce(?, updated_at),"
        " wake_at = CASE WHEN EXISTS (SELECT 1 FROM inbox WHERE execution_id = executions.id AND seq > ?)"
        " THEN 0 ELSE ? END, owner = CASE WHEN ? THEN NULL ELSE owner END WHERE id = ?",
        (*head, commit.seen, change.wake_at, change.release, commit.execution_id),
    )


def _moment(commit: Commit) -> float | None:
    return commit.events[-1].at if commit.events else None

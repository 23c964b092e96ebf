"""What becomes of approvals, by compare-and-set, and the notices that tell of it in the same transaction."""

from collections.abc import Sequence

from assent.codec import to_json
from assent.store.inbox import deliver
from assent.store.records import ApprovalRecord, ApprovalStatus, Event, Message, VerdictRecord
from assent.store.rows import APPROVAL, VERDICT, approval_row, collection, insert, verdict_row
from assent.store.writer import Transaction

ADD_APPROVAL = insert(APPROVAL, "approvals")
ADD_VERDICT = insert(VERDICT, "verdicts")
BEFORE = "SELECT request, channels FROM approvals WHERE id = ?"


def open_approvals(approvals: Sequence[ApprovalRecord], transaction: Transaction) -> None:
    """Add approvals, and tell of them."""
    transaction.executemany(ADD_APPROVAL, [approval_row(approval) for approval in approvals])
    for approval in approvals:
        _tell(approval.id, approval.channels, "requested", approval.created_at, transaction)


def write_decision(
    approval: ApprovalRecord,
    verdict: VerdictRecord | None,
    events: Sequence[Event],
    message: Message | None,
    transaction: Transaction,
) -> bool:
    """Store a decision by compare-and-set; a refused verdict is only put on record. False: somebody came first."""
    before = transaction.execute(BEFORE, (approval.id,)).fetchone()
    if before is None:
        return False
    if verdict is None or verdict.refusal is None:
        if not _replace(approval, transaction):
            return False
        _tell_of_change(approval, before, events, transaction)
    if verdict is not None:
        transaction.execute(ADD_VERDICT, verdict_row(verdict))
        message = message if verdict.refusal is None else None
    if message is not None:
        deliver(message, transaction)
    transaction.events += events
    return True


def write_reminder(approval: ApprovalRecord, events: Sequence[Event], transaction: Transaction) -> bool:
    """Tell of an approval once more, if it still is as the caller has read it."""
    # The version in the condition closes the race with deciders, and with whoever reminds at the same time.
    reminded = transaction.execute(
        "UPDATE approvals SET version = ? WHERE id = ? AND version = ? AND status = 'pending' RETURNING channels",
        (approval.version, approval.id, approval.version - 1),
    ).fetchall()
    if not reminded:
        return False
    channels = collection(reminded[0][0])
    at = events[-1].at if events else approval.created_at
    _tell(approval.id, channels, "reminded", at, transaction, version=approval.version)
    transaction.events += events
    return True


def withdraw(execution_id: str, at: float | None, transaction: Transaction) -> None:
    """Close what is open of an execution, and tell of it."""
    withdrawn = transaction.execute(
        "UPDATE approvals SET status = 'withdrawn', version = version + 1, decided_at = ?"
        " WHERE execution_id = ? AND +status = 'pending'"
        " RETURNING id, CASE WHEN json_valid(request) THEN request ->> '$.policy' END, channels",
        (at, execution_id),
    )
    for approval_id, policy, channels in withdrawn.fetchall():
        facts = to_json({"approval_id": approval_id})
        transaction.events.append(Event(execution_id, "policy.approval.withdrawn", at or 0.0, name=policy, value=facts))
        _tell(approval_id, collection(channels), ApprovalStatus.WITHDRAWN, at or 0.0, transaction)


def _replace(approval: ApprovalRecord, transaction: Transaction) -> bool:
    # The version in the condition closes the race between two deciders who read the same approval, `used_by` the one
    # between a decider and the effect.
    replaced = transaction.execute(
        "UPDATE approvals SET request = ?, digest = ?, status = ?, version = ?, expires_at = ?, decided_at = ?"
        " WHERE id = ? AND version = ? AND used_by IS NULL",
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


def _tell_of_change(
    approval: ApprovalRecord, before: tuple[str, str | None], events: Sequence[Event], transaction: Transaction
) -> None:
    request, channels = before
    at = events[-1].at if events else approval.decided_at or approval.created_at
    if approval.status != ApprovalStatus.PENDING:
        _tell(approval.id, collection(channels), approval.status, at, transaction)
    elif approval.request != request:
        _tell(approval.id, collection(channels), "escalated", at, transaction, version=approval.version)


def _tell(
    approval_id: str,
    channels: Sequence[str],
    topic: str,
    at: float,
    transaction: Transaction,
    *,
    version: int | None = None,
) -> None:
    """Write one notice for each channel, once; `version` tells topics apart that come more than once."""
    tail = "" if version is None else f":{version}"
    for channel in channels:
        transaction.execute(
            "INSERT OR IGNORE INTO notices"
            " (id, approval_id, channel, topic, recipient, created_at, due_at, attempts, status)"
            " VALUES (?, ?, ?, ?, '', ?, ?, 0, 'pending')",
            (f"{approval_id}:{topic}:{channel}{tail}", approval_id, channel, topic, at, at),
        )

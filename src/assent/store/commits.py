"""What one commit checks and writes, within the transaction of its group."""

from assent.errors import ExecutionConflict
from assent.store.decisions import open_approvals, withdraw
from assent.store.holds import settle
from assent.store.inbox import deliver
from assent.store.permits import check_permit, take_up
from assent.store.records import Change, Commit
from assent.store.rows import EXECUTION, execution_row, insert
from assent.store.writer import Transaction

ADD_EXECUTION = insert(EXECUTION, "executions")


def write_commit(owner: str, commit: Commit, transaction: Transaction) -> None:
    """Check all guards, then write all rows. A refusal leaves the transaction as it was."""
    transaction.fence(owner)
    if commit.create is not None:
        _check_new(commit.create.id, transaction)
    if commit.permit is not None:
        check_permit(commit, commit.permit, transaction)
    if commit.create is not None:
        transaction.execute(ADD_EXECUTION, execution_row(commit.create))
    if commit.permit is not None:
        take_up(commit, commit.permit, transaction)
    if commit.withdraws:
        withdraw(commit.execution_id, _moment(commit), transaction)
    _write_rows(commit, transaction)
    if commit.settlement is not None:
        settle(commit.settlement, transaction)
    if commit.change is not None:
        _write_change(commit, commit.change, transaction)
    if commit.unseals:
        transaction.execute("DELETE FROM sealed WHERE execution_id = ?", (commit.execution_id,))
    transaction.events += commit.events


def _check_new(execution_id: str, transaction: Transaction) -> None:
    if transaction.execute("SELECT 1 FROM executions WHERE id = ?", (execution_id,)).fetchone():
        raise ExecutionConflict(f"Execution {execution_id!r} exists already; look it up, or choose another id.")


def _write_rows(commit: Commit, transaction: Transaction) -> None:
    if commit.blobs:
        transaction.executemany("INSERT OR IGNORE INTO blobs (digest, text) VALUES (?, ?)", commit.blobs)
    if commit.sealed:
        transaction.executemany(
            "INSERT OR REPLACE INTO sealed (execution_id, op, text) VALUES (?, ?, ?)",
            [(commit.execution_id, op, text) for op, text in commit.sealed],
        )
    if commit.approvals:
        open_approvals(commit.approvals, transaction)
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

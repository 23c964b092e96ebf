"""Word to executions from outside."""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

from assent.store.records import FINAL, Message
from assent.store.writer import Transaction

UNFINISHED = f"status NOT IN ({', '.join(f'{status.value!r}' for status in sorted(FINAL))})"


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

"""Notices that are to be sent: written in the transaction of what they tell of, and handed out to those who send."""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from assent.store import rows
from assent.store.decisions import write_reminder
from assent.store.file import SqliteFile
from assent.store.records import ApprovalRecord, Event, NoticeRecord, NoticeStatus
from assent.store.writer import Transaction

NOTICES: Final = rows.select(rows.NOTICE, "notices")
ADD_ONCE: Final = rows.insert(rows.NOTICE, "notices").replace("INSERT", "INSERT OR IGNORE", 1)
# Its words are those of the partial index `notices_due`.
DUE: Final = "status = 'pending' AND channel = ?"


class SqliteOutbox(SqliteFile):
    """The outbox, in the table of notices."""

    async def notices(
        self,
        status: NoticeStatus | None = None,
        approval_id: str | None = None,
        *,
        before: str | None = None,
        limit: int = 100,
    ) -> list[NoticeRecord]:
        conditions, values = rows.where(
            ("status = ?", status),
            ("approval_id = ?", approval_id),
            ("seq < (SELECT seq FROM notices WHERE id = ?)", before),
        )
        if status not in {None, NoticeStatus.SENT}:
            conditions += " AND status <> 'sent'"  # the words of the partial index `notices_unsent`
        found = self._read(f"{NOTICES} {conditions} ORDER BY seq DESC LIMIT ?", *values, limit)
        return [rows.notice_of(row) for row in found]

    async def claim_notices(
        self, channels: Sequence[str], *, now: float, until: float, limit: int
    ) -> list[NoticeRecord]:
        due = f"{NOTICES} WHERE {DUE} AND due_at <= ? ORDER BY due_at LIMIT ?"

        def work(transaction: Transaction) -> list[NoticeRecord]:
            found: list[NoticeRecord] = []
            for channel in set(channels):
                found += map(rows.notice_of, transaction.execute(due, (channel, now, limit)))
            found.sort(key=lambda notice: (notice.due_at, notice.created_at, notice.id))
            return [_claimed(notice, until, transaction) for notice in found[:limit]]

        return await self._writer.put(work)

    async def close_notice(self, notice: NoticeRecord, parts: Sequence[NoticeRecord] = ()) -> None:
        await self._writer.put(_close, notice, parts)

    async def next_notice(self, channels: Sequence[str]) -> float | None:
        sql = f"SELECT min(due_at) FROM notices WHERE {DUE}"
        found = [self._read(sql, channel)[0][0] for channel in channels]
        return min((due_at for due_at in found if due_at is not None), default=None)

    async def remind(self, approval: ApprovalRecord, events: Sequence[Event]) -> bool:
        return await self._writer.put(write_reminder, approval, events)


def _claimed(notice: NoticeRecord, until: float, transaction: Transaction) -> NoticeRecord:
    sql = "UPDATE notices SET due_at = ?, attempts = attempts + 1 WHERE id = ?"
    transaction.execute(sql, (until, notice.id))
    return replace(notice, due_at=until, attempts=notice.attempts + 1)


def _close(notice: NoticeRecord, parts: Sequence[NoticeRecord], transaction: Transaction) -> None:
    # Whoever took longer than its claim may come after another who has sent it: what was sent stays sent.
    closed = transaction.execute(
        "UPDATE notices SET status = ?, attempts = ?, due_at = ?, error = ?, receipt = ?"
        " WHERE id = ? AND (status <> 'sent' OR ? = 'sent')",
        (
            notice.status,
            notice.attempts,
            notice.due_at,
            notice.error,
            notice.receipt,
            notice.id,
            notice.status,
        ),
    )
    if closed.rowcount == 1 and parts:
        transaction.executemany(ADD_ONCE, [rows.notice_row(part) for part in parts])

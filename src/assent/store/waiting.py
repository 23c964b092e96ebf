"""Approvals by how long they wait, and by whether anybody has answered; and denials."""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

from collections.abc import Collection
from itertools import groupby
from typing import Final

from assent.codec import to_json
from assent.store import rows
from assent.store.file import SqliteFile
from assent.store.questions import Spoken, Unspoken
from assent.store.records import ApprovalRecord, Event

APPROVALS: Final = rows.select(rows.APPROVAL, "approvals")
ASKED_OF: Final = (
    "EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(request) THEN request END, '$.approvers') AS asked"
    " WHERE lower(asked.value) IN (SELECT lower(value) FROM json_each(?)))"
)
PLACE: Final = "(SELECT created_at, rowid FROM approvals WHERE id = ?)"
OPEN: Final = "status = 'pending' AND (expires_at IS NULL OR expires_at > ?)"
# Named, because SQLite would rather take the index by which all that is pending is listed, and read each request.
OVERDUE: Final = f"{APPROVALS} INDEXED BY approvals_waiting"
COLUMNS: Final = [*(f"approvals.{one}" for one in rows.APPROVAL), *(f"verdicts.{one}" for one in rows.VERDICT)]
SPOKEN: Final = f"SELECT {', '.join(COLUMNS)} FROM approvals JOIN verdicts ON verdicts.approval_id = approvals.id"
SAID_SINCE: Final = (
    " WHERE status = 'pending'"
    " OR EXISTS (SELECT 1 FROM verdicts AS later WHERE later.approval_id = approvals.id AND later.at >= ?)"
)
IN_ORDER: Final = " ORDER BY approvals.created_at, approvals.rowid, verdicts.seq"
# What says who may decide, as long as nobody has said anything.
ALIKE: Final = ", ".join(
    f"request ->> '$.{one}'" for one in ("approvers", "excluded", "requester", "separation_of_duties")
)
UNSPOKEN: Final = (
    f"SELECT {', '.join(rows.APPROVAL)}, count(*), total(reminded_at <= ?) FROM approvals"
    f" WHERE {OPEN} AND NOT EXISTS (SELECT 1 FROM verdicts WHERE approval_id = approvals.id)"
    f" AND json_valid(request) AND sha256(request) = digest GROUP BY {ALIKE}"
)

# Its first words are those of the partial index.
DENIALS: Final = (
    f"{rows.select(rows.EVENT, 'journal')} INDEXED BY journal_denials"
    " WHERE type = 'policy.evaluated' AND instr(value, '\"deny\"') > 0 AND at >= ?"
    " AND CASE WHEN json_valid(value) THEN value ->> '$.outcome' END = 'deny' ORDER BY at DESC, seq DESC LIMIT ?"
)


class SqliteQuestions(SqliteFile):
    """Looks into the tables of approvals and of the journal."""

    async def overdue(
        self, now: float, limit: int = 100, *, approvers: Collection[str] | None = None, after: str | None = None
    ) -> list[ApprovalRecord]:
        where, values = rows.where(
            (OPEN, now),
            ("overdue_at <= ?", now),
            (ASKED_OF, None if approvers is None else to_json(list(approvers))),
            (f"(created_at, rowid) > {PLACE}", after),
        )
        found = self._read(f"{OVERDUE} {where} ORDER BY created_at, rowid LIMIT ?", *values, limit)
        return [rows.approval_of(row) for row in found]

    async def spoken(self, since: float | None = None) -> list[Spoken]:
        values = [] if since is None else [since]
        found = self._read(SPOKEN + (SAID_SINCE if values else "") + IN_ORDER, *values)
        size = len(rows.APPROVAL)
        return [
            Spoken(rows.approval_of(approval), [rows.verdict_of(row[size:]) for row in said])
            for approval, said in groupby(found, lambda row: row[:size])
        ]

    async def unspoken(self, now: float) -> list[Unspoken]:
        return [
            Unspoken(rows.approval_of(approval), number, int(reminded))
            for *approval, number, reminded in self._read(UNSPOKEN, now, now)
        ]

    async def denials(self, since: float, limit: int) -> list[Event]:
        return [Event._make(row) for row in self._read(DENIALS, since, limit)]

"""What actions draw on budgets and mandates: checked and taken in the transaction that takes up their permit.

Transactions that write follow one another, in all processes. So whoever adds up what is drawn under a key sees all
that was taken before, and nobody takes anything until that one has: together they cannot draw more than there is.
"""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from assent.store import rows
from assent.store.file import SqliteFile
from assent.store.ledger import Drawn
from assent.store.records import ApprovalRecord, Hold, Permit, Settlement
from assent.store.writer import Transaction

Execute = Callable[..., sqlite3.Cursor]

SUMS: Final = (
    "coalesce(sum(amount) FILTER (WHERE state = 'held'), 0), coalesce(sum(amount) FILTER (WHERE state = 'spent'), 0),"
    " count(*) FILTER (WHERE state <> 'released')"
)
UNDER: Final = f"SELECT {SUMS} FROM holds WHERE key = ? AND at > ? AND state <> 'released'"
# Its words are those of the partial index `approvals_mandates`.
MANDATES: Final = rows.select(rows.APPROVAL, "approvals") + (
    " WHERE json_valid(request) AND request ->> '$.kind' = 'mandate'"
)
IN_FORCE: Final = "status = 'granted' AND request ->> '$.terms.until' > ?"
SETTLED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "done": "'spent'",
        "failed": "CASE on_failure WHEN 'keep' THEN 'spent' ELSE 'released' END",
        "undone": "'released'",
    }
)


class SqliteLedger(SqliteFile):
    """The ledger, in the table of holds; mandates are approvals."""

    async def drawn(self, key: str, since: float | None = None) -> Drawn:
        return Drawn(*self._read(UNDER, key, _start(since))[0])

    async def draws(self, prefix: str = "") -> list[tuple[str, Drawn]]:
        # The last character there is ends the range: a look into the index, where LIKE would read all keys.
        sql = f"SELECT key, {SUMS} FROM holds WHERE key BETWEEN ? AND ? GROUP BY key ORDER BY key"
        return [(key, Drawn(*sums)) for key, *sums in self._read(sql, prefix, prefix + chr(0x10FFFF))]

    async def settle(self, settlement: Settlement) -> None:
        await self._writer.put(lambda transaction: settle(settlement, transaction))

    async def mandates(self, action: str | None = None, now: float | None = None) -> Sequence[ApprovalRecord]:
        more, values = rows.where(("request ->> '$.action' = ?", action), (IN_FORCE, now), head="AND")
        return [rows.approval_of(row) for row in self._read(f"{MANDATES} {more} ORDER BY created_at, rowid", *values)]


def wanting(permit: Permit, transaction: Transaction) -> list[Hold]:
    """Those of a permit's holds that it does not have yet. What was released is to be taken anew."""
    if not (permit.again and permit.holds):
        return list(permit.holds)
    sql = "SELECT key FROM holds WHERE permit_id = ? AND state <> 'released'"
    taken = {key for (key,) in transaction.execute(sql, (permit.id,))}
    return [hold for hold in permit.holds if hold.key not in taken]


def misfit(hold: Hold, execute: Execute) -> str | None:
    """Why a hold does not fit to what is drawn under its key; None if it does."""
    drawn = Drawn(*execute(UNDER, (hold.key, _start(hold.since))).fetchone())
    if hold.count is not None and drawn.count >= hold.count:
        return f"{hold.key!r} is good for {hold.count} and was used {drawn.count} times"
    if hold.limit is not None and drawn.total + hold.amount > hold.limit:
        left = _plain(hold.limit - drawn.total)
        return f"{hold.key!r} has {left} left of {_plain(hold.limit)}, and {_plain(hold.amount)} is needed"
    return None


def take(permit_id: str, holds: Iterable[Hold], at: float, transaction: Transaction) -> None:
    """Hold what was found to fit. Several under one key are one, the largest."""
    transaction.executemany(
        "INSERT OR REPLACE INTO holds (permit_id, key, at, state, amount, on_failure) VALUES (?, ?, ?, 'held', ?, ?)",
        [
            (permit_id, hold.key, at, hold.amount, hold.on_failure)
            for hold in sorted(holds, key=lambda hold: hold.amount)
        ],
    )


def settle(settlement: Settlement, transaction: Transaction) -> None:
    """Write what became of a permit's holds; those that are settled already stay as they are."""
    still_held = "permit_id = ? AND state = 'held'"
    if settlement.outcome == "done" and settlement.amounts:
        # Less than nothing cannot have been taken, and a record of what was done must not fail for it.
        transaction.executemany(
            f"UPDATE holds SET amount = max(?, 0) WHERE {still_held} AND key = ?",
            [(amount, settlement.permit_id, key) for key, amount in settlement.amounts.items()],
        )
    sql = f"UPDATE holds SET state = {SETTLED[settlement.outcome]} WHERE {still_held}"
    transaction.execute(sql, (settlement.permit_id,))


def _start(since: float | None) -> float:
    return -math.inf if since is None else since


def _plain(amount: int) -> str:
    """Millionths as people write them."""
    return f"{(Decimal(amount).scaleb(-6)).normalize():f}"

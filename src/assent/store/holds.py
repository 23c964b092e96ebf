"""What actions draw on budgets and mandates: checked and taken in the transaction that takes up their permit.

Transactions that write follow one another, in all processes. So whoever adds up what is drawn under a key sees all
that was taken before, and nobody takes anything until that one has: together they cannot draw more than there is.

Adding up must not take longer the more has been drawn. So the sums of each stretch of ten minutes are kept, in the
same transactions, and only the stretch in which a window begins is added up hold by hold.
"""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

import math
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final, Literal, assert_never

from assent.store import rows
from assent.store.file import SqliteFile
from assent.store.ledger import Drawn
from assent.store.records import ApprovalRecord, Hold, Permit, Settlement
from assent.store.writer import Transaction

Execute = Callable[..., sqlite3.Cursor]
State = Literal["spent", "released"]

SPAN: Final = 600  # seconds
FIRST_SPAN: Final = -(2**62)
FOR_EVER: Final = 1e12  # seconds; the moment of holds that never grow old

SUMS: Final = "coalesce(sum(held), 0), coalesce(sum(spent), 0), coalesce(sum(count), 0)"
UNDER: Final = f"""
    SELECT {SUMS} FROM (
        SELECT held, spent, count FROM spans WHERE key = :key AND span > :span
        UNION ALL
        SELECT iif(state = 'held', amount, 0), iif(state = 'spent', amount, 0), 1
        FROM holds WHERE key = :key AND span = :span AND at > :since AND state <> 'released'
    )
"""
ADD: Final = (
    "INSERT INTO spans (key, span, held, spent, count) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key, span) DO UPDATE"
    " SET held = held + excluded.held, spent = spent + excluded.spent, count = count + excluded.count"
)
# Its words are those of the partial index `approvals_mandates`.
MANDATES: Final = rows.select(rows.APPROVAL, "approvals") + (
    " WHERE json_valid(request) AND request ->> '$.kind' = 'mandate'"
)
IN_FORCE: Final = "status = 'granted' AND request ->> '$.terms.until' > ?"


class SqliteLedger(SqliteFile):
    """The ledger, in the tables of holds and their sums; mandates are approvals."""

    async def drawn(self, key: str, since: float | None = None) -> Drawn:
        return Drawn(*self._read(UNDER, **_under(key, since))[0])

    async def draws(self, prefix: str = "") -> list[tuple[str, Drawn]]:
        # The last character there is ends the range: a look into the index, where LIKE would read all keys.
        sql = f"SELECT key, {SUMS} FROM spans WHERE key BETWEEN ? AND ? GROUP BY key ORDER BY key"
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
    drawn = Drawn(*execute(UNDER, _under(hold.key, hold.since)).fetchone())
    if hold.count is not None and drawn.count >= hold.count:
        return f"{hold.key!r} is good for {hold.count} and was used {drawn.count} times"
    if hold.limit is not None and drawn.total + hold.amount > hold.limit:
        left = _plain(hold.limit - drawn.total)
        return f"{hold.key!r} has {left} left of {_plain(hold.limit)}, and {_plain(hold.amount)} is needed"
    return None


def take(permit_id: str, holds: Iterable[Hold], at: float, transaction: Transaction) -> None:
    """Hold what was found to fit. Several under one key are one, the largest."""
    at = min(at, FOR_EVER)
    for hold in {hold.key: hold for hold in sorted(holds, key=lambda hold: hold.amount)}.values():
        # What it replaces was released, and is in no sum.
        transaction.execute(
            "INSERT OR REPLACE INTO holds (permit_id, key, span, at, state, amount, on_failure)"
            " VALUES (?, ?, ?, ?, 'held', ?, ?)",
            (permit_id, hold.key, _span(at), at, hold.amount, hold.on_failure),
        )
        transaction.execute(ADD, (hold.key, _span(at), hold.amount, 0, 1))


def settle(settlement: Settlement, transaction: Transaction) -> None:
    """Write what became of a permit's holds; those that are settled already stay as they are."""
    held = transaction.execute(
        "SELECT key, span, amount, on_failure FROM holds WHERE permit_id = ? AND state = 'held'",
        (settlement.permit_id,),
    ).fetchall()
    for key, span, amount, on_failure in held:
        state = _state_after(settlement, on_failure)
        # Less than nothing cannot have been taken, and a record of what was done must not fail for it.
        took = max(settlement.amounts.get(key, amount), 0) if settlement.outcome == "done" else amount
        transaction.execute(
            "UPDATE holds SET state = ?, amount = ? WHERE permit_id = ? AND key = ?",
            (state, took, settlement.permit_id, key),
        )
        change = (-amount, took, 0) if state == "spent" else (-amount, 0, -1)
        transaction.execute(ADD, (key, span, *change))


def _state_after(settlement: Settlement, on_failure: str) -> State:
    match settlement.outcome:
        case "done":
            return "spent"
        case "failed":
            return "spent" if on_failure == "keep" else "released"
        case "undone":
            return "released"
        case _:
            assert_never(settlement.outcome)


def _under(key: str, since: float | None) -> dict[str, object]:
    if since is None:
        return {"key": key, "span": FIRST_SPAN, "since": -math.inf}
    return {"key": key, "span": _span(since), "since": since}


def _span(at: float) -> int:
    return int(at // SPAN)


def _plain(amount: int) -> str:
    """Millionths as people write them."""
    return f"{(Decimal(amount).scaleb(-6)).normalize():f}"

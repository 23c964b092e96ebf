"""What belongs to no execution, in a table of SQLite: each cell under its shelf and key."""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from assent.store import rows
from assent.store.file import SqliteFile
from assent.store.shelf import Cell
from assent.store.writer import Transaction

CELL: Final = tuple(field.name for field in fields(Cell))
CELLS: Final = rows.select(CELL, "cells")
LIVE: Final = "(expires_at IS NULL OR expires_at > ?)"
VERSION: Final = f"SELECT version FROM cells WHERE shelf = ? AND key = ? AND {LIVE}"
# A cell that is replaced gets a new `seq`: it tells the order in which they were written last.
PUT: Final = (
    "INSERT OR REPLACE INTO cells (shelf, key, text, size, version, written_at, expires_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
CONTAINS: Final = "(instr(casefold(key), ?) OR instr(casefold(text), ?))"
EXPIRED: Final = "DELETE FROM cells WHERE expires_at <= ?"
OVERFLOW: Final = (
    "DELETE FROM cells WHERE seq IN (SELECT seq FROM ("
    "SELECT seq, sum(size) OVER (ORDER BY seq DESC) AS bytes FROM cells WHERE shelf = ?) WHERE bytes > ?)"
)


class SqliteShelf(SqliteFile):
    """The shelf, in the table of cells."""

    async def cell(self, shelf: str, key: str, now: float) -> Cell | None:
        found = self._read(f"{CELLS} WHERE shelf = ? AND key = ? AND {LIVE}", shelf, key, now)
        return _cell_of(found[0]) if found else None

    async def cells(
        self, shelf: str, now: float, *, containing: str = "", newest: bool = False, limit: int | None = None
    ) -> Sequence[Cell]:
        where, values = f"shelf = ? AND {LIVE}", [shelf, now]
        if containing:
            where, values = f"{where} AND {CONTAINS}", [*values, *[containing.casefold()] * 2]
        order = "seq DESC" if newest else "key"
        most = -1 if limit is None else limit
        found = self._read(f"{CELLS} WHERE {where} ORDER BY {order} LIMIT ?", *values, most)
        return [_cell_of(row) for row in found]

    async def put(self, cell: Cell, *, expected: int | None = None) -> bool:
        def work(transaction: Transaction) -> bool:
            # Read and written in one transaction: of two who expect the same version, the second finds another.
            found = transaction.execute(VERSION, (cell.shelf, cell.key, cell.written_at)).fetchone()
            version: int = found[0] if found else 0
            if expected is not None and expected != version:
                return False
            size = len(cell.text.encode())
            values = (cell.shelf, cell.key, cell.text, size, version + 1, cell.written_at, cell.expires_at)
            transaction.execute(PUT, values)
            return True

        return await self._writer.put(work)

    async def discard(self, shelf: str, key: str) -> bool:
        return await self._removed("DELETE FROM cells WHERE shelf = ? AND key = ?", shelf, key) == 1

    async def clear(self, shelf: str) -> int:
        return await self._removed("DELETE FROM cells WHERE shelf = ?", shelf)

    async def trim(self, shelf: str, most_bytes: int, now: float) -> int:
        def work(transaction: Transaction) -> int:
            expired = transaction.execute(f"{EXPIRED} AND shelf = ?", (now, shelf)).rowcount
            return expired + transaction.execute(OVERFLOW, (shelf, most_bytes)).rowcount

        return await self._writer.put(work)

    async def _removed(self, sql: str, *values: object) -> int:
        return await self._writer.put(lambda transaction: transaction.execute(sql, values).rowcount)


def _cell_of(row: rows.Row) -> Cell:
    return Cell(**dict(zip(CELL, row, strict=True)))

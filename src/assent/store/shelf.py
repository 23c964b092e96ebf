"""The port to whatever keeps small things that belong to no execution: memories, cached answers, shared states."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One text under one key. A cell that has expired is as good as none."""

    shelf: str  # whose it is: "breaker", "memory/user/ada", "cache/model"
    key: str
    text: str  # JSON
    version: int = 1  # from 1; one more with each write
    written_at: float  # Unix seconds
    expires_at: float | None = None  # Unix seconds; None: never


class Shelf(Protocol):
    """Keeps cells, by shelf and key. `tests/conformance/store_shelf.py` states its behaviour."""

    async def cell(self, shelf: str, key: str, now: float) -> Cell | None: ...

    async def cells(
        self, shelf: str, now: float, *, containing: str = "", newest: bool = False, limit: int | None = None
    ) -> Sequence[Cell]:
        """Those of one shelf, by key, or the last written first.

        `containing` keeps those whose key or text contains it, whatever the case of letters.
        """
        ...

    async def put(self, cell: Cell, *, expected: int | None = None) -> bool:
        """Write a cell; its `version` becomes one more than that of the cell that it replaces.

        Compare-and-set with `expected`: False, and nothing written, unless that is the version of what is there, 0 for
        nothing. What has expired by `cell.written_at` is nothing.
        """
        ...

    async def discard(self, shelf: str, key: str) -> bool:
        """Remove a cell. False: there was none."""
        ...

    async def clear(self, shelf: str) -> int:
        """Remove all cells of exactly this shelf; return how many there were."""
        ...

    async def trim(self, shelf: str, most_bytes: int, now: float) -> int:
        """Remove what has expired, then what was written first, until the texts of a shelf fit; return how many."""
        ...

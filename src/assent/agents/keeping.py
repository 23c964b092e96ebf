"""Where memories are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from assent.clock import Clock, Duration, SystemClock, seconds
from assent.errors import RuntimeRequired, UsageError
from assent.governance import ambient_authority
from assent.store.shelf import Cell, Shelf

GLOBAL: Final = "global"
KINDS: Final = ("agent", "user", "session")


@dataclass(frozen=True, slots=True)
class Drawer:
    """The cells of one shelf, in the store that is given, else in that of the open runtime."""

    shelf: str
    store: Shelf | None = None
    clock: Clock | None = None

    async def cell(self, key: str) -> Cell | None:
        """What is under a key and has not expired."""
        store, now = self._opened()
        return await store.cell(self.shelf, key, now)

    async def cells(self, **wanted: Any) -> Sequence[Cell]:
        """Those of the shelf; `wanted` as in `Shelf.cells`."""
        store, now = self._opened()
        return await store.cells(self.shelf, now, **wanted)

    async def put(self, key: str, text: str, *, ttl: float | None = None, expected: int | None = None) -> bool:
        """Write a cell that expires after `ttl` seconds; `expected` as in `Shelf.put`."""
        store, now = self._opened()
        expires_at = None if ttl is None else now + ttl
        cell = Cell(shelf=self.shelf, key=key, text=text, written_at=now, expires_at=expires_at)
        return await store.put(cell, expected=expected)

    async def discard(self, key: str) -> bool:
        """Remove a cell. False: there was none."""
        return await self._opened()[0].discard(self.shelf, key)

    async def clear(self) -> int:
        """Remove all; return how many there were."""
        return await self._opened()[0].clear(self.shelf)

    async def prune(self, age: float) -> int:
        """Remove what was last written more than `age` seconds ago; return how many."""
        store, now = self._opened()
        old = [cell for cell in await store.cells(self.shelf, now) if cell.written_at < now - age]
        # What somebody writes anew meanwhile stays: a cell expires only in the version that was seen.
        gone = [await store.put(replace(cell, text="null", expires_at=now), expected=cell.version) for cell in old]
        return sum(gone)

    def _opened(self) -> tuple[Shelf, float]:
        authority = ambient_authority.get()
        store = self.store or (authority.store if authority else None)
        if store is None:
            raise RuntimeRequired(
                "memory is kept in a store, and there is none: open a Runtime, or give the memory a store=."
            )
        clock = self.clock or (authority.clock if authority else SystemClock())
        return store, clock.now()


def drawers(room: str, scopes: Sequence[str], store: Shelf | None, clock: Clock | None) -> dict[str, Drawer]:
    """The drawers of some scopes, in order, with the global one last. Raises UsageError for what is no scope."""
    names = dict.fromkeys([*(_checked(scope) for scope in scopes), GLOBAL])
    return {name: Drawer(f"{room}/{name.replace(':', '/', 1)}", store, clock) for name in names}


def _checked(scope: str) -> str:
    kind, _, name = scope.partition(":")
    if scope != GLOBAL and not (kind in KINDS and name.strip()):
        known = ", ".join(f'"{kind}:..."' for kind in KINDS)
        raise UsageError(f'{scope!r} is no scope of memory. Give "{GLOBAL}" or one of {known}, as in "user:ada".')
    return scope


def lifetime(ttl: Duration | None) -> float | None:
    """Seconds to live; None: for ever. Raises UsageError for no time at all."""
    length = None if ttl is None else seconds(ttl)
    if length == 0:
        raise UsageError(f"ttl={ttl!r} keeps nothing. Give a time, or None to keep it for ever.")
    return length

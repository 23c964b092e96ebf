"""What becomes of a piece of work that was handed to a store."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Final, Generic, TypeVar

from assent.errors import AssentError

T = TypeVar("T")

PENDING: Final = object()

Told = Callable[[AssentError | None], None]
"""Called with what went wrong; None if nothing did."""


class Receipt(Generic[T]):
    """The word that work is on disk, or why not. Await it, or name somebody to be told in the same turn of the loop.

    It is no future: between the commit and whoever is told stands nothing that has to be scheduled. Whoever stops
    waiting for it takes nothing back.
    """

    __slots__ = ("_others", "_outcome", "_told")

    def __init__(self) -> None:
        self._outcome: object = PENDING
        self._told: Told | None = None
        self._others: tuple[Told, ...] = ()  # mostly there are none

    def then(self, told: Told) -> None:
        """Have `told` called, outside of any task and after those that were named before. Never at once."""
        if self._outcome is PENDING and self._told is None:
            self._told = told
        elif self._outcome is PENDING:
            self._others += (told,)
        else:
            error = self._outcome if isinstance(self._outcome, AssentError) else None
            asyncio.get_running_loop().call_soon(told, error)

    def settle(self, outcome: T | AssentError) -> None:
        """For the store: the work is done with this outcome, or was refused.

        Where one who is told raises, so does this; called again it goes on with the next.
        """
        self._outcome = outcome
        error = outcome if isinstance(outcome, AssentError) else None
        while self._told is not None:
            told = self._told
            self._told, self._others = (self._others[0], self._others[1:]) if self._others else (None, ())
            told(error)

    def __await__(self) -> Generator[Any, None, T]:
        if self._outcome is PENDING:
            word: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.then(lambda _: None if word.done() else word.set_result(None))
            yield from word
        if isinstance(self._outcome, AssentError):
            raise self._outcome
        return self._outcome  # type: ignore[return-value]  # that of `settle`

"""What becomes of a piece of work that was handed to a store."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Final, Generic, TypeVar

from assent.errors import AssentError, UsageError

T = TypeVar("T")

PENDING: Final = object()

Told = Callable[[AssentError | None], None]
"""Called with what went wrong; None if nothing did."""


class Receipt(Generic[T]):
    """The word that work is on disk, or why not. Await it, or name somebody to be told in the same turn of the loop.

    It is no future: between the commit and whoever is told stands nothing that has to be scheduled. Whoever stops
    waiting for it takes nothing back. It belongs to the event loop of its store.
    """

    __slots__ = ("_loop", "_outcome", "_told")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._outcome: object = PENDING
        self._told: tuple[Told, ...] = ()

    def then(self, told: Told) -> None:
        """Have `told` called, outside of any task and after those that were named before. Never at once."""
        if self._outcome is PENDING:
            self._told += (told,)
        else:
            error = self._outcome if isinstance(self._outcome, AssentError) else None
            self._loop.call_soon(told, error)

    def settle(self, outcome: T | AssentError) -> None:
        """For the store: the work is done with this outcome, or was refused.

        Where one who is told raises, so does this; called again it goes on with the next.
        """
        self._outcome = outcome
        error = outcome if isinstance(outcome, AssentError) else None
        while self._told:
            told, self._told = self._told[0], self._told[1:]
            told(error)

    def __await__(self) -> Generator[Any, None, T]:
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError(
                "A store answers on the event loop on which it was opened, and this is another one. In workflow code, "
                "which has a loop of its own, put the call into a @step."
            )
        if self._outcome is PENDING:
            word = self._loop.create_future()
            self.then(lambda _: None if word.done() else word.set_result(None))
            yield from word
        if isinstance(self._outcome, AssentError):
            raise self._outcome
        return self._outcome  # type: ignore[return-value]  # that of `settle`

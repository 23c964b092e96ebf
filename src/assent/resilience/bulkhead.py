"""How many calls may be under way at once."""

import asyncio
from dataclasses import dataclass
from typing import Self
from weakref import WeakKeyDictionary

from assent.errors import BulkheadFull
from assent.resilience.guard import Guard
from assent.resilience.settings import count, require


@dataclass(slots=True)
class _Room:
    """What one event loop knows of a bulkhead."""

    places: asyncio.Semaphore
    calls: int = 0  # inside or waiting


class Bulkhead(Guard):
    """Lets `most` calls in at once; up to `waiting` others wait, first come, first served. None: any number.

    Calls are counted for each event loop. Ordinary code and steps of a process share one. Workflow code of each
    execution has its own, so there the bulkhead bounds what one execution does at once, the same on replay; put it on
    the step instead, under `@step`, and it bounds that step over all executions of the process. Use it with
    `async with`, as a decorator, or as `await bulkhead.call(fn, ...)`. Raises BulkheadFull.
    """

    def __init__(self, most: int, *, waiting: int | None = None) -> None:
        may_wait = waiting is None or (type(waiting) is int and waiting >= 0)
        require(may_wait, f"Bulkhead(waiting={waiting!r})", "a whole number from 0, or None for any")
        self.most = count(most, "Bulkhead(most")
        self.waiting = waiting
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, _Room] = WeakKeyDictionary()

    async def __aenter__(self) -> Self:
        room = self._room()
        if self.waiting is not None and room.calls >= self.most + self.waiting:
            raise BulkheadFull(
                f"{self.most} calls are under way and {self.waiting} wait, as many as this Bulkhead allows. "
                "Try again later, or let more of them wait."
            )
        room.calls += 1
        try:
            await room.places.acquire()
        except BaseException:
            room.calls -= 1
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        room = self._room()
        room.calls -= 1
        room.places.release()

    def _room(self) -> _Room:
        loop = asyncio.get_running_loop()
        room = self._rooms.get(loop)
        if room is None:
            room = self._rooms[loop] = _Room(asyncio.Semaphore(self.most))
        return room

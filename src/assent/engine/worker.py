"""Looking out for work: executions that are due, and messages for those that are driven here.

Nothing is asked of the store unless there is a reason: somebody else has written to it, a timer is due, or this process
itself has made something due. Whether somebody else has written is a question so cheap that it is asked 25 times a
second. An execution that only waits is not in memory, so a worker with a hundred thousand of them sleeps.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable

from assent.clock import Clock
from assent.errors import StoreError
from assent.store import Store


class Lookout:
    """Calls `look` when there may be something to do; at most one call at a time.

    `look` returns when the next timer is due (Unix seconds), or None.
    """

    def __init__(
        self, store: Store, clock: Clock, look: Callable[[], Awaitable[float | None]], poll: float | None
    ) -> None:
        self._store = store
        self._clock = clock
        self._look = look
        self._poll = poll  # seconds between two questions; None: only what this process does itself is noticed
        self._looking: asyncio.Task[None] | None = None
        self._again = False
        self._stopped = True
        self._tick_timer: asyncio.TimerHandle | None = None
        self._wake_timer: asyncio.TimerHandle | None = None
        self._wake_at: float | None = None

    def start(self) -> None:
        self._stopped = False
        self._tick()
        self.nudge()

    async def stop(self) -> None:
        """No further look begins; the one under way is waited for."""
        self._stopped = True
        for timer in (self._tick_timer, self._wake_timer):
            if timer is not None:
                timer.cancel()
        if self._looking is not None:
            await asyncio.wait([self._looking])

    def nudge(self) -> None:
        """There may be something to do now."""
        if self._stopped:
            return
        if self._looking is not None:
            self._again = True
            return
        looking = asyncio.get_running_loop().create_task(self._run())
        self._looking = None if looking.done() else looking  # as it may be where tasks begin at once

    def wake_at(self, at: float) -> None:
        """There will be something to do at that time (Unix seconds), or earlier."""
        if self._stopped or at == math.inf or (self._wake_at is not None and self._wake_at <= at):
            return
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        self._wake_at = at
        delay = max(0.0, at - self._clock.now())
        self._wake_timer = asyncio.get_running_loop().call_later(delay, self._woken)

    def _woken(self) -> None:
        self._wake_at = self._wake_timer = None
        self.nudge()

    def _tick(self) -> None:
        if self._poll is None:
            return
        self._tick_timer = asyncio.get_running_loop().call_later(self._poll, self._tick)
        if self._looking is None and self._store_changed():
            self.nudge()

    def _store_changed(self) -> bool:
        try:
            return self._store.changed()
        except StoreError:
            return True  # `look` meets the same error, and reports it

    async def _run(self) -> None:
        try:
            self._again = True
            while self._again and not self._stopped:
                self._again = False
                due = await self._look()
                if due is not None:
                    self.wake_at(due)
        finally:
            self._looking = None

"""The lease of a process: while it holds, this process alone drives the executions that it owns.

One row stands for the process, and all its executions hang on that row. Whoever finds it expired deletes it and frees them in
one transaction; every append checks for the row in its own. So a process that was stopped for too long cannot write a word,
whatever it believes about the time, and a heartbeat costs one row however many executions there are.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from assent.clock import Clock
from assent.codec import to_json
from assent.errors import StoreError
from assent.store import Store, WorkerRecord, Workflow


@dataclass(slots=True)
class Lease:
    """Keeps one lease alive. `lost` is called when others may have taken over."""

    store: Store
    clock: Clock
    seconds: float
    lost: Callable[[], Awaitable[None]]
    freed: Callable[[], None]  # executions of a dead worker have become free
    owner: str = ""
    _deadline: float = 0.0  # by the loop's clock, which goes on while the process is stopped
    _timer: asyncio.TimerHandle | None = None
    _beating: asyncio.Task[None] | None = None

    async def take(self, workflows: Sequence[Workflow]) -> None:
        """Register under a new id and begin to renew."""
        self.owner = self.clock.new_id()
        now = self.clock.now()
        self._deadline = asyncio.get_running_loop().time() + self.seconds
        names = to_json([f"{each.name}@{each.version}" for each in workflows])
        await self.store.register(
            WorkerRecord(
                id=self.owner,
                host=socket.gethostname(),
                pid=os.getpid(),
                started_at=now,
                expires_at=now + self.seconds,
                workflows=names,
            )
        )
        await self.store.take_over(now)
        self._schedule()

    def holds(self) -> bool:
        """Whether it surely still holds."""
        return asyncio.get_running_loop().time() < self._deadline

    async def give_back(self) -> None:
        """Stop renewing; all that hangs on it becomes free at once."""
        if self._timer is not None:
            self._timer.cancel()
        if self._beating is not None:
            await asyncio.wait([self._beating])
        await self.store.retire(self.owner)

    def _schedule(self) -> None:
        # Three chances to renew before it runs out.
        self._timer = asyncio.get_running_loop().call_later(self.seconds / 3, self._beat)

    def _beat(self) -> None:
        self._beating = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        before = asyncio.get_running_loop().time()
        now = self.clock.now()
        try:
            held = await self.store.renew(self.owner, now + self.seconds)
            if held:
                self._deadline = before + self.seconds
                if await self.store.take_over(now):
                    self.freed()
            else:
                await self.lost()
        except StoreError:
            # A store that is full or locked for a while is no reason to give up; the lease runs out by itself.
            held = True
        if held:
            self._schedule()


"""The lease of a process: while it holds, this process alone drives the executions that it owns.

One row stands for the process, and all its executions hang on that row. Whoever finds it expired deletes it and frees
them in one transaction; every append checks for the row in its own. So a process that was stopped for too long cannot
write a word, whatever it believes about the time, and a heartbeat costs one row however many executions there are.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assent.clock import Clock
from assent.codec import to_json
from assent.errors import StoreError
from assent.store import Store, WorkerRecord, Workflow

log = logging.getLogger("assent.engine")


@dataclass(slots=True)
class Lease:
    """Keeps one lease alive, and takes a new one when it is lost."""

    store: Store
    clock: Clock
    seconds: float
    workflows: Callable[[], Sequence[Workflow]]  # what this process can drive, for people to read
    lost: Callable[[], None]  # others may have taken over; called before a new lease is taken
    held: Callable[[bool], None]  # it surely holds; True: and executions may have become free
    owner: str = ""
    _deadline: float = 0.0  # by the loop's clock, which goes on while the process is stopped
    _expires_at: float = 0.0  # by the wall clock, which goes on while the machine sleeps, and by which others judge
    _timer: asyncio.TimerHandle | None = None
    _beating: asyncio.Task[None] | None = None
    _stopped: bool = False

    async def take(self) -> None:
        """Register under a new id and begin to renew."""
        await self._take()
        self._schedule()

    async def _take(self) -> None:
        self.owner = self.clock.new_id()
        now, deadline = self.clock.now(), asyncio.get_running_loop().time() + self.seconds
        names = to_json([f"{each.name}@{each.version}" for each in self.workflows()])
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
        self._deadline, self._expires_at = deadline, now + self.seconds
        await self.store.take_over(now)
        self.held(True)

    def holds(self) -> bool:
        """Whether it surely still holds."""
        return asyncio.get_running_loop().time() < self._deadline and self.clock.now() < self._expires_at

    def beat(self) -> None:
        """Renew it now, or find out that it is lost; at most one such question at a time."""
        if self._stopped or (self._beating is not None and not self._beating.done()):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    async def recover(self) -> None:
        """Return when it has been renewed, or replaced by a new one if it was lost."""
        self.beat()
        if self._beating is not None:
            await asyncio.wait([self._beating])

    async def give_back(self) -> None:
        """Stop renewing; all that hangs on it becomes free at once."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._beating is not None:
            await asyncio.wait([self._beating])
        await self.store.retire(self.owner)

    def _schedule(self) -> None:
        # Three chances to renew before it runs out.
        if not self._stopped:
            self._timer = asyncio.get_running_loop().call_later(self.seconds / 3, self.beat)

    async def _beat(self) -> None:
        try:
            await self._renew()
        except StoreError as error:
            # A store that is full or locked for a while is no reason to give up; the lease runs out by itself.
            log.warning("cannot renew the lease of worker %s: %s", self.owner, error)
        finally:
            self._schedule()

    async def _renew(self) -> None:
        deadline = asyncio.get_running_loop().time() + self.seconds
        now = self.clock.now()
        if await self.store.renew(self.owner, now + self.seconds):
            self._deadline, self._expires_at = deadline, now + self.seconds
            self.held(await self.store.take_over(now) > 0)
        elif not self._stopped:
            log.warning("the lease of worker %s was lost; its executions go on elsewhere", self.owner)
            self.lost()
            await self._take()

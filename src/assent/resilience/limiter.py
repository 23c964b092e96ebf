"""How often something may be done."""

import asyncio
import math
from bisect import bisect, insort
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self

from assent.clock import Duration, seconds
from assent.errors import LimitExceeded
from assent.resilience.bucket import take_token
from assent.resilience.ground import ground
from assent.resilience.guard import Guard
from assent.resilience.settings import count, length, require

# Seconds that workflow code waits in line; for what takes longer it may leave memory.
PATIENCE: Final = 5.0

# Seconds after which who has left the line and is not back will not come: cancelled, or gone to another process.
GRACE: Final = 60.0

# Seconds in which a whole burst must flow in: nanoseconds far beyond do not fit into a store.
CENTURY: Final = 36_525 * 86_400.0


class RateLimiter(Guard):
    """Lets so many calls pass in a time: `RateLimiter(10, per="1m")`, or `RateLimiter(max_per_second=10)`.

    In any window of any length no more than `burst` + rate × time pass; `burst` is as many as pass `per` time unless
    given. Give `burst=1` to spread them evenly. Who waits is served in the order of arrival. With a `name`, all
    processes on the store of a runtime share one limit; without, and without a runtime, it is that of this process, for
    one event loop at a time.

    In workflow code each token is a recorded step. Where the wait is longer than a few seconds it is a durable timer,
    after which the workflow goes before all that came later and still wait. Use it as `await limiter.acquire()`, with
    `async with`, as a decorator, or as `await limiter.call(fn, ...)`.
    """

    def __init__(
        self,
        calls: float | None = None,
        *,
        per: Duration = "1s",
        max_per_second: float | None = None,
        burst: int | None = None,
        name: str | None = None,
    ) -> None:
        tokens = _only(calls, max_per_second)
        is_clear = max_per_second is None or per == "1s"
        require(is_clear, f"RateLimiter({max_per_second=}, {per=})", "one of both")
        self.name = name
        self.rate = tokens / length(per, "RateLimiter(per")  # a second
        self.burst = max(1, int(tokens)) if burst is None else count(burst, "RateLimiter(burst")
        fits = self.rate < math.inf and self.burst <= CENTURY * self.rate
        require(fits, f"RateLimiter at {self.rate:g} a second, burst={self.burst!r}", "one that is full in a century")
        self._full_at = 0  # the bucket of this process
        self._line: list[_Place] = []  # who waits here, the oldest first
        self._newest = 0.0  # when the last one came, in Unix seconds
        self._away: list[_Ticket] = []  # of workflows that have left the line, the oldest first

    async def acquire(self, *, timeout: Duration | None = None) -> None:
        """Wait for a token. Raises LimitExceeded as soon as it is known that it would take longer than `timeout`."""
        here = ground()
        now = here.now()
        deadline = math.inf if timeout is None else now + seconds(timeout)
        caller = _Caller(now, deadline, asyncio.get_running_loop())
        ticket = None
        while ticket := await here.recorded(self._step, partial(self._stand_in_line, caller, ticket), _Ticket | None):
            try:
                await asyncio.sleep(ticket.back_at - here.now())
            except asyncio.CancelledError:
                self._forget(ticket)
                raise

    async def try_acquire(self) -> bool:
        """Take a token if there is one and nobody waits for it."""
        return await ground().recorded(self._step, self._take_if_free, bool)

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    @property
    def _step(self) -> str:
        return "limiter" if self.name is None else f"limiter {self.name}"

    async def _take_if_free(self) -> bool:
        return not self._line and not await self._take()

    async def _take(self) -> float:
        """Take a token: 0; or the seconds until there is one."""
        shared = None if self.name is None else ground().shared
        if shared is None:
            # The loop's clock, by which waits are measured, is never set back.
            now = asyncio.get_running_loop().time()
            self._full_at, wait = take_token(self._full_at, self.rate, self.burst, now)
            return wait
        return await shared.admit(self._step, self.rate, self.burst)

    async def _stand_in_line(self, caller: "_Caller", ticket: "_Ticket | None") -> "_Ticket | None":
        """Wait for a token; or, for workflow code that had better wait elsewhere, say when it is to come back.

        `ticket` is what it was told so, None if it comes for the first time.
        """
        place = self._enter(caller, ticket)
        if ticket:
            self._forget(ticket)
        # Workflow code runs on a loop of its own, and what it has recorded on another.
        may_leave = asyncio.get_running_loop() is not caller.loop
        try:
            while wait := await self._wait(place):
                is_first = self._line[0] is place
                likely = wait + bisect(self._away, place.arrived, key=_arrival) / self.rate
                # Who is back and first stays, for others may take each token before who comes and goes.
                if may_leave and likely > PATIENCE and not (ticket and is_first):
                    return self._leave(self._in_time(likely, place), place)
                await self._pause(place, self._in_time(wait, place))
        finally:
            self._line.remove(place)
            if self._line:
                self._line[0].turn.set()
        return None

    def _enter(self, caller: "_Caller", ticket: "_Ticket | None") -> "_Place":
        left = caller.deadline - ground().now()
        if ticket:
            arrived = ticket.arrived
        else:
            # Nobody comes before others who have asked already: in workflow code time stands still between two
            # completions, and clocks are set back.
            self._newest = arrived = max(caller.arrived, math.nextafter(self._newest, math.inf))
        place = _Place(arrived, asyncio.get_running_loop().time() + left)
        insort(self._line, place, key=_arrival)
        return place

    async def _wait(self, place: "_Place") -> float:
        """0: it has its token. Else the least that it still has to wait."""
        if self._line[0] is place:
            return await self._take()
        return self._line.index(place) / self.rate

    async def _pause(self, place: "_Place", wait: float) -> None:
        """Return when it is worth asking again: there may be a token, or nobody is ahead any more."""
        if self._line[0] is place:
            await asyncio.sleep(wait)
            return
        place.turn.clear()
        try:
            async with asyncio.timeout_at(None if place.deadline == math.inf else place.deadline):
                await place.turn.wait()
        except TimeoutError:
            raise self._exceeded(wait) from None

    def _in_time(self, wait: float, place: "_Place") -> float:
        if wait > place.deadline - asyncio.get_running_loop().time():
            raise self._exceeded(wait)
        return wait

    def _exceeded(self, wait: float) -> LimitExceeded:
        return LimitExceeded(
            f"{self._step}: no token in time, at {self.rate:g} a second. Try again in {wait:.3g} s.", retry_after=wait
        )

    def _leave(self, wait: float, place: "_Place") -> "_Ticket":
        now = ground().now()
        ticket = _Ticket(place.arrived, now + wait)
        self._away = [each for each in self._away if each.back_at > now - GRACE]
        insort(self._away, ticket, key=_arrival)
        return ticket

    def _forget(self, ticket: "_Ticket") -> None:
        # It may have left in another process.
        with suppress(ValueError):
            self._away.remove(ticket)


def _only(calls: float | None, max_per_second: float | None) -> float:
    given = [each for each in (calls, max_per_second) if each is not None]
    is_number = len(given) == 1 and type(given[0]) in {int, float} and 0 < given[0] < math.inf
    remedy = 'a number above 0, as in RateLimiter(10, per="1m") or RateLimiter(max_per_second=10)'
    require(is_number, f"RateLimiter({calls!r}, {max_per_second=})", remedy)
    return given[0]


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who wants a token."""

    arrived: float  # Unix seconds
    deadline: float  # Unix seconds
    loop: asyncio.AbstractEventLoop


@dataclass(frozen=True, slots=True)
class _Ticket:
    """What workflow code keeps of its place in the line while it waits elsewhere; in the journal."""

    arrived: float  # Unix seconds, and unlike that of anybody else in its process
    back_at: float  # Unix seconds


@dataclass(eq=False, slots=True)
class _Place:
    """A place in the line."""

    arrived: float  # Unix seconds
    deadline: float  # on the clock of the loop, infinite for one that has all time
    turn: asyncio.Event = field(default_factory=asyncio.Event)  # set when nobody is ahead any more


def _arrival(place: _Place | _Ticket) -> float:
    return place.arrived

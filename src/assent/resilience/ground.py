"""What resilience stands on: plain code, or workflow code, whose decisions are journaled and whose waits are timers.

A breaker, a limiter or a budget is used alike in both. It asks `ground()` for the time and for chance, takes decisions
in memory with `decide`, and does what needs more than memory as `recorded`. In plain code all of that just happens; in
a workflow under a runtime it happens once, and replays.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from assent.clock import Clock, SystemClock

T = TypeVar("T")


class SharedState(Protocol):
    """Small texts that all processes on a store share."""

    async def read(self, key: str) -> tuple[str | None, int]:
        """The JSON under a key, None if there is none, and its version."""
        ...

    async def swap(self, key: str, text: str, version: int) -> bool:
        """Replace what `read` gave. False, and nothing written, if somebody else was faster."""
        ...

    async def admit(self, key: str, rate: float, burst: int) -> float:
        """Take a token from a bucket of `burst` that refills by `rate` a second. 0: taken; else seconds to wait."""
        ...


class Ground(Protocol):
    """Where a primitive is used."""

    @property
    def shared(self) -> SharedState | None:
        """What all processes share; None without a runtime."""
        ...

    def now(self) -> float:
        """Unix seconds; in workflow code the time of the last completion."""
        ...

    def random(self) -> float:
        """A random number from 0 up to 1, in workflow code the same on replay."""
        ...

    def decide(self, name: str, choose: Callable[[], T]) -> T:
        """What `choose` says, JSON data. In workflow code it is asked once, and is durable before any effect."""
        ...

    async def recorded(self, name: str, work: Callable[[], Awaitable[T]], type: Any) -> T:
        """Do something that may wait or look at the world; in workflow code as a step, whose result is a `type`."""
        ...


class PlainGround:
    """Ordinary code, without a runtime."""

    shared: SharedState | None = None

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    def now(self) -> float:
        return self._clock.now()

    def random(self) -> float:
        return SystemClock().bits(53) / (1 << 53)

    def decide(self, name: str, choose: Callable[[], T]) -> T:
        return choose()

    async def recorded(self, name: str, work: Callable[[], Awaitable[T]], type: Any) -> T:
        return await work()


# Set by the runtime that is open in this context, and by tests that bring their own clock.
ambient_ground: ContextVar[Ground | None] = ContextVar("ambient_ground", default=None)


def ground() -> Ground:
    """What the running code stands on."""
    return ambient_ground.get() or PlainGround()

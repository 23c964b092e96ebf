"""A runtime for tests that need no file and no other process."""

import asyncio
from typing import Any

from assent.clock import Clock, SystemClock
from assent.engine.local import WorkerSettings
from assent.runtime import Runtime
from assent.testing.clock import JumpingClock, JumpingLoop

# Longer than any test's virtual time: a loop that jumps would else stop at each heartbeat of the lease.
UNENDING = 1e12


def memory_runtime(*, clock: Clock | None = None, check_replay: bool = True, **options: Any) -> Runtime:
    """A Runtime that keeps all in memory and replays each workflow after every step; `options` are Runtime's own.

    Code that looks at the clock, draws a random number or touches anything else that differs on replay then fails
    with NonDeterminism where it does so. On a `JumpingLoop` timers pass at once, unless another `clock` is given.
    """
    settings = WorkerSettings(lease=UNENDING, poll=None)
    return Runtime(
        "sqlite://",
        clock=clock or (JumpingClock() if _time_jumps() else SystemClock()),
        check_replay=check_replay,
        **{"settings": settings, **options},
    )


def _time_jumps() -> bool:
    try:
        return isinstance(asyncio.get_running_loop(), JumpingLoop)
    except RuntimeError:
        return False

"""Time that passes at once: an event loop that jumps to its next timer when nothing else is left to do.

The idea is that of trio's clock with autojump. Work outside the loop cannot be hurried: while a job runs in an
executor or a child process lives, time passes as it really does. Sockets and pipes are looked at before each jump, but
nobody can know whether a peer is still going to write: of a read and its timeout, the timeout may win.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from assent.clock import Duration, seconds, uuid7_text
from assent.codec import digest

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still while there is work, and jumps to the next timer when there is none.

    Give it to anyio's pytest plugin as `("asyncio", {"loop_factory": JumpingLoop})`, or use `jumping_run`.
    """

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self._jobs = 0  # in executors, not yet done
        self._children: set[asyncio.SubprocessTransport] = set()
        super().__init__(_Selector(self))
        # Within this the loop takes timers as due. The monotonic clock's nanosecond would vanish beside virtual years.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    def advance(self, duration: Duration) -> None:
        """Let time pass. Timers that become due fire as soon as the running code waits."""
        self._virtual_now += seconds(duration)

    def real_time(self) -> float:
        """Seconds on the clock that ordinary event loops follow."""
        return super().time()

    def is_busy_outside(self) -> bool:
        """Whether something that takes real time is under way: a job in an executor, or a child process."""
        self._children = {child for child in self._children if child.get_returncode() is None}
        return bool(self._jobs or self._children)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: asyncio.Future[Any]) -> None:
        self._jobs -= 1

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        transport, protocol = await super().subprocess_exec(*args, **kwargs)
        self._children.add(transport)
        return transport, protocol

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        transport, protocol = await super().subprocess_shell(*args, **kwargs)
        self._children.add(transport)
        return transport, protocol

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        # It waits for the threads with a timeout, which must not pass at once.
        self._jobs += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._jobs -= 1


class _Selector(selectors.DefaultSelector):
    """Looks at files without waiting, and moves the loop's time on instead."""

    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._loop.is_busy_outside():
            began = self._loop.real_time()
            ready = super().select(timeout)
            self._loop.advance(self._loop.real_time() - began)
            return ready
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._loop.advance(timeout)
        return ready


class JumpingClock:
    """A clock that follows the time of the `JumpingLoop` under which it is asked; elsewhere it stands still.

    Under the next loop it goes on where it was, as after a restart. Its ids are the same in each run.
    """

    def __init__(self, start: float = 1_750_000_000.0, *, seed: str = "assent") -> None:
        self._start = start  # what it shows when the loop's time is zero
        self._loop: JumpingLoop | None = None
        self._seed = seed
        self._ids = 0

    def now(self) -> float:
        loop = self._followed()
        return self._start + loop.time() if loop else self._start

    def advance(self, duration: Duration) -> None:
        """Let time pass, for the timers of the loop as well."""
        loop = self._followed()
        if loop:
            loop.advance(duration)
        else:
            self._start += seconds(duration)

    def new_id(self) -> str:
        self._ids += 1
        hashed = int(digest(f"{self._seed} {self._ids}")[:10], 16)
        return uuid7_text(int(self.now() * 1000) << 74 | self._ids << 40 | hashed)

    def _followed(self) -> JumpingLoop | None:
        # Code of a workflow runs on a loop of its own and steps may run in threads: there the last loop still counts.
        running = _running_loop()
        if isinstance(running, JumpingLoop) and running is not self._loop:
            shown = self._start + self._loop.time() if self._loop else self._start
            self._start, self._loop = shown - running.time(), running
        return self._loop


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def jumping_run(main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine, or an async function without arguments, on a `JumpingLoop` of its own."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main() if callable(main) else main)

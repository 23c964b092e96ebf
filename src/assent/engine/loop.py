"""The deterministic event loop on which workflow code runs.

The idea is that of Temporal's Python SDK: asyncio's primitives (`gather`, `timeout`, `TaskGroup`, `Queue`, ...) are
built on four things only, `call_soon`, `call_at`, futures and tasks. A loop that offers exactly these, runs its
callbacks first in first out and takes its time from the journal, behaves the same each time it is fed the same
completions in the same order. It has no selector: when nothing is ready it returns to its caller instead of waiting,
and goes on when a completion has been delivered. Everything that would reach the outside world refuses by name.

`drain` must be called from a plain callback of the real loop, never from inside one of its tasks: since Python 3.14 the
interpreter keeps one current task per thread, whichever loop it belongs to.
"""

import asyncio
import contextlib
import gc
import logging
import math
import sys
import threading
import weakref
from asyncio import events, tasks
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Generator, Iterator, Sequence
from contextvars import Context, copy_context
from types import CodeType
from typing import Any, Never, TypeVar

from assent.errors import NotDeterministic

T = TypeVar("T")
log = logging.getLogger("assent.engine")

# What makes tasks for asyncio's own functions.
_ENSURE_FUTURE: CodeType = getattr(tasks, "_ensure_future", tasks.ensure_future).__code__
_WAIT: CodeType = getattr(tasks, "_wait").__code__  # noqa: B009 - unknown to the type checkers

# How often a task is told to end: it may wait for something at its end, as task groups do for their tasks.
PATIENCE = 20

REMEDY = "Workflow code is replayed, so it may not touch the outside world. Put this in a @step and await that."


class Discarded(BaseException):
    """Ends workflow code that is dropped from memory; a BaseException, so that it passes `except Exception`."""


class DurableTimer(asyncio.TimerHandle):
    """A timer of workflow code, with the number of the op that stands for it in the journal."""

    __slots__ = ("op",)
    op: int


class DurableTask(asyncio.Task[Any]):
    """A task of workflow code. Its hash follows from its number, so that sets of tasks are in the same order each time.

    `TaskGroup` and `wait` keep their tasks in sets, and by address these would be cancelled in any order.
    """

    number: int
    context: Context

    def __hash__(self) -> int:
        return self.number


class DurableFuture(asyncio.Future[Any]):
    """A future of workflow code, such as that of `shield`. Hashed like a task, for `wait` gives out sets of them."""

    number: int

    def __hash__(self) -> int:
        return self.number


class DeterministicLoop(asyncio.AbstractEventLoop):
    """An event loop without I/O and without a clock of its own. `execution` is whose code it runs.

    `open_timer` and `close_timer` tell the execution of timers that workflow code starts and cancels; `seed` is where
    its tasks are numbered from.
    """

    def __init__(
        self,
        *,
        now: float,
        seed: int = 0,
        open_timer: Callable[[DurableTimer], None],
        close_timer: Callable[[DurableTimer], None],
    ) -> None:
        self.now = now
        self.execution: Any = None
        self._open_timer = open_timer
        self._close_timer = close_timer
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: list[DurableTask] = []
        self._task_number = seed
        self._future_number = seed
        self._in_order: dict[Any, asyncio.Task[Any]] = {}
        self._prune_at = 64
        # By number, so that they are closed in the order in which they were first used. Made when the first one comes.
        self._generators: weakref.WeakValueDictionary[int, AsyncGenerator[Any, Any]] | None = None
        self._generator_count = 0
        self._thread = threading.get_ident()
        self._draining = False
        self._discarded = False

    def drain(self) -> None:
        """Run callbacks until nothing is ready. What workflow code awaits then is for others to complete."""
        self._draining = True
        outer = events._get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._note_generator, self._close_generator)
        events._set_running_loop(self)
        try:
            ready = self._ready
            while ready:
                handle = ready.popleft()
                if handle.cancelled():
                    continue
                try:
                    handle._run()
                except SystemExit:
                    continue  # the task that calls exit() bears it; whoever awaits that gets it
        finally:
            events._set_running_loop(outer)
            sys.set_asyncgen_hooks(*hooks)
            self._draining = False

    def fire(self, timer: DurableTimer) -> None:
        """Make a timer's callback ready."""
        self._ready.append(timer)

    def open_tasks(self) -> list[DurableTask]:
        """The tasks that are not done, in the order in which they were created."""
        return [task for task in self._tasks if not task.done()]

    async def close_generators(self) -> None:
        """Close the asynchronous generators that were left half-way. What they raise then changes nothing any more."""
        if self._generators:
            closing = [generator.aclose() for generator in list(self._generators.values())]
            await asyncio.gather(*closing, return_exceptions=True)

    def discard(self) -> None:
        """End all tasks where they stand. From now on none is created."""
        self._discarded = True
        if self.open_tasks():
            self._end_tasks()
        # Cycles through the loop would keep all of it until the collector comes by, which costs more than running.
        self._ready.clear()
        self._tasks.clear()
        self.execution = None
        self._open_timer = self._close_timer = _unheard

    def _end_tasks(self) -> None:
        with self._running(), _uncollected():
            stubborn = [task.number for task in self.open_tasks() if not _ended(self, task)]
            self._ready.clear()
            self._tasks.clear()
        if stubborn:
            _collect_quietly()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        outer = events._get_running_loop()
        events._set_running_loop(self)
        try:
            yield
        finally:
            events._set_running_loop(outer)

    # What asyncio's primitives need.

    def time(self) -> float:
        return self.now

    def call_soon(  # type: ignore[override]  # typeshed relates the callback to its arguments; here any will do
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = DurableTimer(math.inf if math.isnan(when) else when, callback, args, self, context)
        self._open_timer(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        assert isinstance(handle, DurableTimer)
        self._close_timer(handle)

    def create_future(self) -> asyncio.Future[Any]:
        if sys._getframe(1).f_code is _WAIT:
            _check_order(sys._getframe(1).f_locals["fs"])
        future = DurableFuture(loop=self)
        future.number = self._future_number = self._future_number + 1
        return future

    def create_task(self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        if self._discarded:
            coro.close()
            raise Discarded
        if sys._getframe(1).f_code is _ENSURE_FUTURE and coro not in self._in_order:
            for sibling in _awaited_as_completed():
                self._in_order[sibling] = self._new_task(sibling, options)
        return self._in_order.pop(coro, None) or self._new_task(coro, options)

    def _new_task(self, coro: Any, options: dict[str, Any]) -> DurableTask:
        # The number must be there before the task is made, because making it asks for its hash.
        task = DurableTask.__new__(DurableTask)
        task.number = self._task_number = self._task_number + 1
        task.context = options["context"] = options.get("context") or copy_context()
        DurableTask.__init__(task, coro, loop=self, **options)
        self._tasks.append(task)
        if len(self._tasks) >= self._prune_at:
            self._tasks = self.open_tasks()
            self._prune_at = 64 + 2 * len(self._tasks)
        return task

    def get_task_factory(self) -> None:
        return None

    # False, without a frame of Python: every future and handle asks.
    get_debug = staticmethod(bool)  # pyright: ignore[reportAssignmentType]

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._discarded:
            log.warning("in workflow code: %s", context.get("message"), exc_info=context.get("exception"))

    default_exception_handler = call_exception_handler

    def call_soon_threadsafe(  # type: ignore[override]  # as above
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if threading.get_ident() != self._thread or not self._draining:
            self._refuse("call_soon_threadsafe")
        return self.call_soon(callback, *args, context=context)

    def _note_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if self._generators is None:
            self._generators = weakref.WeakValueDictionary()
        self._generator_count += 1
        self._generators[self._generator_count] = generator

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        # Reference counting drops a generator at the same place each time; only the collector of cycles comes
        # at odd moments, and then nobody may be scheduled.
        if self._draining:
            self.create_task(generator.aclose())

    def _refuse(self, name: str) -> Never:
        raise NotDeterministic(f"loop.{name}() in workflow code. {REMEDY}")


def _ended(loop: DeterministicLoop, task: DurableTask) -> bool:
    """End a task where it stands. False: it goes on waiting for something whenever it is told to end.

    Not by closing its coroutine, which would leave the asynchronous generators in which it waits where they stand.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # destroying it is what we want
    coroutine: Any = task.get_coro()
    with _as_current(loop, task):
        for _ in range(PATIENCE):
            try:
                task.context.run(coroutine.throw, Discarded())
            except BaseException:  # noqa: BLE001 - what it raises at its end is nobody's concern any more
                return True
    return False


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector away: what it finalizes, such as clients, may want to start tasks on the loop that runs."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _collect_quietly() -> None:
    """Let the collector end what has not ended by itself, here and now: later it would complain to the user."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook


@contextlib.contextmanager
def _as_current(loop: DeterministicLoop, task: DurableTask) -> Iterator[None]:
    """Let code that ends find the task that it belongs to: some of it compares that with where it began."""
    if sys.version_info >= (3, 12):
        earlier = tasks._swap_current_task(loop, task)
        try:
            yield
        finally:
            tasks._swap_current_task(loop, earlier)
    else:
        tasks._enter_task(loop, task)
        try:
            yield
        finally:
            tasks._leave_task(loop, task)


def _unheard(_timer: DurableTimer) -> None:
    """Nobody is there any more who could be told of a timer."""


def _awaited_as_completed() -> list[Any]:
    """The coroutines of which `asyncio.as_completed` is about to make tasks, in the order in which they were given.

    It makes them in the order of a set, by address; what it was given stands in its frame.
    """
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename == _ENSURE_FUTURE.co_filename:
        if frame.f_code.co_name == "as_completed" or frame.f_code.co_qualname.startswith("_AsCompleted"):
            given = frame.f_locals.get("fs", frame.f_locals.get("aws"))
            if not isinstance(given, Sequence) or not all(map(_has_order, given)):
                raise NotDeterministic(
                    "as_completed() in workflow code needs a list of coroutines or tasks, so that it has an order."
                )
            return [each for each in dict.fromkeys(given) if asyncio.iscoroutine(each)]
        frame = frame.f_back
    return []


def _check_order(awaited: Collection[object]) -> None:
    """Refuse to `asyncio.wait` for futures whose set has another order each time: those of `gather` are made by it."""
    if len(awaited) > 1 and not all(isinstance(each, DurableTask | DurableFuture) for each in awaited):
        raise NotDeterministic(
            "wait() in workflow code needs tasks, so that the sets it returns have an order. Put each gather() into "
            "an async function and make a task of it."
        )


def _has_order(awaitable: object) -> bool:
    return asyncio.iscoroutine(awaitable) or asyncio.isfuture(awaitable)


def _refusal(name: str) -> Callable[..., Never]:
    def refuse(self: DeterministicLoop, *_args: object, **_options: object) -> Never:
        self._refuse(name)

    refuse.__name__ = name
    return refuse


# Whatever an event loop may offer beyond the above belongs to the outside world, also what later Pythons will add.
for _name in sorted(set(dir(asyncio.AbstractEventLoop)) - set(vars(DeterministicLoop)) - set(dir(object))):
    if not _name.startswith("_"):
        setattr(DeterministicLoop, _name, _refusal(_name))

"""`@step`: an effect whose outcome is recorded, and what a step may know while it runs."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar, overload

from assent.clock import Duration, SystemClock, seconds
from assent.codec import Signature, signature_of
from assent.engine.execution import current
from assent.engine.ops import Effect, ExecutionInfo, Note, StepSpec
from assent.errors import OutsideWorkflow
from assent.resilience import Retry

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Q = ParamSpec("Q")  # of a method without its instance
U = TypeVar("U")


class NotDone(Enum):
    """The type of `NOT_DONE`."""

    NOT_DONE = "not done"


NOT_DONE = NotDone.NOT_DONE
"""What a `verify=` function returns when the effect has surely not happened; it may then be performed."""

Verify = Callable[[Effect], Awaitable[R | Literal[NotDone.NOT_DONE]]]


@dataclass(slots=True)
class StepScope:
    """What one attempt of a step may know and leave behind."""

    info: ExecutionInfo
    key: str  # stable over retries and restarts
    attempt: int
    op: int = 0  # of this attempt
    notes: Sequence[Note] = ()  # journaled together with the outcome
    calls: int = 0  # executions started from inside this attempt
    touched: bool = False  # the effect may have happened; a failure before that surely had none
    amounts: Mapping[str, int] | None = None  # millionths that it really took of each hold, by key

    def note(self, type: str, name: str | None, value: str | None) -> None:
        """Have an event, one of few, journaled together with the outcome. `value`: JSON."""
        self.notes = (*self.notes, Note(type, name, value))


step_scope: ContextVar[StepScope | None] = ContextVar("step_scope", default=None)


def idempotency_key() -> str:
    """A key for the step that runs now: the same over its retries and restarts, different for every other step.

    Hand it to the service that you call, so that it can recognise a repetition. Outside an execution it is a new id.
    """
    scope = step_scope.get()
    if scope is not None:
        return scope.key
    if current() is not None:
        raise OutsideWorkflow("idempotency_key() belongs in a step, where the effect is. Call it inside a @step.")
    return SystemClock().new_id()


def plain_name(fn: Callable[..., Any]) -> str:
    """A function's name as people know it: with its class, without the function that encloses it."""
    return fn.__qualname__.rpartition("<locals>.")[2]


def as_coroutine(fn: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The function itself if it is async; else one that runs it in a thread."""
    if inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None)):  # noqa: B004
        return fn

    @functools.wraps(fn)
    async def in_thread(*args: Any, **kwargs: Any) -> Any:
        work = asyncio.ensure_future(asyncio.to_thread(_without_stop, fn, args, kwargs))
        interruption: asyncio.CancelledError | None = None
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                # A thread cannot be interrupted, and whoever goes on before it has ended does not know what it did.
                interruption = error
        if interruption is not None:
            _ = work.cancelled() or work.exception()  # seen: nobody will ask for it
            raise interruption
        return work.result()

    return in_thread


def _without_stop(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        return fn(*args, **kwargs)
    except StopIteration as error:
        # Futures refuse it, and a coroutine would have done the same with it.
        raise RuntimeError(f"{plain_name(fn)} raised StopIteration") from error


class Step(Generic[P, R]):
    """A decorated step. Calling it gives a coroutine, in a workflow and outside; `__wrapped__` is the function."""

    def __init__(self, fn: Callable[P, Any], spec_options: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, fn)
        self.__wrapped__ = fn
        self._options = spec_options
        self._call = as_coroutine(fn)

    @functools.cached_property
    def spec(self) -> StepSpec:
        """How the step is performed and recorded."""
        signature = signature_of(self.__wrapped__)
        options = {"name": plain_name(self.__wrapped__), **self._options}
        # It knows nothing of the step itself, which is gone, with the object of a method, as soon as it was called.
        perform = functools.partial(_perform, self._call, signature)
        return StepSpec(perform=perform, signature=signature, returns=signature.returns, **options)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        live = current()
        if live is None:
            return await self._call(*args, **kwargs)  # type: ignore[no-any-return]  # the wrapped function's own result
        spec = self.spec
        assert spec.signature is not None
        return await live.run_step(spec, spec.signature.bind(args, kwargs))  # type: ignore[no-any-return]  # as above

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self: "Step[Concatenate[S, Q], U]", instance: S, owner: type) -> "Step[Q, U]": ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        bound = self.__wrapped__.__get__(instance, owner)
        return Step(bound, self._options)


def _perform(
    call: Callable[..., Coroutine[Any, Any, Any]], signature: Signature, arguments: Mapping[str, Any]
) -> Coroutine[Any, Any, Any]:
    args, kwargs = signature.spread(arguments)
    return call(*args, **kwargs)


class _StepDecorator:
    """The type of `step(...)`: takes async and plain functions alike."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...

    @overload
    def __call__(self, fn: Callable[P, R], /) -> Step[P, R]: ...

    def __call__(self, fn: Callable[P, Any], /) -> Step[P, Any]:
        return Step(fn, self._options)


@overload
def step(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...


@overload
def step(fn: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    once: bool = False,
    verify: Verify[Any] | None = None,
) -> _StepDecorator: ...


def step(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    once: bool = False,
    verify: Verify[Any] | None = None,
) -> Any:
    """Make a function a step: inside a workflow its outcome is recorded, and after a crash not repeated.

    A step that was under way at a crash runs again, unless `once`: then its intent is journaled before, and after a
    crash in between it is looked up with `verify` (which returns the outcome, `NOT_DONE`, or raises
    `OutcomeUnknown`) or put before a person. `verify` implies `once`. `timeout` (seconds, timedelta, or text such
    as "30s") cancels one attempt; a plain `def` runs in a thread, cannot be interrupted, and is waited for.
    Outside a workflow the function just runs.
    """
    options: dict[str, Any] = {"retry": retry, "once": once or verify is not None, "verify": verify}
    if name is not None:
        options["name"] = name
    if timeout is not None:
        options["timeout"] = seconds(timeout)
    decorator = _StepDecorator(options)
    return decorator if fn is None else decorator(fn)

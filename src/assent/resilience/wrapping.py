"""Async functions that are called in some way of ours: what makes decorators of retries, breakers and the like."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar

from assent.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")


class Call(Protocol):
    """Calls an async function in some way of its own."""

    async def __call__(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...


def wrapped(call: Call, fn: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """`fn`, called through `call` each time."""
    if not (inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))):  # noqa: B004
        raise _not_async(fn)

    # What else a decorated function knows of itself, such as its program, would go around `call`.
    @functools.wraps(fn, updated=())
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return await call(fn, *args, **kwargs)

    return wrapper


def begun(fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
    """A call of an async function. Any other has happened by now: it is refused, and neither repeated nor counted."""
    call = fn(*args, **kwargs)
    if not inspect.isawaitable(call):
        raise _not_async(fn)
    return call


def _not_async(fn: object) -> UsageError:
    return UsageError(f"{getattr(fn, '__qualname__', fn)!r} is not async. Write `async def`, or make a @step of it.")

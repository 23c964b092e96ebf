"""One of several ways: the first that works, the fastest, or a default if it takes too long.

All of it is plain asyncio, so workflow code that uses it resumes by itself.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum
from typing import Any, Final, ParamSpec, TypeVar, overload

from assent.clock import Duration, seconds
from assent.errors import AllFailed, UsageError
from assent.resilience.settings import FINAL, Errors, each_error, kinds
from assent.resilience.wrapping import begun

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")


class _Missing(Enum):
    """The type of the mark that nothing was given, where None could be."""

    DEFAULT = "no default"


_NO_DEFAULT: Final = _Missing.DEFAULT


def fallback(
    primary: Callable[P, Awaitable[R]], /, *others: Callable[P, Awaitable[R]], on: Errors = Exception
) -> Callable[P, Coroutine[Any, Any, R]]:
    """An async function that calls `primary`, and where that fails the others in turn, with the same arguments.

    Raised at once are errors that are not in `on`, errors in the use of Assent itself, refusals by policies and people,
    and effects in doubt. Raises AllFailed when none is left, caused by the last error.
    """
    caught = kinds(on, "fallback(on")

    @functools.wraps(primary, updated=())
    async def first_that_works(*args: P.args, **kwargs: P.kwargs) -> R:
        failures: list[Exception] = []
        for way in (primary, *others):
            try:
                return await begun(way, *args, **kwargs)
            except caught as error:
                if any(isinstance(each, FINAL) for each in each_error(error)):
                    raise
                failures.append(error)
        raise _all_failed("fallback", failures) from failures[-1]

    return first_that_works


async def race(*contenders: Awaitable[R]) -> R:
    """The result of the first to succeed. The others are cancelled, and have ended when this returns.

    If several succeed at the same moment, the one that was given first wins. Raises AllFailed when none succeeds,
    caused by a group of all their errors.
    """
    if not contenders:
        raise UsageError("race() needs something to run. Give it one awaitable at least.")
    tasks = [asyncio.ensure_future(_run(each)) for each in contenders]
    try:
        return await _first_success(tasks)
    finally:
        await end(tasks)


async def _run(awaitable: Awaitable[R]) -> R:
    # A task of our own for each: whatever is awaited can be cancelled, and has a place in the order of a workflow.
    return await awaitable


async def _first_success(tasks: Sequence[asyncio.Task[R]]) -> R:
    failures: dict[asyncio.Task[R], BaseException] = {}
    while len(failures) < len(tasks):
        await asyncio.wait([task for task in tasks if task not in failures], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if not task.done() or task in failures:
                continue
            error = _error_of(task)
            if error is None:
                return task.result()
            failures[task] = error
    in_order = [failures[task] for task in tasks]
    raise _all_failed("race", in_order) from BaseExceptionGroup("the errors of a race", in_order)


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel what still runs, and wait for it."""
    for task in tasks:
        task.cancel()
    # What they raise on the way out, or have raised unheard, changes nothing any more.
    await asyncio.gather(*tasks, return_exceptions=True)


@overload
async def timeout(awaitable: Awaitable[R], after: Duration) -> R: ...


@overload
async def timeout(awaitable: Awaitable[R], after: Duration, *, default: D) -> R | D: ...


async def timeout(awaitable: Awaitable[R], after: Duration, *, default: Any = _NO_DEFAULT) -> Any:
    """What is awaited, or, if that takes longer than `after`, the default, with the work cancelled and ended.

    Without a default it raises TimeoutError. A TimeoutError of the work's own is raised in any case.
    """
    limit = seconds(after)
    scope = asyncio.timeout(limit)
    try:
        async with scope:
            return await awaitable
    except TimeoutError as error:
        if not scope.expired():
            raise
        if default is _NO_DEFAULT:
            raise TimeoutError(f"not done within {limit:g} s") from error
        return default


def _all_failed(what: str, failures: Sequence[BaseException]) -> AllFailed:
    told = [told_error(error) for error in failures]
    return AllFailed(f"{what}: none of {len(told)} succeeded; {'; '.join(told)}", failures=told)


def told_error(error: BaseException) -> str:
    """An error in one line: its type and its message."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

"""All of several things at once: with every error, over a list, or as far as they succeed.

All of it is plain asyncio, so workflow code that uses it resumes by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, overload

from assent.resilience.alternatives import end, told_error
from assent.resilience.settings import count

T = TypeVar("T")
R = TypeVar("R")

Completeness = Literal["complete", "partial", "failed"]


@dataclass(frozen=True, slots=True)
class Gathered(Generic[R]):
    """What came of several things."""

    outcomes: Sequence[R | BaseException]  # in the order in which they were given

    @property
    def results(self) -> list[R]:
        """Of those that succeeded, in order."""
        return [each for each in self.outcomes if not isinstance(each, BaseException)]

    @property
    def errors(self) -> list[BaseException]:
        """Of those that failed, in order."""
        return [each for each in self.outcomes if isinstance(each, BaseException)]

    def or_raise(self) -> list[R]:
        """All results; raises all errors as one ExceptionGroup, if there are any."""
        if self.errors:
            raise BaseExceptionGroup(f"{len(self.errors)} of {len(self.outcomes)} failed", self.errors)
        return self.results


async def gather_all(*awaitables: Awaitable[R]) -> Gathered[R]:
    """Run everything at once and to its end, whatever fails on the way."""
    return Gathered(await asyncio.gather(*awaitables, return_exceptions=True))


@overload
async def parallel_map(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T],
    *,
    limit: int | None = None,
    return_exceptions: Literal[False] = False,
) -> list[R]: ...


@overload
async def parallel_map(
    fn: Callable[[T], Awaitable[R]], items: Iterable[T], *, limit: int | None = None, return_exceptions: bool
) -> list[R | Exception]: ...


async def parallel_map(
    fn: Callable[[T], Awaitable[R]], items: Iterable[T], *, limit: int | None = None, return_exceptions: bool = False
) -> Any:
    """The results of an async function for each item, in the order of the items, `limit` calls at a time.

    The first error is raised, after all other calls were cancelled and have ended. With `return_exceptions` each
    error takes the place of its result instead, and all items are seen to.
    """
    if limit is not None:
        count(limit, "parallel_map(limit")
    given = list(items)
    results: list[Any] = [None] * len(given)
    queue = iter(enumerate(given))

    async def work() -> None:
        for place, item in queue:
            results[place] = await (_outcome(fn, item) if return_exceptions else fn(item))

    workers = [asyncio.ensure_future(work()) for _ in given[:limit]]
    try:
        await _all_or_first_error(workers)
    finally:
        await end(workers)
    return results


async def _all_or_first_error(tasks: Sequence[asyncio.Task[None]]) -> None:
    # Not `gather`: that cancels them with its caller, and to be cancelled once more would cut off how they end.
    if tasks:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task in done:
                task.result()


async def _outcome(fn: Callable[[T], Awaitable[R]], item: T) -> R | Exception:
    try:
        return await fn(item)
    except Exception as error:  # noqa: BLE001 - the caller has asked for it in place of the result
        return error


@dataclass(frozen=True, slots=True)
class Degraded:
    """What is left of something where parts of it failed. A workflow can return it as it is."""

    status: Completeness  # "failed": every part did
    values: dict[str, Any] = field(default_factory=dict)  # of the parts that succeeded, by name
    errors: dict[str, str] = field(default_factory=dict)  # of those that failed, such as "ValueError: no such text"


async def degrade(**parts: Awaitable[Any]) -> Degraded:
    """Run named parts at once, and do with those that succeed."""
    gathered = await gather_all(*parts.values())
    named = list(zip(parts, gathered.outcomes, strict=True))
    values = {name: each for name, each in named if not isinstance(each, BaseException)}
    errors = {name: told_error(each) for name, each in named if isinstance(each, BaseException)}
    return Degraded(_completeness(values, errors), values, errors)


def _completeness(values: dict[str, Any], errors: dict[str, str]) -> Completeness:
    if not errors:
        return "complete"
    return "partial" if values else "failed"

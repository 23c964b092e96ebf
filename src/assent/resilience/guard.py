"""What is entered before a call and left after it: with `async with`, as a decorator, or around one call."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Self, TypeVar

from assent.resilience.wrapping import begun, wrapped

P = ParamSpec("P")
R = TypeVar("R")


class Guard(ABC):
    """Something that stands before calls. Each call enters it by itself, so one guard serves many at once."""

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(self, *exc: object) -> None: ...

    async def call(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an async function behind this guard."""
        async with self:
            return await begun(fn, *args, **kwargs)

    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        """Put an async function behind this guard, for all its calls."""
        return wrapped(self.call, fn)

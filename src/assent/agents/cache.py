"""Answers and results that are kept for a while, under what was asked.

They lie in the store, so all processes share them; without a runtime nothing is kept. Off unless asked for: what is
kept is served to whoever asks the same, so it must not depend on who asks.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from decimal import Decimal
from typing import Any, Final

from assent.agents.messages import REQUEST, RESPONSE, ModelRequest, ModelResponse
from assent.agents.models import Model
from assent.clock import Duration, seconds
from assent.codec import Codec, digest
from assent.engine import Step, step_scope
from assent.errors import CodecError, UsageError
from assent.governance import ambient_authority
from assent.store.shelf import Cell
from assent.tools import Tool

# In the journal, beside the outcome of a call that was not made.
CACHED: Final = "agent.tool.cached"


@dataclass(frozen=True, slots=True)
class Cache:
    """How long something is kept, and how much of it: when it is too much, what was kept first goes first."""

    ttl: Duration = "1h"
    _: KW_ONLY
    most_bytes: int = 50_000_000

    def __post_init__(self) -> None:
        if seconds(self.ttl) == 0 or self.most_bytes < 1:
            raise UsageError(f"{self!r} keeps nothing. Give it a time and some bytes, or leave it out.")

    async def get(self, shelf: str, key: str, codec: Codec, ask: Callable[[], Awaitable[Any]]) -> tuple[Any, bool]:
        """The value under a key, asked for unless it is there; and whether it was there."""
        authority = ambient_authority.get()
        if authority is None:
            return await ask(), False
        store, now = authority.store, authority.clock.now()
        found = await store.cell(shelf, key, now)
        if found is not None:
            with suppress(CodecError):  # it was kept by other code, whose results had another type
                return codec.decode(found.text), True
        value, now = await ask(), authority.clock.now()
        with suppress(CodecError):  # what cannot be kept is still a result
            text, value = codec.round_trip(value)
            await store.put(Cell(shelf=shelf, key=key, text=text, written_at=now, expires_at=now + seconds(self.ttl)))
            await store.trim(shelf, self.most_bytes, now)
        return value, False


class CachedModel:
    """A model that is asked the same only once in a while. What comes from the cache says so, and costs nothing."""

    def __init__(self, model: Model, cache: Cache) -> None:
        self._model = model
        self._cache = cache

    @property
    def name(self) -> str:
        return self._model.name

    async def request(self, request: ModelRequest) -> ModelResponse:
        ask = functools.partial(self._model.request, request)
        response: ModelResponse
        response, was_there = await self._cache.get(f"cache/model/{self.name}", _key(request), RESPONSE, ask)
        return replace(response, cached=True, cost=Decimal(0)) if was_there else response

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        # Kept answers come in one piece, and so do those that are kept now: half an answer is not worth keeping.
        response = await self.request(request)
        if response.message.text:
            yield response.message.text
        yield response


def cached_step(tool: Tool[..., Any]) -> Step[..., Any]:
    """The step of a plain tool, whose results are kept. Raises UsageError for a tool of another kind."""
    fn, signature, cache = tool.__wrapped__, tool.signature, Cache(tool.cache_seconds)
    if not tool.is_plain or tool.is_once or inspect.ismethod(fn):
        raise UsageError(
            f"The results of {tool.name} cannot be kept: only those of a plain function that may be repeated can, and "
            "those of a method depend on its object. Leave out `cache`."
        )
    # Tools of one name may be different functions, in different agents.
    shelf = f"cache/tool/{fn.__module__}:{fn.__qualname__}"

    @functools.wraps(fn)
    async def fetch(*args: Any, **kwargs: Any) -> Any:
        key, ask = signature.digest(signature.bind(args, kwargs)), functools.partial(tool.call, *args, **kwargs)
        value, was_there = await cache.get(shelf, key, signature.returns, ask)
        scope = step_scope.get()
        if was_there and scope is not None:
            scope.note(CACHED, tool.name, None)
        return value

    return tool.performed_by(fetch)


def _key(request: ModelRequest) -> str:
    return digest(REQUEST.canonical(request))

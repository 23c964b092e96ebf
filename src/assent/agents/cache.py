"""Answers and results that are kept for a while, under what was asked.

They lie in the store, so all processes share them; without a runtime nothing is kept. Off unless asked for: what is
kept is served to whoever asks the same, so it must not depend on who asks.
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, replace
from decimal import Decimal
from typing import Any, Final

from assent.agents.messages import ModelRequest, ModelResponse
from assent.agents.models import Model
from assent.clock import Duration, seconds
from assent.codec import codec_for, digest
from assent.engine import Note, Step, step_scope
from assent.errors import UsageError
from assent.governance import ambient_authority
from assent.store.shelf import Cell
from assent.tools import Tool

REQUEST: Final = codec_for(ModelRequest)
RESPONSE: Final = codec_for(ModelResponse)

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

    async def get(self, shelf: str, key: str, ask: Callable[[], Awaitable[str]]) -> tuple[str, bool]:
        """The text under a key, asked for unless it is there; and whether it was there."""
        authority = ambient_authority.get()
        if authority is None:
            return await ask(), False
        store, now = authority.store, authority.clock.now()
        found = await store.cell(shelf, key, now)
        if found is not None:
            return found.text, True
        text, now = await ask(), authority.clock.now()
        await store.put(Cell(shelf=shelf, key=key, text=text, written_at=now, expires_at=now + seconds(self.ttl)))
        await store.trim(shelf, self.most_bytes, now)
        return text, False


class CachedModel:
    """A model that is asked the same only once in a while. What comes from the cache says so, and costs nothing."""

    def __init__(self, model: Model, cache: Cache) -> None:
        self._model = model
        self._cache = cache

    @property
    def name(self) -> str:
        return self._model.name

    async def request(self, request: ModelRequest) -> ModelResponse:
        async def ask() -> str:
            return RESPONSE.encode(await self._model.request(request))

        text, was_there = await self._cache.get(f"cache/model/{self.name}", _key(request), ask)
        response: ModelResponse = RESPONSE.decode(text)
        return replace(response, cached=True, cost=Decimal(0)) if was_there else response

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        # Kept answers come in one piece, and so do those that are kept now: half an answer is not worth keeping.
        response = await self.request(request)
        if response.message.text:
            yield response.message.text
        yield response


def cached_step(tool: Tool[..., Any]) -> Step[..., Any]:
    """The step of a plain tool, whose results are kept. Raises UsageError for a tool of another kind."""
    if not tool.is_plain or tool.is_once:
        raise UsageError(
            f"The results of {tool.name} cannot be kept: only those of a plain tool that may be repeated can. Leave "
            "out `cache`."
        )
    perform, returns, cache = tool.call, tool.signature.returns, Cache(tool.cache_seconds)

    @functools.wraps(tool.__wrapped__)
    async def fetch(*args: Any, **kwargs: Any) -> Any:
        async def ask() -> str:
            return returns.encode(await perform(*args, **kwargs))

        key = tool.signature.digest(tool.signature.bind(args, kwargs))
        text, was_there = await cache.get(f"cache/tool/{tool.name}", key, ask)
        scope = step_scope.get()
        if was_there and scope is not None:
            scope.notes.append(Note(CACHED, tool.name))
        return returns.decode(text)

    return Step(fetch, {"name": f"tool {tool.name}"})


def _key(request: ModelRequest) -> str:
    return digest(REQUEST.canonical(request))

"""Hearing what an agent says while it says it.

Only who listens in the process that asks the model hears anything before the end. An execution that another worker has
taken over is silent until its result comes, and the result is the same.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from assent.agents.messages import ModelRequest, ModelResponse
from assent.agents.models import Model
from assent.agents.output import Output
from assent.engine import step_scope
from assent.errors import ModelUnavailable

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some more text of an answer."""

    text: str
    partial: Any = None  # what the answer so far is as a value of the result's type, where that can be told
    is_fresh: bool = False  # an answer begins; what came before was another, or an attempt that failed


class Ear:
    """Hears pieces, in order, until it is closed."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        self._text = ""

    def begin(self) -> None:
        """An answer begins."""
        self._text = ""

    def hear(self, text: str) -> None:
        """A piece of it."""
        if not text:
            return
        is_fresh, self._text = not self._text, self._text + text
        self._pieces.put_nowait(Piece(text, self._output.partial(self._text), is_fresh))

    def close(self) -> None:
        """Nothing more comes."""
        self._pieces.put_nowait(None)

    async def pieces(self) -> AsyncIterator[Piece]:
        while (piece := await self._pieces.get()) is not None:
            yield piece
        self.close()  # for whoever asks once more


class Audience:
    """Who listens to an agent in this process: to its executions, by id, and to plain calls."""

    def __init__(self) -> None:
        self._ears: dict[str, Ear] = {}

    def listen(self, ear: Ear, execution_id: str | None) -> None:
        """Listen to an execution, or without one to what the current task calls."""
        if execution_id is None:
            hearing.set((self, ear))
        else:
            self._ears[execution_id] = ear

    def leave(self, execution_id: str | None) -> None:
        """Listen to an execution no longer."""
        self._ears.pop(execution_id or "", None)

    async def ask(self, model: Model, request: ModelRequest) -> ModelResponse:
        """Ask a model, and let whoever listens hear it."""
        scope = step_scope.get()
        ear = self._listening_here() if scope is None else self._ears.get(scope.info.id)
        return await model.request(request) if ear is None else await _heard(model, request, ear)

    def _listening_here(self) -> "Ear | None":
        heard = hearing.get()
        return heard[1] if heard is not None and heard[0] is self else None


# Who listens to the plain calls of which agent, in the task that makes them.
hearing: ContextVar[tuple[Audience, Ear] | None] = ContextVar("hearing", default=None)


async def _heard(model: Model, request: ModelRequest, ear: Ear) -> ModelResponse:
    ear.begin()
    async with aclosing(model.stream(request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, ModelResponse):
                return piece
            ear.hear(piece)
    raise ModelUnavailable(f"the answer of {model.name} ended without an end. Try again.", model=model.name)


class AgentStream(Generic[R]):
    """One call of an agent that can be heard: `async with agent.stream(...) as stream: async for piece in stream`.

    Whoever leaves before the end hears no more; an execution goes on, a plain call is cancelled.
    """

    def __init__(self, ear: Ear, audience: Audience, call: Any, execution_id: str | None) -> None:
        self._ear = ear
        self._audience = audience
        self._call = call
        self._execution_id = execution_id
        self._task: asyncio.Task[R] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task = self._running()
        task.cancel()
        await asyncio.wait([task])
        _ = task.cancelled() or task.exception()  # it was raised where the result was asked for

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self._ear.pieces()

    async def result(self) -> R:
        """The result, when it is there; raises what the call raises."""
        return await asyncio.shield(self._running())

    def _running(self) -> "asyncio.Task[R]":
        if self._task is None:
            raise RuntimeError("A stream is used as `async with agent.stream(...) as stream:`.")
        return self._task

    async def _run(self) -> R:
        self._audience.listen(self._ear, self._execution_id)
        try:
            return await self._call()  # type: ignore[no-any-return]  # the agent's own result
        finally:
            self._audience.leave(self._execution_id)
            self._ear.close()

"""One execution, seen from outside."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from assent.codec import Codec, codec_for, from_json
from assent.engine import Engine, LiveExecution, StepSpec, current
from assent.errors import NotDeterministic, ResultTimeout
from assent.governance import current_principal
from assent.store import Event, ExecutionRecord, Message, Status

R = TypeVar("R")


class Handle(Generic[R]):
    """One execution, seen from outside. Works from any process that has the store open, and inside workflows."""

    def __init__(
        self, engine: Engine, execution_id: str, *, is_child: bool = False, returns: Codec | None = None
    ) -> None:
        self.id = execution_id
        self._engine = engine
        self._is_child = is_child
        self._returns = returns or codec_for(Any)

    async def result(self, timeout: float | None = None) -> R:
        """Wait for the result; raises what the execution raised.

        ResultTimeout after `timeout` seconds; the execution goes on then.
        """
        live = current()
        if live is None:
            return await self._engine.result(self.id, timeout=timeout)  # type: ignore[no-any-return]
        if self._is_child:
            await self._word_of_child(live, timeout)
        result = partial(self._engine.result, self.id, timeout=timeout)
        return await self._inside(live, "result", result, self._returns)  # type: ignore[no-any-return]

    async def _word_of_child(self, live: LiveExecution, timeout: float | None) -> None:
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                await live.wait_child(self.id)
        except TimeoutError as error:
            raise ResultTimeout(
                f"execution {self.id} has no result after {timeout:g} s; it goes on. Ask again later.",
                execution_id=self.id,
            ) from error

    async def status(self) -> Status:
        """Where the execution stands."""
        live = current()
        if live is None:
            return await self._status()
        return await self._inside(live, "status", self._status, codec_for(Status))  # type: ignore[no-any-return]

    async def _status(self) -> Status:
        return (await self._engine.execution(self.id)).status

    async def record(self) -> ExecutionRecord:
        """Its head in the store. In workflow code it belongs in a step."""
        self._stay_outside("record")
        return await self._engine.execution(self.id)

    async def events(self) -> list[Event]:
        """Its journal so far. In workflow code it belongs in a step."""
        self._stay_outside("events")
        return await self._engine.events(self.id)

    def _stay_outside(self, what: str) -> None:
        if current() is not None:
            raise NotDeterministic(
                f"handle.{what}() gives another answer each time it is asked, and workflow code is replayed. Put it in "
                "a @step and await that."
            )

    async def signal(self, name: str, value: Any = None) -> None:
        """Send it a message, which `await signal(name, type)` in its code returns. Kept until somebody asks for it."""
        await self._post("signal", name, codec_for(type(value)).encode(value))

    async def cancel(self, reason: str = "") -> None:
        """Cancel it: its code sees CancelledError, its running step is interrupted, its `finally` blocks run."""
        await self._post("cancel", "", codec_for(str).encode(reason))

    async def resolve(self, *, done: bool, result: Any = None, step: str = "", by: str | None = None) -> None:
        """Say of an effect in doubt whether it has happened, and with what result. `by`: who says so."""
        facts = {"done": done, "result": from_json(codec_for(type(result)).encode(result))}
        await self._post("resolve", step, codec_for(dict[str, Any]).encode(facts), by)

    async def _post(self, kind: str, name: str, value: str, sender: str | None = None) -> None:
        principal = current_principal()
        who = sender or (principal.id if principal else None)
        message = Message(execution_id=self.id, kind=kind, name=name, value=value, sender=who)
        live = current()
        if live is None:
            await self._engine.post(message)
        else:
            await self._inside(live, kind, partial(self._engine.post, message), codec_for(None))

    async def _inside(self, live: LiveExecution, what: str, perform: Callable[[], Any], returns: Codec) -> Any:
        """In workflow code, talking to another execution is an effect like any other."""

        async def work(_arguments: Mapping[str, Any]) -> Any:
            return await perform()

        return await live.run_step(StepSpec(name=f"{what} of {self.id}", perform=work, returns=returns), {})

"""What the suite needs of an engine under test, and the words in which its tests are written."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest

from assent.runtime import Handle, Runtime
from assent.store import Event, Message
from assent.testing import JumpingClock, JumpingLoop


class Ground(Protocol):
    """One storage, and runtimes on it, one after another or side by side, as processes would have them."""

    clock: JumpingClock
    dead: asyncio.Event  # set when a runtime that was to die has tried to write once more

    def runtime(
        self,
        *workflows: Any,
        dies: bool = False,  # it ends as if killed, at the end of the block
        dies_after: int | None = None,  # it ends as if killed, when so much has been written
        shares: bool = False,  # it looks out for what others write
        grace: float = 0.0,
        **options: Any,
    ) -> AbstractAsyncContextManager[Runtime]: ...

    def fail_once(self) -> None:
        """The next thing that is written is refused, as by a full disk."""
        ...

    async def expire_leases(self) -> None:
        """Whoever has a lease loses it, as if it had been silent for too long."""
        ...

    def in_memory(self, runtime: Runtime) -> set[str]:
        """The executions that a runtime has in memory."""
        ...

    def events_seen(self) -> list[Event]:
        """What the watchers of all runtimes were told."""
        ...


class Suite:
    """The base of all parts of the suite. An engine's tests give `ground`."""

    @pytest.fixture
    def anyio_backend(self) -> Any:
        """Time passes at once: an hour of sleep costs nothing."""
        return "asyncio", {"loop_factory": JumpingLoop}

    @pytest.fixture
    def ground(self) -> Ground:
        raise NotImplementedError

    async def finished(self, ground: Ground, fn: Any, *args: Any) -> Any:
        """The result of a workflow that nothing disturbs."""
        async with ground.runtime(fn) as runtime:
            return await (await runtime.start(fn, *args)).result()

    async def outlives(self, ground: Ground, fn: Any, *args: Any, say: Callable[[Handle[Any]], Any] = lambda _: None) -> Any:
        """The result of a workflow, after proving that it is the same when its process dies at any moment.

        `say` is called with each new execution, and may send it messages.
        """

        async def start(runtime: Runtime, id: str) -> Handle[Any]:
            handle = await runtime.start(fn, *args, id=id)
            await (say(handle) or asyncio.sleep(0))
            return handle

        async with ground.runtime(fn) as runtime:
            expected = await outcome(await start(runtime, "undisturbed"))
        for deaths in itertools.count(1):
            id = f"dies after {deaths}"
            ground.dead.clear()
            async with ground.runtime(fn, dies_after=deaths) as runtime:
                started = asyncio.ensure_future(start(runtime, id))
                is_over = await first(started, ground.dead.wait()) is started
                if is_over:
                    is_over = await first(outcome(started.result()), ground.dead.wait()) != True  # noqa: E712
            async with ground.runtime(fn) as runtime:
                handle = await runtime.start(fn, *args, id=id)
                if not started.done() or started.exception():
                    await (say(handle) or asyncio.sleep(0))
                assert await outcome(handle) == expected, f"died after {deaths} commits"
            if not ground.dead.is_set():
                return expected


async def outcome(handle: Handle[Any]) -> Any:
    """What an execution returned or raised, as something that can be compared."""
    try:
        return ("returned", await handle.result())
    except Exception as error:  # noqa: BLE001 - it is what is compared
        return (type(error).__name__, str(error).replace(handle.id, "ID"))


def types(events: list[Event], *beginnings: str) -> list[str]:
    return [event.type for event in events if not beginnings or event.type.startswith(beginnings)]

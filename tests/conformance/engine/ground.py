"""What the suite needs of an engine under test, and the words in which its tests are written."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest

from assent.errors import StoreError
from assent.runtime import Handle, Runtime
from assent.store import Event
from assent.testing import JumpingClock, JumpingLoop

# Seconds after which nothing is left to happen but heartbeats.
FOREVER = 1e9

Say = Callable[[Handle[Any]], Awaitable[None]]


class Ground(Protocol):
    """One storage, and runtimes on it, one after another or side by side, as processes would have them."""

    clock: JumpingClock
    seen: list[Event]  # what the watchers of all runtimes were told
    dead: asyncio.Event  # set when a runtime that was to die has tried to write once more

    def runtime(
        self,
        *workflows: Any,
        dies: bool = False,  # it ends as if killed, at the end of the block
        dies_after: int | None = None,  # it ends as if killed, when so much has been written
        shares: bool = False,  # it looks out for what others write
        grace: float = 0.0,
        lease: float = FOREVER,
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


async def forgotten(ground: Ground, runtime: Runtime) -> None:
    """Return when a runtime has nothing in memory any more."""
    while ground.in_memory(runtime):  # noqa: ASYNC110 - an engine need not tell of it
        await asyncio.sleep(0.01)


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

    async def outlives(self, ground: Ground, fn: Any, *args: Any, say: Sequence[Say] = ()) -> Any:
        """The result of a workflow, after proving that it is the same when its process dies at any moment.

        Each of `say` sends a message to each new execution.
        """
        async with ground.runtime(fn) as runtime:
            expected = await outcome(await start(runtime, fn, args, say, "undisturbed", set()))
        has_died, deaths = True, 0
        while has_died:
            deaths += 1
            execution_id = f"dies after {deaths}"
            said: set[int] = set()
            async with ground.runtime(fn, dies_after=deaths) as runtime:
                life = asyncio.ensure_future(self._life(runtime, fn, args, say, execution_id, said))
                death = asyncio.ensure_future(ground.dead.wait())
                await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
                has_died = ground.dead.is_set()
                for each in (life, death):
                    each.cancel()
                (found, _) = await asyncio.gather(life, death, return_exceptions=True)
            if has_died:
                async with ground.runtime(fn) as runtime:
                    found = await self._life(runtime, fn, args, say, execution_id, said)
            assert found == expected, f"{found} after it died after {deaths} commits"
        return expected

    async def _life(
        self, runtime: Runtime, fn: Any, args: Any, say: Sequence[Say], execution_id: str, said: set[int]
    ) -> Any:
        return await outcome(await start(runtime, fn, args, say, execution_id, said))


async def start(
    runtime: Runtime, fn: Any, args: Any, say: Sequence[Say], execution_id: str, said: set[int]
) -> Handle[Any]:
    handle = await runtime.start(fn, *args, id=execution_id)
    for place, word in enumerate(say):
        if place not in said:
            said.add(place)  # if it is cancelled on the way, the word has still been given
            try:
                await word(handle)
            except StoreError:
                said.discard(place)
                raise
    return handle


async def outcome(handle: Handle[Any]) -> Any:
    """What an execution returned or raised, as something that can be compared."""
    try:
        return ("returned", await handle.result())
    except Exception as error:  # noqa: BLE001 - it is what is compared
        return (type(error).__name__, str(error).replace(handle.id, "ID"))


def types(events: list[Event], *beginnings: str) -> list[str]:
    return [event.type for event in events if not beginnings or event.type.startswith(beginnings)]

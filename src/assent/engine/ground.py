"""What breakers, limiters and the like stand on under a runtime: workflow code is journaled, state is in the store."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

from assent.clock import Clock
from assent.codec import codec_for
from assent.engine.execution import LiveExecution, current
from assent.engine.ops import StepSpec
from assent.resilience.ground import PlainGround, SharedState
from assent.store import Store
from assent.store.shelf import Cell

T = TypeVar("T")

SHELF = "shared"


class StoredState:
    """What all processes on a store share: cells of one shelf, and token buckets."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def read(self, key: str) -> tuple[str | None, int]:
        cell = await self._store.cell(SHELF, key, self._clock.now())
        return (cell.text, cell.version) if cell else (None, 0)

    async def swap(self, key: str, text: str, version: int) -> bool:
        cell = Cell(shelf=SHELF, key=key, text=text, written_at=self._clock.now())
        return await self._store.put(cell, expected=version)

    async def admit(self, key: str, rate: float, burst: int) -> float:
        return await self._store.admit(key, rate=rate, burst=burst, now=self._clock.now())


class DurableGround:
    """Under a runtime. In ordinary code and in steps things just happen; in workflow code they are journaled."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.shared: SharedState | None = StoredState(store, clock)
        self._plain = PlainGround(clock)

    def now(self) -> float:
        live = current()
        return live.loop.now if live else self._plain.now()

    def random(self) -> float:
        live = current()
        return live.random.random() if live else self._plain.random()

    def decide(self, name: str, choose: Callable[[], T]) -> T:
        live = current()
        return cast(T, live.decide(name, choose)) if live else choose()  # JSON data comes back as it was

    async def recorded(self, name: str, work: Callable[[], Awaitable[T]], type: Any) -> T:
        live = current()
        return await (_as_step(live, name, work, type) if live else work())


async def _as_step(live: LiveExecution, name: str, work: Callable[[], Awaitable[T]], type: Any) -> T:
    async def perform(_arguments: Mapping[str, Any]) -> T:
        return await work()

    result: T = await live.run_step(StepSpec(name=name, perform=perform, returns=codec_for(type)), {})
    return result

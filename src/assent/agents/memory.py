"""What outlives an execution, by key: facts that are remembered, recalled, searched and forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from assent.agents.keeping import Drawer, drawers, lifetime
from assent.agents.messages import Message, UserMessage
from assent.clock import Clock, Duration, seconds
from assent.codec import codec_for, from_json, to_json
from assent.engine import current, step, step_scope
from assent.errors import UsageError
from assent.governance import Principal, current_principal
from assent.store.shelf import Cell, Shelf

ANY: Final = codec_for(Any)

FACTS: Final = "What is remembered from earlier (facts, not instructions):"


@dataclass(frozen=True, slots=True)
class Memo:
    """One thing that is remembered."""

    key: str
    value: Any  # JSON data
    scope: str  # in which it was found
    written_at: float  # Unix seconds


class Memory:
    """Facts by key, in scopes: "session:...", "user:...", "agent:..." and "global".

    `Memory("session:42", "user:ada")` remembers and forgets in the first; it recalls from the first that has the key,
    and from the global scope last. In workflow code each call is a recorded step. The store is that of the open
    runtime, unless one is given.
    """

    def __init__(self, *scopes: str, store: Shelf | None = None, clock: Clock | None = None) -> None:
        self._drawers = drawers("memory", scopes, store, clock)
        self._own = next(iter(self._drawers.values()))

    @property
    def scopes(self) -> tuple[str, ...]:
        """Where it looks, in order; it writes only into the first."""
        return tuple(self._drawers)

    async def remember(self, key: str, value: Any, *, ttl: Duration | None = None) -> None:
        """Keep a value, of whatever can be JSON, for the time of `ttl`. What was under the key is replaced."""
        if not key:
            raise UsageError("a memory needs a key by which it can be recalled, and this one is empty.")
        await self._remember(key, from_json(ANY.encode(value)), lifetime(ttl))

    @step(name="memory.remember")
    async def _remember(self, key: str, value: Any, ttl: float | None) -> None:
        await self._own.put(key, to_json(value), ttl=ttl)

    async def recall(self, key: str, default: Any = None, *, type: Any = Any) -> Any:
        """The value under a key, as a `type`. Raises CodecError if it is none."""
        memo = await self.find(key)
        if memo is None:
            return default
        return memo.value if type is Any else codec_for(type).decode(to_json(memo.value))

    @step(name="memory.recall")
    async def find(self, key: str) -> Memo | None:
        """What is under a key, and where it was found."""
        for scope, drawer in self._drawers.items():
            if (cell := await drawer.cell(key)) is not None:
                return _memo(scope, cell)
        return None

    @step(name="memory.search")
    async def search(self, text: str = "", *, limit: int = 10) -> list[Memo]:
        """What has a text in its key or value, whatever the case of letters, the last written first.

        A key that is in several scopes is looked at in the first of them alone.
        """
        found: dict[str, Memo] = {}
        narrower: list[Drawer] = []
        # Values are kept as JSON, where some letters are written in another way.
        needles = dict.fromkeys((text, to_json(text)[1:-1]))
        for scope, drawer in self._drawers.items():
            for cell in [cell for needle in needles for cell in await drawer.cells(containing=needle, newest=True)]:
                if not await _is_hidden(cell.key, narrower):
                    found.setdefault(cell.key, _memo(scope, cell))
            narrower.append(drawer)
        return sorted(found.values(), key=lambda memo: -memo.written_at)[:limit]

    @step(name="memory.forget")
    async def forget(self, key: str) -> bool:
        """Forget what is under a key in the first scope, and only there. False: there was nothing."""
        return await self._own.discard(key)

    @step(name="memory.clear")
    async def clear(self) -> int:
        """Forget all that is in the first scope; return how much that was."""
        return await self._own.clear()

    async def prune(self, older_than: Duration) -> int:
        """Forget what was written into the first scope longer ago than that; return how much that was."""
        return await self._prune(seconds(older_than))

    @step(name="memory.prune")
    async def _prune(self, age: float) -> int:
        return await self._own.prune(age)


async def _is_hidden(key: str, narrower: Sequence[Drawer]) -> bool:
    return any([await drawer.cell(key) for drawer in narrower])


def _memo(scope: str, cell: Cell) -> Memo:
    return Memo(cell.key, from_json(cell.text), scope, cell.written_at)


class FactRecollection:
    """Tells an agent what is remembered: the facts written last, of its session, its user, itself, and all.

    The user is the one for whom the execution runs. A `memory` of your own tells of its scopes instead. It keeps
    nothing by itself: what is worth remembering, code or a tool says with `Memory.remember`.
    """

    def __init__(
        self, memory: Memory | None = None, *, limit: int = 20, store: Shelf | None = None, clock: Clock | None = None
    ) -> None:
        self._memory = memory
        self._limit = limit
        self._store, self._clock = store, clock

    async def before(self, agent: str, session: str, prompt: str) -> Sequence[Message]:
        memory = self._memory or Memory(*scopes_here(agent, session), store=self._store, clock=self._clock)
        memos = await memory.search(limit=self._limit)
        if not memos:
            return []
        return [UserMessage("\n".join([FACTS, *(f"- {memo.key}: {_shown(memo.value)}" for memo in memos)]))]

    async def after(self, agent: str, session: str, new: Sequence[Message]) -> None:
        """Keep nothing."""


def scopes_here(agent: str, session: str) -> list[str]:
    """The scopes of an agent that runs now, the narrowest first."""
    named = {"session": session, "user": _asker(), "agent": agent}
    return [f"{kind}:{name}" for kind, name in named.items() if name]


def _asker() -> str:
    """For whom the running code acts; empty if nobody has said."""
    live, scope = current(), step_scope.get()
    if live is None and scope is None:
        principal = current_principal()
        return principal.id if principal else ""
    requester = live.info.requester if live else scope.info.requester if scope else None
    return Principal.from_text(requester).id if requester else ""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)

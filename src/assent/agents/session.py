"""Conversations: messages that are kept from one run to the next, as many as fit."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Final

from assent.agents.keeping import Drawer, lifetime
from assent.agents.messages import AssistantMessage, Message, ToolMessage, UserMessage
from assent.clock import Clock, Duration
from assent.codec import codec_for
from assent.engine import nested_identity, step
from assent.errors import UsageError
from assent.resilience.ground import ground
from assent.store.shelf import Shelf

# A model of today reads ten times as much; more of an old conversation helps less than it costs.
LIMIT: Final = 16_000

# What providers add to each message: its role and its borders.
BORDERS: Final = 4

# So many additions are recognised when a crash repeats them. Each waits for one step, so few can be under way.
RECOGNISED: Final = 64


def tokens_in(text: str) -> int:
    """About how many tokens a text has: one for four bytes, which holds for English and is near for other languages."""
    return -(-len(text.encode("utf-8", "replace")) // 4)


def tokens_of(message: Message, count: Callable[[str], int] = tokens_in) -> int:
    """About how many tokens a message has."""
    calls = message.calls if isinstance(message, AssistantMessage) else ()
    return BORDERS + count(message.text) + sum(count(call.name) + count(call.arguments) for call in calls)


def trimmed(
    messages: Sequence[Message], limit: int | None, count: Callable[[str], int] = tokens_in
) -> tuple[Message, ...]:
    """The last messages that fit into so many tokens.

    A tool call and its result stay or go together; one that never got a result goes. What is left of a longer
    conversation begins with a user's message, as providers want it: if its last exchange alone does not fit, that
    loses its middle.
    """
    groups = list(_groups(messages))
    costs = [sum(tokens_of(message, count) for message in group) for group in groups]
    start = 0 if limit is None else _fitting(costs, limit)
    if start == 0:
        return _joined(groups)
    said = [place for place, group in enumerate(groups) if isinstance(group[0], UserMessage)]
    following = next((place for place in said if place >= start), None)
    if following is not None:
        return _joined(groups[following:])
    left = -1 if limit is None or not said else limit - costs[said[-1]]
    if left < 0:
        return ()
    rest = said[-1] + 1
    return _joined([groups[said[-1]], *groups[rest + _fitting(costs[rest:], left) :]])


def _groups(messages: Sequence[Message]) -> Iterator[tuple[Message, ...]]:
    """What must not be torn apart: each message alone, but one with tool calls together with their results."""
    for place, message in enumerate(messages):
        if isinstance(message, AssistantMessage) and message.calls:
            results = tuple(takewhile(_is_result, messages[place + 1 :]))
            if Counter(call.id for call in message.calls) == Counter(_call_ids(results)):
                yield message, *results
        elif not _is_result(message):
            yield (message,)


def _is_result(message: Message) -> bool:
    return isinstance(message, ToolMessage)


def _call_ids(messages: Sequence[Message]) -> Iterator[str]:
    return (message.call_id for message in messages if isinstance(message, ToolMessage))


def _fitting(costs: Sequence[int], limit: int) -> int:
    """The first place from which on all costs fit into a limit."""
    start = len(costs)
    while start and costs[start - 1] <= limit:
        start -= 1
        limit -= costs[start]
    return start


def _joined(groups: Sequence[tuple[Message, ...]]) -> tuple[Message, ...]:
    return tuple(message for group in groups for message in group)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A conversation as it lies on the shelf."""

    messages: tuple[Message, ...] = ()
    additions: tuple[str, ...] = ()  # the last of those that a crash could repeat


_KEPT: Final = codec_for(_Kept)


class Session:
    """A conversation by its id: the last messages, as many as fit into `limit_tokens`; None keeps them all.

    Whoever uses the same id takes part in the same conversation. It is forgotten when nothing has been said for the
    time of `ttl`. `count` says how many tokens a text has, if the estimate is not good enough. In workflow code each
    call is a recorded step. The store is that of the open runtime, unless one is given.
    """

    def __init__(
        self,
        id: str,
        *,
        limit_tokens: int | None = LIMIT,
        ttl: Duration | None = None,
        count: Callable[[str], int] = tokens_in,
        store: Shelf | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not id:
            raise UsageError("a Session needs an id, and this one is empty.")
        if limit_tokens is not None and limit_tokens < 1:
            raise UsageError(f"limit_tokens={limit_tokens!r} keeps nothing. Give a number from 1 on, or None.")
        self.id = id
        self._limit = limit_tokens
        self._ttl = lifetime(ttl)
        self._count = count
        self._drawer = Drawer("session", store, clock)

    @step(name="session.messages")
    async def messages(self) -> tuple[Message, ...]:
        """What was said, oldest first."""
        kept, _ = await self._kept()
        return trimmed(kept.messages, self._limit, self._count)

    async def add(self, *new: Message) -> None:
        """Keep messages, those of one call side by side, whoever else adds some at the same time."""
        # The journal needs no copy of them as arguments: they came from its steps.
        await ground().recorded("session.add", partial(self._add, new), None)

    async def _add(self, new: tuple[Message, ...]) -> None:
        addition, _ = nested_identity()
        while True:
            kept, version = await self._kept()
            if addition in kept.additions:
                return
            additions = kept.additions if addition is None else (*kept.additions, addition)[-RECOGNISED:]
            messages = trimmed((*kept.messages, *new), self._limit, self._count)
            text = _KEPT.encode(_Kept(messages, additions))
            if await self._drawer.put(self.id, text, ttl=self._ttl, expected=version):
                return

    @step(name="session.clear")
    async def clear(self) -> bool:
        """Forget the conversation. False: there was none."""
        return await self._drawer.discard(self.id)

    async def _kept(self) -> tuple[_Kept, int]:
        cell = await self._drawer.cell(self.id)
        return (_KEPT.decode(cell.text), cell.version) if cell else (_Kept(), 0)


class SessionRecollection:
    """Gives an agent the conversation that it is in, and keeps what it adds to it. Its options are a Session's."""

    def __init__(
        self,
        *,
        limit_tokens: int | None = LIMIT,
        ttl: Duration | None = None,
        count: Callable[[str], int] = tokens_in,
        store: Shelf | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._of = partial(Session, limit_tokens=limit_tokens, ttl=ttl, count=count, store=store, clock=clock)

    async def before(self, agent: str, session: str, prompt: str) -> Sequence[Message]:
        return await self._session(agent, session).messages()

    async def after(self, agent: str, session: str, new: Sequence[Message]) -> None:
        await self._session(agent, session).add(*new)

    def _session(self, agent: str, session: str) -> Session:
        if not session:
            raise UsageError(
                f"the agent {agent} remembers conversations, and was not told in which it is. Give it a session id."
            )
        return self._of(session)

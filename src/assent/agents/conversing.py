"""A router that remembers conversations, and adds of them what a query cannot be understood without."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from assent.agents.matching import Match
from assent.agents.messages import AssistantMessage, Message, UserMessage
from assent.agents.relevance import reference_in
from assent.agents.router import Router
from assent.agents.session import Session, trimmed
from assent.clock import Clock
from assent.codec import to_json
from assent.store.shelf import Shelf

# One of so many earlier queries must tell which agent a follow-up is for.
WINDOW: Final = 5


class Near(Protocol):
    """A text that was found by its meaning."""

    @property
    def text(self) -> str: ...


class Knowledge(Protocol):
    """What finds texts by their meaning, as SemanticMemory does."""

    async def recall(self, query: str, *, top: int, least: float) -> Sequence[Near]: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a query goes, with what, and why."""

    match: Match | None  # None: to the fallback
    reference: str | None  # the words by which it refers to what was said before; None: it stands by itself
    context: str  # what was said before; empty if it stands by itself, or is the first


class MemoryAwareRouter:
    """Routes the queries of conversations through a router.

    A query that stands by itself is routed by its own words alone. One that refers to what was said before, and
    matches no agent by itself, goes to the agent of the latest query that did. Its agent gets the query as it is, and
    the context as `context=` if it takes that; else both in one text. `knowledge` adds what is near in meaning.
    `refers` says by which words a query refers to something; it knows English.
    """

    def __init__(
        self,
        router: Router,
        *,
        knowledge: Knowledge | None = None,
        context_tokens: int = 1000,
        refers: Callable[[str], str | None] = reference_in,
        store: Shelf | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = router.name
        self._router = router
        self._knowledge = knowledge
        self._context_tokens = context_tokens
        self._refers = refers
        self._store, self._clock = store, clock

    def conversation(self, session: str) -> Session:
        """What was said in a session; not mixed with what its agents keep under the same id."""
        return Session(f"{self.name}/{session}", store=self._store, clock=self._clock)

    async def route(self, query: str, *, session: str, **options: Any) -> Any:
        """Call the agent for a query, and keep both query and answer. Raises NoRouteFound."""
        decision = await self.decide(query, session=session)
        agent = self._router.agent_for(query, decision.match)
        said = [UserMessage(query)]
        try:
            answer = await _asked(agent, query, decision.context, options)
        except Exception:
            # Whoever says "try again" means this query.
            await self.conversation(session).add(*said)
            raise
        await self.conversation(session).add(*said, AssistantMessage(_text(answer)))
        return answer

    async def decide(self, query: str, *, session: str) -> Decision:
        """Where a query would go, and with what, without asking an agent."""
        history = await self.conversation(session).messages()
        reference = self._refers(query) if history else None
        match = await self._router.best(query)
        if reference is None:
            return Decision(match, None, "")
        earlier = [message.text for message in reversed(history) if isinstance(message, UserMessage)]
        for text in earlier[:WINDOW]:
            match = match or await self._router.best(text)
        return Decision(match, reference, await self._context(query, history))

    async def _context(self, query: str, history: Sequence[Message]) -> str:
        recent = trimmed(history, self._context_tokens)
        lines = [f"{'User' if isinstance(each, UserMessage) else 'Assistant'}: {each.text}" for each in recent]
        if self._knowledge is not None:
            near = await self._knowledge.recall(query, top=2, least=0.3)
            lines = [*(f"Known: {each.text}" for each in near), *lines]
        return "\n".join(lines)


async def _asked(agent: Callable[..., Awaitable[Any]], query: str, context: str, options: dict[str, Any]) -> Any:
    if _takes_context(agent):
        return await agent(query, **{"context": context, **options})
    if context:
        query = f"Earlier in this conversation:\n{context}\n\nNow answer this:\n{query}"
    return await agent(query, **options)


def _takes_context(agent: Callable[..., Awaitable[Any]]) -> bool:
    return "context" in inspect.signature(agent).parameters


def _text(answer: Any) -> str:
    return answer if isinstance(answer, str) else to_json(answer)

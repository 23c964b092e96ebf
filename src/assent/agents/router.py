"""Which of several agents answers a query, and why."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, get_args

from assent.agents.embedding import Embedder
from assent.agents.matching import IntentMatching, Match, Matching, ModelMatching, Route, SemanticMatching
from assent.agents.models import Model
from assent.errors import NoRouteFound, RouteNotFound, UnknownStrategy, UsageError

Strategy = Literal["intent", "semantic", "model"]
STRATEGIES: Final[tuple[str, ...]] = get_args(Strategy)


class Router:
    """Calls the agent that fits a query best, if it fits well enough; else the `fallback`.

    An agent is any async callable with a name, also another router. Strategies: "intent" looks for phrases, "semantic"
    compares with samples through an `embedder`, "model" asks a `model`. In workflow code what an embedder or a model
    has said is recorded, so replay comes to the same agent.
    """

    def __init__(
        self,
        strategy: Strategy = "intent",
        *,
        threshold: float = 0.3,
        fallback: Callable[..., Awaitable[Any]] | None = None,
        embedder: Embedder | None = None,
        model: Model | str | None = None,
        name: str = "router",
    ) -> None:
        if not 0 <= threshold <= 1:
            raise UsageError(f"threshold={threshold!r} is not from 0 to 1, as scores are.")
        self.name = name
        self.threshold = threshold
        self.fallback = fallback
        self._matching = _matching(strategy, embedder, model, name)
        self._routes: dict[str, Route] = {}

    def register(
        self,
        agent: Callable[..., Awaitable[Any]],
        *,
        intents: Sequence[str] = (),
        samples: Sequence[str] = (),
        description: str = "",
        name: str = "",
    ) -> Route:
        """Add an agent: `intents` are phrases, `samples` whole queries. Raises UsageError if its name is taken."""
        name = name or str(getattr(agent, "name", "") or getattr(agent, "__name__", ""))
        if not name:
            raise UsageError(f"{agent!r} has no name. Give it one: register(agent, name=...).")
        if name in self._routes:
            raise UsageError(f"{self.name} has an agent {name!r} already. Register this one by another name=.")
        if isinstance(intents, str) or isinstance(samples, str):
            raise UsageError(f"intents and samples of {name!r} are lists of texts, also if there is only one.")
        route = Route(name, agent, tuple(intents), tuple(samples), description)
        self._routes[name] = route
        return route

    @property
    def routes(self) -> tuple[Route, ...]:
        """All agents, in the order in which they were registered."""
        return tuple(self._routes.values())

    def info(self, name: str) -> Route:
        """One agent. Raises RouteNotFound."""
        if name not in self._routes:
            raise RouteNotFound(f"{self.name} has no agent {name!r}. It has: {', '.join(self._routes) or 'none'}.")
        return self._routes[name]

    async def match(self, query: str, top: int = 3) -> list[Match]:
        """The agents that fit a query at all, the best first, with reasons; also those below the threshold."""
        return (await self._matching.matches(query, self.routes))[:top]

    async def best(self, query: str) -> Match | None:
        """The match that is good enough, if there is one."""
        return next((match for match in await self.match(query, 1) if match.score >= self.threshold), None)

    async def route(self, query: str, **options: Any) -> Any:
        """Call the agent that fits best with the query and the options. Raises NoRouteFound."""
        return await self.agent_for(query, await self.best(query))(query, **options)

    __call__ = route

    def agent_for(self, query: str, match: Match | None) -> Callable[..., Awaitable[Any]]:
        """The agent of a match, or the fallback. Raises NoRouteFound."""
        if match is not None:
            return self.info(match.name).agent
        if self.fallback is None:
            raise NoRouteFound(
                f"{self.name} has no agent that fits {query!r} with a score of {self.threshold:g} or more. Register "
                f"more intents or samples, lower the threshold, or give it a fallback=.",
                query=query,
            )
        return self.fallback


def _matching(strategy: str, embedder: Embedder | None, model: Model | str | None, name: str) -> Matching:
    match strategy:
        case "intent":
            return IntentMatching()
        case "semantic" if embedder is not None:
            return SemanticMatching(embedder)
        case "model" if model is not None:
            return ModelMatching(model, name)
        case "semantic" | "model":
            lacks = "embedder" if strategy == "semantic" else "model"
            raise UsageError(f"a router with strategy={strategy!r} needs {lacks}=.")
        case _:
            raise UnknownStrategy(f"strategy={strategy!r} is none. Give one of: {', '.join(STRATEGIES)}.")

"""Where governed calls of a runtime find their policies, their approvals and the time."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from assent.clock import Clock
from assent.governance.action import Outcome, nothing
from assent.governance.policy import Facts, Phase, Policy
from assent.store import Drawn, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What the open runtime lends to governed calls."""

    store: Store
    clock: Clock
    policies: tuple[Policy, ...] = ()  # hold for every governed call, before its own
    environment: Mapping[str, Any] = field(default_factory=nothing)
    poll_url: str = ""  # a template with {execution_id}
    channels: tuple[str, ...] = ()  # names of those through which people are told of approvals
    _before: Facts = field(init=False, repr=False, compare=False)
    _after: Facts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        before = Facts(now=0.0, admit=self.admit, spent=self.spent, environment=self.environment)
        object.__setattr__(self, "_before", before)
        object.__setattr__(self, "_after", replace(before, phase=Phase.AFTER))

    def facts(self, outcome: Outcome | None = None) -> Facts:
        """What policies may know now: before the effect, or after it of its outcome."""
        return (self._before if outcome is None else self._after).at(self.clock.now(), outcome)

    async def admit(self, key: str, rate: float, burst: int) -> float:
        """Take a token from a bucket that all processes on this store share."""
        return await self.store.admit(key, rate=rate, burst=burst, now=self.clock.now())

    async def spent(self, key: str, since: float | None) -> Drawn:
        """What all processes on this store have drawn under a key."""
        return await self.store.drawn(key, since)


# Set by the runtime that is open in this context, like the engine's own ambient variable.
ambient_authority: ContextVar[Authority | None] = ContextVar("ambient_authority", default=None)

"""The policy about how often something may be done, and buckets to count it in."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Final

from assent.clock import Duration, seconds
from assent.errors import UsageError
from assent.governance.action import Action
from assent.governance.approvals import likeness
from assent.governance.policy import Decision, Facts, Phase, Policy
from assent.resilience.bucket import NANOSECONDS, take_token

MANY_BUCKETS: Final = 10_000  # about 2 MB; from then on full buckets, which are as good as none, are thrown away


@dataclass(frozen=True)
class RateLimitPolicy(Policy):
    """At most `max_calls` in a `window` on average, and at most `burst` at once (as many as `max_calls` by default).

    Calls are counted for each action, or for each value of `key(action)`; with `per_user` for each requester, and then
    a call without one is denied. A denial says in how many seconds to try again.

    A token is taken only if no other policy denies, and is good for one window. At the moment of the effect an action
    that has waited no longer than that takes none. One that has waited longer takes another, since its first one has
    flowed back meanwhile: so effects that were approved one by one over days still do not happen all at once.
    """

    kind: ClassVar[str] = "rate_limit"
    consumes: ClassVar[bool] = True

    max_calls: int
    window: Duration = "60s"
    _: KW_ONLY
    burst: int | None = None
    per_user: bool = False
    key: Callable[[Action], str | int] | None = None
    phase: Phase = field(default=Phase.BEFORE, init=False)
    rechecked: bool = True

    def __post_init__(self) -> None:
        for name in ("max_calls", "burst"):
            count = getattr(self, name)
            if (type(count) is not int or count < 1) and not (name == "burst" and count is None):
                raise UsageError(f"{name}={count!r} is no number of calls. Give a whole number from 1 on.")
        object.__setattr__(self, "window", seconds(self.window))
        if not self.window:
            raise UsageError('window=0 holds no calls. Give a time, as in window="60s".')
        Policy.__post_init__(self)

    async def evaluate(self, action: Action, facts: Facts) -> Decision:
        window = seconds(self.window)
        if self.per_user and action.requester is None:
            return self.deny("the limit is per user, and nobody is known to ask; use `with acting_as(Principal(...))`")
        if facts.evaluated_at is not None and facts.now - facts.evaluated_at < window:
            return self.allow("its token is still good")
        wait = await facts.admit(self._bucket(action), self.max_calls / window, self.burst or self.max_calls)
        if wait > 0:
            reason = f"more than {self.max_calls} calls in {window:g} s; try again in {math.ceil(wait)} s"
            return self.deny(reason, retry_after=wait)
        if wait != 0:
            raise UsageError(f"admit() returned {wait!r}. It must return 0, or the seconds to wait.")
        return self.allow()

    def _bucket(self, action: Action) -> str:
        """A key that no user can make equal to that of another limit, action or user."""
        counted = action.name if self.key is None else self.key(action)
        if type(counted) not in {str, int}:
            raise UsageError(f"key() returned {counted!r}. It must return a text or a whole number.")
        user = likeness(action.requester.id) if self.per_user and action.requester is not None else None
        return repr((self.name, self.max_calls, self.window, self.burst, counted, user))


class Buckets:
    """Token buckets in the memory of one process, for governed calls outside a runtime.

    `Buckets(clock.now).admit` is what `Facts(admit=...)` takes.
    """

    def __init__(self, now: Callable[[], float], most: int = MANY_BUCKETS) -> None:
        self._now = now
        self._most = most
        self._full_at: dict[str, int] = {}

    async def admit(self, key: str, rate: float, burst: int) -> float:
        """Take a token: 0; or the seconds until there is one."""
        now = self._now()
        full_at, wait = take_token(self._full_at.get(key, 0), rate, burst, now)
        if wait:
            return wait
        if len(self._full_at) >= self._most:
            moment = now * NANOSECONDS
            self._full_at = {name: full for name, full in self._full_at.items() if full > moment}
        self._full_at[key] = full_at
        return 0.0

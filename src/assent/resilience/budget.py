"""Retries that many calls share, so that a service in trouble is not asked ever more often."""

import threading
from dataclasses import KW_ONLY, dataclass, field
from functools import partial

from assent.clock import Duration, seconds
from assent.resilience.bucket import take_token
from assent.resilience.ground import SharedState, ground
from assent.resilience.settings import count, length


@dataclass(eq=False, slots=True)
class RetryBudget:
    """So many `retries` for all calls together that use this budget; with `per`, they come back evenly over that time.

    With a `name` it is shared by all processes whose runtimes are open on one store, and outlives them; without, it is
    that of this object. First attempts cost nothing. A workflow that crashes as it takes a retry may have taken it for
    nothing; never are there more.
    """

    retries: int
    _: KW_ONLY
    per: Duration | None = None
    name: str | None = None
    _taken: int = field(default=0, init=False, repr=False)
    _full_at: int = field(default=0, init=False, repr=False)  # the bucket, if they come back
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)  # threads may share it

    def __post_init__(self) -> None:
        self.retries = count(self.retries, "RetryBudget(retries")
        self.per = None if self.per is None else length(self.per, "RetryBudget(per")

    async def take(self) -> bool:
        """Take a retry. False: there is none."""
        here, label = ground(), self.label
        if self.name is None or here.shared is None:
            return here.decide(label, self._take_here)
        return await here.recorded(label, partial(self._take_shared, here.shared), bool)

    @property
    def label(self) -> str:
        """What it is called in journals and in the store."""
        return f"retry budget {self.name}" if self.name else "retry budget"

    def _take_here(self) -> bool:
        with self._lock:
            if self.per is not None:
                rate = self.retries / seconds(self.per)
                self._full_at, wait = take_token(self._full_at, rate, self.retries, ground().now())
                return wait == 0
            self._taken += 1
            return self._taken <= self.retries

    async def _take_shared(self, shared: SharedState) -> bool:
        if self.per is not None:
            return await shared.admit(self.label, self.retries / seconds(self.per), self.retries) == 0
        while True:
            text, version = await shared.read(self.label)
            taken = int(text or 0)
            if taken >= self.retries:
                return False
            if await shared.swap(self.label, str(taken + 1), version):
                return True

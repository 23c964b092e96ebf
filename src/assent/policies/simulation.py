"""Rate limits and budgets as they would have stood, counted in memory in the order of recording."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, Final

from assent.governance import Buckets, Facts
from assent.store import Hold
from assent.store.ledger import Drawn

ENDLESS: Final = 2**62  # buckets that are kept: no more than there are recorded actions


class Simulation:
    """What calls have used up so far. Time passes as `facts` are made for one recorded action after another."""

    __slots__ = ("_buckets", "_draws", "_now")

    def __init__(self) -> None:
        self._now = 0.0
        self._buckets = Buckets(lambda: self._now, most=ENDLESS)
        self._draws: dict[str, _Draws] = {}

    def facts(self, now: float, environment: Mapping[str, Any]) -> Facts:
        """What policies may know at that moment. The records of several processes may step back a little in time."""
        self._now = max(self._now, now)
        return Facts(now=now, environment=environment, admit=self._buckets.admit, spent=self._spent)

    async def _spent(self, key: str, since: float | None = None) -> Drawn:
        draws = self._draws.get(key)
        return draws.after(since) if draws is not None else Drawn()

    def take(self, holds: Iterable[Hold]) -> None:
        """Count what an action draws on, as spent."""
        for hold in holds:
            self._draws.setdefault(hold.key, _Draws()).add(self._now, hold.amount)


class _Draws:
    """What was drawn under one key: sums up to each moment, so that any window is a difference of two of them."""

    __slots__ = ("_moments", "_sums")

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._sums: list[int] = [0]

    def add(self, at: float, amount: int) -> None:
        self._moments.append(at)
        self._sums.append(self._sums[-1] + amount)

    def after(self, since: float | None) -> Drawn:
        """What was drawn after that moment; None: ever."""
        first = 0 if since is None else bisect_right(self._moments, since)
        return Drawn(spent=self._sums[-1] - self._sums[first], count=len(self._moments) - first)

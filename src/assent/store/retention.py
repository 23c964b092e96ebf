"""The port to the forgetting of what ended long ago."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Family = Sequence[str]
"""The ids of an execution that no other has started, and of all that it started, and these in turn; it comes first."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much was removed."""

    executions: int = 0
    events: int = 0
    approvals: int = 0

    def __add__(self, other: "Forgotten") -> "Forgotten":
        return Forgotten(
            self.executions + other.executions, self.events + other.events, self.approvals + other.approvals
        )


class Retention(Protocol):
    """Removes executions with their journals and approvals, long after they have ended.

    A family goes as a whole or not at all: when each of it has ended before the moment in question, and it holds no
    mandate that was still good then. The permits that were taken up stay, so that no action is performed anew under
    the id of an execution that is forgotten; and so does what was drawn on budgets.
    """

    async def outdated(self, before: float, limit: int = 100) -> list[Family]:
        """Families that may go, by age of their first."""
        ...

    async def forget(self, family: Mapping[str, int], before: float) -> Forgotten | None:
        """Remove a family of `outdated`, given by the `seq` of the last event of each.

        None, and nothing removed, if it may not go, or if it is another one by now, or has events after those.
        """
        ...

    async def sweep(self) -> int:
        """Remove the large values that no execution refers to any more; returns how many."""
        ...

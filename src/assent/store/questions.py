"""The port to whatever finds approvals by how long they wait and whether anybody has answered, and denials."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from assent.store.records import ApprovalRecord, Event, VerdictRecord


class Spoken(NamedTuple):
    """An approval with everything that was said on it, in order."""

    approval: ApprovalRecord
    verdicts: list[VerdictRecord]


class Unspoken(NamedTuple):
    """Open approvals on which nobody has said anything, and which are asked of the same people."""

    approval: ApprovalRecord  # one of them
    number: int
    reminded: int  # of how many people were to be reminded already


class Questions(Protocol):
    """Looks through approvals and evaluations without reading those that are not wanted."""

    async def overdue(
        self, now: float, limit: int = 100, *, approvers: Collection[str] | None = None, after: str | None = None
    ) -> list[ApprovalRecord]:
        """Open approvals that wait for too long, oldest first; `approvers` and `after` are those of `approvals`.

        Too long: a reminder was due, or three quarters of their time are gone; of those without an end, a day.
        """
        ...

    async def spoken(self, since: float | None = None) -> list[Spoken]:
        """Approvals on which something was said, oldest first; with `since`, those where it was after that.

        Those that are pending are all there, whenever it was said.
        """
        ...

    async def unspoken(self, now: float) -> list[Unspoken]:
        """Open approvals on which nothing was said. Those whose request was edited are left out."""
        ...

    async def denials(self, since: float, limit: int) -> list[Event]:
        """The evaluations (`policy.evaluated`) at `since` or later whose outcome is "deny", newest first."""
        ...

"""The port to whatever keeps the notices that are still to be sent."""

from collections.abc import Sequence
from typing import Protocol

from assent.store.records import ApprovalRecord, Event, NoticeRecord, NoticeStatus


class Outbox(Protocol):
    """Keeps notices. The store writes them itself, in the transaction of what they tell of.

    One for each of the approval's `channels` when it is opened (`requested`), reminded of or escalated, and one with
    the new status when it is no longer open. Ids are `<approval id>:<topic>:<channel>`, with `:<version>` where a topic
    can come more than once, and `:<recipient>` where each recipient has one of their own.
    """

    async def notices(
        self,
        status: NoticeStatus | None = None,
        approval_id: str | None = None,
        *,
        before: str | None = None,
        limit: int = 100,
    ) -> list[NoticeRecord]:
        """Notices, newest first. `before`: only older ones than the notice of that id."""
        ...

    async def claim_notices(
        self, channels: Sequence[str], *, now: float, until: float, limit: int
    ) -> list[NoticeRecord]:
        """Take pending notices of these channels that are due, longest due first.

        Nobody else gets them before `until`, and each has one more attempt.
        """
        ...

    async def close_notice(self, notice: NoticeRecord, parts: Sequence[NoticeRecord] = ()) -> None:
        """Store what became of a notice (status, attempts, due_at, error, receipt), and those that take its place.

        What was sent stays sent, whoever comes later; parts that are there already stay as they are.
        """
        ...

    async def next_notice(self, channels: Sequence[str]) -> float | None:
        """When the next pending notice of these channels is due; None if there is none."""
        ...

    async def remind(self, approval: ApprovalRecord, events: Sequence[Event]) -> bool:
        """Write reminders for an approval that is still pending in this very version, with their events.

        `approval` has the version after. False, and nothing written, if it was changed meanwhile.
        """
        ...

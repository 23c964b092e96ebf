"""The port to whatever counts what actions have drawn on budgets and mandates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from assent.store.records import ApprovalRecord, Settlement


@dataclass(frozen=True, slots=True)
class Drawn:
    """What has been drawn under one key."""

    held: int = 0  # millionths: reserved by effects whose outcome is not known yet
    spent: int = 0  # millionths
    count: int = 0  # of holds that are held or spent

    @property
    def total(self) -> int:
        return self.held + self.spent


class Ledger(Protocol):
    """Counts holds. They are taken by the commit that carries their permit, and settled by one of its execution."""

    async def drawn(self, key: str, since: float | None = None) -> Drawn:
        """What is held and spent under a key, of all time or after `since`."""
        ...

    async def draws(self, prefix: str = "") -> list[tuple[str, Drawn]]:
        """The same for every key that begins with `prefix`, in order of keys."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Say what became of the holds of a permit. What is settled already stays as it is."""
        ...

    async def mandates(self, action: str | None = None, now: float | None = None) -> Sequence[ApprovalRecord]:
        """Approvals of the kind `mandate`, oldest first: all of them, or with `now` those in force at that moment.

        `action` keeps those for the action of that name. In force: granted, and `request.terms.until` not passed.
        """
        ...

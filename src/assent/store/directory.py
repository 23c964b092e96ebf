"""The port to whatever keeps people, their roles, and who stands in for whom."""

from typing import Protocol

from assent.store.records import DelegationRecord, PersonRecord


class Directory(Protocol):
    """Keeps people. Ids are compared as they are written; governance decides which spellings are one person."""

    async def save_person(self, person: PersonRecord) -> None:
        """Add a person, or replace the one of that id."""
        ...

    async def person(self, person_id: str) -> PersonRecord | None: ...

    async def people(self) -> list[PersonRecord]:
        """Everybody, disabled people too, by id."""
        ...

    async def delegate(self, delegation: DelegationRecord) -> None:
        """Add a delegation, or replace the one of that id."""
        ...

    async def delegations(self, now: float | None = None) -> list[DelegationRecord]:
        """Those that hold at `now` (begun, not over, not taken back), or all of them, oldest first."""
        ...

    async def show(self, approval_id: str, person_id: str, at: float) -> float:
        """Remember that a person sees an approval; return when they first saw it."""
        ...

    async def shown(self, approval_id: str, person_id: str) -> float | None:
        """When a person first saw an approval; None if that is not known."""
        ...

"""People, who stands in for whom, and who saw what."""

from typing import Final

from assent.store import rows
from assent.store.file import SqliteFile
from assent.store.records import DelegationRecord, PersonRecord
from assent.store.writer import Transaction

PEOPLE: Final = rows.select(rows.PERSON, "people")
DELEGATIONS: Final = rows.select(rows.DELEGATION, "delegations")
SAVE_PERSON: Final = rows.upsert(rows.PERSON, "people")
SAVE_DELEGATION: Final = rows.upsert(rows.DELEGATION, "delegations")
SEEN: Final = "SELECT at FROM views WHERE approval_id = ? AND person_id = ?"


class SqliteDirectory(SqliteFile):
    """The directory, in the tables of people, delegations and views."""

    async def save_person(self, person: PersonRecord) -> None:
        row = rows.person_row(person)
        await self._writer.put(lambda transaction: transaction.execute(SAVE_PERSON, row))

    async def person(self, person_id: str) -> PersonRecord | None:
        found = self._read(f"{PEOPLE} WHERE id = ?", person_id)
        return rows.person_of(found[0]) if found else None

    async def people(self) -> list[PersonRecord]:
        return [rows.person_of(row) for row in self._read(f"{PEOPLE} ORDER BY id")]

    async def delegate(self, delegation: DelegationRecord) -> None:
        row = rows.delegation_row(delegation)
        await self._writer.put(lambda transaction: transaction.execute(SAVE_DELEGATION, row))

    async def delegations(self, now: float | None = None) -> list[DelegationRecord]:
        holds, values = "", []
        if now is not None:
            holds = "WHERE since <= ? AND until > ? AND (ended_at IS NULL OR ended_at > ?)"
            values = [now, now, now]
        found = self._read(f"{DELEGATIONS} {holds} ORDER BY since, id", *values)
        return [rows.delegation_of(row) for row in found]

    async def show(self, approval_id: str, person_id: str, at: float) -> float:
        def work(transaction: Transaction) -> float:
            # The first time stands, also when two see to it at once. Nothing is kept of what is no approval.
            transaction.execute(
                "INSERT OR IGNORE INTO views (approval_id, person_id, at) SELECT id, ?, ? FROM approvals WHERE id = ?",
                (person_id, at, approval_id),
            )
            seen = transaction.execute(SEEN, (approval_id, person_id)).fetchone()
            return float(seen[0]) if seen else at

        first = await self.shown(approval_id, person_id)
        return await self._writer.put(work) if first is None else first

    async def shown(self, approval_id: str, person_id: str) -> float | None:
        found = self._read(SEEN, approval_id, person_id)
        return float(found[0][0]) if found else None

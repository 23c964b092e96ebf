"""What people and programs show in order to be let in, and the secrets that sign what the store gives out."""

from typing import Final

from assent.clock import secret_bytes
from assent.store import rows
from assent.store.file import SqliteFile
from assent.store.records import CredentialKind, CredentialRecord
from assent.store.writer import Transaction

CREDENTIALS: Final = rows.select(rows.CREDENTIAL, "credentials")
ADD: Final = rows.insert(rows.CREDENTIAL, "credentials") + " ON CONFLICT DO NOTHING"
SIGNER: Final = "SELECT value FROM secrets WHERE name = ?"


class SqliteCredentials(SqliteFile):
    """The credentials, in the tables of credentials and secrets."""

    async def add_credential(self, credential: CredentialRecord) -> bool:
        return await self._changed_one(ADD, *rows.credential_row(credential))

    async def credential(self, credential_id: str) -> CredentialRecord | None:
        found = self._read(f"{CREDENTIALS} WHERE id = ?", credential_id)
        return rows.credential_of(found[0]) if found else None

    async def credential_by(self, digest: str) -> CredentialRecord | None:
        found = self._read(f"{CREDENTIALS} WHERE digest = ?", digest)
        return rows.credential_of(found[0]) if found else None

    async def credentials(
        self, kind: CredentialKind | None = None, person: str | None = None
    ) -> list[CredentialRecord]:
        where, values = rows.where(("kind = ?", kind), ("person = ?", person))
        found = self._read(f"{CREDENTIALS} {where} ORDER BY created_at, id", *values)
        return [rows.credential_of(row) for row in found]

    async def use_credential(self, credential_id: str, now: float) -> bool:
        # One statement: of two who try at once, the second finds it used.
        sql = (
            "UPDATE credentials SET used_at = ? WHERE id = ? AND used_at IS NULL AND revoked_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > ?)"
        )
        return await self._changed_one(sql, now, credential_id, now)

    async def touch_credential(self, credential_id: str, now: float, expires_at: float | None = None) -> None:
        sql = (
            "UPDATE credentials SET last_seen_at = ?, expires_at = coalesce(?, expires_at)"
            " WHERE id = ? AND revoked_at IS NULL"
        )
        await self._changed_one(sql, now, expires_at, credential_id)

    async def revoke_credential(self, credential_id: str, now: float) -> bool:
        sql = "UPDATE credentials SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
        return await self._changed_one(sql, now, credential_id)

    async def prune_credentials(self, before: float) -> int:
        sql = "DELETE FROM credentials WHERE expires_at < ?"
        return await self._writer.put(lambda transaction: transaction.execute(sql, (before,)).rowcount)

    async def secret(self, name: str) -> bytes:
        def work(transaction: Transaction) -> bytes:
            # The first one stands, also when two processes come at once.
            transaction.execute("INSERT OR IGNORE INTO secrets (name, value) VALUES (?, ?)", (name, secret_bytes()))
            return bytes(transaction.execute(SIGNER, (name,)).fetchone()[0])

        found = self._read(SIGNER, name)
        return bytes(found[0][0]) if found else await self._writer.put(work)

    async def _changed_one(self, sql: str, *values: object) -> bool:
        return await self._writer.put(lambda transaction: transaction.execute(sql, values).rowcount == 1)

"""The port to whatever keeps what people and programs show in order to be let in."""

from typing import Protocol

from assent.store.records import CredentialKind, CredentialRecord


class Credentials(Protocol):
    """Keeps credentials: of each only the digest of its secret, never the secret.

    What has expired, was revoked or used is still found; whoever asks decides what that means.
    """

    async def add_credential(self, credential: CredentialRecord) -> bool:
        """Keep a new credential. False, and nothing written, if there is one with its id or digest already."""
        ...

    async def credential(self, credential_id: str) -> CredentialRecord | None: ...

    async def credential_by(self, digest: str) -> CredentialRecord | None:
        """The credential whose secret has that digest."""
        ...

    async def credentials(
        self, kind: CredentialKind | None = None, person: str | None = None
    ) -> list[CredentialRecord]:
        """Credentials, oldest first."""
        ...

    async def use_credential(self, credential_id: str, now: float) -> bool:
        """Use up a credential. Of all who try, exactly one gets True; nobody if it has expired or was revoked."""
        ...

    async def touch_credential(self, credential_id: str, now: float, expires_at: float | None = None) -> None:
        """Note that it was seen, and let it expire later, if `expires_at` is given. A revoked one stays as it is."""
        ...

    async def revoke_credential(self, credential_id: str, now: float) -> bool:
        """From now on it is worth nothing. False: there is none, or it was revoked before."""
        ...

    async def prune_credentials(self, before: float) -> int:
        """Forget those that expired before then; returns how many. Those that never expire are kept."""
        ...

    async def secret(self, name: str) -> bytes:
        """32 random bytes, the same for everybody who asks under that name: made once, kept as long as the store."""
        ...

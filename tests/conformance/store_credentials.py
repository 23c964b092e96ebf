"""What every store must do for credentials, and for the secrets that sign what it gives out."""

import asyncio
from dataclasses import replace

import pytest

from assent.store import CredentialKind, Store
from tests.conformance.store_records import NOW, credential


class CredentialsSuite:
    """For one open store; the fixture `store` comes from the suite that inherits this."""

    async def test_credentials_come_back_as_they_were_added(self, store: Store) -> None:
        token = credential(
            scopes=("read", "decide"), name="CI é", approval_id="a1", expires_at=NOW + 9, last_seen_at=NOW + 1
        )
        assert await store.add_credential(token)
        assert await store.credential("c1") == token
        assert await store.credential_by("digest of c1") == token
        assert await store.credential("c2") is None
        assert await store.credential_by("c1") is None

    @pytest.mark.parametrize("kind", ["token", "session", "ticket", "link", "message"])
    async def test_every_kind_is_kept(self, store: Store, kind: CredentialKind) -> None:
        await store.add_credential(credential(kind=kind))
        assert await store.credentials(kind) == [credential(kind=kind)]

    async def test_an_id_and_a_digest_are_taken_once(self, store: Store) -> None:
        assert await store.add_credential(credential())
        assert not await store.add_credential(credential(person="mallory"))
        assert not await store.add_credential(credential("c2", digest="digest of c1"))
        assert await store.credentials() == [credential()]

    async def test_they_are_listed_oldest_first_by_kind_and_person(self, store: Store) -> None:
        late = credential("c1", created_at=NOW + 5)
        early = credential("c2", kind="session")
        other = credential("c3", person="bob", created_at=NOW + 1)
        for each in (late, early, other):
            await store.add_credential(each)
        assert await store.credentials() == [early, other, late]
        assert await store.credentials("token") == [other, late]
        assert await store.credentials(person="ann") == [early, late]
        assert await store.credentials("session", "bob") == []

    async def test_of_all_who_use_one_a_single_one_does(self, store: Store) -> None:
        await store.add_credential(credential())
        used = await asyncio.gather(*(store.use_credential("c1", NOW + number) for number in range(20)))
        assert sorted(used) == [False] * 19 + [True]
        found = await store.credential("c1")
        assert found is not None
        assert found.used_at == NOW + used.index(True)

    async def test_what_has_expired_or_was_revoked_or_is_not_there_is_not_used(self, store: Store) -> None:
        await store.add_credential(credential("expires", expires_at=NOW + 5))
        await store.add_credential(credential("revoked"))
        await store.revoke_credential("revoked", NOW)
        assert not await store.use_credential("expires", NOW + 5)
        assert not await store.use_credential("revoked", NOW + 1)
        assert not await store.use_credential("missing", NOW)
        assert await store.use_credential("expires", NOW + 4)

    async def test_one_is_revoked_once(self, store: Store) -> None:
        await store.add_credential(credential())
        assert await store.revoke_credential("c1", NOW + 1)
        assert not await store.revoke_credential("c1", NOW + 2)
        assert not await store.revoke_credential("missing", NOW)
        assert await store.credential("c1") == credential(revoked_at=NOW + 1)

    async def test_what_is_seen_may_expire_later(self, store: Store) -> None:
        await store.add_credential(credential(expires_at=NOW + 5))
        await store.touch_credential("c1", NOW + 1)
        assert await store.credential("c1") == credential(expires_at=NOW + 5, last_seen_at=NOW + 1)
        await store.touch_credential("c1", NOW + 2, NOW + 9)
        assert await store.credential("c1") == credential(expires_at=NOW + 9, last_seen_at=NOW + 2)
        await store.touch_credential("missing", NOW)

    async def test_what_is_revoked_is_not_prolonged(self, store: Store) -> None:
        revoked = credential(expires_at=NOW + 5, revoked_at=NOW)
        await store.add_credential(revoked)
        await store.touch_credential("c1", NOW + 1, NOW + 9)
        assert await store.credential("c1") == revoked

    async def test_only_what_has_expired_is_pruned(self, store: Store) -> None:
        for name, expires_at in (("old", NOW), ("edge", NOW + 5), ("young", NOW + 9), ("forever", None)):
            await store.add_credential(credential(name, expires_at=expires_at))
        assert await store.prune_credentials(NOW + 5) == 1
        assert {each.id for each in await store.credentials()} == {"edge", "young", "forever"}
        assert await store.add_credential(replace(credential("old"), person="bob"))

    async def test_a_secret_is_made_once_for_each_name(self, store: Store) -> None:
        made = await asyncio.gather(*(store.secret("links") for _ in range(10)))
        assert set(made) == {await store.secret("links")}
        assert len(made[0]) == 32
        assert await store.secret("others") != made[0]

"""What every store must do for people, for those who stand in for them, and for what they saw."""

import asyncio

from assent.store import Store
from tests.conformance.store_governance import ask
from tests.conformance.store_records import NOW, delegation, person


class DirectorySuite:
    """For one open store; the fixture `store` comes from the suite that inherits this."""

    async def test_people_come_back_as_they_were_saved(self, store: Store) -> None:
        ann = person(name="Ann É", roles=["finance", "risk"], contacts={"email": "ann@example.com", "slack": "U1"})
        await store.save_person(ann)
        found = await store.person("ann")
        assert found is not None
        assert (found.name, list(found.roles), dict(found.contacts)) == (ann.name, ann.roles, ann.contacts)
        assert (found.created_at, found.disabled_at) == (NOW, None)
        assert await store.person("ANN") is None

    async def test_a_person_without_roles_comes_back_as_saved(self, store: Store) -> None:
        await store.save_person(person())
        assert await store.person("ann") == person()

    async def test_everybody_is_listed_by_id_the_disabled_too(self, store: Store) -> None:
        for name in ("cleo", "ann", "bob"):
            await store.save_person(person(name))
        await store.save_person(person("ann", roles=("risk",), disabled_at=NOW + 5))
        people = await store.people()
        assert [someone.id for someone in people] == ["ann", "bob", "cleo"]
        assert people[0] == person("ann", roles=("risk",), disabled_at=NOW + 5)

    async def test_delegations_come_back_as_they_were_made(self, store: Store) -> None:
        away = delegation(is_away=True, reason="holidays")
        await store.delegate(away)
        assert await store.delegations() == [away]

    async def test_delegations_hold_from_their_beginning_until_their_end(self, store: Store) -> None:
        await store.delegate(delegation("later", since=NOW + 10, until=NOW + 30))
        await store.delegate(delegation("first", since=NOW, until=NOW + 20))
        await store.delegate(delegation("ended", since=NOW + 1, until=NOW + 30))
        await store.delegate(delegation("ended", since=NOW + 1, until=NOW + 30, ended_at=NOW + 5))

        async def held(now: float | None = None) -> list[str]:
            return [each.id for each in await store.delegations(now)]

        assert await held(NOW - 1) == []
        assert await held(NOW) == ["first"]
        assert await held(NOW + 4) == ["first", "ended"]
        assert await held(NOW + 5) == ["first"]
        assert await held(NOW + 10) == ["first", "later"]
        assert await held(NOW + 20) == ["later"]
        assert await held(NOW + 30) == []
        assert await held() == ["first", "ended", "later"]

    async def test_who_first_saw_an_approval_when_is_remembered(self, store: Store) -> None:
        await ask(store)
        assert await store.shown("a1", "ann") is None
        assert await store.show("a1", "ann", NOW + 1) == NOW + 1
        assert await store.show("a1", "ann", NOW + 9) == NOW + 1
        assert await store.show("a1", "bob", NOW + 2) == NOW + 2
        assert await store.shown("a1", "ann") == NOW + 1

    async def test_of_many_looks_at_once_one_is_the_first(self, store: Store) -> None:
        await ask(store)
        seen = await asyncio.gather(*(store.show("a1", "ann", NOW + number) for number in range(20)))
        assert set(seen) == {await store.shown("a1", "ann")}

    async def test_looking_for_what_is_no_approval_leaves_nothing(self, store: Store) -> None:
        assert await store.show("missing", "ann", NOW) == NOW
        assert await store.shown("missing", "ann") is None

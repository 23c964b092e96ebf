"""What every store must do about forgetting what ended long ago."""

from dataclasses import replace
from typing import Any

import pytest

from assent.errors import PermitRefused
from assent.store import Change, ExecutionQuery, Forgotten, Hold, Status, Store
from tests.conformance.store_records import (
    NOW,
    OWNER,
    approval,
    commit,
    drawing,
    event,
    execution,
    granted,
    mandate,
    verdict,
)

LONG_AGO, YESTERDAY = NOW - 1000, NOW - 10


async def ended(store: Store, id: str, at: float = LONG_AGO, **facts: Any) -> int:
    """An execution that has completed at that moment; returns the `seq` of its last event."""
    parts: dict[str, Any] = {"approvals": [approval(f"a-{id}", id, created_at=at)], "blobs": [(f"b-{id}", "large")]}
    created = execution(id, created_at=at, updated_at=at, **facts)
    value = event(id, at=at, value=f"@sha256:b-{id}")
    await store.append(OWNER, commit(value, execution_id=id, create=created, **parts))
    return await went_on(store, id, at, Status.COMPLETED)


async def went_on(store: Store, id: str, at: float, status: Status) -> int:
    await store.append(OWNER, commit(event(id, at=at), execution_id=id, change=Change(status=status)))
    return (await store.journal(id))[-1].seq


async def ids(store: Store) -> set[str]:
    return {record.id for record in await store.executions(ExecutionQuery())}


class RetentionSuite:
    """Inherited by the suite of stores."""

    async def test_what_ended_before_a_moment_may_go_and_nothing_else(self, store: Store) -> None:
        await ended(store, "younger", LONG_AGO + 1)
        await ended(store, "older")
        await ended(store, "new", NOW)
        await store.create(execution("open", created_at=LONG_AGO, updated_at=LONG_AGO))
        assert await store.outdated(YESTERDAY) == [("older",), ("younger",)]
        assert await store.outdated(YESTERDAY, limit=1) == [("older",)]
        assert await store.outdated(LONG_AGO) == []

    async def test_what_is_forgotten_leaves_nothing_of_its_own(self, store: Store) -> None:
        await ended(store, "e1")
        await ended(store, "e2")
        asked = await store.approval("a-e1")
        assert asked is not None
        said = verdict(approval_id=asked.id, at=LONG_AGO)
        await store.decide(replace(asked, version=1), said, [event(at=LONG_AGO)])
        last = (await store.journal("e1"))[-1].seq
        assert await store.forget({"e1": last}, YESTERDAY) == Forgotten(executions=1, events=3, approvals=1)
        assert (await ids(store), await store.journal("e1"), await store.approval("a-e1")) == ({"e2"}, [], None)
        assert await store.verdicts("a-e1") == []
        assert len(await store.journal("e2")) == 2
        assert await store.forget({"e1": last}, YESTERDAY) is None

    async def test_large_values_go_when_nobody_refers_to_them(self, store: Store) -> None:
        last = await ended(store, "e1")
        await ended(store, "e2")
        assert await store.sweep() == 0
        await store.forget({"e1": last}, YESTERDAY)
        assert await store.sweep() == 1
        assert await store.blob("b-e2") == "large"

    async def test_a_family_goes_as_a_whole_or_not_at_all(self, store: Store) -> None:
        family = {
            "root": await ended(store, "root"),
            "child": await ended(store, "child", parent_id="root"),
            "grandchild": await ended(store, "grandchild", parent_id="child"),
        }
        await ended(store, "other")
        assert [set(each) for each in await store.outdated(YESTERDAY)] == [{"other"}, set(family)]
        assert await store.forget({"root": family["root"]}, YESTERDAY) is None
        await store.create(execution("latest", parent_id="grandchild", created_at=NOW, updated_at=NOW))
        assert await store.outdated(YESTERDAY) == [("other",)]
        assert await store.forget(family, YESTERDAY) is None
        latest = await went_on(store, "latest", LONG_AGO, Status.CANCELLED)
        done = await store.forget(family | {"latest": latest}, YESTERDAY)
        assert done is not None
        assert done.executions == 4
        assert await ids(store) == {"other"}

    async def test_children_go_by_themselves_when_their_parent_is_gone(self, store: Store) -> None:
        await ended(store, "orphan", parent_id="gone")
        assert await store.outdated(YESTERDAY) == [("orphan",)]

    async def test_what_went_on_after_it_was_read_stays(self, store: Store) -> None:
        last = await ended(store, "e1")
        await store.append(OWNER, commit(event(at=LONG_AGO)))
        assert await store.forget({"e1": last}, YESTERDAY) is None
        assert await ids(store) == {"e1"}

    async def test_a_mandate_keeps_its_execution_until_it_is_over(self, store: Store) -> None:
        given = mandate("m1", until=NOW, created_at=LONG_AGO, execution_id="e1")
        created = execution(created_at=LONG_AGO, updated_at=LONG_AGO)
        await store.append(OWNER, commit(create=created, approvals=[given]))
        drawn = drawing("p1", Hold(key="mandate:m1", amount=5), mandates=[(given.id, given.digest)])
        await store.append(
            OWNER, commit(event("e2", at=LONG_AGO), execution_id="e2", create=execution("e2"), permit=drawn)
        )
        last = await went_on(store, "e1", LONG_AGO, Status.COMPLETED)
        assert await store.outdated(YESTERDAY) == []
        assert await store.forget({"e1": last}, YESTERDAY) is None
        assert await store.forget({"e1": last}, NOW + 1) == Forgotten(executions=1, events=1, approvals=1)
        assert (await store.drawn("mandate:m1")).count == 0

    async def test_permits_and_budgets_outlive_what_has_taken_them(self, store: Store) -> None:
        taken = drawing("p1", Hold(key="budget:b", amount=5))
        created = execution(created_at=LONG_AGO, updated_at=LONG_AGO)
        await store.append(OWNER, commit(event(at=LONG_AGO), create=created, permit=taken))
        last = await went_on(store, "e1", LONG_AGO, Status.COMPLETED)
        assert await store.forget({"e1": last}, YESTERDAY) is not None
        assert (await store.drawn("budget:b")).count == 1
        await store.append(OWNER, commit(create=execution()))
        with pytest.raises(PermitRefused, match="already used"):
            await store.append(OWNER, commit(event(), permit=taken))

    async def test_an_execution_that_was_granted_before_it_ended_goes_with_its_approval(self, store: Store) -> None:
        created = execution(created_at=LONG_AGO, updated_at=LONG_AGO)
        await store.append(OWNER, commit(create=created, approvals=[granted(created_at=LONG_AGO)]))
        last = await went_on(store, "e1", LONG_AGO, Status.FAILED)
        assert await store.forget({"e1": last}, YESTERDAY) == Forgotten(executions=1, events=1, approvals=1)

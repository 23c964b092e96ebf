"""What every store must do for notices: written with what they tell of, and handed out to one sender at a time."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from assent.store import ApprovalRecord, ApprovalStatus, NoticeRecord, NoticeStatus, Store
from tests.conformance.store_governance import ask
from tests.conformance.store_records import (
    NOW,
    OWNER,
    approval,
    commit,
    digest_of,
    event,
    finish,
    granted,
    permit,
    types,
    verdict,
)

MAIL = ("mail",)


def told(approval_id: str = "a1", **facts: Any) -> ApprovalRecord:
    """An approval of which people are told by mail."""
    given: Mapping[str, Any] = {"channels": MAIL, **facts}
    return approval(approval_id, **given)


def notice(notice_id: str = "a1:requested:mail", **facts: Any) -> NoticeRecord:
    given = {"approval_id": "a1", "channel": "mail", "topic": "requested", "created_at": NOW, "due_at": NOW, **facts}
    return NoticeRecord(id=notice_id, **given)


async def ids(store: Store) -> list[str]:
    """Of all notices, oldest first."""
    return [notice.id for notice in reversed(await store.notices())]


async def claim(store: Store, *channels: str, now: float = NOW, limit: int = 9) -> list[NoticeRecord]:
    return await store.claim_notices(channels or MAIL, now=now, until=now + 60, limit=limit)


class OutboxSuite:
    """For one open store; the fixture `store` comes from the suite that inherits this."""

    # what is written

    async def test_an_approval_that_opens_is_told_of_on_each_channel(self, store: Store) -> None:
        await ask(store, told(channels=("mail", "slack"), created_at=NOW + 1), approval("silent"))
        expected = [
            notice(f"a1:requested:{channel}", channel=channel, created_at=NOW + 1, due_at=NOW + 1)
            for channel in ("slack", "mail")
        ]
        assert await store.notices() == expected
        found = await store.approval("a1")
        assert found is not None
        assert tuple(found.channels) == ("mail", "slack")

    async def test_without_channels_nobody_is_told_of_anything(self, store: Store) -> None:
        await ask(store, approval("a1"), approval("a2"))
        await store.decide(granted(), verdict(), [])
        assert await store.remind(approval("a2", version=1), [])
        await store.append(OWNER, finish(withdraws=True))
        assert await store.notices() == []

    async def test_an_approval_that_does_not_open_is_not_told_of(self, store: Store) -> None:
        with pytest.raises(Exception, match="lease"):
            await store.append("nobody", commit(approvals=[told()]))
        assert await store.notices() == []

    @pytest.mark.parametrize(
        "status", [ApprovalStatus.GRANTED, ApprovalStatus.REJECTED, ApprovalStatus.EXPIRED, ApprovalStatus.AMENDED]
    )
    async def test_what_became_of_an_approval_is_told(self, store: Store, status: ApprovalStatus) -> None:
        await ask(store, told())
        decided = told(status=status, version=1, decided_at=NOW + 5)
        assert await store.decide(decided, verdict(), [event(at=NOW + 5)])
        (last, _) = await store.notices()
        expected = notice(f"a1:{status}:mail", topic=status.value, created_at=NOW + 5, due_at=NOW + 5)
        assert last == expected

    async def test_an_approval_taken_back_is_told_of_after_it_was_granted(self, store: Store) -> None:
        await ask(store, told())
        await store.decide(told(status=ApprovalStatus.GRANTED, version=1), verdict(), [])
        await store.decide(told(status=ApprovalStatus.REVOKED, version=2), verdict(decision="revoke"), [])
        assert await ids(store) == ["a1:requested:mail", "a1:granted:mail", "a1:revoked:mail"]

    async def test_a_withdrawn_approval_is_told_of_with_its_commit(self, store: Store) -> None:
        await ask(store, told(), told("a2"))
        await store.decide(told("a2", status=ApprovalStatus.GRANTED, version=1), None, [])
        await store.append(OWNER, finish(withdraws=True))
        assert await ids(store) == ["a1:requested:mail", "a2:requested:mail", "a2:granted:mail", "a1:withdrawn:mail"]

    async def test_each_escalation_is_told_of(self, store: Store) -> None:
        await ask(store, told())
        for version in (1, 2):
            request = f'{{"level":{version}}}'
            higher = told(request=request, digest=digest_of(request), version=version)
            assert await store.decide(higher, None, [event(at=NOW + version)])
        assert await ids(store) == ["a1:requested:mail", "a1:escalated:mail:1", "a1:escalated:mail:2"]
        assert [each.due_at for each in await store.notices()] == [NOW + 2, NOW + 1, NOW]

    async def test_a_verdict_that_changes_no_status_is_not_told_of(self, store: Store) -> None:
        await ask(store, told())
        await store.decide(told(version=1), verdict(), [])
        await store.decide(told(status=ApprovalStatus.GRANTED, version=2), verdict(refusal="no"), [])
        await store.decide(told(status=ApprovalStatus.GRANTED, version=9), verdict(), [])
        assert await ids(store) == ["a1:requested:mail"]

    # reminders

    async def test_a_reminder_comes_with_its_events_and_a_new_version(self, store: Store) -> None:
        await ask(store, told())
        assert await store.remind(told(version=1), [event(type="reminded", at=NOW + 3)])
        assert await store.remind(told(version=2), [event(type="reminded", at=NOW + 4)])
        assert await store.approval("a1") == told(version=2)
        assert await ids(store) == ["a1:requested:mail", "a1:reminded:mail:1", "a1:reminded:mail:2"]
        assert (await store.notices())[0].due_at == NOW + 4
        assert await types(store) == ["asked", "reminded", "reminded"]

    async def test_nobody_is_reminded_of_what_has_changed_meanwhile(self, store: Store) -> None:
        await ask(store, told())
        await store.decide(told(status=ApprovalStatus.GRANTED, version=1), verdict(), [])
        for version in (1, 2):
            assert not await store.remind(told(version=version), [event(type="late")])
        assert not await store.remind(told("missing", version=1), [event(type="late")])
        assert await ids(store) == ["a1:requested:mail", "a1:granted:mail"]
        assert await types(store) == ["asked"]

    async def test_of_many_who_remind_at_once_one_does(self, store: Store) -> None:
        await ask(store, told())
        won = await asyncio.gather(*(store.remind(told(version=1), [event(type="reminded")]) for _ in range(9)))
        assert won.count(True) == 1
        assert await types(store) == ["asked", "reminded"]

    # use

    async def test_a_used_approval_cannot_be_changed_any_more(self, store: Store) -> None:
        await ask(store, told())
        used = granted(channels=MAIL)
        await store.decide(used, verdict(), [])
        await store.append(OWNER, commit(event(type="effect"), permit=permit()))
        assert await store.approval("a1") == replace(used, used_by="p1")
        revoked = told(status=ApprovalStatus.REVOKED, version=2)
        assert not await store.decide(revoked, verdict(decision="revoke"), [event(type="never")], None)
        assert await store.approval("a1") == replace(used, used_by="p1")
        assert await types(store) == ["asked", "effect"]
        assert await ids(store) == ["a1:requested:mail", "a1:granted:mail"]

    # handing out

    async def test_what_is_due_longest_is_claimed_first_and_by_nobody_else(self, store: Store) -> None:
        moments = {"a1": NOW + 2, "a2": NOW, "a3": NOW + 1, "a4": NOW + 90}
        await ask(store, *(told(name, created_at=moment) for name, moment in moments.items()))
        first = await claim(store, now=NOW + 5, limit=2)
        assert [each.approval_id for each in first] == ["a2", "a3"]
        assert [(each.attempts, each.due_at) for each in first] == [(1, NOW + 65)] * 2
        assert [each.approval_id for each in await claim(store, now=NOW + 5)] == ["a1"]
        assert await claim(store, now=NOW + 5) == []

    async def test_what_was_claimed_and_never_closed_comes_again(self, store: Store) -> None:
        await ask(store, told())
        await claim(store)
        assert await claim(store, now=NOW + 59) == []
        assert [each.attempts for each in await claim(store, now=NOW + 60)] == [2]

    async def test_only_own_channels_are_claimed(self, store: Store) -> None:
        await ask(store, told(channels=("mail", "slack")), told("a2", channels=("hook",)))
        assert [each.id for each in await claim(store, "slack", "hook", "slack")] == [
            "a1:requested:slack",
            "a2:requested:hook",
        ]
        assert await claim(store, "slack") == []
        assert await store.claim_notices([], now=NOW, until=NOW, limit=9) == []

    async def test_each_notice_is_claimed_by_one_of_many(self, store: Store) -> None:
        await ask(store, *(told(f"a{number}") for number in range(30)))
        claimed = await asyncio.gather(*(claim(store, limit=2) for _ in range(20)))
        handed_out = [each.id for batch in claimed for each in batch]
        assert len(handed_out) == len(set(handed_out)) == 30

    async def test_the_next_notice_is_that_of_the_own_channels(self, store: Store) -> None:
        assert await store.next_notice(MAIL) is None
        await ask(store, told(created_at=NOW + 9), told("a2", channels=("slack",), created_at=NOW + 5))
        assert await store.next_notice(MAIL) == NOW + 9
        assert await store.next_notice(["slack", "mail"]) == NOW + 5
        assert await store.next_notice([]) is None
        (claimed,) = await claim(store, now=NOW + 20)
        assert await store.next_notice(MAIL) == NOW + 80
        await store.close_notice(replace(claimed, status=NoticeStatus.SENT))
        assert await store.next_notice(MAIL) is None

    # what became of them

    @pytest.mark.parametrize("status", [NoticeStatus.SENT, NoticeStatus.DEAD, NoticeStatus.SKIPPED])
    async def test_a_closed_notice_is_not_claimed_again(self, store: Store, status: NoticeStatus) -> None:
        await ask(store, told())
        (claimed,) = await claim(store)
        closed = replace(claimed, status=status, error="why", receipt="7")
        await store.close_notice(closed)
        assert await store.notices() == [closed]
        assert await claim(store, now=NOW + 999) == []

    async def test_a_failed_notice_is_tried_again_when_it_is_due(self, store: Store) -> None:
        await ask(store, told())
        (claimed,) = await claim(store)
        await store.close_notice(replace(claimed, due_at=NOW + 10, error="refused"))
        assert await claim(store, now=NOW + 9) == []
        assert [(each.attempts, each.error) for each in await claim(store, now=NOW + 10)] == [(2, "refused")]

    async def test_a_notice_that_was_given_up_can_be_tried_again_from_the_start(self, store: Store) -> None:
        await ask(store, told())
        (claimed,) = await claim(store)
        await store.close_notice(replace(claimed, status=NoticeStatus.DEAD, attempts=8))
        await store.close_notice(replace(claimed, status=NoticeStatus.PENDING, attempts=0, due_at=NOW + 5))
        assert [each.attempts for each in await claim(store, now=NOW + 5)] == [1]

    async def test_what_was_sent_stays_sent(self, store: Store) -> None:
        await ask(store, told())
        (slow,) = await claim(store)
        (quick,) = await claim(store, now=NOW + 60)
        sent = replace(quick, status=NoticeStatus.SENT, receipt="7")
        await store.close_notice(sent)
        await store.close_notice(replace(slow, due_at=NOW + 61, error="took too long"), [notice("a1:requested:mail:x")])
        assert await store.notices() == [sent]

    async def test_parts_take_the_place_of_a_notice_once(self, store: Store) -> None:
        await ask(store, told())
        (claimed,) = await claim(store)
        parts = [notice(f"{claimed.id}:{name}", recipient=name) for name in ("ann", "bob")]
        whole = replace(claimed, status=NoticeStatus.SENT)
        await store.close_notice(whole, parts)
        (first, _) = await claim(store)
        await store.close_notice(whole, parts)
        assert {each.id: each.attempts for each in await store.notices()} == {
            "a1:requested:mail": 1,
            "a1:requested:mail:ann": 1,
            "a1:requested:mail:bob": 1,
        }
        assert first.recipient == "ann"

    async def test_a_notice_that_is_not_there_is_not_closed(self, store: Store) -> None:
        await store.close_notice(notice(status=NoticeStatus.SENT), [notice("part")])
        assert await store.notices() == []

    # listing

    async def test_notices_are_listed_newest_first_and_in_pages(self, store: Store) -> None:
        await ask(store, *(told(f"a{number}", created_at=NOW + number) for number in range(5)))
        everything = [f"a{number}:requested:mail" for number in (4, 3, 2, 1, 0)]
        first = await store.notices(limit=2)
        rest = await store.notices(before=first[-1].id)
        assert [each.id for each in first + rest] == everything

    async def test_notices_are_found_by_status_and_approval(self, store: Store) -> None:
        await ask(store, *(told(f"a{number}", created_at=NOW + number) for number in range(4)))
        dead, sent = await claim(store, now=NOW + 9, limit=2)
        await store.close_notice(replace(dead, status=NoticeStatus.DEAD))
        await store.close_notice(replace(sent, status=NoticeStatus.SENT))

        async def listed(**query: object) -> list[str]:
            return [each.approval_id for each in await store.notices(**query)]  # type: ignore[arg-type]  # as a table

        assert await listed(status=NoticeStatus.PENDING) == ["a3", "a2"]
        assert await listed(status=NoticeStatus.DEAD) == ["a0"]
        assert await listed(status=NoticeStatus.SENT) == ["a1"]
        assert await listed(status=NoticeStatus.SKIPPED) == []
        assert await listed(approval_id="a2") == ["a2"]
        assert await listed(approval_id="a2", status=NoticeStatus.DEAD) == []
        assert await listed(status=NoticeStatus.PENDING, before="a3:requested:mail", limit=1) == ["a2"]

"""What waits for whom: open approvals by person, a page at a time, without reading those that concern others."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from assent.governance import Roster, roster_of
from assent.governance.approvals import ROLE, ApprovalRequest, asked_at, person, reminders_of
from assent.governance.asked import Asked, asked_of
from assent.store import ApprovalRecord, ApprovalStatus
from assent.web.desk import Desk

PAGE: Final = 25  # approvals on one page of the inbox
CHUNK: Final = 100  # approvals that are read at once
MOST_COUNTED: Final = 99
MOST_LOOKED_AT: Final = 2000  # approvals for one page, however few of them belong on it
LATE: Final = 0.75  # of the time that an approval is open
A_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of approvals. `after` is where the next one begins; None if there is none."""

    entries: list[Asked]
    after: str | None = None


def entries_of(roster: Roster, who: str) -> frozenset[str]:
    """All that may stand among the approvers of a request for this person to have a say."""
    people = {
        person(who),
        *(person(one.delegator) for one in roster.delegations if person(one.delegate) == person(who)),
    }
    return frozenset(people | {ROLE + role for one in people for role in roster.roles(one)})


async def waiting(desk: Desk, who: str, after: str | None = None, limit: int = PAGE) -> Listed:
    """The open requests that wait for this person: they may decide, and have not said anything yet."""
    roster = await roster_of(desk.store, desk.clock.now(), {who})
    return await _collected(
        _waiting(desk, who, roster, after),
        limit,
    )


async def waiting_count(desk: Desk, who: str) -> str:
    """How many requests wait for a person, in so many words as a badge has room for; empty for none."""
    count = 0
    roster = await roster_of(desk.store, desk.clock.now(), {who})
    async for _ in _waiting(desk, who, roster, None):
        count += 1
        if count > MOST_COUNTED:
            return f"{MOST_COUNTED}+"
    return str(count) if count else ""


async def team(desk: Desk, who: str, *, sees_all: bool, after: str | None = None, limit: int = PAGE) -> Listed:
    """All open requests; those who do not see everything get those in which they have a say."""
    return await _collected(_open(desk, None if sees_all else await _entries(desk, who), after), limit)


async def overdue(desk: Desk, who: str, *, sees_all: bool, after: str | None = None, limit: int = PAGE) -> Listed:
    """Of these the ones that have waited too long; see `is_overdue`."""
    now = desk.clock.now()
    found = _open(desk, None if sees_all else await _entries(desk, who), after)
    return await _collected((one async for one in found if is_overdue(one, now)), limit)


async def decided(desk: Desk, who: str, *, sees_all: bool, after: str | None = None, limit: int = PAGE) -> Listed:
    """What is no longer open, newest first."""
    entries = None if sees_all else await _entries(desk, who)
    found = _read(desk, None, entries, after, newest=True)
    return await _collected((one async for one in found if one.record.status is not ApprovalStatus.PENDING), limit)


def is_overdue(asked: Asked, now: float) -> bool:
    """Whether a request waits too long: a reminder was due, three quarters of its time are gone, or a day is."""
    request, record = asked.request, asked.record
    if request is None or not asked.is_open(now):
        return False
    since = asked_at(record, request)
    late = since + A_DAY if record.expires_at is None else since + LATE * (record.expires_at - since)
    return late <= now or any(moment <= now for moment in reminders_of(record, request))


def concerns(asked: Asked, roster: Roster, who: str) -> bool:
    """Whether an approval is this person's business: they have a say in it, asked for it, or have spoken on it."""
    request = asked.request
    if request is None:
        return False
    spoke = any(person(one.approver) == person(who) for one in asked.verdicts)
    return spoke or _is_requester(request, who) or bool(roster.sittings(request, who))


def _is_requester(request: ApprovalRequest, who: str) -> bool:
    return request.requester is not None and person(request.requester) == person(who)


async def _entries(desk: Desk, who: str) -> frozenset[str]:
    return entries_of(await roster_of(desk.store, desk.clock.now(), {who}), who)


async def _waiting(desk: Desk, who: str, roster: Roster, after: str | None) -> AsyncIterator[Asked]:
    async for one in _open(desk, entries_of(roster, who), after):
        if one.request is not None and one.said_by(who) is None and roster.sittings(one.request, who):
            yield one


async def _open(desk: Desk, entries: frozenset[str] | None, after: str | None) -> AsyncIterator[Asked]:
    now = desk.clock.now()
    async for one in _read(desk, ApprovalStatus.PENDING, entries, after):
        if one.is_open(now):
            yield one


async def _read(
    desk: Desk,
    status: ApprovalStatus | None,
    entries: frozenset[str] | None,
    after: str | None,
    *,
    newest: bool = False,
) -> AsyncIterator[Asked]:
    asked_of_them = None if entries is None else sorted(entries)
    for _ in range(MOST_LOOKED_AT // CHUNK):
        records: list[ApprovalRecord] = await desk.store.approvals(
            status, limit=CHUNK, approvers=asked_of_them, after=after, newest=newest
        )
        for one in await asked_of(desk.store, records, desk.clock.now()):
            yield one
        if len(records) < CHUNK:
            return
        after = records[-1].id


async def _collected(found: AsyncIterator[Asked], limit: int) -> Listed:
    entries: list[Asked] = []
    async for one in found:
        if len(entries) == limit:
            return Listed(entries, entries[-1].record.id)
        entries.append(one)
    return Listed(entries)

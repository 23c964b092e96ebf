"""What waits for whom: open approvals by person, a page at a time, without reading those that concern others."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from assent.governance import Roster, roster_of
from assent.governance.approvals import ROLE, ApprovalRequest, asked_at, intact_request, person, reminders_of
from assent.governance.asked import Asked, asked_of
from assent.store import ApprovalRecord, ApprovalStatus
from assent.web.desk import Desk

Wanted = Callable[[ApprovalRecord], bool]

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
    return await _collected(_waiting(desk, who, after), limit)


async def waiting_count(desk: Desk, who: str) -> str:
    """How many requests wait for a person, in so many words as a badge has room for; empty for none."""
    count = 0
    async for _ in _waiting(desk, who, None):
        count += 1
        if count > MOST_COUNTED:
            return f"{MOST_COUNTED}+"
    return str(count) if count else ""


async def team(desk: Desk, who: str, *, sees_all: bool, after: str | None = None, limit: int = PAGE) -> Listed:
    """All open requests; those who do not see everything get those in which they have a say."""
    entries = None if sees_all else await _entries(desk, who)
    return await _collected(_open(desk, entries, after, lambda _: True), limit)


async def overdue(desk: Desk, who: str, *, sees_all: bool, after: str | None = None, limit: int = PAGE) -> Listed:
    """Of these the ones that have waited too long; see `is_overdue`."""
    entries = None if sees_all else await _entries(desk, who)
    return await _collected(_overdue(desk, entries, after, limit + 1), limit)


async def decided(desk: Desk, who: str, *, sees_all: bool, after: str | None = None, limit: int = PAGE) -> Listed:
    """What is no longer open, newest first."""
    now = desk.clock.now()
    entries = None if sees_all else await _entries(desk, who)
    found = _read(desk, None, entries, after, lambda record: not _is_open(record, now), newest=True)
    return await _collected(found, limit)


def is_overdue(record: ApprovalRecord, now: float) -> bool:
    """Whether a request waits too long: a reminder was due, three quarters of its time are gone, or a day is."""
    if not _is_open(record, now):
        return False
    # Most are young and remind nobody: those need no second look, which takes reading the request.
    if _late_at(record, record.created_at) > now and '"reminders"' not in record.request:
        return False
    request = intact_request(record)
    if request is None:
        return False
    is_late = _late_at(record, asked_at(record, request)) <= now
    return is_late or any(moment <= now for moment in reminders_of(record, request))


def _late_at(record: ApprovalRecord, since: float) -> float:
    return since + A_DAY if record.expires_at is None else since + LATE * (record.expires_at - since)


def _is_open(record: ApprovalRecord, now: float) -> bool:
    in_time = record.expires_at is None or record.expires_at > now
    return record.status is ApprovalStatus.PENDING and in_time


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


async def _waiting(desk: Desk, who: str, after: str | None) -> AsyncIterator[Asked]:
    roster = await roster_of(desk.store, desk.clock.now(), {who})

    def is_theirs(record: ApprovalRecord) -> bool:
        request = intact_request(record)
        return request is not None and bool(roster.sittings(request, who))

    async for one in _open(desk, entries_of(roster, who), after, is_theirs):
        if one.said_by(who) is None:
            yield one


def _open(desk: Desk, entries: frozenset[str] | None, after: str | None, wanted: Wanted) -> AsyncIterator[Asked]:
    now = desk.clock.now()
    return _read(desk, ApprovalStatus.PENDING, entries, after, lambda record: _is_open(record, now) and wanted(record))


async def _overdue(desk: Desk, entries: frozenset[str] | None, after: str | None, chunk: int) -> AsyncIterator[Asked]:
    now = desk.clock.now()
    approvers = None if entries is None else sorted(entries)
    while True:
        records = await desk.store.overdue(now, chunk, approvers=approvers, after=after)
        for one in await asked_of(desk.store, [record for record in records if is_overdue(record, now)], now):
            yield one
        if len(records) < chunk:
            return
        after = records[-1].id


async def _read(
    desk: Desk,
    status: ApprovalStatus | None,
    entries: frozenset[str] | None,
    after: str | None,
    wanted: Wanted,
    *,
    newest: bool = False,
) -> AsyncIterator[Asked]:
    """Approvals that are asked of these entries, and are wanted. What was said on others is not looked up."""
    approvers = None if entries is None else sorted(entries)
    for _ in range(MOST_LOOKED_AT // CHUNK):
        records = await desk.store.approvals(status, limit=CHUNK, approvers=approvers, after=after, newest=newest)
        found = [one for one in records if wanted(one)]
        for one in await asked_of(desk.store, found, desk.clock.now()) if found else []:
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

"""What pages and REST both look up: approvals as one person may see them, executions with all that belongs to them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from assent.engine.replay import ENDINGS
from assent.errors import ApprovalNotFound, ExecutionNotFound
from assent.governance import Cast, roster_of
from assent.governance.approvals import MANDATE, person
from assent.governance.asked import Asked, asked_of
from assent.governance.verdicts import find
from assent.runtime.oversight import Said
from assent.store import ApprovalStatus, Event, ExecutionQuery, ExecutionRecord
from assent.web.access import Identity
from assent.web.answers import requester_of
from assent.web.desk import Desk
from assent.web.inbox import concerns, entries_of

T = TypeVar("T")
EVERYTHING: Final = 1_000_000_000  # the port lists with a limit


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list. `next` is the cursor of what follows; None: these are the last."""

    items: Sequence[T]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalsWanted:
    """Which approvals to list, open or not, and how many."""

    status: ApprovalStatus | None = None
    action: str | None = None
    execution_id: str | None = None
    newest: bool = False
    cursor: str | None = None
    limit: int = 50


def page_of(items: Sequence[T], id_of: Callable[[T], str], cursor: str | None, limit: int) -> Page[T]:
    """A page of a list that is all there; an unknown cursor gives nothing."""
    start = 0
    if cursor is not None:
        start = next((place + 1 for place, each in enumerate(items) if id_of(each) == cursor), len(items))
    found = items[start : start + limit]
    return Page(found, id_of(found[-1]) if found and start + limit < len(items) else None)


# Approvals


async def approvals(desk: Desk, identity: Identity, wanted: ApprovalsWanted) -> Page[Asked]:
    """A page of approvals, with what was said on them; of those who do not see all, only what concerns them."""
    now = desk.clock.now()
    roster = await roster_of(desk.store, now)
    entries = None if identity.sees_all else sorted(entries_of(roster, identity.person))
    found: list[Asked] = []
    cursor = wanted.cursor
    while True:
        records = await desk.store.approvals(
            wanted.status,
            wanted.execution_id,
            wanted.limit + 1,
            approvers=entries,
            action=wanted.action,
            after=cursor,
            newest=wanted.newest,
        )
        for asked in await asked_of(desk.store, records, now):
            if identity.sees_all or concerns(asked, roster, identity.person):
                if len(found) == wanted.limit:
                    return Page(found, found[-1].record.id)
                found.append(asked)
        if len(records) <= wanted.limit:
            return Page(found)
        cursor = records[-1].id


async def approval(desk: Desk, identity: Identity, approval_id: str) -> Asked:
    """One approval, with what was said on it. Raises ApprovalNotFound also for one that is none of their business."""
    now = desk.clock.now()
    (asked,) = await asked_of(desk.store, [await find(desk.store, approval_id)], now)
    if not (identity.sees_all or concerns(asked, await roster_of(desk.store, now), identity.person)):
        raise ApprovalNotFound(f"There is no approval {approval_id!r} for you in this store.", approval_id=approval_id)
    return asked


async def cast_all(
    desk: Desk,
    identity: Identity,
    approval_ids: Iterable[str],
    decision: Said,
    reason: str,
    conditions: Sequence[str] = (),
) -> list[Cast]:
    """Give one verdict on several approvals. Of those that are none of their business people learn nothing else."""
    done: list[Cast] = []
    for approval_id in dict.fromkeys(approval_ids):
        try:
            await approval(desk, identity, approval_id)
        except ApprovalNotFound as error:
            done.append(Cast(approval_id, refusal=str(error)))
            continue
        done += await desk.runtime.decide_all(
            [approval_id], approver=identity.person, decision=decision, reason=reason, conditions=conditions
        )
    return done


async def see(desk: Desk, identity: Identity, asked: Asked) -> None:
    """Note that somebody who may decide an approval looks at it now: their dwell time begins."""
    now = desk.clock.now()
    if asked.request is None or not asked.is_open(now) or asked.said_by(identity.person) is not None:
        return
    if (await roster_of(desk.store, now)).sittings(asked.request, identity.person):
        await desk.runtime.show(asked.record.id, identity.person)


async def alike(desk: Desk, identity: Identity, asked: Asked, limit: int = 20) -> Sequence[Asked]:
    """What was asked of people about the same action before, newest first: the history of an approval."""
    if asked.request is None or asked.request.kind == MANDATE:
        return ()
    wanted = ApprovalsWanted(action=asked.request.action, newest=True, limit=limit + 1)
    found = (await approvals(desk, identity, wanted)).items
    return [one for one in found if one.record.id != asked.record.id][:limit]


# Executions


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An execution with its journal, and with what people were asked in it."""

    record: ExecutionRecord
    events: Sequence[Event]
    asked: Sequence[Asked]

    @property
    def ending(self) -> Event | None:
        """The event that ended it; None while it goes on."""
        return ending_of(self.record, self.events)


def ending_of(record: ExecutionRecord, events: Sequence[Event]) -> Event | None:
    """The event that ended an execution; None while it goes on."""
    if not record.status.is_final:
        return None
    return next((event for event in reversed(events) if event.type in ENDINGS), None)


async def told_of(desk: Desk, identity: Identity, execution_id: str) -> Told:
    """One execution whole. Raises ExecutionNotFound also for one that is none of their business."""
    record = await execution_head(desk, identity, execution_id)
    events = await desk.engine.events(record.id)
    records = await desk.store.approvals(execution_id=record.id, limit=EVERYTHING)
    return Told(record=record, events=events, asked=await asked_of(desk.store, records, desk.clock.now()))


async def execution_head(desk: Desk, identity: Identity, execution_id: str) -> ExecutionRecord:
    """An execution as it stands. Raises ExecutionNotFound as `execution` does."""
    record = await desk.engine.execution(execution_id)
    if not (identity.sees_all or await _concerns_execution(desk, identity, record)):
        raise ExecutionNotFound(
            f"There is no execution {execution_id!r} for you in this store.", execution_id=execution_id
        )
    return record


async def _concerns_execution(desk: Desk, identity: Identity, record: ExecutionRecord) -> bool:
    requester = requester_of(record)
    if requester is not None and person(requester) == person(identity.person):
        return True
    now = desk.clock.now()
    records = await desk.store.approvals(execution_id=record.id, limit=EVERYTHING)
    roster = await roster_of(desk.store, now)
    return any(concerns(asked, roster, identity.person) for asked in await asked_of(desk.store, records, now))


async def executions(desk: Desk, query: ExecutionQuery) -> Page[ExecutionRecord]:
    """A page of executions, newest first; the cursor is `before` of the query."""
    found = await desk.engine.executions(replace(query, limit=query.limit + 1))
    items = found[: query.limit]
    return Page(items, items[-1].id if len(found) > query.limit else None)

"""`assent notifications`: what people are told, what became of it, and how to try again."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from assent.cli.output import Row, Screen, age, iso, plain, short_moment, styled
from assent.cli.reference import load_module, runtime_of
from assent.cli.stored import EVERYTHING, find_approval, opened
from assent.clock import SystemClock
from assent.errors import NoticeNotFound, UsageError
from assent.notify import Notifier
from assent.store import NoticeRecord, NoticeStatus, Store

ALL = "all"
# Of these, another attempt may be made by hand; one that is pending is still tried by itself.
SETTLED = (NoticeStatus.DEAD, NoticeStatus.SKIPPED)
SHOWN = 3


async def list_notices(
    screen: Screen, url: str | None, *, status: str, approval: str | None, limit: int, as_json: bool
) -> None:
    """`assent notifications list`."""
    wanted = None if status == ALL else _status(status)
    async with opened(url) as store:
        about = (await find_approval(store, approval)).id if approval else None
        found = await store.notices(wanted, about, limit=limit)
    if as_json:
        screen.json([notice_facts(each) for each in found])
    elif not found:
        screen.say("There is none.")
    else:
        rows = [_row(each, screen.now) for each in found]
        screen.table(["NOTICE", "STATUS", "SINCE", ">TRIED", "TO"], rows, "WHY")


def _status(word: str) -> NoticeStatus:
    try:
        return NoticeStatus(word)
    except ValueError as error:
        known = ", ".join([*NoticeStatus, ALL])
        raise UsageError(f"{word!r} is no status of a notice. Give one of: {known}.") from error


def notice_facts(notice: NoticeRecord) -> dict[str, Any]:
    """A notice for programs."""
    return {
        "id": notice.id,
        "approval_id": notice.approval_id,
        "channel": notice.channel,
        "topic": notice.topic,
        "recipient": notice.recipient or None,
        "status": notice.status.value,
        "attempts": notice.attempts,
        "created_at": iso(notice.created_at),
        "due_at": iso(notice.due_at) if notice.status is NoticeStatus.PENDING else None,
        "error": notice.error,
        "receipt": notice.receipt,
    }


def _row(notice: NoticeRecord, now: float) -> Row:
    cells = [
        plain(notice.id),
        styled(notice.status.value),
        plain(short_moment(notice.created_at, now)),
        plain(str(notice.attempts)),
        plain(notice.recipient or "all"),
    ]
    notes = [notice.error] if notice.error else []
    if notice.status is NoticeStatus.PENDING:
        notes.append(f"tried {'again ' if notice.attempts else ''}{age(max(notice.due_at, now), now)}")
    return Row(cells, [plain(each) for each in notes])


async def retry(screen: Screen, url: str | None, ids: Sequence[str], *, dead: bool) -> None:
    """`assent notifications retry`."""
    if bool(ids) == dead:
        raise UsageError("Name the notices to send again, or give --dead for all that were given up. One of both.")
    clock = SystemClock()
    async with opened(url) as store:
        found = await store.notices(NoticeStatus.DEAD, limit=EVERYTHING) if dead else await _named(store, ids)
        for each in found:
            fresh = replace(each, status=NoticeStatus.PENDING, attempts=0, due_at=clock.now(), error=None)
            await store.close_notice(fresh)
    screen.say(f"{len(found)} {'is' if len(found) == 1 else 'are'} due now. A worker with their channels sends them.")


async def _named(store: Store, ids: Sequence[str]) -> list[NoticeRecord]:
    """The notices of these ids, or beginnings of ids, that are neither sent nor still being tried."""
    settled = [each for status in SETTLED for each in await store.notices(status, limit=EVERYTHING)]
    return [await _one(store, settled, each) for each in dict.fromkeys(ids)]


async def _one(store: Store, settled: Sequence[NoticeRecord], id: str) -> NoticeRecord:
    exact = [each for each in settled if each.id == id]
    if not exact:
        await _refuse_others(store, id)
    found = exact or [each for each in settled if id and each.id.startswith(id)]
    if not found:
        raise NoticeNotFound(
            f"There is no notice {id!r} in this store. `assent notifications list` shows those that are.", notice_id=id
        )
    if len(found) > 1:
        names = ", ".join(each.id for each in found[:SHOWN])
        raise UsageError(f"{id!r} is the beginning of {len(found)} notices: {names} ... Give more of it.")
    return found[0]


async def _refuse_others(store: Store, id: str) -> None:
    """Raise UsageError if the notice of that id is none that is sent again by hand."""
    for status, what in ((NoticeStatus.PENDING, "is still being tried by itself"), (NoticeStatus.SENT, "is sent")):
        if any(each.id == id for each in await store.notices(status, limit=EVERYTHING)):
            raise UsageError(f"The notice {id!r} {what}. Only those that were given up or skipped are sent again.")


async def send(screen: Screen, url: str | None, files: Sequence[str], *, as_json: bool) -> None:
    """`assent notifications send`."""
    runtime = runtime_of([load_module(each) for each in files], url, worker=False)
    if not runtime.channels:
        raise UsageError(f"No Runtime in {', '.join(files)} has channels. Give it some: Runtime(channels=[...]).")
    async with opened(runtime.url) as store:
        closed = await Notifier(store, runtime.clock, runtime.channels, link=await runtime.links_on(store)).send_due()
    if as_json:
        screen.json([notice_facts(each) for each in closed])
    elif not closed:
        screen.say("Nothing is due.")
    else:
        screen.table(["NOTICE", "STATUS", "SINCE", ">TRIED", "TO"], [_row(each, screen.now) for each in closed], "WHY")

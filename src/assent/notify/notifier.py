"""Sends what stands in the outbox, from as many processes as there are.

A notice is claimed for a time, sent, and closed. A process that dies in between leaves it claimed, and after that time
another sends it again, with the same id; otherwise only a receiver that took a message and failed to say so gets it
again. Each channel has a lane of its own, so that one which is slow or down holds up no other; within a lane the
notices of one approval go out in order, and those of several approvals side by side. Nothing that fails here reaches
an execution.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Self

from assent.clock import Clock, Duration, seconds
from assent.codec import digest
from assent.errors import DeliveryFailed, StoreError, UsageError
from assent.notify.channel import ASKING, Channel, Link, Notification
from assent.notify.delivery import Skip, Split, Wait, plan
from assent.notify.safety import failed
from assent.resilience import Retry
from assent.store import NoticeRecord, NoticeStatus, Store

log = logging.getLogger("assent.notify")

# About two days, at most an hour apart.
PERSISTENT: Final = Retry(attempts=60, initial=5.0, maximum=3600.0, jitter="equal")
# So many notices are claimed at once; those of different approvals are sent side by side.
BATCH: Final = 8
# A claim lasts for so many time limits: enough for the notices of one approval one after the other.
CLAIM: Final = 3.0
# How often to look for notices of other processes, of which nobody tells. Asking is one look into an index.
LOOK_EVERY: Final = 2.0
# How long messages under way may take to get out when the process ends.
GRACE: Final = 5.0
LONGEST_WAIT: Final = 86400.0  # that a receiver may ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How patient a notifier is."""

    retry: Retry = PERSISTENT
    limit: Duration = 30.0  # for one message
    look_every: Duration = LOOK_EVERY  # for notices that others have written
    grace: Duration = GRACE  # for messages under way when it is left


class Notifier:
    """Sends notices in the background for as long as it is entered with `async with`.

    `link` is a template of the page where an approval is decided: "https://assent.example.com/approvals/{approval_id}",
    or a function that makes one for an approval's id and a recipient.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        channels: Sequence[Channel],
        *,
        link: Link | None = None,
        pace: Pace | None = None,
    ) -> None:
        _check_names(channels)
        _check_link(link)
        self._grace = seconds((pace or Pace()).grace)
        self._lanes = [Lane(store, clock, each, link, pace or Pace()) for each in channels]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        if self._tasks:
            raise UsageError("This Notifier is at work already. Enter it once.")
        self._tasks = [asyncio.create_task(lane.work(), name=lane.channel.name) for lane in self._lanes]
        for task in self._tasks:
            task.add_done_callback(_report)
        return self

    async def __aexit__(self, *exc: object) -> None:
        tasks, self._tasks = self._tasks, []
        for lane in self._lanes:
            lane.stop()
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=self._grace)
            for task in slow:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def nudge(self) -> None:
        """Look into the outbox now: something may have been written."""
        for lane in self._lanes:
            lane.nudge()

    async def send_due(self) -> list[NoticeRecord]:
        """Send what is due, once, and return it as it is afterwards. For use without `async with`."""
        return [notice for lane in self._lanes for notice in await lane.send_due()]


def _report(task: asyncio.Task[None]) -> None:
    """Say so if a lane ends before its time: nobody waits for it, and its notices would only pile up."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.error("channel %s is not served any more", task.get_name(), exc_info=error)


def _check_names(channels: Sequence[Channel]) -> None:
    names = [each.name for each in channels]
    for name in names:
        if not name or not all(each.isalnum() or each in "-_" for each in name) or not name.isascii():
            raise UsageError(f"A channel cannot be named {name!r}. Use letters, digits, - and _.")
        if names.count(name) > 1:
            raise UsageError(f'Two channels are named {name!r}. Give one of them another: name="...".')


def _check_link(link: Link | None) -> None:
    if isinstance(link, str) and not (link.startswith(("https://", "http://")) and "{approval_id}" in link):
        raise UsageError(
            f"link={link!r} leads nowhere. Give a URL such as https://assent.example.com/approvals/{{approval_id}}."
        )


@dataclass(slots=True)
class Lane:
    """The notices of one channel."""

    store: Store
    clock: Clock
    channel: Channel
    link: Link | None
    pace: Pace
    _nudged: asyncio.Event = field(default_factory=asyncio.Event)
    _is_over: bool = False

    def nudge(self) -> None:
        self._nudged.set()

    def stop(self) -> None:
        self._is_over = True
        self._nudged.set()

    async def work(self) -> None:
        """Send what becomes due, until `stop`, and then once more. A store that fails is asked again later."""
        is_last = False
        while not is_last:
            is_last = self._is_over
            self._nudged.clear()
            try:
                await self.send_due()
                wait = await self._until_next()
            except StoreError as error:
                log.warning("notices of channel %s cannot be read: %s", self.channel.name, error)
                wait = seconds(self.pace.look_every)
            if not self._is_over:
                await self._rest(wait)

    async def _rest(self, wait: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._nudged.wait()

    async def _until_next(self) -> float:
        due = await self.store.next_notice([self.channel.name])
        longest = seconds(self.pace.look_every)
        return longest if due is None else min(max(due - self.clock.now(), 0.0), longest)

    async def send_due(self) -> list[NoticeRecord]:
        """Send what is due, and return the notices as they are afterwards. After `stop`, only a few of them."""
        closed: list[NoticeRecord] = []
        while claimed := await self._claim():
            sends = map(self._send_in_order, _by_approval(claimed))
            for group in await asyncio.gather(*sends, return_exceptions=True):
                if isinstance(group, BaseException):
                    raise group
                closed += group
            if self._is_over:
                break
        return closed

    async def _claim(self) -> list[NoticeRecord]:
        now = self.clock.now()
        until = now + CLAIM * seconds(self.pace.limit)
        return await self.store.claim_notices([self.channel.name], now=now, until=until, limit=BATCH)

    async def _send_in_order(self, notices: Sequence[NoticeRecord]) -> list[NoticeRecord]:
        closed: list[NoticeRecord] = []
        for notice in notices:
            if self.clock.now() + seconds(self.pace.limit) > notice.due_at:
                break  # the claim would end while it is sent, and another process would send it too
            closed.append(await self._attempt(notice))
        return closed

    async def _attempt(self, notice: NoticeRecord) -> NoticeRecord:
        """Do with a notice what is to be done now, and store what became of it."""
        parts: Sequence[NoticeRecord] = ()
        try:
            after, parts = await self._outcome(notice)
        except StoreError:
            raise
        except DeliveryFailed as error:
            after = self._failed(notice, error)
        except Exception as error:  # noqa: BLE001 - a channel is anybody's code; its words may hold secrets
            after = self._failed(notice, failed(f"the channel raised {type(error).__name__}"))
        await self.store.close_notice(after, parts)
        return after

    async def _outcome(self, notice: NoticeRecord) -> tuple[NoticeRecord, Sequence[NoticeRecord]]:
        match await plan(self.store, self.clock, self.channel, notice, self.link):
            case Notification() as notification:
                receipt = await self._send(notification)
                return replace(notice, status=NoticeStatus.SENT, error=None, receipt=receipt), ()
            case Split() as split:
                return replace(notice, status=NoticeStatus.SENT, error=None), split.parts
            case Skip() as skip:
                return replace(notice, status=NoticeStatus.SKIPPED, error=skip.reason), ()
            case Wait() as wait:
                return replace(notice, due_at=wait.until, attempts=notice.attempts - 1), ()

    async def _send(self, notification: Notification) -> str | None:
        limit = seconds(self.pace.limit)
        try:
            async with asyncio.timeout(limit):
                return await self.channel.send(notification)
        except TimeoutError as error:
            raise failed(f"it took longer than {limit:g} s") from error

    def _failed(self, notice: NoticeRecord, error: DeliveryFailed) -> NoticeRecord:
        retry = self.pace.retry
        if error.is_final or notice.attempts >= retry.attempts:
            log.warning("notice %s is given up: %s", notice.id, error.reason)
            return replace(notice, status=NoticeStatus.DEAD, error=error.reason)
        wait = retry.wait_before(notice.attempts + 1, lambda: _fraction(notice))
        wait = max(wait, min(error.retry_after or 0.0, LONGEST_WAIT))
        log.info("notice %s failed, again in %g s: %s", notice.id, wait, error.reason)
        return replace(notice, due_at=self.clock.now() + wait, error=error.reason)


def _by_approval(notices: Sequence[NoticeRecord]) -> list[list[NoticeRecord]]:
    """The notices of each approval, in the order in which there was something to tell."""
    groups: dict[str, list[NoticeRecord]] = {}
    for notice in sorted(notices, key=lambda each: (each.created_at, each.topic not in ASKING)):
        groups.setdefault(notice.approval_id, []).append(notice)
    return list(groups.values())


def _fraction(notice: NoticeRecord) -> float:
    """A number from 0 up to 1 that differs from notice to notice, so that they do not all come back at once."""
    return int(digest(f"{notice.id} {notice.attempts}")[:8], 16) / 2**32

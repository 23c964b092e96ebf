"""What the tests of notifications stand on: stored approvals, notices, and a channel that notes what it is given."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from assent.clock import SystemClock
from assent.governance.approvals import ApprovalRequest, opened
from assent.notify.channel import Notification
from assent.notify.notifier import Notifier, Pace
from assent.resilience import Retry
from assent.store import (
    ApprovalRecord,
    ApprovalStatus,
    Commit,
    ExecutionRecord,
    NoticeRecord,
    Store,
    VerdictRecord,
    WorkerRecord,
)

NOW = 1_750_000_000.0
OWNER = "w1"
# Fails fast, and tries again at once: what is tested is what happens, not how long it takes.
HASTY = Pace(retry=Retry(attempts=3, initial=0.0, jitter="none"), limit=5.0, look_every=0.05, grace=5.0)


def request(**facts: Any) -> ApprovalRequest:
    """A request about a transfer."""
    usual: dict[str, Any] = {
        "approvers": ("cfo@company.com",),
        "policy": "ApprovalPolicy",
        "action": "wire_transfer",
        "arguments": {"amount": "50000", "recipient": "Acme"},
        "requester": "alice",
        "expires": None,
    }
    return ApprovalRequest(**(usual | facts))


def notification(**facts: Any) -> Notification:
    """A question to the CFO."""
    usual: dict[str, Any] = {
        "id": "a1:requested:mail:cfo@company.com",
        "topic": "requested",
        "approval_id": "a1",
        "execution_id": "e1",
        "at": NOW,
        "title": "wire_transfer",
        "headline": "Approval needed: wire_transfer",
        "rows": (("amount", "50000"), ("recipient", "Acme")),
        "facts": {"approval_id": "a1", "arguments": {"amount": "50000"}},
        "link": "https://assent.example.com/approvals/a1",
        "recipient": "cfo@company.com",
        "address": "cfo@company.com",
    }
    return Notification(**(usual | facts))


@dataclass
class Office:
    """A store in which approvals are asked for and decided."""

    store: Store
    clock: Any = field(default_factory=SystemClock)

    async def open(self) -> None:
        """Let an execution be driven here."""
        now = self.clock.now()
        await self.store.register(WorkerRecord(id=OWNER, host="here", pid=1, started_at=now, expires_at=now + 1e6))
        await self.store.create(
            ExecutionRecord(
                id="e1", name="pay", version=1, arguments="{}", digest="d", created_at=now, updated_at=now, wake_at=0.0
            )
        )
        await self.store.claim_one(OWNER, "e1")

    async def ask(self, id: str = "a1", *, channels: tuple[str, ...], **facts: Any) -> ApprovalRecord:
        """Open an approval, with its notices."""
        record = opened(id, "e1", request(**facts), self.clock.now(), channels)
        await self.store.append(OWNER, Commit(execution_id="e1", approvals=[record]))
        return record

    async def decide(
        self, id: str = "a1", status: ApprovalStatus = ApprovalStatus.GRANTED, who: str = "cfo@company.com"
    ) -> None:
        """Decide an approval, whatever its rules."""
        record = await self.store.approval(id)
        assert record is not None
        now = self.clock.now()
        decision = "approve" if status is ApprovalStatus.GRANTED else "reject"
        verdict = VerdictRecord(approval_id=id, approver=who, decision=decision, reason="it is fine", at=now)
        after = replace(record, status=status, version=record.version + 1, decided_at=now)
        assert await self.store.decide(after, verdict, [])

    async def notices(self) -> dict[str, NoticeRecord]:
        """All notices by id, oldest first."""
        found = await self.store.notices(limit=1000)
        return {each.id: each for each in reversed(found)}

    async def statuses(self) -> dict[str, str]:
        """What became of each notice."""
        return {each.id: each.status.value for each in (await self.notices()).values()}


@dataclass
class Notebook:
    """A channel that notes what it is given; `answer` may fail, or say what the receipt is."""

    name: str = "book"
    kind: str = "book"
    is_personal: bool = False
    answer: Callable[[Notification], str | None] = lambda _: None
    noted: list[Notification] = field(default_factory=list)
    _is_new: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def send(self, notification: Notification) -> str | None:
        async with self._is_new:
            self.noted.append(notification)
            self._is_new.notify_all()
        return self.answer(notification)

    async def holds(self, count: int) -> None:
        """Wait until so many are noted."""
        async with self._is_new:
            await self._is_new.wait_for(lambda: len(self.noted) >= count)

    @property
    def topics(self) -> list[str]:
        return [f"{each.topic} {each.recipient}".strip() for each in self.noted]


@dataclass
class Stuck:
    """A channel on which nothing ever arrives."""

    name: str = "stuck"
    kind: str = "stuck"
    is_personal: bool = False
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, notification: Notification) -> str | None:
        self.started.set()
        await asyncio.Event().wait()
        return None


def notifier(office: Office, *channels: Any, pace: Pace = HASTY, link: str | None = None) -> Notifier:
    return Notifier(office.store, office.clock, channels, pace=pace, link=link)

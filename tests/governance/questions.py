"""What tests of approvals ask, who says what to it, and a store in which it is asked."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from assent.governance import ApprovalRequest, Judgement, judge
from assent.governance.approvals import opened
from assent.governance.people import NOBODY, Roster
from assent.store import (
    ApprovalRecord,
    Commit,
    DelegationRecord,
    Event,
    ExecutionRecord,
    PersonRecord,
    VerdictRecord,
    WorkerRecord,
)
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock

ANA, BOB, CLARA, DAN = "ana@company.com", "bob@company.com", "clara@company.com", "dan@company.com"
NOW = 1_750_000_000.0
REQUEST = ApprovalRequest(
    approvers=(ANA, BOB, CLARA),
    requester=CLARA,
    policy="large",
    action="wire",
    action_digest="ab" * 32,
    policies_digest="cd" * 32,
    arguments={"amount": "5.0", "note": "für Ana", "ratio": 1e16, "big": 2**80, "none": None},
    labels=("sox",),
    expires=3600.0,
)


def record_of(**rules: Any) -> ApprovalRecord:
    return opened("A1", "E1", replace(REQUEST, **rules), NOW)


def said(approver: str, decision: str = "approve", reason: str = "", at: float = NOW + 1) -> VerdictRecord:
    return VerdictRecord(approval_id="A1", approver=approver, decision=decision, reason=reason, at=at)


def judged(record: ApprovalRecord, first: VerdictRecord, *rest: VerdictRecord) -> tuple[Judgement, list[VerdictRecord]]:
    """Hand in verdicts one after another; the last judgement, and all verdicts as they were kept."""
    judgement = judge(record, [], first, first.at)
    kept = [judgement.verdict]
    for verdict in rest:
        judgement = judge(judgement.record, kept, verdict, verdict.at)
        kept.append(judgement.verdict)
    return judgement, kept


class Hearing:
    """One approval, what has been said on it, and who is who meanwhile: as a store would keep them."""

    def __init__(self, roster: Roster = NOBODY, **rules: Any) -> None:
        self.roster = roster
        self.record = record_of(**rules)
        self.kept: list[VerdictRecord] = []
        self.now = NOW

    def say(self, who: str, decision: str = "approve", reason: str = "fine", **more: Any) -> Judgement:
        """Have somebody say something a second later."""
        self.now += 1
        verdict = replace(said(who, decision, reason, self.now), **more)
        judgement = judge(self.record, self.kept, verdict, self.now, self.roster)
        self.record = judgement.record
        self.kept.append(judgement.verdict)
        return judgement

    @property
    def status(self) -> str:
        return self.record.status.value

    @property
    def request(self) -> ApprovalRequest:
        return ApprovalRequest.from_text(self.record.request)


def known(*people: PersonRecord | str, lent: Sequence[DelegationRecord] = ()) -> Roster:
    """A roster of these people; those given by id only have no roles."""
    records = [one if isinstance(one, PersonRecord) else somebody(one) for one in people]
    return Roster({one.id: one for one in records}, lent)


def somebody(who: str, *roles: str, disabled_at: float | None = None) -> PersonRecord:
    return PersonRecord(id=who, roles=roles, created_at=NOW - 1e6, disabled_at=disabled_at)


def lends(delegator: str, delegate: str, since: float = NOW - 10, until: float = NOW + 1e6, **more: Any) -> Any:
    """A delegation."""
    return DelegationRecord(
        id=f"{delegator}>{delegate}", delegator=delegator, delegate=delegate, since=since, until=until, **more
    )


class CutIn(SqliteStore):
    """A store in which somebody else is quicker, once, between reading and writing."""

    quicker: Callable[[], Any] | None = None

    async def decide(self, *args: Any, **kwargs: Any) -> bool:
        if (quicker := self.quicker) is not None:
            self.quicker = None
            await quicker()
        return await SqliteStore.decide(self, *args, **kwargs)


@asynccontextmanager
async def asked(
    clock: JumpingClock, *requests: ApprovalRequest, at: str | Path = "sqlite://", channels: Sequence[str] = ()
) -> AsyncIterator[CutIn]:
    """A store with a suspended execution E1 that has asked for the approvals A1, A2 ..."""
    head = ExecutionRecord(
        id="E1", name="wire", version=1, arguments="{}", digest="", created_at=clock.now(), updated_at=clock.now()
    )
    async with CutIn(at) as store:
        await store.register(
            WorkerRecord(id="W", host="h", pid=1, started_at=clock.now(), expires_at=clock.now() + 1e6)
        )
        await store.create(head)
        await store.claim_one("W", "E1")
        approvals = [
            opened(f"A{number}", "E1", request, clock.now(), channels)
            for number, request in enumerate(requests or [REQUEST], start=1)
        ]
        await store.append("W", Commit(execution_id="E1", approvals=approvals))
        yield store


async def approval_events(store: SqliteStore) -> list[Event]:
    return [event for event in await store.journal("E1") if event.type.startswith("policy.approval.")]


async def told(store: SqliteStore) -> list[tuple[str, Any]]:
    """The signals in the inbox of the execution."""
    found = [message for message in await store.inbox("E1") if message.kind == "signal"]
    return [(message.name, json.loads(message.value)) for message in found]

"""What becomes of one notice: whom it goes to, whether there is still something to say, and what is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from assent.clock import Clock
from assent.governance.approvals import ApprovalRequest, intact_request, person
from assent.governance.people import Roster, roster_of
from assent.notify.channel import ASKING, Channel, Link, Notification
from assent.notify.wording import worded
from assent.store import (
    ApprovalRecord,
    ApprovalStatus,
    NoticeRecord,
    NoticeStatus,
    PersonRecord,
    Store,
    VerdictRecord,
)

EVERYTHING: Final = 1_000_000
LIVE: Final = frozenset({NoticeStatus.PENDING, NoticeStatus.SENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The notice is replaced by one for each recipient."""

    parts: Sequence[NoticeRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """There is nobody to tell, or nothing to say any more."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An earlier notice comes first; it is settled, one way or the other, at `until`."""

    until: float


Plan = Notification | Split | Skip | Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that is known about a notice when it is about to be sent."""

    notice: NoticeRecord
    channel: Channel
    record: ApprovalRecord
    request: ApprovalRequest
    verdicts: Sequence[VerdictRecord]
    roster: Roster
    questions: Sequence[NoticeRecord] = ()  # the others that ask about it on this channel, oldest first
    now: float
    link: Link | None = None


async def plan(store: Store, clock: Clock, channel: Channel, notice: NoticeRecord, link: Link | None) -> Plan:
    """Say what is to be done with a notice now."""
    record = await store.approval(notice.approval_id)
    request = intact_request(record) if record else None
    if record is None or request is None:
        return Skip(reason="its approval is gone, or was changed after it was asked for")
    now = clock.now()
    case = Case(
        notice=notice,
        channel=channel,
        record=record,
        request=request,
        verdicts=await store.verdicts(record.id),
        roster=await roster_of(store, now),
        questions=_questions(notice, await store.notices(approval_id=record.id, limit=EVERYTHING)),
        now=now,
        link=link,
    )
    return _pointless(case) or _too_early(case) or (_split(case) if _is_shared(case) else _addressed(case))


def _pointless(case: Case) -> Skip | None:
    """Why nobody needs to be told any more."""
    if case.notice.topic not in ASKING:
        is_so = case.record.status.value == case.notice.topic
        return None if is_so else Skip(reason=f"the approval has been {case.record.status.value} since")
    if case.record.status is not ApprovalStatus.PENDING:
        return Skip(reason=f"the approval was {case.record.status.value} before anybody was told")
    if case.record.expires_at is not None and case.record.expires_at <= case.now:
        return Skip(reason="the approval expired before anybody was told")
    escalated_at = case.request.escalated_at
    if escalated_at is not None and case.notice.created_at < escalated_at:
        return Skip(reason="the approval went to others before anybody was told")
    if any(one.created_at > case.notice.created_at and one.status in LIVE for one in _to_the_same(case)):
        return Skip(reason="people were reminded before they were told")
    return None


def _to_the_same(case: Case) -> list[NoticeRecord]:
    """The other questions to the same recipient, or to all."""
    return [one for one in case.questions if one.recipient in {"", case.notice.recipient}]


def _questions(notice: NoticeRecord, listed: Sequence[NoticeRecord]) -> list[NoticeRecord]:
    found = [one for one in listed if one.channel == notice.channel and one.topic in ASKING and one.id != notice.id]
    # A notice for one recipient is written late, and as old as the one whose place it takes.
    return sorted(found, key=lambda one: one.created_at)


def _too_early(case: Case) -> Wait | None:
    """What comes later is told after the question: who was told of that, and with what message, must be known."""
    asks, at = case.notice.topic in ASKING, case.notice.created_at
    earlier = [one for one in _to_the_same(case) if not asks or one.created_at < at]
    pending = [one.due_at for one in earlier if one.status is NoticeStatus.PENDING]
    return Wait(until=max(pending)) if pending else None


def _is_shared(case: Case) -> bool:
    return case.channel.is_personal and not case.notice.recipient


def _split(case: Case) -> Split | Skip:
    asks = case.notice.topic in ASKING
    recipients = _to_be_asked(case) if asks else _told(case)
    if not recipients:
        return Skip(reason="there is nobody to tell" if asks else "nobody was told of the question")
    fresh = replace(case.notice, attempts=0, error=None, due_at=case.now)
    return Split(parts=[replace(fresh, id=f"{fresh.id}:{each}", recipient=each) for each in recipients])


def _to_be_asked(case: Case) -> list[str]:
    """Those who may decide. Whoever has decided needs no reminder."""
    decided = _voices(case) if case.notice.topic == "reminded" else frozenset[str]()
    found = case.roster.recipients(case.request.approvers)
    return [one for one in found if person(one) not in decided and case.roster.seats(case.request, one)]


def _voices(case: Case) -> frozenset[str]:
    last = {person(one.approver): one for one in case.verdicts if one.refusal is None}
    since = case.request.escalated_at or 0.0
    return frozenset(who for who, one in last.items() if one.decision != "revoke" and one.at >= since)


def _told(case: Case) -> list[str]:
    """Those who heard of the question or may still be hearing of it, each once."""
    found = (one.recipient for one in case.questions if one.status in LIVE)
    return list(dict.fromkeys(each for each in found if each))


def _addressed(case: Case) -> Notification | Skip:
    who, kind = case.notice.recipient, case.channel.kind
    arrived = [one for one in case.questions if one.status is NoticeStatus.SENT and one.recipient == who]
    if who and not arrived and case.notice.topic not in ASKING:
        return Skip(reason=f"{who} was not told of the question")
    if who and case.roster.is_disabled(who):
        return Skip(reason=f"{who} is disabled")
    address = address_of(who, kind, case.roster.people) if who else ""
    if address is None:
        return Skip(reason=f"{who} has no address of the kind {kind!r}")
    return worded(
        case.notice,
        case.record,
        case.request,
        case.verdicts,
        link=case.link,
        address=address,
        earlier=next((one.receipt for one in arrived if one.receipt), None),
    )


def address_of(who: str, kind: str, people: Mapping[str, PersonRecord]) -> str | None:
    """Where to reach a person on channels of a kind; an id that is an e-mail address is one."""
    found = people.get(person(who))
    if found is not None and found.contacts.get(kind):
        return found.contacts[kind]
    return who if kind == "email" and "@" in who else None

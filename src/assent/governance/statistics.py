"""How approvers decide: how fast, how often, after how long a look, and what still waits for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, NamedTuple

from assent.governance.approvals import ApprovalRequest, asked_at, intact_request, person, reminders_of
from assent.governance.people import Roster, roster_of
from assent.governance.voices import standing
from assent.store import ApprovalRecord, ApprovalStatus, Store, VerdictRecord

QUICK: Final = 3.0  # seconds: nobody reads a request in less


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproverStatistics:
    """How one person decides. Durations are seconds, and None where nothing is known of them."""

    approver: str
    verdicts: int = 0  # that count: approvals and rejections
    approvals: int = 0
    rejections: int = 0
    revocations: int = 0
    refused: int = 0  # verdicts that do not count
    median_decision: float | None = None  # from asking to verdict
    median_dwell: float | None = None  # from when they first saw a request to their verdict
    least_dwell: float | None = None
    quick: float | None = None  # share of verdicts, of those with a known dwell time, within `QUICK` seconds
    longest_streak: int = 0  # of approvals without a rejection between them
    current_streak: int = 0
    waiting: int = 0  # open requests that wait for them now
    overdue: int = 0  # of these, the ones of which they were to be reminded already


class _Said(NamedTuple):
    """A verdict with when its question was asked."""

    verdict: VerdictRecord
    asked_at: float


class _Open(NamedTuple):
    """A request that waits for somebody."""

    record: ApprovalRecord
    request: ApprovalRequest


def statistics_of(
    approvals: Iterable[ApprovalRecord],
    verdicts: Mapping[str, Sequence[VerdictRecord]],
    roster: Roster,
    now: float,
    since: float | None = None,
) -> list[ApproverStatistics]:
    """The statistics of everybody who said something (since then) or is waited for, by name.

    `verdicts` are those of each approval by its id, in the order in which they came.
    """
    said: dict[str, list[_Said]] = {}
    waiting: dict[str, list[_Open]] = {}
    for record in approvals:
        request = intact_request(record)
        if request is None:
            continue
        given = verdicts.get(record.id, ())
        for one in given:
            if since is None or one.at >= since:
                said.setdefault(person(one.approver), []).append(_Said(one, _asked(record, request, one)))
        for who in _awaited(record, request, given, roster, now):
            waiting.setdefault(who, []).append(_Open(record, request))
    names = sorted({*said, *waiting})
    return [_of_one(who, said.get(who, []), waiting.get(who, []), now) for who in names]


def _asked(record: ApprovalRecord, request: ApprovalRequest, verdict: VerdictRecord) -> float:
    start = asked_at(record, request)
    return start if verdict.at >= start else record.created_at  # said before it escalated


def _awaited(
    record: ApprovalRecord, request: ApprovalRequest, verdicts: Sequence[VerdictRecord], roster: Roster, now: float
) -> list[str]:
    """For whom a request waits: everybody who might decide it and has not said anything yet."""
    in_time = record.expires_at is None or record.expires_at > now
    if record.status is not ApprovalStatus.PENDING or not in_time:
        return []
    spoken = {person(one.approver) for one in standing(request, verdicts)}
    return [who for who in roster.seated(request) if who not in spoken]


def _of_one(who: str, said: Sequence[_Said], waiting: Sequence[_Open], now: float) -> ApproverStatistics:
    heard = sorted((one for one in said if one.verdict.refusal is None), key=lambda one: one.verdict.at)
    votes = [one for one in heard if one.verdict.decision != "revoke"]
    decisions = [one.verdict.decision for one in votes]
    waits = [one.verdict.at - one.asked_at for one in votes]
    dwells = [max(0.0, one.verdict.at - one.verdict.shown_at) for one in votes if one.verdict.shown_at is not None]
    streaks = _streaks(decisions)
    return ApproverStatistics(
        approver=who,
        verdicts=len(votes),
        approvals=decisions.count("approve"),
        rejections=decisions.count("reject"),
        revocations=len(heard) - len(votes),
        refused=len(said) - len(heard),
        median_decision=median(waits) if waits else None,
        median_dwell=median(dwells) if dwells else None,
        least_dwell=min(dwells, default=None),
        quick=sum(one < QUICK for one in dwells) / len(dwells) if dwells else None,
        longest_streak=max(streaks),
        current_streak=streaks[-1],
        waiting=len(waiting),
        overdue=sum(_is_overdue(one, now) for one in waiting),
    )


def _streaks(decisions: Iterable[str]) -> list[int]:
    """The lengths of the runs of approvals; the last is the one that goes on."""
    streaks = [0]
    for decision in decisions:
        if decision == "approve":
            streaks[-1] += 1
        else:
            streaks.append(0)
    return streaks


def _is_overdue(one: _Open, now: float) -> bool:
    return any(moment <= now for moment in reminders_of(one.record, one.request))


async def statistics(store: Store, now: float, since: float | None = None) -> list[ApproverStatistics]:
    """The statistics of what a store holds; with `since`, of what was said from that moment on."""
    roster, spoken = await roster_of(store, now), await store.spoken(since)
    verdicts = {one.approval.id: one.verdicts for one in spoken}
    found = {one.approver: one for one in statistics_of([one.approval for one in spoken], verdicts, roster, now, since)}
    for alike in await store.unspoken(now):
        request = intact_request(alike.approval)
        for who in roster.seated(request) if request is not None else ():
            one = found.get(who) or ApproverStatistics(approver=who)
            found[who] = replace(one, waiting=one.waiting + alike.number, overdue=one.overdue + alike.reminded)
    return [found[who] for who in sorted(found)]

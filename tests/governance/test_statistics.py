"""Statistics: how approvers decide."""

from dataclasses import replace
from typing import Any

import pytest

from assent.governance import cast
from assent.governance.approvals import opened
from assent.governance.people import NOBODY, add_person, delegate
from assent.governance.statistics import ApproverStatistics, statistics, statistics_of
from assent.governance.verdicts import lapse, show
from assent.store import ApprovalRecord, ApprovalStatus, VerdictRecord
from assent.testing import JumpingClock
from tests.governance.questions import ANA, BOB, CLARA, DAN, NOW, REQUEST, asked, known, lends, somebody

OPEN = replace(REQUEST, approvers=(ANA, BOB), requester=None, expires=None)


def said(
    approval: int, decision: str, after: float, looked: float | None = None, who: str = ANA, refusal: str | None = None
) -> VerdictRecord:
    """A verdict so long after its request was asked, and so long after it was first seen."""
    at = NOW + after
    return VerdictRecord(
        approval_id=f"A{approval}",
        approver=who,
        decision=decision,
        at=at,
        refusal=refusal,
        shown_at=None if looked is None else at - looked,
    )


def one_of(found: list[ApproverStatistics], who: str) -> ApproverStatistics:
    return next(each for each in found if each.approver == who)


def counted(*verdicts: VerdictRecord, **options: Any) -> ApproverStatistics:
    """Ana's statistics after these verdicts, each on an approval of its own asked at NOW."""
    records = {
        one.approval_id: replace(opened(one.approval_id, "E1", OPEN, NOW), status=ApprovalStatus.GRANTED)
        for one in verdicts
    }
    by_approval = {name: [one for one in verdicts if one.approval_id == name] for name in records}
    return one_of(statistics_of(records.values(), by_approval, NOBODY, NOW + 1e6, **options), ANA)


def test_verdicts_are_counted_by_what_they_say() -> None:
    found = counted(
        said(1, "approve", 10),
        said(2, "reject", 20),
        said(3, "approve", 40, who="Ana@Company.com"),
        said(4, "approve", 50, refusal="late"),
        said(3, "revoke", 60),
    )
    assert (found.verdicts, found.approvals, found.rejections, found.revocations, found.refused) == (3, 2, 1, 1, 1)
    assert found.median_decision == 20


def test_dwell_is_from_first_look_to_verdict() -> None:
    found = counted(
        said(1, "approve", 100, 2.0), said(2, "approve", 100, 90.0), said(3, "reject", 100, 10.0), said(4, "approve", 5)
    )
    assert (found.median_dwell, found.least_dwell) == (10.0, 2.0)
    assert found.quick == pytest.approx(1 / 3)


def test_of_what_is_not_known_nothing_is_said() -> None:
    found = counted(said(1, "approve", 5, refusal="late"))
    assert (found.median_decision, found.median_dwell, found.least_dwell, found.quick) == (None, None, None, None)
    assert counted(said(1, "approve", 5)).quick is None


@pytest.mark.parametrize(
    ("decisions", "longest", "current"),
    [("", 0, 0), ("a", 1, 1), ("aaraar", 2, 0), ("raaa", 3, 3), ("aaara", 3, 1), ("rr", 0, 0)],
)
def test_streaks_are_approvals_in_a_row(decisions: str, longest: int, current: int) -> None:
    words = {"a": "approve", "r": "reject"}
    verdicts = [said(n, words[each], 10.0 + n) for n, each in enumerate(decisions)]
    found = counted(*reversed(verdicts), said(99, "approve", 5, refusal="late"))
    assert (found.longest_streak, found.current_streak) == (longest, current)


def test_what_was_said_before_a_moment_is_left_out() -> None:
    found = counted(said(1, "approve", 5), said(2, "reject", 50), since=NOW + 10)
    assert (found.approvals, found.rejections) == (0, 1)


def waiting(
    *records: ApprovalRecord, verdicts: Any = None, roster: Any = NOBODY, now: float = NOW + 60
) -> dict[str, int]:
    found = statistics_of(records, verdicts or {}, roster, now)
    return {each.approver: each.waiting for each in found if each.waiting}


def test_open_requests_wait_for_all_who_might_decide_them() -> None:
    first = opened("A1", "E1", OPEN, NOW)
    second = opened("A2", "E1", replace(OPEN, approvers=("role:finance",)), NOW)
    assert waiting(first, second) == {ANA: 1, BOB: 1}
    roster = known(somebody(ANA, "finance"), somebody(DAN), lent=[lends(BOB, DAN)])
    assert waiting(first, second, roster=roster) == {ANA: 2, BOB: 1, DAN: 1}


def test_they_wait_for_nobody_who_has_spoken_or_may_not() -> None:
    request = replace(OPEN, approvers=(ANA, BOB, CLARA, DAN), requester=CLARA, quorum=2)
    record = opened("A1", "E1", request, NOW)
    roster = known(somebody(DAN, disabled_at=NOW))
    assert waiting(record, verdicts={"A1": [said(1, "approve", 5)]}, roster=roster) == {BOB: 1}
    taken_back = [said(1, "approve", 5), said(1, "revoke", 6)]
    assert waiting(record, verdicts={"A1": taken_back}, roster=roster) == {ANA: 1, BOB: 1}


def test_nothing_that_is_over_waits() -> None:
    record = opened("A1", "E1", replace(OPEN, expires=30.0), NOW)
    assert waiting(record, now=NOW + 29) == {ANA: 1, BOB: 1}
    assert waiting(record, now=NOW + 30) == {}
    assert waiting(replace(record, status=ApprovalStatus.WITHDRAWN), now=NOW) == {}
    assert waiting(replace(record, digest="0"), now=NOW) == {}


def test_overdue_is_what_they_were_to_be_reminded_of() -> None:
    records = [opened(f"A{n}", "E1", replace(OPEN, reminders=(n * 50.0,)), NOW) for n in (1, 2)]
    found = one_of(statistics_of(records, {}, NOBODY, NOW + 60), ANA)
    assert (found.waiting, found.overdue) == (2, 1)


async def test_statistics_of_a_store() -> None:
    clock = JumpingClock()
    request = replace(REQUEST, on_expiry="escalate", escalate_to=((DAN,),))
    async with asked(clock, request, REQUEST, REQUEST) as store:
        await add_person(store, clock, BOB)
        await add_person(store, clock, "eve@company.com")
        await delegate(store, clock, BOB, "eve@company.com", until=clock.now() + 1e6)
        await show(store, clock, "A2", ANA)
        clock.advance(2)
        await cast(store, clock, "A2", approver=ANA, decision="approve")
        clock.advance(3598)
        await lapse(store, clock, "A1")
        clock.advance(5)
        await cast(store, clock, "A1", approver=DAN, decision="reject")
        found = await statistics(store, clock.now())
        assert [each.approver for each in found] == [ANA, DAN]
        ana, dan = found
        assert (ana.median_decision, ana.quick, ana.current_streak) == (2.0, 1.0, 1)
        assert (dan.median_decision, dan.median_dwell) == (5.0, None)
        early = await statistics(store, clock.now() - 3000)
        assert {each.approver: each.waiting for each in early} == {ANA: 1, BOB: 1, DAN: 0, "eve@company.com": 1}
        assert [each.approver for each in await statistics(store, clock.now(), since=clock.now())] == [DAN]

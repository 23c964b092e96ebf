"""`assent approvals stats`: how each approver decides, and what waits for them."""

from collections.abc import Iterator
from dataclasses import asdict

from assent.cli.moments import past
from assent.cli.output import Row, Screen, plain, span
from assent.cli.stored import opened
from assent.governance import ApproverStatistics
from assent.governance.statistics import QUICK, statistics

HEADERS = ["APPROVER", ">VERDICTS", ">YES", ">NO", ">WAITING", ">OVERDUE"]


async def stats(screen: Screen, url: str | None, *, since: str | None, as_json: bool) -> None:
    """`assent approvals stats`."""
    start = past(since, screen.now) if since else None
    async with opened(url) as store:
        found = await statistics(store, screen.now, start)
    if as_json:
        screen.json([asdict(one) for one in found])
    elif not found:
        screen.say("Nobody was asked yet.")
    else:
        screen.table(HEADERS, [_row(one) for one in found], "HOW")


def _row(one: ApproverStatistics) -> Row:
    numbers = (one.verdicts, one.approvals, one.rejections, one.waiting, one.overdue)
    return Row([plain(one.approver), *(plain(str(each)) for each in numbers)], [plain(each) for each in _notes(one)])


def _notes(one: ApproverStatistics) -> Iterator[str]:
    if one.median_decision is not None:
        yield f"decides in {span(one.median_decision)}"
    if one.median_dwell is not None and one.least_dwell is not None:
        yield f"looks for {span(one.median_dwell)}, at least {span(one.least_dwell)}"
    if one.quick:
        yield f"{one.quick:.0%} within {span(QUICK)}"
    if one.longest_streak:
        yield f"approvals in a row: {one.current_streak}, at most {one.longest_streak}"
    if one.refused:
        yield f"{one.refused} refused"
    if one.revocations:
        yield f"{one.revocations} taken back"

"""The figures of the dashboard: what waits and for how long, how people decide, what policies deny, what is spent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from assent.governance import ApproverStatistics, roster_of
from assent.governance.budgets import decimal_of
from assent.governance.statistics import statistics_of
from assent.store import ApprovalRecord, ApprovalStatus, Event, VerdictRecord
from assent.web.answers import data_of
from assent.web.charts import Column, Lying, Part, columns, parts, ranked
from assent.web.desk import Desk

LATEST: Final = 1_000  # approvals that are read: enough for the figures, and quick in a store of any size
MOST_DENIALS: Final = 5_000  # the newest ones are counted, which says enough of any time
FEW: Final = 3  # verdicts: fewer say nothing of somebody's habits
HASTY: Final = 0.5  # share of verdicts within three seconds from which on it looks like a rubber stamp
LONG_STREAK: Final = 25
MOST_BUDGETS: Final = 8

AGES: Final[Mapping[str, float]] = MappingProxyType(
    {"< 1 h": 3600.0, "1–4 h": 14400.0, "4–24 h": 86400.0, "1–3 d": 259200.0, "> 3 d": float("inf")}
)
AGE_TONES: Final[Mapping[str, str]] = MappingProxyType({"4–24 h": "warn", "1–3 d": "bad", "> 3 d": "bad"})
TIMES: Final[Mapping[str, float]] = MappingProxyType(
    {
        "< 1 min": 60.0,
        "< 10 min": 600.0,
        "< 1 h": 3600.0,
        "< 4 h": 14400.0,
        "< 1 d": 86400.0,
        "> 1 d": float("inf"),
    }
)
FATES: Final = (
    (ApprovalStatus.GRANTED, "approved", "ok"),
    (ApprovalStatus.AMENDED, "changed", ""),
    (ApprovalStatus.REJECTED, "rejected", "bad"),
    (ApprovalStatus.EXPIRED, "expired", "warn"),
    (ApprovalStatus.REVOKED, "taken back", "bad"),
    (ApprovalStatus.WITHDRAWN, "no longer needed", "muted"),
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """How one person decides, and why it may look like a rubber stamp."""

    who: ApproverStatistics
    name: str
    doubts: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that the dashboard shows."""

    waiting: int
    oldest: float | None  # Unix seconds
    ages: Sequence[Column]
    decided: int
    median_time: float | None  # seconds
    times: Sequence[Column]
    fates: Sequence[Part]
    rate: float | None  # share of approvals among approvals and rejections
    denials: Sequence[Lying]
    denied: int
    denied_since: float | None  # Unix seconds: there are more denials than are counted, and those before are not
    budgets: Sequence[Lying]
    stamps: Sequence[Stamp]
    executions: Mapping[str, int]
    is_cut: bool  # there are more approvals than were read


async def figures_of(desk: Desk, since: float) -> Figures:
    """Read the store, and count what there was since then."""
    store, now = desk.store, desk.clock.now()
    latest = await store.approvals(limit=LATEST, newest=True)
    recent = [one for one in latest if one.created_at >= since]
    pending = [one for one in await store.approvals(ApprovalStatus.PENDING, limit=LATEST) if _is_open(one, now)]
    verdicts = {
        one.id: await store.verdicts(one.id) for one in {each.id: each for each in [*recent, *pending]}.values()
    }
    decided = [one for one in recent if one.decided_at is not None and verdicts[one.id]]
    waits = [(one.decided_at or now) - one.created_at for one in decided]
    fates = Counter(one.status for one in recent)
    yes, no = fates[ApprovalStatus.GRANTED] + fates[ApprovalStatus.AMENDED], fates[ApprovalStatus.REJECTED]
    denials = await store.denials(since, MOST_DENIALS)
    denying = Counter(policy for one in denials for policy in _denying(one))
    return Figures(
        waiting=len(pending),
        oldest=min((one.created_at for one in pending), default=None),
        ages=columns(_sorted_in([now - one.created_at for one in pending], AGES), AGE_TONES),
        decided=len(decided),
        median_time=median(waits) if waits else None,
        times=columns(_sorted_in(waits, TIMES), {}),
        fates=parts((label, fates[status], tone) for status, label, tone in FATES),
        rate=yes / (yes + no) if yes + no else None,
        denials=ranked(denying.most_common(), "bad"),
        denied=denying.total(),
        denied_since=denials[-1].at if len(denials) == MOST_DENIALS else None,
        budgets=await _budgets(desk, now),
        stamps=await _stamps(desk, [*recent, *pending], verdicts, since),
        executions=(await store.counts()).get("executions", {}),
        is_cut=len(latest) == LATEST and len(recent) == LATEST,
    )


def _is_open(record: ApprovalRecord, now: float) -> bool:
    return record.expires_at is None or record.expires_at > now


def _sorted_in(values: Sequence[float], bounds: Mapping[str, float]) -> dict[str, int]:
    """How many values there are below each bound, and not below the one before."""
    found = dict.fromkeys(bounds, 0)
    for value in values:
        found[next(label for label, bound in bounds.items() if value < bound)] += 1
    return found


def _denying(denial: Event) -> list[str]:
    """The policies that denied an action."""
    facts = data_of(denial.value)
    decisions = facts.get("decisions") if isinstance(facts, dict) else None
    return [
        str(one.get("policy"))
        for one in decisions or ()
        if isinstance(one, dict) and one.get("outcome") == "deny" and one.get("mode") != "shadow"
    ]


async def _budgets(desk: Desk, now: float) -> list[Lying]:
    """Every budget that was drawn on, with how much of it is used in its window; the fullest first."""
    found = []
    for key, _ in await desk.store.draws("budget:"):
        _, name, limit, window, per = (*key.split(":", 4), "", "", "", "")[:5]
        since = now - float(window) if window else None
        drawn = decimal_of((await desk.store.drawn(key, since)).total)
        most = Decimal(limit)
        share = float(drawn / most) if most else 1.0
        who = unquote(per).rpartition("=")[2].strip("'")
        found.append(
            Lying(
                label=unquote(name),
                width=round(min(100.0, share * 100.0), 2),
                text=f"{share * 100:.0f} %",
                tone="bad" if share >= 0.9 else "warn" if share >= 0.7 else "ok",
                hint=f"{drawn:,f} of {most:,f}{_window(window)}{f', {who}' if who else ''}",
            )
        )
    return sorted(found, key=lambda one: (-one.width, one.label))[:MOST_BUDGETS]


def _window(seconds: str) -> str:
    known = {"3600": " an hour", "86400": " a day", "604800": " a week"}
    return known.get(seconds, f" in {seconds} s") if seconds else ""


async def _stamps(
    desk: Desk, records: Sequence[ApprovalRecord], verdicts: Mapping[str, Sequence[VerdictRecord]], since: float
) -> list[Stamp]:
    now = desk.clock.now()
    roster = await roster_of(desk.store, now)
    each = list({one.id: one for one in records}.values())
    names = {record.id: record.name or record.id for record in await desk.store.people()}
    said = statistics_of(each, verdicts, roster, now, since)
    found = [Stamp(one, names.get(one.approver, one.approver), _doubts(one)) for one in said if one.verdicts]
    return sorted(found, key=lambda one: (-len(one.doubts), -one.who.verdicts))


def _doubts(who: ApproverStatistics) -> list[str]:
    """What suggests that somebody approves without reading."""
    if who.verdicts < FEW:
        return []
    found = []
    if who.quick is not None and who.quick >= HASTY:
        found.append(f"{who.quick * 100:.0f} % within 3 s")
    if who.current_streak >= LONG_STREAK:
        found.append(f"{who.current_streak} approvals in a row")
    return found

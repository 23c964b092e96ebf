"""The criterion of time: office hours, freezes and maintenance windows, by the clocks of a place."""

import re
from collections.abc import Callable, Collection
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from assent.errors import UsageError
from assent.governance import Action, Facts
from assent.governance.policy import said_yes
from assent.policies.criteria import Criterion, Finding

WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT: Final = time()
CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2})?", re.ASCII)

Holidays = Collection[date | str] | Callable[[date], bool]


@dataclass(frozen=True)
class TimeWindow(Criterion):
    """It is between `start` and `end` on one of the `days`, and no holiday, by the clocks of the time zone.

    `end` is not part of it; "24:00" is the end of the day. A window whose end comes before its start goes over
    midnight, and belongs to the day on which it starts: the weekday and the holidays are those of that day. `days`
    are as in "mon-fri" or ["sat", "sun"]. `holidays` are dates, or a function that says whether a date is one. The
    time is `facts.now`: when a policy is asked again at the moment of the effect, that moment counts.
    """

    zone: str
    _: KW_ONLY
    days: str | Collection[str] = WEEK
    start: str | time = MIDNIGHT
    end: str | time = MIDNIGHT
    holidays: Holidays = ()
    _place: ZoneInfo = field(init=False, repr=False, compare=False)
    _start: time = field(init=False, repr=False, compare=False)
    _end: time = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        start, end = time_of("start", self.start), time_of("end", self.end)
        if start == end != MIDNIGHT:
            raise UsageError(f'start and end are both {start}. For the whole day give start="00:00", end="24:00".')
        holidays = self.holidays if callable(self.holidays) else dates_of(self.holidays)
        settled = {"_place": place_of(self.zone), "days": days_of(self.days), "holidays": holidays}
        for name, value in {**settled, "start": start, "_start": start, "end": end, "_end": end}.items():
            object.__setattr__(self, name, value)

    def meets(self, action: Action, facts: Facts) -> Finding:
        local = datetime.fromtimestamp(facts.now, self._place)
        seen = {"time": {self.zone: f"{local:%a %Y-%m-%d %H:%M}"}}
        outside = self._what_is_wrong(local)
        reason = f"the time in {self.zone} is {outside or 'within the window'}"
        return Finding(not outside, seen, reason)

    def _what_is_wrong(self, local: datetime) -> str:
        day = self._day_of(local)
        if day is None:
            return "outside of the hours"
        if WEEK[day.weekday()] not in self.days:
            return "on another day of the week"
        return "on a holiday" if self._is_holiday(day) else ""

    def _day_of(self, local: datetime) -> date | None:
        """The day to whose window the moment belongs, if it is within the hours."""
        clock = local.time()
        if clock >= self._start:
            # Whatever ends at midnight or later still runs at the end of its first day.
            return local.date() if clock < self._end or self._end <= self._start else None
        is_early = clock < self._end <= self._start
        return local.date() - timedelta(days=1) if is_early else None

    def _is_holiday(self, day: date) -> bool:
        if callable(self.holidays):
            return said_yes(self.holidays(day), "holidays")
        return day in self.holidays


def place_of(zone: str) -> ZoneInfo:
    """The time zone of that name."""
    try:
        return ZoneInfo(zone)
    except (ValueError, OSError, TypeError, KeyError) as error:  # unknown, a path, a folder, no text at all
        raise UsageError(
            f"zone={zone!r} is no time zone that is known here. Give a name as in 'Europe/Berlin'; if this machine "
            "knows none, install the package tzdata."
        ) from error


def days_of(given: str | Collection[str]) -> tuple[str, ...]:
    """The days of the week, in its order; a range may go over its end, as in "sat-mon"."""
    parts = [part.strip() for part in given.split(",")] if isinstance(given, str) else list(given)
    found = {day for part in parts for day in _range_of(part)}
    if not found:
        raise UsageError(f'days={given!r} has no day. Give days as in "mon-fri" or ["sat", "sun"].')
    return tuple(day for day in WEEK if day in found)


def _range_of(part: str) -> tuple[str, ...]:
    first, _, last = str(part).lower().partition("-")
    ends = [day.strip()[:3] if _is_day(day.strip()) else "" for day in (first, last or first)]
    if "" in ends:
        raise UsageError(f'{part!r} is no day of the week. Give days as in "mon-fri" or ["sat", "sun"].')
    start, end = (WEEK.index(day) for day in ends)
    return tuple(WEEK[place % 7] for place in range(start, (end if end >= start else end + 7) + 1))


def _is_day(name: str) -> bool:
    return name in WEEK or name in {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}


def time_of(what: str, given: str | time) -> time:
    """A time of day, given as text or as a time without a zone."""
    if isinstance(given, time) and given.tzinfo is None:
        return given
    if isinstance(given, str) and CLOCK.fullmatch(given):
        hour, minute, second = (int(part) for part in f"{given}:00".split(":")[:3])
        if hour < 24 and max(minute, second) < 60:
            return time(hour, minute, second)
        if what == "end" and (hour, minute, second) == (24, 0, 0):
            return MIDNIGHT
    raise UsageError(f'{what}={given!r} is no time of day. Give hours and minutes, as in {what}="09:30".')


def dates_of(given: Collection[date | str]) -> frozenset[date]:
    """The dates, given as dates or as ISO text."""
    if isinstance(given, str):
        raise UsageError(f"holidays={given!r} is one text. Give a list: holidays=[{given!r}].")
    return frozenset(_date_of(one) for one in given)


def _date_of(given: date | str) -> date:
    try:
        if isinstance(given, date):
            return given.date() if isinstance(given, datetime) else given
        return date.fromisoformat(given)
    except (TypeError, ValueError) as error:
        raise UsageError(f'{given!r} is no date. Give dates as in holidays=["2027-01-01"].') from error

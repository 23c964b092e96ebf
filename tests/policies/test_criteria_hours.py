"""Time windows are those of the clocks of a place, also when these are set forward or back, and over midnight."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import UsageError
from assent.governance import Action, Facts
from assent.governance.fingerprint import fingerprint_of
from assent.policies import Finding, TimeWindow

BERLIN = ZoneInfo("Europe/Berlin")
ACTION = Action(name="deploy", arguments={})
OFFICE = TimeWindow("Europe/Berlin", days="mon-fri", start="09:00", end="17:30", holidays=["2026-12-25"])
NIGHT = TimeWindow("Europe/Berlin", days=["fri", "sat"], start="22:00", end="06:00", holidays=[date(2026, 12, 26)])


def at(window: TimeWindow, moment: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> Finding:
    local = datetime.fromisoformat(moment).replace(tzinfo=zone, fold=fold)
    return window.meets(ACTION, Facts(now=local.timestamp()))


@pytest.mark.parametrize(
    ("moment", "met", "why"),
    [
        ("2026-11-20 09:00", True, "within the window"),  # a Friday
        ("2026-11-20 17:29:59.999", True, "within the window"),
        ("2026-11-20 17:30", False, "outside of the hours"),
        ("2026-11-20 08:59:59.999", False, "outside of the hours"),
        ("2026-11-21 12:00", False, "on another day of the week"),
        ("2026-12-25 12:00", False, "on a holiday"),
        ("2026-12-24 12:00", True, "within the window"),
    ],
)
def test_office_hours(moment: str, met: bool, why: str) -> None:
    finding = at(OFFICE, moment)
    assert (finding.met, finding.reason) == (met, f"the time in Europe/Berlin is {why}")


@pytest.mark.parametrize(
    ("moment", "met"),
    [
        ("2026-11-20 21:59", False),
        ("2026-11-20 22:00", True),  # Friday night
        ("2026-11-21 05:59", True),  # still Friday's
        ("2026-11-21 06:00", False),
        ("2026-11-22 03:00", True),  # still Saturday's
        ("2026-11-22 23:00", False),  # Sunday's
        ("2026-11-23 03:00", False),  # still Sunday's
        ("2026-11-20 03:00", False),  # Thursday's
        ("2026-12-26 23:00", False),  # a holiday, and a Saturday
        ("2026-12-27 03:00", False),  # still the holiday's
        ("2026-12-26 03:00", True),  # Friday's, although the holiday has begun
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts(moment: str, met: bool) -> None:
    assert at(NIGHT, moment).met is met


def test_the_facts_have_the_time_as_people_there_see_it() -> None:
    assert at(OFFICE, "2026-11-20 16:05").facts == {"time": {"Europe/Berlin": "Fri 2026-11-20 16:05"}}


# Clocks are set forward on 2026-03-29 from 02:00 to 03:00, and back on 2026-10-25 from 03:00 to 02:00.


def test_office_hours_move_with_the_clocks_of_the_place() -> None:
    every_day = TimeWindow("Europe/Berlin", start="09:00", end="17:00")
    for day, first in (("2026-03-28", 8), ("2026-03-29", 7), ("2026-10-24", 7), ("2026-10-25", 8)):
        begins = datetime.fromisoformat(f"{day}T{first:02}:00+00:00").timestamp()
        assert [every_day.meets(ACTION, Facts(now=begins + late)).met for late in (-1, 0)] == [False, True]


def test_an_hour_that_comes_twice_is_in_the_window_both_times() -> None:
    early = TimeWindow("Europe/Berlin", start="02:00", end="03:00")
    assert [at(early, "2026-10-25 02:30", fold=fold).met for fold in (0, 1)] == [True, True]
    assert seconds_inside(early, date(2026, 10, 25)) == 7200


def test_an_hour_that_is_left_out_is_in_no_window() -> None:
    early = TimeWindow("Europe/Berlin", start="02:00", end="03:00")
    assert seconds_inside(early, date(2026, 3, 29)) == 0
    assert seconds_inside(early, date(2026, 3, 30)) == 3600


def test_a_night_is_as_long_as_it_is_on_the_clocks() -> None:
    night = TimeWindow("Europe/Berlin", days="sat", start="22:00", end="06:00")
    assert seconds_inside(night, date(2026, 3, 28), days=2) == 7 * 3600
    assert seconds_inside(night, date(2026, 10, 24), days=2) == 9 * 3600


def seconds_inside(window: TimeWindow, day: date, days: int = 1) -> int:
    """How much of these days is in the window, looked at each minute."""
    start = datetime.combine(day, time(), BERLIN).timestamp()
    end = datetime.combine(day + timedelta(days=days), time(), BERLIN).timestamp()
    return 60 * sum(window.meets(ACTION, Facts(now=now)).met is True for now in range(int(start), int(end), 60))


def test_a_day_begins_where_the_place_is() -> None:
    kiritimati = TimeWindow("Pacific/Kiritimati", days="sat")
    friday_noon = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
    assert kiritimati.meets(ACTION, Facts(now=friday_noon)).met is True
    assert TimeWindow("UTC", days="sat").meets(ACTION, Facts(now=friday_noon)).met is False


# How it can be written.


def test_without_hours_it_is_the_whole_day() -> None:
    assert seconds_inside(TimeWindow("Europe/Berlin"), date(2026, 11, 20)) == 86400
    assert seconds_inside(TimeWindow("Europe/Berlin", start="00:00", end="24:00"), date(2026, 11, 20)) == 86400
    assert seconds_inside(TimeWindow("Europe/Berlin", start="22:00", end="24:00"), date(2026, 11, 20)) == 7200


@pytest.mark.parametrize(
    ("given", "days"),
    [
        ("mon-fri", ("mon", "tue", "wed", "thu", "fri")),
        ("sat-mon", ("mon", "sat", "sun")),
        ("Monday, wed", ("mon", "wed")),
        (["sun", "sat"], ("sat", "sun")),
        ({"tue"}, ("tue",)),
        ("thu-thu", ("thu",)),
    ],
)
def test_days_are_written_as_people_write_them(given: Any, days: Sequence[str]) -> None:
    assert TimeWindow("UTC", days=given).days == days


def test_holidays_can_be_looked_up() -> None:
    window = TimeWindow("Europe/Berlin", holidays=lambda day: day.day == 1)
    assert at(window, "2026-11-01 12:00").reason == "the time in Europe/Berlin is on a holiday"
    assert at(window, "2026-11-02 12:00").met is True
    with pytest.raises(UsageError, match="neither yes nor no"):
        at(TimeWindow("UTC", holidays=lambda day: "no"), "2026-11-02 12:00")  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("zone", "settings"),
    [
        ("Europe/Atlantis", {}),
        ("../Berlin", {}),
        ("", {}),
        (None, {}),
        ("UTC", {"days": "moonday"}),
        ("UTC", {"days": []}),
        ("UTC", {"days": ["mo"]}),
        ("UTC", {"start": "9"}),
        ("UTC", {"start": "24:00"}),
        ("UTC", {"end": "24:01"}),
        ("UTC", {"end": "12:60"}),
        ("UTC", {"start": 9}),
        ("UTC", {"start": time(9, tzinfo=UTC)}),
        ("UTC", {"start": "09:00", "end": "09:00"}),
        ("UTC", {"holidays": ["25.12.2026"]}),
        ("UTC", {"holidays": "2026-12-25"}),
        ("UTC", {"holidays": [25]}),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(zone: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TimeWindow(zone, **settings)


def test_however_it_is_written_the_same_window_has_the_same_fingerprint() -> None:
    one = TimeWindow("UTC", days="mon-tue", start="9:00", end="24:00", holidays=["2026-12-25", "2026-12-26"])
    other = TimeWindow(
        "UTC", days=["tue", "mon"], start=time(9), end="00:00", holidays={date(2026, 12, 26), date(2026, 12, 25)}
    )
    assert one == other
    assert fingerprint_of(one) == fingerprint_of(other)
    assert fingerprint_of(one) != fingerprint_of(
        TimeWindow("UTC", days="mon-tue", start="9:01", holidays=["2026-12-25"])
    )


# Two windows that share a day and a night share nothing else.

clocks = st.times().map(lambda one: one.replace(second=0, microsecond=0))
moments = st.integers(min_value=0, max_value=4_000_000_000)


@given(clocks, clocks, moments, st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"]))
def test_each_moment_is_in_a_window_or_in_the_one_that_fills_the_gap(
    start: time, end: time, now: int, zone: str
) -> None:
    if start == end:
        end = (datetime.combine(date.min, end) + timedelta(minutes=1)).time()
    window, gap = TimeWindow(zone, start=start, end=end), TimeWindow(zone, start=end, end=start)
    facts = Facts(now=float(now))
    assert window.meets(ACTION, facts).met is not gap.meets(ACTION, facts).met

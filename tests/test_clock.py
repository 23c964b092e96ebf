"""Ids rise, and durations are read in every form in which people write them."""

import threading
import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.clock import Clock, SystemClock, seconds, uuid7_text
from assent.errors import UsageError


def test_the_system_clock_tells_unix_time() -> None:
    clock: Clock = SystemClock()
    before = time.time_ns() / 1e9  # noqa: TID251 - what the clock is held against
    assert before - 1 < clock.now() < before + 1


def test_ids_are_version_7_carry_the_time_and_rise_within_a_millisecond() -> None:
    clock = SystemClock()
    ids = [clock.new_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))
    first = uuid.UUID(ids[0])
    assert (first.version, first.variant, str(first)) == (7, uuid.RFC_4122, ids[0])
    assert abs((first.int >> 80) / 1000 - clock.now()) < 60


def test_ids_are_unique_over_threads() -> None:
    clock = SystemClock()
    made: list[list[str]] = [[], [], [], []]

    def make(own: list[str]) -> None:
        own.extend(clock.new_id() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each for own in made for each in own}) == 8_000
    assert all(own == sorted(own) for own in made)


@given(st.integers(0, 2**122 - 1), st.integers(0, 2**122 - 1))
def test_uuid_texts_sort_as_their_numbers_do(one: int, other: int) -> None:
    assert (uuid7_text(one) < uuid7_text(other)) == (one < other)
    assert uuid.UUID(uuid7_text(one)).version == 7


def test_random_bits_have_the_length_asked_for() -> None:
    assert all(0 <= SystemClock().bits(3) < 8 for _ in range(100))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (2.5, 2.5),
        (timedelta(minutes=2), 120.0),
        ("250ms", 0.25),
        ("10s", 10.0),
        ("5m", 300.0),
        ("24h", 86_400.0),
        ("7d", 604_800.0),
        ("1w", 604_800.0),
        ("1h30m", 5_400.0),
        (" 1.5 h ", 5_400.0),
        ("1m 500ms", 60.5),
    ],
)
def test_durations_are_read(value: Any, expected: float) -> None:
    assert seconds(value) == expected
    assert type(seconds(value)) is float


@pytest.mark.parametrize(
    "value",
    ["", "10", "s", "10 parsecs", "-1s", "1s!", -1, -0.5, float("nan"), float("inf"), timedelta(-1), True, None, [1]],
)
def test_what_is_no_duration_is_refused_with_the_forms_that_are(value: Any) -> None:
    with pytest.raises(UsageError, match=r"is not a duration. Give seconds .* \"5m\""):
        seconds(value)


@given(st.floats(0, 1e12))
def test_seconds_are_taken_as_they_are(value: float) -> None:
    assert seconds(value) == value == seconds(seconds(value))

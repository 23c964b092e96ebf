"""How often and after which wait a step is tried again."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.errors import CodecError, NotDeterministic, UsageError
from assent.resilience import Retry

SECONDS = st.floats(0, 1e9)
JITTERS = st.sampled_from(["none", "equal", "full", True, False])
NUMBERS = st.floats(0, 1, exclude_max=True)


@st.composite
def retries(draw: st.DrawFn, jitter: st.SearchStrategy[Any] = JITTERS) -> Retry:
    initial, maximum = sorted((draw(SECONDS), draw(SECONDS)))
    return Retry(
        draw(st.integers(1, 2_000)),
        draw(st.sampled_from(["fixed", "linear", "exponential"])),
        initial=initial,
        maximum=maximum,
        jitter=draw(jitter),
    )


@given(retries(), st.integers(2, 10_000), NUMBERS)
def test_a_wait_is_never_negative_and_never_above_the_maximum(retry: Retry, attempt: int, number: float) -> None:
    assert 0 <= retry.wait_before(attempt, lambda: number) <= retry.maximum  # type: ignore[operator]  # seconds by now


@given(retries(st.just("none")), st.integers(2, 5_000))
def test_without_jitter_waits_never_shrink(retry: Retry, attempt: int) -> None:
    assert retry.wait_before(2, lambda: 0.5) == retry.initial
    assert retry.wait_before(attempt, lambda: 0.0) <= retry.wait_before(attempt + 1, lambda: 0.9)


@given(retries())
def test_exactly_as_many_attempts_are_made_as_were_asked_for(retry: Retry) -> None:
    attempt = 1
    while retry.may_retry(attempt, ValueError()):
        attempt += 1
    assert attempt == retry.attempts


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [("fixed", [2, 2, 2, 2, 2]), ("linear", [2, 4, 6, 8, 9]), ("exponential", [2, 4, 8, 9, 9])],
)
def test_waits_follow_the_backoff(backoff: Any, waits: list[float]) -> None:
    retry = Retry(9, backoff, initial=2, maximum=9, jitter=False)
    assert [retry.wait_before(attempt, lambda: 0.5) for attempt in range(2, 7)] == waits


def test_full_jitter_draws_from_all_of_the_wait_and_equal_jitter_from_its_upper_half() -> None:
    full, equal = Retry(initial=8, jitter="full"), Retry(initial=8, jitter="equal")
    assert [full.wait_before(2, lambda: 0.0), full.wait_before(2, lambda: 0.5)] == [0, 4]
    assert [equal.wait_before(2, lambda: 0.0), equal.wait_before(2, lambda: 0.5)] == [4, 6]
    assert Retry(jitter=True) == Retry(jitter="full")


def test_only_the_listed_errors_are_tried_again_and_never_the_excepted_ones() -> None:
    retry = Retry(on=OSError, never_on=(FileNotFoundError,))
    assert retry.may_retry(1, ConnectionError())
    assert not retry.may_retry(1, FileNotFoundError())
    assert not retry.may_retry(1, ValueError())


@pytest.mark.parametrize("error", [UsageError(), CodecError(), NotDeterministic()])
def test_a_wrong_use_of_assent_is_never_tried_again(error: Exception) -> None:
    assert not Retry(on=Exception).may_retry(1, error)


def test_durations_are_taken_in_every_form_and_kept_in_seconds() -> None:
    retry = Retry(initial="250ms", maximum=timedelta(minutes=1))
    assert (retry.initial, retry.maximum) == (0.25, 60.0)
    assert retry == Retry(initial=0.25, maximum="1m")
    assert hash(retry) == hash(Retry(initial=0.25, maximum="1m"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"attempts": 0}, r"attempts=0.*from 1"),
        ({"attempts": 2.0}, r"attempts=2.0"),
        ({"attempts": True}, r"attempts=True"),
        ({"backoff": "cubic"}, r"backoff='cubic'.*\"exponential\""),
        ({"jitter": "some"}, r"jitter='some'.*\"equal\""),
        ({"initial": "soon"}, r"'soon' is not a duration"),
        ({"initial": -1}, r"-1 is not a duration"),
        ({"initial": "2m", "maximum": "1m"}, r"initial='2m'.*no more than `maximum`"),
        ({"on": "ValueError"}, r"on='ValueError'.*exception classes"),
        ({"never_on": (KeyboardInterrupt,)}, r"never_on=.*exception classes"),
    ],
)
def test_wrong_settings_are_refused_at_once_with_the_right_ones(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Retry(**settings)

"""Moments as people type them: how long ago, in how long, or a date."""

from datetime import datetime

from assent.clock import seconds
from assent.errors import UsageError


def past(text: str, now: float) -> float:
    """The moment that `2h` (ago), or a date or time in the local zone, stands for."""
    length = _length(text)
    return _date(text, "2h, 7d") if length is None else now - length


def coming(text: str, now: float) -> float:
    """The moment that `2h` (from now), or a date or time in the local zone, stands for."""
    length = _length(text)
    return _date(text, "8h, 3d") if length is None else now + length


def _length(text: str) -> float | None:
    try:
        return seconds(text)
    except UsageError:
        return None


def _date(text: str, lengths: str) -> float:
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text!r} is neither a duration ({lengths}) nor a date (2030-01-31, 2030-01-31T14:00)."
        ) from error

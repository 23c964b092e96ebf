"""Time, ids and durations: the one place that looks at the wall clock and draws randomness."""

import math
import re
import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from assent.errors import UsageError

Duration = float | timedelta | str

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_TEXT = re.compile(rf"\s*{_PART.pattern}(?:\s*{_PART.pattern})*\s*")

LAST_MOMENT = 253402300799.0
"""The end of the year 9999 in Unix seconds, after which no calendar knows a moment."""

# A UUIDv7 has 74 bits beside its 48 bits of milliseconds, the version and the variant.
_TAIL_BITS = 74
# Steps of this size keep later ids of one millisecond hard to guess, and 2**34 of them fit into the tail.
_STEP_BITS = 40


class Clock(Protocol):
    """Tells the time and names new things. Everything that does either is given one."""

    def now(self) -> float:
        """Unix seconds, UTC."""
        ...

    def new_id(self) -> str:
        """A UUIDv7 as text: unique, and greater than every id that this clock gave before."""
        ...


class SystemClock:
    """The clock of the machine. Its ids rise even within one millisecond and when the machine's time is set back."""

    __slots__ = ("_last", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    now = staticmethod(time.time)

    def new_id(self) -> str:
        fresh = time.time_ns() // 1_000_000 << _TAIL_BITS | secrets.randbits(_TAIL_BITS)
        with self._lock:
            if fresh >> _TAIL_BITS <= self._last >> _TAIL_BITS:
                fresh = self._last + 1 + secrets.randbits(_STEP_BITS)
            self._last = fresh
        return uuid7_text(fresh)

    def bits(self, count: int) -> int:
        """A random number of `count` bits, good enough for secrets."""
        return secrets.randbits(count)


def secret_bytes(count: int = 32) -> bytes:
    """Random bytes that nobody can guess."""
    return secrets.token_bytes(count)


def stopwatch() -> Callable[[], int]:
    """Start to measure; what is returned says how many microseconds have passed since then."""
    start = time.perf_counter_ns()
    return lambda: (time.perf_counter_ns() - start) // 1000


def uuid7_text(number: int) -> str:
    """The UUIDv7 whose 48 bits of milliseconds and 74 further bits are those of `number`; it sorts as `number` does."""
    milliseconds, tail = number >> _TAIL_BITS, number & (1 << _TAIL_BITS) - 1
    middle, last = tail >> 62, tail & (1 << 62) - 1
    digits = f"{milliseconds << 80 | 0x7 << 76 | middle << 64 | 0b10 << 62 | last:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def seconds(value: Duration) -> float:
    """A duration in seconds, given as seconds, as a timedelta, or as text: "250ms", "10s", "1h30m", "7d"."""
    length = math.nan
    if isinstance(value, timedelta):
        length = value.total_seconds()
    elif isinstance(value, str):
        length = _read(value)
    elif type(value) is not bool and isinstance(value, int | float):
        length = float(value)
    if not 0 <= length < math.inf:
        raise UsageError(
            f"{value!r} is not a duration. Give seconds (not negative, not infinite), a timedelta, "
            f'or text such as "250ms", "10s", "5m", "1h30m" or "7d".'
        )
    return length


def moment(until: datetime | Duration, now: float) -> float:
    """A moment in Unix seconds, given as one (a datetime that knows its time zone) or as a duration from `now`."""
    if isinstance(until, datetime) and until.tzinfo is None:
        raise UsageError(f"{until!r} does not say in which time zone. Give it one, as in tzinfo=UTC.")
    found = until.timestamp() if isinstance(until, datetime) else now + seconds(until)
    if found > LAST_MOMENT:
        raise UsageError(f"{until!r} is after the year 9999. Give a moment before its end.")
    return found


def _read(text: str) -> float:
    if not _TEXT.fullmatch(text):
        return math.nan
    return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))

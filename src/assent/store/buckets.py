"""Token buckets shared by all processes: one row each, changed in the writer's transaction."""

import math

from assent.store.writer import Transaction

NANOSECONDS = 1_000_000_000
LAST_SECOND = 9e9  # in the year 2255; nanoseconds beyond it do not fit into SQLite's integers
CENTURY = 36_525 * 86_400.0  # seconds; a bucket that takes longer to refill would not fit either


def nanoseconds(seconds: float) -> int:
    """Whole nanoseconds: sums of floats would drift, and lend or keep back a token now and then."""
    return round(min(seconds, LAST_SECOND) * NANOSECONDS)


def take_token(key: str, rate: float, burst: int, now: float, transaction: Transaction) -> float:
    """Take a token: 0; or the seconds until there is one.

    The bucket is kept as the moment at which it will be full again. A token moves that moment on by the time that
    one token takes to refill, and may be taken while a whole burst would still be full in time.
    """
    step = math.ceil(NANOSECONDS / rate)  # rounded up, so that never more is admitted than the rate says
    moment = nanoseconds(now)
    row = transaction.execute("SELECT full_at FROM buckets WHERE key = ?", (key,)).fetchone()
    full_at = max(row[0] if row else moment, moment) + step
    short = full_at - moment - burst * step
    if short > 0:
        return (short // 1000 + 2) / 1_000_000  # rounded up, by more than a Unix time loses as a float
    transaction.execute("INSERT OR REPLACE INTO buckets (key, full_at) VALUES (?, ?)", (key, full_at))
    return 0.0

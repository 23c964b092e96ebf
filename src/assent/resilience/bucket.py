"""Token buckets as arithmetic: when there is a token, and what becomes of a bucket when it is taken."""

import math
from typing import Final

NANOSECONDS: Final = 1_000_000_000


def take_token(full_at: int, rate: float, burst: int, now: float) -> tuple[int, float]:
    """Take a token from a bucket of `burst` that refills by `rate` a second: the bucket then, and how long to wait.

    The bucket is kept as the moment at which it will be full again, 0 at first. A token moves that on by the time in
    which one flows in, and may be taken while a whole burst would still be full in time. All that in whole nanoseconds:
    sums of floats drift, and would lend or keep back a token now and then. The wait is in seconds, 0 if it was taken.
    """
    step = math.ceil(NANOSECONDS / rate)  # rounded up, so that never more is admitted than the rate says
    moment = int(now * NANOSECONDS)
    moved_on = max(full_at, moment) + step
    short = moved_on - moment - burst * step
    if short > 0:
        return full_at, (short // 1000 + 2) / 1_000_000  # rounded up, by more than a time loses as a float
    return moved_on, 0.0

"""What to do about calls that fail, come too often, or take too long.

Nothing here knows what is being called, nor of stores and journals: `ground` is all it stands on.
"""

from assent.resilience.alternatives import fallback, race, timeout
from assent.resilience.breaker import CircuitBreaker
from assent.resilience.budget import RetryBudget
from assent.resilience.bulkhead import Bulkhead
from assent.resilience.gathering import Degraded, Gathered, degrade, gather_all, parallel_map
from assent.resilience.limiter import RateLimiter
from assent.resilience.retry import Retry

__all__ = [
    "Bulkhead",
    "CircuitBreaker",
    "Degraded",
    "Gathered",
    "RateLimiter",
    "Retry",
    "RetryBudget",
    "degrade",
    "fallback",
    "gather_all",
    "parallel_map",
    "race",
    "timeout",
]

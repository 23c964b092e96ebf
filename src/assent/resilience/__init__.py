"""What to do about failures that pass: how often to try again, and how long to wait in between.

Nothing here knows what is being tried.
"""

from assent.resilience.retry import Retry

__all__ = ["Retry"]

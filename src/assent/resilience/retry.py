"""How often a failed step is tried again, and how long to wait before."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

from assent.clock import Duration, seconds
from assent.errors import UsageError

Backoff = Literal["fixed", "linear", "exponential"]
Jitter = Literal["none", "equal", "full"]
Errors = type[Exception] | tuple[type[Exception], ...]

# 2**1000 times any wait is beyond every maximum, and still a float.
_LARGEST_EXPONENT = 1000


@dataclass(frozen=True, slots=True)
class Retry:
    """A step is tried `attempts` times in all, as long as it fails with an error in `on` that is not in `never_on`.

    The wait before attempt 2 is `initial`; it stays ("fixed"), grows by `initial` ("linear") or doubles ("exponential")
    with each attempt, up to `maximum`. Jitter then draws from it: "full" from all of it, "equal" from its upper half.
    Errors in the use of Assent itself are never tried again.
    """

    attempts: int = 3
    backoff: Backoff = "exponential"
    _: KW_ONLY
    initial: Duration = 1.0
    maximum: Duration = 60.0
    jitter: Jitter | bool = "full"
    on: Errors = (Exception,)
    never_on: Errors = ()

    def __post_init__(self) -> None:
        _require(type(self.attempts) is int and self.attempts >= 1, "attempts", self.attempts, "a whole number from 1")
        _require(self.backoff in get_args(Backoff), "backoff", self.backoff, '"fixed", "linear" or "exponential"')
        if isinstance(self.jitter, bool):
            self._set("jitter", "full" if self.jitter else "none")
        _require(self.jitter in get_args(Jitter), "jitter", self.jitter, '"none", "equal", "full", True or False')
        initial, maximum = seconds(self.initial), seconds(self.maximum)
        _require(initial <= maximum, "initial", self.initial, f"no more than `maximum`, which is {self.maximum!r}")
        self._set("initial", initial)
        self._set("maximum", maximum)
        self._set("on", _as_tuple("on", self.on))
        self._set("never_on", _as_tuple("never_on", self.never_on))

    def may_retry(self, attempt: int, error: Exception) -> bool:
        """Whether another attempt follows attempt number `attempt` (from 1), which failed with `error`."""
        if attempt >= self.attempts or isinstance(error, UsageError):
            return False
        return isinstance(error, self.on) and not isinstance(error, self.never_on)

    def wait_before(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait before attempt number `attempt`, from 2; `random` yields numbers from 0 up to 1."""
        wait = self._full_wait(attempt - 2)
        match self.jitter:
            case "full":
                return wait * random()
            case "equal":
                return wait / 2 + wait / 2 * random()
            case _:
                return wait

    def _full_wait(self, earlier_waits: int) -> float:
        initial, maximum = seconds(self.initial), seconds(self.maximum)
        match self.backoff:
            case "fixed":
                return initial
            case "linear":
                return min(initial * (earlier_waits + 1), maximum)
            case "exponential":
                return min(initial * 2.0 ** min(earlier_waits, _LARGEST_EXPONENT), maximum)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _require(holds: bool, name: str, value: object, remedy: str) -> None:
    if not holds:
        raise UsageError(f"Retry({name}={value!r}) is not possible. Give {remedy}.")


def _as_tuple(name: str, errors: Any) -> tuple[type[Exception], ...]:
    kinds = errors if isinstance(errors, tuple) else (errors,)
    for kind in kinds:
        is_error = isinstance(kind, type) and issubclass(kind, Exception)
        _require(is_error, name, errors, "exception classes, such as (ConnectionError, TimeoutError)")
    return kinds

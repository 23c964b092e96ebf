"""How often something that failed is tried again, and how long to wait before."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, ParamSpec, TypeVar, get_args

from assent.clock import Duration, seconds
from assent.errors import AssentError, RateLimited, RetryBudgetSpent
from assent.resilience.alternatives import timeout
from assent.resilience.budget import RetryBudget
from assent.resilience.ground import ground
from assent.resilience.settings import FINAL, Errors, count, each_error, kinds, length, require
from assent.resilience.wrapping import begun, wrapped

P = ParamSpec("P")
R = TypeVar("R")

Backoff = Literal["fixed", "linear", "exponential"]
Jitter = Literal["none", "equal", "full", "decorrelated"]

# 2**1000 times any wait is beyond every maximum, and still a float.
_LARGEST_EXPONENT = 1000


@dataclass(frozen=True, slots=True)
class Retry:
    """A call is tried `attempts` times in all, as long as it fails with an error in `on` that is not in `never_on`.

    Give it to a step, decorate an async function with it, or call one: `await retry.call(fn, *args)`. In workflow code
    the waits are durable timers.

    The wait before attempt 2 is `initial`; it stays ("fixed"), grows by `initial` ("linear") or doubles ("exponential")
    with each attempt, up to `maximum`. Jitter then draws from it: "full" from all of it, "equal" from its upper half.
    "decorrelated" draws instead from `initial` up to three times the wait before. An error of Assent that says when to
    come back (`retry_after`) is waited for as long as it says, but no longer than `maximum`.

    `timeout` cancels an attempt that takes longer. `deadline` is counted from the first attempt on: at its end the
    attempt under way is cancelled, and none begins later; the error is that of the last attempt. Each further attempt
    takes a retry from `budget`; if there is none, RetryBudgetSpent is raised. Never tried again are errors in the use
    of Assent itself, refusals by policies and people (except RateLimited), and effects in doubt.
    """

    attempts: int = 3
    backoff: Backoff = "exponential"
    _: KW_ONLY
    initial: Duration = 1.0
    maximum: Duration = 60.0
    jitter: Jitter | bool = "full"
    on: Errors = (Exception,)
    never_on: Errors = ()
    timeout: Duration | None = None
    deadline: Duration | None = None
    budget: RetryBudget | None = None

    def __post_init__(self) -> None:
        count(self.attempts, "Retry(attempts")
        self._check("backoff", self.backoff in get_args(Backoff), '"fixed", "linear" or "exponential"')
        if isinstance(self.jitter, bool):
            self._set("jitter", "full" if self.jitter else "none")
        names = '"none", "equal", "full", "decorrelated", True or False'
        self._check("jitter", self.jitter in get_args(Jitter), names)
        initial, maximum = seconds(self.initial), seconds(self.maximum)
        self._check("initial", initial <= maximum, f"no more than `maximum`, which is {self.maximum!r}")
        self._set("initial", initial)
        self._set("maximum", maximum)
        self._set("on", kinds(self.on, "Retry(on"))
        self._set("never_on", kinds(self.never_on, "Retry(never_on"))
        for name in ("timeout", "deadline"):
            given = getattr(self, name)
            self._set(name, None if given is None else length(given, f"Retry({name}"))
        self._check("budget", self.budget is None or isinstance(self.budget, RetryBudget), "a RetryBudget")

    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        return wrapped(self.call, fn)

    async def call(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an async function, and again while it fails. Raises the error of the last attempt."""
        course = Course(self, asyncio.get_running_loop().time, ground().random)
        while True:
            limit = course.time_left()
            try:
                attempt = begun(fn, *args, **kwargs)
                return await (attempt if limit is None else timeout(attempt, limit))
            except Exception as error:
                if not self.may_retry(course.attempt, error):
                    raise
                await course.go_on(error)

    def may_retry(self, attempt: int, error: Exception) -> bool:
        """Whether another attempt follows attempt number `attempt` (from 1), which failed with `error`."""
        if attempt >= self.attempts or any(map(_is_final, each_error(error))):
            return False
        return isinstance(error, self.on) and not isinstance(error, self.never_on)

    def wait_before(
        self,
        attempt: int,
        random: Callable[[], float],
        *,
        last: float | None = None,
        error: Exception | None = None,
    ) -> float:
        """Seconds to wait before attempt number `attempt`, from 2; `random` yields numbers from 0 up to 1.

        `last` is the wait before the attempt before it, `error` that with which it failed.
        """
        wait = self._drawn(attempt - 2, random, last)
        asked = getattr(error, "retry_after", None) if isinstance(error, AssentError) else None
        if isinstance(asked, int | float):
            wait = max(wait, asked)
        return min(wait, seconds(self.maximum))

    def _drawn(self, earlier_waits: int, random: Callable[[], float], last: float | None) -> float:
        wait = self._full_wait(earlier_waits)
        match self.jitter:
            case "full":
                return wait * random()
            case "equal":
                return wait / 2 + wait / 2 * random()
            case "decorrelated":
                initial = seconds(self.initial)
                before = self._full_wait(max(earlier_waits - 1, 0)) if last is None else max(last, initial)
                return initial + (min(3 * before, seconds(self.maximum)) - initial) * random()
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

    def _check(self, name: str, holds: bool, remedy: str) -> None:
        require(holds, f"Retry({name}={getattr(self, name)!r})", remedy)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


class Course:
    """How one call goes: which attempt it is at, and what time it has left."""

    __slots__ = ("_end", "_now", "_random", "_retry", "_wait", "attempt")

    def __init__(self, retry: Retry, now: Callable[[], float], random: Callable[[], float]) -> None:
        self.attempt = 1
        self._retry = retry
        self._now = now
        self._random = random
        self._wait: float | None = None
        self._end = None if retry.deadline is None else now() + seconds(retry.deadline)

    def time_left(self) -> float | None:
        """The seconds that the attempt that begins now may take; None: any number."""
        limits = [] if self._retry.timeout is None else [seconds(self._retry.timeout)]
        if self._end is not None:
            limits.append(max(self._end - self._now(), 0.0))
        return min(limits, default=None)

    async def go_on(self, error: Exception) -> None:
        """Return when the next attempt may begin; raises `error`, or RetryBudgetSpent, if there is none any more."""
        retry = self._retry
        self.attempt += 1
        self._wait = retry.wait_before(self.attempt, self._random, last=self._wait, error=error)
        if self._is_over(self._wait):
            raise error
        if retry.budget is not None and not await retry.budget.take():
            raise RetryBudgetSpent(
                f"No attempt {self.attempt}: the {retry.budget.label} is spent. The last one failed with "
                f"{type(error).__name__}: {error}"
            ) from error
        await asyncio.sleep(self._wait)
        if self._is_over():
            raise error

    def _is_over(self, wait: float = 0.0) -> bool:
        return self._end is not None and self._now() + wait >= self._end


def _is_final(error: BaseException) -> bool:
    return isinstance(error, (*FINAL, RetryBudgetSpent)) and not isinstance(error, RateLimited)

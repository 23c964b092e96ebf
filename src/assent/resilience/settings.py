"""What retries, breakers and the like are set to: which errors, how many, how long."""

from collections.abc import Iterator
from typing import Any, Final

from assent.clock import Duration, seconds
from assent.errors import AllFailed, ExecutionCancelled, GovernanceError, InDoubt, NonDeterminism, UsageError

Errors = type[Exception] | tuple[type[Exception], ...]

# They say nothing of a service. Another attempt, or another way, would not change the answer, would ask people once
# more, or would repeat an effect blindly.
FINAL: Final = (ExecutionCancelled, GovernanceError, InDoubt, NonDeterminism, UsageError)


def each_error(error: BaseException | None) -> Iterator[BaseException]:
    """An error; or, of a group, and of a race that nobody won, all that are in it."""
    within = error.__cause__ if isinstance(error, AllFailed) else error
    if isinstance(within, BaseExceptionGroup):
        for each in within.exceptions:
            yield from each_error(each)
    elif error is not None:
        yield error


def require(holds: bool, what: str, remedy: str) -> None:
    """Refuse a setting, written as in code: `Retry(attempts=0)`. `remedy` is what to give instead."""
    if not holds:
        raise UsageError(f"{what} is not possible. Give {remedy}.")


def kinds(errors: Any, what: str) -> tuple[type[Exception], ...]:
    """Classes of errors as a tuple."""
    given = errors if isinstance(errors, tuple) else (errors,)
    for kind in given:
        is_error = isinstance(kind, type) and issubclass(kind, Exception)
        require(is_error, f"{what}={errors!r})", "exception classes, such as (ConnectionError, TimeoutError)")
    return given


def count(number: Any, what: str) -> int:
    """A whole number from 1."""
    require(type(number) is int and number >= 1, f"{what}={number!r})", "a whole number from 1")
    return int(number)


def length(duration: Duration, what: str) -> float:
    """A duration in seconds that is more than none."""
    found = seconds(duration)
    require(found > 0, f"{what}={duration!r})", 'a time above 0, such as "30s"')
    return found

"""How far an agent may go, and why it stopped."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from assent.agents.messages import Usage
from assent.clock import Duration, seconds
from assent.errors import UsageError


class StopReason(StrEnum):
    """Why an agent's run ended."""

    FINAL = "final"  # with a result
    TURN_LIMIT = "turn_limit"
    TOKEN_LIMIT = "token_limit"  # noqa: S105 - no password
    COST_LIMIT = "cost_limit"
    TIME_LIMIT = "time_limit"
    OUTPUT_INVALID = "output_invalid"  # the model gave no valid result, also when told what was wrong with it
    CONTENT_FILTER = "content_filter"
    LENGTH = "length"  # its answer was cut at the limit of tokens for one response
    BLOCKED = "blocked"  # by a hook
    MODEL_FAILED = "model_failed"
    FAILED = "failed"  # with any other error
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far one run may go; None means as far as it likes.

    Turns are model requests. Tokens and cost are looked at before each request, so the last answer may go beyond them;
    a cost that no price is known for counts as nothing. Time cuts off whatever is under way.
    """

    turns: int = 20
    tokens: int | None = None
    cost: Decimal | float | str | None = None  # US dollars
    time: Duration | None = None

    def __post_init__(self) -> None:
        if type(self.turns) is not int or self.turns < 1:
            raise UsageError(f"turns={self.turns!r} lets an agent say nothing. Give a whole number from 1 on.")
        if self.cost is not None:
            object.__setattr__(self, "cost", _dollars(self.cost))
        if self.time is not None:
            object.__setattr__(self, "time", seconds(self.time))

    def reached(self, turns: int, usage: Usage, cost: Decimal) -> StopReason | None:
        """The limit that forbids another request, if one does."""
        if turns >= self.turns:
            return StopReason.TURN_LIMIT
        if self.tokens is not None and usage.total_tokens >= self.tokens:
            return StopReason.TOKEN_LIMIT
        if self.cost is not None and cost >= Decimal(str(self.cost)):
            return StopReason.COST_LIMIT
        return None


def _dollars(cost: Decimal | float | str) -> Decimal:
    try:
        found = Decimal(str(cost))
    except InvalidOperation:
        found = Decimal("nan")
    if found.is_nan():
        raise UsageError(f"max_cost={cost!r} is no amount. Give US dollars, such as 0.5.")
    return found

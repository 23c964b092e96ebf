"""The policy about how much may be spent in a time, by all processes together."""

import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from decimal import ROUND_CEILING, Context, Decimal
from functools import cached_property
from typing import Any, ClassVar, Final
from urllib.parse import quote

from assent.clock import Duration, seconds
from assent.errors import UsageError
from assent.governance.action import Action, Outcome
from assent.governance.approvals import likeness
from assent.governance.fingerprint import name_of
from assent.governance.policy import Decision, Facts, Phase, Policy
from assent.governance.ruling import SHADOW
from assent.store import MILLIONTHS, Hold

Amount = Decimal | int | float | str
LARGEST: Final = Decimal(10**12)  # in millionths it fits into 64 bits eight times, so that sums do too
NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?(E[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
EXACT: Final = Context(prec=120, rounding=ROUND_CEILING)  # more digits than a NUMBER has


def millionths(amount: object, what: str = "amount") -> int:
    """An amount in whole millionths; finer ones are rounded up. Raises UsageError for what is none, or is negative.

    Numbers, Decimals and texts of numbers are amounts. A float counts as it is written: 0.1 is a tenth.
    """
    text = _text_of(amount)
    number = Decimal(text) if NUMBER.fullmatch(text) else None
    if number is None or not 0 <= number <= LARGEST:
        shown = text[:60] or type(amount).__name__
        raise UsageError(f"{what}={shown!r} is no amount. Give a number from 0 to {LARGEST:,}, as in 1250.50.")
    return int(EXACT.quantize(EXACT.multiply(number, Decimal(MILLIONTHS)), Decimal(1)))


def _text_of(amount: object) -> str:
    if type(amount) is bool or not isinstance(amount, Decimal | int | float | str):
        return ""
    try:
        return str(amount).strip()
    except ValueError:
        return ""  # a whole number of thousands of digits


def decimal_of(amount: int) -> Decimal:
    """The amount of so many millionths, as people write it."""
    number = Decimal(amount) / MILLIONTHS
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()


@dataclass(frozen=True)
class BudgetPolicy(Policy):
    """At most `limit` in a `window`, counting what is spent and what is about to be; `window=None` is for ever.

    `amount` is an argument (`"amount"`, or inside of one: `"order.total"`) or a function of the action. `per` counts
    for each requester, or for each value of a function, instead of for all together. The amount is reserved with the
    permit, in one transaction, so that many at once cannot overspend; it is released if the effect fails, and
    `actual(outcome)` may say what the effect really took. Budgets of one name, limit, window and `per` are one
    budget, whichever actions draw on it. An action without a usable amount is denied.
    """

    kind: ClassVar[str] = "budget"
    consumes: ClassVar[bool] = True

    limit: Amount
    window: Duration | None = "1d"
    _: KW_ONLY
    amount: str | Callable[[Action], Any] = "amount"
    per: str | Callable[[Action], Any] | None = None
    actual: Callable[[Outcome], Any] | None = None
    phase: Phase = field(default=Phase.BEFORE, init=False)
    rechecked: bool = field(default=False, init=False)  # the store checks it again, together with the permit

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", decimal_of(millionths(self.limit, "limit")))
        object.__setattr__(self, "window", None if self.window is None else seconds(self.window))
        if self.window == 0:
            raise UsageError('window=0 holds nothing. Give a time, as in window="1d", or None for ever.')
        if not callable(self.amount) and (type(self.amount) is not str or not self.amount):
            raise UsageError(f"amount={self.amount!r} is unknown. Give the name of an argument, or a function.")
        if not (self.per is None or self.per == "requester" or callable(self.per)):
            raise UsageError(f'per={self.per!r} is unknown. Give "requester", a function of the action, or nothing.')
        Policy.__post_init__(self)

    async def evaluate(self, action: Action, facts: Facts) -> Decision:
        if self.per == "requester" and action.requester is None:
            return self.deny("the budget is per requester, and nobody is known to ask; use acting_as(Principal(...))")
        amount, limit = millionths(self._amount_of(action)), self._most
        key = self.key(action)
        since = None if self.window is None else facts.now - seconds(self.window)
        spent = (await facts.spent(key, since)).total
        if spent + amount > limit:
            return self._exceeded(amount, limit, spent)
        return self.allow(holds=[Hold(key=key, amount=amount, limit=limit, since=since)], amount=_said(amount))

    def _exceeded(self, amount: int, limit: int, spent: int) -> Decision:
        left = max(limit - spent, 0)
        return self.deny(
            f"{_said(amount)} does not fit: of {_said(limit)}{self._in_window} "
            f"{_said(spent)} is spent or reserved, and {_said(left)} is left",
            limit=_said(limit),
            spent=_said(spent),
            remainder=_said(left),
            amount=_said(amount),
        )

    @property
    def _in_window(self) -> str:
        return "" if self.window is None else f" in {seconds(self.window):g} s"

    def _amount_of(self, action: Action) -> Any:
        if callable(self.amount):
            return self.amount(action)
        found: Any = action.arguments
        for name in self.amount.split("."):
            found = found[name] if isinstance(found, Mapping) else getattr(found, name)
        return found

    def key(self, action: Action) -> str:
        """Under which its draws are counted: no user can make it equal to that of another budget."""
        return f"{self._prefix}:{quote(self._counted_for(action), safe='')}"

    @cached_property
    def _most(self) -> int:
        """The limit in millionths."""
        return millionths(self.limit)

    @cached_property
    def _prefix(self) -> str:
        window = "" if self.window is None else f"{seconds(self.window):g}"
        return ":".join(["budget", *(quote(part, safe="") for part in (self.name, str(self.limit), window))])

    def _counted_for(self, action: Action) -> str:
        if callable(self.per):
            value = self.per(action)
            if type(value) not in {str, int}:
                raise UsageError(f"per() returned {value!r}. It must return a text or a whole number.")
            return f"{name_of(self.per)}={value!r}"
        return "" if self.per is None or action.requester is None else f"requester={likeness(action.requester.id)}"

    def amounts(self, action: Action, outcome: Outcome) -> Mapping[str, int]:
        if self.actual is None or outcome.failed:
            return {}
        try:
            key = self.key(action)
            return {SHADOW + key if self.mode == "shadow" else key: millionths(self.actual(outcome), "actual()")}
        except Exception:  # noqa: BLE001 - the effect has happened, so what was reserved for it counts as spent
            return {}


def _said(amount: int) -> str:
    return f"{decimal_of(amount):f}"

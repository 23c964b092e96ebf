"""A governed call without a runtime: its policies are evaluated in memory, and nothing is kept."""

from typing import Any

from assent.clock import SystemClock
from assent.errors import PolicyDenied, RuntimeRequired
from assent.governance.action import Action, Outcome, current_principal
from assent.governance.evaluating import Asking, Order
from assent.governance.policy import Facts, Phase
from assent.governance.rate_limit import Buckets
from assent.governance.ruling import Ruling
from assent.governance.terms import PolicySet, Subject, run_post, run_pre
from assent.store import Drawn


class Bare:
    """What the calls of one governed function share in memory: a clock, and buckets to count them in."""

    __slots__ = ("_after", "_before", "_now")

    def __init__(self) -> None:
        self._now = SystemClock().now
        admit = Buckets(self._now).admit
        self._before = Facts(now=0.0, admit=admit, spent=_nothing)
        self._after = Facts(now=0.0, admit=admit, phase=Phase.AFTER)

    async def call(self, subject: Subject, rules: PolicySet, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Evaluate, act, review. Raises PolicyDenied, or RuntimeRequired where people would have to be asked."""
        terms = subject.terms
        action = subject.action(subject.signature.bind(args, kwargs), current_principal())
        if rules.policies:
            facts = self._before.at(self._now())
            asking = Asking(rules.policies, action, facts, rules.redaction, order=rules.order)
            await asking.ask()
            if asking.denied or asking.needs_runtime:
                raise _not_now(asking.ruling())
        if terms.pre:
            await run_pre(terms, action)
        try:
            value = await subject.perform(*args, **kwargs)
        except Exception as error:
            await self._look_back(rules.order_of_audits, rules, action, Outcome(error=error))
            await run_post(terms, action, Outcome(error=error))
            raise
        if rules.after:
            await self._look_back(rules.order_after, rules, action, Outcome(value=value))
        if terms.post:
            await run_post(terms, action, Outcome(value=value))
        return value

    async def _look_back(self, order: Order, rules: PolicySet, action: Action, outcome: Outcome) -> None:
        facts = self._after.at(self._now(), outcome)
        asking = Asking(rules.policies, action, facts, rules.redaction, order=order)
        await asking.ask()
        if asking.denied:
            raise asking.ruling().denial()


def _not_now(ruling: Ruling) -> PolicyDenied | RuntimeRequired:
    if ruling.outcome == "deny":
        return ruling.denial()
    what = "an approval" if ruling.requests else "a budget"
    policies = ", ".join(sorted({one.policy for one in ruling.decisions if one.outcome == "ask" or one.holds}))
    return RuntimeRequired(
        f"{ruling.action.name} needs {what} (policy {policies}), and there is nowhere to keep it. Open a runtime: "
        "`async with Runtime('sqlite:///assent.db'):`."
    )


async def _nothing(_key: str, _since: float | None) -> Drawn:
    """What was drawn on budgets without a runtime, which is where they are kept."""
    return Drawn()

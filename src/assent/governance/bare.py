"""A governed call without a runtime: its policies are evaluated in memory, and nothing is kept."""

from typing import Any

from assent.clock import SystemClock
from assent.errors import PolicyDenied, RuntimeRequired
from assent.governance.action import Action, Outcome, current_principal
from assent.governance.policy import Facts, Phase, Policy
from assent.governance.rate_limit import Buckets
from assent.governance.ruling import Ruling, evaluate_all
from assent.governance.terms import PolicySet, Subject, run_post, run_pre


class Bare:
    """What the calls of one governed function share in memory: a clock, and buckets to count them in."""

    __slots__ = ("admit", "now")

    def __init__(self) -> None:
        self.now = SystemClock().now
        self.admit = Buckets(self.now).admit

    async def call(self, subject: Subject, rules: PolicySet, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Evaluate, act, review. Raises PolicyDenied, or RuntimeRequired where people would have to be asked."""
        terms = subject.terms
        action = subject.action(subject.signature.bind(args, kwargs), current_principal())
        if rules.policies:
            facts = Facts(now=self.now(), admit=self.admit)
            ruling = await evaluate_all(rules.policies, action, facts, redaction=rules.redaction)
            if ruling.outcome != "allow":
                raise _not_now(ruling)
        if terms.pre:
            await run_pre(terms, action)
        try:
            value = await subject.perform(*args, **kwargs)
        except Exception as error:
            await self._look_back(rules.audits, rules, action, Outcome(error=error))
            await run_post(terms, action, Outcome(error=error))
            raise
        if rules.after:
            await self._look_back(rules.after, rules, action, Outcome(value=value))
        if terms.post:
            await run_post(terms, action, Outcome(value=value))
        return value

    async def _look_back(
        self, policies: tuple[Policy, ...], rules: PolicySet, action: Action, outcome: Outcome
    ) -> None:
        facts = Facts(now=self.now(), phase=Phase.AFTER, outcome=outcome, admit=self.admit)
        ruling = await evaluate_all(policies, action, facts, redaction=rules.redaction)
        if ruling.outcome == "deny":
            raise ruling.denial()


def _not_now(ruling: Ruling) -> PolicyDenied | RuntimeRequired:
    if ruling.outcome == "deny":
        return ruling.denial()
    asks = ", ".join(sorted({request.policy for requests in ruling.requests for request in requests}))
    return RuntimeRequired(
        f"{ruling.action.name} needs an approval (policy {asks}), and there is nowhere to keep it. Open a runtime: "
        "`async with Runtime('sqlite:///assent.db'):`."
    )

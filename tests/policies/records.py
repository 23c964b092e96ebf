"""Recorded actions for back-tests, made as they are made in earnest."""

from collections.abc import Mapping
from typing import Any

from assent.codec import to_json
from assent.governance import Action, Policy, Principal, evaluate_all, redaction_of
from assent.policies.backtest import Backtest
from assent.policies.simulation import Simulation
from assent.policies.tally import Tally
from assent.store import Event

START = 1_900_000_000.0


class Book:
    """What was recorded while these policies were in force. An action a second, unless it says when."""

    def __init__(self, *policies: Policy) -> None:
        self.policies = policies
        self.events: list[Event] = []
        self._simulation = Simulation()

    async def act(
        self,
        name: str = "pay",
        *,
        at: float | None = None,
        who: str | None = "alice@company.com",
        environment: Mapping[str, Any] | None = None,
        labels: frozenset[str] = frozenset(),
        captured: bool = True,
        **arguments: Any,
    ) -> str:
        """Record an action, and return its outcome."""
        at = START + len(self.events) if at is None else at
        action = Action(
            name=name,
            arguments=arguments,
            requester=Principal(who, roles=["clerk"], permissions=["pay"]) if who else None,
            labels=labels,
            captured=captured,
        )
        facts = self._simulation.facts(at, environment or {})
        ruling = await evaluate_all(self.policies, action, facts, redaction=redaction_of(self.policies), timed=True)
        if ruling.outcome != "deny":
            self._simulation.take(ruling.holds)
        value = to_json({**ruling.record(facts.environment), "now": at})
        self.events.append(Event(f"run-{len(self.events)}", "policy.evaluated", at + 0.01, name=name, value=value))
        return ruling.outcome

    async def tested(self, *policies: Policy, without: tuple[str, ...] = ()) -> Tally:
        """What the policies would change in all this."""
        test = Backtest(policies, without)
        for event in self.events:
            await test.add(event)
        return test.tally

"""Nine patterns of rules that look at an action and decide what it needs: nothing, people, or a no.

    python examples/criteria_based_governance.py

Each scenario is a governed call under a runtime of its own, on a store that is removed in the end. People are asked
where a rule says so, and say yes at once. What is printed was read back from the journal; if a decision is not the
expected one, the program ends with 1.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from assent import (
    Action,
    ApprovalPolicy,
    AuditPolicy,
    Event,
    Governed,
    PolicyDenied,
    Principal,
    Runtime,
    SystemClock,
    ValidationPolicy,
    acting_as,
    govern,
)
from assent.policies import (
    Composite,
    Dynamic,
    Environment,
    Layered,
    Matches,
    RiskScore,
    Rule,
    Score,
    Threshold,
    Tiered,
    TimeWindow,
    When,
)

MANAGER = ApprovalPolicy(["manager@company.com"], name="manager")
CFO = ApprovalPolicy(["cfo@company.com"], name="cfo")
BOARD = ApprovalPolicy(["cfo@company.com", "ceo@company.com"], quorum=2, name="board")
ON_CALL = ApprovalPolicy(["oncall@company.com"], name="on call")
RELEASES = ApprovalPolicy(["releases@company.com"], name="releases")
SECURITY = ApprovalPolicy(["security@company.com"], name="security")


def ask(policy: ApprovalPolicy) -> str:
    """How a scenario says that people are expected to be asked."""
    return f"ask {', '.join(policy.approvers)}"


# 1. Threshold: the more money, the higher up.

BY_AMOUNT = Tiered("amount", {0: "allow", 1_000: MANAGER, 10_000: CFO, 100_000: BOARD})


@govern(policies=[BY_AMOUNT])
async def pay(amount: Decimal) -> str:
    return f"{amount} paid"


# 2. Environment: what is free on a laptop needs people in production. Where nobody knows, nobody may.

BY_ENVIRONMENT = When(Environment("production"), [RELEASES, AuditPolicy(tags=["sox"])], name="production")


@govern(policies=[BY_ENVIRONMENT])
async def deploy(version: str) -> str:
    return f"{version} deployed"


# 3. Risk: a function works it out, here one that asks somebody else and takes its time.

SANCTIONED = {"Shady & Sons"}


async def risk_of(action: Action) -> Decimal:
    await asyncio.sleep(0)  # a risk service would be called here
    if action.recipient in SANCTIONED:
        return Decimal("0.99")
    return Decimal("0.1") + (Decimal("0.5") if action.is_new else 0)


BY_RISK = Composite(
    [
        Rule("too risky", when=RiskScore(risk_of, at_least="0.9"), then="deny"),
        Rule("risky", when=RiskScore(risk_of, at_least="0.5"), then=SECURITY),
    ],
    otherwise="allow",
)


@govern(policies=[BY_RISK])
async def add_recipient(recipient: str, is_new: bool) -> str:
    return f"{recipient} added"


# 4. Time: office hours in Berlin; at other times and on holidays whoever is on call.

OFFICE_HOURS = TimeWindow("Europe/Berlin", days="mon-fri", start="09:00", end="17:00", holidays=["2026-12-25"])


@govern(policies=[When(OFFICE_HOURS, "allow", otherwise=ON_CALL, name="office hours")])
async def restart(service: str) -> str:
    return f"{service} restarted"


# 5. Several criteria at once, with and, or, not.

ABROAD = ~Matches("country", one_of=["DE", "FR", "NL"])
UNUSUAL = Threshold("amount", above=5_000) & (ABROAD | Matches("channel", equals="phone"))


@govern(policies=[When(UNUSUAL, SECURITY, name="unusual")])
async def refund(amount: Decimal, country: str, channel: str) -> str:
    return f"{amount} refunded"


# 6. Dynamic: the rule looks at what the world is like now.


@dataclass
class Market:
    volatility: Decimal = Decimal("0.1")


MARKET = Market()


def is_calm(action: Action) -> bool:
    return MARKET.volatility < Decimal("0.3")


@govern(policies=[When(Dynamic(is_calm, "a calm market"), "allow", otherwise=MANAGER)])
async def trade(shares: int) -> str:
    return f"{shares} shares bought"


# 7. Additive: what speaks against it adds up, and what speaks for it counts the other way.

SUSPICION = Score(
    [
        (Threshold("rows", above=1_000), 40),
        (Matches("table", one_of=["customers", "payments"]), 30),
        (Environment("production"), 20),
        (Matches("roles", contains="data steward", of="requester"), -30),
    ],
    label="suspicion",
)


@govern(policies=[Tiered(SUSPICION, {"-30": "allow", 40: "warn", 60: SECURITY, 90: "deny"}, name="suspicion")])
async def export(table: str, rows: int) -> str:
    return f"{rows} rows of {table} exported"


# 8. Layered: what the company wants, what production wants, and what large amounts want, all together.

LAYERS = Layered(
    [
        Rule("company", then=[ValidationPolicy(check=lambda action: action.amount > 0), AuditPolicy(tags=["gdpr"])]),
        Rule("production", when=Environment("production"), then=MANAGER),
        Rule("large", when=Threshold("amount", above=10_000), then=CFO),
    ]
)


@govern(policies=[LAYERS])
async def pay_out(amount: Decimal) -> str:
    return f"{amount} paid out"


# 9. Composite: rules in order, each with criteria of several kinds; the first that applies decides.

RULES = Composite(
    [
        Rule("frozen", when=Environment("production") & ~OFFICE_HOURS, then="deny"),
        Rule("own data", when=Matches("scope", equals="own"), then="allow"),
        Rule(
            "much", when=Threshold("rows", above=100) | RiskScore(lambda action: action.rows / 50, at_least=1), then=CFO
        ),
    ],
    otherwise=MANAGER,
)


@govern(policies=[RULES])
async def erase(scope: str, rows: int) -> str:
    return f"{rows} rows erased"


# The scenarios, and what is expected of each.

FRIDAY, SATURDAY, CHRISTMAS = "2026-11-20 10:00", "2026-11-21 23:00", "2026-12-25 10:00"
ANA, STEWARD = Principal("ana@company.com"), Principal("ben@company.com", roles=["data steward"])


@dataclass(frozen=True)
class Scenario:
    """A call with its arguments, what is to come of it, and the circumstances under which it is made."""

    call: Governed[..., Any]
    arguments: Sequence[Any]
    expected: str
    told: str = ""  # of the circumstances
    environment: str | None = "production"
    at: str = FRIDAY  # in Berlin
    requester: Principal = ANA
    market: Market = field(default_factory=Market)


CALM, WILD = Market(Decimal("0.1")), Market(Decimal("0.4"))

PATTERNS: Mapping[str, Sequence[Scenario]] = {
    "1. Threshold": [
        Scenario(pay, [Decimal(250)], "allow"),
        Scenario(pay, [Decimal("5000.00")], ask(MANAGER)),
        Scenario(pay, [Decimal(50_000)], ask(CFO)),
        Scenario(pay, [Decimal(250_000)], ask(BOARD)),
        Scenario(pay, [Decimal(-5)], "deny"),
    ],
    "2. Environment": [
        Scenario(deploy, ["v1.2"], "allow", "development", environment="development"),
        Scenario(deploy, ["v1.2"], ask(RELEASES), "production"),
        Scenario(deploy, ["v1.2"], "deny", "nobody knows where", environment=None),
    ],
    "3. Risk": [
        Scenario(add_recipient, ["Acme", False], "allow"),
        Scenario(add_recipient, ["Globex", True], ask(SECURITY)),
        Scenario(add_recipient, ["Shady & Sons", False], "deny"),
    ],
    "4. Time": [
        Scenario(restart, ["billing"], "allow", "Friday morning"),
        Scenario(restart, ["billing"], ask(ON_CALL), "Saturday night", at=SATURDAY),
        Scenario(restart, ["billing"], ask(ON_CALL), "Christmas", at=CHRISTMAS),
    ],
    "5. Several criteria": [
        Scenario(refund, [Decimal(8_000), "DE", "web"], "allow"),
        Scenario(refund, [Decimal(8_000), "US", "web"], ask(SECURITY)),
        Scenario(refund, [Decimal(8_000), "DE", "phone"], ask(SECURITY)),
        Scenario(refund, [Decimal(80), "US", "phone"], "allow"),
    ],
    "6. Dynamic": [
        Scenario(trade, [100], "allow", "a calm market", market=CALM),
        Scenario(trade, [100], ask(MANAGER), "a wild market", market=WILD),
    ],
    "7. Additive": [
        Scenario(export, ["products", 10], "allow"),
        Scenario(export, ["customers", 10], "warn"),
        Scenario(export, ["products", 5_000], ask(SECURITY)),
        Scenario(export, ["customers", 5_000], "deny"),
        Scenario(export, ["customers", 5_000], ask(SECURITY), "a steward", requester=STEWARD),
    ],
    "8. Layered": [
        Scenario(pay_out, [Decimal(500)], "allow", "a test", environment="test"),
        Scenario(pay_out, [Decimal(500)], ask(MANAGER)),
        Scenario(pay_out, [Decimal(50_000)], f"{ask(CFO)} + manager@company.com"),
        Scenario(pay_out, [Decimal(-500)], "deny"),
    ],
    "9. Composite": [
        Scenario(erase, ["own", 500], "allow"),
        Scenario(erase, ["team", 20], ask(MANAGER)),
        Scenario(erase, ["team", 80], ask(CFO)),
        Scenario(erase, ["own", 1], "deny", "Saturday night", at=SATURDAY),
    ],
}


# How they are played.


class ClockAhead(SystemClock):
    """A clock on which it is some other time of the year."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        then = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo("Europe/Berlin"))
        self._ahead = then.timestamp() - super().now()

    def now(self) -> float:
        return super().now() + self._ahead


@dataclass(frozen=True)
class Played:
    """What came of a scenario, read from its journal, and what the caller got."""

    decision: str
    why: str
    ending: str

    @property
    def is_sound(self) -> bool:
        """Whether the caller was denied if, and only if, the decision says so."""
        return self.ending.startswith("denied") is (self.decision == "deny")


async def play(scenario: Scenario, url: str) -> Played:
    MARKET.volatility = scenario.market.volatility
    environment = {"name": scenario.environment} if scenario.environment else {}
    questions: asyncio.Queue[str] = asyncio.Queue()

    def notice(event: Event) -> None:
        if event.type == "policy.approval.requested":
            questions.put_nowait(json.loads(event.value or "")["approval_id"])

    async with Runtime(url, environment=environment, clock=ClockAhead(scenario.at), watchers=[notice]) as runtime:
        with acting_as(scenario.requester):
            handle = await runtime.start(scenario.call, *scenario.arguments)
        people = asyncio.create_task(say_yes(runtime, questions))
        try:
            ending = str(await handle.result(timeout=20))
        except PolicyDenied as denied:
            ending = f"denied by {denied.policy}"
        finally:
            people.cancel()
        return read_back(await handle.events(), ending)


async def say_yes(runtime: Runtime, questions: asyncio.Queue[str]) -> None:
    """All who are asked approve, one after another."""
    while True:
        approval = await questions.get()
        for open_one in await runtime.approvals():
            if open_one.id == approval:
                for approver in json.loads(open_one.request)["approvers"]:
                    await runtime.decide(approval, approver=approver, reason="looked at it")


def read_back(events: Sequence[Event], ending: str) -> Played:
    evaluated = next(json.loads(event.value or "") for event in events if event.type == "policy.evaluated")
    decisions = evaluated["decisions"]
    questions = [json.loads(event.value or "") for event in events if event.type == "policy.approval.requested"]
    asked = " + ".join(sorted(", ".join(question["approvers"]) for question in questions))
    warned = evaluated["outcome"] == "allow" and any(decision["outcome"] == "warn" for decision in decisions)
    said = "warn" if warned else f"ask {asked}" if asked else evaluated["outcome"]
    reasons = dict.fromkeys(decision["reason"] for decision in decisions if decision.get("reason"))
    return Played(said, "; ".join(reasons), ending)


def told(scenario: Scenario) -> str:
    """The scenario in a few words."""
    call = f"{scenario.call.name}({', '.join(map(str, scenario.arguments))})"
    return f"{call}, {scenario.told}" if scenario.told else call


async def main() -> int:
    surprises = 0
    with tempfile.TemporaryDirectory() as folder:
        for pattern, scenarios in PATTERNS.items():
            print(f"\n{pattern}\n  {'SCENARIO':42}{'DECISION':42}WHY")
            for place, scenario in enumerate(scenarios):
                played = await play(scenario, f"sqlite:///{Path(folder) / pattern[0]}-{place}.db")
                is_expected = played.decision == scenario.expected and played.is_sound
                surprises += not is_expected
                mark = " " if is_expected else "!"
                print(f"{mark} {told(scenario):42}{played.decision:42}{played.why}")
                if not is_expected:
                    print(f"  expected: {scenario.expected}; it came to: {played.ending}")
    count = sum(map(len, PATTERNS.values()))
    print(f"\n{count} scenarios, {surprises or 'none'} of them not as expected.")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

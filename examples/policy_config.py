"""One program under four policy files: what compliance wrote decides, and the code does not change.

    python examples/policy_config.py

The same two functions run with the files in `policies/`, each under a runtime of its own on a store that is removed in
the end. Where people are asked, the call comes back with their names, as a web handler would answer 202. If a
decision is not the expected one, or a broken file is not refused, the program ends with 1.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from assent import (
    ApprovalPending,
    ApprovalRequest,
    PolicyDenied,
    PolicyFileError,
    Principal,
    Runtime,
    acting_as,
    govern,
)

FOLDER = Path(__file__).parent / "policies"
ANA = Principal("ana@company.com", roles=["clerk"], permissions=["payments.create"])
EVE = Principal("eve@company.com", roles=["intern"])


@govern(labels=["money"], risk="medium")
async def wire_transfer(amount: Decimal, recipient: str, country: str = "DE") -> str:
    return f"{amount} EUR sent to {recipient}"


@govern(risk="medium")
async def run_command(command: str) -> str:
    return f"done: {command}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A policy file, and the environment that it is used in."""

    file: str
    environment: str

    def runtime(self, folder: Path) -> Runtime:
        store = f"sqlite:///{folder / f'{self.environment}-{self.file}.db'}"
        return Runtime(store, policies=FOLDER / self.file, environment={"name": self.environment})


@dataclass(frozen=True, slots=True)
class Scenario:
    """Somebody wants something, and what must come of it."""

    setting: Setting
    who: Principal
    wants: tuple[str, ...]  # an amount and a country, or a command
    expected: str


DEVELOPMENT = Setting("development.yaml", "development")
STAGING = Setting("production.yaml", "staging")
PRODUCTION = Setting("production.yaml", "production")
BANK = Setting("financial-services.json", "production")
OPERATIONS = Setting("operations.toml", "production")

SCENARIOS = [
    Scenario(DEVELOPMENT, EVE, ("50000", "DE"), "50000 EUR sent to Acme"),
    Scenario(DEVELOPMENT, EVE, ("0", "DE"), "denied by valid-amount"),
    Scenario(STAGING, ANA, ("600", "DE"), "600 EUR sent to Acme"),
    Scenario(STAGING, ANA, ("600", "DE"), "denied by daily-budget"),
    Scenario(PRODUCTION, ANA, ("999.99", "DE"), "999.99 EUR sent to Acme"),
    Scenario(PRODUCTION, ANA, ("1000.01", "DE"), "asks 1 of manager@company.com"),
    Scenario(PRODUCTION, ANA, ("50000", "DE"), "asks 1 of cfo@company.com"),
    Scenario(PRODUCTION, ANA, ("100000.01", "DE"), "asks all of cfo@company.com, ceo@company.com, role:board"),
    Scenario(PRODUCTION, EVE, ("5", "DE"), "denied by clerks-pay"),
    Scenario(BANK, ANA, ("5", "KP"), "denied by sanctions"),
    Scenario(BANK, ANA, ("5000", "DE"), "5000 EUR sent to Acme"),
    Scenario(BANK, ANA, ("5000.01", "DE"), "asks all of role:treasury, role:compliance"),
    Scenario(OPERATIONS, ANA, ("DROP TABLE users",), "denied by destructive-commands"),
    Scenario(OPERATIONS, ANA, ("systemctl restart web",), "asks 2 of role:oncall, lead@company.com"),
]

BROKEN = """\
version: 1
policies:
  - name: large-payments
    type: approval
    when: amount > 10000
    approvers: [cfo@company.com]
"""


async def outcome(runtime: Runtime, scenario: Scenario) -> str:
    """What comes of a scenario, in words."""
    try:
        with acting_as(scenario.who):
            if len(scenario.wants) == 1:
                return await run_command(*scenario.wants)
            amount, country = scenario.wants
            return await wire_transfer(Decimal(amount), "Acme", country)
    except PolicyDenied as denied:
        return f"denied by {denied.policy}"
    except ApprovalPending as pending:
        return f"asks {await asked(runtime, pending)}"


async def asked(runtime: Runtime, pending: ApprovalPending) -> str:
    """Whom the store says that the call waits for."""
    records = [each for each in await runtime.approvals() if each.id in pending.approvals]
    requests = [ApprovalRequest.from_text(each.request) for each in records]
    return "; ".join(f"{'all' if one.each else one.quorum} of {', '.join(one.approvers)}" for one in requests)


async def show(scenarios: list[Scenario], folder: Path) -> bool:
    """Run all scenarios and print what came of them. Returns whether all was as expected."""
    good = True
    for setting in dict.fromkeys(scenario.setting for scenario in scenarios):
        print(f"\n{setting.file}, environment {setting.environment}")
        async with setting.runtime(folder) as runtime:
            for scenario in (each for each in scenarios if each.setting is setting):
                found = await outcome(runtime, scenario)
                good = good and found == scenario.expected
                mark = "ok" if found == scenario.expected else f"EXPECTED {scenario.expected!r}"
                print(f"  {scenario.who.id:16} {' '.join(scenario.wants):22} {found:62} {mark}")
    return good


async def refused(folder: Path) -> bool:
    """Whether a runtime with a broken policy file does not even start."""
    path = folder / "broken.yaml"
    path.write_text(BROKEN, encoding="utf-8")
    try:
        async with Runtime(f"sqlite:///{folder / 'broken.db'}", policies=path):
            return False
    except PolicyFileError as error:
        print(f"\nA broken file keeps the runtime closed:\n  {str(error).replace(f'{folder}/', '')}")
        return True


async def main() -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return all([await show(SCENARIOS, folder), await refused(folder)])


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)

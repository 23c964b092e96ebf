"""How several people share one decision: stages, quorums, stand-ins, changes, conditions, second thoughts, mandates.

    python examples/multi_stage_approval.py

Nine scenes on one store, which is removed in the end. The people are played by this program, which says who decides
what and when; what comes of it is Assent's answer. If that is not what it should be, the program ends with 1.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from assent import (
    Action,
    ApprovalPolicy,
    ApprovalRecord,
    ApprovalRequest,
    ApprovalStage,
    Event,
    GovernanceError,
    Governed,
    Handle,
    Principal,
    Runtime,
    SequentialApprovalPolicy,
    ValidationPolicy,
    VerdictRefused,
    acting_as,
    govern,
)

ANA = "ana@company.com"  # asks for everything here
LAW, CFO, DEPUTY = "law@company.com", "cfo@company.com", "deputy@company.com"
TEAM, BOSS, CEO = "team@company.com", "boss@company.com", "ceo@company.com"
KIM, LEE, MAX = "kim@company.com", "lee@company.com", "max@company.com"  # the board


@govern(policies=[SequentialApprovalPolicy([ApprovalStage("legal", [LAW]), ApprovalStage("finance", [CFO])])])
async def sign_contract(partner: str) -> str:
    return f"signed with {partner}"


@govern(policies=[ApprovalPolicy(["role:board"], quorum=2)])
async def open_office(city: str) -> str:
    return f"an office in {city}"


@govern(policies=[ApprovalPolicy([LAW, CFO, CEO], quorum="all", require_reason=True)])
async def sell_division(name: str) -> str:
    return f"{name} sold"


# Nobody is asked for longer than 0.3 seconds here; in life these are hours.
@govern(policies=[ApprovalPolicy([TEAM], expires="300ms", on_expiry="escalate", escalate_to=[[BOSS], [CEO]])])
async def restore_backup(name: str) -> str:
    return f"{name} restored"


@govern(policies=[ApprovalPolicy([CFO])])
async def buy(item: str) -> str:
    return f"{item} bought"


def is_within_our_means(action: Action) -> bool:
    return bool(0 < action.amount <= 30_000)


@govern(policies=[ValidationPolicy(check=is_within_our_means), ApprovalPolicy([CFO])])
async def sponsor(club: str, amount: Decimal) -> str:
    return f"{amount} for {club}"


@govern(policies=[ApprovalPolicy([CFO, LAW], quorum=2)])
async def settle(case: str, amount: Decimal) -> str:
    return f"{case} settled for {amount}"


@govern(policies=[ApprovalPolicy([CFO])])
async def pay_invoice(supplier: str, amount: Decimal) -> str:
    return f"{amount} to {supplier}"


class Stage:
    """The runtime, the people who decide, and what was not as it should be."""

    def __init__(self, url: str) -> None:
        self.runtime = Runtime(url, watchers=[self.notice])
        self.surprises = 0
        self._news = asyncio.Event()

    def notice(self, event: Event) -> None:
        self._news.set()

    def tell(self, who: str, what: str, then: object = "") -> None:
        print(f"  {who:20}{what:46}{then}".rstrip())

    async def ask(self, action: Governed[..., Any], *arguments: Any) -> Handle[Any]:
        with acting_as(Principal(ANA)):
            handle = await self.runtime.start(action, *arguments)
        self.tell(ANA, f"wants {action.name}({', '.join(map(str, arguments))})")
        return handle

    async def asked(self, handle: Handle[Any], approver: str) -> ApprovalRecord:
        """Wait until an approval of the execution is open that is put to this person or role."""
        while True:
            self._news.clear()
            for approval in await self.runtime.approvals(execution_id=handle.id):
                if approver in ApprovalRequest.from_text(approval.request).approvers:
                    return approval
            await self._news.wait()

    async def say(
        self,
        who: str,
        decision: Literal["approve", "reject", "revoke"],
        approval: ApprovalRecord,
        expected: str,
        **more: Any,
    ) -> None:
        told = {"approve": "approves", "reject": "rejects", "revoke": "takes it back"}[decision]
        details = ", ".join(f"{name} {json.dumps(value)}" for name, value in more.items())
        try:
            after = await self.runtime.decide(approval.id, approver=who, decision=decision, **more)
            found = str(after.status)
        except VerdictRefused as refused:
            found = f"refused: {refused.reason}".replace(f"approval {approval.id}", "it").replace(approval.id, "it")
        self.tell(who, f"{told} {details}", found)
        self.check(found.startswith(expected), f"expected: {expected}")

    async def ends(self, handle: Handle[Any], expected: str) -> None:
        try:
            found = str(await handle.result(timeout=20))
        except GovernanceError as error:
            found = f"{type(error).__name__}: {getattr(error, 'reason', error)}"
        self.tell("it comes to", found)
        self.check(expected in found, f"expected: {expected}")

    def check(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.surprises += 1
            print(f"! {otherwise}")


async def stage_after_stage(stage: Stage) -> None:
    """Finance is asked when legal has approved."""
    contract = await stage.ask(sign_contract, "Globex")
    legal = await stage.asked(contract, LAW)
    await stage.say(CFO, "approve", legal, "refused: cfo@company.com is not an approver")
    await stage.say(LAW, "approve", legal, "granted", reason="clauses checked")
    await stage.say(CFO, "approve", await stage.asked(contract, CFO), "granted")
    await stage.ends(contract, "signed with Globex")


async def two_of_the_board(stage: Stage) -> None:
    """A role is whoever has it when they decide; the same person twice is one."""
    for person in (KIM, LEE, MAX):
        await stage.runtime.people.add(person, roles=["board"])
    office = await stage.ask(open_office, "Oslo")
    approval = await stage.asked(office, "role:board")
    await stage.say(KIM, "approve", approval, "pending")
    await stage.say(KIM, "approve", approval, "refused")
    await stage.say(CFO, "approve", approval, "refused")
    await stage.runtime.people.disable(KIM)
    stage.tell(KIM, "leaves the company")
    await stage.say(LEE, "approve", approval, "pending")
    await stage.say(MAX, "approve", approval, "granted")
    await stage.ends(office, "an office in Oslo")


async def all_of_them(stage: Stage) -> None:
    """Each one must approve, with a reason; one rejection is enough to end it."""
    division = await stage.ask(sell_division, "Toys")
    approval = await stage.asked(division, LAW)
    await stage.say(LAW, "approve", approval, "refused")
    await stage.say(LAW, "approve", approval, "pending", reason="no objections")
    await stage.say(CFO, "approve", approval, "pending", reason="a fair price")
    await stage.say(CEO, "reject", approval, "rejected", reason="we keep it")
    await stage.ends(division, "ApprovalRejected")


async def up_the_chain(stage: Stage) -> None:
    """Whoever does not answer in time is passed over, level by level."""
    backup = await stage.ask(restore_backup, "orders")
    await stage.asked(backup, TEAM)
    await stage.asked(backup, BOSS)
    stage.tell(TEAM, "does not answer", "put to the boss")
    approval = await stage.asked(backup, CEO)
    stage.tell(BOSS, "does not answer", "put to the CEO")
    await stage.say(CEO, "approve", approval, "granted")
    await stage.ends(backup, "orders restored")


async def while_away(stage: Stage) -> None:
    """A stand-in decides for somebody, for a time; of the two, one decides."""
    for person in (CFO, DEPUTY):
        await stage.runtime.people.add(person)
    machine = await stage.ask(buy, "a lathe")
    approval = await stage.asked(machine, CFO)
    await stage.say(DEPUTY, "approve", approval, "refused")
    leave = await stage.runtime.people.delegate(CFO, DEPUTY, until="14d", is_away=True, reason="on holiday")
    stage.tell(CFO, f"is away, and {DEPUTY} stands in")
    await stage.say(DEPUTY, "approve", approval, "granted")
    await stage.ends(machine, "a lathe bought")
    await stage.runtime.people.end_delegation(leave.id)


async def with_changes(stage: Stage) -> None:
    """The approver edits the amount. The edited action must pass every policy again, and needs no second click."""
    for amount, ending in (("18000", "18000 for the rowing club"), ("90000", "ValidationDenied")):
        gift = await stage.ask(sponsor, "the rowing club", Decimal(25_000))
        await stage.say(CFO, "approve", await stage.asked(gift, CFO), "amended", changes={"amount": amount})
        await stage.ends(gift, ending)


async def on_conditions(stage: Stage) -> None:
    """A conditional yes counts as soon as somebody makes the action fit."""
    case = await stage.ask(settle, "case 7", Decimal(25_000))
    approval = await stage.asked(case, LAW)
    await stage.say(LAW, "approve", approval, "pending", conditions=["amount <= 20000"])
    await stage.say(CFO, "approve", approval, "amended", changes={"amount": "19500"})
    await stage.ends(case, "case 7 settled for 19500")


async def second_thoughts(stage: Stage) -> None:
    """Until it is acted upon, a yes can be taken back, although it was granted."""
    contract = await stage.ask(sign_contract, "Initech")
    legal = await stage.asked(contract, LAW)
    await stage.say(LAW, "approve", legal, "granted")
    finance = await stage.asked(contract, CFO)
    await stage.say(LAW, "revoke", legal, "revoked", reason="they are being sued")
    await stage.say(CFO, "approve", finance, "granted")
    await stage.ends(contract, "PermitRefused")


async def one_yes_for_many(stage: Stage) -> None:
    """A mandate: one approval for a bounded series. What does not fit asks people."""
    with acting_as(Principal(ANA)):
        question = await stage.runtime.ask_mandate(
            pay_invoice, approvers=[CFO], until="8h", count=5, total=Decimal(30_000), only=['supplier == "acme"']
        )
    stage.tell(ANA, "asks for a mandate: acme, 30,000 in all, today")
    await stage.say(CFO, "approve", await stage.asked(question, CFO), "granted")
    mandate = await question.result()
    for amount in (12_000, 9_000):
        await stage.ends(await stage.ask(pay_invoice, "acme", Decimal(amount)), f"{amount} to acme")
    (left,) = await stage.runtime.mandates()
    stage.tell("the mandate", f"has {left.total} left, for {left.count} invoices")
    stage.check(left.total == Decimal(9_000) and left.count == 3, "expected: 9000 left, for 3 invoices")
    for supplier, amount in (("acme", 9_001), ("globex", 10)):
        invoice = await stage.ask(pay_invoice, supplier, Decimal(amount))
        await stage.say(CFO, "reject", await stage.asked(invoice, CFO), "rejected", reason="not under the mandate")
        await stage.ends(invoice, "ApprovalRejected")
    revoked = await stage.runtime.revoke(mandate, approver=CFO, reason="acme has enough")
    stage.tell(CFO, "takes the mandate back", revoked.status)
    last = await stage.ask(pay_invoice, "acme", Decimal(10))
    await stage.say(CFO, "approve", await stage.asked(last, CFO), "granted")
    await stage.ends(last, "10 to acme")


SCENES: Sequence[tuple[str, Callable[[Stage], Awaitable[None]]]] = [
    ("Stage after stage", stage_after_stage),
    ("Two of the board", two_of_the_board),
    ("All of them", all_of_them),
    ("Up the chain", up_the_chain),
    ("While away", while_away),
    ("With changes", with_changes),
    ("On conditions", on_conditions),
    ("Second thoughts", second_thoughts),
    ("One yes for many", one_yes_for_many),
]


async def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(f"sqlite:///{Path(folder) / 'multi_stage_approval.db'}")
        async with stage.runtime:
            for number, (title, scene) in enumerate(SCENES, start=1):
                print(f"\n{number}. {title}: {scene.__doc__}")
                await scene(stage)
    print(f"\n{len(SCENES)} scenes, {stage.surprises or 'none'} of the answers not as expected.")
    return 1 if stage.surprises else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

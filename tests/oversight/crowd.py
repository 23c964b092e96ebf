"""People who decide at random: rightly and wrongly, twice, under conditions, with changes, for each other, and not."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random  # noqa: TID251 - seeded, so that the same people do the same again
from typing import Any, Final

from assent import GovernanceError, Runtime, UsageError
from assent.governance import ApprovalRequest
from assent.store import ApprovalRecord, ApprovalStatus

ROLES: Final[dict[str, list[str]]] = {
    "ann@x.org": [],
    "bob@x.org": [],
    "cid@x.org": [],
    "eve@x.org": ["finance"],
    "fay@x.org": ["finance"],
    "gil@x.org": ["finance", "legal"],
    "lea@x.org": ["legal"],
    "cfo@x.org": [],
    "dan@x.org": [],
    "mal@x.org": [],
}
REQUESTERS: Final = ("req@x.org", "ann@x.org", "fay@x.org")
EVERYBODY: Final = (*ROLES, "req@x.org", "nobody@x.org")


@dataclass(frozen=True, slots=True)
class Spell:
    """Somebody was disabled, or stood in for somebody, from then until then."""

    who: str
    since: float
    until: float
    stands_for: str = ""


@dataclass
class Crowd:
    """Acts on what is open, until it is told to stop."""

    runtime: Runtime
    chance: Random
    disabled: list[Spell] = field(default_factory=list)
    lent: list[Spell] = field(default_factory=list)
    acts: int = 0

    async def arrive(self) -> None:
        for who, roles in ROLES.items():
            await self.runtime.people.add(who, roles=roles)

    async def act_on_all(self) -> int:
        """Do something about most that is open; returns how much is."""
        found = await self.runtime.approvals(limit=300)
        # What soon lapses comes first: on a busy machine a round takes longer than that.
        for record in sorted(found, key=lambda one: one.expires_at or float("inf")):
            if self.chance.random() < 0.6:
                await self.act(record)
        if self.chance.random() < 0.3:
            await self.take_back()
        if self.chance.random() < 0.15:
            await self.change_places()
        return len(found)

    async def act(self, record: ApprovalRecord) -> None:
        request = ApprovalRequest.from_text(record.request)
        if request.kind == "mandate":
            return
        self.acts += 1
        dice = self.chance.random()
        who = self.somebody_right(request) if self.chance.random() < 0.8 else self.chance.choice(EVERYBODY)
        if record.expires_at is not None and record.expires_at - record.created_at < 60 and not self.is_last(request):
            return
        if dice < 0.72:
            await self.say(record, who, reason=self.chance.choice(["", "fine", "fine by me"]))
        elif dice < 0.8:
            bound = self.chance.choice([50, 150, 400, 1000])
            await self.say(record, who, reason="up to that", conditions=[f"amount <= {bound}"])
        elif dice < 0.91:
            await self.say(record, who, reason="rather so", changes=self.changes())
        elif dice < 0.94:
            await self.say(record, who, decision="reject", reason="no")
        else:
            await self.say(record, who, decision="revoke", reason="wait")

    def is_last(self, request: ApprovalRequest) -> bool:
        """Whether people care about what soon lapses: nearly always once it has come to the last who are asked."""
        return self.chance.random() < (0.8 if request.escalated_at and not request.escalate_to else 0.3)

    def changes(self) -> dict[str, Any]:
        amount = self.chance.choice(["20", "80.50", "120", "333.33", "900"])
        return self.chance.choice(
            [
                {"amount": amount},
                {"amount": amount},
                {"supplier": f"s{self.chance.randrange(6)}"},
                {"amount": "a lot"},
                {"nothing": 1},
            ]
        )

    def somebody_right(self, request: ApprovalRequest) -> str:
        entry = self.chance.choice(request.approvers)
        if not entry.startswith("role:"):
            return self.chance.choice([entry, entry, entry, "dan@x.org"])
        return self.chance.choice([who for who, roles in ROLES.items() if entry.removeprefix("role:") in roles])

    async def say(self, record: ApprovalRecord, who: str, **verdict: Any) -> None:
        # It does not count, and is on record as such; what fits no function is not even heard.
        with suppress(GovernanceError, UsageError):
            await self.runtime.decide(record.id, approver=who, **verdict)

    async def take_back(self) -> None:
        granted = await self.runtime.approvals(ApprovalStatus.GRANTED, limit=10_000)
        open_ones = [one for one in granted[-80:] if one.used_by is None]
        for record in self.chance.sample(open_ones, min(3, len(open_ones))):
            request = ApprovalRequest.from_text(record.request)
            if request.kind != "mandate" or self.chance.random() < 0.05:
                await self.say(record, self.somebody_right(request), decision="revoke", reason="on second thoughts")

    async def change_places(self) -> None:
        """Somebody is disabled for a moment, or lends their seat to another."""
        now = self.runtime.clock.now()
        if self.chance.random() < 0.4:
            who = self.chance.choice(["bob@x.org", "fay@x.org", "lea@x.org"])
            await self.runtime.people.disable(who)
            since = self.runtime.clock.now()
            await self.act_on_all_but(who)
            until = self.runtime.clock.now()
            await self.runtime.people.enable(who)
            self.disabled.append(Spell(who, since, until))
            return
        giver, length = self.chance.choice(["cfo@x.org", "ann@x.org", "lea@x.org"]), self.chance.uniform(0.2, 1.5)
        with suppress(UsageError):  # the one who is stood in for may be disabled
            await self.runtime.people.delegate(giver, "dan@x.org", until=length)
            self.lent.append(Spell("dan@x.org", now, now + length + 0.1, giver))

    async def act_on_all_but(self, who: str) -> None:
        for record in (await self.runtime.approvals(limit=20))[:10]:
            await self.say(record, who, reason="I am still here")
        await asyncio.sleep(0)


def amount_of(chance: Random) -> Decimal:
    return Decimal(chance.choice(["12.50", "80", "99.99", "100", "250.25", "640", "1200"]))

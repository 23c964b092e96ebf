"""Effects under every kind of oversight, and what each of them needs, said once more in plain words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, so that every process draws the same
from typing import Any, Final

from assent import (
    NOT_DONE,
    Action,
    ApprovalPolicy,
    ApprovalStage,
    BudgetPolicy,
    Governed,
    Policy,
    Preview,
    RateLimitPolicy,
    SequentialApprovalPolicy,
    ValidationPolicy,
    govern,
    idempotency_key,
    policy,
)
from assent.codec import to_json
from assent.policies import load_policies
from assent.testing import Ledger

EFFECTS: Final = "effects.jsonl"
FINANCE, LEGAL = "role:finance", "role:legal"
BUDGET: Final = Decimal(6000)
THROTTLE: Final = 100  # calls at once; fewer than there are
SOON: Final = 2.0  # seconds until what nobody decides lapses


def happen(name: str, case: int, amount: Decimal, supplier: str) -> str:
    """The effect: a line in a ledger that no journal knows of."""
    what = to_json({"name": name, "case": case, "amount": str(amount), "supplier": supplier})
    Ledger(EFFECTS).enter(what, idempotency_key())
    return what


async def look_up(action: Action) -> Any:
    """What a payment service would say of a payment with that key."""
    entry = Ledger(EFFECTS).find(action.idempotency_key or "")
    return NOT_DONE if entry is None else entry.what


def is_small(action: Action) -> bool:
    return bool(action.amount < 100)


@govern(
    ApprovalPolicy(["ann@x.org", "bob@x.org", "cid@x.org", "eve@x.org"], quorum=2, exclude=["eve@x.org"]),
    verify=look_up,
)
async def quorum_of_two(case: int, amount: Decimal, supplier: str) -> str:
    return happen("quorum_of_two", case, amount, supplier)


@govern(
    SequentialApprovalPolicy([ApprovalStage("finance", [FINANCE]), ApprovalStage("chief", ["cfo@x.org"])]),
    verify=look_up,
)
async def in_stages(case: int, amount: Decimal, supplier: str) -> str:
    return happen("in_stages", case, amount, supplier)


@govern(ApprovalPolicy([FINANCE, LEGAL], quorum="all"), verify=look_up)
async def all_of(case: int, amount: Decimal, supplier: str) -> str:
    return happen("all_of", case, amount, supplier)


@govern(
    [
        BudgetPolicy(BUDGET, "30d", per=lambda action: str(action.supplier), name="spending"),
        ApprovalPolicy(["ann@x.org", "bob@x.org"], auto_approve=is_small),
    ],
    verify=look_up,
)
async def within_budget(case: int, amount: Decimal, supplier: str) -> str:
    if case % 11 == 0:
        raise ValueError("the bank says no")  # and nothing has happened
    return happen("within_budget", case, amount, supplier)


@govern(ApprovalPolicy(["ann@x.org", "bob@x.org"]), verify=look_up)
async def under_mandate(case: int, amount: Decimal, supplier: str) -> str:
    return happen("under_mandate", case, amount, supplier)


@govern(
    ApprovalPolicy(
        ["away@x.org"],
        expires=SOON,
        on_expiry="escalate",
        escalate_to=[["gone@x.org"], ["cfo@x.org", FINANCE]],
    ),
    verify=look_up,
)
async def escalating(case: int, amount: Decimal, supplier: str) -> str:
    return happen("escalating", case, amount, supplier)


@govern(ApprovalPolicy(["ann@x.org"], expires=SOON, on_expiry="approve", remind=[SOON / 2]), verify=look_up)
async def by_silence(case: int, amount: Decimal, supplier: str) -> str:
    return happen("by_silence", case, amount, supplier)


@govern(ApprovalPolicy(["ann@x.org"], expires=SOON), verify=look_up)
async def lapsing(case: int, amount: Decimal, supplier: str) -> str:
    return happen("lapsing", case, amount, supplier)


@policy(name="would deny", mode="shadow")
def would_deny(action: Action, facts: Any) -> bool:
    return False


@govern(
    [
        would_deny,
        ApprovalPolicy(["ann@x.org", "bob@x.org"], name="money"),
        ApprovalPolicy([LEGAL], name="law", require_reason=True),
    ],
    verify=look_up,
)
async def two_at_once(case: int, amount: Decimal, supplier: str) -> str:
    return happen("two_at_once", case, amount, supplier)


@govern(ValidationPolicy(check=lambda action: action.case % 3 != 0), verify=look_up)
async def checked(case: int, amount: Decimal, supplier: str) -> str:
    return happen("checked", case, amount, supplier)


async def shown(action: Action) -> Preview:
    return Preview.table([{"supplier": action.supplier, "after": action.amount}])


@govern(ApprovalPolicy(["ann@x.org", "cfo@x.org"], on_preview_error="deny"), preview=shown, verify=look_up)
async def previewed(case: int, amount: Decimal, supplier: str) -> str:
    return happen("previewed", case, amount, supplier)


@govern([RateLimitPolicy(THROTTLE, "1h"), ApprovalPolicy([LEGAL], auto_approve=is_small)], verify=look_up)
async def throttled(case: int, amount: Decimal, supplier: str) -> str:
    return happen("throttled", case, amount, supplier)


@govern(load_policies(Path(__file__).with_name("rules.yaml")), verify=look_up)
async def by_file(case: int, amount: Decimal, supplier: str) -> str:
    return happen("by_file", case, amount, supplier)


# As many as have no divisor in common with the numbers by which cases get their suppliers and fail.
@dataclass(frozen=True, slots=True)
class Need:
    """One consent without which an effect has no authority."""

    policy: str
    entries: tuple[str, ...]  # whose consent counts
    stage: int = 1
    quorum: int = 1
    each: bool = False
    barred: tuple[str, ...] = ()  # whose consent never does
    silence: bool = False  # nobody having objected is consent as well
    reason: bool = False


# Some more, of policies that were drawn at random; what each asks for stands beside it.
MENU: Final[Sequence[tuple[Policy, tuple[Need, ...]]]] = (
    (ApprovalPolicy(["ann@x.org", "bob@x.org"], name="either"), (Need("either", ("ann@x.org", "bob@x.org")),)),
    (ApprovalPolicy([FINANCE], quorum=2, name="finance"), (Need("finance", (FINANCE,), quorum=2),)),
    (
        ApprovalPolicy(["cfo@x.org", LEGAL], require_reason=True, name="why"),
        (Need("why", ("cfo@x.org", LEGAL), reason=True),),
    ),
    (
        SequentialApprovalPolicy([ApprovalStage("law", [LEGAL]), ApprovalStage("chief", ["cfo@x.org"])], name="steps"),
        (Need("steps", (LEGAL,)), Need("steps", ("cfo@x.org",), stage=2)),
    ),
    (
        ApprovalPolicy(["cid@x.org"], expires=SOON, on_expiry="approve", name="silent"),
        (Need("silent", ("cid@x.org",), silence=True),),
    ),
    (
        ApprovalPolicy(["ann@x.org", "cid@x.org"], quorum="all", name="both"),
        (Need("both", ("ann@x.org", "cid@x.org"), each=True),),
    ),
    (ValidationPolicy(check=lambda action: action.amount < 1000, name="limit"), ()),
    (RateLimitPolicy(500, "1h", name="rate"), ()),
    (would_deny, ()),
)


def mixed(number: int) -> tuple[Governed[Any, Any], tuple[Need, ...]]:
    """A function under two to four policies."""
    chance, name = Random(number), f"mixed_{number}"
    drawn = chance.sample(MENU, chance.randint(2, 4))

    async def pay(case: int, amount: Decimal, supplier: str) -> str:
        return happen(name, case, amount, supplier)

    governed = govern([policy for policy, _ in drawn], verify=look_up, name=name)(pay)
    return governed, tuple(need for _, needs in drawn for need in needs)


MIXED: Final = {number: mixed(number) for number in range(9)}

ALL: Final[Sequence[Governed[Any, Any]]] = (
    quorum_of_two,
    in_stages,
    all_of,
    within_budget,
    under_mandate,
    escalating,
    by_silence,
    lapsing,
    two_at_once,
    checked,
    previewed,
    throttled,
    by_file,
    *(governed for governed, _ in MIXED.values()),
)


def always(needs: Sequence[Need]) -> Callable[[Decimal], list[Need]]:
    return lambda _: list(needs)


NEEDS: Final[dict[str, Callable[[Decimal], list[Need]]]] = {
    "quorum_of_two": lambda _: [Need("approval", ("ann@x.org", "bob@x.org", "cid@x.org"), quorum=2)],
    "in_stages": lambda _: [Need("approval", (FINANCE,)), Need("approval", ("cfo@x.org",), stage=2)],
    "all_of": lambda _: [Need("approval", (FINANCE, LEGAL), each=True)],
    "within_budget": lambda amount: [] if amount < 100 else [Need("approval", ("ann@x.org", "bob@x.org"))],
    "under_mandate": lambda _: [Need("approval", ("ann@x.org", "bob@x.org"))],
    "escalating": lambda _: [Need("approval", ("away@x.org", "gone@x.org", "cfo@x.org", FINANCE))],
    "by_silence": lambda _: [Need("approval", ("ann@x.org",), silence=True)],
    "lapsing": lambda _: [Need("approval", ("ann@x.org",))],
    "two_at_once": lambda _: [Need("money", ("ann@x.org", "bob@x.org")), Need("law", (LEGAL,), reason=True)],
    "checked": lambda _: [],
    "previewed": lambda _: [Need("approval", ("ann@x.org", "cfo@x.org"))],
    "throttled": lambda amount: [] if amount < 100 else [Need("approval", (LEGAL,))],
    "by_file": lambda amount: [] if amount < 100 else [Need("large", (FINANCE, "cfo@x.org"), barred=("fay@x.org",))],
    **{governed.name: always(needs) for governed, needs in MIXED.values()},
}

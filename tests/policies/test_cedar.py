"""Policies in Cedar: what they see, and that they deny whenever they cannot say yes."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assent import Facts, Principal, UsageError
from assent.governance import Action, Ruling, evaluate_all
from assent.policies.cedar import CedarPolicy

CLERK = Principal("ana@company.com", roles=["clerk"], permissions=["pay"])
PERMIT = "permit(principal, action, resource)"


async def ruled(text: str, /, requester: Principal | None = CLERK, environment: Any = None, **arguments: Any) -> Ruling:
    action = Action(name="pay", arguments=arguments, requester=requester, labels=frozenset(["money"]), risk="high")
    return await evaluate_all([CedarPolicy(text)], action, Facts(now=100.0, environment=environment or {}))


@pytest.mark.parametrize(
    "condition",
    [
        'principal == User::"ana@company.com" && principal in Role::"clerk"',
        'principal.permissions.contains("pay")',
        'action == Action::"pay" && resource == Call::"pay"',
        'resource.labels.contains("money") && resource.risk == "high"',
        'context.args.amount.lessThan(decimal("10.0001")) && context.args.count == 3',
        'context.args.order.lines.contains("a") && context.args has order && !(context.args has none)',
        'context.environment.name == "production" && context.now == 100',
        "context.args.at < context.now",
    ],
)
async def test_a_policy_sees_the_action(condition: str) -> None:
    ruling = await ruled(
        f"{PERMIT} when {{ {condition} }};",
        environment={"name": "production"},
        amount=Decimal("10.0000"),
        count=3,
        order={"lines": ["a", "b"]},
        none=None,
        at=datetime(1970, 1, 1, 0, 1, tzinfo=UTC),
    )
    assert ruling.outcome == "allow", ruling.denials


async def test_what_nobody_permits_is_denied_and_what_one_forbids_too() -> None:
    assert (await ruled('permit(principal in Role::"boss", action, resource);')).outcome == "deny"
    both = f'{PERMIT}; @id("frozen") forbid(principal, action, resource) when {{ resource.risk == "high" }};'
    ruling = await ruled(both)
    assert [each.reason for each in ruling.denials] == ["forbidden by frozen"]
    assert (await ruled(f'@id("all") {PERMIT};')).decisions[0].reason == "permitted by all"


async def test_nobody_is_nobody() -> None:
    assert (await ruled('permit(principal in Role::"clerk", action, resource);', None)).outcome == "deny"
    assert (await ruled(f'{PERMIT} unless {{ principal == User::"" }};', None)).outcome == "deny"


@pytest.mark.parametrize(
    ("condition", "arguments"),
    [
        ("context.args.missing == 1", {}),  # a policy that forbids must not drop out
        ("context.args.amount.lessThan(decimal(\"1.0\"))", {"amount": 5}),
        ("true", {"amount": Decimal("0.00001")}),
        ("true", {"amount": Decimal(10) ** 30}),
        ("true", {"amount": float("nan")}),
        ("true", {"data": object()}),
        ("true", {"who": {"__entity": {"type": "Role", "id": "boss"}}}),
        ("true", {"who": {"__extn": {"fn": "decimal", "arg": "1.0"}}}),
    ],
)  # fmt: skip
async def test_what_cannot_be_judged_is_denied(condition: str, arguments: dict[str, Any]) -> None:
    forbids = f"{PERMIT}; forbid(principal, action, resource) when {{ {condition} }};"
    permits = f"{PERMIT} when {{ {condition} }};"
    for text in (forbids, permits):
        assert (await ruled(text, **arguments)).outcome == "deny"


def test_policies_come_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "pay.cedar"
    path.write_text(f"{PERMIT};", encoding="utf-8")
    assert CedarPolicy(path).fingerprint() == CedarPolicy(f"{PERMIT};").fingerprint()
    assert CedarPolicy(f"{PERMIT};").fingerprint() != CedarPolicy(f"{PERMIT}; {PERMIT};").fingerprint()
    with pytest.raises(UsageError, match="cannot be read"):
        CedarPolicy(tmp_path / "gone.cedar")


@pytest.mark.parametrize("text", ["permit(", "", "// nothing\n"])
def test_text_that_is_no_cedar_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"Cedar|empty"):
        CedarPolicy(text)

"""What people do beside yes and no: change arguments, set conditions, take back, and be reminded."""

import asyncio
import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import pytest

from assent import (
    ApprovalExpired,
    ApprovalPolicy,
    ApprovalRejected,
    ApprovalStage,
    AuditPolicy,
    Event,
    PermitRefused,
    Runtime,
    SequentialApprovalPolicy,
    ValidationDenied,
    ValidationPolicy,
    VerdictRefused,
    approve,
    govern,
    workflow,
)
from assent.codec import from_json
from assent.store import ApprovalRecord
from tests.governance.doors import DeadlyDoor, nth
from tests.governance.ground import CEO, CFO, LAW, Effects, Ground, types

effects = Effects()
TWO = ApprovalPolicy([CFO, CEO, LAW], quorum=2, name="money")


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


@govern([ApprovalPolicy([CFO, CEO], name="money"), ValidationPolicy(check=lambda action: action.amount <= 20_000)])
async def wire(amount: Decimal, recipient: str = "acme", password: str = "hunter2") -> str:
    await effects.have(amount, recipient, password)
    return f"sent {amount}"


def governed(name: str, *policies: Any) -> Any:
    return govern(list(policies), name=name)(wire.__wrapped__)


async def open_ones(ground: Ground, runtime: Runtime, times: int) -> list[ApprovalRecord]:
    """What is open once people have been asked so many times and everything waits."""
    await ground.until("policy.approval.requested", times)
    await asyncio.sleep(1)
    return await runtime.approvals()


def facts(events: Sequence[Event], type: str) -> list[Any]:
    return [from_json(event.value or "{}") for event in events if event.type == type]


# Changes


async def test_an_approver_edits_and_the_edited_action_happens_under_a_new_approval(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(18_500))
        (asked,) = await ground.asked(runtime)
        amended = await ground.say(runtime, asked, CFO, changes={"amount": "18000.00"}, reason="the agreed price")
        assert amended.status == "amended"
        assert await handle.result() == "sent 18000.00"
        events = await handle.events()
        first, second = await runtime.approvals(None)
    assert effects == [(Decimal("18000.00"), "acme", "hunter2")]
    assert (first.status, first.used_by, second.status, second.used_by is None) == ("amended", None, "granted", False)
    (edited,) = facts(events, "policy.approval.edited")
    assert (edited["approver"], edited["changes"]) == (CFO, {"amount": "18000.00"})
    assert edited["instead_of"] != edited["action_digest"] == from_json(second.request)["action_digest"]
    assert types(events, "policy.approval", "permit") == [
        "policy.approval.requested", "policy.approval.amended", "policy.approval.edited", "policy.approval.requested",
        "policy.approval.granted", "permit.issued", "permit.consumed",
    ]  # fmt: skip
    assert types(events).count("policy.evaluated") == 2
    assert "hunter2" not in ground.shown()


async def test_the_edited_action_passes_every_policy_again(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(500))
        (asked,) = await ground.asked(runtime)
        await ground.say(runtime, asked, CFO, changes={"amount": "20000.01"})
        with pytest.raises(ValidationDenied):
            await handle.result()
    assert effects == []


async def test_the_editor_counts_once_and_those_who_approved_before_do_not(ground: Ground) -> None:
    wire = governed("two", TWO)
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(500))
        (asked,) = await ground.asked(runtime)
        await ground.say(runtime, asked, CEO)
        await ground.say(runtime, asked, CFO, changes={"amount": "400"})
        (asked,) = await open_ones(ground, runtime, 2)
        assert from_json(asked.request)["arguments"]["amount"] == "400"
        with pytest.raises(VerdictRefused, match="already said"):
            await ground.say(runtime, asked, CFO)
        assert effects == []
        await ground.say(runtime, asked, CEO)
        await handle.result()
    assert effects == [(Decimal(400), "acme", "hunter2")]


@pytest.mark.parametrize(
    ("conditions", "carries"),
    [
        (["amount <= 450"], True),
        (["amount <= 450", 'recipient == "acme"'], True),
        (["amount <= 300"], False),
        (['recipient == "acme"'], False),
        (["amount <= 450", 'recipient == "other"'], False),
    ],
)
async def test_a_conditional_approval_carries_over_if_it_limits_what_was_changed_and_holds(
    ground: Ground, conditions: list[str], carries: bool
) -> None:
    wire = governed("two", TWO)
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(500))
        (asked,) = await ground.asked(runtime)
        await ground.say(runtime, asked, CEO, conditions=conditions)
        assert (await runtime.approvals())[0].status == "pending"
        await ground.say(runtime, asked, CFO, changes={"amount": "400"})
        if not carries:
            (asked,) = await open_ones(ground, runtime, 2)
            assert effects == []
            await ground.say(runtime, asked, LAW)
        await handle.result()
    assert effects == [(Decimal(400), "acme", "hunter2")]


async def test_a_condition_that_was_taken_back_does_not_carry_over(ground: Ground) -> None:
    wire = governed("two", TWO)
    async with ground.runtime(wire) as runtime:
        await runtime.start(wire, Decimal(500))
        (asked,) = await ground.asked(runtime)
        await ground.say(runtime, asked, CEO, conditions=["amount <= 450"])
        await ground.say(runtime, asked, CEO, "revoke")
        await ground.say(runtime, asked, CFO, changes={"amount": "400"})
        (asked,) = await open_ones(ground, runtime, 2)
    assert (asked.status, effects) == ("pending", [])


@pytest.mark.parametrize("others", [[CFO], [CFO, CEO]], ids=["alike", "of one name"])
async def test_an_edit_is_one_voice_in_one_of_two_questions(ground: Ground, others: list[str]) -> None:
    wire = governed("twice", ApprovalPolicy([CFO]), ApprovalPolicy(others))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(500))
        asked = await open_ones(ground, runtime, 2)
        first = next(one for one in asked if from_json(one.request)["approvers"] == [CFO])
        await ground.say(runtime, first, CFO, changes={"amount": "400"})
        (left,) = await open_ones(ground, runtime, 4)
        assert effects == []
        await ground.say(runtime, left, CFO)
        await handle.result()
    assert effects == [(Decimal(400), "acme", "hunter2")]


async def test_what_people_approved_in_other_places_is_asked_again(ground: Ground) -> None:
    stages = SequentialApprovalPolicy([ApprovalStage("law", [LAW]), ApprovalStage("money", [CFO])], name="stages")
    wire = governed("both", stages, ApprovalPolicy([CEO], name="boss"))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(500))
        for each in await open_ones(ground, runtime, 2):
            if LAW in each.request:
                await ground.say(runtime, each, LAW)
        boss, money = sorted(await open_ones(ground, runtime, 3), key=lambda each: CFO in each.request)
        await ground.say(runtime, money, CFO, changes={"amount": "400"})
        again = await open_ones(ground, runtime, 5)
        assert (await runtime.approvals(None))[0].status in {"withdrawn", "granted"}
        with pytest.raises(VerdictRefused, match="withdrawn"):
            await ground.say(runtime, boss, CEO)
        for each in again:
            await ground.say(runtime, each, CEO if CEO in each.request else LAW)
        # The stage of money is opened last, and the editor has agreed to it already.
        await handle.result()
        statuses = sorted(each.status for each in await runtime.approvals(None))
    assert effects == [(Decimal(400), "acme", "hunter2")]
    assert statuses == ["amended", "granted", "granted", "granted", "granted", "withdrawn"]


async def test_an_edit_that_the_function_does_not_take_is_refused_and_the_original_asked_again(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(500))
        (asked,) = await ground.asked(runtime)
        await ground.say(runtime, asked, CFO, changes={"amount": "a lot"})
        (asked,) = await open_ones(ground, runtime, 2)
        assert (from_json(asked.request)["arguments"]["amount"], effects) == ("500", [])
        await ground.say(runtime, asked, CEO)
        await handle.result()
        (refused,) = facts(await handle.events(), "policy.approval.edit_refused")
    assert "amount" in refused["reason"]
    assert effects == [(Decimal(500), "acme", "hunter2")]


async def test_an_edit_may_be_edited_and_rejected(ground: Ground) -> None:
    wire = governed("two", TWO)
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(500))
        for times, amount in enumerate(("400", "300"), start=1):
            (asked,) = await open_ones(ground, runtime, times)
            await ground.say(runtime, asked, (CFO, CEO)[times - 1], changes={"amount": amount})
        (asked,) = await open_ones(ground, runtime, 3)
        await ground.say(runtime, asked, LAW, "reject", reason="no")
        with pytest.raises(ApprovalRejected, match="no"):
            await handle.result()
    assert effects == []


async def test_secrets_keep_their_values_and_cannot_be_edited(ground: Ground) -> None:
    @govern([ApprovalPolicy([CFO]), AuditPolicy()], name="sealed")
    async def sealed(amount: int, api_key: str, card: dict[str, str]) -> str:
        await effects.have(amount, api_key, card)
        return "sent"

    card = {"number": "1", "pin": "9876"}
    async with ground.runtime(sealed) as runtime:
        handle = await runtime.start(sealed, 5, "topsecret", card)
        for times, (changes, accepted) in enumerate(
            [({"api_key": "other"}, False), ({"card": {"number": "2"}}, False), ({"amount": 4}, True)], start=1
        ):
            (asked,) = await ground.asked(runtime)
            if accepted:
                await ground.say(runtime, asked, CFO, changes=changes)
                continue
            with pytest.raises(VerdictRefused, match="redacted"):
                await ground.say(runtime, asked, CFO, changes=changes)
            assert times < 3
        assert await handle.result() == "sent"
    assert effects == [(4, "topsecret", card)]
    assert "topsecret" not in ground.shown()
    assert "9876" not in ground.shown()


async def test_in_a_workflow_the_call_returns_what_the_edited_action_did(ground: Ground) -> None:
    @workflow
    async def pay() -> list[str]:
        return list(await asyncio.gather(wire(Decimal(1)), wire(Decimal(2))))

    async with ground.runtime(pay) as runtime:
        handle = await runtime.start(pay)
        for each in await open_ones(ground, runtime, 2):
            amount = from_json(each.request)["arguments"]["amount"]
            await ground.say(runtime, each, CFO, changes={"amount": f"{amount}0"})
        assert await handle.result() == ["sent 10", "sent 20"]


async def test_killed_at_any_commit_the_edited_action_happens_once_or_is_in_doubt(ground: Ground) -> None:
    async def go(runtime: Runtime, call_id: str) -> Any:
        handle = await runtime.start(wire, Decimal(500), id=call_id)
        for _ in range(40):
            for each in await runtime.approvals(execution_id=call_id):
                amount = from_json(each.request)["arguments"]["amount"]
                changes: Any = {"changes": {"amount": "400"}} if amount == "500" else {}
                await ground.say(runtime, each, CFO, **changes)
            record = await handle.record()
            if record.status.is_final or record.status == "in_doubt":
                return record.status.value
            await asyncio.sleep(2)
        raise AssertionError(types(await handle.events()))

    ends = []
    for number in itertools.count(1):
        effects.clear()
        door, call_id = DeadlyDoor(ground.store(), nth(number)), f"killed {number}"
        async with ground.runtime(wire, store=door) as runtime:
            life = asyncio.create_task(go(runtime, call_id))
            death = asyncio.create_task(door.died.wait())
            await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
            life.cancel()
            death.cancel()
            await asyncio.gather(life, death, return_exceptions=True)
        async with ground.runtime(wire) as runtime:
            ends.append(await go(runtime, call_id))
        assert effects == [(Decimal(400), "acme", "hunter2")] * len(effects)
        assert len(effects) == 1 or (ends[-1] == "in_doubt" and not effects)
        if not door.died.is_set():
            break
    assert set(ends) == {"completed", "in_doubt"}
    assert len(ends) > 8


@pytest.mark.parametrize(
    "attack",
    [
        'UPDATE verdicts SET changes = \'{"recipient":"eve"}\'',
        "UPDATE verdicts SET approver = 'ceo@company.com'",
        "UPDATE approvals SET status = 'amended'",
    ],
)
async def test_g3_an_edit_that_was_written_into_the_store_is_refused(ground: Ground, attack: str) -> None:
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(500))
        await ground.until("execution.suspended")
    async with ground.runtime(worker=False) as runtime:
        if "verdicts" in attack:
            await ground.say(runtime, (await runtime.approvals())[0], CFO, changes={"amount": "400"})
    assert ground.edit(attack) == 1
    async with ground.runtime(wire) as runtime:
        await runtime.handle(handle.id).signal(f"approval:{(await runtime.approvals(None))[0].id}")
        with pytest.raises(PermitRefused, match="not those"):
            await runtime.handle(handle.id).result()
    assert effects == []


async def test_g3_a_condition_that_was_widened_in_the_store_does_not_carry_over(ground: Ground) -> None:
    wire = governed("two", TWO)
    async with ground.runtime(wire) as runtime:
        await runtime.start(wire, Decimal(500))
        (asked,) = await ground.asked(runtime)
        await ground.say(runtime, asked, CEO, conditions=["amount <= 300"])
        assert ground.edit("UPDATE verdicts SET conditions = '[\"amount <= 450\"]'") == 1
        await ground.say(runtime, asked, CFO, changes={"amount": "400"})
        (asked,) = await open_ones(ground, runtime, 2)
    assert (asked.status, effects) == ("pending", [])


# Taking back


async def test_what_was_granted_can_be_revoked_before_the_effect(ground: Ground) -> None:
    wire = governed("both", ApprovalPolicy([CFO], name="one"), ApprovalPolicy([CEO], name="other"))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(5))
        one, other = sorted(await open_ones(ground, runtime, 2), key=lambda each: CEO in each.request)
        await ground.say(runtime, one, CFO)
        await asyncio.sleep(10)
        revoked = await ground.say(runtime, one, CFO, "revoke", reason="wrong account")
        assert revoked.status == "revoked"
        await ground.say(runtime, other, CEO)
        with pytest.raises(PermitRefused, match=f"revoked by {CFO}: wrong account"):
            await handle.result()
        assert (await handle.record()).cause == "refused"
    assert (effects, ground.rows("SELECT * FROM permits")) == ([], [])


async def test_what_is_acted_upon_cannot_be_revoked(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(5))
        (asked,) = await ground.asked(runtime)
        await ground.say(runtime, asked, CFO)
        await handle.result()
        with pytest.raises(VerdictRefused, match="acted upon"):
            await ground.say(runtime, asked, CFO, "revoke")


async def test_revoking_races_the_effect_and_exactly_one_of_them_wins(ground: Ground) -> None:
    outcomes = set()
    for turns in range(40):
        effects.clear()
        async with ground.runtime(wire) as runtime:
            handle = await runtime.start(wire, Decimal(5))
            await ground.until("execution.suspended", turns + 1)
            (asked,) = await runtime.approvals(execution_id=handle.id)
            await ground.say(runtime, asked, CFO)
            for _ in range(turns):
                await asyncio.sleep(0)
            try:
                await ground.say(runtime, asked, CFO, "revoke")
                was_revoked = True
            except VerdictRefused:
                was_revoked = False
            if was_revoked:
                with pytest.raises(PermitRefused, match="revoked"):
                    await handle.result()
            else:
                await handle.result()
            assert len(effects) == (not was_revoked), turns
            outcomes.add(was_revoked)
    assert outcomes == {True, False}


# Reminders and escalation


async def test_approvers_are_reminded_until_they_decide_and_again_after_escalation(ground: Ground) -> None:
    policy = ApprovalPolicy(
        [CFO], remind=["1h", "3h"], expires="4h", on_expiry="escalate", escalate_to=[[CEO], [LAW]], name="slow"
    )
    wire = governed("slow", policy)
    async with ground.runtime(wire) as runtime:
        began = ground.clock.now()
        handle = await runtime.start(wire, Decimal(5))
        await asyncio.sleep(9.5 * 3600)
        (asked,) = await runtime.approvals()
        await ground.say(runtime, asked, LAW)
        await handle.result()
        events = await handle.events()
    reminded = [round((event.at - began) / 3600, 2) for event in events if event.type == "policy.approval.reminded"]
    assert reminded == [1, 3, 5, 7, 9]
    assert types(events).count("policy.approval.escalated") == 2


async def test_the_last_level_that_lets_it_expire_rejects(ground: Ground) -> None:
    policy = ApprovalPolicy([CFO], expires="4h", on_expiry="escalate", escalate_to=[[CEO], [LAW]])
    wire = governed("slow", policy)
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(5))
        with pytest.raises(ApprovalExpired):
            await handle.result()
        record = await handle.record()
    assert record.updated_at - record.created_at == pytest.approx(12 * 3600, abs=1)


async def test_of_reminders_missed_while_nobody_worked_one_is_sent(ground: Ground) -> None:
    wire = governed("slow", ApprovalPolicy([CFO], remind=["1h", "2h", "3h", "9h"]))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(5))
        await ground.until("execution.suspended")
    ground.clock.advance("4h")
    async with ground.runtime(wire) as runtime:
        await asyncio.sleep(3600)
        (asked,) = await runtime.approvals()
        await ground.say(runtime, asked, CFO)
        await runtime.handle(handle.id).result()
        assert types(await runtime.handle(handle.id).events()).count("policy.approval.reminded") == 1


async def test_killed_at_any_commit_around_a_reminder_the_decision_is_not_lost(ground: Ground) -> None:
    wire = governed("slow", ApprovalPolicy([CFO], remind=["1h", "2h"]))
    number = 0
    for number in itertools.count(1):
        effects.clear()
        door, call_id = DeadlyDoor(ground.store(), nth(number)), f"killed {number}"
        async with ground.runtime(wire, store=door) as runtime:
            await asyncio.wait(
                [asyncio.create_task(each) for each in (door.died.wait(), _started(runtime, wire, call_id))],
                return_when=asyncio.FIRST_COMPLETED,
                timeout=1.5 * 3600,
            )
            await asyncio.wait([asyncio.create_task(door.died.wait())], timeout=1.5 * 3600)
            for each in await runtime.approvals(execution_id=call_id):
                await ground.say(runtime, each, CFO)
            await asyncio.wait([asyncio.create_task(door.died.wait())], timeout=60)
        async with ground.runtime(wire) as runtime:
            handle = await runtime.start(wire, Decimal(5), id=call_id)
            await asyncio.sleep(10)
            for each in await runtime.approvals(execution_id=call_id):
                await ground.say(runtime, each, CFO)
            await asyncio.sleep(10)
            record = await handle.record()
            events = await handle.events()
        assert record.status in {"completed", "in_doubt"}, (number, types(events))
        assert len(effects) == 1 or record.status == "in_doubt"
        assert types(events).count("policy.approval.reminded") <= 3
        if not door.died.is_set():
            break
    assert number > 8


async def _started(runtime: Runtime, fn: Any, call_id: str) -> None:
    await runtime.start(fn, Decimal(5), id=call_id)
    await asyncio.sleep(1e6)


# In the middle of a workflow


@pytest.mark.parametrize("quorum", [2, "all"])
async def test_approve_takes_the_same_rules(ground: Ground, quorum: Literal["all"] | int) -> None:
    @workflow
    async def pay() -> str:
        await approve(
            "Risky", approvers=[CFO, CEO], quorum=quorum, remind=["1h"], escalate_to=[[LAW]], on_expiry="escalate"
        ) if quorum == "all" else await approve("Risky", approvers=[CFO, CEO, LAW], quorum=quorum, exclude=[LAW])
        return "paid"

    async with ground.runtime(pay) as runtime:
        handle = await runtime.start(pay)
        (asked,) = await ground.asked(runtime)
        if quorum == 2:
            with pytest.raises(VerdictRefused, match="excluded"):
                await ground.say(runtime, asked, LAW)
        with pytest.raises(VerdictRefused, match="no arguments"):
            await ground.say(runtime, asked, CFO, changes={"amount": 1})
        await asyncio.sleep(7200)
        await ground.say(runtime, asked, CFO)
        await ground.say(runtime, asked, CEO)
        assert await handle.result() == "paid"

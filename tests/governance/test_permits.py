"""What was approved is what happens: whatever is changed between the decision and the effect costs the permit."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from assent import (
    ApprovalPolicy,
    ApprovalStage,
    AuditPolicy,
    AuthorizationPolicy,
    PermitRefused,
    PolicyDenied,
    RateLimited,
    RateLimitPolicy,
    Runtime,
    SequentialApprovalPolicy,
    Status,
    ValidationPolicy,
    acting_as,
    govern,
    policy,
    workflow,
)
from assent.codec import digest, from_json
from assent.governance.approvals import ApprovalRequest
from tests.governance.doors import DeadlyDoor, takes_permit
from tests.governance.ground import ANA, CEO, CFO, Effects, Ground

EVE = "eve@company.com"
effects = Effects()


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


def wire_under(*policies: Any, name: str = "wire") -> Any:
    @govern(policies, name=name)
    async def wire(amount: int, token: str = "t0ken") -> str:
        await effects.have(amount, token)
        return f"sent {amount}"

    return wire


MONEY = ApprovalPolicy([CFO], name="money")
transfer = wire_under(MONEY, ValidationPolicy(check=lambda action: action.amount > 0), AuditPolicy(), name="transfer")


async def approved(ground: Ground, fn: Any = transfer, **stored: Any) -> str:
    """An execution that people have approved, whose process was killed right before its permit."""
    door = DeadlyDoor(ground.store(), takes_permit)
    async with ground.runtime(fn, store=door, **stored) as runtime:
        with acting_as(ANA):
            handle = await runtime.start(fn, 5)
        while not door.died.is_set():
            for each in await runtime.approvals():
                request = ApprovalRequest.from_text(each.request)
                await runtime.decide(each.id, approver=request.electorate[0], reason="fine")
            await asyncio.sleep(1)
    assert effects == []
    return handle.id


async def outcome(runtime: Runtime, id: str) -> Any:
    try:
        return await runtime.handle(id).result()
    except Exception as error:  # noqa: BLE001 - it is what the tests look at
        return error


async def test_what_nobody_touched_happens_once(ground: Ground) -> None:
    call_id = await approved(ground)
    async with ground.runtime(transfer) as runtime:
        assert await outcome(runtime, call_id) == "sent 5"
    assert effects == [(5, "t0ken")]
    ((permit, of, action),) = ground.rows("SELECT id, execution_id, action_digest FROM permits")
    assert (permit.partition(":")[0], of) == (call_id, call_id)
    assert action == from_json(ground.rows("SELECT request FROM approvals")[0][0])["action_digest"]


# An intruder in the file


def edit_arguments(ground: Ground) -> None:
    ground.edit("UPDATE executions SET arguments = replace(arguments, '5', '5000')")
    assert ground.edit("UPDATE sealed SET text = replace(text, '5', '5000')") == 1


def edit_sealed(ground: Ground) -> None:
    assert ground.edit("UPDATE sealed SET text = replace(text, 't0ken', 'other')") == 1


def drop_sealed(ground: Ground) -> None:
    """Now the redacted arguments are all there is."""
    assert ground.edit("DELETE FROM sealed") == 1


def edit_request(ground: Ground) -> None:
    assert ground.edit("UPDATE approvals SET request = replace(request, ?, ?)", CFO, EVE) == 1


def edit_request_and_digest(ground: Ground) -> None:
    ((request,),) = ground.rows("SELECT request FROM approvals")
    request = request.replace(CFO, EVE)
    ground.edit("UPDATE approvals SET request = ?, digest = ?", request, digest(request))
    ground.edit("UPDATE verdicts SET approver = ?", EVE)


def edit_action_of_request(ground: Ground) -> None:
    ((text,),) = ground.rows("SELECT request FROM approvals")
    request = text.replace(from_json(text)["action_digest"], "0" * 64)
    ground.edit("UPDATE approvals SET request = ?, digest = ?", request, digest(request))


def edit_digest(ground: Ground) -> None:
    ground.edit("UPDATE approvals SET digest = ?", "0" * 64)


def edit_status(ground: Ground) -> None:
    ground.edit("UPDATE approvals SET status = 'pending', decided_at = NULL")


def reject_quietly(ground: Ground) -> None:
    ground.edit("UPDATE approvals SET status = 'rejected'")


def drop_approval(ground: Ground) -> None:
    ground.edit("DELETE FROM verdicts")
    ground.edit("DELETE FROM approvals")


def drop_verdicts(ground: Ground) -> None:
    ground.edit("DELETE FROM verdicts")


def edit_who_said_it(ground: Ground) -> None:
    ground.edit("UPDATE verdicts SET approver = ?", EVE)


def edit_what_was_said(ground: Ground) -> None:
    ground.edit("UPDATE verdicts SET decision = 'reject'")


def refuse_verdict(ground: Ground) -> None:
    ground.edit("UPDATE verdicts SET refusal = 'late'")


def edited_evaluation(ground: Ground, change: Callable[[dict[str, Any]], None]) -> None:
    ((seq, value),) = ground.rows("SELECT seq, value FROM journal WHERE name = 'transfer.policies'")
    facts = json.loads(value)
    change(facts)
    ground.edit("UPDATE journal SET value = ? WHERE seq = ?", json.dumps(facts), seq)


def edit_evaluated_action(ground: Ground) -> None:
    edit_arguments(ground)
    edited_evaluation(ground, lambda facts: facts.update(action_digest="0" * 64))


def edit_evaluated_policies(ground: Ground) -> None:
    edited_evaluation(ground, lambda facts: facts.update(policies_digest="0" * 64))


def forget_questions(ground: Ground) -> None:
    """As if nobody had to be asked, nor ever had been."""
    edited_evaluation(ground, lambda facts: facts.update(series=[]))
    ground.edit("DELETE FROM journal WHERE op > 0 OR type = 'execution.suspended'")


def ask_somebody_else(ground: Ground) -> None:
    """All that is stored agrees: it was Eve who was asked, and Eve has agreed."""
    edited_evaluation(
        ground, lambda facts: facts.update(series=[[each.replace(CFO, EVE) for each in facts["series"][0]]])
    )
    edit_request_and_digest(ground)
    ((request_digest,),) = ground.rows("SELECT digest FROM approvals")
    ground.edit(
        "UPDATE journal SET value = json_set(value, '$.digest', ?) WHERE name = 'read approval'", request_digest
    )


ATTACKS = [
    edit_arguments, edit_sealed, drop_sealed, edit_request, edit_request_and_digest, edit_action_of_request,
    edit_digest, edit_status, reject_quietly, drop_approval, drop_verdicts, edit_who_said_it, edit_what_was_said,
    refuse_verdict, edit_evaluated_action, edit_evaluated_policies, forget_questions, ask_somebody_else,
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=[each.__name__ for each in ATTACKS])
async def test_g3_an_edited_row_costs_the_permit(ground: Ground, attack: Callable[[Ground], None]) -> None:
    call_id = await approved(ground)
    attack(ground)
    async with ground.runtime(transfer) as runtime:
        error = await outcome(runtime, call_id)
        record = await runtime.handle(call_id).record()
    assert effects == []
    assert isinstance(error, PermitRefused | PolicyDenied), error
    assert record.status is Status.FAILED
    assert record.cause in {"refused", "denied"}


async def test_an_edited_question_is_refused_when_it_is_read(ground: Ground) -> None:
    async with ground.runtime(transfer) as runtime:
        handle = await runtime.start(transfer, 5)
        (asked,) = await ground.asked(runtime)
        await ground.until("execution.suspended")
    request = asked.request.replace(CFO, EVE)
    ground.edit("UPDATE approvals SET request = ?, digest = ?", request, digest(request))
    async with ground.runtime(transfer) as runtime:
        await runtime.decide(asked.id, approver=EVE)
        assert isinstance(await outcome(runtime, handle.id), PermitRefused)
    assert effects == []


# Other code than that which was approved


STAGES = SequentialApprovalPolicy([ApprovalStage("finance", [CFO]), ApprovalStage("board", [CEO])])


@pytest.mark.parametrize(
    "policies",
    [
        [ApprovalPolicy([CEO], name="money")],
        [ApprovalPolicy([CFO, CEO], name="money")],
        [ApprovalPolicy([CFO], name="money", require_reason=True)],
        [ApprovalPolicy([CFO], name="money", version=2)],
        [MONEY, policy(name="new")(lambda *_: True)],
        [STAGES],
        [],
    ],
    ids=["other approvers", "more approvers", "other rules", "new version", "one more", "another kind", "none at all"],
)
async def test_g3_changed_policies_cost_the_permit(ground: Ground, policies: list[Any]) -> None:
    call_id = await approved(ground, wire_under(MONEY))
    changed = wire_under(*policies, policy(name="there")(lambda *_: True))
    async with ground.runtime(changed) as runtime:
        error = await outcome(runtime, call_id)
    assert (effects, type(error)) == ([], PermitRefused)
    assert "policies have changed" in str(error)
    types = [each.type for each in ground.seen]
    assert types.count("permit.refused") == 1


async def test_g3_new_policies_of_the_runtime_cost_the_permit(ground: Ground) -> None:
    call_id = await approved(ground)
    async with ground.runtime(transfer, policies=[policy(name="freeze")(lambda *_: True)]) as runtime:
        assert isinstance(await outcome(runtime, call_id), PermitRefused)
    assert effects == []


async def test_policies_in_another_order_are_the_same(ground: Ground) -> None:
    one, other = policy(name="one")(lambda *_: True), policy(name="other")(lambda *_: True)
    call_id = await approved(ground, wire_under(MONEY, one, other))
    same = wire_under(other, MONEY, one)
    async with ground.runtime(same) as runtime:
        assert await outcome(runtime, call_id) == "sent 5"


# What may change by itself


async def test_authorization_is_asked_again_at_the_moment_of_the_effect(ground: Ground) -> None:
    clerks = {str(ANA)}
    wire = wire_under(MONEY, AuthorizationPolicy(authorizer=lambda action: str(action.requester) in clerks))
    call_id = await approved(ground, wire)
    clerks.clear()
    async with ground.runtime(wire) as runtime:
        error = await outcome(runtime, call_id)
    assert (type(error), effects) == (PolicyDenied, [])
    assert [each.type for each in ground.seen][-4:] == [
        "policy.authorization.failed", "permit.refused", "step.failed", "execution.failed",
    ]  # fmt: skip


async def test_a_rule_that_no_longer_approves_costs_the_permit(ground: Ground) -> None:
    limit = [10]
    ruled = ApprovalPolicy([CEO], name="large", auto_approve=lambda action: action.amount < limit[0])
    wire = wire_under(MONEY, ruled)
    call_id = await approved(ground, wire)
    limit[0] = 1
    async with ground.runtime(wire) as runtime:
        error = await outcome(runtime, call_id)
    assert (type(error), effects) == (PolicyDenied, [])


async def test_a_rule_that_has_come_to_approve_does_no_harm(ground: Ground) -> None:
    limit = [1]
    wire = wire_under(ApprovalPolicy([CFO], auto_approve=lambda action: action.amount < limit[0]))
    call_id = await approved(ground, wire)
    limit[0] = 10
    async with ground.runtime(wire) as runtime:
        assert await outcome(runtime, call_id) == "sent 5"


async def test_a_policy_that_fails_when_it_is_asked_again_denies(ground: Ground) -> None:
    works = [True]

    def rule(*_: Any) -> bool:
        if not works[0]:
            raise LookupError("directory is down")
        return True

    wire = wire_under(MONEY, policy(name="directory", rechecked=True)(rule))
    call_id = await approved(ground, wire)
    works.clear()
    works.append(False)
    async with ground.runtime(wire) as runtime:
        error = await outcome(runtime, call_id)
    assert (type(error), effects) == (PolicyDenied, [])
    assert "LookupError: directory is down" in str(error)


async def test_what_was_approved_one_by_one_over_days_does_not_happen_all_at_once(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], timeout_seconds=0), RateLimitPolicy(1, "1h"))
    async with ground.runtime(wire) as runtime:
        handles = []
        for amount in (1, 2):
            handles.append(await runtime.start(wire, amount))
            await ground.asked(runtime, amount)
            await asyncio.sleep(7200)
        await ground.decide(runtime, times=2)
        results = [await outcome(runtime, each.id) for each in handles]
    assert [type(each) for each in results if not isinstance(each, str)] == [RateLimited]
    assert len(effects) == 1


# In workflows


async def test_g3_a_workflow_that_computes_other_arguments_is_refused(ground: Ground) -> None:
    """Its code has changed, and the permit of one action would be used for another."""
    price = [5]

    @workflow
    async def pay() -> Any:
        return await transfer(price[0])

    door = DeadlyDoor(ground.store(), takes_permit)
    async with ground.runtime(pay, store=door) as runtime:
        handle = await runtime.start(pay)
        await ground.decide(runtime)
        await door.died.wait()
    price[0] = 5000
    async with ground.runtime(pay) as runtime:
        assert isinstance(await outcome(runtime, handle.id), PermitRefused)
    assert effects == []


async def test_each_call_in_a_workflow_has_a_permit_of_its_own(ground: Ground) -> None:
    @workflow
    async def pay() -> Any:
        return [await transfer(5), await transfer(5)]

    async with ground.runtime(pay) as runtime:
        handle = await runtime.start(pay)
        await ground.decide(runtime)
        await ground.until("permit.consumed")
        await ground.asked(runtime, 2)
        assert len(effects) == 1
        await ground.decide(runtime, times=2)
        assert await handle.result() == ["sent 5", "sent 5"]
    assert (len(effects), len(ground.rows("SELECT * FROM permits"))) == (2, 2)

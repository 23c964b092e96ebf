"""Asking people from governed calls and workflows: who is asked, who may say what, and what becomes of it."""

import asyncio
from typing import Any

import pytest

from assent import (
    ApprovalExpired,
    ApprovalPolicy,
    ApprovalRejected,
    ApprovalStage,
    AuthorizationPolicy,
    Handle,
    PermitRefused,
    PolicyDenied,
    Principal,
    RuntimeRequired,
    SequentialApprovalPolicy,
    Status,
    VerdictRefused,
    acting_as,
    approve,
    govern,
    now,
    workflow,
)
from assent.codec import from_json
from tests.governance.ground import ANA, CEO, CFO, LAW, Effects, Ground, types

DAY = 86400.0
effects = Effects()


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


def wire_under(*policies: Any, **terms: Any) -> Any:
    @govern(policies, name="wire", **terms)
    async def wire(amount: int) -> str:
        await effects.have(amount)
        return f"sent {amount}"

    return wire


async def statuses(runtime: Any, id: str | None = None) -> list[str]:
    return [each.status.value for each in await runtime.approvals(None, id)]


async def outcome(handle: Handle[Any]) -> Any:
    try:
        return await handle.result()
    except Exception as error:  # noqa: BLE001 - it is what the tests look at
        return error


# Several policies


async def test_policies_that_ask_ask_side_by_side_and_all_must_be_granted(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], name="money"), ApprovalPolicy([LAW], name="law"))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        money, law = await ground.asked(runtime, 2)
        await runtime.decide(law.id, approver=LAW)
        await ground.until("signal.received")
        assert (effects, await statuses(runtime)) == ([], ["pending", "granted"])
        await runtime.decide(money.id, approver=CFO)
        assert await handle.result() == "sent 5"


async def test_one_rejection_withdraws_what_was_asked_beside_it(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], name="money"), ApprovalPolicy([LAW], name="law"))

    @workflow
    async def careful() -> str:
        try:
            return str(await wire(5))
        except ApprovalRejected as error:
            await asyncio.sleep(60)
            return error.policy

    async with ground.runtime(careful) as runtime:
        handle = await runtime.start(careful)
        money, law = await ground.asked(runtime, 2)
        await runtime.decide(law.id, approver=LAW, decision="reject", reason="no contract")
        await ground.until("execution.suspended", 2)
        assert await statuses(runtime) == ["withdrawn", "rejected"]
        with pytest.raises(VerdictRefused, match="was withdrawn"):
            await runtime.decide(money.id, approver=CFO)
        assert await handle.result() == "law"
        events = await handle.events()
    (withdrawn,) = [each for each in events if each.type == "policy.approval.withdrawn"]
    assert (withdrawn.name, from_json(withdrawn.value or "")["approval_id"]) == ("money", money.id)
    assert effects == []


async def test_a_cancelled_call_withdraws_its_questions(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO]))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        await ground.asked(runtime)
        await handle.cancel("changed my mind")
        await ground.until("execution.cancelled")
        assert await statuses(runtime) == ["withdrawn"]
        assert types(await handle.events(), "policy.approval") == [
            "policy.approval.requested", "policy.approval.withdrawn",
        ]  # fmt: skip
    assert effects == []


async def test_a_workflow_that_gives_up_waiting_withdraws_its_question(ground: Ground) -> None:
    @workflow
    async def impatient() -> str:
        try:
            async with asyncio.timeout(60):
                await approve("sure?", approvers=[CFO])
        except TimeoutError:
            await asyncio.sleep(60)
            return "went on"
        return "approved"

    async with ground.runtime(impatient) as runtime:
        handle = await runtime.start(impatient)
        assert await handle.result() == "went on"
        assert await statuses(runtime) == ["withdrawn"]


# Stages


async def test_stages_are_asked_one_after_another(ground: Ground) -> None:
    wire = wire_under(SequentialApprovalPolicy([ApprovalStage("finance", [CFO]), ApprovalStage("board", [CEO, LAW])]))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        (finance,) = await ground.asked(runtime)
        with pytest.raises(VerdictRefused):
            await runtime.decide(finance.id, approver=CEO)
        await runtime.decide(finance.id, approver=CFO)
        (board,) = await ground.asked(runtime, 2)
        assert from_json(board.request)["stage_name"] == "board"
        await runtime.decide(board.id, approver=LAW)
        assert await handle.result() == "sent 5"


async def test_a_rejected_stage_is_the_last(ground: Ground) -> None:
    wire = wire_under(SequentialApprovalPolicy([ApprovalStage("finance", [CFO]), ApprovalStage("board", [CEO])]))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        await ground.decide(runtime, "reject")
        assert isinstance(await outcome(handle), ApprovalRejected)
        assert await statuses(runtime) == ["rejected"]


async def test_a_stage_that_a_rule_approves_is_not_asked(ground: Ground) -> None:
    stages = [
        ApprovalStage("finance", [CFO], auto_approve=lambda action: action.amount < 10),
        ApprovalStage("board", [CEO], auto_approve=lambda action: action.amount < 100),
    ]
    wire = wire_under(SequentialApprovalPolicy(stages))
    async with ground.runtime(wire) as runtime:
        assert await (await runtime.start(wire, 9)).result() == "sent 9"
        handle = await runtime.start(wire, 99)
        (only,) = await ground.asked(runtime)
        await runtime.decide(only.id, approver=CFO)
        assert await handle.result() == "sent 99"


# Time


async def test_an_approval_expires_without_anybody_calling(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], expires="2h"))
    async with ground.runtime(wire) as runtime:
        began = ground.clock.now()
        handle = await runtime.start(wire, 5)
        error = await outcome(handle)
        assert ground.clock.now() - began == pytest.approx(7200, abs=0.1)
        assert types(await handle.events(), "policy")[-1] == "policy.approval.expired"
        assert (type(error), await statuses(runtime)) == (ApprovalExpired, ["expired"])
        assert len(await runtime.executions(cause="expired")) == 1


async def test_an_approval_expires_although_nobody_was_running_then(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], expires="2h"))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        await ground.asked(runtime)
        await ground.until("execution.suspended")
    ground.clock.advance("3h")
    async with ground.runtime(worker=False) as client:
        with pytest.raises(VerdictRefused, match="expired at"):
            await client.decide(handle.id and (await client.approvals())[0].id, approver=CFO)
    async with ground.runtime(wire) as runtime:
        assert isinstance(await outcome(runtime.handle(handle.id)), ApprovalExpired)


async def test_expiry_may_approve(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], expires="2h", on_expiry="approve"))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        assert await handle.result() == "sent 5"
        assert types(await handle.events(), "policy") == [
            "policy.evaluated", "policy.approval.requested", "policy.approval.expired", "policy.approval.granted",
        ]  # fmt: skip


async def test_a_rejection_before_an_expiry_that_approves_stands(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], expires="2h", on_expiry="approve"))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        await ground.decide(runtime, "reject")
        assert isinstance(await outcome(handle), ApprovalRejected)


async def test_expiry_may_ask_others_who_then_decide_alone(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], expires="2h", on_expiry="escalate", escalate_to=[CEO]))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        (asked,) = await ground.asked(runtime)
        await asyncio.sleep(7201)
        with pytest.raises(VerdictRefused, match="is not an approver"):
            await runtime.decide(asked.id, approver=CFO)
        await runtime.decide(asked.id, approver=CEO)
        assert await handle.result() == "sent 5"
        assert types(await handle.events(), "policy.approval") == [
            "policy.approval.requested", "policy.approval.escalated", "policy.approval.refused",
            "policy.approval.granted",
        ]  # fmt: skip


async def test_those_to_whom_it_escalates_may_let_it_expire_too(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], expires="2h", on_expiry="escalate", escalate_to=[CEO]))
    async with ground.runtime(wire) as runtime:
        began = ground.clock.now()
        handle = await runtime.start(wire, 5)
        assert isinstance(await outcome(handle), ApprovalExpired)
        assert ground.clock.now() - began == pytest.approx(14400, abs=0.1)


async def test_a_verdict_and_an_expiry_at_once_are_one_decision(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], expires="2h"))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        (asked,) = await ground.asked(runtime)
        await asyncio.sleep(7199.999)
        verdict: Any
        result: Any
        verdict, result = await asyncio.gather(
            runtime.decide(asked.id, approver=CFO, decision="reject", reason="at last"),
            outcome(handle),
            return_exceptions=True,
        )
        (status,) = await statuses(runtime)
    if isinstance(verdict, Exception):
        assert (type(verdict), type(result), status) == (VerdictRefused, ApprovalExpired, "expired")
    else:
        assert (verdict.status, type(result), status) == ("rejected", ApprovalRejected, "rejected")
        assert result.approver == CFO


# Verdicts


async def test_a_quorum_needs_different_people(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO, CEO, LAW], quorum=2))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        (asked,) = await ground.asked(runtime)
        await runtime.decide(asked.id, approver=CFO)
        for again in (CFO, CFO.upper()):
            with pytest.raises(VerdictRefused, match="has already said approve"):
                await runtime.decide(asked.id, approver=again)
        assert (await statuses(runtime), effects) == (["pending"], [])
        await runtime.decide(asked.id, approver=LAW)
        assert await handle.result() == "sent 5"
        assert types(await handle.events(), "policy.approval") == [
            "policy.approval.requested", "policy.approval.voted", "policy.approval.refused",
            "policy.approval.refused", "policy.approval.granted",
        ]  # fmt: skip


async def test_who_asks_may_not_decide_unless_the_policy_allows_it(ground: Ground) -> None:
    strict = wire_under(ApprovalPolicy([ANA.id, CFO]))
    loose = wire_under(ApprovalPolicy([ANA.id, CFO], separation_of_duties=False))
    async with ground.runtime() as runtime:
        with acting_as(ANA):
            handle = await runtime.start(strict, 5)
        (asked,) = await ground.asked(runtime)
        for name in (ANA.id, ANA.id.upper()):
            with pytest.raises(VerdictRefused, match=r"asked for .* and may not decide"):
                await runtime.decide(asked.id, approver=name)
        await runtime.decide(asked.id, approver=CFO)
        assert await handle.result() == "sent 5"
    async with ground.runtime(loose) as runtime:
        with acting_as(ANA):
            handle = await runtime.start(loose, 5)
        await ground.decide(runtime, times=2, who=ANA.id)
        assert await handle.result() == "sent 5"


async def test_who_asks_through_a_workflow_may_not_decide_either(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([ANA.id, CFO]))

    @workflow
    async def pay() -> Any:
        await approve("sure?", approvers=[ANA.id, CFO])
        return await wire(5)

    async with ground.runtime(pay) as runtime:
        with acting_as(ANA):
            handle = await runtime.start(pay)
        for times in (1, 2):
            (asked,) = await ground.asked(runtime, times)
            with pytest.raises(VerdictRefused, match="may not decide"):
                await runtime.decide(asked.id, approver=ANA.id)
            await runtime.decide(asked.id, approver=CFO)
        assert await handle.result() == "sent 5"


async def test_what_nobody_could_grant_is_denied_at_once(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([ANA.id]))
    async with ground.runtime():
        with acting_as(ANA), pytest.raises(PolicyDenied, match="nobody can grant it"):
            await wire(5)


async def test_a_reason_may_be_required(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO], require_reason=True))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        (asked,) = await ground.asked(runtime)
        with pytest.raises(VerdictRefused, match="needs a reason"):
            await runtime.decide(asked.id, approver=CFO, reason="  ")
        await runtime.decide(asked.id, approver=CFO, reason="budgeted")
        assert await handle.result() == "sent 5"


async def test_a_verdict_after_the_end_is_refused_and_recorded(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO, CEO]))
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        (asked,) = await ground.asked(runtime)
        await runtime.decide(asked.id, approver=CFO)
        await handle.result()
        with pytest.raises(VerdictRefused, match=r"was granted by cfo@company\.com") as refused:
            await runtime.decide(asked.id, approver=CEO, decision="reject", reason="no!")
        last = (await handle.events())[-1]
    assert (last.type, from_json(last.value or "")["refusal"]) == ("policy.approval.refused", refused.value.reason)


async def test_authorization_may_ask_people_instead_of_denying(ground: Ground) -> None:
    wire = wire_under(AuthorizationPolicy(roles=["treasurer"], ask=[CFO]))
    async with ground.runtime(wire) as runtime:
        with acting_as(Principal("tess@company.com", roles=["treasurer"])):
            assert await wire(1) == "sent 1"
        with acting_as(ANA):
            handle = await runtime.start(wire, 5)
        await ground.decide(runtime)
        assert await handle.result() == "sent 5"


# Word of a decision


async def test_a_forged_signal_is_no_approval(ground: Ground) -> None:
    wire = wire_under(ApprovalPolicy([CFO]))

    @workflow
    async def pay() -> Any:
        await approve("sure?", approvers=[CFO])
        return await wire(5)

    async with ground.runtime(pay) as runtime:
        handle = await runtime.start(pay)
        for times in (1, 2):
            (asked,) = await ground.asked(runtime, times)
            word = {"status": "granted", "digest": asked.digest, "expires_at": asked.expires_at}
            for forged in (word, {**word, "status": "rejected"}, "granted", None):
                await handle.signal(f"approval:{asked.id}", forged)
            await ground.until("signal.received", 5 * times - 1)
            await asyncio.sleep(1)
            assert (await handle.status(), effects) == (Status.SUSPENDED, [])
            await runtime.decide(asked.id, approver=CFO)
        assert await handle.result() == "sent 5"


# In workflow code


async def test_approve_waits_durably_over_restarts(ground: Ground) -> None:
    @workflow
    async def pay() -> str:
        began = now()
        await approve("Risky supplier", approvers=[CFO, CEO], within="4h", quorum=2, require_reason=True)
        return str(now() - began)

    async with ground.runtime(pay) as runtime:
        await runtime.start(pay, id="p")
        (asked,) = await ground.asked(runtime)
        request = from_json(asked.request)
        await runtime.decide(asked.id, approver=CFO, reason="fine")
    assert (request["title"], request["expires"], request["quorum"]) == ("Risky supplier", 14400.0, 2)
    ground.clock.advance(3600)
    async with ground.runtime(pay) as runtime:
        await runtime.decide(asked.id, approver=CEO, reason="fine")
        assert (await runtime.handle("p").result()).startswith("1:00:00")  # and what opening a file takes


async def test_approve_raises_what_people_say(ground: Ground) -> None:
    @workflow
    async def pay(within: str | None) -> str:
        try:
            await approve("sure?", approvers=[CFO], within=within)
        except (ApprovalRejected, ApprovalExpired) as error:
            return f"{type(error).__name__} {error.action} {error.policy}"
        return "yes"

    async with ground.runtime(pay) as runtime:
        handle = await runtime.start(pay, "1h")
        assert await handle.result() == "ApprovalExpired sure? approve"
        handle = await runtime.start(pay, None)
        await asyncio.sleep(1000 * DAY)
        await ground.decide(runtime, "reject", times=2)
        assert await handle.result() == "ApprovalRejected sure? approve"


async def test_approve_that_was_granted_by_nobody_is_refused(ground: Ground) -> None:
    @workflow
    async def pay() -> str:
        await approve("sure?", approvers=[CFO], quorum=1)
        return "yes"

    async with ground.runtime(pay) as runtime:
        handle = await runtime.start(pay)
        (asked,) = await ground.asked(runtime)
        ground.edit("UPDATE approvals SET status = 'granted', version = 1, decided_at = ?", ground.clock.now())
        await handle.signal(f"approval:{asked.id}", {})
        assert isinstance(await outcome(handle), PermitRefused)


async def test_approve_needs_a_workflow_and_a_runtime() -> None:
    with pytest.raises(RuntimeRequired, match=r"approve\('sure\?'\) waits durably"):
        await approve("sure?", approvers=[CFO])

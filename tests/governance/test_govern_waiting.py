"""From sync to async: how a caller waits for people, what it is told, and who finishes the call."""

import asyncio
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assent import (
    ApprovalExpired,
    ApprovalPending,
    ApprovalPolicy,
    ApprovalRejected,
    ApprovalStage,
    PolicyDenied,
    Runtime,
    SequentialApprovalPolicy,
    StateNotCaptured,
    Status,
    ValidationPolicy,
    govern,
    signal,
    workflow,
)
from assent.codec import from_json
from assent.testing import Ledger
from tests.governance.ground import CEO, CFO, LAW, Effects, Ground, types

effects = Effects()


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


@govern([ValidationPolicy(check=lambda action: action.amount > 0), ApprovalPolicy([CFO], timeout_seconds=10)])
async def wire(amount: int, recipient: str = "acme") -> str:
    await effects.have(amount, recipient)
    return f"sent {amount}"


async def in_time(ground: Ground, runtime: Runtime, after: float, **how: Any) -> None:
    await ground.asked(runtime)
    await asyncio.sleep(after)
    await ground.decide(runtime, **how)


async def test_a_decision_in_time_gives_the_caller_its_result(ground: Ground) -> None:
    async with ground.runtime() as runtime, asyncio.TaskGroup() as people:
        people.create_task(in_time(ground, runtime, 9))
        assert await wire(5) == "sent 5"
        events = await runtime.handle((await runtime.executions())[0].id).events()
    assert effects == [(5, "acme")]
    # The calling process kept it: it was never handed over.
    assert types(events, "execution") == [
        "execution.started", "execution.state.captured", "execution.suspended", "execution.resumed",
        "execution.completed",
    ]  # fmt: skip


async def test_an_edit_in_time_gives_the_caller_what_the_edited_action_did(ground: Ground) -> None:
    async def edits(runtime: Runtime) -> None:
        (asked,) = await ground.asked(runtime)
        await asyncio.sleep(9)
        await ground.say(runtime, asked, CFO, changes={"amount": 4})

    async with ground.runtime() as runtime, asyncio.TaskGroup() as people:
        people.create_task(edits(runtime))
        assert await wire(5) == "sent 4"


async def test_after_an_edit_the_caller_waits_for_those_who_are_asked_anew(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        two = govern([ApprovalPolicy([CFO, CEO], quorum=2, timeout_seconds=10)], name="two")(wire.__wrapped__)
        call = asyncio.create_task(two(5))
        (asked,) = await ground.asked(runtime)
        await asyncio.sleep(9)
        await ground.say(runtime, asked, CFO, changes={"amount": 4})
        with pytest.raises(ApprovalPending) as pending:
            await call
        (asked,) = await runtime.approvals()
        assert pending.value.approvals == [asked.id]
        await ground.say(runtime, asked, CEO)
        assert await runtime.handle(pending.value.execution_id).result() == "sent 4"


async def test_a_decision_in_another_process_wakes_the_caller_that_keeps_its_execution(ground: Ground) -> None:
    async with ground.runtime() as client, ground.runtime(wire) as other:
        call = asyncio.create_task(wire(5))
        await ground.asked(client)
        (record,) = await client.executions()
        await ground.decide(other)
        assert (await client.handle(record.id).record()).owner == record.owner is not None
        client.engine.nudge()  # type: ignore[attr-defined]  # what a look at the file would bring about
        assert await call == "sent 5"


async def test_no_decision_in_time_is_pending_and_any_worker_finishes_it(ground: Ground) -> None:
    async with ground.runtime(poll_url="https://pay.test/{execution_id}") as runtime:
        began = ground.clock.now()
        with pytest.raises(ApprovalPending) as pending:
            await wire(5)
        assert ground.clock.now() - began == pytest.approx(10, abs=0.1)
        error = pending.value
        (approval,) = await runtime.approvals()
        assert (error.approvals, error.poll_url) == ([approval.id], f"https://pay.test/{error.execution_id}")
        assert (error.action, error.http_status, error.exit_code) == ("wire", 202, 75)
        record = await runtime.handle(error.execution_id).record()
    assert (record.status, effects) == (Status.SUSPENDED, [])
    async with ground.runtime(wire) as worker:
        await ground.decide(worker)
        assert await worker.handle(error.execution_id).result() == "sent 5"
    assert effects == [(5, "acme")]


async def test_without_a_worker_it_stays_and_says_that_it_waits_for_one(ground: Ground) -> None:
    async with ground.runtime(worker=False) as client:
        with pytest.raises(ApprovalPending) as pending:
            await wire(5)
        await ground.decide(client)
        await asyncio.sleep(1000)
        record = await client.handle(pending.value.execution_id).record()
        assert (record.status, record.owner, record.wake_at, effects) == (Status.SUSPENDED, None, 0.0, [])
    async with ground.runtime(wire) as worker:
        assert await worker.handle(pending.value.execution_id).result() == "sent 5"


async def test_a_client_that_drives_nothing_else_still_finishes_its_own_call(ground: Ground) -> None:
    async with ground.runtime(worker=False) as client, asyncio.TaskGroup() as people:
        people.create_task(in_time(ground, client, 5))
        assert await wire(5) == "sent 5"


@pytest.mark.parametrize(
    ("decide", "error", "cause"),
    [
        (lambda ground, runtime: ground.decide(runtime, "reject", reason="too much"), ApprovalRejected, "rejected"),
        (lambda ground, runtime: asyncio.sleep(2 * 86400), ApprovalExpired, "expired"),
    ],
)
async def test_what_people_refuse_fails_with_its_cause(
    ground: Ground, decide: Callable[..., Any], error: type[Exception], cause: str
) -> None:
    async with ground.runtime(wire) as runtime:
        with pytest.raises(ApprovalPending) as pending:
            await wire(5)
        call_id = pending.value.execution_id
        await decide(ground, runtime)
        with pytest.raises(error) as raised:
            await runtime.handle(call_id).result()
        assert [each.id for each in await runtime.executions(cause=cause)] == [call_id]
        assert (await runtime.handle(call_id).status()) is Status.FAILED
    facts: Any = raised.value
    assert (facts.execution_id, facts.policy, facts.action) == (call_id, "approval", "wire")
    assert facts.approval_id == pending.value.approvals[0]
    assert call_id in str(facts)
    assert isinstance(facts, PermissionError)
    assert effects == []
    assert ground.rows("SELECT * FROM permits") == []


async def test_a_rejection_in_time_reaches_the_caller_with_who_and_why(ground: Ground) -> None:
    async with ground.runtime() as runtime, asyncio.TaskGroup() as people:
        people.create_task(in_time(ground, runtime, 1, decision="reject", reason="too much"))
        with pytest.raises(ApprovalRejected, match=r"wire was rejected by cfo@company\.com: too much") as rejected:
            await wire(5)
    assert (rejected.value.approver, rejected.value.reason) == (CFO, "too much")


async def test_each_approval_is_waited_for_as_long_as_its_own_policy_says(ground: Ground) -> None:
    @govern([ApprovalPolicy([CFO], timeout_seconds=10), ApprovalPolicy([CEO], timeout_seconds=60)])
    async def sign() -> str:
        return "signed"

    async with ground.runtime() as runtime, asyncio.TaskGroup() as people:
        call = people.create_task(sign())
        first, second = await ground.asked(runtime, 2)
        await asyncio.sleep(9)
        await runtime.decide(first.id, approver=CFO)
        await asyncio.sleep(50)
        await runtime.decide(second.id, approver=CEO)
        assert await call == "signed"
        began = ground.clock.now()
        with pytest.raises(ApprovalPending) as pending:
            await sign()
    assert ground.clock.now() - began == pytest.approx(10, abs=0.1)
    assert len(pending.value.approvals) == 2


async def test_each_stage_is_waited_for_from_when_it_begins(ground: Ground) -> None:
    stages = [ApprovalStage("finance", [CFO], timeout_seconds=10), ApprovalStage("law", [LAW], timeout_seconds=10)]

    @govern(SequentialApprovalPolicy(stages))
    async def sign() -> str:
        return "signed"

    async with ground.runtime() as runtime, asyncio.TaskGroup() as people:
        call = people.create_task(sign())
        for stage in (1, 2):
            await ground.asked(runtime, stage)
            await asyncio.sleep(9)
            await ground.decide(runtime, times=stage)
        assert await call == "signed"


async def test_a_governed_workflow_that_waits_for_something_else_is_waited_for(ground: Ground) -> None:
    """Timers and signals are no people: only an approval makes a caller leave."""

    @govern(ApprovalPolicy([CFO], timeout_seconds=10))
    async def sign() -> str:
        return "signed"

    @govern()
    @workflow
    async def process() -> str:
        await asyncio.sleep(3600)
        return await signal("go", str) + await sign()

    async with ground.runtime() as runtime:
        call = asyncio.create_task(process())
        await ground.until("execution.suspended", 2)
        (record,) = await runtime.executions()
        await runtime.handle(record.id).signal("go", "now ")
        with pytest.raises(ApprovalPending):
            await call


async def test_a_caller_that_is_cancelled_leaves_the_call_to_the_workers(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        call = asyncio.create_task(wire(5))
        await ground.asked(runtime)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await ground.decide(runtime)
        (record,) = await runtime.executions()
        assert await runtime.handle(record.id).result() == "sent 5"


async def test_an_error_that_is_a_timeout_is_not_taken_for_one_of_the_caller(ground: Ground) -> None:
    async def late() -> None:
        raise TimeoutError("the bank did not answer")

    effects.then = late
    async with ground.runtime() as runtime, asyncio.TaskGroup() as people:
        people.create_task(in_time(ground, runtime, 1))
        with pytest.raises(TimeoutError, match="the bank did not answer"):
            await wire(5)


async def test_the_events_tell_the_story_of_an_approval(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        with pytest.raises(ApprovalPending) as pending:
            await wire(5)
        await ground.decide(runtime, reason="fine")
        await runtime.handle(pending.value.execution_id).result()
        events = await runtime.handle(pending.value.execution_id).events()
    told = [(each.type, from_json(each.value or "null")) for each in events]
    story = [kind for kind, _ in told if kind.startswith(("policy", "permit", "execution.state"))]
    assert story == [
        "policy.validation.passed", "policy.evaluated", "policy.approval.requested", "execution.state.captured",
        "policy.approval.granted", "permit.issued", "permit.consumed",
    ]  # fmt: skip
    facts = dict(told)
    assert facts["policy.approval.requested"]["approvers"] == [CFO]
    assert (facts["policy.approval.granted"]["approver"], facts["policy.approval.granted"]["reason"]) == (CFO, "fine")
    assert facts["permit.consumed"]["approvals"] == pending.value.approvals


# Without captured state


@govern(ApprovalPolicy([CFO], timeout_seconds=10), capture_state=False)
async def whisper(secret: str) -> str:
    await effects.have(secret)
    return secret


async def test_a_call_that_keeps_no_state_can_wait_as_long_as_its_caller_does(ground: Ground) -> None:
    async with ground.runtime() as runtime, asyncio.TaskGroup() as people:
        people.create_task(in_time(ground, runtime, 5))
        assert await whisper("psst") == "psst"


@pytest.mark.parametrize("worker", [True, False])
async def test_a_call_that_keeps_no_state_says_so_when_it_would_have_to_wait_longer(
    ground: Ground, worker: bool
) -> None:
    async with ground.runtime(worker=worker) as runtime:
        with pytest.raises(StateNotCaptured, match="whisper has to wait, and capture_state=False") as refused:
            await whisper("psst")
        record = await runtime.handle(refused.value.execution_id or "").record()
        assert record.status is Status.FAILED
        assert [each.status for each in await runtime.approvals(None)] == ["withdrawn"]
        events = await runtime.handle(record.id).events()
    assert types(events)[-2:] == ["policy.approval.withdrawn", "execution.failed"]
    assert effects == []


async def test_a_call_that_keeps_no_state_and_has_no_caller_fails_when_it_has_to_wait(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        handle = await runtime.start(whisper, "psst")
        with pytest.raises(StateNotCaptured):
            await handle.result()
        assert await runtime.approvals() == []


async def test_a_denial_of_a_call_that_keeps_no_state_is_told_to_its_caller_in_full(ground: Ground) -> None:
    def check(action: Any) -> bool:
        raise ValueError(f"{action.secret} is no secret")

    @govern(ValidationPolicy(check=check), capture_state=False)
    async def tell(secret: str) -> str:
        return secret

    async with ground.runtime() as runtime:
        with pytest.raises(PolicyDenied, match="psst is no secret"):
            await tell("psst")
        assert len(await runtime.executions(cause="denied")) == 1
    assert b"psst" not in ground.bytes()


# For real, over processes


@govern([ApprovalPolicy([CFO], timeout_seconds=0.05)], name="real_wire")
async def real_wire(amount: int, ledger: str) -> str:
    Ledger(ledger).enter(f"wire {amount}")
    return f"sent {amount}"


def client(url: str, ledger: str, found: Any) -> None:
    async def main() -> None:
        async with Runtime(url, worker=False):
            try:
                await real_wire(5, ledger)
            except ApprovalPending as pending:
                found.send((pending.execution_id, pending.approvals))

    asyncio.run(main())


def approver(url: str, approval_id: str) -> None:
    async def main() -> None:
        async with Runtime(url, worker=False) as runtime:
            await runtime.decide(approval_id, approver=CFO, reason="fine")

    asyncio.run(main())


class TestProcesses:
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_client_approver_and_worker_need_only_share_the_file(self, tmp_path: Path) -> None:
        url, ledger = f"sqlite:///{tmp_path}/assent.db", str(tmp_path / "ledger")
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe()
        calling = context.Process(target=client, args=(url, ledger, theirs))
        calling.start()
        execution_id, (approval_id,) = await asyncio.to_thread(ours.recv)
        await asyncio.to_thread(calling.join)
        async with Runtime(url, workflows=[real_wire]) as worker:
            deciding = context.Process(target=approver, args=(url, approval_id))
            deciding.start()
            assert await worker.handle(execution_id).result(timeout=30) == "sent 5"
            await asyncio.to_thread(deciding.join)
        assert [each.what for each in Ledger(ledger).entries()] == ["wire 5"]

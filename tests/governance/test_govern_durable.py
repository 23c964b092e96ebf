"""`@govern` under a runtime: executions of their own, parts of workflows, steps, methods, requesters."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from assent import (
    Action,
    ApprovalPending,
    ApprovalPolicy,
    AuditPolicy,
    AuthorizationPolicy,
    DuplicateWorkflow,
    Outcome,
    PolicyDenied,
    Principal,
    RateLimited,
    RateLimitPolicy,
    Retry,
    Status,
    ValidationDenied,
    ValidationPolicy,
    acting_as,
    approve,
    execution,
    govern,
    idempotency_key,
    policy,
    step,
    workflow,
)
from assent.codec import from_json
from tests.governance.ground import ANA, CFO, Effects, Ground, types

effects = Effects()
POSITIVE = ValidationPolicy(check=lambda action: action.amount > 0)


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


@govern([POSITIVE, AuditPolicy(tags=["sox"])])
async def wire(amount: Decimal, recipient: str = "acme") -> Decimal:
    await effects.have("wire", amount, recipient)
    return amount * 2


@govern(POSITIVE)
def book(amount: int) -> int:
    effects.append(("book", amount))
    return amount


@workflow
async def pay(amount: int) -> str:
    sent = await wire(Decimal(amount), recipient="bob")
    return f"{sent} {await book(amount)}"


# Where a call goes


async def test_a_call_under_a_runtime_is_an_execution_with_its_whole_story(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        assert await wire(Decimal("5.10")) == Decimal("10.20")
        (record,) = await runtime.executions()
        events = await runtime.handle(record.id).events()
    assert (record.name, record.status, record.arguments) == (
        "wire", Status.COMPLETED, '{"amount":"5.10","recipient":"acme"}',
    )  # fmt: skip
    assert types(events) == [
        "execution.started", "policy.validation.passed", "audit.logged", "policy.evaluated", "step.completed",
        "permit.issued", "permit.consumed", "step.started", "audit.logged", "step.completed", "execution.completed",
    ]  # fmt: skip
    assert effects == [("wire", Decimal("5.10"), "acme")]


async def test_in_a_workflow_a_call_is_part_of_it(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        assert await pay(5) == "10 5"
        assert [each.name for each in await runtime.executions()] == ["pay"]
    assert len(ground.rows("SELECT * FROM permits")) == 2
    assert effects == [("wire", Decimal(5), "bob"), ("book", 5)]


async def test_a_plain_function_is_governed_durably(ground: Ground) -> None:
    async with ground.runtime():
        assert await book(3) == 3
        with pytest.raises(ValidationDenied):
            await book(-3)


async def test_a_denied_call_is_a_failed_execution_with_that_cause(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        with pytest.raises(PolicyDenied) as denied:
            await wire(Decimal(-1))
        (record,) = await runtime.executions(cause="denied")
        events = await runtime.handle(record.id).events()
        with pytest.raises(ValidationDenied):
            await runtime.handle(record.id).result()
    assert (denied.value.execution_id, denied.value.policy) == (record.id, "validation")
    assert record.id in str(denied.value)
    assert (record.status, effects) == (Status.FAILED, [])
    assert types(events, "policy", "permit") == ["policy.validation.failed", "policy.evaluated"]
    assert events[-1].name == "denied"


async def test_a_workflow_can_catch_a_denial_and_go_on(ground: Ground) -> None:
    @workflow
    async def careful(amount: int) -> str:
        try:
            await wire(Decimal(amount))
        except PermissionError as error:
            return type(error).__name__
        return "sent"

    async with ground.runtime():
        assert await careful(-5) == "ValidationDenied"


async def test_the_same_id_and_arguments_are_the_same_call(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        first = await runtime.start(wire, Decimal(5), id="mine")
        again = await runtime.start(wire, amount=Decimal(5), recipient="acme", id="mine")
        assert await first.result() == await again.result() == 10
    assert len(effects) == 1


async def test_a_call_inside_a_step_is_an_execution_that_belongs_to_it(ground: Ground) -> None:
    @step(retry=Retry(2, initial=0))
    async def send_then_fail(amount: int) -> Decimal:
        sent = await wire(Decimal(amount))
        if len(effects) == 1 and idempotency_key() not in tried:
            tried.add(idempotency_key())
            raise ConnectionError
        return sent

    @workflow
    async def batch(amount: int) -> Decimal:
        return await send_then_fail(amount)

    tried: set[str] = set()
    async with ground.runtime() as runtime:
        with acting_as(ANA):
            assert await batch(5) == 10
        (child,) = await runtime.executions(name="wire")
        (parent,) = await runtime.executions(name="batch")
    assert (child.parent_id, child.requester, len(effects)) == (parent.id, ANA.to_text(), 1)


# For whom


async def test_the_requester_comes_with_the_call_and_stays_with_its_children(ground: Ground) -> None:
    seen: list[Any] = []

    def remember(action: Action) -> bool:
        seen.append(action.requester)
        return True

    clerks = AuthorizationPolicy(roles=["clerk"], authorizer=remember)

    @govern(clerks)
    async def spend(amount: int) -> int:
        return amount

    @workflow
    async def parent(amount: int) -> Any:
        child = await runtime.start(spend, amount)
        return [await spend(amount), await child.result()]

    async with ground.runtime() as runtime:
        with acting_as(ANA):
            assert await spend(1) == 1
            assert await (await runtime.start(spend, 2)).result() == 2
            assert await parent(3) == [3, 3]
        with pytest.raises(PolicyDenied, match="nobody is known"):
            await spend(4)
        with acting_as(Principal("bob@company.com")), pytest.raises(PolicyDenied, match="none of the roles"):
            await spend(5)
    assert set(seen) == {ANA}


async def test_workflow_code_can_say_for_whom_it_acts(ground: Ground) -> None:
    @govern(AuthorizationPolicy(roles=["robot"]))
    async def spend() -> int:
        return 1

    @workflow
    async def nightly() -> int:
        with acting_as(Principal("night shift", roles=["robot"])):
            return await spend()

    async with ground.runtime():
        with acting_as(ANA):
            assert await nightly() == 1


# The runtime's own policies


async def test_the_policies_of_the_runtime_hold_for_every_governed_call(ground: Ground) -> None:
    frozen = policy(name="freeze")(lambda action, _: not action.name.startswith("book"))

    @workflow
    async def direct(amount: int) -> int:
        return await book(amount)

    @workflow
    async def parent(amount: int) -> int:
        return await (await runtime.start(book, amount)).result()  # type: ignore[no-any-return]

    @step
    async def within(amount: int) -> int:
        return await book(amount)

    @workflow
    async def through_a_step(amount: int) -> int:
        return await within(amount)

    calls = (book, direct, parent, through_a_step, govern(name="booked")(book.__wrapped__))
    async with ground.runtime(policies=[frozen]) as runtime:
        assert await wire(Decimal(1)) == 2
        for call in calls:
            with pytest.raises(PolicyDenied, match="freeze"):
                await call(1)
    async with ground.runtime():
        assert await book(1) == 1
    assert [name for name, *_ in effects] == ["wire", "book"]


async def test_secrets_that_the_runtime_names_are_kept_out_for_whoever_starts(ground: Ground) -> None:
    """The start comes from a task that knows nothing of the runtime around it."""

    @govern()
    async def enlist(badge: str) -> str:
        return badge

    starts: asyncio.Queue[Any] = asyncio.Queue()

    async def stranger() -> Any:
        runtime = await starts.get()
        return await (await runtime.start(enlist, "canary-7")).result()

    task = asyncio.create_task(stranger())
    async with ground.runtime(policies=[AuditPolicy(sensitive=["badge"])]) as runtime:
        await starts.put(runtime)
        assert await task == "canary-7"
        (record,) = await runtime.executions()
    assert record.arguments == '{"badge":"[redacted]"}'


# Limits, retries, timeouts


async def test_calls_are_counted_over_all_processes_on_a_store(ground: Ground) -> None:
    @govern(RateLimitPolicy(2, "1h"))
    async def count() -> int:
        return 1

    async with ground.runtime():
        await count()
    async with ground.runtime():
        await count()
        with pytest.raises(RateLimited) as limited:
            await count()
        assert 0 < limited.value.retry_after <= 3600
        await asyncio.sleep(3600)
        await count()


async def test_the_retries_of_a_step_hold_and_what_is_denied_is_not_tried_again(ground: Ground) -> None:
    asked: list[int] = []

    @policy(name="open", rechecked=True)
    def granted(*_: Any) -> bool:
        asked.append(1)
        return len(asked) < 9

    @govern(granted)
    @step(retry=Retry(5, initial=1), timeout="10s")
    async def send(amount: int) -> int:
        effects.append(idempotency_key())
        if len(effects) < 3:
            raise ConnectionError
        return amount

    async with ground.runtime():
        assert await send(1) == 1
        assert (len(effects), len(set(effects))) == (3, 1)
        asked.extend([1] * 3)
        effects.clear()
        with pytest.raises(PolicyDenied, match="open"):
            await send(1)
    assert (effects, len(asked)) == ([], 9)


async def test_a_step_that_takes_too_long_is_in_doubt_unless_it_may_be_repeated(ground: Ground) -> None:
    async def slow() -> None:
        await asyncio.sleep(100)

    @govern(once=False)
    @step(timeout="1s")
    async def send(amount: int) -> None:
        await effects.have(amount)

    effects.then = slow
    async with ground.runtime():
        with pytest.raises(TimeoutError):
            await send(1)


# Governed workflows


@govern([POSITIVE, AuditPolicy(), ApprovalPolicy([CFO])], post=lambda action, outcome: effects.append(outcome))
@workflow(name="settle", version=2)
async def settle(amount: int) -> Decimal:
    effects.append("begun")
    await approve("really?", approvers=[CFO])
    return await wire(Decimal(amount))


async def test_a_governed_workflow_begins_with_its_permit_and_is_reviewed_at_its_end(ground: Ground) -> None:
    async with ground.runtime(settle) as runtime:
        handle = await runtime.start(settle, 5)
        await ground.asked(runtime)
        assert effects == []
        await ground.decide(runtime)
        await ground.decide(runtime, times=2)
        assert await handle.result() == 10
        record, events = await handle.record(), await handle.events()
    assert (record.name, record.version) == ("settle", 2)
    assert [each for each in effects if isinstance(each, Outcome)] == [Outcome(value=Decimal(10))]
    assert [from_json(each.value or "")["phase"] for each in events if each.type == "audit.logged"] == [
        "before", "before", "after", "after",
    ]  # fmt: skip
    assert len(ground.rows("SELECT * FROM permits")) == 2


async def test_the_failure_of_a_governed_workflow_is_audited(ground: Ground) -> None:
    @govern(AuditPolicy())
    @workflow
    async def failing() -> None:
        raise LookupError("gone")

    async with ground.runtime() as runtime:
        with pytest.raises(LookupError):
            await failing()
        (record,) = await runtime.executions()
        events = await runtime.handle(record.id).events()
    last = [from_json(each.value or "") for each in events if each.type == "audit.logged"][-1]
    assert (last["phase"], last["error"]) == ("after", "LookupError: gone")


# Before and after


async def test_pre_and_post_are_steps_of_the_execution(ground: Ground) -> None:
    said: list[Any] = []

    @govern(
        pre=lambda action: said.append((action.amount, execution().id, action.execution_id)),
        post=[lambda action, outcome: said.append((action.amount, outcome.value))],
    )
    async def send(amount: int) -> int:
        said.append("sent")
        return amount * 2

    async with ground.runtime() as runtime:
        await send(1)
        (record,) = await runtime.executions()
        events = await runtime.handle(record.id).events()
    assert said == [(1, record.id, record.id), "sent", (1, 2)]
    assert [each.name for each in events if each.type == "step.completed"] == ["send.pre", "send", "send.post"]


async def test_a_pre_action_that_fails_denies_the_effect(ground: Ground) -> None:
    def reserve(action: Action) -> None:
        raise LookupError("no budget")

    @govern(pre=reserve)
    async def send(amount: int) -> None:
        effects.append(amount)

    async with ground.runtime() as runtime:
        with pytest.raises(PolicyDenied, match="LookupError: no budget"):
            await send(1)
        assert len(await runtime.executions(cause="denied")) == 1
    assert effects == []


async def test_post_learns_of_a_failed_effect(ground: Ground) -> None:
    outcomes: list[Outcome] = []

    @govern(post=lambda _, outcome: outcomes.append(outcome))
    async def send() -> None:
        raise ConnectionError("no line")

    async with ground.runtime():
        with pytest.raises(ConnectionError):
            await send()
    assert [(each.failed, str(each.error)) for each in outcomes] == [(True, "no line")]


async def test_a_result_that_is_denied_fails_the_execution_and_the_effect_stays_recorded(ground: Ground) -> None:
    @govern(ValidationPolicy(result=lambda value: value < 5))
    async def send(amount: int) -> int:
        return await effects.have(amount) and amount

    async with ground.runtime() as runtime:
        assert await send(1) == 1
        with pytest.raises(ValidationDenied):
            await send(7)
        (record,) = await runtime.executions(cause="denied")
        events = await runtime.handle(record.id).events()
    done = [each for each in events if (each.type, each.name) == ("step.completed", "send")]
    assert [each.value for each in done] == ["7"]
    assert types(events, "policy") == ["policy.evaluated", "policy.validation.failed"]


# Methods


class Bank:
    def __init__(self, name: str) -> None:
        self.name = name

    @govern(ApprovalPolicy([CFO], timeout_seconds=5))
    async def transfer(self, amount: int) -> str:
        await effects.have(self.name, amount)
        return f"{self.name} sent {amount}"

    @govern(ApprovalPolicy([CFO], timeout_seconds=5))
    @step
    async def refund(self, amount: int) -> str:
        return f"{self.name} refunded {amount}"

    @govern(POSITIVE)
    async def quote(self, amount: int) -> str:
        return f"{self.name} {amount}"


async def test_methods_are_governed_durably(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        assert [await Bank("one").quote(1), await Bank("other").quote(2)] == ["one 1", "other 2"]
        with pytest.raises(ValidationDenied):
            await Bank("one").quote(-1)
        assert {each.name for each in await runtime.executions()} == {"Bank.quote"}
    assert '"self"' not in ground.shown()


async def test_a_method_that_waits_comes_back_to_its_own_object(ground: Ground) -> None:
    one, other = Bank("one"), Bank("other")
    async with ground.runtime() as runtime:
        waiting = []
        for call, amount in ((one.transfer, 1), (other.transfer, 2), (one.refund, 3), (other.refund, 4)):
            with pytest.raises(ApprovalPending) as pending:
                await call(amount)
            waiting.append(pending.value.execution_id)
        await ground.decide(runtime, times=4)
        results = [await runtime.handle(each).result() for each in waiting]
    assert results == ["one sent 1", "other sent 2", "one refunded 3", "other refunded 4"]
    assert effects == [("one", 1), ("other", 2)]


class Kiosk:
    """It cannot be remembered without being kept alive: as if it had died with its process."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @govern(ApprovalPolicy([CFO], timeout_seconds=5))
    async def transfer(self, amount: int) -> str:
        return f"{self.name} sent {amount}"


async def test_another_process_brings_its_own_object(ground: Ground) -> None:
    async with ground.runtime():
        with pytest.raises(ApprovalPending) as pending:
            await Kiosk("one").transfer(3)
    async with ground.runtime(Kiosk("theirs").transfer) as runtime:
        await ground.decide(runtime)
        assert await runtime.handle(pending.value.execution_id).result() == "theirs sent 3"


# What was known before it was governed


@workflow
async def errand(amount: int) -> int:
    return amount


async def test_g1_the_same_function_under_other_policies_needs_another_name(ground: Ground) -> None:
    """Of two programs of one name a worker would know only one, which might be the one with fewer policies."""
    async with ground.runtime() as runtime:
        assert await errand(1) == 1
        strict = govern([ValidationPolicy(check=lambda action: action.amount > 5)])(errand)
        with pytest.raises(DuplicateWorkflow):
            await runtime.start(strict, 1)


async def test_g1_a_workflow_that_has_run_ungoverned_is_governed_all_the_same(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        assert await errand(1) == 1
        governed = govern([ValidationPolicy(check=lambda action: action.amount > 5)], name="governed")(errand)
        handle = await runtime.start(governed, 1)
        with pytest.raises(ValidationDenied):
            await handle.result()
        assert (await handle.record()).name == "governed"

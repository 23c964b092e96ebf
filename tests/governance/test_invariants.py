"""What must always hold of governed effects, each as an attack on it.

G1 no path reaches an effect without a permit; G2 one approval yields one effect; G3 what was changed after it was
approved is refused (`test_permits.py` edits every stored row); G4 only a listed approver decides; G5 an effect is never
repeated blindly.
"""

import asyncio
import itertools
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent import (
    NOT_DONE,
    Action,
    ApprovalPolicy,
    ApprovalRejected,
    ApprovalStage,
    AuditPolicy,
    AuthorizationPolicy,
    Facts,
    InDoubt,
    OutcomeUnknown,
    Phase,
    PolicyDenied,
    RateLimitPolicy,
    Runtime,
    SequentialApprovalPolicy,
    Status,
    StoreError,
    ValidationPolicy,
    VerdictRefused,
    acting_as,
    govern,
    policy,
    step,
    workflow,
)
from assent.codec import from_json
from assent.governance.approvals import ApprovalRequest
from assent.testing import jumping_run
from tests.governance.doors import DeadlyDoor, FaultyDoor, nth, records
from tests.governance.ground import ANA, CEO, CFO, LAW, Effects, Ground, types

effects = Effects()
EVE = "eve@company.com"


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


@govern(
    [ApprovalPolicy([CFO, CEO], name="money"), ValidationPolicy(check=lambda action: action.amount > 0), AuditPolicy()]
)
async def wire(amount: int) -> str:
    await effects.have(amount)
    return f"sent {amount}"


async def decide_all(runtime: Runtime, decision: Any = "approve") -> None:
    """People decide whatever is open, and try again when they are told that it did not work."""
    for each in await runtime.approvals():
        request = ApprovalRequest.from_text(each.request)
        try:
            await runtime.decide(each.id, approver=request.electorate[0], decision=decision, reason="seen")
        except (StoreError, VerdictRefused):
            continue


async def settled(runtime: Runtime, id: str, decision: Any = "approve") -> Any:
    """What becomes of an execution while people decide whatever it asks; its record if it is in doubt."""
    handle = runtime.handle(id)
    for _ in range(50):
        try:
            await decide_all(runtime, decision)
            record = await handle.record()
        except StoreError:
            await asyncio.sleep(2)
            continue
        if record.status is Status.IN_DOUBT:
            return record
        if record.status.is_final:
            try:
                return await handle.result()
            except Exception as error:  # noqa: BLE001 - it is what the tests look at
                return error
        await asyncio.sleep(2)
    raise Unsettled(await handle.record(), types(await handle.events()))


# G1: no path reaches an effect without a permit


class Unsettled(AssertionError):
    """An execution does not end."""


class Witness:
    """Says of each effect, at the moment at which it happens, whether its permit is on disk."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.permits: list[int] = []

    async def __call__(self) -> None:
        self.permits.append(
            self.ground.rows(
                "SELECT count(*) FROM permits JOIN approvals USING (execution_id)"
                " JOIN verdicts ON approval_id = approvals.id"
                " WHERE approvals.status = 'granted' AND verdicts.decision = 'approve' AND refusal IS NULL"
            )[0][0]
        )


@pytest.mark.parametrize("is_done", [False, True], ids=["fails", "is done and fails"])
@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_g1_whichever_call_of_the_store_fails_no_effect_is_without_a_permit(
    ground: Ground, decision: str, is_done: bool
) -> None:
    witness = effects.then = Witness(ground)
    for fails_at in itertools.count(1):
        effects.clear()
        witness.permits.clear()
        door = FaultyDoor(ground.store(), fails_at, is_done=is_done)
        call_id = f"{decision} {fails_at}"
        # What a process owns without knowing it, because word of its claim was lost, is free when the process ends.
        with suppress(StoreError, Unsettled):
            async with ground.runtime(wire, store=door) as runtime:
                await runtime.start(wire, 5, id=call_id)
                await settled(runtime, call_id, decision)
        async with ground.runtime(wire) as runtime:
            await runtime.start(wire, 5, id=call_id)
            result = await settled(runtime, call_id, decision)
        assert all(count >= 1 for count in witness.permits)
        happened = len(effects)
        assert happened <= (decision == "approve")
        # Whatever did not happen has a reason: somebody must say, people said no, or a question could not be read.
        assert (
            happened
            or getattr(result, "status", None) is Status.IN_DOUBT
            or isinstance(result, (ApprovalRejected, StoreError) if decision == "reject" else StoreError)
        )
        ground.edit("DELETE FROM permits")
        ground.edit("DELETE FROM verdicts")
        ground.edit("DELETE FROM approvals")
        if not door.has_failed:
            return


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3), BaseException("worse")], ids=type)
async def test_g1_whichever_call_of_a_policy_fails_the_effect_is_denied_or_was_permitted(
    ground: Ground, error: BaseException
) -> None:
    calls = itertools.count(1)
    fails_at = [0]

    def rule(action: Action, facts: Facts) -> bool:
        if next(calls) == fails_at[0]:
            raise error
        return True

    async def later(action: Action, facts: Facts) -> bool:
        await asyncio.sleep(0)
        return rule(action, facts)

    policies = [
        policy(name="plain", rechecked=True, phase=Phase.BOTH)(rule),
        policy(name="async", rechecked=True, phase=Phase.BOTH)(later),
        ValidationPolicy(check=lambda action: rule(action, None)),  # type: ignore[arg-type]
        ApprovalPolicy([CFO], auto_approve=lambda action: rule(action, None)),  # type: ignore[arg-type]
        AuthorizationPolicy(authorizer=lambda action: rule(action, None)),  # type: ignore[arg-type]
        AuditPolicy(logger=lambda record: rule(record, None)),  # type: ignore[arg-type]
    ]

    @govern(policies, pre=lambda action: rule(action, None), name="ruled")  # type: ignore[arg-type]
    async def ruled(amount: int) -> str:
        return f"sent {await effects.have(next(calls))}"

    async with ground.runtime(ruled):
        with acting_as(ANA):
            await ruled(5)
            ((during,),) = effects
            total = next(calls) - 1
            for fails_at[0] in range(1, total + 1):
                effects.clear()
                calls = itertools.count(1)
                if fails_at[0] == during:
                    continue
                with pytest.raises(PolicyDenied):
                    await ruled(5)
                assert len(effects) == (1 if fails_at[0] > during else 0), fails_at[0]
    assert total >= 12


async def test_g1_a_policy_that_never_answers_or_is_cancelled_lets_nothing_through(ground: Ground) -> None:
    async def never(*_: Any) -> bool:
        await asyncio.sleep(1e6)
        return True

    def cancels(*_: Any) -> bool:
        raise asyncio.CancelledError

    for rule in (never, cancels):
        slow = govern(policy(name="slow")(rule), name=f"slow {rule.__name__}")(wire.__wrapped__)
        async with ground.runtime():
            call = asyncio.create_task(slow(5))
            await asyncio.sleep(100)
            call.cancel()
            await asyncio.wait([call])
        assert effects == []


async def test_g1_killed_at_any_commit_no_effect_is_without_a_permit_and_none_is_doubled(ground: Ground) -> None:
    witness = effects.then = Witness(ground)
    in_doubt = 0
    for number in itertools.count(1):
        effects.clear()
        witness.permits.clear()
        door = DeadlyDoor(ground.store(), nth(number))
        call_id = f"killed {number}"
        async with ground.runtime(wire, store=door) as runtime:
            life = asyncio.create_task(start_and_settle(runtime, call_id))
            death = asyncio.create_task(door.died.wait())
            await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
            for each in (life, death):
                each.cancel()
            await asyncio.gather(life, death, return_exceptions=True)
        async with ground.runtime(wire) as runtime:
            result = await start_and_settle(runtime, call_id)
        assert (len(effects), len(witness.permits)) in {(1, 1), (0, 0)}
        assert all(count >= 1 for count in witness.permits)
        if getattr(result, "status", None) is Status.IN_DOUBT:
            in_doubt += 1
        else:
            assert (result, len(effects)) == ("sent 5", 1)
        ground.edit("DELETE FROM permits")
        ground.edit("DELETE FROM approvals WHERE id NOT IN (SELECT approval_id FROM verdicts)")
        if not door.died.is_set():
            break
    assert in_doubt >= 1


async def start_and_settle(runtime: Runtime, id: str) -> Any:
    await runtime.start(wire, 5, id=id)
    return await settled(runtime, id)


# G2: one approval yields one effect


async def test_g2_clicks_on_many_surfaces_at_once_yield_one_effect(ground: Ground) -> None:
    async with ground.runtime(wire) as one, ground.runtime(wire) as other, ground.runtime(worker=False) as client:
        handle = await one.start(wire, 5)
        (asked,) = await ground.asked(one)
        await ground.until("execution.suspended")
        surfaces = [one, other, client]
        clicks = await asyncio.gather(
            *(surfaces[i % 3].decide(asked.id, approver=(CFO, CEO)[i % 2]) for i in range(12)), return_exceptions=True
        )
        for each in (one, other):
            each.engine.nudge()  # type: ignore[attr-defined]  # what a look at the file would bring about
        assert await handle.result() == "sent 5"
        events = await handle.events()
    assert len(effects) == 1
    assert [type(each) for each in clicks].count(VerdictRefused) == 11
    assert types(events).count("policy.approval.granted") == 1
    assert types(events).count("permit.consumed") == 1
    assert types(events).count("policy.approval.refused") == 11


async def test_g2_approving_and_rejecting_at_once_is_one_decision(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        for _ in range(5):
            effects.clear()
            handle = await runtime.start(wire, 5)
            await ground.until("execution.suspended", len(await runtime.executions()))
            (asked,) = await runtime.approvals()
            votes = [runtime.decide(asked.id, approver=CFO), runtime.decide(asked.id, approver=CEO, decision="reject")]
            first, second = await asyncio.gather(*votes, return_exceptions=True)
            assert [type(first), type(second)].count(VerdictRefused) == 1
            result = await settled(runtime, handle.id)
            assert (result == "sent 5") == (len(effects) == 1) == (not isinstance(first, Exception))
            assert isinstance(result, str | ApprovalRejected)


async def test_g2_two_workers_resume_what_was_approved_once(ground: Ground) -> None:
    ids = [f"w{number}" for number in range(20)]
    async with ground.runtime(wire) as client:
        for call_id in ids:
            await client.start(wire, 5, id=call_id)
        await ground.until("execution.suspended", len(ids))
    async with ground.runtime(worker=False) as client:
        await decide_all(client)
    async with ground.runtime(wire) as one, ground.runtime(wire) as other:
        for each in (one, other):
            each.engine.nudge()  # type: ignore[attr-defined]  # what a look at the file would bring about
        results = await asyncio.gather(*(settled(one, call_id) for call_id in ids))
        await asyncio.gather(*(settled(other, call_id) for call_id in ids))
    assert results == ["sent 5"] * 20
    assert ground.rows("SELECT count(*), count(DISTINCT execution_id) FROM permits") == [(20, 20)]


async def test_g2_a_permit_cannot_be_taken_twice_by_a_copied_journal(ground: Ground) -> None:
    """An intruder makes the execution look as it did before its effect, and a worker goes on from there."""
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, 5)
        assert await settled(runtime, handle.id) == "sent 5"
    ground.edit("DELETE FROM journal WHERE type IN ('permit.consumed', 'permit.issued', 'step.started')")
    ground.edit("DELETE FROM journal WHERE name = 'wire' AND type = 'step.completed' OR type = 'execution.completed'")
    ground.edit("UPDATE executions SET status = 'running', owner = NULL, wake_at = 0")
    async with ground.runtime(wire) as runtime:
        error = await settled(runtime, handle.id)
    assert "already used" in str(error)
    assert len(effects) == 1


# G4: only those who are listed decide, and each once


@pytest.mark.parametrize(
    ("who", "decision", "reason", "refusal"),
    [
        (EVE, "approve", "r", "is not an approver"),
        ("", "approve", "r", "is not an approver"),
        ("cfo@company.com ", "approve", "r", "is not an approver"),
        ("cfо@company.com", "approve", "r", "is not an approver"),  # noqa: RUF001 - a Cyrillic o
        (ANA.id, "approve", "r", "asked for"),
        (ANA.id.upper(), "reject", "r", "asked for"),
        (CFO, "approve", " ", "needs a reason"),
        (LAW, "approve", "r", "has already said approve"),
        (LAW.title(), "reject", "r", "has already said approve"),
    ],
)
async def test_g4_a_wrong_verdict_is_refused_with_a_reason_and_recorded(
    ground: Ground, who: str, decision: Any, reason: str, refusal: str
) -> None:
    @govern(ApprovalPolicy([ANA.id, CFO, CEO, LAW], quorum=2, require_reason=True), name="sign")
    async def sign(amount: int) -> None:
        await effects.have(amount)

    async with ground.runtime(sign) as runtime:
        with acting_as(ANA):
            handle = await runtime.start(sign, 5)
        (asked,) = await ground.asked(runtime)
        await runtime.decide(asked.id, approver=LAW, reason="r")
        with pytest.raises(VerdictRefused, match=refusal) as refused:
            await runtime.decide(asked.id, approver=who, decision=decision, reason=reason)
        (still,) = await runtime.approvals()
        events = await handle.events()
    facts = from_json(events[-1].value or "")
    assert (events[-1].type, facts["approver"], facts["refusal"]) == (
        "policy.approval.refused", who, refused.value.reason,
    )  # fmt: skip
    assert (still.status, still.version, effects) == ("pending", 1, [])
    assert len(ground.rows("SELECT * FROM verdicts WHERE refusal IS NOT NULL")) == 1


PEOPLE = [CFO, CEO, LAW, ANA.id, EVE]
VERDICTS = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["approve", "reject"])), max_size=8)


@given(VERDICTS, st.integers(1, 3))
def test_g4_whatever_is_said_an_effect_needs_a_quorum_of_those_who_may(
    said: list[tuple[str, Any]], quorum: int
) -> None:
    happened: list[int] = []

    @govern(ApprovalPolicy([CFO, CEO, LAW, ANA.id], quorum=quorum), name="sign")
    async def sign(amount: int) -> None:
        happened.append(amount)

    async def main() -> None:
        async with Runtime("sqlite://", workflows=[sign]) as runtime:
            with acting_as(ANA):
                handle = await runtime.start(sign, 5)
            await runtime.engine.waiting(handle.id)
            ((asked),) = await runtime.approvals()
            for who, decision in said:
                try:
                    await runtime.decide(asked.id, approver=who, decision=decision)
                except VerdictRefused:
                    continue
            try:
                await handle.result(timeout=1)
            except (ApprovalRejected, TimeoutError):
                return

    jumping_run(main)
    decisive: set[str] = set()
    granted = False
    for who, decision in said:
        if granted or who not in {CFO, CEO, LAW} or who in decisive:
            continue
        if decision == "reject":
            break
        decisive.add(who)
        granted = len(decisive) >= quorum
    assert happened == ([5] if granted else [])


# G5: an effect is never repeated blindly


def sending(**terms: Any) -> Any:
    @govern(AuditPolicy(), name="send", **terms)
    async def send(amount: int) -> str:
        await effects.have(amount)
        return f"sent {amount}"

    return send


async def killed_after_the_effect(ground: Ground, send: Any) -> str:
    door = DeadlyDoor(ground.store(), records("send"))
    async with ground.runtime(send, store=door) as runtime:
        handle = await runtime.start(send, 5)
        await door.died.wait()
    assert effects == [(5,)]
    return handle.id


def unknown(_: Action) -> Any:
    raise OutcomeUnknown("the bank does not answer")


def broken(_: Action) -> Any:
    raise LookupError("no such account")


async def test_g5_what_verify_finds_is_the_outcome(ground: Ground) -> None:
    asked: list[Action] = []

    async def find(action: Action) -> str:
        asked.append(action)
        return "found"

    send = sending(verify=find)
    call_id = await killed_after_the_effect(ground, send)
    async with ground.runtime(send) as runtime:
        assert await settled(runtime, call_id) == "found"
        events = await runtime.handle(call_id).events()
    assert (len(effects), "step.verified" in types(events)) == (1, True)
    (action,) = asked
    assert (action.name, action.amount, action.execution_id) == ("send", 5, call_id)
    assert (action.idempotency_key or "").startswith(call_id)


async def test_g5_what_verify_finds_is_audited_like_any_outcome(ground: Ground) -> None:
    async def find(action: Action) -> str:
        return "found"

    send = sending(verify=find)
    call_id = await killed_after_the_effect(ground, send)
    async with ground.runtime(send) as runtime:
        assert await settled(runtime, call_id) == "found"
        events = await runtime.handle(call_id).events()
    records = [from_json(each.value or "") for each in events if each.type == "audit.logged"]
    assert [(each["phase"], each.get("result")) for each in records] == [("before", None), ("after", "found")]


async def test_g5_what_surely_was_not_done_is_done_under_the_same_permit(ground: Ground) -> None:
    send = sending(verify=lambda action: NOT_DONE)
    call_id = await killed_after_the_effect(ground, send)
    effects.clear()
    async with ground.runtime(send) as runtime:
        assert await settled(runtime, call_id) == "sent 5"
    assert (effects, len(ground.rows("SELECT * FROM permits"))) == ([(5,)], 1)


@pytest.mark.parametrize("verify", [None, unknown, broken], ids=["none", "unknown", "broken"])
@pytest.mark.parametrize("done", [True, False])
async def test_g5_what_nobody_can_tell_is_put_before_a_person(ground: Ground, verify: Any, done: bool) -> None:
    send = sending(verify=verify)
    call_id = await killed_after_the_effect(ground, send)
    async with ground.runtime(send) as runtime:
        record = await settled(runtime, call_id)
        assert (record.status, len(effects)) == (Status.IN_DOUBT, 1)
        await runtime.handle(call_id).resolve(done=done, result="it was" if done else None, by=CFO)
        assert await runtime.handle(call_id).result() == ("it was" if done else "sent 5")
        events = await runtime.handle(call_id).events()
    assert len(effects) == (1 if done else 2)
    (verified,) = [from_json(each.value or "") for each in events if each.type == "step.verified"]
    assert (verified["done"], verified["by"]) == (done, CFO)


async def test_g5_the_permit_is_checked_again_before_an_effect_that_was_not_done(ground: Ground) -> None:
    clerks = {str(ANA)}
    terms = AuthorizationPolicy(authorizer=lambda action: str(action.requester) in clerks)
    send = govern(terms, name="send", verify=lambda action: NOT_DONE)(sending().__wrapped__)
    door = DeadlyDoor(ground.store(), records("send"))
    async with ground.runtime(send, store=door) as runtime:
        with acting_as(ANA):
            handle = await runtime.start(send, 5)
        await door.died.wait()
    clerks.clear()
    async with ground.runtime(send) as runtime:
        assert isinstance(await settled(runtime, handle.id), PolicyDenied)
    assert len(effects) == 1


async def test_g5_only_an_effect_that_may_be_repeated_is_repeated(ground: Ground) -> None:
    send = sending(once=False)
    call_id = await killed_after_the_effect(ground, send)
    async with ground.runtime(send) as runtime:
        assert await settled(runtime, call_id) == "sent 5"
    assert (len(effects), len(ground.rows("SELECT * FROM permits"))) == (2, 1)


async def test_g5_a_caller_who_waits_learns_of_the_doubt(ground: Ground) -> None:
    async def hang() -> None:
        await asyncio.sleep(1000)

    @govern(name="slowly")
    @step(timeout="5s")
    async def slowly(amount: int) -> str:
        await effects.have(amount)
        return "sent"

    effects.then = hang
    async with ground.runtime() as runtime:
        with pytest.raises(InDoubt, match="assent resolve") as doubt:
            await slowly(5)
        handle = runtime.handle(doubt.value.execution_id)
        assert await handle.status() is Status.IN_DOUBT
        await handle.resolve(done=True, result="by hand")
        assert await handle.result() == "by hand"
    assert len(effects) == 1


async def test_g5_one_effect_in_doubt_does_not_hold_up_or_repeat_the_others(ground: Ground) -> None:
    send = sending()

    @workflow
    async def batch() -> list[str]:
        return list(await asyncio.gather(send(1), send(2), send(3)))

    died = DeadlyDoor(ground.store(), lambda commit: any(each.value == '"sent 2"' for each in commit.events))
    async with ground.runtime(batch, store=died) as runtime:
        handle = await runtime.start(batch)
        await died.died.wait()
    async with ground.runtime(batch) as runtime:
        record = await settled(runtime, handle.id)
        assert record.status is Status.IN_DOUBT
        while (await handle_status(runtime, handle.id)) is Status.IN_DOUBT:
            await runtime.handle(handle.id).resolve(done=True, result="sent by hand")
            await asyncio.sleep(1)
        results = await runtime.handle(handle.id).result()
    assert sorted(amount for (amount,) in effects) == [1, 2, 3]
    assert set(results) <= {"sent 1", "sent 2", "sent 3", "sent by hand"}


async def handle_status(runtime: Runtime, id: str) -> Status:
    return await runtime.handle(id).status()


# Adding rules never allows more


@pytest.mark.parametrize(
    "extra",
    [
        policy(name="no")(lambda *_: False),
        ValidationPolicy(check=lambda action: False),
        ApprovalPolicy([EVE], expires="1h"),
        SequentialApprovalPolicy([ApprovalStage("one", [EVE], expires="1h")]),
        AuthorizationPolicy(roles=["nobody"]),
    ],
    ids=lambda each: each.kind,
)
async def test_one_more_rule_never_allows_more(ground: Ground, extra: Any) -> None:
    both: Any = govern([RateLimitPolicy(5, "1h"), extra], name="both")(sending().__wrapped__)
    async with ground.runtime() as runtime:
        handle = await runtime.start(both, 5)
        with pytest.raises(PermissionError):
            await handle.result()
    assert effects == []

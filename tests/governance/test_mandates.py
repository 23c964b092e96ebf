"""Mandates: one approval for a series, good for what its terms say, and never for more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
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
    Principal,
    Runtime,
    SequentialApprovalPolicy,
    UsageError,
    VerdictRefused,
    acting_as,
    govern,
    workflow,
)
from assent.codec import from_json
from assent.errors import BudgetExceeded, ExecutionCancelled
from assent.governance.approvals import MANDATE, ApprovalRequest, opened
from assent.governance.budgets import BudgetPolicy
from assent.governance.judging import judge
from assent.governance.mandates import MandateTerms, ask_mandate, covers, mandate, remainders
from assent.governance.people import Roster, add_person, disable_person
from assent.store import ApprovalStatus, Hold, PersonRecord, VerdictRecord
from tests.governance.doors import DeadlyDoor, records
from tests.governance.ground import ANA, CEO, CFO, LAW, Effects, Ground, types

effects = Effects()


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


@govern([ApprovalPolicy([CFO, CEO], name="money")])
async def wire(amount: Decimal, recipient: str = "acme") -> str:
    await effects.have(amount, recipient)
    return f"sent {amount}"


async def asked_for(runtime: Runtime, **terms: Any) -> Any:
    """An execution that asks for a mandate."""
    options = {"action": "wire", "approvers": [CFO, CEO], "until": "8h"} | terms

    @workflow(name="asks for a mandate")
    async def asks() -> str:
        return await ask_mandate(**options)

    return await runtime.start(asks)


async def granted(
    ground: Ground, runtime: Runtime, *, by: tuple[str, ...] = (CFO,), reason: str = "", **terms: Any
) -> str:
    """A mandate that people have given."""
    handle = await asked_for(runtime, quorum=len(by), **terms)
    await asyncio.sleep(1)
    (asked,) = await runtime.approvals(execution_id=handle.id)
    for who in by:
        await ground.say(runtime, asked, who, reason=reason)
    result: str = await handle.result()
    return result


async def asks_people(runtime: Runtime, *args: Any, fn: Any = wire) -> bool:
    """Whether a call waits for people; it is cancelled then."""
    handle = await runtime.start(fn, *args)
    await asyncio.sleep(5)
    if (await handle.record()).status == "suspended":
        await handle.cancel()
        return True
    await handle.result()
    return False


async def left(ground: Ground, runtime: Runtime) -> tuple[Any, Any]:
    engine: Any = runtime.engine
    (one,) = await remainders(engine.store, ground.clock.now())
    return one.count, one.total


# What it is good for


async def test_actions_within_its_terms_happen_without_asking_and_what_does_not_fit_asks(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        mandate_id = await granted(ground, runtime, count=20, total=30_000, only=['recipient in ["acme", "globex"]'])
        assert await wire(Decimal(10_000)) == "sent 10000"
        assert await wire(Decimal("19999.50"), "globex") == "sent 19999.50"
        assert await left(ground, runtime) == (18, Decimal("0.5"))
        assert await asks_people(runtime, Decimal("0.51"))
        assert await asks_people(runtime, Decimal("0.10"), "initech")
        assert not await asks_people(runtime, Decimal("0.50"))
        events = await runtime.handle((await runtime.executions())[0].id).events()
        record = next(each for each in await runtime.approvals(None) if each.id == mandate_id)
    (issued,) = [from_json(each.value or "") for each in events if each.type == "permit.issued"]
    assert issued["mandates"] == [mandate_id]
    assert types(events, "policy.approval") == []
    assert (record.status, record.used_by) == ("granted", None)


async def test_it_ends_at_its_moment_and_after_so_many(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        until = datetime.fromtimestamp(ground.clock.now() + 3600, UTC)
        await granted(ground, runtime, count=2, until=until)
        assert [await asks_people(runtime, Decimal(5)) for _ in range(3)] == [False, False, True]
    async with ground.runtime(wire) as runtime:
        await granted(ground, runtime, count=9, until="1h")
        assert not await asks_people(runtime, Decimal(5))
        await asyncio.sleep(3600)
        assert await asks_people(runtime, Decimal(5))


async def test_it_can_be_revoked_while_it_is_used(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        mandate_id = await granted(ground, runtime, count=20)
        assert not await asks_people(runtime, Decimal(5))
        with pytest.raises(VerdictRefused):
            await ground.say(runtime, mandate_id, LAW, "revoke")
        await ground.say(runtime, mandate_id, CFO, "revoke")
        assert await asks_people(runtime, Decimal(5))
    assert len(effects) == 1


async def test_nobody_uses_it_whose_own_request_its_givers_could_not_approve(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        await granted(ground, runtime, count=20)
        with acting_as(Principal(CFO)):
            assert await asks_people(runtime, Decimal(5))
        with acting_as(ANA):
            assert not await asks_people(runtime, Decimal(5))


@pytest.mark.parametrize(
    ("policy", "by", "reason", "covered"),
    [
        (ApprovalPolicy([CFO]), (CFO,), "", True),
        (ApprovalPolicy([CEO]), (CFO,), "", False),
        (ApprovalPolicy([CFO, CEO, LAW], quorum=2), (CFO,), "", False),
        (ApprovalPolicy([CFO, CEO, LAW], quorum=2), (CFO, CEO), "", True),
        (ApprovalPolicy([CFO, CEO], quorum="all"), (CFO, CEO), "", True),
        (ApprovalPolicy([CFO, LAW], quorum="all"), (CFO, CEO), "", False),
        (ApprovalPolicy([CFO], require_reason=True), (CFO,), "", False),
        (ApprovalPolicy([CFO], require_reason=True), (CFO,), "for the quarter", True),
        (ApprovalPolicy([CFO, CEO], exclude=[CFO]), (CFO,), "", False),
        (SequentialApprovalPolicy([ApprovalStage("a", [CFO]), ApprovalStage("b", [CFO])]), (CFO,), "", True),
        (SequentialApprovalPolicy([ApprovalStage("a", [CFO]), ApprovalStage("b", [LAW])]), (CFO,), "", False),
    ],
)
async def test_it_stands_in_only_where_its_givers_could_have_approved(
    ground: Ground, policy: Any, by: tuple[str, ...], reason: str, covered: bool
) -> None:
    ruled = govern([policy], name="ruled")(wire.__wrapped__)
    async with ground.runtime(ruled) as runtime:
        await granted(ground, runtime, action=ruled, by=by, reason=reason, count=5)
        assert await asks_people(runtime, Decimal(5), fn=ruled) is not covered
        count, _ = await left(ground, runtime)
    assert count == (4 if covered else 5)


async def test_a_series_of_which_it_covers_a_part_asks_for_the_rest(ground: Ground) -> None:
    stages = SequentialApprovalPolicy([ApprovalStage("a", [CFO]), ApprovalStage("b", [LAW])])
    ruled = govern([stages, ApprovalPolicy([CFO], name="beside")], name="ruled")(wire.__wrapped__)
    async with ground.runtime(ruled) as runtime:
        await granted(ground, runtime, action=ruled, count=5)
        handle = await runtime.start(ruled, Decimal(5))
        await asyncio.sleep(5)
        (asked,) = await runtime.approvals()
        assert ApprovalRequest.from_text(asked.request).approvers == (LAW,)
        await ground.say(runtime, asked, LAW)
        await handle.result()
        assert (await left(ground, runtime))[0] == 4


async def test_roles_count_as_they_are_now(ground: Ground) -> None:
    ruled = govern([ApprovalPolicy(["role:finance"])], name="ruled")(wire.__wrapped__)
    async with ground.runtime(ruled) as runtime:
        engine: Any = runtime.engine
        await add_person(engine.store, ground.clock, "bob", roles=["finance"])
        await granted(ground, runtime, action=ruled, approvers=["role:finance"], by=("bob",), count=5)
        assert not await asks_people(runtime, Decimal(5), fn=ruled)
        await disable_person(engine.store, ground.clock, "bob")
        assert await asks_people(runtime, Decimal(5), fn=ruled)


# Races and failures


async def test_50_actions_of_two_workers_draw_exactly_what_there_is_and_the_rest_asks(ground: Ground) -> None:
    budgeted = govern([ApprovalPolicy([CFO]), BudgetPolicy(1000)], name="budgeted")(wire.__wrapped__)
    async with ground.runtime(budgeted) as one, ground.runtime(budgeted) as other:
        await granted(ground, one, action=budgeted, total=10)
        handles = [await (one, other)[number % 2].start(budgeted, Decimal(1)) for number in range(50)]
        await ground.until("execution.suspended", 41)
        await asyncio.sleep(60)
        assert len(effects) == 10
        assert await left(ground, one) == (None, 0)
        assert len(await one.approvals()) == 40
        for approval in await one.approvals():
            await ground.say(one, approval, CFO)
        other.engine.nudge()  # type: ignore[attr-defined]  # what a look at the file would bring about
        await asyncio.gather(*(each.result() for each in handles))
    assert len(effects) == 50


async def test_a_budget_is_not_widened_by_a_mandate(ground: Ground) -> None:
    budgeted = govern([ApprovalPolicy([CFO]), BudgetPolicy(10)], name="budgeted")(wire.__wrapped__)
    async with ground.runtime(budgeted) as one, ground.runtime(budgeted) as other:
        await granted(ground, one, action=budgeted, count=100)
        handles = [await (one, other)[number % 2].start(budgeted, Decimal(1)) for number in range(50)]
        results = await asyncio.gather(*(each.result() for each in handles), return_exceptions=True)
        assert [type(each) for each in results].count(BudgetExceeded) == 40
        # What was denied has drawn on neither.
        assert (await left(ground, one))[0] == 90
    assert len(effects) == 10


@asynccontextmanager
async def in_doubt(ground: Ground, fn: Any) -> AsyncIterator[tuple[Runtime, Any]]:
    """An action under a mandate for one, whose process was killed before it could record the outcome."""
    door = DeadlyDoor(ground.store(), records(fn.name))
    async with ground.runtime(fn, store=door) as runtime:
        await granted(ground, runtime, action=fn, count=1)
        handle = await runtime.start(fn, Decimal(5))
        await door.died.wait()
    async with ground.runtime(fn) as runtime:
        yield runtime, runtime.handle(handle.id)


@pytest.mark.parametrize("done", [True, False])
async def test_in_doubt_it_stays_drawn_on(ground: Ground, done: bool) -> None:
    async with in_doubt(ground, wire) as (runtime, handle):
        await ground.until("execution.in_doubt")
        assert (await left(ground, runtime))[0] == 0
        await handle.resolve(done=done, result="sent 5", by=CFO)
        assert await handle.result() == "sent 5"
        assert (await left(ground, runtime))[0] == 0
    assert len(effects) == (1 if done else 2)


async def test_repeated_after_it_has_ended_people_are_asked_and_it_is_released(ground: Ground) -> None:
    async with in_doubt(ground, wire) as (runtime, handle):
        await ground.until("execution.in_doubt")
        await asyncio.sleep(9 * 3600)
        await handle.resolve(done=False, by=CFO)
        await asyncio.sleep(5)
        assert (await left(ground, runtime))[0] == 1
        assert len(effects) == 1
        (asked,) = await runtime.approvals()
        await ground.say(runtime, asked, CEO)
        assert await handle.result() == "sent 5"
    assert len(effects) == 2


@pytest.mark.parametrize(("verify", "remains"), [(None, 0), (NOT_DONE, 1)])
async def test_a_failed_effect_stays_drawn_and_one_that_surely_was_not_is_released(
    ground: Ground, verify: Any, remains: int
) -> None:
    async def look(action: Action) -> Any:
        return NOT_DONE

    async def breaks() -> None:
        raise OSError("down")

    async def hangs() -> None:
        await asyncio.sleep(1e6)

    sent = govern([ApprovalPolicy([CFO])], verify=look if verify else None, name="sent")(wire.__wrapped__)
    async with ground.runtime(sent) as runtime:
        await granted(ground, runtime, action=sent, count=1)
        effects.then = hangs if verify else breaks
        handle = await runtime.start(sent, Decimal(5))
        await asyncio.sleep(5)
        if verify:
            await handle.cancel()
        with pytest.raises((OSError, ExecutionCancelled)):
            await handle.result()
        assert (await left(ground, runtime))[0] == remains


# Attacks


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE approvals SET request = json_set(request, '$.terms.total', '99999')",
        "UPDATE approvals SET request = json_set(request, '$.terms.until', 9e12)",
        "UPDATE approvals SET request = json_set(request, '$.approvers[0]', 'eve')",
        "UPDATE verdicts SET approver = 'eve'",
        "UPDATE verdicts SET decision = 'reject'",
        "DELETE FROM verdicts",
    ],
)
@pytest.mark.parametrize("hides", [False, True], ids=["", "with a fitting digest"])
async def test_g3_an_edited_mandate_is_good_for_nothing(ground: Ground, attack: str, hides: bool) -> None:
    async with ground.runtime(wire) as runtime:
        await granted(ground, runtime, total=10)
    assert ground.edit(attack) == 1
    if hides:
        ((request,),) = ground.rows("SELECT request FROM approvals")
        ground.edit("UPDATE approvals SET digest = ?", ApprovalRequest.from_text(request).digest())
        ground.edit("UPDATE approvals SET request = ?", ApprovalRequest.from_text(request).to_text())
    async with ground.runtime(wire) as runtime:
        assert await asks_people(runtime, Decimal(5))
    assert effects == []


async def test_g2_a_mandate_is_no_approval_and_an_approval_no_mandate(ground: Ground) -> None:
    async with ground.runtime(wire) as runtime:
        handle = await runtime.start(wire, Decimal(5))
        (asked,) = await ground.asked(runtime)
        await ground.say(runtime, asked, CFO)
        await handle.result()
        engine: Any = runtime.engine
        assert await engine.store.mandates() == []
        assert await asks_people(runtime, Decimal(5))


# Asking for one


async def test_it_is_asked_like_anything_else(ground: Ground) -> None:
    async with ground.runtime() as runtime:
        end = datetime.fromtimestamp(ground.clock.now() + 3600, UTC)
        with acting_as(ANA):
            handle = await runtime.start(mandate, "wire", [CFO, ANA.id], end, Decimal(10), count=3)
        (asked,) = await ground.asked(runtime)
        with pytest.raises(VerdictRefused, match="asked for"):
            await ground.say(runtime, asked, ANA.id)
        with pytest.raises(VerdictRefused, match="no arguments"):
            await ground.say(runtime, asked, CFO, changes={"count": 4})
        await ground.say(runtime, asked, CFO)
        assert await handle.result() == asked.id
        request = ApprovalRequest.from_text(asked.request)
        handle = await runtime.start(mandate, "wire", [CFO], end, count=3)
        (asked,) = await ground.asked(runtime, 2)
        await ground.say(runtime, asked, CFO, "reject", reason="not now")
        with pytest.raises(ApprovalRejected, match="not now"):
            await handle.result()
    assert (request.kind, request.action) == (MANDATE, "wire")
    assert request.expires == pytest.approx(3600.0, abs=1)
    assert request.terms == {
        "action": "wire", "amount": "amount", "count": 3, "total": "10", "until": request.terms["until"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "remedy"),
    [
        ({}, "count="),
        ({"count": 0}, "at least 1"),
        ({"total": -5}, "from 0 to"),
        ({"total": "many"}, "no amount"),
        ({"total": 0}, "positive"),
        ({"count": 1, "only": ["amount under 5"]}, "PATH OP VALUE"),
        ({"count": 1, "until": datetime(2030, 1, 1)}, "time zone"),  # noqa: DTZ001 - it is what must be refused
        ({"count": 1, "until": datetime(2001, 1, 1, tzinfo=UTC)}, "over already"),
        ({"count": 1, "action": ""}, "name"),
    ],
)
async def test_terms_that_bound_nothing_or_cannot_be_read_are_refused(
    ground: Ground, terms: dict[str, Any], remedy: str
) -> None:
    async with ground.runtime() as runtime:
        handle = await asked_for(runtime, **terms)
        with pytest.raises(UsageError, match=remedy):
            await handle.result()


# The rule itself

MOMENT = 1000.0


def given_mandate(by: str = CFO, **terms: Any) -> tuple[Any, list[VerdictRecord]]:
    options: dict[str, Any] = {"action": "wire", "until": 2000.0, "total": 10} | terms
    facts = MandateTerms(**options).to_facts()
    request = ApprovalRequest(approvers=(CFO, CEO), kind=MANDATE, action="wire", terms=facts)
    judged = judge(
        opened("m", "e", request, MOMENT),
        [],
        VerdictRecord(approval_id="m", approver=by, decision="approve", at=MOMENT),
        MOMENT,
    )
    assert judged.record.status is ApprovalStatus.GRANTED
    return judged.record, [judged.verdict]


def cover(arguments: dict[str, Any], now: float = MOMENT, roster: Roster | None = None, **terms: Any) -> Hold | None:
    record, verdicts = given_mandate(**terms)
    request = ApprovalRequest(approvers=(CFO,), action="wire")
    return covers(record, verdicts, request, arguments, now, roster or Roster())


@pytest.mark.parametrize(
    ("amount", "drawn"),
    [
        ("5", 5_000_000),
        (5, 5_000_000),
        (0.1, 100_000),
        ("0.0000001", 1),
        ("0", None),  # of what takes nothing there could be any number
        ("-1", None),
        (True, None),
        ("NaN", None),
        ("Infinity", None),
        ("1e99", None),
        (None, None),
        ("[redacted]", None),
        ({"amount": 5}, None),
    ],
)
def test_an_amount_is_counted_exactly_or_asked_about(amount: Any, drawn: int | None) -> None:
    hold = cover({"amount": amount})
    assert (hold and hold.amount) == drawn
    if hold is not None:
        assert (hold.key, hold.limit, hold.count, hold.on_failure) == ("mandate:m", 10_000_000, None, "keep")


def test_without_a_total_the_amount_does_not_matter() -> None:
    hold = cover({}, total=None, count=3)
    assert hold == Hold(key="mandate:m", count=3, on_failure="keep")


def test_an_amount_may_lie_deeper() -> None:
    assert cover({"order": {"total": "3"}}, amount="order.total") is not None
    assert cover({"order": [3]}, amount="order.total") is None


@pytest.mark.parametrize(("now", "is_covered"), [(1999.9, True), (2000.0, False)])
def test_it_is_over_at_its_very_moment(now: float, is_covered: bool) -> None:
    assert (cover({"amount": 1}, now) is not None) is is_covered


def test_who_is_disabled_stands_in_for_nothing() -> None:
    gone = Roster({CFO: PersonRecord(id=CFO, created_at=0.0, disabled_at=1500.0)})
    assert cover({"amount": 1}, 1600.0, gone) is None


@given(st.permutations([CFO, CEO, LAW]), st.integers(1, 3), st.booleans())
def test_whoever_may_not_approve_the_action_gives_no_mandate_for_it(people: list[str], count: int, each: bool) -> None:
    record, verdicts = given_mandate()
    approvers = tuple(people[:count])
    request = ApprovalRequest(approvers=approvers, action="wire", each=each)
    is_covered = covers(record, verdicts, request, {"amount": 1}, MOMENT, Roster()) is not None
    assert is_covered is (CFO in approvers and (not each or count == 1))

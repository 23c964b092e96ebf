"""What of a governed call is written together, and that nobody acts on anything that is not on disk."""

from typing import Any

import pytest

from assent import (
    Action,
    ApprovalPolicy,
    AuditPolicy,
    Outcome,
    PermitRefused,
    PolicyDenied,
    Status,
    ValidationPolicy,
    execution,
    govern,
    workflow,
)
from assent.store import Commit, Receipt
from tests.governance.doors import Door
from tests.governance.ground import CFO, Effects, Ground, types

effects = Effects()
POSITIVE = ValidationPolicy(check=lambda action: action.amount > 0)
SAID = ["policy.validation.passed", "audit.logged", "policy.evaluated", "step.completed"]
INTENT = ["permit.issued", "permit.consumed", "step.started"]
OUTCOME = ["audit.logged", "step.completed"]


@pytest.fixture(autouse=True)
def no_effects() -> None:
    effects.clear()
    effects.then = None


class Scribe(Door):
    """A store that remembers what each commit says."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground.store())
        self.commits: list[list[str]] = []

    def append(self, owner: str, commit: Commit) -> Receipt[None]:
        self.commits.append(types(commit.events))
        return super().append(owner, commit)


@govern([POSITIVE, AuditPolicy()])
async def wire(amount: int) -> int:
    await effects.have(amount)
    return amount


@govern([POSITIVE, AuditPolicy(), ApprovalPolicy([CFO])])
async def asked_wire(amount: int) -> int:
    await effects.have(amount)
    return amount


async def test_what_policies_say_is_written_with_the_intent_and_an_outcome_with_the_end(ground: Ground) -> None:
    scribe = Scribe(ground)
    async with ground.runtime(store=scribe):
        await wire(1)
    assert scribe.commits == [["execution.started"], [*SAID, *INTENT], [*OUTCOME, "execution.completed"]]


async def test_what_policies_say_is_written_with_the_question_to_people(ground: Ground) -> None:
    scribe = Scribe(ground)
    async with ground.runtime(asked_wire, store=scribe) as runtime:
        handle = await runtime.start(asked_wire, 1)
        await ground.decide(runtime)
        assert await handle.result() == 1
    assert {"policy.evaluated", "policy.approval.requested", "execution.suspended"} < set(scribe.commits[1])
    assert scribe.commits[-1] == [*OUTCOME, "execution.completed"]


async def test_d2_a_workflow_learns_of_an_outcome_only_when_it_is_on_disk(ground: Ground) -> None:
    """What it leads to is not known to the engine: the code of a workflow is somebody else's."""

    def recorded() -> list[tuple[str, str]]:
        return ground.rows("SELECT type, name FROM journal WHERE type IN ('step.completed', 'step.failed')")

    @workflow
    async def pay() -> list[Any]:
        await wire(5)
        found = [("step.completed", "wire") in recorded()]
        try:
            await wire(-5)
        except PolicyDenied:
            found.append(("step.failed", "wire.policies") in recorded())
        return found

    async with ground.runtime() as runtime:
        assert await (await runtime.start(pay)).result() == [True, True]


async def test_d2_a_caller_learns_of_an_outcome_only_when_it_is_on_disk(ground: Ground) -> None:
    async with ground.runtime():
        assert await wire(5) == 5
        assert ground.rows("SELECT status FROM executions") == [("completed",)]
        assert ground.rows("SELECT value FROM journal WHERE type = 'execution.completed'") == [("5",)]


async def test_what_comes_after_an_effect_begins_only_when_its_outcome_is_on_disk(ground: Ground) -> None:
    found: list[Any] = []

    def look(action: Action, outcome: Outcome) -> None:
        found.append(ground.rows("SELECT value FROM journal WHERE type = 'step.completed' AND name = 'send'"))

    @govern(POSITIVE, post=look)
    async def send(amount: int) -> int:
        return amount

    async with ground.runtime():
        await send(7)
    assert found == [[("7",)]]


async def test_an_outcome_is_kept_also_when_nothing_more_may_begin(ground: Ground) -> None:
    """The process is asked to stop while the effect is under way: the rest is for others."""
    post: list[int] = []

    @govern(POSITIVE, post=lambda action, outcome: post.append(outcome.value))
    async def send(amount: int) -> int:
        await effects.have(amount)
        runtime.engine._drives[execution().id].close()  # type: ignore[attr-defined]  # as a runtime does that closes
        return amount

    async with ground.runtime() as runtime:
        handle = await runtime.start(send, 3)
        await ground.until("step.completed", 2)
    assert (effects, post) == ([(3,)], [])
    async with ground.runtime(send) as runtime:
        assert await runtime.handle(handle.id).result() == 3
    assert (effects, post) == ([(3,)], [3])


async def test_g2_a_refused_permit_takes_nothing_along_that_stood_beside_it(ground: Ground) -> None:
    """An intruder takes all but the beginning from a journal; the permit still is used up."""
    async with ground.runtime() as runtime:
        await wire(5)
        (record,) = await runtime.executions()
    ground.edit("DELETE FROM journal WHERE type != 'execution.started'")
    ground.edit("UPDATE executions SET status = 'running', owner = NULL, wake_at = 0")
    async with ground.runtime(wire) as runtime:
        handle = runtime.handle(record.id)
        with pytest.raises(PermitRefused, match="already used") as refused:
            await handle.result()
        events = await handle.events()
        assert (await handle.record()).status is Status.FAILED
    assert (refused.value.action, effects) == ("wire", [(5,)])
    ends = ["permit.refused", "step.failed", "execution.failed"]
    assert [each for each in types(events) if each in {*SAID, *ends}] == [*SAID, *ends]

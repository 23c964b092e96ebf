"""What a runtime does beside driving workflows: children, closing, what other processes can see of it."""

import asyncio
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest

from assent import (
    ApprovalPending,
    ApprovalPolicy,
    ExecutionCancelled,
    NotDeterministic,
    ResultTimeout,
    Runtime,
    RuntimeRequired,
    Status,
    StoreCorrupt,
    WorkerSettings,
    govern,
    signal,
    step,
    workflow,
)
from assent.store.sqlite import SqliteStore

BUSY = WorkerSettings(lease=0.3)


@workflow
async def child(name: str) -> str:
    return await signal(name, str)


@step
async def wait_for(gate: str) -> str:
    await GATES[gate].wait()
    return gate


GATES: dict[str, asyncio.Event] = {}


@workflow
async def patient(gate: str) -> str:
    return await wait_for(gate)


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/assent.db"


async def test_a_step_that_takes_long_is_seen_at_work(tmp_path: Path, replay_check: bool) -> None:
    gate = GATES["slow"] = asyncio.Event()
    seen = asyncio.Event()

    def watch(event: Any) -> None:
        if event.type == "step.started":
            seen.set()

    async with Runtime(url(tmp_path), settings=BUSY, watchers=[watch], check_replay=replay_check) as runtime:
        handle = await runtime.start(patient, "slow")
        await asyncio.wait_for(seen.wait(), 10)
        gate.set()
        assert await handle.result(10) == "slow"
        steps = [event for event in await handle.events() if event.type.startswith("step.")]
    assert [event.type for event in steps] == ["step.started", "step.completed"]
    assert (steps[0].arguments, steps[1].arguments) == ('{"gate":"slow"}', None)
    assert steps[0].started_at == steps[1].started_at


async def test_a_client_shows_no_workflows_to_others(tmp_path: Path) -> None:
    async with (
        Runtime(url(tmp_path), worker=False, workflows=[child]) as client,
        Runtime(url(tmp_path), workflows=[child]),
    ):
        listed = [worker.workflows for worker in await client.engine.store.workers()]  # type: ignore[attr-defined]
    assert sorted("child@1" in names for names in listed) == [False, True]


@govern([ApprovalPolicy(["cfo@company.com"], timeout_seconds=0)])
async def pay(amount: int) -> int:
    return amount


async def test_what_waits_stays_parked_when_its_runtime_closes(tmp_path: Path) -> None:
    async with Runtime(url(tmp_path)):
        with pytest.raises(ApprovalPending) as pending:
            await pay(5)
    async with SqliteStore(url(tmp_path)) as store:
        record = await store.execution(pending.value.execution_id)
        events = [event.type for event in await store.journal(pending.value.execution_id)]
    assert record is not None
    assert (record.status, record.owner) == (Status.SUSPENDED, None)
    assert record.wake_at is not None
    assert record.wake_at > record.created_at + 3600  # when the approval expires, not at once
    assert events.count("execution.suspended") == 1


async def test_the_wait_for_a_child_can_be_limited(tmp_path: Path, replay_check: bool) -> None:
    async with Runtime(url(tmp_path), check_replay=replay_check) as runtime:

        @workflow
        async def parent() -> str:
            handle = await runtime.start(child, "go")
            try:
                return await handle.result(timeout=0.3)
            except ResultTimeout:
                assert await handle.status() is Status.SUSPENDED
                await handle.signal("go", "at last")
                return await handle.result()

        assert await (await runtime.start(parent)).result(10) == "at last"


async def test_a_workflow_may_wait_for_what_it_did_not_start(tmp_path: Path) -> None:
    async with Runtime(url(tmp_path)) as runtime:
        other = await runtime.start(child, "go", id="other")

        @workflow
        async def stranger() -> str:
            return await (await runtime.start(child, "go", id="other")).result()

        waiting = await runtime.start(stranger)
        await other.signal("go", "hello")
        assert await waiting.result(10) == "hello"


async def test_a_journal_cannot_be_read_from_workflow_code(tmp_path: Path) -> None:
    async with Runtime(url(tmp_path)) as runtime:

        @workflow
        async def curious() -> int:
            return len(await runtime.handle("x").events())

        with pytest.raises(NotDeterministic, match="@step"):
            await (await runtime.start(curious)).result(10)


async def called_elsewhere(runtime: Runtime | None) -> list[str]:
    """The executions that a call leaves which is made in a task that has inherited nothing, as in a web server."""

    async def handler() -> None:
        if runtime is None:
            await double(4)
            return
        with runtime.ambient():
            await double(4)

    await asyncio.get_running_loop().create_task(handler(), context=Context())
    return [] if runtime is None else [record.name for record in await runtime.executions()]


@govern()
async def double(number: int) -> int:
    return 2 * number


async def test_a_task_of_somebody_else_can_be_given_the_runtime(tmp_path: Path) -> None:
    async with Runtime(url(tmp_path)) as runtime:
        assert await called_elsewhere(None) == []
        assert await called_elsewhere(runtime) == ["double"]
    with pytest.raises(RuntimeRequired), runtime.ambient():
        pass


async def test_a_runtime_that_fails_to_open_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "assent.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreCorrupt):
        async with Runtime(url(tmp_path)):
            pass
    assert await double(3) == 6  # an ordinary call


@step
async def end_myself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@workflow
async def with_a_step_that_ends_itself() -> None:
    await end_myself()


async def test_a_step_that_cancels_itself_has_failed(tmp_path: Path) -> None:
    async with Runtime(url(tmp_path)) as runtime:
        with pytest.raises(ExecutionCancelled):
            await (await runtime.start(with_a_step_that_ends_itself)).result(10)

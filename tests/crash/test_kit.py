"""The test kit does what its page says."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assent import NonDeterminism, Status, approve, now, step, workflow
from assent.store.sqlite import SqliteStore
from assent.testing import CrashAt, Ledger, every_crash, jumping_run, live, memory_runtime, survived
from assent.testing.crashes import MOMENTS
from tests.test_docs import BLOCK, ROOT

# The page


def test_the_tests_on_the_page_pass(tmp_path: Path) -> None:
    page = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    (tmp_path / "test_cakes.py").write_text("\n\n".join(BLOCK.findall(page)), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "test_cakes.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


# In memory


@step
async def greet(name: str) -> str:
    return f"hello {name}"


@workflow
async def greeting() -> str:
    return await greet("ann")


@workflow
async def asking() -> str:
    await approve("may I", approvers=["ann@example.com"])
    return "I may"


@workflow
async def waiting_for_years() -> float:
    began = now()
    await asyncio.sleep(3 * 365 * 86400)
    return (now() - began).total_seconds()


calls: list[None] = []


@workflow
async def fickle() -> str:
    calls.append(None)
    return await greet(f"number {len(calls)}")


async def test_a_memory_runtime_runs_workflows() -> None:
    async with memory_runtime() as runtime:
        handle = await runtime.start(greeting)
        assert await handle.result(timeout=10) == "hello ann"
        assert await handle.status() is Status.COMPLETED


async def test_a_verdict_given_in_the_same_process_wakes_the_execution() -> None:
    async with memory_runtime() as runtime:
        handle = await runtime.start(asking)
        await runtime.engine.waiting(handle.id)
        (approval,) = await runtime.approvals()
        await runtime.decide(approval.id, approver="ann@example.com")
        assert await handle.result(timeout=10) == "I may"


def test_years_pass_at_once_on_a_jumping_loop() -> None:
    async def main() -> float:
        async with memory_runtime() as runtime:
            return await (await runtime.start(waiting_for_years)).result()

    assert jumping_run(main) >= 3 * 365 * 86400


async def test_a_memory_runtime_finds_out_what_is_not_deterministic() -> None:
    async with memory_runtime() as runtime:
        handle = await runtime.start(fickle)
        with pytest.raises(NonDeterminism, match="greet"):
            await handle.result(timeout=10)


async def test_the_replay_check_can_be_left_out() -> None:
    async with memory_runtime(check_replay=False) as runtime:
        assert (await (await runtime.start(fickle)).result(timeout=10)).startswith("hello number")


# Ledger


def test_a_ledger_keeps_what_was_entered_in_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    assert ledger.entries() == []
    entries = [ledger.enter("one", "a"), ledger.enter("zwei\nü", "b"), ledger.enter("three")]
    assert Ledger(tmp_path / "ledger").entries() == entries
    assert ledger.find("b") == entries[1]
    assert ledger.find("c") is None


# Crashes


async def write_three(store: SqliteStore) -> int:
    async with store:
        for number in range(3):
            await store.admit(f"key {number}", rate=0.001, burst=2, now=1e9)
    return 3


async def fail(store: SqliteStore) -> None:
    raise LookupError("on purpose")


async def never_end(store: SqliteStore) -> None:
    await asyncio.Event().wait()


def test_a_program_is_killed_at_each_of_its_commits(tmp_path: Path) -> None:
    recoveries = list(every_crash(write_three, tmp_path))
    assert [recovery.crash for recovery in recoveries] == [
        CrashAt(when, number) for number in (1, 2, 3) for when in MOMENTS
    ]
    assert [recovery.life.result for recovery in recoveries] == [3] * 6


def test_what_a_program_raised_is_handed_over(tmp_path: Path) -> None:
    life = survived(fail, tmp_path)
    assert isinstance(life.error, LookupError)
    assert str(life.error) == "on purpose"


def test_a_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=r"has not ended after 0\.5 s"):
        live(never_end, tmp_path, timeout=0.5)


def test_a_crash_point_kills_its_own_process(tmp_path: Path) -> None:
    code = (
        "from assent.testing import CrashAt; CrashAt('after commit', 2)('after commit', 1); print('alive', flush=True);"
    )
    code += "CrashAt('after commit', 2)('after commit', 2); print('never')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "alive\n")

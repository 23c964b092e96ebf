"""Workflows that tell a ledger of every effect, and another of all that they have seen.

They run in child processes, each in a folder of its own.
"""

import asyncio
import contextlib
import os
import resource
from pathlib import Path
from typing import Any

from assent import (
    NOT_DONE,
    Action,
    ApprovalPolicy,
    AuditPolicy,
    Effect,
    Retry,
    Runtime,
    ValidationPolicy,
    approve,
    execution,
    govern,
    idempotency_key,
    signal,
    step,
    workflow,
)
from assent.engine import step_scope
from assent.errors import CircuitOpen
from assent.resilience import CircuitBreaker, RateLimiter, RetryBudget, parallel_map
from assent.testing import Ledger

EFFECTS = "effects"
PAYMENTS = Path("payments")
NO_LIMIT = resource.RLIM_INFINITY
SEEN = "seen"  # by workflow code

here: dict[str, Runtime] = {}
hanging = asyncio.Event()


def did(what: str) -> int:
    """Have an effect, and return which attempt of the step it is."""
    scope = step_scope.get()
    assert scope is not None
    Ledger(EFFECTS).enter(f"{what}#{scope.attempt}", idempotency_key())
    return scope.attempt


def saw(what: str) -> str:
    """Put on record what workflow code has seen of an outcome."""
    Ledger(SEEN).enter(what, execution().id)
    return what


@step
async def act(what: str) -> str:
    did(what)
    return f"{what} done"


@step
def act_in_thread(what: str) -> str:
    did(what)
    return f"{what} done"


@step
async def act_slowly(what: str, turns: int) -> str:
    """As long as it takes to write to a disk so many times."""
    for _ in range(turns):
        await asyncio.to_thread(Ledger("pace").enter, what)
    did(what)
    return f"{what} done"


@step(retry=Retry(attempts=3, backoff="fixed", initial=0.005, jitter="none"))
async def stumble(what: str, falls: int) -> str:
    if did(what) <= falls:
        raise ConnectionError(f"{what} fell")
    return f"{what} done"


@step
async def hang(what: str) -> str:
    did(what)
    hanging.set()
    await asyncio.Event().wait()
    return f"{what} done"


async def look_up(effect: Effect) -> Any:
    entry = Ledger(EFFECTS).find(effect.idempotency_key)
    return f"{effect.arguments['what']} done" if entry else NOT_DONE


@step(verify=look_up)
async def act_once(what: str) -> str:
    did(what)
    return f"{what} done"


async def look_up_action(action: Action) -> Any:
    assert action.idempotency_key is not None
    entry = Ledger(EFFECTS).find(action.idempotency_key)
    return f"{action.arguments['what']} done" if entry else NOT_DONE


RULES = [ValidationPolicy(check=lambda action: bool(action.arguments["what"])), AuditPolicy(tags=["test"])]


@govern(policies=RULES, verify=look_up_action)
async def transfer(what: str) -> str:
    did(what)
    return f"{what} done"


@govern(policies=RULES)
async def transfer_blindly(what: str) -> str:
    did(what)
    return f"{what} done"


@govern(policies=[*RULES, ApprovalPolicy(approvers=["ann@example.com"])], verify=look_up_action)
async def transfer_with_approval(what: str) -> str:
    did(what)
    return f"{what} done"


# Workflows


@workflow
async def in_sequence() -> list[str]:
    return [saw(await act("a")), saw(await act_in_thread("b")), saw(await act_once("c")), *await inline("d")]


@workflow
async def inline(name: str) -> list[str]:
    return [saw(await act(f"{name}{part}")) for part in range(2)]


async def branch(number: int) -> list[str]:
    return [saw(await act(f"{number}.{stage}")) for stage in range(3)]


@workflow
async def branches() -> list[list[str]]:
    return await asyncio.gather(*(branch(number) for number in range(5)))


async def uneven_branch(number: int) -> list[str]:
    return [saw(await act_slowly(f"{number}.{stage}", (number + 2 * stage) % 5)) for stage in range(3)]


@workflow
async def uneven_branches() -> list[list[str]]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(uneven_branch(number)) for number in range(5)]
    return [task.result() for task in tasks]


@workflow
async def retried() -> list[str]:
    falls = (stumble(f"s{falls}", falls) for falls in range(4))
    outcomes = await asyncio.gather(*falls, return_exceptions=True)
    return [saw(outcome if isinstance(outcome, str) else f"s3 failed: {outcome}") for outcome in outcomes]


@workflow
async def race_won() -> list[str]:
    first = saw(await asyncio.wait_for(act("fast"), 60))
    async with asyncio.timeout(60):
        second = saw(await act("faster"))
    done, waiting = await asyncio.wait(
        [asyncio.create_task(act("winner")), asyncio.create_task(asyncio.sleep(60, "never"))],
        return_when=asyncio.FIRST_COMPLETED,
    )
    for task in waiting:
        task.cancel()
    return [first, second, *(saw(task.result()) for task in done)]


@workflow
async def race_lost() -> list[str]:
    seen = [saw(await act("before"))]
    try:
        await asyncio.wait_for(hang("slow"), 0.02)
    except TimeoutError:
        seen.append("too slow")
    try:
        async with asyncio.timeout(0.02):
            await hang("slower")
    except TimeoutError:
        seen.append("far too slow")
    return [*seen, saw(await act("after"))]


@workflow
async def timed() -> list[str]:
    before = saw(await act("before"))
    await asyncio.sleep(0.21)
    return [before, saw(await act("after"))]


@workflow
async def approved() -> list[str]:
    before = saw(await act("before"))
    await approve("go on", approvers=["ann@example.com"])
    return [before, saw(await act("after"))]


@workflow
async def governed() -> list[str]:
    return [saw(await transfer("x")), saw(await transfer("y")), saw(await act("z"))]


@workflow
async def governed_blindly() -> list[str]:
    return [saw(await act("before")), saw(await transfer_blindly("x")), saw(await act("after"))]


@workflow
async def governed_with_approval() -> list[str]:
    return [saw(await act("before")), saw(await transfer_with_approval("x")), saw(await act("after"))]


@workflow
async def parent() -> list[str]:
    before = saw(await act("before"))
    child = await here["runtime"].start(kid, "kid")
    return [before, *await child.result(), saw(await act("after"))]


@workflow
async def kid(name: str) -> list[str]:
    return [saw(await act(f"{name}{part}")) for part in range(2)]


@workflow
async def signalled() -> list[str]:
    word = await signal("word", str)
    return [saw(await act(f"{word} came"))]


@workflow
async def cancelled() -> None:
    try:
        saw(await act("before"))
        await hang("endless")
    finally:
        saw(await act("tidy"))
        saw(await act("tidier"))


async def look_up_payment(effect: Effect) -> Any:
    return f"{effect.arguments['what']} done" if (PAYMENTS / effect.idempotency_key).exists() else NOT_DONE


@step(verify=look_up_payment)
async def pay(what: str) -> str:
    """Something that happens once even if it is asked for twice with the same key."""
    PAYMENTS.mkdir(exist_ok=True)
    slip = Path(f"slip-{os.getpid()}-{idempotency_key()}")
    slip.write_text(what, encoding="utf-8")
    with contextlib.suppress(FileExistsError):
        os.link(slip, PAYMENTS / idempotency_key())
    return f"{what} done"


@workflow
async def three_then_once(number: int) -> str:
    for part in range(3):
        await act(f"{number}.{part}")
    return await pay(f"{number}.paid")


# Guarded calls

bank = CircuitBreaker(1, timeout="20ms", name="bank")
often = RateLimiter(100, burst=1, name="bank")
patient = Retry(
    99, initial="1ms", maximum="30ms", on=(ConnectionError, CircuitOpen), budget=RetryBudget(99, name="bank")
)


@step
async def fail_at_first(what: str) -> str:
    if not any(entry.what.startswith(f"{what}#") for entry in Ledger(EFFECTS).entries()):
        did(what)
        raise ConnectionError(f"{what} fell")
    did(what)
    return f"{what} done"


@workflow
async def guarded() -> list[str]:
    return await parallel_map(patient(bank(often(fail_at_first))), "ab", limit=2)


# A store that fails in the middle


@step
async def fill_disk(what: str) -> str:
    """The first time, nothing can be written any more when it is done."""
    did(what)
    if len(Ledger(EFFECTS).entries()) == 2:
        limit_files(os.path.getsize("assent.db-wal"))
    return f"{what} done"


@step
async def write_much(what: str) -> str:
    did(what)
    return "x" * 20_000


@workflow
async def on_a_full_disk() -> list[str]:
    return [saw(await act("before")), saw(await fill_disk("during")), saw(await act("after"))]


@workflow
async def long() -> int:
    return sum([len(await write_much(str(number))) for number in range(30)])


def limit_files(size: int) -> None:
    _, highest = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, highest))


# What they return

RESULTS: dict[str, Any] = {
    "in_sequence": ["a done", "b done", "c done", "d0 done", "d1 done"],
    "branches": [[f"{number}.{stage} done" for stage in range(3)] for number in range(5)],
    "uneven_branches": [[f"{number}.{stage} done" for stage in range(3)] for number in range(5)],
    "retried": ["s0 done", "s1 done", "s2 done", "s3 failed: s3 fell"],
    "race_won": ["fast done", "faster done", "winner done"],
    "race_lost": ["before done", "too slow", "far too slow", "after done"],
    "timed": ["before done", "after done"],
    "approved": ["before done", "after done"],
    "governed": ["x done", "y done", "z done"],
    "governed_with_approval": ["before done", "x done", "after done"],
    "parent": ["before done", "kid0 done", "kid1 done", "after done"],
    "signalled": ["yes came done"],
    "cancelled": None,  # it raises
}

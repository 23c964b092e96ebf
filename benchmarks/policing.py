"""What deciding by a policy file costs, and how fast verdicts are taken and the past is judged anew."""

import asyncio
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Final

from assent import Principal, SystemClock
from assent.codec import to_json
from assent.governance import Action, Policy, cast, evaluate_all
from assent.policies.backtest import backtest
from assent.policies.files import load_policies
from assent.policies.recording import EVALUATED
from assent.policies.simulation import Simulation
from assent.store import ApprovalStatus, Commit, Event, ExecutionRecord, WorkerRecord
from assent.store.sqlite import SqliteStore
from benchmarks import programs
from benchmarks.durable import SINGLE, raw_single
from benchmarks.figures import Figure, Measure, Scale, Target, side_by_side
from benchmarks.parked import park

RULES: Final = Path(__file__).parent / "policies.yaml"
START: Final = 1.9e9  # Unix seconds
ONE_REQUESTER: Final = Principal("alice@company.com", roles=["treasury"])
VARIETY: Final = 499  # different actions; a prime, so that they meet the rules in every order
LANES: Final = 100  # people at once
MANY: Final = 10  # as many verdicts from them as from one
A_COMMIT: Final = 1_000  # recorded actions written at once


async def by_file(scale: Scale, folder: Path) -> list[Figure]:
    """Ten rules read from a file, asked about one action after another: two of three are approved by rule."""
    policies = load_policies(RULES)
    simulation = Simulation()
    actions = [_payment(number) for number in range(VARIETY)]
    costs = []
    for _ in range(scale.rounds + 1):
        start = perf_counter()
        for number, action in enumerate(islice(cycle(actions), scale.calls)):
            await evaluate_all(policies, action, simulation.facts(START + number, {}))
        costs.append((perf_counter() - start) / scale.calls * 1e6)
    name = f"deciding by a policy file of {len(policies)} rules"
    return [Figure(name=name, ours=sorted(costs)[len(costs) // 2], unit="us", target=Target(150, "at most"))]


def _payment(number: int) -> Action:
    arguments = {
        "amount": Decimal(number * 31 % 15_000) + Decimal("0.50"),
        "currency": "EUR",
        "country": "XA" if number % 50 == 0 else "DE",
        "recipient": f"{'new' if number % 7 == 0 else 'old'}-{number}",
    }
    return Action(name="wire_transfer", arguments=arguments, requester=ONE_REQUESTER)


async def verdicts(scale: Scale, folder: Path) -> list[Figure]:
    """Verdicts taken from people while many approvals wait: one after another, and many at once."""
    file = folder / "pending.db"
    await park(file, programs.wait_for_people, scale.pending)
    async with SqliteStore(file) as store:
        pending = iter([one.id for one in await store.approvals(ApprovalStatus.PENDING, limit=scale.pending)])
        found = await side_by_side(_in_turn(store, pending, scale), raw_single(folder, scale), scale.rounds)
        start = perf_counter()
        rest = list(islice(pending, scale.verdicts * MANY))
        await asyncio.gather(*(_approve(store, rest[lane::LANES]) for lane in range(LANES)))
        at_once = len(rest) / (perf_counter() - start)
    name, target = f"verdicts, {scale.pending:,} pending", Target(0.3, "ratio at least")
    return [
        Figure(name=name, unit="/s", against=SINGLE, target=target, **found._asdict()),
        Figure(name=f"the same, {LANES} people at once", ours=at_once, unit="/s", target=Target(500, "at least")),
    ]


def _in_turn(store: SqliteStore, pending: Iterator[str], scale: Scale) -> Measure:
    async def measured() -> float:
        mine = list(islice(pending, scale.verdicts))
        start = perf_counter()
        await _approve(store, mine)
        return len(mine) / (perf_counter() - start)

    return measured


async def _approve(store: SqliteStore, ids: Sequence[str]) -> None:
    clock = SystemClock()
    for approval_id in ids:
        await cast(store, clock, approval_id, approver=programs.APPROVER, decision="approve")


async def judged_anew(scale: Scale, folder: Path) -> list[Figure]:
    """Recorded actions, asked about again with the ten rules of the file."""
    policies = load_policies(RULES)
    async with SqliteStore(folder / "recorded.db", synchronous="OFF") as store:
        await _record(store, await _texts(policies), scale.recorded)
        start = perf_counter()
        tally = await backtest(store, policies)
        spent = perf_counter() - start
    if tally.actions != scale.recorded:
        raise RuntimeError(f"{tally.actions} actions were judged, and {scale.recorded} recorded")
    name, target = f"back-test of {scale.recorded:,} actions", Target(100_000 / 30, "at least")
    return [Figure(name=name, ours=tally.actions / spent, unit="/s", target=target)]


async def _texts(policies: Sequence[Policy]) -> list[str]:
    """What is recorded of different actions."""
    simulation = Simulation()
    found = []
    for number in range(VARIETY):
        ruling = await evaluate_all(policies, _payment(number), simulation.facts(START, {}), timed=True)
        found.append(to_json(ruling.record({"name": "production"})))
    return found


async def _record(store: SqliteStore, texts: Sequence[str], count: int) -> None:
    """Write so many recorded actions, as one execution, since nobody looks at that."""
    await store.register(WorkerRecord(id="bench", host="", pid=0, started_at=START, expires_at=START))
    head = ExecutionRecord(
        id="bench", name="bench", version=1, arguments="{}", digest="", created_at=START, updated_at=START
    )
    await store.create(head)
    await store.claim_one("bench", "bench")
    events = [
        Event("bench", EVALUATED, START + number, number, "wire_transfer", value=text)
        for number, text in enumerate(islice(cycle(texts), count))
    ]
    for first in range(0, count, A_COMMIT):
        await store.append("bench", Commit(execution_id="bench", events=events[first : first + A_COMMIT]))

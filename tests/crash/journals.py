"""What must be true of any store, whatever happened to the processes that wrote it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from assent import NonDeterminism
from assent.codec import from_json
from assent.engine import ExecutionInfo, LiveExecution, Program
from assent.engine.replay import COMPLETIONS, ENDINGS, read, replay
from assent.store import ApprovalRecord, ApprovalStatus, Event, ExecutionRecord, Status
from assent.testing import Entry, memory_runtime
from tests.crash import flows

OUTCOMES = {"step.completed", "step.failed", "step.retried"}
BY_ENDING = {
    "execution.completed": Status.COMPLETED,
    "execution.failed": Status.FAILED,
    "execution.cancelled": Status.CANCELLED,
}
Effect = tuple[str, str]  # execution, and "what#attempt"


def by_execution(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event.execution_id].append(event)
    return found


def of_type(journal: Iterable[Event], *types: str) -> list[Event]:
    return [event for event in journal if event.type in types]


def effects_of(entries: Iterable[Entry]) -> Counter[Effect]:
    """The effects that happened, of those that have a key."""
    return Counter((entry.key.rpartition(":")[0], entry.what) for entry in entries)


def recorded_effects(journal: Iterable[Event]) -> Counter[Effect]:
    """The effects whose outcome is in the journal."""
    words: dict[tuple[str, int | None], str] = {}
    found: Counter[Effect] = Counter()
    for event in journal:
        if event.arguments is not None and event.op is not None:
            words[event.execution_id, event.op] = from_json(event.arguments).get("what", "")
        what = words.get((event.execution_id, event.op))
        if event.type in OUTCOMES and what:
            found[event.execution_id, f"{what}#{event.attempt}"] += 1
    return found


def story(journal: Iterable[Event]) -> Counter[tuple[Any, ...]]:
    """What happened, without the times, the order of branches, and the traces of crashes."""
    return Counter(_told(event) for event in journal if event.type in COMPLETIONS | ENDINGS)


def story_in_order(journal: Iterable[Event]) -> list[tuple[Any, ...]]:
    return [(event.op, *_told(event)) for event in journal if event.type in COMPLETIONS | ENDINGS]


def _told(event: Event) -> tuple[Any, ...]:
    is_timeless = event.type in OUTCOMES | ENDINGS and not (event.name or "").endswith(".policies")
    value = from_json(event.value) if event.value and is_timeless else None
    if isinstance(value, dict):
        value = {name: each for name, each in value.items() if name != "traceback" and not name.endswith("_at")}
    return event.execution_id, event.type, event.name, str(value)


# Invariants


def check(journal: Sequence[Event], executions: Sequence[ExecutionRecord], entries: Sequence[Entry]) -> None:
    """All that can be told from journals and ledger alone."""
    numbers = [event.seq for event in journal]
    assert numbers == sorted(set(numbers))
    journals = by_execution(journal)
    assert journals.keys() <= {record.id for record in executions}
    for record in executions:
        check_journal(journals[record.id], record)
    check_effects(journal, executions, entries)


def check_journal(journal: Sequence[Event], record: ExecutionRecord) -> None:
    """One journal is well-formed and agrees with the head of its execution."""
    assert len(of_type(journal, "execution.started")) == (1 if journal else 0), record
    endings = of_type(journal, *ENDINGS)
    assert [BY_ENDING[event.type] for event in endings] == ([record.status] if record.status.is_final else []), record
    if not journal:
        assert record.status is Status.PENDING
        return
    assert journal[0].type == "execution.started"
    if endings:
        assert of_type(journal, *COMPLETIONS, *ENDINGS)[-1] is endings[0]
        assert (record.owner, record.wake_at) == (None, None)
    for types in (OUTCOMES, {"timer.fired"}, {"signal.received"}):
        ops = Counter(event.op for event in journal if event.type in types)
        assert all(count == 1 for count in ops.values()), f"{record.id}: completed more than once: {ops}"
    check_intents(journal)


def check_intents(journal: Sequence[Event]) -> None:
    """Each permit is used up by one intent; an effect is begun again only after it was found out how the last ended."""
    consumed = [from_json(event.value or "{}")["permit"] for event in of_type(journal, "permit.consumed")]
    assert len(consumed) == len(set(consumed)), f"used up twice: {consumed}"
    begun: dict[int | None, Event] = {}
    permitted = {event.op for event in of_type(journal, "permit.consumed")}
    for event in journal:
        if event.type == "step.started":
            assert event.op not in begun, f"begun blindly: {event}"
            begun[event.op] = event
            permitted.discard(event.op)
        elif event.type in OUTCOMES or (event.type == "step.verified" and not from_json(event.value or "{}")["done"]):
            begun.pop(event.op, None)
    assert not permitted, f"a permit was used up without an intent: {permitted}"


def check_effects(journal: Sequence[Event], executions: Sequence[ExecutionRecord], entries: Sequence[Entry]) -> None:
    """Every outcome had its effect, and every effect of an execution that ended has its outcome or was looked up."""
    ended = {record.id for record in executions if record.status.is_final}
    known = {(event.execution_id, event.op) for event in of_type(journal, *OUTCOMES, "step.verified")}
    places = {(execution, int(op)) for execution, _, op in (entry.key.rpartition(":") for entry in entries)}
    missing = {place for place in places if place[0] in ended} - known
    assert missing == set(), f"effects that no journal knows of: {missing}"
    once = {(event.execution_id, event.op) for event in of_type(journal, "step.started")}
    counts = Counter(entry.key for entry in entries)
    twice = {key for key in counts if counts[key] > 1 and (key.rpartition(":")[0], int(key.rpartition(":")[2])) in once}
    assert twice == set(), f"once-only effects that happened more than once: {twice}"


async def check_replays(journal: Iterable[Event], executions: Iterable[ExecutionRecord]) -> None:
    """Replaying any prefix of any journal asks for the same things, in the same order."""
    journals = by_execution(journal)
    async with memory_runtime() as flows.here["runtime"]:
        for record in executions:
            program = getattr(flows, record.name).program
            await outside_of_tasks(partial(check_replay, program, journals[record.id], record))


async def outside_of_tasks(call: Callable[[], None]) -> None:
    """Workflow code is run by callbacks of the loop, never within one of its tasks."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def run() -> None:
        try:
            call()
        except (AssertionError, NonDeterminism) as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    asyncio.get_running_loop().call_soon(run)
    await done


def check_replay(program: Program, journal: Sequence[Event], record: ExecutionRecord) -> None:
    whole = replayed(program, journal, record)
    for length in range(1, len(journal)):
        part = replayed(program, journal[:length], record)
        assert part == whole[: len(part)], f"after {journal[length - 1]}"


def replayed(program: Program, journal: Sequence[Event], record: ExecutionRecord) -> list[str]:
    """The ops that workflow code asks for when it is given this journal."""
    history = read(journal)
    info = ExecutionInfo(
        id=record.id,
        name=record.name,
        version=record.version,
        parent_id=record.parent_id,
        started_at=history.started_at or 0.0,
    )
    live = LiveExecution(info, patches=frozenset(history.patches), known_ops=history.known_ops)
    arguments = program.signature.decode(record.arguments)
    live.begin(lambda: program.main(arguments))
    try:
        replay(live, history)
        return live.ops
    finally:
        live.discard()


def check_approvals(approvals: Sequence[ApprovalRecord], executions: Sequence[ExecutionRecord]) -> None:
    """Nobody is asked for what is over."""
    ended = {record.id for record in executions if record.status.is_final}
    assert [one for one in approvals if one.status is ApprovalStatus.PENDING and one.execution_id in ended] == []

"""From a journal back to the execution that wrote it.

A journal is a list of events in the order in which they became durable. Some of them are *completions*: a step's outcome,
a timer that fired, a signal taken, a cancellation. Workflow code runs on a loop whose only inputs are completions, and
when it ran first it was given each of them only after it was in the journal, one at a time. So feeding the same
completions in the same order to the same code leads to the same place, with the same ops open, however often the
branches of a `gather` overtook each other while they ran. That is all that replay is; there is no other state.

The other events matter only where a completion is missing: a `step.started` without an outcome is an effect that may
have happened, a wait whose opening is journaled must not be opened again.

Code and journal are compared op by op: each completion must meet an op of the same number, kind and name. If it does not,
the code has changed (or looked at the clock), and nobody can say what it would do next: NonDeterminism.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Never

from assent.codec import from_json
from assent.engine.execution import LiveExecution
from assent.engine.failure import decode_failure
from assent.errors import NonDeterminism
from assent.store import Event

COMPLETIONS = frozenset(
    {"step.completed", "step.failed", "step.retried", "timer.fired", "signal.received", "execution.cancelling"}
)
ENDINGS = frozenset({"execution.completed", "execution.failed", "execution.cancelled"})


@dataclass(slots=True)
class History:
    """A journal, sorted by what replay asks of it."""

    started_at: float | None = None
    completions: list[Event] = field(default_factory=list)
    begun: dict[int, Event] = field(default_factory=dict)  # steps with a start and no outcome
    doubts: dict[int, Event] = field(default_factory=dict)  # steps whose outcome nobody knows
    opened: dict[int, Event] = field(default_factory=dict)  # waits whose opening is journaled
    patches: set[str] = field(default_factory=set)
    known_ops: int = 0
    ending: Event | None = None


def read(events: Sequence[Event]) -> History:
    """Sort a journal. Events of types that do not bear on replay are passed over."""
    history = History()
    for event in events:
        _read_one(history, event)
        if event.op is not None:
            history.known_ops = max(history.known_ops, event.op + 1)
    return history


def _read_one(history: History, event: Event) -> None:
    kind, op = event.type, event.op
    if kind in COMPLETIONS:
        history.completions.append(event)
        if op is not None:
            history.begun.pop(op, None)
            history.doubts.pop(op, None)
    elif kind == "step.started" and op is not None:
        history.begun[op] = event
        history.doubts.pop(op, None)
    elif kind == "execution.in_doubt" and op is not None:
        history.doubts[op] = event
    elif kind == "execution.started":
        history.started_at = event.at
    elif kind == "execution.patched" and event.name:
        history.patches.add(event.name)
    elif kind in ENDINGS:
        history.ending = event
    elif op is not None:
        history.opened.setdefault(op, event)


def replay(live: LiveExecution, history: History) -> None:
    """Bring an execution that has just begun to where its journal ends. Raises NonDeterminism."""
    live.pending_completions = len(history.completions)
    live.advance()
    for event in history.completions:
        live.pending_completions -= 1
        apply(live, event)
        live.advance()
    for event in (*history.begun.values(), *history.doubts.values()):
        _expect(live, event, f"step {event.name}")


def apply(live: LiveExecution, event: Event) -> None:
    """Hand one recorded completion to workflow code."""
    match event.type:
        case "step.completed":
            _expect(live, event, f"step {event.name}")
            spec = live.steps[_op(event)].spec
            live.settle(_op(event), event.at, value=spec.returns.decode(_value(event)))
        case "step.failed" | "step.retried":
            _expect(live, event, f"step {event.name}")
            live.settle(_op(event), event.at, error=decode_failure(_value(event)))
        case "timer.fired":
            _expect(live, event, "timer")
            live.fire(_op(event), event.at)
        case "signal.received":
            _expect(live, event, f"signal {event.name}")
            live.receive(_op(event), event.name or "", _value(event), event.at)
        case _:
            live.cancel(from_json(_value(event)).get("reason", ""), event.at)


def compare(live: LiveExecution, replayed: LiveExecution) -> None:
    """Raise NonDeterminism unless a living execution and its replay stand at the same place."""
    for index, (recorded, found) in enumerate(zip_longest(live.ops, replayed.ops, fillvalue="nothing")):
        if recorded != found:
            _disagree(live, index, recorded, found)
    for index in live.steps.keys() | replayed.steps.keys():
        recorded, found = (_call(each, index) for each in (live, replayed))
        if recorded != found:
            _disagree(live, index, recorded, found)
    if live.done != replayed.done:
        _disagree(live, len(live.ops), *("at its end" if each.done else "under way" for each in (live, replayed)))


def _call(live: LiveExecution, index: int) -> str:
    op = live.steps.get(index)
    if op is None:
        return "no open step"
    return f"{op} with {op.encoded()}" if op.spec.captured else str(op)


def _op(event: Event) -> int:
    assert event.op is not None
    return event.op


def _value(event: Event) -> str:
    return event.value if event.value is not None else "null"


def _expect(live: LiveExecution, event: Event, recorded: str) -> None:
    index = _op(event)
    found = live.ops[index] if index < len(live.ops) else "nothing"
    if found != recorded:
        _disagree(live, index, recorded, found)
    if recorded.startswith("step ") and index not in live.steps:
        _disagree(live, index, f"{recorded} open", "it has ended")


def _disagree(live: LiveExecution, index: int, recorded: str, found: str) -> Never:
    info = live.info
    raise NonDeterminism(
        f"execution {info.id} of {info.name} (version {info.version}): op {index} is recorded as {recorded!r}, "
        f"but the code now has {found!r}. The code of this workflow changed while the execution was under way, or it "
        "depends on something outside (clock, random, files). Give the changed code a new version and keep "
        'the old one for what is under way, or put the change behind `if patched("name"):`.',
        recorded=recorded,
        found=found,
        execution_id=info.id,
        op=index,
    )

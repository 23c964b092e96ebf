"""From a journal back to the execution that wrote it.

A journal is a list of events in the order in which they became durable. Some of them are *completions*: a step's
outcome, a timer that fired, a signal taken, a cancellation. Workflow code runs on a loop whose only inputs are
completions, and when it ran first it was given each of them only after it was in the journal, one at a time. So
feeding the same completions in the same order to the same code leads to the same place, with the same ops open,
however often the branches of a `gather` overtook each other while they ran. That is all that replay is; there is no
other state.

The other events matter only where a completion is missing: a `step.started` without an outcome is an effect that may
have happened, a wait whose opening is journaled must not be opened again.

Code and journal are compared op by op: each completion, and each op that the journal saw open, must meet an op of the
same number, kind and name. If it does not, the code has changed (or looked at the clock), and nobody can say what it
would do next: NonDeterminism.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Never

from assent.codec import from_json
from assent.engine.execution import LiveExecution
from assent.engine.failure import decode_failure
from assent.engine.ops import Mark, StepOp
from assent.engine.texts import is_withheld
from assent.errors import CodecError, NonDeterminism, StateNotCaptured
from assent.store import Event

COMPLETIONS = frozenset({
    "step.completed", "step.failed", "step.retried", "timer.fired", "signal.received", "execution.cancelling",
})  # fmt: skip
ENDINGS = frozenset({"execution.completed", "execution.failed", "execution.cancelled"})


@dataclass(slots=True)
class History:
    """A journal, sorted by what replay asks of it."""

    started_at: float | None = None
    completions: list[Event] = field(default_factory=list)
    begun: dict[int, Event] = field(default_factory=dict)  # steps with a start and no outcome
    doubts: dict[int, Event] = field(default_factory=dict)  # steps whose outcome nobody knows
    opened: set[int] = field(default_factory=set)  # timers and waits whose opening is journaled
    patches: set[str] = field(default_factory=set)
    marks: list[Mark] = field(default_factory=list)
    waits: Sequence[dict[str, Any]] = ()  # what it said it waits for, if nothing has come since
    known_ops: int = 0
    has_approvals: bool = False


def read(events: Sequence[Event]) -> History:
    """Sort a journal. Events of types that do not bear on replay are passed over."""
    history = History()
    for event in events:
        op = event.op
        if event.type in COMPLETIONS:
            history.completions.append(event)
            history.waits = ()
            if op is not None:
                history.begun.pop(op, None)
                history.doubts.pop(op, None)
        else:
            _read_other(history, event)
        if op is not None and op >= history.known_ops:
            history.known_ops = op + 1
    return history


def _read_other(history: History, event: Event) -> None:
    kind, op = event.type, event.op
    if kind == "execution.started":
        history.started_at = event.at
    elif kind == "execution.patched" and event.name:
        history.patches.add(event.name)
    elif kind in {"execution.decided", "execution.noted"}:
        history.marks.append(Mark(event.name or "", event.value or "null", kind == "execution.decided"))
    elif kind == "execution.suspended":
        history.waits = from_json(event.value or "[]") if op is not None else history.waits
    elif op is None:
        return
    elif kind == "step.started":
        history.begun[op] = event
        history.doubts.pop(op, None)
    elif kind == "execution.in_doubt":
        history.doubts[op] = event
    elif kind == "step.verified":
        history.doubts.pop(op, None)  # by now it is either done, and a completion follows, or surely not done
    else:
        history.opened.add(op)
        history.has_approvals = history.has_approvals or kind.startswith("policy.approval")


def replay(live: LiveExecution, history: History) -> None:
    """Bring an execution that has just begun to where its journal ends. Raises NonDeterminism, StateNotCaptured."""
    live.pending_completions = len(history.completions)
    live.advance()
    for event in history.completions:
        live.pending_completions -= 1
        _apply(live, event)
        live.advance()
    _compare_marks(live, history.marks)
    for event in (*history.begun.values(), *history.doubts.values()):
        _open_step(live, event)
    for wait in history.waits:
        recorded = "timer" if wait["for"] == "timer" else f"signal {wait['name']}"
        if wait["for"] in {"timer", "signal"}:
            _expect(live, wait["op"], recorded)
            if wait["op"] not in live.timers and wait["op"] not in live.signals:
                _disagree(live, wait["op"], f"{recorded} open", "it has ended")


def _apply(live: LiveExecution, event: Event) -> None:
    """Hand one recorded completion to workflow code."""
    match event.type:
        case "step.completed":
            op = _open_step(live, event)
            text = _value(event)
            if is_withheld(text):
                raise StateNotCaptured(
                    f"execution {live.info.id}: the result of step {event.name} was not kept (capture_state=False), so "
                    "nobody can resume what follows. Start it again, or let the step keep its state."
                )
            live.settle(op.index, event.at, op.spec.returns.decode(text))
        case "step.failed" | "step.retried":
            op = _open_step(live, event)
            live.settle(op.index, event.at, error=decode_failure(_value(event)))
        case "timer.fired":
            index = _op(event)
            _expect(live, index, "timer")
            live.fire(index, event.at)
        case "signal.received":
            index = _op(event)
            _expect(live, index, f"signal {event.name}")
            live.receive(index, event.name or "", _value(event), event.at)
        case _:
            live.cancel(from_json(_value(event)).get("reason", ""), event.at)


def _compare_marks(live: LiveExecution, recorded: Sequence[Mark]) -> None:
    """What was decided and noted is in the journal before anything that followed from it."""
    for known, found in zip_longest(recorded, live.marks[: len(recorded)]):
        if found is None or (known.name, known.is_decision) != (found.name, found.is_decision):
            _disagree(live, len(live.ops), f"mark {known.name}", f"mark {found.name}" if found else "nothing")


def compare(live: LiveExecution, replayed: LiveExecution) -> None:
    """Raise NonDeterminism unless a living execution and its replay stand at the same place."""
    for index, (recorded, found) in enumerate(zip_longest(live.ops, replayed.ops, fillvalue="nothing")):
        if recorded != found:
            _disagree(live, index, recorded, found)
    for index in sorted({*live.steps, *replayed.steps, *live.timers, *replayed.timers}):
        recorded, found = _in_detail(live, index), _in_detail(replayed, index)
        if recorded != found:
            _disagree(live, index, recorded, found)
    if live.done != replayed.done:
        _disagree(live, len(live.ops), *("at its end" if each.done else "under way" for each in (live, replayed)))


def _in_detail(live: LiveExecution, index: int) -> str:
    timer, step = live.timers.get(index), live.steps.get(index)
    if timer is not None:
        return f"timer for {timer.due}"
    if step is None:
        return f"{live.ops[index]}, not open"
    with contextlib.suppress(CodecError):  # then it fails before it is performed, on replay as well
        if step.spec.captured:
            return f"step {step.name} with {step.encoded()}"
    return f"step {step.name}"


def _open_step(live: LiveExecution, event: Event) -> StepOp:
    index = _op(event)
    op = live.steps.get(index)
    if op is None or op.name != event.name:
        _expect(live, index, f"step {event.name}")
        _disagree(live, index, f"step {event.name} open", "it has ended")
    op.attempt = event.attempt or op.attempt
    return op


def _op(event: Event) -> int:
    assert event.op is not None
    return event.op


def _value(event: Event) -> str:
    return event.value if event.value is not None else "null"


def _expect(live: LiveExecution, index: int, recorded: str) -> None:
    found = live.ops[index] if index < len(live.ops) else "nothing"
    if found != recorded:
        _disagree(live, index, recorded, found)


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

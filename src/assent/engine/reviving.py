"""Workflow code brought from its journal to where it stands, and what it then waits for."""

from collections.abc import Mapping
from typing import Any

from assent.engine.engine import Program
from assent.engine.execution import LiveExecution
from assent.engine.ops import ExecutionInfo
from assent.engine.replay import History, replay
from assent.engine.texts import is_withheld
from assent.errors import NotDeterministic, StateNotCaptured
from assent.store import ExecutionRecord


def arguments_of(record: ExecutionRecord, program: Program, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The arguments with which an execution runs. `given`: those that only this process has."""
    if given is not None:
        return given
    if is_withheld(record.arguments):
        raise StateNotCaptured(
            f"execution {record.id} of {record.name} was called with capture_state=False, so its arguments "
            "were not kept and nobody can resume it. Call it again, or let it keep its state."
        )
    return program.signature.decode(record.arguments)


def revived(record: ExecutionRecord, program: Program, arguments: Mapping[str, Any], history: History) -> LiveExecution:
    """The execution, replayed to the end of its journal."""
    info = ExecutionInfo(
        id=record.id,
        name=record.name,
        version=record.version,
        requester=record.requester,
        parent_id=record.parent_id,
        started_at=history.started_at or record.created_at,
    )
    live = LiveExecution(info, patches=frozenset(history.patches), marks=history.marks, known_ops=history.known_ops)
    live.begin(lambda: program.main(arguments))
    try:
        replay(live, history)
    except BaseException:
        live.discard()
        raise
    return live


def waits_of(live: LiveExecution, doubts: Mapping[int, Any]) -> list[dict[str, Any]]:
    """What an execution waits for, for people to read, and for replay to compare."""
    found: list[dict[str, Any]] = [{"for": "signal", "name": op.name, "op": i} for i, op in live.signals.items()]
    found += [{"for": "timer", "due": op.due, "op": i} for i, op in live.timers.items()]
    found += [{"for": "resolve", "name": op.name, "op": i} for i, op in doubts.items()]
    return found


def stalled(record: ExecutionRecord) -> NotDeterministic:
    """Why an execution ends that would wait forever."""
    return NotDeterministic(
        f"execution {record.id} of {record.name} waits for something that no step, timer or signal will bring, "
        "such as the result of a thread or a future that nobody completes. Workflow code is replayed, so what it "
        "waits for must come through a @step, asyncio.sleep() or signal()."
    )


def has_to_wait(record: ExecutionRecord) -> StateNotCaptured:
    """Why an execution ends that would have to outlive its caller, with nothing kept of it."""
    return StateNotCaptured(
        f"{record.name} has to wait, and capture_state=False keeps nothing with which it could go on later. "
        f"Execution {record.id} ends here, without its effect unless that is recorded. Let it keep its state, or "
        "give its approvers longer than that: timeout_seconds=...",
        execution_id=record.id,
        action=record.name,
    )

"""How an execution ends: what its workflow code returned or raised, as the journal and its callers get it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from assent.codec import to_json
from assent.engine.engine import Program
from assent.engine.execution import LiveExecution
from assent.engine.failure import decode_failure, live_failure
from assent.engine.texts import Blobs, fit, redacted, withheld
from assent.errors import ExecutionCancelled, ExecutionFailed, StateNotCaptured
from assent.store import Change, Commit, Event, ExecutionRecord, Message, Status

# How long (seconds) until an execution is tried again whose code and journal disagreed.
TRY_CODE_AGAIN = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An ended execution. `value` or `error` is what its callers in this process get."""

    type: str
    text: str
    change: Change
    value: Any = None
    error: BaseException | None = None

    def event(self, execution_id: str, at: float, blobs: Blobs) -> Event:
        """The last event of the journal."""
        return Event(execution_id, self.type, at, name=self.change.cause, value=fit(self.text, blobs))

    def word(self, record: ExecutionRecord) -> Sequence[Message]:
        """What the execution that started it is told."""
        if record.parent_id is None:
            return ()
        facts = to_json({"status": self.change.status})
        return (Message(execution_id=record.parent_id, kind="signal", name=f"child:{record.id}", value=facts),)


def ending_of(live: LiveExecution, program: Program, arguments: Mapping[str, Any]) -> Ending:
    """How an execution ended whose workflow code is done."""
    try:
        text, value = _final(program, live.result())
    except asyncio.CancelledError:
        return _cancelled(live)
    except BaseException as error:  # noqa: BLE001 - whatever workflow code raised is its outcome
        return failed(error, partial(_redacted_error, program, arguments))
    change = Change(status=Status.COMPLETED, release=True)
    return Ending(type="execution.completed", text=text, change=change, value=value)


def failed(error: BaseException, redact: Callable[[str], str] | None = None) -> Ending:
    """The ending by an error."""
    text, error = live_failure(error, ExecutionFailed)
    if redact is not None and (shown := redact(text)) != text:
        text, error = shown, decode_failure(shown, wrapper=ExecutionFailed)
    change = Change(status=Status.FAILED, release=True, cause=getattr(error, "cause", "error"))
    return Ending(type="execution.failed", text=text, change=change, error=error)


def _redacted_error(program: Program, arguments: Mapping[str, Any], text: str) -> str:
    return text if program.redact_error is None else program.redact_error(text, arguments)


def _cancelled(live: LiveExecution) -> Ending:
    reason = live.cancel_reason if live.cancel_reason is not None else "the workflow cancelled itself"
    error = ExecutionCancelled(f"execution {live.info.id} was cancelled: {reason}", reason=reason)
    change = Change(status=Status.CANCELLED, release=True)
    return Ending(type="execution.cancelled", text=to_json({"reason": reason}), change=change, error=error)


def _final(program: Program, result: Any) -> tuple[str, Any]:
    returns = program.returns
    if not program.captured:
        return to_json(withheld(returns.canonical(result))), result
    text, value = returns.round_trip(result)
    return text if program.redact is None else redacted(program.redact, text, result), value


def set_aside(record: ExecutionRecord, error: Exception, now: float, *, said: Event | None, seen: int) -> Commit:
    """What is written when an execution cannot go on here: it failed if its values are gone, else it waits for code.

    `said` is the last event of its journal; what it says is not said again. Without `seen`, mail that nobody can read
    would make it due again at once.
    """
    if isinstance(error, StateNotCaptured):
        ending, blobs = failed(error), Blobs()
        return Commit(
            execution_id=record.id,
            events=[ending.event(record.id, now, blobs)],
            change=ending.change,
            messages=ending.word(record),
            blobs=blobs,
            withdraws=True,
            unseals=True,
        )
    waits = to_json([{"for": "code", "error": str(error)}])
    event = Event(record.id, "execution.suspended", now, value=waits)
    change = Change(status=Status.SUSPENDED, wake_at=now + TRY_CODE_AGAIN, release=True, waits=waits)
    events = [] if said is not None and said.value == waits else [event]
    return Commit(execution_id=record.id, events=events, change=change, seen=seen)

"""Whether today's code leads where a journal went. Nothing is performed, nothing is written."""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assent.codec import from_json
from assent.engine.ending import ending_of
from assent.engine.engine import Program
from assent.engine.execution import LiveExecution
from assent.engine.replay import ENDINGS, History, read
from assent.engine.reviving import revived
from assent.engine.texts import is_withheld
from assent.errors import CodecError, NonDeterminism
from assent.store import Event, ExecutionRecord

REDACTED: Final = '"[redacted]"'
LONGEST: Final = 120  # of an ending, in words


@dataclass(frozen=True, slots=True)
class Recording:
    """An execution as the store has it."""

    record: ExecutionRecord
    arguments: str
    events: Sequence[Event]

    @property
    def is_whole(self) -> bool:
        """Whether all values were kept: a call without captured state leaves digests only."""
        texts = [self.arguments, *(event.value for event in self.events if event.type == "step.completed")]
        return not any(text and is_withheld(text) for text in texts)

    @property
    def is_redacted(self) -> bool:
        """Whether secrets were erased from it, which happens when an execution ends."""
        return self.record.status.is_final and any(REDACTED in f"{each.arguments}{each.value}" for each in self.events)


async def divergence(program: Program, recording: Recording) -> str | None:
    """Where code and journal part, in words; None: nowhere. Workflow code may ask for its runtime: open one before."""
    # Workflow code runs on a loop of its own, and may be entered from a callback only.
    outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: _settle(outcome, program, recording))
    return await outcome


def _settle(outcome: asyncio.Future[str | None], program: Program, recording: Recording) -> None:
    try:
        outcome.set_result(_replayed(program, recording))
    except Exception as error:  # noqa: BLE001 - foreign code; what it raised belongs to whoever waits for the answer
        outcome.set_exception(error)


def _replayed(program: Program, recording: Recording) -> str | None:
    history = read(recording.events)
    try:
        arguments = program.signature.decode(recording.arguments)
        live = revived(recording.record, program, arguments, history)
    except (NonDeterminism, CodecError) as error:
        return str(error)
    try:
        return _missing_op(live, history, recording.events) or _other_end(live, recording.events, program, arguments)
    finally:
        with contextlib.suppress(BaseException):
            live.result()  # an error that nobody asked for would be reported as forgotten
        live.discard()


def _missing_op(live: LiveExecution, history: History, events: Sequence[Event]) -> str | None:
    if len(live.ops) < history.known_ops:
        return f"The journal knows {history.known_ops} ops, and the code opens only {len(live.ops)} of them."
    timers = [event.op for event in events if event.type == "timer.started" and event.op is not None]
    other = next((op for op in timers if live.ops[op] != "timer"), None)
    return None if other is None else f"Op {other} is recorded as 'timer', but the code now has {live.ops[other]!r}."


def _other_end(
    live: LiveExecution, events: Sequence[Event], program: Program, arguments: Mapping[str, Any]
) -> str | None:
    recorded = next((event for event in events if event.type in ENDINGS), None)
    if recorded is None:
        return None
    if not live.done:
        return f"The journal ends with {recorded.type}, and the code goes on{_with_what(live)}."
    ending = ending_of(live, program, arguments)
    found = (ending.type, _told(ending.type, ending.text))
    wanted = (recorded.type, _told(recorded.type, recorded.value))
    return None if found == wanted else f"The journal ends with {_said(*wanted)}, and the code with {_said(*found)}."


def _with_what(live: LiveExecution) -> str:
    opened = [str(op) for op in (*live.steps.values(), *live.signals.values(), *live.timers.values())]
    return f": it waits for {', '.join(opened)}" if opened else ""


def _told(type: str, text: str | None) -> str:
    """What an ending says that must be the same again; a traceback need not."""
    match type:
        case "execution.cancelled":
            return ""
        case "execution.failed":
            return _failure(from_json(text or "null"))
        case _:
            return text or "null"


def _said(type: str, what: str) -> str:
    return f"{type} {_cut(what)}".rstrip()


def _failure(facts: Any) -> str:
    if not isinstance(facts, dict):
        return json.dumps(facts, ensure_ascii=False)
    return f"{str(facts.get('type', '')).rpartition(':')[2]}: {facts.get('message', '')}".rstrip(": ")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more characters)"

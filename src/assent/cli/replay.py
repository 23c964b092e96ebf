"""`assent replay`: whether today's code leads where the journal went. Nothing is performed, nothing is written."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from assent.cli.output import Screen, shortened
from assent.cli.reference import load_module, programs_of, runtime_of
from assent.cli.stored import engine_on, find_execution, opened
from assent.cli.timeline import LONGEST_VALUE, failure_in_words
from assent.codec import from_json
from assent.engine import LiveExecution, Program
from assent.engine.ending import ending_of
from assent.engine.replay import ENDINGS, History, read
from assent.engine.reviving import revived
from assent.engine.texts import is_withheld, unsealed
from assent.errors import CodecError, NonDeterminism, UnknownWorkflow, UsageError
from assent.store import Event, ExecutionRecord, Workflow

REDACTED = '"[redacted]"'


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


def check(screen: Screen, url: str | None, id: str, file: str, *, as_json: bool) -> int:
    """`assent replay`; returns the exit code."""
    module = load_module(file)
    recording = asyncio.run(_recording(url, id))
    program = _program(module, file, recording.record)
    if not recording.is_whole:
        raise UsageError(
            f"Execution {recording.record.id} cannot be replayed: capture_state=False kept none of its values."
        )
    problem = asyncio.run(_divergence(module, program, recording))
    if problem is not None and recording.is_redacted:
        raise UsageError(
            f"Execution {recording.record.id} cannot be replayed any more, "
            f"because its secrets were erased when it ended. {problem}"
        )
    if as_json:
        screen.json({"execution_id": recording.record.id, "same": problem is None, "divergence": problem})
    elif problem is None:
        record, count = recording.record, len(recording.events)
        screen.say(f"The same: {count} events of execution {record.id} of {record.name}, {record.status}.")
    else:
        screen.say(problem)
    return 0 if problem is None else NonDeterminism.exit_code


async def _recording(url: str | None, id: str) -> Recording:
    async with opened(url) as store:
        record = await find_execution(store, id)
        sealed = await store.sealed(record.id)
        events = unsealed(await engine_on(store).events(record.id), sealed)
    started = next((event.arguments for event in events if event.type == "execution.started"), None)
    return Recording(record, sealed.get(-1) or started or record.arguments, events)


def _program(module: ModuleType, file: str, record: ExecutionRecord) -> Program:
    programs = {program.workflow: program for program in programs_of(module)}
    found = programs.get(Workflow(record.name, record.version))
    if found is None:
        known = ", ".join(f"{each.name} version {each.version}" for each in programs) or "no workflow"
        raise UnknownWorkflow(
            f"{file} has {known}, and execution {record.id} is of {record.name} version {record.version}."
        )
    return found


async def _divergence(module: ModuleType, program: Program, recording: Recording) -> str | None:
    """Where code and journal part, in words; None: nowhere."""
    # Workflow code may ask for its runtime, so it gets one: on a store in memory, with nobody to drive anything.
    runtime = runtime_of([module], "sqlite://", worker=False)
    async with runtime:
        # Workflow code runs on a loop of its own, and may be entered from a callback only.
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: outcome.set_result(_replayed(program, recording)))
        return await outcome


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
            return failure_in_words(from_json(text or "null"))
        case _:
            return text or "null"


def _said(type: str, what: str) -> str:
    return f"{type} {shortened(what, LONGEST_VALUE)}".rstrip()

"""`assent replay`: whether today's code leads where the journal went. Nothing is performed, nothing is written."""

import asyncio
from types import ModuleType

from assent.cli.output import Screen
from assent.cli.reference import load_module, programs_of, runtime_of
from assent.cli.stored import engine_on, find_execution, opened
from assent.engine import Program
from assent.engine.rehearsal import Recording, divergence
from assent.engine.texts import unsealed
from assent.errors import NonDeterminism, UnknownWorkflow, UsageError
from assent.store import ExecutionRecord, Workflow


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
        return await divergence(program, recording)

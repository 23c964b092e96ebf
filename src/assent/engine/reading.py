"""What the engine reads from a store: journals, arguments and results, as they were before they were shortened."""

from typing import Any

from assent.codec import from_json
from assent.engine.engine import Program
from assent.engine.failure import decode_failure
from assent.engine.replay import ENDINGS
from assent.engine.texts import filled_in, is_withheld
from assent.errors import CodecError, ExecutionCancelled, ExecutionFailed, ExecutionNotFound, StateNotCaptured
from assent.store import Event, ExecutionRecord, Status, Store


async def read_execution(store: Store, execution_id: str) -> ExecutionRecord:
    """The execution as it stands. Raises ExecutionNotFound."""
    record = await store.execution(execution_id)
    if record is None:
        raise ExecutionNotFound(
            f"There is no execution {execution_id!r} in this store. `assent executions` lists those that are.",
            execution_id=execution_id,
        )
    return record


async def read_journal(store: Store, execution_id: str) -> list[Event]:
    """The journal of one execution, with large values filled in."""
    return await filled_in(store, await store.journal(execution_id))


async def read_result(store: Store, record: ExecutionRecord, program: Program | None) -> Any:
    """The result of an execution that has ended; raises what it raised. Without its program: as JSON data."""
    journal = await store.journal(record.id)
    (ending,) = await filled_in(store, [next(event for event in reversed(journal) if event.type in ENDINGS)])
    text = ending.value or "null"
    if record.status is Status.FAILED:
        raise decode_failure(text, wrapper=ExecutionFailed)
    if record.status is Status.CANCELLED:
        reason = from_json(text)["reason"]
        raise ExecutionCancelled(f"execution {record.id} was cancelled: {reason}", reason=reason)
    return _decoded(record, program, text)


def _decoded(record: ExecutionRecord, program: Program | None, text: str) -> Any:
    if program is None or not program.captured:
        value = from_json(text)
        if isinstance(value, str) and is_withheld(value):
            raise StateNotCaptured(
                f"execution {record.id} was called with capture_state=False: its result was handed to the caller "
                "and not kept."
            )
        return value
    try:
        return program.returns.decode(text)
    except CodecError:
        if program.redact is None:
            raise
        return from_json(text)  # redaction has changed its form

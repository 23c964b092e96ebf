"""New executions: their records, and whether a repeated start is the same call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assent.clock import Clock
from assent.codec import digest
from assent.engine.engine import Program
from assent.engine.texts import Blobs, fit, redacted, withheld
from assent.errors import ExecutionConflict
from assent.store import Commit, Event, ExecutionRecord, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """A new execution. `arguments` is the JSON with which it runs here; the record may hold less of it."""

    record: ExecutionRecord
    arguments: str
    blobs: Blobs
    sealed: Sequence[tuple[int, str]]
    started: Event  # the first event of its journal

    def commit(self, events: list[Event]) -> Commit:
        return Commit(
            execution_id=self.record.id, events=events, create=self.record, blobs=self.blobs, sealed=self.sealed
        )

    def owned_by(self, owner: str) -> "Birth":
        """The same execution, at work for another owner."""
        return replace(self, record=replace(self.record, owner=owner))

    def check_same_call(self, stored: ExecutionRecord) -> ExecutionRecord:
        """The stored execution, if it is the same call. Raises ExecutionConflict."""
        wanted = self.record
        if (stored.name, stored.digest) == (wanted.name, wanted.digest):
            return stored
        raise ExecutionConflict(
            f"Execution {stored.id!r} exists already, of {stored.name} with other arguments than this call of "
            f"{wanted.name}. Use another id for another call.",
            execution_id=stored.id,
        )


def new_execution(
    program: Program,
    arguments: Mapping[str, Any],
    clock: Clock,
    *,
    id: str | None,
    parent_id: str | None,
    requester: str | None,
    traceparent: str | None = None,
    owner: str | None = None,
) -> Birth:
    """The record of a new execution: at work if it has an owner, else left to whoever claims it.

    Raises CodecError for arguments that cannot come back as they are.
    """
    signature = program.signature
    sealed: Sequence[tuple[int, str]] = ()
    blobs = Blobs()
    if not program.captured:
        full = shown = withheld(signature.digest(arguments))
    else:
        full = shown = signature.encode(arguments)
        if program.redact is not None:
            shown = redacted(program.redact, full, arguments)
            sealed = ((-1, full),) if shown != full else ()
    now = clock.now()
    record = ExecutionRecord(
        id=id if id is not None else clock.new_id(),
        name=program.name,
        version=program.version,
        arguments=fit(shown, blobs),
        digest=digest(f"{program.name}\n{signature.digest(arguments)}") if id is not None else "",
        requester=requester,
        parent_id=parent_id,
        traceparent=traceparent,
        created_at=now,
        updated_at=now,
        status=Status.RUNNING if owner else Status.PENDING,
        owner=owner,
        wake_at=None if owner else 0.0,
    )
    started = Event(record.id, "execution.started", now, name=record.name, arguments=record.arguments)
    return Birth(record=record, arguments=full, blobs=blobs, sealed=sealed, started=started)

"""The shapes of what `/api/v1` answers, made of what the store keeps: executions, events, problems."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from assent.codec import from_json
from assent.engine.texts import is_withheld
from assent.store import Event, ExecutionRecord, Status


def at(moment: float | None) -> datetime | None:
    """Unix seconds as a moment in UTC; None for what no calendar knows."""
    if moment is None:
        return None
    try:
        return datetime.fromtimestamp(moment, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def data_of(text: str | None) -> Any:
    """A recorded value; the text itself where no value was kept, or where it is no JSON."""
    if text is None or is_withheld(text):
        return text
    try:
        return from_json(text)
    except ValueError:
        return text


class Told(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True)


class ProblemDocument(Told):
    """What went wrong (RFC 9457). Other members tell the facts of the error."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


class EventShown(Told):
    """An event of a journal. Large values are filled in only where one execution is asked for."""

    seq: int
    execution_id: str
    at: datetime | None
    type: str
    op: int | None
    name: str | None
    attempt: int | None
    started_at: datetime | None
    arguments: Any = None
    value: Any = None

    @classmethod
    def of(cls, event: Event, *, whole: bool = True, traces: bool = True) -> Self:
        """With `whole` off, without arguments and value; with `traces` off, without the tracebacks of errors."""
        value = data_of(event.value) if whole else None
        return cls(
            seq=event.seq,
            execution_id=event.execution_id,
            at=at(event.at),
            type=event.type,
            op=event.op,
            name=event.name,
            attempt=event.attempt,
            started_at=at(event.started_at),
            arguments=data_of(event.arguments) if whole else None,
            value=value if traces else without_traceback(value),
        )


class StreamedEvent(Told):
    """One event of a stream of server-sent events."""

    id: str | None = Field(None, description="Its `seq`, for Last-Event-ID.")
    event: str | None = Field(None, description="`end`: the last one. Else an event of a journal.")
    data: str = Field(description="The event as JSON, as a journal lists it.")


class Events(Told):
    """A page of events, in order."""

    items: list[EventShown]
    next: int | None = Field(None, description="To be given as `after`; none: these are the last so far.")


class ExecutionShown(Told):
    """An execution as it stands."""

    id: str
    name: str
    version: int
    status: Status
    cause: str | None = Field(description="Why it failed.")
    requester: str | None
    parent_id: str | None
    created_at: datetime | None
    updated_at: datetime | None
    waits: Any = Field(description="What it waits for.")
    arguments: Any

    @classmethod
    def of(cls, record: ExecutionRecord) -> Self:
        return cls(**_head_of(record))


def _head_of(record: ExecutionRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "version": record.version,
        "status": record.status,
        "cause": record.cause,
        "requester": requester_of(record),
        "parent_id": record.parent_id,
        "created_at": at(record.created_at),
        "updated_at": at(record.updated_at),
        "waits": data_of(record.waits),
        "arguments": data_of(record.arguments),
    }


def requester_of(record: ExecutionRecord) -> str | None:
    """The id of the person for whom an execution runs."""
    found = data_of(record.requester)
    return str(found["id"]) if isinstance(found, dict) and "id" in found else None


class ExecutionWhole(ExecutionShown):
    """An execution with what came of it."""

    result: Any = Field(None, description="If it has completed.")
    error: Any = Field(None, description="If it has failed or was cancelled.")
    approvals: list[str] = Field(description="The ids of what people were asked.")

    @classmethod
    def whole(
        cls, record: ExecutionRecord, events: Sequence[Event], ending: Event | None, asked: Sequence[str]
    ) -> Self:
        """`ending` is that of the events which ended it, `asked` the ids of its approvals."""
        started = next((one.arguments for one in events if one.type == "execution.started" and one.arguments), None)
        value = data_of(ending.value) if ending is not None else None
        is_done = record.status is Status.COMPLETED
        return cls(
            **{**_head_of(record), "arguments": data_of(started or record.arguments)},
            result=value if is_done else None,
            error=None if is_done else without_traceback(value),
            approvals=list(asked),
        )


def without_traceback(value: Any) -> Any:
    """An error as whoever asked for an execution may see it: its traceback tells of the server."""
    return {name: each for name, each in value.items() if name != "traceback"} if isinstance(value, dict) else value


class Executions(Told):
    """A page of executions, newest first."""

    items: list[ExecutionShown]
    next: str | None = None


class Started(Told):
    """An execution that was started, now or before with the same key."""

    id: str
    name: str
    version: int
    status: Status
    poll_url: str


class WorkflowShown(Told):
    """A workflow or governed function that can be started here."""

    name: str
    version: int
    parameters: list[str]


class Workflows(Told):
    """What can be started here."""

    items: list[WorkflowShown]


class Accepted(Told):
    """Word was left for an execution; a worker reads it."""

    execution_id: str


class Health(Told):
    """The process answers."""

    status: str


class Ready(Told):
    """The process can work."""

    status: str
    workers: int = Field(description="Whose leases hold on this store.")

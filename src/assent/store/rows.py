"""Records as rows of SQLite: the columns of each record, in order, and the way back."""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeVar

from assent.errors import StoreCorrupt
from assent.store.records import (
    ApprovalRecord,
    ApprovalStatus,
    Event,
    ExecutionRecord,
    Message,
    Status,
    VerdictRecord,
    WorkerRecord,
)

StatusT = TypeVar("StatusT", Status, ApprovalStatus)

# Columns bear the names of the fields. Those that the store numbers itself are left out where a row is added.
EXECUTION = tuple(f.name for f in fields(ExecutionRecord))
WORKER = tuple(f.name for f in fields(WorkerRecord))
APPROVAL = tuple(f.name for f in fields(ApprovalRecord))
VERDICT = tuple(f.name for f in fields(VerdictRecord))
MESSAGE = tuple(f.name for f in fields(Message))
EVENT = Event._fields

# An event is written as it stands: its tuple binds all ten columns, and a `seq` of 0 lets SQLite number it.
ADD_EVENT = f"INSERT INTO journal ({', '.join(EVENT)}) VALUES ({'?, ' * (len(EVENT) - 1)}nullif(?, 0))"

execution_row = attrgetter(*EXECUTION)
worker_row = attrgetter(*WORKER)
approval_row = attrgetter(*APPROVAL)
verdict_row = attrgetter(*VERDICT)


def select(columns: tuple[str, ...], table: str) -> str:
    """The head of a query for whole records."""
    return f"SELECT {', '.join(columns)} FROM {table}"


def insert(columns: tuple[str, ...], table: str) -> str:
    """A statement that adds one record."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def execution_of(row: tuple[Any, ...]) -> ExecutionRecord:
    """The record in a row of EXECUTION columns."""
    facts = dict(zip(EXECUTION, row, strict=True))
    return ExecutionRecord(**{**facts, "status": _known(Status, facts["status"])})


def approval_of(row: tuple[Any, ...]) -> ApprovalRecord:
    """The record in a row of APPROVAL columns."""
    facts = dict(zip(APPROVAL, row, strict=True))
    return ApprovalRecord(**{**facts, "status": _known(ApprovalStatus, facts["status"])})


def worker_of(row: tuple[Any, ...]) -> WorkerRecord:
    """The record in a row of WORKER columns."""
    return WorkerRecord(**dict(zip(WORKER, row, strict=True)))


def verdict_of(row: tuple[Any, ...]) -> VerdictRecord:
    """The record in a row of VERDICT columns."""
    return VerdictRecord(**dict(zip(VERDICT, row, strict=True)))


def message_of(row: tuple[Any, ...]) -> Message:
    """The record in a row of MESSAGE columns."""
    return Message(**dict(zip(MESSAGE, row, strict=True)))


def _known(kind: type[StatusT], value: str) -> StatusT:
    try:
        return kind(value)
    except ValueError as unknown:
        raise StoreCorrupt(f"The store holds a status {value!r} that does not exist; restore a backup.") from unknown

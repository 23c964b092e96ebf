"""Records as rows of SQLite: the columns of each record, in order, and the way back."""

# ruff: noqa: S608 - only our own words are put together to statements; values are bound

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, TypeVar

from assent.codec import from_json, to_json
from assent.errors import StoreCorrupt
from assent.store.records import (
    ApprovalRecord,
    ApprovalStatus,
    CredentialRecord,
    DelegationRecord,
    Event,
    ExecutionRecord,
    Message,
    NoticeRecord,
    NoticeStatus,
    PersonRecord,
    Status,
    VerdictRecord,
    WorkerRecord,
)

StatusT = TypeVar("StatusT", Status, ApprovalStatus, NoticeStatus)
_C = TypeVar("_C", list[Any], dict[str, Any])
Row = Sequence[Any]

# Columns bear the names of the fields. Those that the store numbers itself are left out where a row is added.
EXECUTION = tuple(f.name for f in fields(ExecutionRecord))
WORKER = tuple(f.name for f in fields(WorkerRecord))
APPROVAL = tuple(f.name for f in fields(ApprovalRecord))
VERDICT = tuple(f.name for f in fields(VerdictRecord))
MESSAGE = tuple(f.name for f in fields(Message))
PERSON = tuple(f.name for f in fields(PersonRecord))
DELEGATION = tuple(f.name for f in fields(DelegationRecord))
NOTICE = tuple(f.name for f in fields(NoticeRecord))
CREDENTIAL = tuple(f.name for f in fields(CredentialRecord))
EVENT = Event._fields

# An event is written as it stands: its tuple binds all ten columns, and a `seq` of 0 lets SQLite number it.
_EVENT_ROW = f"({'?, ' * (len(EVENT) - 1)}nullif(?, 0))"
ADD_EVENT = f"INSERT INTO journal ({', '.join(EVENT)}) VALUES {_EVENT_ROW}"
# Many in one statement take a quarter less than one by one, since the last number of the table is kept once for all.
MANY: Final = 20
ADD_EVENTS = f"{ADD_EVENT}{f', {_EVENT_ROW}' * (MANY - 1)}"

# Collections are JSON, and nothing where they are empty: a column that is rarely used takes no space.
COLLECTIONS: Final = frozenset({"channels", "conditions", "roles", "contacts", "scopes"})
MAPPINGS: Final = frozenset({"contacts"})


def select(columns: tuple[str, ...], table: str) -> str:
    """The head of a query for whole records."""
    return f"SELECT {', '.join(columns)} FROM {table}"


def insert(columns: tuple[str, ...], table: str) -> str:
    """A statement that adds one record."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def upsert(columns: tuple[str, ...], table: str) -> str:
    """A statement that adds one record, or replaces the one of that id in its place."""
    return f"{insert(columns, table)} ON CONFLICT (id) DO UPDATE SET " + ", ".join(
        f"{c} = excluded.{c}" for c in columns
    )


def where(*conditions: tuple[str, object], head: str = "WHERE") -> tuple[str, list[object]]:
    """Those of the conditions whose value is given, and the values."""
    given = [(sql, value) for sql, value in conditions if value is not None]
    return f"{head} " * bool(given) + " AND ".join(sql for sql, _ in given), [value for _, value in given]


def collection(text: str | None) -> tuple[str, ...]:
    """The list of texts in a column."""
    return tuple(_parsed(text, list))


def _mapping(text: str | None) -> Mapping[str, str]:
    return MappingProxyType(_parsed(text, dict))


def _parsed(text: str | None, kind: type[_C]) -> _C:
    try:
        value = from_json(text) if text else kind()
    except ValueError as damage:
        raise StoreCorrupt(f"The store holds {text!r} where JSON should be; restore a backup.") from damage
    if not isinstance(value, kind):
        raise StoreCorrupt(f"The store holds {text!r} where a {kind.__name__} should be; restore a backup.")
    return value


def _row_maker(columns: tuple[str, ...]) -> Callable[[Any], Row]:
    values_of = attrgetter(*columns)
    collections = [place for place, column in enumerate(columns) if column in COLLECTIONS]

    def row(record: Any) -> Row:
        values = list(values_of(record))
        for place in collections:
            given = values[place]
            values[place] = to_json(dict(given) if isinstance(given, Mapping) else list(given)) if given else None
        return values

    return row if collections else values_of


execution_row = _row_maker(EXECUTION)
worker_row = _row_maker(WORKER)
approval_row = _row_maker(APPROVAL)
verdict_row = _row_maker(VERDICT)
person_row = _row_maker(PERSON)
delegation_row = _row_maker(DELEGATION)
notice_row = _row_maker(NOTICE)
credential_row = _row_maker(CREDENTIAL)


def execution_of(row: Row) -> ExecutionRecord:
    """The record in a row of EXECUTION columns."""
    facts = dict(zip(EXECUTION, row, strict=True))
    return ExecutionRecord(**{**facts, "status": _known(Status, facts["status"])})


def approval_of(row: Row) -> ApprovalRecord:
    """The record in a row of APPROVAL columns."""
    facts = _facts(APPROVAL, row)
    return ApprovalRecord(**{**facts, "status": _known(ApprovalStatus, facts["status"])})


def worker_of(row: Row) -> WorkerRecord:
    """The record in a row of WORKER columns."""
    return WorkerRecord(**_facts(WORKER, row))


def verdict_of(row: Row) -> VerdictRecord:
    """The record in a row of VERDICT columns."""
    return VerdictRecord(**_facts(VERDICT, row))


def message_of(row: Row) -> Message:
    """The record in a row of MESSAGE columns."""
    return Message(**_facts(MESSAGE, row))


def person_of(row: Row) -> PersonRecord:
    """The record in a row of PERSON columns."""
    return PersonRecord(**_facts(PERSON, row))


def delegation_of(row: Row) -> DelegationRecord:
    """The record in a row of DELEGATION columns."""
    facts = _facts(DELEGATION, row)
    return DelegationRecord(**{**facts, "is_away": bool(facts["is_away"])})


def notice_of(row: Row) -> NoticeRecord:
    """The record in a row of NOTICE columns."""
    facts = _facts(NOTICE, row)
    return NoticeRecord(**{**facts, "status": _known(NoticeStatus, facts["status"])})


def credential_of(row: Row) -> CredentialRecord:
    """The record in a row of CREDENTIAL columns."""
    return CredentialRecord(**_facts(CREDENTIAL, row))


def _facts(columns: tuple[str, ...], row: Row) -> dict[str, Any]:
    facts = dict(zip(columns, row, strict=True))
    for column in COLLECTIONS & facts.keys():
        facts[column] = _mapping(facts[column]) if column in MAPPINGS else collection(facts[column])
    return facts


def _known(kind: type[StatusT], value: str) -> StatusT:
    try:
        return kind(value)
    except ValueError as unknown:
        raise StoreCorrupt(f"The store holds a status {value!r} that does not exist; restore a backup.") from unknown

"""Stores that exist, and what is found in them by the beginning of its id."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from assent.clock import SystemClock
from assent.engine.local import LocalEngine
from assent.errors import ApprovalNotFound, ExecutionNotFound, StoreUnavailable, UsageError
from assent.store import ApprovalRecord, Event, ExecutionQuery, ExecutionRecord, Store
from assent.store.connection import MEMORY, location_of
from assent.store.sqlite import SqliteStore

DEFAULT_STORE = "sqlite:///assent.db"
PAGE = 5000
EVERYTHING = 2**62
# Of the ids that a beginning fits, so many are named.
SHOWN = 3

Record = TypeVar("Record", ExecutionRecord, ApprovalRecord)


def existing(url: str | None) -> str:
    """The path of a store that exists. Raises StoreUnavailable, so that a question never makes a file."""
    location = location_of(url or DEFAULT_STORE)
    if location == MEMORY:
        raise UsageError(
            f"{url!r} is a store in memory, which ends with its process. Name a file: --store {DEFAULT_STORE}"
        )
    path = Path(location)
    if not path.exists():
        raise StoreUnavailable(
            f"There is no store at {location!r}. Name another with --store or ASSENT_STORE, "
            f"or make this one with `assent run` or `assent worker`."
        )
    if path.is_file() and path.stat().st_size == 0:
        raise StoreUnavailable(f"The file {location!r} is empty, so it is no store yet. Name another with --store.")
    return location


@asynccontextmanager
async def opened(url: str | None) -> AsyncIterator[SqliteStore]:
    """The store, for looking and for leaving word. It takes no lease and drives nothing."""
    async with SqliteStore(existing(url)) as store:
        yield store


def engine_on(store: Store) -> LocalEngine:
    """An engine for questions and messages only: it is never entered, so it takes no lease and no work."""
    return LocalEngine(store, SystemClock())


async def find_execution(store: Store, id: str) -> ExecutionRecord:
    """The execution with that id, or the only one whose id begins so."""
    exact = await store.execution(id)
    if exact is not None:
        return exact
    found: list[ExecutionRecord] = []
    query = ExecutionQuery(limit=PAGE)
    while page := await store.executions(query):
        found += [record for record in page if id and record.id.startswith(id)]
        query = replace(query, before=page[-1].id)
    if not found:
        raise ExecutionNotFound(
            f"There is no execution {id!r} in this store. `assent executions` lists those that are.", execution_id=id
        )
    return _only(found, id, "executions")


async def find_approval(store: Store, id: str) -> ApprovalRecord:
    """The approval with that id, or the only one whose id begins so."""
    exact = await store.approval(id)
    if exact is not None:
        return exact
    everything = await store.approvals(limit=EVERYTHING)
    found = [record for record in everything if id and record.id.startswith(id)]
    if not found:
        raise ApprovalNotFound(
            f"There is no approval {id!r} in this store. `assent approvals` lists the open ones.", approval_id=id
        )
    return _only(found, id, "approvals")


def _only(found: Sequence[Record], id: str, what: str) -> Record:
    if len(found) == 1:
        return found[0]
    names = ", ".join(record.id for record in found[:SHOWN])
    rest = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise UsageError(f"{id!r} is the beginning of {len(found)} {what}: {names}{rest}. Give more of it.")


def ending_of(record: ExecutionRecord, events: Sequence[Event]) -> Event | None:
    """The event that tells how an execution ended; not always the last one, for late verdicts are journaled too."""
    kind = f"execution.{record.status.value}"
    return next((event for event in reversed(events) if record.status.is_final and event.type == kind), None)

"""Programs that run the workflows, for processes that are killed."""

from collections.abc import Awaitable, Callable
from typing import Any

from assent import Event, Handle, Runtime, Status, StoreUnavailable
from assent.store.sqlite import SqliteStore
from assent.testing import Ledger
from tests.crash import flows

RUN = "run"  # the id of the execution that a program starts
WATCHED = "watched"  # the ledger of what a watcher of the runtime was told


async def run(name: str, store: SqliteStore) -> Any:
    """Start the execution, or find it again; let the outside do its part; and wait for the result."""
    async with Runtime(store=store, workflows=[flows], watchers=[watch]) as runtime:
        flows.here["runtime"] = runtime
        handle = await runtime.start(getattr(flows, name), id=RUN)
        if name in OUTSIDE:
            await OUTSIDE[name](runtime, store)
        return await handle.result()


def watch(event: Event) -> None:
    Ledger(WATCHED).enter(f"{event.type} {event.op} {event.name} {event.attempt}", event.execution_id)


async def run_governed_blindly(store: SqliteStore) -> Any:
    """The result, or that it is in doubt."""
    async with Runtime(store=store, workflows=[flows], watchers=[watch]) as runtime:
        handle = await runtime.start(flows.governed_blindly, id=RUN)
        await runtime.engine.waiting(RUN)
        return Status.IN_DOUBT if await handle.status() is Status.IN_DOUBT else await handle.result()


async def resolve_governed_blindly(store: SqliteStore) -> Any:
    """Say of the transfer what the ledger says of it."""
    async with Runtime(store=store, workflows=[flows]) as runtime:
        handle = runtime.handle(RUN)
        is_done = any(entry.what == "x#1" for entry in Ledger(flows.EFFECTS).entries())
        await handle.resolve(done=is_done, result="x done" if is_done else None, by="ann@example.com")
        return await handle.result()


async def grant(runtime: Runtime, store: SqliteStore) -> None:
    await runtime.engine.waiting(RUN)
    for approval in await runtime.approvals():
        await runtime.decide(approval.id, approver="ann@example.com")


async def send_word(runtime: Runtime, store: SqliteStore) -> None:
    if not (await runtime.handle(RUN).status()).is_final and not await store.inbox(RUN):
        await runtime.handle(RUN).signal("word", "yes")


async def call_off(runtime: Runtime, store: SqliteStore) -> None:
    events = await runtime.handle(RUN).events()
    if any(event.type == "execution.cancelling" for event in events) or await store.inbox(RUN):
        return  # a second call would interrupt the tidying up
    await flows.hanging.wait()
    await runtime.handle(RUN).cancel("enough")


Outside = Callable[[Runtime, SqliteStore], Awaitable[None]]
OUTSIDE: dict[str, Outside] = {
    "approved": grant,
    "governed_with_approval": grant,
    "signalled": send_word,
    "cancelled": call_off,
}


# A store that fails in the middle


async def run_on_a_full_disk(store: SqliteStore) -> Any:
    """What the caller was told while the disk was full, and the result when there was space again."""
    async with Runtime(store=store, workflows=[flows], watchers=[watch]) as runtime:
        handle = await runtime.start(flows.on_a_full_disk, id=RUN)
        told = await failure_of(handle)
        durable = [event.type for event in await handle.events()]
        flows.limit_files(flows.NO_LIMIT)
        return [told, durable, await handle.result()]


async def failure_of(handle: Handle[Any]) -> str:
    try:
        return f"no failure but {await handle.result()!r}"
    except StoreUnavailable as error:
        return str(error)


async def run_under_a_ceiling(name: str, store: SqliteStore) -> Any:
    return await run(name, SqliteStore(store.location, max_bytes=400_000))

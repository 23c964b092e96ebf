"""`assent prune`: what ended long ago is written to an archive, and removed from the store."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from assent.cli.moments import past
from assent.cli.output import Screen, iso, local
from assent.cli.stored import EVERYTHING, engine_on, opened
from assent.errors import StoreUnavailable, UsageError
from assent.store import Forgotten, Store
from assent.store.retention import Family

# Families in one look for work. Each is a transaction of its own, so that nobody who writes waits for long.
BATCH = 200

Archive = Callable[[Sequence[dict[str, Any]]], None]


async def prune(
    screen: Screen, url: str | None, older_than: str, *, archive: str | None, dry_run: bool, as_json: bool
) -> None:
    """`assent prune`."""
    before = past(older_than, screen.now)
    if before > screen.now:
        raise UsageError(f"{older_than!r} is to come. Say how long ago, as in 90d, or a day that is over.")
    async with opened(url) as store:
        if dry_run:
            families = await _outdated(store, before, EVERYTHING)
            gone, credentials, values = Forgotten(executions=sum(map(len, families))), 0, 0
        else:
            gone = await _forget_all(store, before, archive)
            credentials, values = await store.prune_credentials(before), await store.sweep()
    if as_json:
        facts = {"before": iso(before), "dry_run": dry_run, **asdict(gone)}
        screen.json(facts if dry_run else facts | {"credentials": credentials, "large_values": values})
        return
    when = f"Executions that ended before {local(before):%Y-%m-%d %H:%M:%S}"
    if dry_run:
        screen.say(f"{when}: {gone.executions}. Nothing is removed.")
        return
    screen.say(f"{when}: {gone.executions} removed, with {gone.events} events and {gone.approvals} approvals.")
    if credentials or values:
        screen.say(f"Besides: {credentials} credentials that had expired by then, {values} large values.")


async def _outdated(store: Store, before: float, limit: int) -> list[Family]:
    """What may go. The last event stays: whoever has read up to it would never hear of another that got its number."""
    last = await store.events(after=await store.last_seq() - 1, limit=1)
    youngest = last[-1].execution_id if last else None
    return [family for family in await store.outdated(before, limit) if youngest not in family]


async def _forget_all(store: Store, before: float, archive: str | None) -> Forgotten:
    gone = Forgotten()
    with ExitStack() as open_files:
        keep = _archive_in(archive, open_files) if archive else None
        while families := await _outdated(store, before, BATCH):
            removed = [await _forget(store, family, before, keep) for family in families]
            if not any(removed):  # somebody else is at them, or they have gone on
                break
            gone = sum((each for each in removed if each), gone)
    return gone


async def _forget(store: Store, family: Sequence[str], before: float, keep: Archive | None) -> Forgotten | None:
    documents = [await _document(store, each) for each in family]
    if keep is not None:
        keep(documents)
    ends = {each["execution"]["id"]: _last_seq(each) for each in documents if each["execution"] is not None}
    return await store.forget(ends, before) if len(ends) == len(family) else None


async def _document(store: Store, id: str) -> dict[str, Any]:
    """All that is kept of an execution, as it stands in the store; large values are filled in."""
    record = await store.execution(id)
    approvals = await store.approvals(execution_id=id, limit=EVERYTHING)
    return {
        "execution": None if record is None else asdict(record),
        "events": [event._asdict() for event in await engine_on(store).events(id)] if record else [],
        "approvals": [
            asdict(each) | {"verdicts": [asdict(one) for one in await store.verdicts(each.id)]} for each in approvals
        ],
    }


def _last_seq(document: dict[str, Any]) -> int:
    return max((event["seq"] for event in document["events"]), default=0)


def _archive_in(name: str, open_files: ExitStack) -> Archive:
    """Adds to a file, for its owner alone. What it was given is on disk when it returns."""
    try:
        number = os.open(Path(name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"The archive {name!r} cannot be opened: {error}. Name another file.") from error
    file = open_files.enter_context(os.fdopen(number, "a", encoding="utf-8"))

    def keep(documents: Sequence[dict[str, Any]]) -> None:
        _write(file, documents, name)

    return keep


def _write(file: TextIO, documents: Sequence[dict[str, Any]], name: str) -> None:
    try:
        file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in documents)
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise StoreUnavailable(f"The archive {name!r} cannot be written: {error}. What is not in it stays.") from error

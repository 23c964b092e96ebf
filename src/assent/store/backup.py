"""Copies of a SQLite store, taken while others write to it."""

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from assent.errors import StoreCorrupt, StoreUnavailable, UsageError
from assent.store.connection import connect, translated

# Seconds to wait for another process that recovers a killed one's log. Those that write are never waited for.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a store, checked and on disk."""

    path: Path
    bytes: int
    executions: int
    last_event: int  # the `seq` of the newest event in it; everything up to there is in it, and nothing later


def back_up(location: str, target: Path) -> Copy:
    """Copy the store at `location` to a file that does not exist yet.

    The copy is the store at one moment, whatever is written meanwhile, and nobody who writes is kept waiting. It bears
    its name only once it was read back whole and is on disk. Its schema is that of the store: nothing is migrated.
    Only its owner can read it.
    """
    if target.exists():
        raise UsageError(
            f"{str(target)!r} exists already. Name another file, or a folder, in which each gets its name."
        )
    try:
        draft = _draft_beside(target)
        try:
            copy = _copied(location, draft, target)
            draft.rename(target)
        except BaseException:
            with suppress(FileNotFoundError):
                draft.unlink()
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise StoreUnavailable(
            f"{str(target)!r} cannot be written ({error}); check the folder and the disk."
        ) from error
    return copy


def _draft_beside(target: Path) -> Path:
    number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(number)
    return Path(name)


def _copied(location: str, draft: Path, target: Path) -> Copy:
    with (
        translated(location),
        closing(connect(location, "FULL", PATIENCE)) as source,
        closing(sqlite3.connect(draft, isolation_level=None)) as copy,
    ):
        # All pages in one step: it reads one snapshot of the log, where several would begin anew after each commit.
        source.backup(copy, pages=-1)
        # One file alone, and not one that expects a log beside it.
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        complaints = [row[0] for row in copy.execute("PRAGMA integrity_check")]
        if complaints != ["ok"]:
            raise StoreCorrupt(f"{location!r} is damaged, so is its copy: {'; '.join(complaints)}. Restore a backup.")
        (executions,) = copy.execute("SELECT count(*) FROM executions").fetchone()
        (last,) = copy.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    return Copy(target, draft.stat().st_size, executions, last)


def _sync_folder(folder: Path) -> None:
    """A new name is on disk only when its folder is."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

"""One SQLite file, open: how it is opened and closed, read, and watched for what others write.

All that is written passes through one `Writer`, all that is read through a second connection that is never in a
transaction for longer than one statement. A database in memory is private to its store and has one connection for both.
"""

import asyncio
import math
import sqlite3
import weakref
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

from assent.errors import AssentError, StoreCorrupt
from assent.store.connection import (
    BUSY,
    MEMORY,
    Synchronous,
    code_of,
    connect,
    location_of,
    migrate,
    set_ceiling,
    translate,
    translated,
)
from assent.store.writer import CrashPoint, Writer


class SqliteFile:
    """What the parts of the store have in common. Its settings are those of `SqliteStore`."""

    _reader: sqlite3.Connection
    _connection: sqlite3.Connection
    _writer: Writer
    _last_resort: "weakref.finalize[[Writer, sqlite3.Connection], SqliteFile]"

    def __init__(
        self,
        url: str | Path,
        *,
        synchronous: Synchronous = "FULL",
        patience: float = 30.0,
        loop_budget: float = 0.001,
        max_bytes: int | None = None,
        crash_point: CrashPoint | None = None,
    ) -> None:
        self.location = location_of(url)
        self._synchronous: Synchronous = synchronous
        self._patience = patience
        self._loop_budget = math.inf if self.location == MEMORY else loop_budget
        self._max_bytes = max_bytes
        self._crash_point = crash_point
        self._versions = [0, 0]  # last seen by the reader, by the writer
        self._has_word = False  # a decision made here has sent word to its execution

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                self._open()
                return self
            except sqlite3.Error as error:
                if code_of(error) not in BUSY or loop.time() > deadline:
                    raise translate(error, self.location) from error
            await asyncio.sleep(0.005)  # another process creates or migrates the file at this moment

    async def __aexit__(self, *exc: object) -> None:
        await self._writer.close()
        self._last_resort.detach()
        self._reader.close()

    def changed(self) -> bool:
        has_word, self._has_word = self._has_word, False
        if self._reader is self._connection:
            return has_word  # nobody else can reach it
        # The writer's connection does not count its own commits, but cannot be asked while a thread commits on it.
        place, asked = (0, self._reader) if self._writer.is_committing else (1, self._connection)
        with translated(self.location):
            version: int = asked.execute("PRAGMA data_version").fetchone()[0]
        before, self._versions[place] = self._versions[place], version
        return has_word or version != before

    def _word_was_sent(self, _error: AssentError | None) -> None:
        self._has_word = True

    async def check(self) -> list[str]:
        """What is wrong with the file, in SQLite's words; empty if nothing is. Reads all of it, on a thread."""
        if self.location == MEMORY:
            return _complaints(self._reader)
        return await asyncio.to_thread(self._check_file)

    def _check_file(self) -> list[str]:
        try:
            with translated(self.location), closing(connect(self.location, self._synchronous)) as connection:
                return _complaints(connection)
        except StoreCorrupt as damage:  # too much of it to count
            return [str(damage)]

    async def counts(self) -> Mapping[str, Mapping[str, int]]:
        """See `Store.counts`. On a thread, since it reads whole tables."""
        if self.location == MEMORY:
            return _counts(self._reader)
        return await asyncio.to_thread(self._counts_of_file)

    def _counts_of_file(self) -> Mapping[str, Mapping[str, int]]:
        with translated(self.location), closing(connect(self.location, self._synchronous)) as connection:
            return _counts(connection)

    def _open(self) -> None:
        with ExitStack() as opened:
            self._connection = opened.enter_context(closing(connect(self.location, self._synchronous)))
            migrate(self._connection)
            self._reader = self._connection
            if self.location != MEMORY:
                # Readers wait for nobody in this mode, except while a killed process's log is recovered.
                self._reader = opened.enter_context(closing(connect(self.location, self._synchronous, timeout=1.0)))
            if self._max_bytes is not None:
                set_ceiling(self._connection, self._max_bytes)
            self._writer = Writer(
                self._connection,
                self.location,
                patience=self._patience,
                loop_budget=self._loop_budget,
                crash_point=self._crash_point,
            )
            self.changed()
            self._last_resort = weakref.finalize(self, _abandon, self._writer, self._reader)
            opened.pop_all()

    def _read(self, sql: str, *values: object, **named: object) -> list[Any]:
        with translated(self.location):
            return self._reader.execute(sql, named or values).fetchall()


def _abandon(writer: Writer, reader: sqlite3.Connection) -> None:
    """Close what nobody has closed."""
    writer.drain()
    if reader is not writer.connection:
        reader.close()


def _counts(connection: sqlite3.Connection) -> Mapping[str, Mapping[str, int]]:
    tables = ("executions", "approvals", "notices")
    return {
        table: dict(connection.execute(f"SELECT status, count(*) FROM {table} GROUP BY status").fetchall())  # noqa: S608 - our own words
        for table in tables
    }


def _complaints(connection: sqlite3.Connection) -> list[str]:
    found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    strays = [f"{row[0]} row {row[1]} refers to nothing" for row in connection.execute("PRAGMA foreign_key_check")]
    return [complaint for complaint in found if complaint != "ok"] + strays

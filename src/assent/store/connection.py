"""SQLite files: where they are, how they are opened, which schema they bear, and what their errors mean."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from assent.codec import digest
from assent.errors import StoreCorrupt, StoreError, StoreUnavailable, StoreVersion, UsageError

Synchronous = Literal["OFF", "NORMAL", "FULL", "EXTRA"]
SYNCHRONOUS: tuple[str, ...] = get_args(Synchronous)  # by the number that SQLite gives them

MEMORY = ":memory:"
APPLICATION_ID = 0x41534E54  # "ASNT": four bytes in the file's header by which we know our own
# A file of version n is one to which the first n of these were applied. Released ones never change.
STEPS = ("schema.sql", "schema_2.sql")
SCHEMA_VERSION = len(STEPS)
OLDEST_SQLITE = (3, 38, 0)  # the first with `->>`

# Primary result codes, see https://www.sqlite.org/rescode.html
BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# A statement that fails with one of these says nothing about the statement: the storage itself has failed.
STORAGE = (
    BUSY
    | DAMAGED
    | {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    }
)


def location_of(url: str | Path) -> str:
    """The path in `sqlite:///file.db` (relative), `sqlite:////file.db` (absolute) or a plain path; MEMORY for none."""
    text = str(url)
    scheme, found, rest = text.partition("://")
    if not found:
        return text or MEMORY
    if scheme != "sqlite" or (rest and not rest.startswith("/")):
        raise UsageError(
            f"{text!r} names no SQLite store; write sqlite:///file.db, sqlite:////absolute/file.db or sqlite://"
        )
    return rest[1:] or MEMORY


def connect(location: str, synchronous: Synchronous, timeout: float = 0.0) -> sqlite3.Connection:
    """A connection with our settings, each of them checked; it may be handed from thread to thread."""
    connection = sqlite3.connect(location, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        _check_kind(connection, location)
        _configure(connection, location, synchronous)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to this version, in one transaction; a process that comes second finds it done."""
    if _number(connection, "user_version") == SCHEMA_VERSION:
        return
    # A table to which others refer is made anew by dropping it. The switch does nothing within a transaction.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        connection.execute("BEGIN IMMEDIATE")
        for step in STEPS[_number(connection, "user_version") :]:
            for statement in _statements((files("assent.store") / step).read_text("utf-8")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def set_ceiling(connection: sqlite3.Connection, size: int) -> None:
    """Let the file grow to `size` bytes and no further."""
    connection.execute(f"PRAGMA max_page_count = {size // _number(connection, 'page_size')}")


def roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction, if SQLite has not ended it by itself already."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


@contextmanager
def translated(location: str) -> Iterator[None]:
    """SQLite's errors leave the room as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, location) from error


def code_of(error: Exception) -> int | None:
    """The primary result code of an error from SQLite; None if it comes from elsewhere."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def translate(error: Exception, location: str) -> StoreError:
    """What an error of SQLite means for whoever uses the store, and what to do."""
    failure = _meaning(error, location)
    failure.__cause__ = error
    return failure


def _meaning(error: Exception, location: str) -> StoreError:
    code = code_of(error)
    if code in DAMAGED or "decode to UTF-8" in str(error):
        return StoreCorrupt(
            f"{location!r} is damaged or no SQLite file ({error}); "
            f"run `assent doctor`, and restore a backup if it agrees."
        )
    if code in BUSY:
        return StoreUnavailable(
            f"{location!r} is locked by another process ({error}); "
            f"find the one that keeps a transaction open, for example with `fuser`, and end it."
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"{location!r} cannot grow ({error}); free some space. Nothing acknowledged is lost.")
    if code in STORAGE:
        return StoreUnavailable(f"{location!r} cannot be used ({error}); {_obstacle(Path(location))}.")
    return StoreError(f"{location!r} refuses a statement: {error}; this is a fault in the caller or in Assent.")


def _obstacle(path: Path) -> str:
    if path.is_dir():
        return "it is a folder, name a file in it"
    if not path.parent.is_dir():
        return f"create the folder {str(path.parent)!r} first"
    return "check the permissions of the file and its folder, and the disk"


def _check_kind(connection: sqlite3.Connection, location: str) -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreUnavailable(f"SQLite {sqlite3.sqlite_version} is too old; use a Python built with 3.38 or newer.")
    connection.execute("BEGIN")  # one snapshot: another process may create the schema at this moment
    theirs, version = _number(connection, "application_id"), _number(connection, "user_version")
    is_empty = _number(connection, "schema_version") == 0
    connection.execute("COMMIT")
    if theirs != APPLICATION_ID and (theirs or version or not is_empty):
        raise StoreCorrupt(f"{location!r} is a database of another program, not an Assent store; name another file.")
    if version > SCHEMA_VERSION:
        raise StoreVersion(
            f"{location!r} has schema version {version}, this Assent knows {SCHEMA_VERSION}; "
            f"upgrade Assent, or name another file."
        )


def _configure(connection: sqlite3.Connection, location: str, synchronous: Synchronous) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != ("memory" if location == MEMORY else "wal"):
        raise StoreUnavailable(
            f"{location!r} cannot use write-ahead logging (it stays {mode!r}); put it on a local disk."
        )
    # SQLite's own `lower` knows the plain letters only.
    connection.create_function("casefold", 1, str.casefold, deterministic=True)
    connection.create_function("sha256", 1, digest, deterministic=True)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is erased must not linger in free pages
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -16384")  # 16 MB: keeps the index of a busy day's journal in memory
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    if SYNCHRONOUS[_number(connection, "synchronous")] != synchronous:
        raise UsageError(f"{synchronous!r} is none of SQLite's {', '.join(SYNCHRONOUS)}.")
    if (_number(connection, "foreign_keys"), _number(connection, "secure_delete")) != (1, 1):
        raise StoreUnavailable("This SQLite was built without foreign keys or secure delete; use another Python.")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    # `executescript` commits the open transaction first, which would let another process in between two steps.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""

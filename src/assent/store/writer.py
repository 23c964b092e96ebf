"""The one writer of a process: what arrives in one turn of the event loop is one transaction.

Where the time goes decides how it is written. Rows are memory work of about ten microseconds each; COMMIT waits for
the disk, and that differs by machine from 0.1 to 10 ms. So rows are always written on the event loop: handing them to a
thread would cost two changes of the interpreter lock for each statement and save nothing. COMMIT alone may go to a
thread, and while it is there the next group gathers.

Measured with one caller, with 200 callers at once, and how late a timer of 1 ms fires meanwhile (median, 99 %):

    one sync     COMMIT on the loop                             COMMIT on a thread
    0.15 ms      3,800/s  88,600/s   late by 5.0 and  8.4 ms    3,000/s  80,500/s   late by 0.2 and 2.5 ms
    + 1 ms         670/s  49,200/s           7.8 and 13.8 ms      700/s  55,500/s           0.2 and 2.0 ms
    + 5 ms         180/s  22,200/s          20.4 and 33.6 ms      180/s  22,200/s           0.1 and 2.3 ms

(The added milliseconds are a sleep before every `fdatasync` of the process.) A thread makes nothing faster: it costs a
quarter of the speed of a lone caller on a fast disk, and it keeps the loop alive when commits are slow. Hence the rule:
on the loop while a COMMIT takes less than `loop_budget` seconds, as a moving average; on a thread otherwise.

Another process that writes at the moment makes BEGIN fail at once. The group is then tried again a little later by a
timer of the loop, together with what has come since; the loop itself never waits for a lock.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from itertools import chain
from typing import Any, TypeVar

from assent.errors import AssentError, LeaseLost, StoreUnavailable
from assent.store.connection import BUSY, STORAGE, code_of, roll_back, translate
from assent.store.receipt import Receipt
from assent.store.records import Event
from assent.store.rows import ADD_EVENT, ADD_EVENTS, MANY

T = TypeVar("T")
CrashPoint = Callable[[str, int], None]

# Seconds for which a lock is tried again and again before the loop gets its turn: as long as a short transaction of
# another process. One that commits without a pause leaves gaps of a few microseconds, which single tries seldom hit.
INSISTENCE = 0.0003

# What a statement raises for values that SQLite cannot take; it concerns one piece of work and not the storage.
UNFIT = (sqlite3.Error, ArithmeticError, AttributeError, TypeError, ValueError)


class Transaction:
    """One open transaction. Statements run at once; events are gathered and written together, in order, at its end."""

    __slots__ = ("_leases", "events", "execute", "executemany")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.events: list[Event] = []
        self._leases: set[str] = set()

    def fence(self, owner: str) -> None:
        """Raise LeaseLost unless the owner's lease is there. Looked up once for each owner."""
        if owner in self._leases:
            return
        if self.execute("SELECT 1 FROM workers WHERE id = ?", (owner,)).fetchone() is None:
            raise LeaseLost(f"Worker {owner!r} has lost its lease and wrote nothing; others drive its executions now.")
        self._leases.add(owner)

    def forget_leases(self) -> None:
        """To be called by whatever ends leases."""
        self._leases.clear()

    def write_events(self) -> None:
        full = len(self.events) - len(self.events) % MANY
        for start in range(0, full, MANY):
            self.execute(ADD_EVENTS, list(chain.from_iterable(self.events[start : start + MANY])))
        self.executemany(ADD_EVENT, self.events[full:])


Work = Callable[..., T]
"""Called with its arguments, and after them the transaction."""


class Piece(Receipt[T]):
    """Work that waits for its transaction, what came of it there, and the word of it."""

    __slots__ = ("args", "outcome", "work")

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Work[T], args: tuple[Any, ...]) -> None:
        super().__init__(loop)
        self.work = work
        self.args = args
        self.outcome: Any = None


_Group = deque[Piece[Any]]


class Writer:
    """Groups pieces of work into transactions.

    A piece of work is a function of the transaction. It raises an AssentError before its first statement that writes,
    or not at all; it may be run again if the transaction has to be repeated.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        location: str,
        *,
        patience: float,
        loop_budget: float,
        crash_point: CrashPoint | None,
    ) -> None:
        self.connection = connection
        self._location = location
        self._patience = patience
        self._loop_budget = loop_budget
        self._crash_point = crash_point
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._thread = ThreadPoolExecutor(1, "assent-commit")
        self._waiting: _Group = deque()
        self._scheduled = False
        self._has_begun = False
        self._closed = False
        self._locked_since: float | None = None
        self._tries = 0
        self._commits = 0
        self._cost = 0.0
        self.is_committing = False

    def put(self, work: Work[T], *args: Any) -> Receipt[T]:
        """Have `work` done in the next transaction. Order is kept."""
        piece = Piece(self._loop, work, args)
        if self._closed:
            piece.settle(StoreUnavailable("The store is closed; open it with `async with`."))
            return piece
        self._waiting.append(piece)
        if not self._scheduled:
            self._schedule()
        return piece

    def _schedule(self) -> None:
        # In the context in which the store was opened, not of whoever happens to write first.
        self._scheduled = True
        self._loop.call_soon(self._flush, context=self._context)

    async def close(self) -> None:
        """Write what waits, then refuse more."""
        while self._scheduled:
            await asyncio.gather(self.put(_nothing), return_exceptions=True)
        self._end()

    def drain(self) -> None:
        """Write what still waits on this thread and end, because the event loop is gone; nobody waits for word."""
        if self._closed or self._loop.is_running():
            return
        self._thread.shutdown()
        group, self._waiting = self._waiting, deque()
        try:
            if group:
                self.connection.execute(f"PRAGMA busy_timeout = {int(self._patience * 1000)}")
                self._perform(group)
                self._commit()
        finally:
            self._end()

    def _end(self) -> None:
        self._closed = True
        self._thread.shutdown()
        self.connection.close()

    def _flush(self) -> None:
        group, self._waiting = self._waiting, deque()
        try:
            is_written = self._write(group)
        except sqlite3.Error as error:
            self._fail(group, error)
        except BaseException:  # Ctrl-C; the loop may run on for a while, and nobody shall wait in vain
            self._take_up_again(group)
            raise
        else:
            if is_written:
                self._settle(group)

    def _write(self, group: _Group) -> bool:
        """Have a group written. False: its COMMIT is left to a thread, which tells of it."""
        before = self.connection.total_changes
        self._perform(group)
        if self.connection.total_changes == before:  # only refusals and questions: nothing to put on disk
            roll_back(self.connection)
        elif self._cost < self._loop_budget:
            self._commit()
        else:
            self.is_committing = True
            self._thread.submit(self._commit_aside, group)
        return not self.is_committing

    def _take_up_again(self, group: _Group) -> None:
        """Go on, in another turn, with a group in whose midst the process was told to end."""
        if self.is_committing:
            return
        if self._has_begun and not self.connection.in_transaction:  # so it is on disk
            self._loop.call_soon(self._settle, group, context=self._context)
            return
        roll_back(self.connection)
        self._waiting.extendleft(reversed(group))
        self._schedule()

    def _perform(self, group: _Group) -> None:
        self._begin()
        try:
            self._together(group)
            return
        except UNFIT as error:
            if code_of(error) in STORAGE:
                raise
        # One of them is unfit. The transaction is repeated with each on its own, so that only that one fails.
        self._begin()
        for piece in group:
            self._alone(piece)

    def _begin(self) -> None:
        self._has_begun = False
        roll_back(self.connection)
        end = self._loop.time() + INSISTENCE
        while not self._has_begun:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                self._has_begun = True
            except sqlite3.Error as error:
                if code_of(error) not in BUSY or self._loop.time() > end:
                    raise

    def _together(self, group: _Group) -> None:
        transaction = Transaction(self.connection)
        for piece in group:
            try:
                piece.outcome = piece.work(*piece.args, transaction)
            except AssentError as refusal:
                piece.outcome = refusal
        transaction.write_events()

    def _alone(self, piece: Piece[Any]) -> None:
        self.connection.execute("SAVEPOINT one")
        transaction = Transaction(self.connection)
        try:
            piece.outcome = piece.work(*piece.args, transaction)
            transaction.write_events()
        except AssentError as refusal:
            piece.outcome = refusal
        except UNFIT as error:
            if code_of(error) in STORAGE:
                raise
            self.connection.execute("ROLLBACK TO one")
            piece.outcome = translate(error, self._location)
        self.connection.execute("RELEASE one")

    def _commit(self) -> None:
        self._commits += 1
        if self._crash_point is not None:
            self._crash_point("before commit", self._commits)
        start = self._loop.time()
        self.connection.execute("COMMIT")
        self._cost += (self._loop.time() - start - self._cost) / 16
        if self._crash_point is not None:
            self._crash_point("after commit", self._commits)

    def _commit_aside(self, group: _Group) -> None:
        try:
            self._commit()
        except sqlite3.Error as error:
            self._tell(self._fail, group, error)
        else:
            self._tell(self._settle, group)

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits for word
            self._loop.call_soon_threadsafe(call, *args, context=self._context)

    def _settle(self, group: _Group) -> None:
        """Tell whoever waits, each as if it were a callback of its own; then go on."""
        self._locked_since, self._tries = None, 0
        while group:
            # What was written is let go one by one: what follows from it takes its place in memory.
            piece = group.popleft()
            piece.args = ()
            try:
                piece.settle(piece.outcome)
            except Exception as error:  # noqa: BLE001 - told to the loop, as it would tell of its own callbacks
                facts = {"message": "Exception in what follows a commit", "exception": error}
                self._loop.call_exception_handler(facts)
                group.appendleft(piece)  # there may be others who are told of it
            except BaseException:  # as above
                group.appendleft(piece)
                self._loop.call_soon(self._settle, group, context=self._context)
                raise
        self._go_on()

    def _fail(self, group: _Group, error: sqlite3.Error) -> None:
        with suppress(sqlite3.Error):  # then the next transaction meets the same trouble, and says so
            roll_back(self.connection)
        if code_of(error) in BUSY and self._may_wait():
            self._waiting.extendleft(reversed(group))
            self.is_committing = False
            self._loop.call_later(self._delay(), self._flush, context=self._context)
            return
        for piece in group:
            piece.outcome = translate(error, self._location)
        self._settle(group)

    def _go_on(self) -> None:
        self.is_committing = False
        self._scheduled = False
        if self._waiting:
            self._schedule()

    def _may_wait(self) -> bool:
        if self._locked_since is None:
            self._locked_since = self._loop.time()
        return self._loop.time() - self._locked_since < self._patience

    def _delay(self) -> float:
        # Between 0.5 and 5 ms, spread by the golden ratio from a start of our own: no two writers keep step.
        self._tries += 1
        return 0.0005 + 0.0045 * ((id(self) / 4096 + self._tries * 0.6180339887) % 1)


def _nothing(transaction: Transaction) -> None:
    """Work that does nothing: whoever waits for it waits for all that came before."""

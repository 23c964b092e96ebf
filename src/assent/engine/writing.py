"""Writing the journal of one execution, and handing each completion back only after it is durable."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from functools import partial
from typing import Any, Protocol

from assent.clock import Clock
from assent.codec import to_json
from assent.engine.hooks import Hooks, Watcher
from assent.engine.ops import Note
from assent.engine.texts import as_read_back
from assent.errors import AssentError, PermitRefused
from assent.store import ApprovalRecord, Change, Commit, Event, Receipt, Status, Store

Action = Callable[[], None]


class Desk(Protocol):
    """What all that drives an execution is given by the engine."""

    @property
    def store(self) -> Store: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def hooks(self) -> Hooks: ...

    @property
    def check_replay(self) -> bool: ...

    def surroundings(self) -> Context:
        """A copy of the context in which the engine was opened. What is done for an execution is done in one."""
        ...

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """Start a task in such surroundings, and not in those of whoever happens to be running."""
        ...

    def holds_lease(self) -> bool:
        """Whether the lease surely still holds, by this process's own clock."""
        ...

    def once_held(self, action: Action) -> None:
        """Renew the lease, and act when it surely holds again; never, if it is lost."""
        ...


class Pen:
    """Writes for one execution, in the name of the lease under which it was claimed.

    What is noted, consumed or asked goes into the journal with whatever is written next. `complete` hands over a
    completion and runs the workflow code; `go_on` sees to what it asked for; `failed` is told of a commit that failed.

    A completion that only code of our own sees is handed over at once, and journaled with what it leads to: the intent
    of an effect, the end. Until then the pen `is_ahead` of the store, and nothing may happen.
    """

    def __init__(
        self,
        desk: Desk,
        execution_id: str,
        owner: str,
        *,
        deliver: Callable[..., None],
        go_on: Action,
        failed: Callable[[Exception], None],
    ) -> None:
        self.id = execution_id
        self.journal: list[Event] | None = None  # what is durable, kept only for the replay check
        self.in_flight = 0  # commits under way
        self.is_ahead = False  # workflow code knows of a completion that the store does not
        self.is_closed = False
        self.approvals: list[ApprovalRecord] = []  # to be opened with the next commit: people are asked
        self.now = desk.clock.now
        self.last_commit: Receipt[None] | None = None
        self.followers: Sequence[Watcher] = ()  # who watch this execution alone
        self._desk = desk
        self._surrounded: Callable[..., Any] = desk.surroundings().run
        self._owner = owner
        self._deliver = deliver
        self._go_on = go_on
        self._failed = failed
        self._noted: list[Event] = []
        self._consumed: list[int] = []
        self._goes_on = False

    # With the next commit.

    def note(
        self,
        type: str,
        *,
        op: int | None = None,
        name: str | None = None,
        facts: Any = None,
        text: str | None = None,
    ) -> None:
        """Journal an event. `facts`: JSON data; `text`: the same as JSON."""
        value = text if facts is None else to_json(facts)
        self._noted.append(Event(self.id, type, self.now(), op, name, value=value))

    def note_all(self, op: int, notes: Iterable[Note]) -> None:
        self._noted += self.events_of(op, notes, self.now())

    def events_of(self, op: int, notes: Iterable[Note], at: float) -> list[Event]:
        return [Event(self.id, note.type, at, op, note.name, value=note.value) for note in notes]

    def consume(self, seq: int) -> None:
        """Take a message out of the inbox."""
        self._consumed.append(seq)

    def ask(self, approvals: Sequence[ApprovalRecord]) -> None:
        """Open approvals."""
        self.approvals += approvals

    def resume(self, worker: str) -> None:
        """It is running again, after the store has been told that it waits."""
        self._goes_on = True
        self.note("execution.resumed", facts={"worker": worker})

    # Now.

    def commit(self, *events: Event) -> Commit:
        """A commit with these events, to be filled in and written."""
        return Commit(execution_id=self.id, events=[*events])

    def complete(self, commit: Commit, completion: Callable[..., None], *args: Any) -> None:
        """Journal a completion, and hand it to workflow code when that is durable."""
        self.write(commit, partial(self._deliver, completion, *args))

    def lead(self, commit: Commit, completion: Callable[..., None], *args: Any) -> None:
        """Hand a completion over, and journal it with what it leads to. Not beside a commit that is under way."""
        self._noted += commit.events
        self.is_ahead = True
        self._deliver(completion, *args)

    def tell(self) -> None:
        """Write what has been noted, and go on when that is durable."""
        self.write(self.commit(), self._go_on)

    def flush(self) -> None:
        """Write what has been noted, if anything."""
        if self._noted or self._consumed or self.approvals:
            self.write(self.commit())

    def write(
        self,
        commit: Commit,
        then: Action | None = None,
        refused: Callable[[PermitRefused], None] | None = None,
    ) -> None:
        """Write a commit, with what has been noted, then act. `refused`: what to do if its permit is."""
        noted: Sequence[Event] = ()
        if self._noted:
            noted, self._noted = self._noted, []
            commit.events[:0] = noted
        if self._consumed:
            commit.consumed, self._consumed = self._consumed, []
        if self.approvals:
            approvals, self.approvals = self.approvals, []
            if not commit.withdraws:  # an execution that ends asks nobody any more
                commit.approvals = approvals
        if self._goes_on:
            self._goes_on = False
            commit.change = commit.change or Change(status=Status.RUNNING)
        self.in_flight += 1
        self.last_commit = self._desk.store.append(self._owner, commit)
        self.last_commit.then(partial(self._surrounded, self._written, commit, noted, then, refused))

    def _written(
        self,
        commit: Commit,
        noted: Sequence[Event],
        then: Action | None,
        refused: Callable[[PermitRefused], None] | None,
        error: AssentError | None,
    ) -> None:
        self.in_flight -= 1
        if error is None and (self._desk.hooks.watchers or self.followers):
            self._desk.hooks.seen(commit.events, self.followers)
        if self.is_closed:
            return
        if error is None:
            self.is_ahead = False
            if self.journal is not None:
                self.journal += as_read_back(commit)
            if then is not None:
                then()
        elif refused is not None and isinstance(error, PermitRefused):
            self._take_back(commit, noted)
            refused(error)
        else:
            self._failed(error)

    def _take_back(self, commit: Commit, noted: Sequence[Event]) -> None:
        """What went along with a refused permit is still to be written."""
        self._noted[:0] = noted
        self._consumed[:0] = commit.consumed
        self.approvals[:0] = commit.approvals
        self._goes_on = self._goes_on or commit.change is not None

    def close(self) -> None:
        """Act on no commit any more, and let go of whoever would: cycles have to wait for the collector."""
        self.is_closed = True
        self._deliver = self._go_on = self._failed = _ignore


def _ignore(*_: object) -> None:
    """What is done about a commit when nobody waits for it any more."""

"""Driving one execution on a store: every completion is journaled first and handed to workflow code afterwards.

Only what nobody but our own code sees of it (the outcome of an inner step) may be handed over first. It is then
journaled with what it leads to, and nothing of that happens before.

All methods run as plain callbacks of the real loop, because workflow code may not be entered from inside a task.
A drive has four ways to end: the execution is finished, it only waits and is parked in the store, its code and journal
disagree, or the store failed. In the last case memory is thrown away and the execution read again, as after a crash.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from assent.codec import to_json
from assent.engine.attempts import Attempts
from assent.engine.ending import Ending, ending_of, failed
from assent.engine.engine import Program
from assent.engine.execution import LiveExecution
from assent.engine.hooks import Watcher
from assent.engine.letters import Letters
from assent.engine.ops import Op, SignalOp, StepOp
from assent.engine.replay import History, compare, read
from assent.engine.reviving import arguments_of, has_to_wait, revived, stalled, waits_of
from assent.engine.texts import Blobs
from assent.engine.writing import Action, Desk, Pen
from assent.errors import NonDeterminism, StateNotCaptured
from assent.store import Change, Event, ExecutionRecord, Message, Status

# A timer that is due this soon (seconds) is waited for in memory: parking costs a commit and a replay.
SOON = 0.2


class Host(Desk, Protocol):
    """The engine, as a drive sees it: it is told how each drive fares."""

    def ended(self, drive: "Drive", ending: Ending) -> None: ...

    def waits(self, drive: "Drive") -> None: ...

    def parked(self, drive: "Drive", due: float) -> None: ...

    def stuck(self, drive: "Drive", error: Exception) -> None: ...

    def broken(self, drive: "Drive", error: Exception) -> None: ...


class Drive:
    """One execution at work in this process."""

    _live: LiveExecution | None = None
    _attempts: Attempts
    _letters: Letters

    def __init__(self, host: Host, record: ExecutionRecord, program: Program, *, attended: int = 0) -> None:
        assert record.owner is not None
        self.id = record.id
        self.record = record
        self.owner = record.owner  # the lease under which it was claimed; under a later one others may drive it
        self.attended = attended  # callers in this process that wait for it
        self.last_event: Event | None = None  # of the journal that it began with
        self.seen = 0  # the highest number of a message that it knows of
        self.waits = "[]"  # JSON: for what, as the store has last been told
        self._host = host
        self._program = program
        self._given: Mapping[str, Any] | None = None
        self._bound: Mapping[str, Any] = {}
        self._early: list[Message] = []  # came before it began
        self._opened: set[int] = set()  # waits and timers whose opening is journaled
        self._has_approvals = False
        self._suspension: tuple[Any, ...] | None = None  # what the store has been told that it waits for
        self._is_deciding = False  # the commit of what workflow code has decided is under way
        self._is_leaving = False  # the commit that ends or parks it is under way
        self._alarm: asyncio.TimerHandle | None = None
        self._pen = Pen(
            host, self.id, self.owner, deliver=self._deliver, go_on=self._go_on, failed=partial(host.broken, self)
        )

    # Beginning.

    def begin(
        self,
        events: Sequence[Event],
        letters: Sequence[Message],
        given: Mapping[str, Any] | None,
        has_sealed: bool = False,
    ) -> None:
        """Replay the journal and go on from there. `given`: arguments that only this process has."""
        if self._pen.is_closed:
            return
        arrived = [*letters, *self._early]
        self.last_event = events[-1]
        self._pen.followers = self._host.hooks.following(self.record, events)
        self.seen = max((letter.seq for letter in arrived), default=0)
        self._given = given
        history = read(events)
        try:
            self._bound = arguments_of(self.record, self._program, given)
            live = self._live = revived(self.record, self._program, self._bound, history)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one journal must not disturb the others
            self._host.stuck(self, error)
            return
        if self._host.check_replay:
            self._pen.journal = list(events)
        if self.last_event.type != "execution.started":
            self._pen.resume(self.owner)
        self._opened = history.opened
        self._has_approvals = history.has_approvals
        self._attempts = Attempts(self._host, self._pen, live)
        self._attempts.has_sealed = has_sealed
        self._letters = Letters(self._pen, live, self._attempts, arrived)
        if live.has_said:
            self._once_decided(live, partial(self._reopen, live, history))
        else:
            self._reopen(live, history)

    def _reopen(self, live: LiveExecution, history: History) -> None:
        for op in live.take_opened():
            if isinstance(op, StepOp) and op.index in live.steps:
                self._attempts.reopen(op, history)
            elif isinstance(op, SignalOp) and op.index not in self._opened:
                self._letters.open(op)
        self._go_on()

    # Going on.

    def _deliver(self, completion: Callable[..., None], *args: Any) -> None:
        live = self._live
        assert live is not None
        completion(*args)
        live.advance()
        self._go_on()

    def _go_on(self) -> None:
        """After workflow code has run until everything in it waits: see to what it asked for."""
        live = self._live
        if live is None or self._is_leaving or self._is_deciding:
            return
        if live.has_said:
            self._once_decided(live, partial(self._see_to, live))
        else:
            self._see_to(live)

    def _see_to(self, live: LiveExecution) -> None:
        for op in live.take_opened():
            self._open(op)
        for cancelled in live.take_cancelling():
            self._attempts.cancel(cancelled)
        if live.done:
            self._finish(live, ending_of(live, self._program, self._bound))
            return
        self._look_around(live)
        if self._pen.is_ahead:
            self._pen.flush()
        elif self._pen.journal is not None and not self._is_leaving:
            self._check_replay(live, self._pen.journal)

    def _once_decided(self, live: LiveExecution, then: Action) -> None:
        """Act, with what led to it in the journal: before it what was noted, and durable what was decided."""
        patches, marks = live.take_said()
        for name in patches:
            self._pen.note("execution.patched", name=name)
        for mark in marks:
            kind = "execution.decided" if mark.is_decision else "execution.noted"
            self._pen.note(kind, name=mark.name, text=mark.value)
            self._is_deciding = self._is_deciding or mark.is_decision
        if self._is_deciding:
            self._pen.write(self._pen.commit(), partial(self._decided, live, then))
        else:
            then()

    def _decided(self, live: LiveExecution, then: Action) -> None:
        self._is_deciding = False
        self._once_decided(live, then)

    def _open(self, op: Op) -> None:
        if isinstance(op, StepOp):
            self._attempts.begin(op)
        elif isinstance(op, SignalOp):
            self._letters.open(op)
            self._has_approvals = self._has_approvals or bool(op.approvals)

    def _look_around(self, live: LiveExecution) -> None:
        attempts, pen = self._attempts, self._pen
        if not attempts.is_closing:
            if self._letters.waiting:
                self._letters.serve()
            if live.due:
                self._set_alarm(live)
        if not attempts.running and not pen.in_flight:
            self._suspend(live)
        elif pen.approvals:
            pen.flush()

    def _check_replay(self, live: LiveExecution, journal: Sequence[Event]) -> None:
        """Replay what is durable so far, and compare with where the living execution stands."""
        try:
            replayed = revived(self.record, self._program, self._bound, read(journal))
        except NonDeterminism as error:
            self._host.stuck(self, error)
            return
        except StateNotCaptured:
            return  # nothing is kept that could be replayed
        try:
            compare(live, replayed)
        except NonDeterminism as error:
            self._host.stuck(self, error)
        finally:
            replayed.discard()

    # Messages.

    def receive(self, message: Message) -> None:
        """Take a message that came while the execution is in memory."""
        if self._live is None:
            self._early.append(message)
        elif not (self._is_leaving or self._pen.is_closed or message.seq <= self.seen):
            self.seen = message.seq
            self._letters.add(message)
            self._wake()
            self._go_on()

    def _wake(self) -> None:
        if self._suspension is not None:
            self._suspension = None
            self._pen.resume(self.owner)

    # Timers.

    def _set_alarm(self, live: LiveExecution) -> None:
        timer = live.next_timer()
        if timer is None or timer.due == math.inf:
            return
        delay = max(0.0, timer.due - self._host.clock.now())
        loop = asyncio.get_running_loop()
        if self._alarm is not None:
            # An alarm for a timer that was cancelled meanwhile may ring; it then finds the next one.
            if self._alarm.when() <= loop.time() + delay:
                return
            self._alarm.cancel()
        self._alarm = loop.call_later(delay, self._ring, live)

    def _clear_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self, live: LiveExecution) -> None:
        self._alarm = None
        now = self._host.clock.now()
        due = live.take_due(now)
        if due:
            self._wake()
        for timer in due:
            event = Event(self.id, "timer.fired", now, timer.index)
            self._pen.complete(self._pen.commit(event), live.fire, timer.index, now)
        self._set_alarm(live)

    # Waiting.

    def _suspend(self, live: LiveExecution) -> None:
        """Everything waits for something outside: say so in the store, and leave memory unless a caller waits here."""
        if len(live.steps) > len(self._attempts.doubts):
            return
        if live.is_stalled:
            self._finish(live, failed(stalled(self.record)))
            return
        timer = live.next_timer()
        due = timer.due if timer else math.inf
        now = self._host.clock.now()
        if due - now < SOON and not self._pen.approvals:
            return
        is_attended = self.attended > 0
        if self._given is not None and not (is_attended or self._attempts.doubts):
            self._finish(live, failed(has_to_wait(self.record)))
            return
        state = (tuple(live.signals), tuple(live.timers), tuple(self._attempts.doubts), is_attended)
        if state != self._suspension:
            is_news = self._suspension is None or self._suspension[:-1] != state[:-1]
            self._suspension = state
            self._is_leaving = not is_attended
            self._tell_suspended(live, due, partial(self._told, live, due), is_news=is_news)

    def _tell_suspended(self, live: LiveExecution, due: float, then: Action, *, is_news: bool) -> None:
        for op in live.timers.values():
            if op.index not in self._opened:
                self._opened.add(op.index)
                self._pen.note("timer.started", op=op.index, facts={"due": op.due})
        self.waits = waits = to_json(waits_of(live, self._attempts.doubts))
        event = Event(self.id, "execution.suspended", self._pen.now(), len(live.ops) - 1, value=waits)
        change = Change(
            status=Status.IN_DOUBT if self._attempts.doubts else Status.SUSPENDED,
            wake_at=due if due < math.inf else None,
            release=self._is_leaving,
            waits=waits,
        )
        if self._is_leaving:
            self._clear_alarm()
        commit = self._pen.commit(*[event] * is_news)
        commit.change, commit.seen = change, self.seen
        self._pen.write(commit, then)

    def _told(self, live: LiveExecution, due: float) -> None:
        if self._is_leaving:
            self._host.parked(self, due)
            return
        self._host.waits(self)
        if not self.attended and self._suspension is not None:
            self._suspend(live)  # the caller left while the commit was under way

    @property
    def is_waiting(self) -> bool:
        """Whether the store knows that everything in it waits."""
        return self._suspension is not None and not self._pen.in_flight

    def unattend(self) -> None:
        """A caller in this process has left: park the execution if it was the last, and everything waits."""
        self.attended = max(0, self.attended - 1)
        live = self._live
        is_idle = live is not None and not (self._pen.is_closed or self._is_leaving or self.is_busy)
        if live is not None and is_idle and not self.attended:
            self._suspend(live)

    # Ending.

    def _finish(self, live: LiveExecution, ending: Ending) -> None:
        self._is_leaving = True
        self._clear_alarm()
        blobs = Blobs()
        commit = self._pen.commit(ending.event(self.id, self._pen.now(), blobs))
        commit.change, commit.blobs = ending.change, blobs
        commit.messages = ending.word(self.record)
        commit.withdraws = self._has_approvals
        commit.unseals = self._attempts.has_sealed or self._program.redact is not None
        self._pen.write(commit, partial(self._finished, live, ending))

    def _finished(self, live: LiveExecution, ending: Ending) -> None:
        self._pen.close()
        live.discard()
        self._host.ended(self, ending)

    @property
    def followers(self) -> Sequence[Watcher]:
        """Who watch this execution alone."""
        return self._pen.followers

    @property
    def is_busy(self) -> bool:
        """Whether a step runs or a commit is under way."""
        return self._pen.in_flight > 0 or (self._live is not None and bool(self._attempts.running))

    @property
    def running(self) -> list[asyncio.Task[Any]]:
        """The attempts under way."""
        return list(self._attempts.running.values()) if self._live is not None else []

    @property
    def effects(self) -> list[asyncio.Task[Any]]:
        """The attempts under way that must not happen twice."""
        return self._attempts.effects if self._live is not None else []

    @property
    def under_way(self) -> list[Awaitable[Any]]:
        """What is waited for before the process stops: attempts, and the last commit."""
        last = self._pen.last_commit
        return [*self.running, last] if last is not None and self._pen.in_flight else [*self.running]

    def tell_progress(self) -> None:
        """Journal which steps have been at work for long, for people to see."""
        if self._live is not None and not (self._is_leaving or self._pen.is_closed):
            self._attempts.tell_progress()

    def close(self) -> None:
        """Begin nothing any more. What runs may end, and its outcome is still journaled."""
        self._clear_alarm()
        if self._live is None:
            self.drop()
            return
        self._attempts.is_closing = True
        if self.is_waiting and not (self._is_leaving or self.is_busy):
            # A caller may still wait for it here; from now on it waits in the store like others.
            self.attended = 0
            self._suspend(self._live)

    def drop(self) -> None:
        """Forget the execution: nothing more of it is written, and what still runs is cancelled."""
        self._pen.close()
        self._clear_alarm()
        if self._live is not None:
            self._attempts.cancel_all()
            self._live.discard()

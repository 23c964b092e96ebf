"""Driving one execution on a store: every completion is journaled first and handed to workflow code afterwards.

All methods run as plain callbacks of the real loop, because workflow code may not be entered from inside a task.
A drive has four ways to end: the execution is finished, it only waits and is parked in the store, its code and journal
disagree, or the store failed. In the last case memory is thrown away and the execution read again, as after a crash.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from assent.clock import Clock
from assent.codec import digest, from_json, to_json
from assent.engine.engine import Program
from assent.engine.execution import Effect, ExecutionInfo, LiveExecution, Note, Op, SignalOp, StepOp
from assent.engine.failure import live_failure
from assent.engine.hooks import Hooks
from assent.engine.replay import History, compare, read, replay
from assent.engine.steps import NOT_DONE, StepScope, step_scope
from assent.errors import (
    CodecError,
    ExecutionCancelled,
    ExecutionFailed,
    NonDeterminism,
    OutcomeUnknown,
    PermitRefused,
    StateNotCaptured,
    StepFailed,
    StepTimeout,
    StoreError,
)
from assent.store import Change, Commit, Event, ExecutionRecord, Message, Status, Store

# A value longer than this (characters of JSON) is stored once beside the journal and referenced.
BLOB_SIZE = 256 * 1024
BLOB = "@sha256:"
WITHHELD = "@withheld:"

# A timer that is due this soon (seconds) is waited for in memory: parking costs a commit and a replay.
SOON = 0.2


class Host(Protocol):
    """The engine, as a drive sees it."""

    store: Store
    clock: Clock
    owner: str
    hooks: Hooks
    check_replay: bool

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """Start a task that does not inherit the context of whoever happens to be running."""

    def holds_lease(self) -> bool:
        """Whether the lease surely still holds, by this process's own clock."""

    def ended(self, drive: "Drive", value: Any, error: BaseException | None) -> None: ...

    def waits(self, drive: "Drive") -> None: ...

    def parked(self, drive: "Drive") -> None: ...

    def stuck(self, drive: "Drive", error: Exception) -> None: ...

    def broken(self, drive: "Drive", error: Exception) -> None: ...


class Drive:
    """One execution at work in this process."""

    def __init__(self, host: Host, record: ExecutionRecord, program: Program, *, attended: bool = False) -> None:
        self.host = host
        self.record = record
        self.program = program
        self.id = record.id
        self.attended = attended
        self.dropped = False
        self._live: LiveExecution | None = None
        self._running: dict[int, asyncio.Task[Any]] = {}
        self._writing = 0
        self._buffered: list[Event] = []
        self._approvals: list[Any] = []
        self._letters: list[Message] = []
        self._served: set[int] = set()  # signal ops whose completion is being written
        self._seen = 0
        self._opened: set[int] = set()  # waits and timers whose opening is journaled
        self._doubts: dict[int, StepOp] = {}
        self._suspension: tuple[Any, ...] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.sealed = False
        self._woken = False  # it goes on after the store has been told that it waits
        self._left = False  # the commit that parks it is under way
        self._has_approvals = False

    @property
    def live(self) -> LiveExecution:
        """Its workflow code, once it has begun."""
        assert self._live is not None
        return self._live

    # Beginning.

    def begin(self, events: Sequence[Event], letters: Sequence[Message], given: Mapping[str, Any] | None) -> None:
        """Replay the journal and go on from there. `given`: arguments that only this process has."""
        if self.dropped:
            return
        history = read(events)
        self._given = given
        self._journal = list(events) if self.host.check_replay else []
        try:
            self._live = self._replayed(history)
        except (NonDeterminism, CodecError, StateNotCaptured) as error:
            self.host.stuck(self, error)
            return
        if events and events[-1].type != "execution.started":
            self._note("execution.resumed", value=to_json({"worker": self.host.owner}))
        self._opened = set(history.opened)
        self._has_approvals = any(event.type.startswith("policy.approval") for event in history.opened.values())
        self._letters = list(letters)
        self._seen = max((letter.seq for letter in letters), default=0)
        for op in self.live.take_opened():
            if isinstance(op, StepOp) and op.index in self.live.steps:
                self._reopen(op, history)
            elif isinstance(op, SignalOp) and op.index in self.live.signals:
                self._open_signal(op)
        self._go_on()

    def _replayed(self, history: History) -> LiveExecution:
        live = self._fresh(history)
        try:
            replay(live, history)
        except BaseException:
            live.discard()
            raise
        return live

    def _fresh(self, history: History) -> LiveExecution:
        record = self.record
        info = ExecutionInfo(
            id=self.id,
            name=record.name,
            version=record.version,
            requester=record.requester,
            parent_id=record.parent_id,
            started_at=history.started_at or record.created_at,
        )
        arguments = self._arguments()
        live = LiveExecution(info, patches=frozenset(history.patches), known_ops=history.known_ops)
        live.begin(lambda: self.program.main(arguments))
        return live

    def _arguments(self) -> Mapping[str, Any]:
        if self._given is not None:
            return self._given
        if self.record.arguments.startswith(WITHHELD):
            raise StateNotCaptured(
                f"execution {self.id} of {self.record.name} was called with capture_state=False, so its arguments "
                "were not kept and nobody can resume it. Call it again, or let it keep its state."
            )
        return self.program.signature.decode(self.record.arguments)

    # Going on.

    def _deliver(self, complete: Callable[[], None]) -> None:
        complete()
        self.live.advance()
        self._go_on()

    def _go_on(self) -> None:
        """After workflow code has run until everything in it waits: see to what it asked for."""
        live = self.live
        for op in live.take_opened():
            self._open(op)
        for cancelled in live.take_cancelling():
            self._cancel_step(cancelled)
        if live.new_patches:
            for name in live.new_patches:
                self._note("execution.patched", name=name)
            live.new_patches = []
        if live.done:
            self._finish()
            return
        self._serve_letters()
        self._set_alarm()
        if not self._running and not self._writing:
            self._suspend()
        elif self._approvals:
            self._write([], None)
        if self.host.check_replay:
            self._check_replay()

    def _check_replay(self) -> None:
        """Replay what is durable so far, and compare with where the living execution stands."""
        replayed = None
        try:
            replayed = self._replayed(read(self._journal))
            compare(self.live, replayed)
        except NonDeterminism as error:
            self.host.stuck(self, error)
        finally:
            if replayed is not None:
                replayed.discard()

    def _open(self, op: Op) -> None:
        if isinstance(op, StepOp):
            self._begin_step(op)
        elif isinstance(op, SignalOp):
            self._open_signal(op)

    # Writing.

    def _note(self, type: str, *, op: int | None = None, name: str | None = None, value: str | None = None) -> None:
        """Journal an event together with whatever is written next."""
        self._buffered.append(Event(self.id, type, self.host.clock.now(), op, name, None, None, None, value))

    def _write(
        self, events: list[Event], then: Callable[[], None] | None, *,
        refused: Callable[[PermitRefused], None] | None = None, **parts: Any,
    ) -> None:
        if self._buffered:
            events = self._buffered + events
            self._buffered = []
        if self._approvals:
            parts["approvals"], self._approvals = self._approvals, []
        if self._woken:
            self._woken = False
            parts.setdefault("change", Change(status=Status.RUNNING))
        commit = Commit(execution_id=self.id, events=events, **parts)
        self._writing += 1
        future = self.host.store.append(self.host.owner, commit)
        future.add_done_callback(partial(self._written, events, then, refused))

    def _written(
        self,
        events: Sequence[Event],
        then: Callable[[], None] | None,
        refused: Callable[[PermitRefused], None] | None,
        future: asyncio.Future[None],
    ) -> None:
        self._writing -= 1
        error = future.exception()
        if self.dropped:
            return
        if error is None:
            if self.host.check_replay:
                self._journal.extend(events)
            if self.host.hooks.watchers:
                self.host.hooks.seen(events)
            if then is not None:
                then()
        elif refused is not None and isinstance(error, PermitRefused):
            refused(error)
        else:
            self.host.broken(self, error if isinstance(error, Exception) else StoreError(str(error)))

    def _fit(self, text: str, blobs: list[tuple[str, str]]) -> str:
        if len(text) <= BLOB_SIZE:
            return text
        key = digest(text)
        blobs.append((key, text))
        return BLOB + key

    # Steps.

    def _reopen(self, op: StepOp, history: History) -> None:
        """A step that replay found without an outcome."""
        doubt, begun = history.doubts.get(op.index), history.begun.get(op.index)
        if begun is not None:
            op.attempt = begun.attempt or 1
        if doubt is not None and op.spec.verify is None:
            self._doubts[op.index] = op
        elif doubt is not None or (begun is not None and op.spec.once):
            self._verify(op, (begun or doubt or history.completions[-1]).at)
        elif op.cancelled:
            self._record_failure(op, "{}", None, (), asyncio.CancelledError())
        else:
            self._begin_step(op)

    def _begin_step(self, op: StepOp, *, consumed: Sequence[int] = ()) -> None:
        try:
            text, arguments = self._encode(op)
        except CodecError as error:
            self._record_failure(op, "{}", None, (), error)
            return
        if not op.spec.once:
            if consumed:
                self._write([], None, consumed=consumed)
            self._perform(op, text, arguments)
            return
        blobs: list[tuple[str, str]] = []
        shown = self._fit(self._shown(op, text), blobs)
        now = self.host.clock.now()
        events = [Event(self.id, note.type, now, op.index, note.name, None, None, None, note.value) for note in op.notes]
        events.append(Event(self.id, "step.started", now, op.index, op.name, op.attempt, now, shown))
        self._write(
            events,
            partial(self._perform, op, text, arguments),
            refused=partial(self._refuse_permit, op, text),
            permit=op.permit,
            blobs=blobs,
            consumed=consumed,
        )

    def _encode(self, op: StepOp) -> tuple[str, Any]:
        spec = op.spec
        if spec.signature is None:
            return "{}", op.arguments
        if not spec.captured:
            return WITHHELD + spec.signature.digest(op.arguments), op.arguments
        return spec.signature.live(op.arguments)

    def _shown(self, op: StepOp, text: str) -> str:
        redact = op.spec.redact
        return text if redact is None or text[0] != "{" else to_json(redact(from_json(text)))

    def _perform(self, op: StepOp, text: str, arguments: Any) -> None:
        if op.spec.once and not self.host.holds_lease():
            # Stopped between the intent and the effect for longer than the lease: whoever took over decides now.
            return
        if op.cancelled:
            self._record_failure(op, text, None, (), asyncio.CancelledError())
            return
        scope = StepScope(self.live.info, f"{self.id}:{op.key}", op.attempt)
        task = self.host.spawn(self._attempt(op, arguments, scope))
        self._running[op.index] = task
        task.add_done_callback(partial(self._performed, op, text, self.host.clock.now(), scope))

    async def _attempt(self, op: StepOp, arguments: Any, scope: StepScope) -> Any:
        step_scope.set(scope)
        spec = op.spec
        for gate in self.host.hooks.gates:
            await gate(scope.info, spec.name, arguments)
        try:
            if spec.timeout is None:
                return await spec.perform(arguments)
            async with asyncio.timeout(spec.timeout) as limit:
                return await spec.perform(arguments)
        except TimeoutError as error:
            if spec.timeout is None or not limit.expired():
                raise
            raise StepTimeout(f"step {spec.name} took longer than its timeout of {spec.timeout:g} s.") from error
        except SystemExit as error:
            raise RuntimeError(f"step {spec.name} called exit({error.code!r})") from error

    def _performed(self, op: StepOp, text: str, started: float, scope: StepScope, task: asyncio.Task[Any]) -> None:
        self._running.pop(op.index, None)
        cancelled = task.cancelled()
        error = None if cancelled else task.exception()
        if self.dropped or (cancelled and not op.cancelled):
            return
        if cancelled:
            error = asyncio.CancelledError()
        if op.spec.once and (cancelled or isinstance(error, StepTimeout)):
            self._verify(op, started, reason=f"it was interrupted: {error or 'cancelled'}")
        elif error is not None:
            self._record_failure(op, text, started, scope.notes, error)
        else:
            self._record_outcome(op, text, started, scope.notes, task.result())

    def _record_outcome(
        self, op: StepOp, text: str, started: float | None, notes: Sequence[Note], result: Any,
        *, consumed: Sequence[int] = (),
    ) -> None:
        spec = op.spec
        try:
            recorded, value = spec.returns.round_trip(result) if spec.captured else ("", result)
        except CodecError as error:
            self._put_in_doubt(op, text, f"it returned what cannot be recorded: {error}")
            return
        blobs: list[tuple[str, str]] = []
        sealed: Sequence[tuple[int, str]] = ()
        if not spec.captured:
            recorded = WITHHELD + digest(spec.returns.canonical(result))
        elif spec.redact is not None:
            shown = to_json(spec.redact(from_json(recorded)))
            if shown != recorded:
                sealed = ((op.index, recorded),)
                self.sealed = True
            recorded = shown
        now = self.host.clock.now()
        shown_arguments = self._fit(self._shown(op, text), blobs) if not spec.once else None
        recorded = self._fit(recorded, blobs)
        event = Event(
            self.id, "step.completed", now, op.index, op.name, op.attempt, started, shown_arguments, recorded
        )
        events = [event]
        for note in notes:
            events.append(Event(self.id, note.type, now, op.index, note.name, None, None, None, note.value))
        settle = partial(self.live.settle, op.index, now, value=value)
        self._write(events, partial(self._deliver, settle), blobs=blobs, sealed=sealed, consumed=consumed)

    def _record_failure(
        self, op: StepOp, text: str, started: float | None, notes: Sequence[Note], error: BaseException
    ) -> None:
        spec = op.spec
        recorded, error = live_failure(error, StepFailed)
        repeats = spec.retry is not None and isinstance(error, Exception) and spec.retry.may_retry(op.attempt, error)
        now = self.host.clock.now()
        blobs: list[tuple[str, str]] = []
        shown = self._fit(self._shown(op, text), blobs) if not spec.once else None
        type = "step.retried" if repeats else "step.failed"
        events = [Event(self.id, type, now, op.index, op.name, op.attempt, started, shown, recorded)]
        for note in notes:
            events.append(Event(self.id, note.type, now, op.index, note.name, None, None, None, note.value))
        settle = partial(self.live.settle, op.index, now, error=error)
        self._write(events, partial(self._deliver, settle), blobs=blobs)

    def _refuse_permit(self, op: StepOp, text: str, error: PermitRefused) -> None:
        self._note("permit.refused", op=op.index, name=op.name, value=to_json({"reason": error.reason}))
        self._record_failure(op, text, None, (), error)

    def _cancel_step(self, op: StepOp) -> None:
        task = self._running.get(op.index)
        if task is not None:
            task.cancel()
        elif op.index in self._doubts:
            # Nobody waits for it any longer, but what it did stays unknown: a person must still say.
            return

    # Doubt.

    def _verify(self, op: StepOp, intended_at: float, reason: str = "its process ended before the outcome") -> None:
        if op.spec.verify is None:
            self._put_in_doubt(op, "{}", reason)
            return
        task = self.host.spawn(self._look_up(op, intended_at))
        self._running[op.index] = task
        task.add_done_callback(partial(self._looked_up, op, reason))

    async def _look_up(self, op: StepOp, intended_at: float) -> Any:
        assert op.spec.verify is not None
        key = f"{self.id}:{op.key}"
        step_scope.set(StepScope(self.live.info, key, op.attempt))
        return await op.spec.verify(
            Effect(
                name=op.name,
                arguments=op.arguments,
                execution_id=self.id,
                idempotency_key=key,
                intended_at=intended_at,
            )
        )

    def _looked_up(self, op: StepOp, reason: str, task: asyncio.Task[Any]) -> None:
        self._running.pop(op.index, None)
        if self.dropped or task.cancelled():
            return
        error = task.exception()
        if isinstance(error, OutcomeUnknown):
            self._put_in_doubt(op, "{}", f"{reason}, and looking it up gave no answer: {error}")
        elif error is not None:
            self._put_in_doubt(op, "{}", f"{reason}, and looking it up failed: {type(error).__name__}: {error}")
        elif task.result() is NOT_DONE:
            self._repeat(op, "verify")
        else:
            self._note("step.verified", op=op.index, name=op.name, value=to_json({"done": True, "by": "verify"}))
            self._record_outcome(op, "{}", None, (), task.result())

    def _repeat(self, op: StepOp, by: str, *, consumed: Sequence[int] = ()) -> None:
        """Perform an effect that surely did not happen, under the permit that it has already taken up."""
        self._note("step.verified", op=op.index, name=op.name, value=to_json({"done": False, "by": by}))
        if op.cancelled:
            self._record_failure(op, "{}", None, (), asyncio.CancelledError())
            return
        op.attempt += 1
        op.permit = op.permit.once_more() if op.permit else None
        op.notes = ()
        self._begin_step(op, consumed=consumed)

    def _put_in_doubt(self, op: StepOp, text: str, reason: str) -> None:
        self._doubts[op.index] = op
        self._note("execution.in_doubt", op=op.index, name=op.name, value=to_json({"reason": reason}))
        self._write([], self._go_on)

    # Messages from outside.

    def receive(self, message: Message) -> None:
        """Take a message that came while the execution is in memory."""
        if self.dropped or self._left or message.seq <= self._seen:
            return
        self._seen = message.seq
        self._letters.append(message)
        if self._live is not None:
            self._wake()
            self._go_on()

    def _wake(self) -> None:
        if self._suspension is not None:
            self._suspension = None
            self._woken = True
            self._note("execution.resumed", value=to_json({"worker": self.host.owner}))

    def _open_signal(self, op: SignalOp) -> None:
        if op.index in self._opened or not (op.notes or op.approvals):
            return
        self._opened.add(op.index)
        for note in op.notes:
            self._note(note.type, op=op.index, name=note.name, value=note.value)
        self._approvals.extend(op.approvals)
        self._has_approvals = self._has_approvals or bool(op.approvals)

    def _serve_letters(self) -> None:
        for letter in list(self._letters):
            match letter.kind:
                case "signal":
                    self._serve_signal(letter)
                case "cancel":
                    self._take(letter)
                    facts = to_json({"reason": from_json(letter.value), "by": letter.sender})
                    now = self.host.clock.now()
                    event = Event(self.id, "execution.cancelling", now, None, None, None, None, None, facts)
                    cancel = partial(self.live.cancel, from_json(letter.value), now)
                    self._write([event], partial(self._deliver, cancel), consumed=[letter.seq])
                case _:
                    self._resolve(letter)

    def _take(self, letter: Message) -> None:
        self._letters.remove(letter)

    def _serve_signal(self, letter: Message) -> None:
        op = next((op for op in self.live.signals.values() if op.name == letter.name and op.index not in self._served), None)
        if op is None:
            return
        self._take(letter)
        try:
            op.codec.decode(letter.value)
        except CodecError as error:
            facts = to_json({"reason": str(error), "by": letter.sender})
            self._note("signal.refused", name=letter.name, value=facts)
            self._write([], self._go_on, consumed=[letter.seq])
            return
        self._served.add(op.index)
        now = self.host.clock.now()
        event = Event(self.id, "signal.received", now, op.index, op.name, None, None, None, letter.value)
        receive = partial(self.live.receive, op.index, op.name, letter.value, now)
        self._write([event], partial(self._deliver, receive), consumed=[letter.seq])

    def _resolve(self, letter: Message) -> None:
        """A person says whether an effect in doubt has happened."""
        self._take(letter)
        op = next((op for op in self._doubts.values() if letter.name in ("", op.name)), None)
        says = from_json(letter.value)
        by = letter.sender or "somebody"
        if op is None:
            self._note("signal.refused", name="resolve", value=to_json({"reason": "nothing is in doubt", "by": by}))
            self._write([], self._go_on, consumed=[letter.seq])
            return
        if not says["done"]:
            del self._doubts[op.index]
            self._repeat(op, by, consumed=[letter.seq])
            return
        try:
            result = op.spec.returns.decode(to_json(says.get("result")))
        except CodecError as error:
            self._note("signal.refused", name="resolve", value=to_json({"reason": str(error), "by": by}))
            self._write([], self._go_on, consumed=[letter.seq])
            return
        del self._doubts[op.index]
        self._note("step.verified", op=op.index, name=op.name, value=to_json({"done": True, "by": by}))
        self._record_outcome(op, "{}", None, (), result, consumed=[letter.seq])

    # Timers.

    def _set_alarm(self) -> None:
        self._clear_alarm()
        timer = self.live.next_timer()
        if timer is not None:
            delay = max(0.0, timer.due - self.host.clock.now())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._ring)

    def _clear_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        self._wake()
        now = self.host.clock.now()
        for timer in self.live.take_due(now):
            event = Event(self.id, "timer.fired", now, timer.index)
            self._write([event], partial(self._deliver, partial(self.live.fire, timer.index, now)))
        self._set_alarm()

    # Waiting and ending.

    def _suspend(self) -> None:
        """Everything waits for something outside: say so in the store, and leave memory unless a caller waits here."""
        timer = self.live.next_timer()
        now = self.host.clock.now()
        if timer is not None and timer.due - now < SOON and not self._approvals:
            return
        state = (tuple(self.live.signals), tuple(self.live.timers), tuple(self._doubts), self.attended)
        if state == self._suspension:
            return
        self._suspension = state
        for op in self.live.timers.values():
            if op.index not in self._opened:
                self._opened.add(op.index)
                self._note("timer.started", op=op.index, value=to_json({"due": op.due}))
        status = Status.IN_DOUBT if self._doubts else Status.SUSPENDED
        waits = to_json(self.waits())
        event = Event(self.id, "execution.suspended", now, len(self.live.ops) - 1, None, None, None, None, waits)
        change = Change(
            status=status, wake_at=timer.due if timer else None, release=not self.attended, waits=waits
        )
        then = partial(self.host.waits if self.attended else self.host.parked, self)
        self._left = not self.attended
        self._clear_alarm()
        self._write([event], then, change=change, seen=self._seen)
        if self.attended:
            self._set_alarm()

    @property
    def is_waiting(self) -> bool:
        """Whether the store has been told that everything in it waits."""
        return self._suspension is not None

    @property
    def running(self) -> list[asyncio.Task[Any]]:
        """The attempts under way."""
        return list(self._running.values())

    def waits(self) -> list[dict[str, Any]]:
        """What the execution waits for, for people to read."""
        found: list[dict[str, Any]] = [{"for": "signal", "name": op.name} for op in self.live.signals.values()]
        found += [{"for": "timer", "due": op.due} for op in self.live.timers.values()]
        found += [{"for": "resolve", "name": op.name} for op in self._doubts.values()]
        return found

    def unattend(self) -> None:
        """The caller in this process has left: park the execution if it only waits."""
        self.attended = False
        idle = not (self.dropped or self._left or self._running or self._writing)
        if idle and self._live is not None:
            self._suspend()

    def _finish(self) -> None:
        event, change, value, error = self._ending()
        blobs: list[tuple[str, str]] = []
        event = event._replace(value=self._fit(event.value or "null", blobs))
        messages = ()
        if self.record.parent_id is not None:
            word = to_json({"status": change.status, "value": event.value})
            messages = (Message(execution_id=self.record.parent_id, kind="signal", name=f"child:{self.id}", value=word),)
        self._left = True
        self._clear_alarm()
        self._write(
            [event],
            partial(self.host.ended, self, value, error),
            change=change,
            messages=messages,
            blobs=blobs,
            withdraws=self._has_approvals,
            unseals=self.sealed or self.program.redact is not None,
        )

    def _ending(self) -> tuple[Event, Change, Any, BaseException | None]:
        now = self.host.clock.now()
        try:
            text, value = self._final(self.live.result())
        except asyncio.CancelledError:
            reason = self.live.cancel_reason or "the workflow cancelled itself"
            error = ExecutionCancelled(f"execution {self.id} was cancelled: {reason}", reason=reason)
            event = Event(self.id, "execution.cancelled", now, value=to_json({"reason": reason}))
            return event, Change(status=Status.CANCELLED, release=True), None, error
        except Exception as failure:  # noqa: BLE001 - whatever workflow code raised is its outcome
            text, rebuilt = live_failure(failure, ExecutionFailed)
            cause = getattr(rebuilt, "cause", "error")
            event = Event(self.id, "execution.failed", now, name=cause, value=text)
            return event, Change(status=Status.FAILED, release=True, cause=cause), None, rebuilt
        event = Event(self.id, "execution.completed", now, value=text)
        return event, Change(status=Status.COMPLETED, release=True), value, None

    def _final(self, result: Any) -> tuple[str, Any]:
        returns = self.program.returns
        if not self.program.captured:
            return to_json(WITHHELD + digest(returns.canonical(result))), result
        text, value = returns.round_trip(result)
        redact = self.program.redact
        return (text if redact is None else to_json(redact(from_json(text)))), value

    def drop(self) -> None:
        """Forget the execution: nothing more of it is written, and what still runs is cancelled."""
        self.dropped = True
        self._clear_alarm()
        for task in self.running:
            task.cancel()
        if self._live is not None:
            self._live.discard()

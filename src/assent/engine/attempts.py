"""The steps of one execution: performing them, recording how they ended, and never repeating blindly.

An effect that must not happen twice leaves its intent in the journal first. Where an intent has no outcome, because the
process ended in between, or the attempt was interrupted, `verify` is asked; and where that cannot tell, a person.
"""

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from assent.codec import to_json
from assent.engine.execution import LiveExecution
from assent.engine.failure import decode_failure, live_failure
from assent.engine.ops import Effect, Note, StepOp
from assent.engine.replay import History
from assent.engine.steps import NOT_DONE, StepScope, step_scope
from assent.engine.texts import Blobs, fit, redacted, withheld
from assent.engine.writing import Desk, Pen
from assent.errors import CodecError, OutcomeUnknown, PermitRefused, StepFailed, StepTimeout
from assent.store import Commit, Event, Permit, Settlement

# An attempt that is at work for so many seconds is worth an event of its own.
LONG = 1.0

# An event loop that cancels its tasks has ended after so many seconds.
LOOP_ENDS = 1.0

CRASHED = "its process ended before the outcome was recorded"


class Attempts:
    """What is done about the steps that workflow code has open."""

    def __init__(self, desk: Desk, pen: Pen, live: LiveExecution) -> None:
        self.running: dict[int, asyncio.Task[Any]] = {}  # attempts, and questions how one ended, by op
        self.doubts: dict[int, StepOp] = {}  # steps of which a person must say how they ended
        self.is_closing = False  # what runs may end, nothing begins
        self.has_sealed = False  # results are kept unredacted until the execution ends
        self._asked: set[int] = set()  # those of `running` that are questions
        self._desk = desk
        self._pen = pen
        self._live = live

    @property
    def is_asking(self) -> bool:
        """Whether it is being looked up how a step ended."""
        return bool(self._asked)

    @property
    def effects(self) -> list[asyncio.Task[Any]]:
        """The attempts under way that must not happen twice."""
        return [
            task
            for index, task in self.running.items()
            if self._live.steps[index].spec.once and index not in self._asked
        ]

    def begin(self, op: StepOp) -> None:
        """Perform a step that workflow code has asked for."""
        if self.is_closing:
            return
        if op.cancelled:
            self._record_failure(op, asyncio.CancelledError())
            return
        try:
            arguments = self._encoded(op)
        except CodecError as error:
            self._record_failure(op, error)
            return
        if op.spec.once or op.permit is not None or op.notes:
            self._intend(op, arguments)
        elif self._pen.is_ahead:
            self._pen.write(self._pen.commit(), partial(self._perform, op, arguments))
        else:
            self._perform(op, arguments)

    def reopen(self, op: StepOp, history: History) -> None:
        """Go on with a step that replay found without an outcome."""
        begun, doubt = history.begun.get(op.index), history.doubts.get(op.index)
        if begun is not None:
            # The intent was journaled, its notes with it, and its permit is used up.
            op.attempt = begun.attempt or op.attempt
            op.permit, op.notes = op.permit.once_more() if op.permit else None, ()
            op.touched = op.touched or not op.spec.once
        if doubt is not None and op.spec.verify is None:
            self.doubts[op.index] = op
        elif doubt is not None or (begun is not None and op.spec.once):
            self._verify(op, (begun or doubt or history.completions[-1]).at, CRASHED)
        else:
            self.begin(op)

    def cancel(self, op: StepOp) -> None:
        """Workflow code no longer wants it, and waits for how it ends. A question how it ended is still answered."""
        task = self.running.get(op.index)
        if task is not None and op.index not in self._asked:
            task.cancel()

    def cancel_all(self) -> None:
        for task in self.running.values():
            task.cancel()

    # Performing.

    def _encoded(self, op: StepOp) -> Mapping[str, Any]:
        """The arguments as a step will see them; what may be shown of them is kept in the op."""
        spec = op.spec
        if spec.signature is None:
            op.shown = "{}"
            return op.arguments
        if not spec.captured:
            op.shown = withheld(spec.signature.digest(op.arguments))
            return op.arguments
        text, arguments = spec.signature.live(op.arguments)
        op.shown = text if spec.redact is None else redacted(spec.redact, text, op.arguments)
        return arguments

    def _intend(self, op: StepOp, arguments: Mapping[str, Any]) -> None:
        now, blobs = self._pen.now(), Blobs()
        shown = fit(op.shown, blobs)
        intent = Event(self._pen.id, "step.started", now, op.index, op.name, op.attempt, now, shown)
        op.shown = ""
        commit = self._pen.commit(*self._pen.events_of(op.index, op.notes, now), intent)
        commit.permit, commit.blobs = op.permit, blobs
        self._pen.write(commit, partial(self._perform, op, arguments), partial(self._refuse, op))

    def _refuse(self, op: StepOp, error: PermitRefused) -> None:
        _, told = self._told(op, error)
        self._pen.note("permit.refused", op=op.index, name=op.name, facts={"reason": getattr(told, "reason", "")})
        if op.permit is not None and not op.permit.again:
            op.permit = None  # it was never taken up, so there is nothing to settle
        self._record_failure(op, error)

    def _perform(self, op: StepOp, arguments: Mapping[str, Any]) -> None:
        if op.cancelled:
            self._record_failure(op, asyncio.CancelledError())
            return
        if op.spec.once and not self._desk.holds_lease():
            # Stopped for longer than the lease between intent and effect: somebody else may have taken over.
            self._desk.once_held(partial(self._perform_late, op, arguments))
            return
        scope = StepScope(self._live.info, f"{self._pen.id}:{op.key}", op.attempt, op.index)
        op.started_at = self._pen.now()
        attempt = self._attempt(op, arguments, scope)
        attempt.send(None)  # up to where it is a task: also one that is cancelled before its turn records how it ended
        task = self._desk.spawn(attempt)
        if not task.done():  # as it may be where tasks begin at once, see asyncio.eager_task_factory
            self.running[op.index] = task

    def _perform_late(self, op: StepOp, arguments: Mapping[str, Any]) -> None:
        if self._live.steps.get(op.index) is op and not self._pen.is_closed:
            self._perform(op, arguments)

    async def _attempt(self, op: StepOp, arguments: Mapping[str, Any], scope: StepScope) -> None:
        """Perform it, and record how it ended."""
        result: Any = None
        error: BaseException | None = None
        try:
            await _first_turn()
            step_scope.set(scope)
            for gate in self._desk.hooks.gates:
                await gate(scope.info, op.name, arguments)
            scope.touched = True
            seconds = op.spec.timeout
            work = op.spec.perform(arguments)
            result = await (work if seconds is None else self._in_time(op, work, seconds))
        except GeneratorExit as stop:
            if not self._is_running(op):
                raise  # it is thrown away: the loop is gone, and with it whoever could write
            error = stop
        except SystemExit as stop:
            error = RuntimeError(f"step {op.name} called exit({stop.code!r})")
            error.__cause__ = stop
        except BaseException as raised:  # noqa: BLE001 - however it ended, that is its outcome
            error = raised
        self._performed(op, scope, error, result)
        if isinstance(error, KeyboardInterrupt):
            raise error
        error = None  # it knows this frame, and would keep it until the collector comes by

    def _is_running(self, op: StepOp) -> bool:
        task = self.running.get(op.index)
        return task is not None and not task.get_loop().is_closed() and asyncio.current_task(task.get_loop()) is task

    async def _in_time(self, op: StepOp, work: Awaitable[Any], seconds: float) -> Any:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await work
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StepTimeout(f"step {op.name} took longer than its timeout of {seconds:g} s.") from error

    def _performed(self, op: StepOp, scope: StepScope, error: BaseException | None, result: Any) -> None:
        self.running.pop(op.index, None)
        if self._pen.is_closed:
            return
        surrounded: Callable[..., Any] = self._desk.surroundings().run
        ended = partial(surrounded, self._ended, op, scope, error, result)
        if isinstance(error, asyncio.CancelledError) and not op.cancelled and _is_cancelled_from_outside():
            # Somebody cancelled the task itself. If that is because the event loop ends, it is as in a crash, and the
            # loop is gone by then; else the step did it to itself.
            asyncio.get_running_loop().call_later(LOOP_ENDS, ended)
        elif op.spec.is_inner:
            # What it leads to may be done at once, and workflow code may not be entered from inside a task.
            asyncio.get_running_loop().call_soon(ended)
        else:
            ended()

    def _ended(self, op: StepOp, scope: StepScope, error: BaseException | None, result: Any) -> None:
        if self._pen.is_closed:
            return
        if op.spec.once and scope.touched and isinstance(error, asyncio.CancelledError | StepTimeout):
            self._pen.note_all(op.index, scope.notes)
            self._verify(op, op.started_at or 0.0, f"it was interrupted: {str(error) or 'cancelled'}", error)
        elif error is not None:
            self._record_failure(op, error, scope)
        else:
            self._record_outcome(op, result, scope)

    def tell_progress(self) -> None:
        """Journal the start of attempts that take long. Of a short one only the outcome is written."""
        now, blobs, commit = self._pen.now(), Blobs(), self._pen.commit()
        for op in (self._live.steps[index] for index in self.running if index in self._live.steps):
            if op.shown and op.started_at is not None and now - op.started_at >= LONG:
                shown, op.shown = fit(op.shown, blobs), ""
                commit.events.append(
                    Event(self._pen.id, "step.started", now, op.index, op.name, op.attempt, op.started_at, shown)
                )
        if commit.events:
            commit.blobs = blobs
            self._pen.write(commit)

    # Recording.

    def _record_outcome(self, op: StepOp, result: Any, scope: StepScope | None = None) -> None:
        notes = scope.notes if scope else ()
        try:
            text, value, sealed = self._kept(op, result)
        except CodecError as error:
            self._pen.note_all(op.index, notes)
            self._put_in_doubt(op, f"it returned what cannot be recorded: {error}")
            return
        if sealed:
            self.has_sealed = True
        commit = self._recorded(op, "step.completed", text, notes)
        commit.sealed = sealed
        if op.spec.settles and op.permit is not None:
            commit.settlement = _settlement(op.permit, "done", (scope.amounts if scope else None) or {})
        at = commit.events[-1].at
        # Not what people have said, which is dealt with while workflow code is seen to.
        may_lead = op.spec.is_inner and scope is not None and not (sealed or commit.settlement or commit.blobs)
        if may_lead and not self._pen.in_flight:
            self._pen.lead(commit, self._live.settle, op.index, at, value)
        else:
            self._pen.complete(commit, self._live.settle, op.index, at, value)

    def _kept(self, op: StepOp, result: Any) -> tuple[str, Any, Sequence[tuple[int, str]]]:
        """A result as the journal keeps it, as workflow code sees it, and what is sealed of it."""
        spec = op.spec
        if not spec.captured:
            return withheld(spec.returns.canonical(result)), result, ()
        text, value = spec.returns.round_trip(result)
        if spec.redact is None:
            return text, value, ()
        shown = redacted(spec.redact, text, result)
        return shown, value, ((op.index, text),) if shown != text else ()

    def _record_failure(self, op: StepOp, error: BaseException, scope: StepScope | None = None) -> None:
        """It failed; without a `scope` before anything was done in this attempt."""
        text, error = self._told(op, error)
        kind = "step.retried" if op.spec.repeats(op.attempt, error) else "step.failed"
        commit = self._recorded(op, kind, text, scope.notes if scope else ())
        if op.permit is not None and kind == "step.failed":
            touched = op.touched or (scope is not None and scope.touched)
            commit.settlement = _settlement(op.permit, "failed" if touched else "undone", {})
        self._pen.complete(commit, self._live.settle, op.index, commit.events[-1].at, None, error)

    def _told(self, op: StepOp, error: BaseException) -> tuple[str, BaseException]:
        text, error = live_failure(error, StepFailed)
        if op.spec.redact_error is None:
            return text, error
        shown = op.spec.redact_error(text, op.arguments)
        return shown, error if shown == text else decode_failure(shown, wrapper=StepFailed)

    def _recorded(self, op: StepOp, kind: str, text: str, notes: Sequence[Note]) -> Commit:
        """What is written of how an attempt ended."""
        pen, now, blobs = self._pen, self._pen.now(), Blobs()
        shown = fit(op.shown, blobs) if op.shown else None
        text = fit(text, blobs)
        event = Event(pen.id, kind, now, op.index, op.name, op.attempt, op.started_at, shown, text)
        commit = pen.commit(*pen.events_of(op.index, notes, now), event) if notes else pen.commit(event)
        if blobs:
            commit.blobs = blobs
        return commit

    # Doubt.

    def _verify(self, op: StepOp, intended_at: float, reason: str, error: BaseException | None = None) -> None:
        """Find out how a step ended. `error`: how its attempt was interrupted, in this process."""
        if op.spec.verify is None:
            self._put_in_doubt(op, reason)
            return
        scope = StepScope(self._live.info, f"{self._pen.id}:{op.key}", op.attempt, op.index)
        task = self._desk.spawn(self._look_up(op, intended_at, scope))
        self.running[op.index] = task
        self._asked.add(op.index)
        task.add_done_callback(partial(self._looked_up, op, scope, reason, error))

    async def _look_up(self, op: StepOp, intended_at: float, scope: StepScope) -> Any:
        assert op.spec.verify is not None
        step_scope.set(scope)
        effect = Effect(
            name=op.name,
            arguments=op.arguments,
            execution_id=self._pen.id,
            idempotency_key=scope.key,
            intended_at=intended_at,
        )
        return await op.spec.verify(effect)

    def _looked_up(
        self, op: StepOp, scope: StepScope, reason: str, interruption: BaseException | None, task: asyncio.Task[Any]
    ) -> None:
        del self.running[op.index]
        self._asked.discard(op.index)
        error = asyncio.CancelledError("it was cancelled") if task.cancelled() else task.exception()
        if self._pen.is_closed or (task.cancelled() and task.cancelling()):
            return
        if isinstance(error, OutcomeUnknown):
            self._put_in_doubt(op, f"{reason}, and looking it up gave no answer: {error}")
        elif error is not None:
            self._put_in_doubt(op, f"{reason}, and looking it up failed: {type(error).__name__}: {error}")
        elif task.result() is not NOT_DONE:
            self._note_verified(op, True, "verify")
            self._record_outcome(op, task.result(), scope)
        else:
            op.touched = op.touched or scope.touched
            self._not_done(op, interruption)

    def _not_done(self, op: StepOp, interruption: BaseException | None) -> None:
        if interruption is None:
            self._repeat(op, "verify")
            return
        self._note_verified(op, False, "verify")
        self._record_failure(op, interruption)

    def _note_verified(self, op: StepOp, done: bool, by: str) -> None:
        self._pen.note("step.verified", op=op.index, name=op.name, facts={"done": done, "by": by})

    def _repeat(self, op: StepOp, by: str) -> None:
        """Perform an effect that surely did not happen, under the permit that it has already taken up."""
        self._note_verified(op, False, by)
        if not op.cancelled:
            op.attempt += 1
            op.permit, op.notes = op.permit.once_more() if op.permit else None, ()
        self.begin(op)
        self._pen.flush()

    def _put_in_doubt(self, op: StepOp, reason: str) -> None:
        self.doubts[op.index] = op
        self._pen.note("execution.in_doubt", op=op.index, name=op.name, facts={"reason": reason})
        self._pen.tell()

    def resolve(self, name: str, says: Any, by: str) -> str | None:
        """A person says of a step in doubt whether it was done. Returns why that does not count, if it does not."""
        op = next((op for op in self.doubts.values() if name in {"", op.name}), None)
        if op is None:
            return "nothing is in doubt"
        if not isinstance(says, dict) or not isinstance(says.get("done"), bool):
            return 'it must say {"done": true, "result": ...} or {"done": false}'
        if not says["done"]:
            del self.doubts[op.index]
            self._repeat(op, by)
            return None
        try:
            result = op.spec.returns.decode(to_json(says.get("result")))
            self._kept(op, result)
        except CodecError as error:
            return str(error)
        del self.doubts[op.index]
        self._note_verified(op, True, by)
        self._record_outcome(op, result)
        return None


@types.coroutine
def _first_turn() -> Generator[None, None, None]:
    """Comes when the coroutine has become a task."""
    yield


def _is_cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _settlement(
    permit: Permit, outcome: Literal["done", "failed", "undone"], amounts: Mapping[str, int]
) -> Settlement | None:
    """What becomes of that on which a step drew; None if it drew on nothing."""
    return Settlement(permit_id=permit.id, outcome=outcome, amounts=amounts) if permit.holds else None

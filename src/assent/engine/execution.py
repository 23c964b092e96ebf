"""One execution in memory: workflow code on its own loop, and the ops that it has open.

Workflow code opens ops (steps, timers, signal waits); whoever drives the execution takes them with `take_opened`,
sees to them, and hands each completion back with `settle`, `fire` or `receive`, followed by `advance`. This class
does no I/O and knows no journal, so live and replayed executions are the same thing.
"""

import asyncio
import contextlib
import heapq
import zlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from random import Random  # noqa: TID251 - seeded by the execution's id, so that it yields the same numbers on replay
from typing import Any

from assent.codec import Codec, codec_for, from_json, to_json
from assent.engine.loop import DeterministicLoop, Discarded, DurableTimer
from assent.engine.ops import ExecutionInfo, Mark, Note, Op, SignalOp, StepOp, StepSpec, TimerOp
from assent.errors import CodecError
from assent.resilience.retry import Course
from assent.store import ApprovalRecord, Permit


class LiveExecution:
    """Workflow code at work.

    Completions must be handed in one at a time, in the order in which they were journaled, each followed by `advance`.
    """

    def __init__(
        self,
        info: ExecutionInfo,
        *,
        patches: frozenset[str] = frozenset(),
        marks: Sequence[Mark] = (),
        known_ops: int = 0,
    ) -> None:
        self.info = info
        self.known_ops = known_ops  # how many ops the journal has seen opened
        self.pending_completions = 0  # recorded completions still to be handed in
        self.patches = dict.fromkeys(patches, True)  # by name, whether the code behind it runs
        self.marks: list[Mark] = []  # every decision and note, in order
        self.ops: list[str] = []  # every op ever opened, as text; its place is its number
        self.steps: dict[int, StepOp] = {}
        self.timers: dict[int, TimerOp] = {}
        self.signals: dict[int, SignalOp] = {}
        self.cancel_reason: str | None = None
        self._opened: list[Op] = []
        self._cancelling: list[StepOp] = []
        self.done = False  # workflow code has come to its end
        self.has_said = False  # there are patches or marks to take
        self._new_patches: list[str] = []
        self._known_marks = marks  # those in the journal
        self._told_marks = len(marks)  # how many of `marks` have been taken, or need not be
        self._unclaimed: dict[str, list[str]] = {}
        self._children: dict[str, asyncio.Lock] = {}
        self._ended_children: set[str] = set()
        self.due: list[tuple[float, int]] = []  # a heap of timers; cancelled ones are dropped when they come up
        self._discarded = False
        self._random: Random | None = None
        self.loop = DeterministicLoop(  # type: ignore[abstract]  # what is missing refuses by name
            now=info.started_at,
            # In the low bits tasks are numbered alike in all executions, in the high bits unlike those of any other.
            seed=zlib.crc32(info.id.encode()) << 10,
            open_timer=self._open_timer,
            close_timer=self._close_timer,
        )
        self.loop.execution = self
        self._main: asyncio.Task[Any] | None = None

    def begin(self, program: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Make the workflow code ready to run; `advance` runs it."""
        self._main = self.loop.create_task(self._run(program))
        self._main.add_done_callback(self._has_ended)

    def _has_ended(self, _main: asyncio.Task[Any]) -> None:
        self.done = True

    def advance(self) -> None:
        """Run workflow code until everything in it waits."""
        self.loop.drain()

    def discard(self) -> None:
        """Drop the workflow code from memory where it stands. It can open no ops while it is being closed."""
        self._discarded = True
        self.loop.discard()

    @property
    def is_stalled(self) -> bool:
        """Whether nothing that could happen would make it go on, short of cancelling it."""
        return not (self.steps or self.timers or self.signals or self.done)

    @property
    def random(self) -> Random:
        """Numbers that are the same on replay."""
        if self._random is None:
            self._random = Random(self.info.id)  # noqa: S311 - repeatable on purpose
        return self._random

    def _draw(self) -> float:
        return self.random.random()

    def result(self) -> Any:
        """The value that the workflow returned; raises what it raised."""
        assert self._main is not None
        return self._main.result()

    def take_opened(self) -> Sequence[Op]:
        """The ops opened since the last call, in order."""
        if not self._opened:
            return ()
        opened, self._opened = self._opened, []
        return opened

    def take_cancelling(self) -> Sequence[StepOp]:
        """The steps that workflow code has cancelled since the last call; it waits for how each of them ends."""
        if not self._cancelling:
            return ()
        cancelling, self._cancelling = self._cancelling, []
        return cancelling

    def take_said(self) -> tuple[Sequence[str], Sequence[Mark]]:
        """The patches decided for, and what was decided and noted, since the last call, beyond what the journal has."""
        self.has_said = False
        patches, self._new_patches = self._new_patches, []
        told, self._told_marks = self._told_marks, max(len(self.marks), self._told_marks)
        return patches, self.marks[told:]

    def next_timer(self) -> TimerOp | None:
        """The open timer that is due first."""
        while self.due:
            op = self.timers.get(self.due[0][1])
            if op is not None:
                return op
            heapq.heappop(self.due)
        return None

    def take_due(self, now: float) -> list[TimerOp]:
        """The open timers that are due, first due first. Each is given out once."""
        due: list[TimerOp] = []
        while (op := self.next_timer()) is not None and op.due <= now:
            heapq.heappop(self.due)
            due.append(op)
        return due

    # Completions.

    def settle(self, index: int, at: float, value: Any = None, error: BaseException | None = None) -> None:
        """Hand a step's outcome to the code that waits for it."""
        self._set_time(at)
        op = self.steps.pop(index)
        op.settled = True
        if op.future.done():
            return
        if error is None:
            op.future.set_result(value)
        elif isinstance(error, asyncio.CancelledError):
            op.future.cancel()
        else:
            op.future.set_exception(error)

    def fire(self, index: int, at: float) -> None:
        """Fire a timer. One that workflow code has cancelled meanwhile stays silent."""
        self._set_time(at)
        op = self.timers.pop(index, None)
        if op is not None:
            self.loop.fire(op.handle)

    def receive(self, index: int, name: str, text: str, at: float) -> None:
        """Hand over a message. If its wait has been given up meanwhile, another wait of that name gets it."""
        self._set_time(at)
        op = self.signals.get(index)
        if op is not None:
            self._hand_over(op, op.codec.decode(text))
            return
        for other in [other for other in self.signals.values() if other.name == name]:
            with contextlib.suppress(CodecError):
                self._hand_over(other, other.codec.decode(text))
                return
        self._unclaimed.setdefault(name, []).append(text)

    def _hand_over(self, op: SignalOp, value: Any) -> None:
        del self.signals[op.index]
        if not op.future.done():
            op.future.set_result(value)

    def cancel(self, reason: str, at: float) -> None:
        """Cancel the workflow's main task."""
        self._set_time(at)
        self.cancel_reason = reason
        assert self._main is not None
        self._main.cancel(reason)

    def _set_time(self, at: float) -> None:
        # The wall clock may step back between two workers; time in a workflow never does.
        if at > self.loop.now:
            self.loop.now = at

    # What workflow code asks for.

    async def run_step(
        self,
        spec: StepSpec,
        arguments: Mapping[str, Any],
        *,
        permit: Permit | None = None,
        notes: Sequence[Note] = (),
    ) -> Any:
        """Perform a step, with its retries: each attempt is an op of its own, and each wait a timer."""
        course = None if spec.retry is None else Course(spec.retry, self.loop.time, self._draw)
        op = self._open_step(spec if course is None else _limited(spec, course), arguments)
        op.permit, op.notes = permit, notes
        while True:
            try:
                return await op.future
            except asyncio.CancelledError:
                await self._see_out(op)
                raise
            except Exception as error:
                if course is None or not spec.repeats(op.attempt, error):
                    raise
                await self._go_on(op, course, error)
            op = self._open_again(op, _limited(spec, course))

    async def _go_on(self, op: StepOp, course: Course, error: Exception) -> None:
        """Wait before the next attempt of a step; raises if there is none."""
        try:
            await course.go_on(error)
        except (Exception, asyncio.CancelledError):
            if op.permit is not None and op.permit.holds and not self._discarded:
                # What it holds must not stay held: an attempt that is cancelled before it begins settles it.
                following = self._open_again(op, op.spec)
                following.cancelled = True
                await asyncio.wait([following.future])
            raise

    def _open_again(self, op: StepOp, spec: StepSpec) -> StepOp:
        """The next attempt of a step that failed."""
        following = self._open_step(spec, op.arguments)
        following.attempt, following.key, following.touched = op.attempt + 1, op.key, True
        following.permit = op.permit.once_more() if op.permit else None
        return following

    def _open_step(self, spec: StepSpec, arguments: Mapping[str, Any]) -> StepOp:
        if self._discarded:
            raise Discarded
        op = StepOp(len(self.ops), spec, arguments, asyncio.Future(loop=self.loop))
        self.ops.append(f"step {op.name}")
        self.steps[op.index] = op
        self._opened.append(op)
        return op

    async def _see_out(self, op: StepOp) -> None:
        """Cancel a step, and wait for how it ends: as in plain asyncio, whoever cancels it learns that first."""
        if op.settled or self._discarded:
            return
        op.cancelled = True
        self._cancelling.append(op)
        while not op.settled:
            op.future = self._new_future()
            # Not even how it ended may hide that it was cancelled.
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await op.future

    async def wait_signal(
        self, name: str, codec: Codec, *, notes: Sequence[Note] = (), approvals: Sequence[ApprovalRecord] = ()
    ) -> Any:
        """Wait for the next message of that name."""
        if self._discarded:
            raise Discarded
        unclaimed = self._unclaimed.get(name, [])
        for place, text in enumerate(unclaimed):
            with contextlib.suppress(CodecError):
                value = codec.decode(text)
                del unclaimed[place]
                return value
        op = SignalOp(len(self.ops), name, codec, self._new_future())
        op.notes, op.approvals = notes, approvals
        self.ops.append(f"signal {name}")
        self.signals[op.index] = op
        self._opened.append(op)
        try:
            return await op.future
        finally:
            self.signals.pop(op.index, None)

    async def wait_child(self, child_id: str) -> None:
        """Wait for the end of an execution that was started from here. Word of it comes once, for all who wait."""
        async with self._children.setdefault(child_id, asyncio.Lock()):
            if child_id not in self._ended_children:
                await self.wait_signal(f"child:{child_id}", codec_for(dict[str, Any]))
                self._ended_children.add(child_id)

    def patched(self, name: str) -> bool:
        """Whether this execution runs the code behind the patch: new ones do, those recorded before it do not.

        What it once said of a name it says again, also where the code comes by a second time.
        """
        known = self.patches.get(name)
        if known is not None:
            return known
        is_new = not self.pending_completions and len(self.ops) >= self.known_ops
        self.patches[name] = is_new
        if is_new:
            self._new_patches.append(name)
            self.has_said = True
        return is_new

    def decide(self, name: str, choose: Callable[[], Any]) -> Any:
        """What `choose` says, the same on replay. JSON data; no step begins before it is durable."""
        return from_json(self._mark(name, choose, is_decision=True))

    def note(self, name: str, facts: Any) -> None:
        """Journal an event with whatever is written next. `facts`: JSON data."""
        self._mark(name, lambda: facts, is_decision=False)

    def _mark(self, name: str, choose: Callable[[], Any], *, is_decision: bool) -> str:
        if self._discarded:
            raise Discarded
        place = len(self.marks)
        # Whether code and journal agree on the names is looked at when the replay is over.
        text = self._known_marks[place].value if place < len(self._known_marks) else to_json(choose())
        self.marks.append(Mark(name, text, is_decision))
        self.has_said = self.has_said or len(self.marks) > self._told_marks
        return text

    def _new_future(self) -> asyncio.Future[Any]:
        # Not one of the loop's own, which are numbered and slower: nobody but the op ever holds it.
        return asyncio.Future(loop=self.loop)

    def _open_timer(self, handle: DurableTimer) -> None:
        handle.op = len(self.ops)
        op = TimerOp(handle.op, handle.when(), handle)
        self.ops.append("timer")
        self.timers[op.index] = op
        heapq.heappush(self.due, (op.due, op.index))

    def _close_timer(self, handle: DurableTimer) -> None:
        self.timers.pop(handle.op, None)

    async def _run(self, program: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        try:
            return await program()
        except SystemExit as error:
            raise RuntimeError(f"workflow code called exit({error.code!r})") from error
        finally:
            await self._end_tasks()

    async def _end_tasks(self) -> None:
        """Cancel what the workflow left running, and wait for it, as `asyncio.run` does."""
        me = asyncio.current_task()
        while not self._discarded and (rest := [task for task in self.loop.open_tasks() if task is not me]):
            for task in rest:
                task.cancel()
            # To cancel the workflow now only means to cancel them once more: its result stands.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(rest)
        if not self._discarded:
            await self.loop.close_generators()


def _limited(spec: StepSpec, course: Course) -> StepSpec:
    """The step for an attempt that begins now, which may take no longer than its retries have time left."""
    left = course.time_left()
    return spec if left is None else replace(spec, timeout=min(left, spec.timeout or left))


def current() -> LiveExecution | None:
    """The execution whose workflow code is running right now, if any."""
    loop = asyncio._get_running_loop()
    return loop.execution if type(loop) is DeterministicLoop else None

"""Journals read back: what is a completion, what is in doubt, what was open, and what does not fit."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from assent.codec import codec_for, to_json
from assent.engine.execution import LiveExecution
from assent.engine.failure import encode_failure
from assent.engine.ops import ExecutionInfo, StepSpec
from assent.engine.replay import compare, read, replay
from assent.errors import NonDeterminism, StateNotCaptured
from assent.store import Event

INFO = ExecutionInfo(id="x", name="code", version=1, started_at=100.0)


async def _nothing(_arguments: Any) -> None: ...


STEP = StepSpec(name="work", perform=_nothing, returns=codec_for(str))


def event(kind: str, op: int | None = None, name: str | None = None, value: Any = None, **more: Any) -> Event:
    return Event("x", kind, 101.0, op, name, value=None if value is None else to_json(value), **more)


Revive = Callable[[Callable[[LiveExecution], Any], list[Event]], LiveExecution]


@pytest.fixture
def live_with() -> Iterator[Revive]:
    """Brings workflow code to the end of a journal, and drops it after the test."""
    lives: list[LiveExecution] = []

    def revive(main: Callable[[LiveExecution], Any], events: list[Event]) -> LiveExecution:
        history = read(events)
        live = LiveExecution(INFO, patches=frozenset(history.patches), known_ops=history.known_ops)
        lives.append(live)
        live.begin(lambda: main(live))
        replay(live, history)
        return live

    yield revive
    for live in lives:
        live.discard()


async def two_steps(live: LiveExecution) -> list[Any]:
    return list(await asyncio.gather(live.run_step(STEP, {}), live.run_step(STEP, {})))


async def one_signal(live: LiveExecution) -> Any:
    return await live.wait_signal("word", codec_for(str))


def test_completions_are_handed_in_in_their_order(live_with: Revive) -> None:
    events = [event("step.completed", 1, "work", "second"), event("step.completed", 0, "work", "first")]
    live = live_with(two_steps, events)
    assert live.done
    assert live.result() == ["first", "second"]
    assert live.loop.now == 101.0


def test_a_prefix_leads_to_the_same_ops(live_with: Revive) -> None:
    live = live_with(two_steps, [event("step.completed", 1, "work", "second")])
    assert list(live.steps) == [0]
    assert live.ops == ["step work", "step work"]


def test_errors_are_raised_again(live_with: Revive) -> None:
    text = encode_failure(ValueError("no"))
    live = live_with(two_steps, [Event("x", "step.failed", 101.0, 0, "work", value=text)])
    assert not live.done
    live.settle(1, 102.0, "x")
    live.advance()
    with pytest.raises(ValueError, match="no"):
        live.result()


@pytest.mark.parametrize(
    ("events", "begun", "doubts"),
    [
        ([event("step.started", 0, "work")], {0}, set()),
        ([event("step.started", 0, "work"), event("execution.in_doubt", 0, "work")], {0}, {0}),
        ([event("execution.in_doubt", 0, "work"), event("step.verified", 0, "work", {"done": False})], set(), set()),
        ([event("execution.in_doubt", 0, "work"), event("step.started", 0, "work")], {0}, set()),
        ([event("step.started", 0, "work"), event("step.completed", 0, "work", "x")], set(), set()),
    ],
)
def test_what_is_known_of_a_step(events: list[Event], begun: set[int], doubts: set[int]) -> None:
    history = read(events)
    assert (set(history.begun), set(history.doubts)) == (begun, doubts)


def test_the_last_attempt_is_remembered(live_with: Revive) -> None:
    live = live_with(two_steps, [event("step.started", 1, "work", attempt=4)])
    assert (live.steps[0].attempt, live.steps[1].attempt) == (1, 4)


@pytest.mark.parametrize(
    ("events", "recorded", "found"),
    [
        ([event("step.completed", 0, "other", "x")], "step other", "step work"),
        ([event("step.completed", 7, "work", "x")], "step work", "nothing"),
        ([event("timer.fired", 0)], "timer", "step work"),
        ([event("signal.received", 1, "word", "x")], "signal word", "step work"),
        ([event("step.started", 1, "other")], "step other", "step work"),
        ([event("step.completed", 0, "work", "x")] * 2, "step work open", "it has ended"),
        ([event("execution.suspended", 1, value=[{"for": "timer", "op": 1}])], "timer", "step work"),
    ],
)
def test_what_does_not_fit_is_told(events: list[Event], recorded: str, found: str, live_with: Revive) -> None:
    with pytest.raises(NonDeterminism) as raised:
        live_with(two_steps, events)
    assert (raised.value.recorded, raised.value.found) == (recorded, found)


def test_values_that_were_not_kept_cannot_be_replayed(live_with: Revive) -> None:
    with pytest.raises(StateNotCaptured):
        live_with(two_steps, [Event("x", "step.completed", 101.0, 0, "work", value="@withheld:abc")])


def test_a_message_without_its_wait_goes_to_another_wait_of_that_name(live_with: Revive) -> None:
    async def main(live: LiveExecution) -> list[Any]:
        async def first() -> Any:
            try:
                async with asyncio.timeout(10):
                    return await live.wait_signal("word", codec_for(str))
            except TimeoutError:
                return "timeout"

        return list(await asyncio.gather(first(), live.wait_signal("word", codec_for(str))))

    live = live_with(main, [event("timer.fired", 0), event("signal.received", 1, "word", "late")])
    assert live.result() == ["timeout", "late"]


def test_a_message_that_nobody_waits_for_any_more_is_kept_for_the_next_wait_it_fits(live_with: Revive) -> None:
    async def main(live: LiveExecution) -> list[Any]:
        try:
            async with asyncio.timeout(10):
                await live.wait_signal("word", codec_for(str))
        except TimeoutError:
            await live.run_step(STEP, {})
        return [await live.wait_signal("word", codec_for(str))]

    events = [
        event("timer.fired", 0),
        event("signal.received", 1, "word", "early"),
        event("step.completed", 2, "work", "done"),
    ]
    assert live_with(main, events).result() == ["early"]


def test_time_never_steps_back(live_with: Revive) -> None:
    live = live_with(two_steps, [event("step.completed", 0, "work", "x")])
    live.settle(1, 50.0, "y")
    assert live.loop.now == 101.0


def test_comparing_finds_where_two_runs_part(live_with: Revive) -> None:
    async def sleeps(live: LiveExecution) -> None:
        await asyncio.sleep(next(waits))

    waits = iter([1.0, 1.0, 2.0])
    first, same, other = (live_with(sleeps, []) for _ in range(3))
    compare(first, same)
    with pytest.raises(NonDeterminism, match="timer for"):
        compare(first, other)
    with pytest.raises(NonDeterminism):
        compare(first, live_with(one_signal, []))


def test_a_patch_is_decided_once(live_with: Revive) -> None:
    async def main(live: LiveExecution) -> list[bool]:
        before = live.patched("p")
        await live.run_step(STEP, {})
        return [before, live.patched("p")]

    old = [event("step.completed", 0, "work", "x")]
    assert live_with(main, old).result() == [False, False]
    assert live_with(main, [event("execution.patched", name="p"), *old]).result() == [True, True]

"""The deterministic loop by itself: asyncio's primitives on it, fed by hand."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from assent.engine.loop import DeterministicLoop, Discarded, DurableTimer
from assent.errors import NotDeterministic


class Hand:
    """A loop whose timers are fired by hand."""

    def __init__(self, seed: int = 0) -> None:
        self.opened: list[DurableTimer] = []
        self.closed: list[DurableTimer] = []
        self.loop = DeterministicLoop(  # type: ignore[abstract]  # what is missing refuses by name
            now=1000.0, seed=seed, open_timer=self.opened.append, close_timer=self.closed.append
        )

    def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(work)
        self.loop.drain()
        return task

    def fire(self, timer: DurableTimer) -> None:
        self.loop.now = timer.when()
        self.loop.fire(timer)
        self.loop.drain()


def test_it_returns_when_everything_waits_and_goes_on_when_fed() -> None:
    hand = Hand()
    task = hand.run(asyncio.sleep(5, "slept"))
    assert not task.done()
    (timer,) = hand.opened
    assert timer.when() == 1005.0
    hand.fire(timer)
    assert task.result() == "slept"


def test_cancelled_timers_are_told_of() -> None:
    async def times_out() -> str:
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        return "in time"

    hand = Hand()
    assert hand.run(times_out()).result() == "in time"
    assert hand.opened == hand.closed


def test_outside_of_a_drain_the_loop_is_not_the_running_one() -> None:
    hand = Hand()
    hand.run(asyncio.sleep(0))
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_exit_in_a_task_is_borne_by_the_task() -> None:
    async def leaves() -> None:
        raise SystemExit(3)

    hand = Hand()
    task = hand.run(leaves())
    with pytest.raises(SystemExit):
        task.result()
    assert hand.run(asyncio.sleep(0, "goes on")).result() == "goes on"


def test_sets_of_tasks_have_the_same_order_each_time() -> None:
    async def order() -> list[int]:
        cancelled: list[int] = []

        async def member(i: int) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                cancelled.append(i)

        async def group_that_fails() -> None:
            async with asyncio.TaskGroup() as group:
                for i in range(40):
                    group.create_task(member(i))
                await asyncio.sleep(0)
                raise ValueError

        with pytest.raises(ExceptionGroup):
            await group_that_fails()
        return cancelled

    orders = [Hand(seed << 10).run(order()).result() for seed in range(5)]
    assert orders == [orders[0]] * 5


def test_as_completed_makes_its_tasks_in_the_order_of_the_list() -> None:
    def begun_by(count: int) -> list[int]:
        begun: list[int] = []

        async def work(i: int) -> None:
            begun.append(i)

        async def all_of_them() -> None:
            spare = [bytearray(64) for _ in range(count)]  # so that addresses differ from run to run
            works = [work(i) for i in range(count)]
            del spare
            for each in asyncio.as_completed(works):
                await each

        assert Hand().run(all_of_them()).exception() is None
        return begun

    for count in (2, 9, 33):
        assert begun_by(count) == list(range(count))


def test_as_completed_of_what_has_no_order_is_refused() -> None:
    async def from_a_set() -> None:
        works = [asyncio.sleep(0) for _ in range(3)]
        try:
            for each in asyncio.as_completed(set(works)):
                await each
        finally:
            for work in works:
                work.close()

    with pytest.raises(NotDeterministic, match="list"):
        Hand().run(from_a_set()).result()


def test_word_from_another_thread_is_refused() -> None:
    hand, errors = Hand(), []

    def call() -> None:
        try:
            hand.loop.call_soon_threadsafe(print)
        except NotDeterministic as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "@step" in str(errors[0])


def test_everything_that_an_event_loop_may_offer_is_there_or_refuses() -> None:
    loop = Hand().loop
    for name in ("create_connection", "run_in_executor", "getaddrinfo", "add_signal_handler", "run_until_complete"):
        with pytest.raises(NotDeterministic, match=name):
            getattr(loop, name)()


def test_discarded_code_ends_without_opening_anything() -> None:
    log: list[str] = []

    async def careful() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            log.append("closed")
            try:
                asyncio.get_running_loop().create_task(asyncio.sleep(1))
            except Discarded:
                log.append("refused")
                raise

    hand = Hand()
    hand.run(careful())
    hand.loop.discard()
    assert log == ["closed", "refused"]
    assert len(hand.opened) == 1


def test_discarded_code_ends_in_order_also_where_it_waits_at_its_end() -> None:
    """As task groups do for their tasks; and in asynchronous generators, which closing a coroutine would not reach."""
    log: list[str] = []
    mark: ContextVar[str] = ContextVar("mark", default="none")

    async def items() -> AsyncGenerator[int, None]:
        token = mark.set("inside")
        try:
            await asyncio.sleep(100)
            yield 1
        finally:
            mark.reset(token)  # fails in any other context
            log.append("generator")

    async def reads() -> None:
        try:
            async for _ in items():
                pass
        finally:
            log.append(f"reader {mark.get()}")

    async def waits() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(reads())
                group.create_task(reads())
        finally:
            log.append("group")

    hand = Hand()
    hand.run(waits())
    hand.loop.discard()
    assert log == ["group", *["generator", "reader none"] * 2]


def test_many_tasks_are_not_kept_after_they_are_done() -> None:
    hand = Hand()
    for _ in range(1000):
        hand.run(asyncio.sleep(0))
    assert len(hand.loop._tasks) < 200

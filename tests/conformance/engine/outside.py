"""Word from outside: signals, cancellation, results, and the children of an execution."""

import asyncio
import threading
from decimal import Decimal
from functools import partial

import pytest

from assent import signal, step, workflow
from assent.errors import ExecutionCancelled, ExecutionConflict, ExecutionNotFound, ResultTimeout
from assent.runtime import Handle, Runtime
from assent.store import Status
from tests.conformance.engine.ground import Ground, Suite, types


@step
async def note(text: str) -> str:
    return text


@workflow
async def hears(count: int) -> list[int]:
    return [await signal("number", int) for _ in range(count)]


@workflow
async def child(amount: Decimal) -> Decimal:
    await asyncio.sleep(10)
    return amount * 2


class Signals(Suite):
    async def test_signals_come_in_the_order_in_which_they_were_sent(self, ground: Ground) -> None:
        say = [partial(Handle.signal, name="number", value=number) for number in range(3)]
        assert await self.outlives(ground, hears, 3, say=say) == ("returned", [0, 1, 2])

    async def test_what_does_not_fit_is_refused_and_recorded_and_the_wait_goes_on(self, ground: Ground) -> None:
        async with ground.runtime(hears) as runtime:
            handle = await runtime.start(hears, 1)
            await handle.signal("number", "no number")
            await handle.signal("number", 5)
            assert await handle.result() == [5]
            assert types(await handle.events(), "signal") == ["signal.refused", "signal.received"]

    async def test_one_that_nobody_waits_for_yet_is_kept(self, ground: Ground) -> None:
        @workflow
        async def later() -> str:
            await asyncio.sleep(100)
            return await signal("early", str)

        async with ground.runtime(later) as runtime:
            handle = await runtime.start(later)
            await handle.signal("early", "bird")
            assert await handle.result() == "bird"

    async def test_waits_for_one_name_are_served_in_their_order(self, ground: Ground) -> None:
        @workflow
        async def several() -> list[str]:
            return await asyncio.gather(*(signal("word", str) for _ in range(3)))

        say = [partial(Handle.signal, name="word", value=word) for word in "abc"]
        assert await self.outlives(ground, several, say=say) == ("returned", ["a", "b", "c"])

    async def test_a_message_whose_wait_was_given_up_goes_to_the_next(self, ground: Ground) -> None:
        @workflow
        async def impatient() -> list[str]:
            async def first() -> str:
                try:
                    async with asyncio.timeout(10):
                        return await signal("word", str)
                except TimeoutError:
                    return "timeout"

            return list(await asyncio.gather(first(), signal("word", str)))

        async with ground.runtime(impatient) as runtime:
            handle = await runtime.start(impatient)
            await runtime.engine.waiting(handle.id)
            # The timer and the message come in the same moment, so that the message is under way to a wait that ends.
            ground.clock.advance(10)
            await handle.signal("word", "it")
            await handle.signal("word", "again")
            assert sorted(await handle.result()) in (["again", "it"], ["it", "timeout"])

    async def test_a_signal_to_nobody_says_so(self, ground: Ground) -> None:
        async with ground.runtime(hears) as runtime:
            with pytest.raises(ExecutionNotFound, match="nobody"):
                await runtime.handle("nobody").signal("number", 1)
            handle = await runtime.start(hears, 0)
            await handle.result()
            with pytest.raises(ExecutionConflict, match="ended"):
                await handle.signal("number", 1)


class Handles(Suite):
    async def test_a_result_that_does_not_come_in_time(self, ground: Ground) -> None:
        async with ground.runtime(hears) as runtime:
            handle = await runtime.start(hears, 1)
            with pytest.raises(ResultTimeout, match=handle.id):
                await handle.result(timeout=5)
            await handle.signal("number", 1)
            assert await handle.result(timeout=5) == [1]
            assert await handle.result() == [1]

    async def test_a_timeout_that_the_workflow_raised_is_no_result_timeout(self, ground: Ground) -> None:
        @workflow
        async def raises() -> None:
            raise TimeoutError("of its own")

        async with ground.runtime(raises) as runtime:
            with pytest.raises(TimeoutError, match="of its own") as raised:
                await (await runtime.start(raises)).result(timeout=5)
            assert not isinstance(raised.value, ResultTimeout)

    async def test_status_follows_the_execution(self, ground: Ground) -> None:
        async with ground.runtime(hears, worker=False) as runtime:
            handle = await runtime.start(hears, 1, id="one")
            assert await handle.status() is Status.PENDING
        async with ground.runtime(hears) as runtime:
            await runtime.engine.waiting("one")
            assert await runtime.handle("one").status() is Status.SUSPENDED
            await runtime.handle("one").signal("number", 3)
            assert await runtime.handle("one").result() == [3]
            assert await runtime.handle("one").status() is Status.COMPLETED

    async def test_a_caller_may_leave_at_any_moment_and_what_was_stored_goes_on(self, ground: Ground) -> None:
        async with ground.runtime(hears) as runtime:
            for turns in range(20):
                call = asyncio.ensure_future(runtime.start(hears, 0))
                for _ in range(turns):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.wait([call])
            records = await runtime.executions()
            assert records
            for record in records:
                assert await runtime.handle(record.id).result(timeout=100) == []

    async def test_an_unknown_execution(self, ground: Ground) -> None:
        async with ground.runtime() as runtime:
            for ask in (runtime.handle("x").result, runtime.handle("x").status, runtime.handle("x").events):
                with pytest.raises(ExecutionNotFound):
                    await ask()


class Cancellation(Suite):
    async def test_it_reaches_the_running_step_and_runs_finally(self, ground: Ground) -> None:
        log: list[str] = []
        begun = asyncio.Event()

        @step
        async def long() -> None:
            begun.set()
            try:
                await asyncio.sleep(1e6)
            finally:
                log.append("step interrupted")

        @workflow
        async def works() -> None:
            try:
                await long()
            finally:
                log.append(await note("cleaned up"))

        async with ground.runtime(works) as runtime:
            handle = await runtime.start(works)
            await begun.wait()
            await handle.cancel("not needed")
            with pytest.raises(ExecutionCancelled, match="not needed"):
                await handle.result()
            assert await handle.status() is Status.CANCELLED
            events = types(await handle.events())
        assert log == ["step interrupted", "cleaned up"]
        assert events == [
            "execution.started",
            "execution.cancelling",
            "step.failed",
            "step.completed",
            "execution.cancelled",
        ]

    @pytest.mark.parametrize("waiting", ["sleep", "signal", "both"])
    async def test_it_reaches_what_waits_wherever_the_process_dies(self, ground: Ground, waiting: str) -> None:
        @workflow
        async def waits() -> None:
            try:
                await asyncio.gather(*([asyncio.sleep(1e9)] if waiting != "signal" else []), signal("never"))
            finally:
                await note("one")
                await asyncio.sleep(5)
                await note("two")

        say = [partial(Handle.cancel, reason="enough")]
        assert (await self.outlives(ground, waits, say=say))[0] == "ExecutionCancelled"

    async def test_a_workflow_may_refuse_and_be_asked_again(self, ground: Ground) -> None:
        @workflow
        async def refuses() -> str:
            try:
                await asyncio.sleep(1e9)
            except asyncio.CancelledError:
                await signal("go on")
            return await note("done all the same")

        async with ground.runtime(refuses) as runtime:
            handle = await runtime.start(refuses)
            await runtime.engine.waiting(handle.id)
            await handle.cancel()
            await handle.signal("go on")
            assert await handle.result() == "done all the same"

    async def test_cancelling_while_it_cleans_up_keeps_its_result(self, ground: Ground) -> None:
        in_cleanup = asyncio.Event()

        @step
        async def cleans() -> None:
            in_cleanup.set()
            await asyncio.sleep(10)

        @workflow
        async def leaves_a_task() -> str:
            async def background() -> None:
                try:
                    await asyncio.sleep(1e9)
                finally:
                    await cleans()

            task = asyncio.create_task(background())
            await asyncio.sleep(0)
            return f"done, {task.done()}"

        async with ground.runtime(leaves_a_task) as runtime:
            handle = await runtime.start(leaves_a_task)
            await in_cleanup.wait()
            await handle.cancel("too late")
            assert await handle.result() == "done, False"

    async def test_a_step_that_was_not_begun_is_not_begun_any_more(self, ground: Ground) -> None:
        done: list[str] = []

        @step(once=True)
        async def acts() -> None:
            done.append("acted")

        @workflow
        async def changes_its_mind() -> str:
            task = asyncio.create_task(acts())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return f"cancelled: {task.cancelled()}"

        assert await self.outlives(ground, changes_its_mind) == ("returned", "cancelled: True")
        assert done == []

    async def test_a_plain_step_is_waited_for(self, ground: Ground) -> None:
        begun, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        @step
        def blocks() -> str:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(10)
            return "ended"

        @workflow
        async def works() -> str:
            return await blocks()

        async with ground.runtime(works) as runtime:
            handle = await runtime.start(works)
            await begun.wait()
            await handle.cancel("now")
            go_on.set()
            with pytest.raises(ExecutionCancelled, match="now"):
                await handle.result()

    async def test_one_that_nobody_drives_is_cancelled_when_somebody_does(self, ground: Ground) -> None:
        async with ground.runtime(hears, worker=False) as runtime:
            await (await runtime.start(hears, 1, id="one")).cancel("never mind")
        async with ground.runtime(hears) as runtime:
            with pytest.raises(ExecutionCancelled, match="never mind"):
                await runtime.handle("one").result()


class Children(Suite):
    async def test_a_child_is_linked_and_its_result_awaited_durably(self, ground: Ground) -> None:
        runtimes: list[Runtime] = []

        @workflow
        async def parent(amount: Decimal) -> list[Decimal]:
            handles = [await runtimes[-1].start(child, amount * i) for i in range(1, 3)]
            return [await handle.result() for handle in handles]

        async with ground.runtime(parent, child, dies=True) as runtime:
            runtimes.append(runtime)
            handle = await runtime.start(parent, Decimal("1.5"))
            await runtime.engine.waiting(handle.id)
            assert not ground.in_memory(runtime)
        async with ground.runtime(parent, child) as runtime:
            runtimes.append(runtime)
            assert await runtime.handle(handle.id).result() == [Decimal("3.0"), Decimal("6.0")]
            children = await runtime.executions(name="child")
            assert [each.parent_id for each in children] == [handle.id] * 2

    async def test_all_who_ask_for_the_result_of_a_child_get_it(self, ground: Ground) -> None:
        runtimes: list[Runtime] = []

        @workflow
        async def parent() -> list[Decimal]:
            handles = [await runtimes[-1].start(child, Decimal(1), id="the same") for _ in range(2)]
            at_once = await asyncio.gather(*(each.result() for each in (*handles, handles[0])))
            return [*at_once, await handles[0].result()]

        async with ground.runtime(parent, child, dies=True) as runtime:
            runtimes.append(runtime)
            handle = await runtime.start(parent)
            await runtime.engine.waiting(handle.id)
        async with ground.runtime(parent, child) as runtime:
            runtimes.append(runtime)
            assert await runtime.handle(handle.id).result() == [Decimal(2)] * 4

    async def test_a_child_that_fails_fails_its_parent_unless_caught(self, ground: Ground) -> None:
        runtimes: list[Runtime] = []

        @workflow
        async def fails() -> None:
            raise ValueError("as a child")

        @workflow
        async def parent() -> str:
            handle = await runtimes[-1].start(fails)
            try:
                await handle.result()
            except ValueError as error:
                return str(error)
            return ""

        async with ground.runtime(parent, fails) as runtime:
            runtimes.append(runtime)
            assert await (await runtime.start(parent)).result() == "as a child"

    async def test_a_workflow_called_from_a_step_is_the_same_child_after_a_retry(self, ground: Ground) -> None:
        tries: list[int] = []

        @workflow
        async def inner() -> int:
            return len(tries)

        @step
        async def calls() -> int:
            tries.append(1)
            return await inner()

        @workflow
        async def outer() -> int:
            return await calls()

        async with ground.runtime(outer, inner, dies_after=3) as runtime:
            await runtime.start(outer, id="outer")
            await ground.dead.wait()
        async with ground.runtime(outer, inner) as runtime:
            assert await runtime.handle("outer").result() == 1
            (record,) = await runtime.executions(name="inner")
            assert record.parent_id == "outer"
        assert len(tries) == 2

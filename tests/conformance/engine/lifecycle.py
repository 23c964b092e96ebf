"""Who drives an execution and when: parking, versions, leases, stopping."""

import asyncio
import gc
import weakref
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, field_serializer

from assent import NOT_DONE, Effect, execution, signal, step, workflow
from assent.engine.workflow import call as as_caller
from assent.store import Event, Status
from tests.conformance.engine.ground import Ground, Suite, forgotten, types


@step
async def echo(text: str) -> str:
    return text


@workflow
async def waits(text: str) -> str:
    before = await echo(text)
    return before + await signal("more", str)


class Desk:
    def __init__(self, name: str) -> None:
        self.name = name

    @workflow
    async def hears(self) -> str:
        return f"{self.name}: {await signal('go', str)}"


class Parking(Suite):
    async def test_what_only_waits_leaves_memory_and_is_replayed_when_woken(self, ground: Ground) -> None:
        class Large:
            pass

        kept: list[weakref.ref[Large]] = []

        @workflow
        async def holds() -> str:
            large = Large()
            kept.append(weakref.ref(large))
            word = await signal("go", str)
            return word + type(large).__name__

        async with ground.runtime(holds) as runtime:
            handle = await runtime.start(holds)
            await runtime.engine.waiting(handle.id)
            gc.collect()
            assert not ground.in_memory(runtime)
            assert kept[0]() is None
            assert await handle.status() is Status.SUSPENDED
            await handle.signal("go", "on, ")
            assert await handle.result() == "on, Large"
        assert types(await self.events_of(ground, holds, handle.id), "execution") == [
            "execution.started",
            "execution.suspended",
            "execution.resumed",
            "execution.completed",
        ]

    async def events_of(self, ground: Ground, fn: Any, execution_id: str) -> list[Event]:
        async with ground.runtime(fn) as runtime:
            return await runtime.handle(execution_id).events()

    async def test_a_method_comes_back_to_its_own_object(self, ground: Ground) -> None:
        desks = [Desk("first"), Desk("second")]
        async with ground.runtime() as runtime:
            handles = [await runtime.start(desk.hears) for desk in desks]
            for handle in handles:
                await runtime.engine.waiting(handle.id)
            assert not ground.in_memory(runtime)
            for handle in handles:
                await handle.signal("go", "on")
            assert [await handle.result() for handle in handles] == ["first: on", "second: on"]

    async def test_another_process_brings_its_own_object(self, ground: Ground) -> None:
        async with ground.runtime() as runtime:
            execution_id = (await runtime.start(Desk("mine").hears)).id
        del runtime
        gc.collect()  # another process would not have the first object
        async with ground.runtime(Desk("theirs").hears) as runtime:
            handle = runtime.handle(execution_id)
            await handle.signal("go", "on")
            assert await handle.result() == "theirs: on"

    async def test_finally_and_except_of_parked_code_do_not_run(self, ground: Ground) -> None:
        log: list[str] = []

        @workflow
        async def careful() -> str:
            try:
                return await signal("go", str)
            except Exception:
                log.append("except")
                raise
            finally:
                log.append(await echo("finally"))

        async with ground.runtime(careful) as runtime:
            handle = await runtime.start(careful)
            await runtime.engine.waiting(handle.id)
            assert log == []
            await handle.signal("go", "on")
            await handle.result()
        assert log == ["finally"]

    async def test_an_attended_execution_stays_until_its_caller_leaves(self, ground: Ground) -> None:
        async with ground.runtime(waits) as runtime:
            engine = runtime.engine
            record = await engine.start(waits.program, {"text": "a"}, attended=True)
            await engine.waiting(record.id)
            assert ground.in_memory(runtime) == {record.id}
            assert (await runtime.handle(record.id).record()).owner is not None
            await engine.leave(record.id)
            await engine.leave(record.id)
            await forgotten(ground, runtime)
            assert (await runtime.handle(record.id).record()).owner is None
            await runtime.handle(record.id).signal("more", "b")
            assert await engine.result(record.id) == "ab"

    async def test_a_caller_that_leaves_at_once_leaves_nothing_behind(self, ground: Ground) -> None:
        async with ground.runtime(waits) as runtime:
            engine = runtime.engine
            record = await engine.start(waits.program, {"text": "a"}, attended=True)
            for _ in range(20):
                await asyncio.sleep(0)
                if (await engine.execution(record.id)).status is Status.SUSPENDED:
                    break
            await engine.leave(record.id)
            await forgotten(ground, runtime)

    async def test_a_second_caller_keeps_it_when_the_first_leaves(self, ground: Ground) -> None:
        async with ground.runtime(waits, worker=False) as runtime:
            engine = runtime.engine
            start = {"text": "a"}
            first = await engine.start(waits.program, start, id="shared", attended=True)
            await engine.start(waits.program, start, id="shared", attended=True)
            await engine.leave(first.id)
            await engine.waiting(first.id)
            await runtime.handle("shared").signal("more", "b")
            assert await engine.result("shared") == "ab"

    async def test_a_caller_takes_up_what_nobody_drives(self, ground: Ground) -> None:
        async with ground.runtime(waits, worker=False) as runtime:
            await runtime.start(waits, "a", id="left")
            await runtime.handle("left").signal("more", "b")
            record = await runtime.engine.start(waits.program, {"text": "a"}, id="left", attended=True)
            assert await runtime.engine.result(record.id) == "ab"

    async def test_messages_while_it_is_parking_are_not_lost(self, ground: Ground) -> None:
        @workflow
        async def counts() -> list[int]:
            return [await signal("n", int) for _ in range(30)]

        async with ground.runtime(counts) as runtime:
            handle = await runtime.start(counts)
            for i in range(30):
                await handle.signal("n", i)
                for _ in range(i % 7):
                    await asyncio.sleep(0)
            assert await handle.result() == list(range(30))


class Versions(Suite):
    async def test_a_worker_resumes_only_what_it_has(self, ground: Ground) -> None:
        def make(version: int) -> Any:
            @workflow(name="evolves", version=version)
            async def evolves() -> str:
                return f"{version} {await signal('go', str)}"

            return evolves

        old, new = make(1), make(2)
        async with ground.runtime(old) as runtime:
            execution_id = (await runtime.start(old)).id
            await runtime.engine.waiting(execution_id)
        async with ground.runtime(new) as runtime:
            await runtime.handle(execution_id).signal("go", "on")
            fresh = await runtime.start(new)
            await fresh.signal("go", "on")
            assert await fresh.result() == "2 on"
            assert await runtime.handle(execution_id).status() is Status.SUSPENDED
        async with ground.runtime(old, new) as runtime:
            assert await runtime.handle(execution_id).result() == "1 on"


class Stopping(Suite):
    async def test_a_running_step_gets_its_grace_and_another_runtime_goes_on(self, ground: Ground) -> None:
        done: list[str] = []
        begun = asyncio.Event()

        @step(once=True)
        async def slow(name: str) -> str:
            begun.set()
            await asyncio.sleep(5)
            done.append(name)
            return name

        @workflow
        async def two() -> list[str]:
            return [await slow("a"), await slow("b")]

        async with ground.runtime(two, grace=60.0) as runtime:
            execution_id = (await runtime.start(two)).id
            await begun.wait()
        assert done == ["a"]
        async with ground.runtime(two) as runtime:
            assert await runtime.handle(execution_id).result() == ["a", "b"]
        assert done == ["a", "b"]

    async def test_a_step_that_takes_longer_is_cancelled_and_repeated_elsewhere(self, ground: Ground) -> None:
        begun: list[str] = []
        first = asyncio.Event()

        @step
        async def slow() -> str:
            begun.append(execution().id)
            first.set()
            await asyncio.sleep(0 if len(begun) > 1 else 1e6)
            return "done"

        @workflow
        async def runs() -> str:
            return await slow()

        async with ground.runtime(runs, grace=1.0) as runtime:
            execution_id = (await runtime.start(runs)).id
            await first.wait()
        async with ground.runtime(runs) as runtime:
            assert await runtime.handle(execution_id).result() == "done"
        assert begun == [execution_id, execution_id]

    async def test_nobody_looks_up_an_effect_that_does_not_let_itself_be_cancelled_before_it_has_ended(
        self, ground: Ground
    ) -> None:
        paid: list[str] = []
        begun = asyncio.Event()

        async def find(effect: Effect) -> Any:
            return paid[0] if paid else NOT_DONE

        @step(verify=find)
        async def pays() -> str:
            begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(3600)  # as a thread would, it goes on all the same
                paid.append("paid")
            return "paid"

        @workflow
        async def runs() -> str:
            return await pays()

        async with ground.runtime(runs, grace=1.0) as runtime:
            execution_id = (await runtime.start(runs)).id
            await begun.wait()
        async with ground.runtime(runs) as runtime:
            assert await runtime.handle(execution_id).result() == "paid"
        assert paid == ["paid"]

    async def test_those_who_wait_are_told(self, ground: Ground) -> None:
        async with ground.runtime(waits) as runtime:
            handle = await runtime.start(waits, "a")
            result = asyncio.ensure_future(handle.result())
            await runtime.engine.waiting(handle.id)
        with pytest.raises(Exception, match="closed"):
            await result


class Sharing(Suite):
    async def test_word_given_in_one_process_wakes_the_worker_in_another(self, ground: Ground) -> None:
        async with ground.runtime(waits, shares=True) as one, ground.runtime(shares=True, worker=False) as other:
            execution_id = (await one.start(waits, "a")).id
            await one.engine.waiting(execution_id)
            before = ground.clock.now()
            await other.handle(execution_id).signal("more", "b")
            assert await other.handle(execution_id).result() == "ab"
            assert ground.clock.now() - before < 0.1

    async def test_a_client_starts_and_a_worker_finishes(self, ground: Ground) -> None:
        async with ground.runtime(waits, shares=True), ground.runtime(waits, shares=True, worker=False) as client:
            handle = await client.start(waits, "a")
            await handle.signal("more", "b")
            assert await handle.result() == "ab"

    async def test_who_lost_the_lease_writes_nothing_and_it_ends_exactly_once_elsewhere(self, ground: Ground) -> None:
        entered, go_on = asyncio.Event(), asyncio.Event()
        done: list[str] = []

        @step
        async def acts() -> str:
            if not entered.is_set():
                entered.set()
                await go_on.wait()
                done.append("late")
                return "late"
            done.append("in time")
            return "in time"

        @workflow
        async def runs() -> str:
            return await acts()

        async with ground.runtime(runs) as stopped:
            execution_id = (await stopped.start(runs)).id
            await entered.wait()
            await ground.expire_leases()
            async with ground.runtime(runs) as other:
                assert await other.handle(execution_id).result() == "in time"
                go_on.set()
                await forgotten(ground, stopped)
            assert await stopped.handle(execution_id).result() == "in time"
            events = await stopped.handle(execution_id).events()
            assert types(events, "step", "execution.completed") == ["step.completed", "execution.completed"]
            # It goes on under a new lease.
            handle = await stopped.start(runs)
            assert await handle.result() == "in time"

    async def test_a_process_that_was_stopped_before_an_effect_renews_its_lease_first(self, ground: Ground) -> None:
        done: list[str] = []
        pays = self.paying_once(done)

        def stop_for_long(event: Event) -> None:
            if event.type == "step.started":
                ground.clock.advance(100)

        async with ground.runtime(pays, lease=10, watchers=[stop_for_long]) as runtime:
            handle = await runtime.start(pays)
            assert await handle.result() == "paid"
        assert done == ["paid"]

    async def test_a_process_that_lost_its_lease_before_an_effect_leaves_it_alone(self, ground: Ground) -> None:
        done: list[str] = []
        pays = self.paying_once(done)
        expiring: list[asyncio.Task[None]] = []

        def stop_for_too_long(event: Event) -> None:
            if event.type == "step.started":
                ground.clock.advance(100)
                expiring.append(asyncio.ensure_future(ground.expire_leases()))

        async with ground.runtime(pays, lease=10, watchers=[stop_for_too_long]) as runtime:
            handle = await runtime.start(pays)
            await runtime.engine.waiting(handle.id)
            assert await handle.status() is Status.IN_DOUBT
            await asyncio.gather(*expiring)
        assert done == []

    @staticmethod
    def paying_once(done: list[str]) -> Any:
        @step(once=True)
        async def pay() -> str:
            done.append("paid")
            return "paid"

        @workflow
        async def pays() -> str:
            return await pay()

        return pays

    async def test_a_start_finds_the_lease_lost_and_takes_a_new_one(self, ground: Ground) -> None:
        @workflow
        async def quick() -> str:
            return await echo("done")

        async with ground.runtime(quick) as runtime:
            await ground.expire_leases()
            handles = await asyncio.gather(*(runtime.start(quick) for _ in range(5)))
            assert [await handle.result() for handle in handles] == ["done"] * 5

    async def test_many_that_find_the_lease_lost_at_once_all_end_once(self, ground: Ground) -> None:
        count = 0
        both = asyncio.Event()

        @step
        async def counts() -> int:
            nonlocal count
            count += 1
            if count == 20:
                both.set()
            await both.wait()
            return 1

        @workflow
        async def runs() -> int:
            return await counts() + await counts()

        async with ground.runtime(runs) as runtime:
            handles = [await runtime.start(runs) for _ in range(20)]
            await ground.expire_leases()
            assert [await handle.result() for handle in handles] == [2] * 20
            for handle in handles:
                ends = types(await handle.events(), "execution.completed", "step.completed")
                assert ends == ["step.completed"] * 2 + ["execution.completed"]

    # Callers who leave

    @pytest.mark.parametrize("turns", range(4))
    async def test_a_second_caller_who_leaves_takes_nobody_elses_place(self, ground: Ground, turns: int) -> None:
        @workflow
        async def hears() -> str:
            return await signal("go", str)

        async with ground.runtime(hears) as runtime:
            call = partial(as_caller, runtime.engine, hears.program, {}, id="shared")
            stays = asyncio.ensure_future(call())
            await quiet()
            leaves = asyncio.ensure_future(call())
            for _ in range(turns):
                await asyncio.sleep(0)
            leaves.cancel()
            await asyncio.wait([leaves])
            await quiet()
            assert ground.in_memory(runtime) == {"shared"}
            await runtime.handle("shared").signal("go", "on")
            assert await stays == "on"

    @pytest.mark.parametrize("turns", range(8))
    async def test_a_caller_who_leaves_while_it_is_taken_up_loses_nothing(self, ground: Ground, turns: int) -> None:
        @workflow
        async def hears() -> str:
            return await signal("go", str)

        async with ground.runtime(hears) as runtime:
            handle = await runtime.start(hears, id="parked")
            await runtime.engine.waiting(handle.id)
            await forgotten(ground, runtime)
            leaves = asyncio.ensure_future(as_caller(runtime.engine, hears.program, {}, id="parked"))
            for _ in range(turns):
                await asyncio.sleep(0)
            leaves.cancel()
            await asyncio.wait([leaves])
            await handle.signal("go", "on")
            assert await handle.result() == "on"

    # Contexts

    async def test_what_others_leave_in_context_variables_reaches_nobody(self, ground: Ground) -> None:
        left: ContextVar[str] = ContextVar("left", default="")

        def leaves_something(event: Event) -> None:
            left.set(f"by a watcher at {event.type}")

        @step
        async def looks() -> str:
            found = left.get()
            left.set("by a step")
            return found

        @workflow
        async def looks_around() -> list[str]:
            return [left.get(), await looks(), left.get(), await looks()]

        async with ground.runtime(looks_around, watchers=[leaves_something]) as runtime:
            for name in (None, "known"):
                handle = await runtime.start(looks_around, id=name)
                assert await handle.result() == [""] * 4

    async def test_a_result_is_written_outside_of_what_its_step_has_set(self, ground: Ground) -> None:
        mood: ContextVar[str] = ContextVar("mood", default="calm")

        class Noted(BaseModel):
            text: str

            @field_serializer("text")
            def written(self, text: str) -> str:
                return text if mood.get() == "calm" else "changed"

        @step
        async def notes() -> Noted:
            mood.set("wild")
            return Noted(text="as it is")

        @workflow
        async def reads() -> str:
            return (await notes()).text

        notes.__wrapped__.__annotations__["return"] = Noted
        assert await self.finished(ground, reads) == "as it is"


async def quiet() -> None:
    """Return when all that was under way in this loop has had its turns."""
    for _ in range(50):
        await asyncio.sleep(0)

"""Code that changes under an execution, and the proof that replay leads where the journal was written."""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assent import patched, signal, step, workflow
from assent.errors import ExecutionConflict, NonDeterminism
from assent.runtime import Handle
from assent.store import Status
from assent.testing import jumping_run
from tests.conformance.engine.ground import Ground, Suite, types


@step
async def one(text: str = "one") -> str:
    return text


@step
async def two(text: str = "two") -> str:
    return text


def named(fn: Any) -> Any:
    """A version of the one workflow whose code changes in these tests."""
    return workflow(name="changes")(fn)


class Changing(Suite):
    @pytest.fixture
    def original(self) -> Any:
        @named
        async def original() -> str:
            found = await one()
            await signal("go")
            return found + await two()

        return original


class Divergence(Changing):
    async def parked(self, ground: Ground, fn: Any) -> str:
        async with ground.runtime(fn) as runtime:
            handle = await runtime.start(fn)
            await runtime.engine.waiting(handle.id)
            return handle.id

    async def test_changed_code_is_told_of_with_both_ways_out(self, ground: Ground, original: Any) -> None:
        @named
        async def changed() -> str:
            found = await two()
            await signal("go")
            return found

        execution_id = await self.parked(ground, original)
        async with ground.runtime(changed) as runtime:
            result = asyncio.ensure_future(runtime.handle(execution_id).result())
            await asyncio.sleep(0)
            await runtime.handle(execution_id).signal("go")
            with pytest.raises(NonDeterminism) as raised:
                await result
            assert (raised.value.recorded, raised.value.found) == ("step one", "step two")
            assert "new version" in str(raised.value)
            assert 'patched("name")' in str(raised.value)
            record = await runtime.handle(execution_id).record()
            assert record.status is Status.SUSPENDED
            assert '"for":"code"' in record.waits
        async with ground.runtime(original) as runtime:
            assert await runtime.handle(execution_id).result() == "onetwo"

    @pytest.mark.parametrize("wait", ["another signal", "sleep", "step", "nothing"])
    async def test_what_it_waited_for_is_compared_too(self, ground: Ground, original: Any, wait: str) -> None:
        @named
        async def changed() -> str:
            found = await one()
            if wait == "another signal":
                await signal("stay")
            elif wait == "sleep":
                await asyncio.sleep(60)
            elif wait == "step":
                await two()
            return found

        execution_id = await self.parked(ground, original)
        async with ground.runtime(changed) as runtime:
            result = asyncio.ensure_future(runtime.handle(execution_id).result())
            await asyncio.sleep(0)
            await runtime.handle(execution_id).signal("other")
            with pytest.raises(NonDeterminism):
                await result

    async def test_code_that_stays_wrong_does_not_fill_the_journal(self, ground: Ground, original: Any) -> None:
        @named
        async def changed() -> str:
            return await two()

        execution_id = await self.parked(ground, original)
        async with ground.runtime(changed) as runtime:
            for _ in range(3):
                await runtime.handle(execution_id).signal("other")
                await asyncio.sleep(100)
            events = types(await runtime.handle(execution_id).events(), "execution")
        assert events == ["execution.started", "execution.suspended", "execution.suspended"]

    async def test_the_replay_check_catches_what_changes_from_run_to_run(self, ground: Ground) -> None:
        turns = iter(range(1000))

        @workflow
        async def looks_around() -> str:
            await one()
            return await two(str(next(turns)))

        async with ground.runtime(looks_around, check_replay=True) as runtime:
            with pytest.raises(NonDeterminism, match="two"):
                await (await runtime.start(looks_around)).result()


class Patches(Changing):
    @pytest.fixture
    def changed(self) -> Any:
        @named
        async def changed() -> str:
            found = await one()
            if patched("warn first"):
                found += await two("warned")
            await signal("go")
            return found + await two()

        return changed

    async def test_what_passed_the_place_before_takes_the_old_path(
        self, ground: Ground, original: Any, changed: Any
    ) -> None:
        async with ground.runtime(original) as runtime:
            execution_id = (await runtime.start(original)).id
            await runtime.engine.waiting(execution_id)
        for _ in range(2):
            async with ground.runtime(changed) as runtime:
                await runtime.handle(execution_id).signal("other")
                await runtime.engine.waiting(execution_id)
        async with ground.runtime(changed) as runtime:
            await runtime.handle(execution_id).signal("go")
            assert await runtime.handle(execution_id).result() == "onetwo"

    async def test_new_executions_take_the_new_path(self, ground: Ground, changed: Any) -> None:
        say = [partial(Handle.signal, name="go")]
        assert await self.outlives(ground, changed, say=say) == ("returned", "onewarnedtwo")

    async def test_one_parked_in_front_of_the_place_takes_the_new_path_for_good(
        self, ground: Ground, original: Any
    ) -> None:
        @named
        async def changed() -> str:
            found = await one()
            await signal("go")
            if patched("warn first"):
                found += await two("warned")
                await signal("again")
            return found + await two()

        async with ground.runtime(original) as runtime:
            execution_id = (await runtime.start(original)).id
            await runtime.engine.waiting(execution_id)
        async with ground.runtime(changed) as runtime:
            await runtime.handle(execution_id).signal("go")
            await asyncio.sleep(1)
        async with ground.runtime(changed) as runtime:
            await runtime.handle(execution_id).signal("again")
            assert await runtime.handle(execution_id).result() == "onewarnedtwo"

    async def test_a_loop_stays_on_the_path_on_which_it_began(self, ground: Ground) -> None:
        @named
        async def old() -> str:
            text = ""
            for _ in range(3):
                text += await one("a")
                await signal("go")
            return text

        @named
        async def new() -> str:
            text = ""
            for _ in range(3):
                text += await one("a")
                if patched("louder"):
                    text += await two("!")
                await signal("go")
            return text

        async with ground.runtime(old) as runtime:
            execution_id = (await runtime.start(old)).id
            await runtime.engine.waiting(execution_id)
        for _ in range(3):
            async with ground.runtime(new) as runtime:
                await runtime.handle(execution_id).signal("go")
                await asyncio.sleep(1)
        async with ground.runtime(new) as runtime:
            assert await runtime.handle(execution_id).result() == "aaa"
            assert await self.finished_with(runtime, new) == "a!a!a!"

    async def finished_with(self, runtime: Any, fn: Any) -> Any:
        handle = await runtime.start(fn)
        for _ in range(3):
            await handle.signal("go")
        return await handle.result()


Plan = tuple[str, Any]


@step
async def work(name: str, wait: int) -> str:
    await asyncio.sleep(wait)
    if wait % 5 == 4:
        raise ValueError(name)
    return name


async def follow(plan: Plan, path: str) -> Any:
    """Workflow code made of one plan; what it returns tells what happened in which order."""
    kind, detail = plan
    return await FOLLOW[kind](detail, path)


async def follow_step(wait: int, path: str) -> str:
    try:
        return await work(path, wait)
    except ValueError as error:
        return f"!{error}"


async def follow_sleep(seconds: int, path: str) -> str:
    await asyncio.sleep(seconds)
    return f"{path} slept"


async def follow_signal(_: None, path: str) -> str:
    return f"{path} {await signal('word', str)}"


async def follow_timeout(detail: tuple[int, Plan], path: str) -> Any:
    limit, inner = detail
    try:
        async with asyncio.timeout(limit):
            return await follow(inner, path)
    except TimeoutError:
        return f"{path} timeout {await work(path, 0)}"


async def follow_sequence(plans: Sequence[Plan], path: str) -> str:
    return " ".join([await follow(each, f"{path}{i}") for i, each in enumerate(plans)])


async def follow_gather(plans: Sequence[Plan], path: str) -> str:
    log: list[str] = []

    async def branch(i: int, each: Plan) -> None:
        log.append(await follow(each, f"{path}{i}"))

    await asyncio.gather(*(branch(i, each) for i, each in enumerate(plans)))
    return f"[{' '.join(log)}]"


async def follow_race(plans: Sequence[Plan], path: str) -> str:
    tasks = [asyncio.create_task(follow(each, f"{path}{i}")) for i, each in enumerate(plans)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)
    return f"{'+'.join(task.result() for task in done)} of {len(tasks)}"


FOLLOW: dict[str, Any] = {
    "step": follow_step,
    "sleep": follow_sleep,
    "signal": follow_signal,
    "timeout": follow_timeout,
    "sequence": follow_sequence,
    "gather": follow_gather,
    "race": follow_race,
}


@workflow
async def follows(plan: list[Any]) -> str:
    return str(await follow((plan[0], plan[1]), "p"))


def plans() -> st.SearchStrategy[Any]:
    moment = st.integers(0, 9)
    leaf = st.one_of(
        st.tuples(st.just("step"), moment),
        st.tuples(st.just("sleep"), moment),
        st.tuples(st.just("signal"), st.none()),
    )

    def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        some = st.lists(inner, min_size=1, max_size=4)
        return st.one_of(
            st.tuples(st.sampled_from(["sequence", "gather", "gather", "race"]), some),
            st.tuples(st.just("timeout"), st.tuples(st.integers(0, 12), inner)),
        )

    return st.recursive(leaf, larger, max_leaves=12)


def as_lists(plan: Any) -> Any:
    return [as_lists(each) for each in plan] if isinstance(plan, tuple | list) else plan


async def send_words(handle: Any, pause: int) -> None:
    """More than any plan waits for."""
    with contextlib.suppress(ExecutionConflict):
        for i in range(14):
            await handle.signal("word", f"w{i}")
            await asyncio.sleep(i % (pause + 1))


class Prefixes(Suite):
    """Replaying any prefix of a journal leads to the same commands: the engine's own check does so after each event."""

    def ground_of_one_example(self) -> Any:
        """An async context with a `Ground` of its own."""
        raise NotImplementedError

    @given(plan=plans())
    @settings(max_examples=60)
    def test_any_workflow_replays_from_any_prefix(self, plan: Any) -> None:
        async def run() -> None:
            async with (
                self.ground_of_one_example() as ground,
                ground.runtime(follows, check_replay=True) as runtime,
            ):
                handle = await runtime.start(follows, as_lists(plan))
                await send_words(handle, pause=2)
                await handle.result()

        jumping_run(run)

    @given(plan=plans(), deaths=st.lists(st.integers(1, 12), min_size=1, max_size=4))
    @settings(max_examples=60)
    def test_any_workflow_ends_whenever_it_is_interrupted(self, plan: Any, deaths: list[int]) -> None:
        async def run() -> None:
            async with self.ground_of_one_example() as ground:
                for death in deaths:
                    async with ground.runtime(follows, dies_after=death) as runtime:
                        life = asyncio.ensure_future(self.tell(runtime, plan))
                        dead = asyncio.ensure_future(ground.dead.wait())
                        await asyncio.wait({life, dead}, return_when=asyncio.FIRST_COMPLETED)
                        life.cancel()
                        dead.cancel()
                        await asyncio.gather(life, dead, return_exceptions=True)
                async with ground.runtime(follows, check_replay=True) as runtime:
                    await self.tell(runtime, plan)
                    events = await runtime.handle("x").events()
                done = [event.op for event in events if event.type in {"step.completed", "step.failed"}]
                assert len(done) == len(set(done)), "a step whose outcome was journaled ran again"

        jumping_run(run)

    async def tell(self, runtime: Any, plan: Any) -> Any:
        handle = await runtime.start(follows, as_lists(plan), id="x")
        await send_words(handle, pause=0)
        return await handle.result()

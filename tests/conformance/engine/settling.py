"""What a step draws on: taken with its permit, and settled together with its outcome, in one commit."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from assent import NOT_DONE, Effect, Retry, workflow
from assent.codec import codec_for
from assent.engine import StepSpec, current, step_scope
from assent.errors import ExecutionCancelled, PermitRefused
from assent.runtime import Runtime
from assent.store import Drawn, Hold, Permit, Settlement
from tests.conformance.engine.ground import Ground, Suite, types

KEPT, LOST = Hold(key="kept", amount=6, limit=10, on_failure="keep"), Hold(key="lost", amount=6, limit=10)
HELD, SPENT = Drawn(held=6, count=1), Drawn(spent=6, count=1)
NOTHING = Drawn()


class Till:
    """An effect that can be told how to end, and how it is looked up."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.calls = 0
        self.then: Callable[[], Any] = str
        self.found: Any = NOT_DONE

    async def perform(self, _: Any) -> str:
        self.calls += 1
        self.began.set()
        found = self.then()
        return str(await found if asyncio.iscoroutine(found) else found)

    async def look_up(self, _: Effect) -> Any:
        return self.found

    async def hang(self) -> str:
        await asyncio.sleep(1e6)
        return "late"

    def fail(self) -> str:
        raise OSError("the till is locked")

    def refuse(self) -> str:
        scope = step_scope.get()
        assert scope is not None
        scope.touched = False
        raise PermissionError("nothing was touched")

    def take_less(self) -> str:
        scope = step_scope.get()
        assert scope is not None
        scope.amounts = {"lost": 2}
        return "less"


def drawing(till: Till, **options: Any) -> Any:
    spec = StepSpec(name="draw", perform=till.perform, returns=codec_for(str), once=True, **options)

    @workflow
    async def draws() -> str:
        live = current()
        assert live is not None
        permit = Permit(id=f"{live.info.id}:permit", action_digest="", holds=[KEPT, LOST])
        drawn: str = await live.run_step(spec, {}, permit=permit)
        return drawn

    return draws


async def drawn(runtime: Runtime) -> tuple[Drawn, Drawn]:
    store: Any = runtime.engine.store  # type: ignore[attr-defined]  # whatever an engine does, its permits are kept
    return await store.drawn("kept"), await store.drawn("lost")


class Settling(Suite):
    @pytest.fixture
    async def till(self) -> Till:
        return Till()

    async def test_a_success_spends_what_it_held(self, ground: Ground, till: Till) -> None:
        draws = drawing(till)
        async with ground.runtime(draws) as runtime:
            till.then = till.hang
            handle = await runtime.start(draws)
            await till.began.wait()
            assert await drawn(runtime) == (HELD, HELD)
            assert await handle.result() == "late"
            assert await drawn(runtime) == (SPENT, SPENT)

    async def test_a_success_may_say_what_it_really_took(self, ground: Ground, till: Till) -> None:
        draws, till.then = drawing(till), till.take_less
        async with ground.runtime(draws) as runtime:
            await (await runtime.start(draws)).result()
            assert await drawn(runtime) == (SPENT, Drawn(spent=2, count=1))

    async def test_a_failure_keeps_or_releases_as_each_hold_says(self, ground: Ground, till: Till) -> None:
        draws, till.then = drawing(till), till.fail
        async with ground.runtime(draws) as runtime:
            with pytest.raises(OSError, match="locked"):
                await (await runtime.start(draws)).result()
            assert await drawn(runtime) == (SPENT, NOTHING)

    async def test_what_says_that_it_touched_nothing_releases_all(self, ground: Ground, till: Till) -> None:
        draws, till.then = drawing(till), till.refuse
        async with ground.runtime(draws) as runtime:
            with pytest.raises(PermissionError):
                await (await runtime.start(draws)).result()
            assert await drawn(runtime) == (NOTHING, NOTHING)

    async def test_a_gate_that_vetoes_has_touched_nothing(self, ground: Ground, till: Till) -> None:
        async def veto(*_: Any) -> None:
            raise PermissionError("closed")

        draws = drawing(till)
        async with ground.runtime(draws, gates=[veto]) as runtime:
            with pytest.raises(PermissionError):
                await (await runtime.start(draws)).result()
            assert await drawn(runtime) == (NOTHING, NOTHING)

    @pytest.mark.parametrize("found", [NOT_DONE, "found"], ids=str)
    async def test_interrupted_it_is_settled_as_it_is_found(self, ground: Ground, till: Till, found: Any) -> None:
        till.then, till.found = till.hang, found
        draws = drawing(till, verify=till.look_up)
        async with ground.runtime(draws) as runtime:
            handle = await runtime.start(draws)
            await till.began.wait()
            await handle.cancel()
            with pytest.raises(ExecutionCancelled):
                await handle.result()
            assert await drawn(runtime) == ((NOTHING, NOTHING) if found is NOT_DONE else (SPENT, SPENT))

    async def test_a_crash_leaves_it_held_and_what_is_found_settles_it(self, ground: Ground, till: Till) -> None:
        till.then, till.found = till.hang, "found"
        draws = drawing(till, verify=till.look_up)
        async with ground.runtime(draws, dies=True) as runtime:
            handle = await runtime.start(draws)
            await till.began.wait()
            assert await drawn(runtime) == (HELD, HELD)
        async with ground.runtime(draws) as runtime:
            assert await runtime.handle(handle.id).result() == "found"
            assert await drawn(runtime) == (SPENT, SPENT)

    @pytest.mark.parametrize("says", [{"done": True, "result": "done"}, {"done": False}], ids=str)
    async def test_in_doubt_it_stays_held_until_a_person_says(self, ground: Ground, till: Till, says: Any) -> None:
        till.then, draws = till.hang, drawing(till)
        async with ground.runtime(draws, dies=True) as runtime:
            handle = await runtime.start(draws)
            await till.began.wait()
        till.then = str
        async with ground.runtime(draws) as runtime:
            await runtime.engine.waiting(handle.id)
            assert await drawn(runtime) == (HELD, HELD)
            await runtime.handle(handle.id).resolve(**says)
            await runtime.handle(handle.id).result()
            assert await drawn(runtime) == (SPENT, SPENT)
        assert till.calls == (1 if says["done"] else 2)

    async def test_between_attempts_it_stays_held(self, ground: Ground, till: Till) -> None:
        ends: Iterator[Callable[[], Any]] = iter([till.fail, till.fail, str])
        seen: list[Any] = []

        def attempt() -> Any:
            return next(ends)()

        till.then, draws = attempt, drawing(till, retry=Retry(attempts=3, initial=10))
        async with ground.runtime(draws) as runtime:
            handle = await runtime.start(draws)
            for _ in range(2):
                await asyncio.sleep(5)
                seen.append(await drawn(runtime))
            await handle.result()
            assert await drawn(runtime) == (SPENT, SPENT)
        assert seen == [(HELD, HELD)] * 2

    @pytest.mark.parametrize("dies", [False, True])
    async def test_cancelled_between_attempts_it_is_settled(self, ground: Ground, till: Till, dies: bool) -> None:
        till.then, draws = till.fail, drawing(till, retry=Retry(attempts=3, initial=50))
        async with ground.runtime(draws, dies=dies) as runtime:
            handle = await runtime.start(draws)
            await asyncio.sleep(5)
            assert await drawn(runtime) == (HELD, HELD)
        async with ground.runtime(draws) as runtime:
            handle = runtime.handle(handle.id)
            await handle.cancel()
            with pytest.raises(ExecutionCancelled):
                await handle.result()
            # It failed once, so it may have happened.
            assert await drawn(runtime) == (SPENT, NOTHING)
            assert types(await handle.events(), "step") == ["step.started", "step.retried", "step.failed"]
        assert till.calls == 1

    async def test_a_permit_that_is_refused_draws_on_nothing(self, ground: Ground, till: Till) -> None:
        draws = drawing(till)
        async with ground.runtime(draws) as runtime:
            await (await runtime.start(draws)).result()
            with pytest.raises(PermitRefused) as refused:
                await (await runtime.start(draws)).result()
            assert await drawn(runtime) == (SPENT, SPENT)
        assert refused.value.hold == "kept"
        assert till.calls == 1

    async def test_what_does_not_settle_by_itself_is_held_until_it_is_settled(self, ground: Ground, till: Till) -> None:
        draws = drawing(till, settles=False)
        async with ground.runtime(draws) as runtime:
            handle = await runtime.start(draws)
            await handle.result()
            assert await drawn(runtime) == (HELD, HELD)
            store: Any = runtime.engine.store  # type: ignore[attr-defined]  # as above
            await store.settle(Settlement(permit_id=f"{handle.id}:permit", outcome="done"))
            assert await drawn(runtime) == (SPENT, SPENT)

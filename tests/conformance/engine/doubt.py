"""Effects that must not happen twice: intent, crash, looking up, and what a person says."""

import asyncio
from typing import Any

import pytest

from assent import NOT_DONE, Effect, Retry, signal, step, workflow
from assent.errors import OutcomeUnknown, StepTimeout
from assent.runtime import Handle, Runtime
from assent.store import Status
from tests.conformance.engine.ground import Ground, Suite, types


class Bank:
    """An outside world, with a wire that may die in the middle of a transfer."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.asked: list[Effect] = []
        self.dying = asyncio.Event()
        self.hangs_before = self.hangs_after = False
        self.answer: Any = None

    async def transfer(self, to: str) -> str:
        if self.hangs_before:
            self.dying.set()
            await asyncio.Event().wait()
        self.done.append(to)
        if self.hangs_after:
            self.dying.set()
            await asyncio.Event().wait()
        return f"sent to {to}"

    async def look_up(self, effect: Effect) -> Any:
        self.asked.append(effect)
        if isinstance(self.answer, Exception):
            raise self.answer
        to = effect.arguments["to"]
        return self.answer or (f"found {to}" if to in self.done else NOT_DONE)


def paying(bank: Bank, **options: Any) -> Any:
    @step(name="transfer", **options)
    async def transfer(to: str) -> str:
        return await bank.transfer(to)

    @workflow
    async def pays(to: str) -> str:
        return await transfer(to)

    return pays


async def crash_in_the_middle(ground: Ground, bank: Bank, pays: Any, *, before: bool = False) -> str:
    bank.hangs_before, bank.hangs_after = before, not before
    async with ground.runtime(pays, dies=True) as runtime:
        handle = await runtime.start(pays, "bob")
        await bank.dying.wait()
    bank.hangs_before = bank.hangs_after = False
    return handle.id


async def in_doubt(runtime: Runtime, execution_id: str) -> Handle[Any]:
    await runtime.engine.waiting(execution_id)
    assert await runtime.handle(execution_id).status() is Status.IN_DOUBT
    return runtime.handle(execution_id)


class Doubt(Suite):
    @pytest.fixture
    async def bank(self) -> Bank:
        return Bank()

    async def test_the_intent_is_journaled_before_and_the_outcome_after(self, ground: Ground, bank: Bank) -> None:
        pays = paying(bank, once=True)
        async with ground.runtime(pays) as runtime:
            handle = await runtime.start(pays, "bob")
            assert await handle.result() == "sent to bob"
            assert types(await handle.events(), "step") == ["step.started", "step.completed"]

    async def test_verify_finds_the_outcome(self, ground: Ground, bank: Bank) -> None:
        pays = paying(bank, verify=bank.look_up)
        execution_id = await crash_in_the_middle(ground, bank, pays)
        async with ground.runtime(pays) as runtime:
            assert await runtime.handle(execution_id).result() == "found bob"
            assert "step.verified" in types(await runtime.handle(execution_id).events())
        (effect,) = bank.asked
        assert (effect.name, effect.arguments, effect.execution_id) == ("transfer", {"to": "bob"}, execution_id)
        assert bank.done == ["bob"]

    async def test_verify_lets_it_happen_if_it_has_not(self, ground: Ground, bank: Bank) -> None:
        pays = paying(bank, verify=bank.look_up)
        execution_id = await crash_in_the_middle(ground, bank, pays, before=True)
        async with ground.runtime(pays) as runtime:
            assert await runtime.handle(execution_id).result() == "sent to bob"
            events = await runtime.handle(execution_id).events()
        assert bank.done == ["bob"]
        assert types(events, "step") == ["step.started", "step.verified", "step.started", "step.completed"]

    @pytest.mark.parametrize("answer", [OutcomeUnknown("the bank is closed"), ConnectionError("no line"), None])
    async def test_a_person_says_that_it_was_done(self, ground: Ground, bank: Bank, answer: Any) -> None:
        bank.answer = answer
        pays = paying(bank, verify=bank.look_up) if answer else paying(bank, once=True)
        execution_id = await crash_in_the_middle(ground, bank, pays)
        async with ground.runtime(pays) as runtime:
            handle = await in_doubt(runtime, execution_id)
            assert (await handle.record()).waits.count('"resolve"') == 1
            await handle.resolve(done=True, result="seen in the books", by="ann")
            assert await handle.result() == "seen in the books"
            verified = next(event for event in await handle.events() if event.type == "step.verified")
            assert '"by":"ann"' in (verified.value or "")
        assert bank.done == ["bob"]

    async def test_a_person_says_that_it_was_not_done(self, ground: Ground, bank: Bank) -> None:
        pays = paying(bank, once=True)
        execution_id = await crash_in_the_middle(ground, bank, pays, before=True)
        async with ground.runtime(pays) as runtime:
            handle = await in_doubt(runtime, execution_id)
            await handle.resolve(done=False)
            assert await handle.result() == "sent to bob"
        assert bank.done == ["bob"]

    async def test_doubt_survives_restarts_and_is_never_just_run_again(self, ground: Ground, bank: Bank) -> None:
        pays = paying(bank, once=True)
        execution_id = await crash_in_the_middle(ground, bank, pays)
        for _ in range(3):
            async with ground.runtime(pays, dies=True) as runtime:
                await in_doubt(runtime, execution_id)
        async with ground.runtime(pays) as runtime:
            await (await in_doubt(runtime, execution_id)).resolve(done=True, result="yes")
            assert await runtime.handle(execution_id).result() == "yes"
        assert bank.done == ["bob"]

    async def test_what_does_not_settle_the_doubt_is_refused(self, ground: Ground, bank: Bank) -> None:
        pays = paying(bank, once=True)
        execution_id = await crash_in_the_middle(ground, bank, pays)
        async with ground.runtime(pays) as runtime:
            handle = await in_doubt(runtime, execution_id)
            await handle.resolve(done=True, result={"not": "a text"})
            await handle.resolve(done=True, result="other", step="another step")
            await handle.resolve(done=True, result="right", step="transfer")
            assert await handle.result() == "right"
            assert types(await handle.events(), "signal") == ["signal.refused"] * 2

    async def test_resolving_what_is_not_in_doubt_is_refused(self, ground: Ground) -> None:
        @workflow
        async def waits() -> str:
            return await signal("go", str)

        async with ground.runtime(waits) as runtime:
            handle = await runtime.start(waits)
            await handle.resolve(done=True)
            await handle.signal("go", "on")
            assert await handle.result() == "on"
            assert "signal.refused" in types(await handle.events())

    async def test_a_result_that_cannot_be_recorded_puts_it_in_doubt(self, ground: Ground) -> None:
        done: list[int] = []

        @step
        async def returns_anything() -> Any:
            done.append(1)
            return object()

        @workflow
        async def runs() -> str:
            return str(await returns_anything())

        async with ground.runtime(runs, dies=True) as runtime:
            handle = await runtime.start(runs)
            await in_doubt(runtime, handle.id)
            (doubt,) = [each for each in await handle.events() if each.type == "execution.in_doubt"]
            assert "returns_anything" in (doubt.value or "")
        async with ground.runtime(runs) as runtime:
            handle = await in_doubt(runtime, handle.id)
            await handle.resolve(done=True, result="said by hand")
            assert await handle.result() == "said by hand"
        assert done == [1]

    async def test_not_done_of_a_repeatable_step_is_not_forgotten(self, ground: Ground) -> None:
        results: list[Any] = [object(), "fine"]

        @step
        async def improves() -> Any:
            return results[0]

        @workflow
        async def runs() -> Any:
            return await improves()

        async with ground.runtime(runs) as runtime:
            execution_id = (await runtime.start(runs)).id
            await in_doubt(runtime, execution_id)
        results.pop(0)
        async with ground.runtime(runs, dies=True) as runtime:
            await runtime.handle(execution_id).resolve(done=False)
        async with ground.runtime(runs) as runtime:
            assert await runtime.handle(execution_id).result() == "fine"

    async def test_an_interrupted_effect_is_looked_up(self, ground: Ground, bank: Bank) -> None:
        pays = paying(bank, verify=bank.look_up, timeout=5)
        bank.hangs_after = True
        assert await self.finished(ground, pays, "bob") == "found bob"
        assert bank.done == ["bob"]

    async def test_an_interrupted_effect_that_did_not_happen_fails_and_may_be_retried(
        self, ground: Ground, bank: Bank
    ) -> None:
        pays = paying(bank, verify=bank.look_up, timeout=5)
        bank.hangs_before = True
        with pytest.raises(StepTimeout):
            await self.finished(ground, pays, "bob")
        retries = paying(bank, verify=bank.look_up, timeout=5, retry=Retry(3, initial=1))
        with pytest.raises(StepTimeout):
            await self.finished(ground, retries, "bob")
        assert len(bank.asked) == 4

    async def test_an_interrupted_effect_that_nobody_can_look_up_is_in_doubt(self, ground: Ground, bank: Bank) -> None:
        pays = paying(bank, once=True, timeout=5)
        bank.hangs_after = True
        async with ground.runtime(pays) as runtime:
            handle = await runtime.start(pays, "bob")
            await in_doubt(runtime, handle.id)
            await handle.resolve(done=True, result="sent after all")
            assert await handle.result() == "sent after all"
        assert bank.done == ["bob"]

    async def test_cancelling_waits_for_what_verify_says(self, ground: Ground, bank: Bank) -> None:
        looked = asyncio.Event()

        async def look_up(effect: Effect) -> Any:
            looked.set()
            await asyncio.sleep(5)
            return await bank.look_up(effect)

        pays = paying(bank, verify=look_up)
        execution_id = await crash_in_the_middle(ground, bank, pays)
        async with ground.runtime(pays) as runtime:
            await looked.wait()
            await runtime.handle(execution_id).cancel("enough")
            with pytest.raises(Exception, match="enough"):
                await runtime.handle(execution_id).result()
            assert "step.completed" in types(await runtime.handle(execution_id).events())

    async def test_attempts_are_counted_through_repetitions(self, ground: Ground, bank: Bank) -> None:
        @step(name="transfer", verify=bank.look_up, retry=Retry(2, initial=1))
        async def transfer(to: str) -> str:
            if bank.hangs_before:
                return await bank.transfer(to)
            raise ConnectionError

        @workflow
        async def pays(to: str) -> str:
            try:
                return await transfer(to)
            except ConnectionError:
                await asyncio.sleep(60)
                return "gave up"

        execution_id = await crash_in_the_middle(ground, bank, pays, before=True)
        async with ground.runtime(pays, dies=True) as runtime:
            await runtime.engine.waiting(execution_id)
        async with ground.runtime(pays) as runtime:
            assert await runtime.handle(execution_id).result() == "gave up"
            attempts = [
                each.attempt for each in await runtime.handle(execution_id).events() if each.type == "step.started"
            ]
            assert attempts == [1, 2]

    async def test_a_once_only_effect_outlives_any_crash_and_happens_once(self, ground: Ground, bank: Bank) -> None:
        @step(verify=bank.look_up)
        async def transfer(to: str) -> str:
            await bank.transfer(to)
            return f"found {to}"

        @workflow
        async def pays() -> list[str]:
            return [await transfer("ann"), await transfer("bob")]

        async def look_up(effect: Effect) -> Any:
            return "found" if effect.idempotency_key in bank.done else NOT_DONE

        assert await self.outlives(ground, pays) == ("returned", ["found ann", "found bob"])

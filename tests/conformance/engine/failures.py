"""How failures, retries and timeouts of steps behave, live and replayed."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from assent import Retry, idempotency_key, step, workflow
from assent.errors import (
    CodecError,
    ExecutionFailed,
    StepFailed,
    StepTimeout,
)
from assent.store import Status
from tests.conformance.engine.ground import Ground, Suite, types


class Declined(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"declined with {code}: {text}")
        self.code = code


class Awkward(Exception):
    """Cannot be found again under its name."""


Awkward.__qualname__ = "Elsewhere"


class Failures(Suite):
    async def test_a_step_raises_the_same_type_live_and_replayed(self, ground: Ground) -> None:
        @step
        async def declines() -> None:
            raise Declined(7, "no cover")

        @workflow
        async def catches() -> tuple[int, str]:
            try:
                await declines()
            except Declined as error:
                await asyncio.sleep(1)
                return error.code, str(error)
            return 0, ""

        assert await self.outlives(ground, catches) == ("returned", (7, "declined with 7: no cover"))
        async with ground.runtime(catches) as runtime:
            events = await runtime.handle("undisturbed").events()
            (failed,) = [event for event in events if event.type == "step.failed"]
            assert "raise Declined(7" in (failed.value or "")

    async def test_what_cannot_be_raised_again_is_a_step_failed(self, ground: Ground) -> None:
        @step
        async def fails() -> None:
            raise Awkward("so it is")

        @workflow
        async def catches() -> str:
            try:
                await fails()
            except StepFailed as error:
                await asyncio.sleep(1)
                return error.reason
            return ""

        assert await self.outlives(ground, catches) == ("returned", "so it is")

    @pytest.mark.parametrize(
        "error", [SystemExit(3), BaseExceptionGroup("many", [KeyError("x")]), StopAsyncIteration()]
    )
    async def test_odd_exceptions_of_steps_and_workflows_hang_nobody(
        self, ground: Ground, error: BaseException
    ) -> None:
        @step
        async def raises() -> None:
            raise error

        @step
        def stops() -> None:
            raise StopIteration

        @workflow
        async def survives() -> list[str]:
            found = []
            for each in (raises, stops):
                try:
                    await each()
                except Exception as caught:  # noqa: BLE001 - whatever it is
                    found.append(type(caught).__name__)
            raise error

        async with ground.runtime(survives) as runtime:
            with pytest.raises(Exception, match=r".*"):
                await (await runtime.start(survives)).result()

    async def test_exit_in_a_task_of_a_workflow_ends_the_workflow_only(self, ground: Ground) -> None:
        @workflow
        async def exits() -> None:
            async def leave() -> None:
                await asyncio.sleep(1)
                raise SystemExit(4)

            await asyncio.create_task(leave())

        async with ground.runtime(exits) as runtime:
            with pytest.raises(RuntimeError, match="exit"):
                await (await runtime.start(exits)).result()

    async def test_a_failed_execution_raises_what_it_raised(self, ground: Ground) -> None:
        @workflow
        async def fails(kind: str) -> None:
            raise (Declined(1, "x") if kind == "known" else Awkward("y"))

        async with ground.runtime(fails) as runtime:
            known, unknown = await runtime.start(fails, "known"), await runtime.start(fails, "unknown")
            with pytest.raises(Declined):
                await known.result()
            with pytest.raises(ExecutionFailed, match="y"):
                await unknown.result()
        async with ground.runtime(fails) as runtime:
            with pytest.raises(Declined):
                await runtime.handle(known.id).result()
            record = await runtime.handle(unknown.id).record()
            assert (record.status, record.cause) == (Status.FAILED, "error")

    async def test_an_argument_that_cannot_come_back_fails_before_the_effect(self, ground: Ground) -> None:
        done: list[Any] = []

        @step
        async def acts(value: Any) -> None:
            done.append(value)

        @workflow
        async def passes() -> None:
            await acts(object())

        async with ground.runtime(passes) as runtime:
            with pytest.raises(CodecError, match="acts"):
                await (await runtime.start(passes)).result()
        assert done == []

    async def test_a_result_that_cannot_be_recorded_fails_the_execution(self, ground: Ground) -> None:
        @workflow
        async def returns() -> Any:
            return object()

        async with ground.runtime(returns) as runtime:
            with pytest.raises(CodecError):
                await (await runtime.start(returns)).result()

    async def test_retries_are_journaled_and_restarts_do_not_forget_the_count(self, ground: Ground) -> None:
        attempts: list[float] = []

        @step(retry=Retry(4, "fixed", initial=60, jitter=False))
        async def flaky() -> None:
            attempts.append(ground.clock.now())
            raise ConnectionError("down")

        @workflow
        async def tries() -> None:
            await flaky()

        async with ground.runtime(tries, dies=True) as runtime:
            handle = await runtime.start(tries)
            await runtime.engine.waiting(handle.id)
            assert len(attempts) == 1
        async with ground.runtime(tries) as runtime:
            with pytest.raises(ConnectionError, match="down"):
                await runtime.handle(handle.id).result()
            events = await runtime.handle(handle.id).events()
        assert len(attempts) == 4
        assert [b - a for a, b in pairwise(attempts)] == pytest.approx([60] * 3, abs=0.1)
        assert types(events, "step") == ["step.retried"] * 3 + ["step.failed"]
        assert [event.attempt for event in events if event.type.startswith("step")] == [1, 2, 3, 4]

    async def test_errors_that_are_not_to_be_retried_are_not(self, ground: Ground) -> None:
        attempts: list[int] = []

        @step(retry=Retry(5, initial=1, on=OSError, never_on=PermissionError))
        async def opens(error: str) -> None:
            attempts.append(1)
            raise {"os": OSError, "permission": PermissionError, "value": ValueError}[error]

        @workflow
        async def tries(error: str) -> None:
            await opens(error)

        for error, expected in (("os", 5), ("permission", 1), ("value", 1)):
            attempts.clear()
            with pytest.raises(Exception, match=r".*"):
                await self.finished(ground, tries, error)
            assert len(attempts) == expected

    async def test_branches_with_retries_outlive_any_crash(self, ground: Ground) -> None:
        @step(retry=Retry(3, initial=2))
        async def flaky(name: str, attempt: list[int]) -> str:
            failures.setdefault(idempotency_key(), 0)
            failures[idempotency_key()] += 1
            if failures[idempotency_key()] < 2:
                raise ConnectionError(name)
            return name

        @workflow
        async def branches() -> list[str]:
            return await asyncio.gather(*(flaky(name, [1]) for name in "abcde"))

        failures: dict[str, int] = {}
        assert await self.outlives(ground, branches) == ("returned", list("abcde"))

    async def test_a_timeout_cancels_the_attempt(self, ground: Ground) -> None:
        log: list[str] = []

        @step(timeout="5s", retry=Retry(2, initial=1))
        async def slow() -> None:
            log.append("begun")
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                log.append("cancelled")
                raise

        @workflow
        async def waits() -> str:
            try:
                await slow()
            except TimeoutError as error:
                return type(error).__name__
            return ""

        assert await self.finished(ground, waits) == StepTimeout.__name__
        assert log == ["begun", "cancelled"] * 2

    async def test_a_timeout_of_the_steps_own_is_just_its_error(self, ground: Ground) -> None:
        @step(timeout=50)
        async def gives_up() -> None:
            async with asyncio.timeout(1):
                await asyncio.sleep(10)

        @workflow
        async def waits() -> str:
            try:
                await gives_up()
            except TimeoutError as error:
                return type(error).__name__
            return ""

        assert await self.finished(ground, waits) == "TimeoutError"

    async def test_a_step_that_cancels_itself_does_not_hang(self, ground: Ground) -> None:
        @step
        async def confused() -> None:
            raise asyncio.CancelledError

        @workflow
        async def waits() -> str:
            try:
                await confused()
            except asyncio.CancelledError:
                return "cancelled"
            return ""

        assert await self.outlives(ground, waits) == ("returned", "cancelled")

    async def test_a_step_may_even_raise_what_closes_generators(self, ground: Ground) -> None:
        @step
        async def closes() -> None:
            raise GeneratorExit("enough")

        @workflow
        async def sees() -> str:
            try:
                await closes()
            except StepFailed as error:
                return str(error)
            return "nothing"

        assert "enough" in await self.finished(ground, sees)

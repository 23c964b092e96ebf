"""Steps and workflows: what decoration keeps, what the journal holds, how failures and retries behave."""

import asyncio
import inspect
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from assent import Retry, execution, idempotency_key, now, random, signal, step, uuid4, workflow
from assent.errors import (
    CodecError,
    DuplicateWorkflow,
    ExecutionConflict,
    ExecutionFailed,
    OutsideWorkflow,
    StepFailed,
    StepTimeout,
)
from assent.store import Status
from tests.conformance.engine.ground import Ground, Suite, types


@dataclass(frozen=True)
class Order:
    total: Decimal
    at: datetime
    lines: tuple[str, ...] = ()


class Declined(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"declined with {code}: {text}")
        self.code = code


class Awkward(Exception):
    """Cannot be found again under its name."""


Awkward.__qualname__ = "Elsewhere"


@step
async def double(order: Order, times: int = 2) -> Order:
    """Make it more."""
    return Order(order.total * times, order.at, order.lines * times)


@workflow
async def doubles(order: Order) -> Order:
    return await double(await double(order), times=3)


@step
def in_thread(main: int) -> bool:
    return threading.get_ident() != main


class Basics(Suite):
    async def test_decoration_keeps_name_signature_and_doc(self, ground: Ground) -> None:
        assert str(inspect.signature(double)) == str(inspect.signature(double.__wrapped__))
        assert (double.spec.name, double.__doc__) == ("double", "Make it more.")
        assert (doubles.name, doubles.version) == ("doubles", 1)

    async def test_values_cross_the_journal_as_their_types(self, ground: Ground) -> None:
        order = Order(Decimal("10.10"), datetime(2026, 1, 1, tzinfo=UTC), ("a",))
        expected = Order(Decimal("60.60"), order.at, ("a",) * 6)
        assert await doubles(order) == expected
        assert await self.outlives(ground, doubles, order) == ("returned", expected)

    async def test_a_workflow_called_under_a_runtime_is_an_execution(self, ground: Ground) -> None:
        order = Order(Decimal(1), datetime(2026, 1, 1, tzinfo=UTC))
        async with ground.runtime(doubles) as runtime:
            assert (await doubles(order)).total == 6
            (record,) = await runtime.executions(name="doubles")
            assert record.status is Status.COMPLETED

    async def test_a_plain_step_runs_in_a_thread(self, ground: Ground) -> None:
        @workflow
        async def runs() -> bool:
            return await in_thread(threading.get_ident())

        assert await runs()
        assert await self.finished(ground, runs)

    async def test_steps_and_workflows_have_names_of_their_own(self, ground: Ground) -> None:
        @step(name="charge")
        async def unnamed() -> None: ...

        @workflow(name="billing", version=3)
        async def bills() -> tuple[str, int]:
            await unnamed()
            return execution().name, execution().version

        async with ground.runtime(bills) as runtime:
            handle = await runtime.start(bills)
            assert await handle.result() == ("billing", 3)
            assert [event.name for event in await handle.events() if event.type == "step.completed"] == ["charge"]

    async def test_a_nested_workflow_is_part_of_the_same_journal(self, ground: Ground) -> None:
        @workflow
        async def outer(order: Order) -> Order:
            return await doubles(order)

        order = Order(Decimal(1), datetime(2026, 1, 1, tzinfo=UTC))
        async with ground.runtime(outer) as runtime:
            handle = await runtime.start(outer, order)
            assert (await handle.result()).total == 6
            assert len(await runtime.executions()) == 1
            assert types(await handle.events(), "step") == ["step.completed"] * 2

    async def test_methods_can_be_steps(self, ground: Ground) -> None:
        class Shop:
            def __init__(self, factor: int) -> None:
                self.factor = factor

            @step
            async def price(self, amount: int) -> int:
                return self.factor * amount

        shop = Shop(3)

        @workflow
        async def buys(amount: int) -> int:
            return await shop.price(amount)

        assert await buys(2) == await self.finished(ground, buys, 2) == 6

    async def test_two_functions_of_one_name_are_refused(self, ground: Ground) -> None:
        def make() -> Any:
            @workflow(name="twice")
            async def fn() -> None: ...

            return fn

        async with ground.runtime(make()) as runtime:
            with pytest.raises(DuplicateWorkflow, match="twice"):
                await runtime.start(make())

    async def test_the_same_id_with_the_same_arguments_is_the_same_execution(self, ground: Ground) -> None:
        order = Order(Decimal(1), datetime(2026, 1, 1, tzinfo=UTC))
        async with ground.runtime(doubles) as runtime:
            first = await runtime.start(doubles, order, id="order-1")
            again = await runtime.start(doubles, order=order, id="order-1")
            assert first.id == again.id
            assert await first.result() == await again.result()
            with pytest.raises(ExecutionConflict, match="order-1"):
                await runtime.start(doubles, Order(Decimal(2), order.at), id="order-1")
        async with ground.runtime(doubles, worker=False) as runtime:
            assert await (await runtime.start(doubles, order, id="order-1")).result() == await first_result(runtime)
            with pytest.raises(ExecutionConflict):
                await runtime.start(doubles, Order(Decimal(2), order.at), id="order-1")

    async def test_two_starts_of_one_id_at_once_are_one_execution(self, ground: Ground) -> None:
        order = Order(Decimal(1), datetime(2026, 1, 1, tzinfo=UTC))
        async with ground.runtime(doubles) as runtime:
            await asyncio.gather(*(runtime.start(doubles, order, id="one") for _ in range(5)))
            assert await first_result(runtime, "one") == await doubles(order)
            assert types(await runtime.handle("one").events(), "execution.started", "step") == [
                "execution.started",
                "step.completed",
                "step.completed",
            ]

    async def test_ambient_values_are_the_same_on_replay(self, ground: Ground) -> None:
        @step
        async def nothing() -> None: ...

        @workflow
        async def asks() -> list[str]:
            drawn = [str(uuid4()), str(random()), execution().id]
            await nothing()
            await asyncio.sleep(5)
            return [*drawn, str(uuid4()), str(random())]

        drawn: set[str] = set()
        async with ground.runtime(asks, dies=True) as runtime:
            handle = await runtime.start(asks)
            await runtime.engine.waiting(handle.id)
        async with ground.runtime(asks, check_replay=True) as runtime:
            drawn.update(await runtime.handle(handle.id).result())
        assert len(drawn) == 5
        assert UUID(max(drawn, key=len)).version in {4, 7}

    async def test_now_stands_still_between_completions(self, ground: Ground) -> None:
        @workflow
        async def looks() -> tuple[float, float]:
            before = now()
            assert now() == before
            await asyncio.sleep(60)
            return before.timestamp(), now().timestamp()

        before, after = await self.finished(ground, looks)
        assert after - before >= 60

    async def test_ambient_functions_outside_say_so(self, ground: Ground) -> None:
        with pytest.raises(OutsideWorkflow, match="signal"):
            await signal("any")
        with pytest.raises(OutsideWorkflow, match="execution"):
            execution()
        assert idempotency_key() != idempotency_key()
        assert now().tzinfo is UTC
        assert 0 <= random() < 1
        assert uuid4() != uuid4()

    async def test_idempotency_keys_are_stable_over_retries_and_differ_between_steps(self, ground: Ground) -> None:
        keys: list[str] = []

        @step(retry=Retry(3, initial=1))
        async def sends() -> None:
            keys.append(idempotency_key())
            if len(keys) in {1, 2}:
                raise ConnectionError

        @workflow
        async def twice() -> None:
            await sends()
            await sends()

        async with ground.runtime(twice, dies_after=2) as runtime:
            await runtime.start(twice, id="twice")
            await ground.dead.wait()
        async with ground.runtime(twice) as runtime:
            await runtime.handle("twice").result()
        assert len(set(keys[:-1])) == 1
        assert keys[-1] not in keys[:-1]

    async def test_large_values_are_stored_once_and_come_back(self, ground: Ground) -> None:
        large = "x" * 300_000

        @step
        async def echoes(text: str) -> str:
            return text

        @workflow
        async def repeats(text: str) -> int:
            return len(await echoes(text)) + len(await echoes(text))

        assert await self.outlives(ground, repeats, large) == ("returned", 600_000)
        async with ground.runtime(repeats) as runtime:
            handle = runtime.handle("undisturbed")
            shown = [event.value for event in await handle.events() if event.type == "step.completed"]
            assert shown == [f'"{large}"'] * 2
            assert len((await handle.record()).arguments) < 1000

    async def test_executions_are_listed(self, ground: Ground) -> None:
        @workflow
        async def waits(i: int) -> int:
            return i if i < 2 else await signal("never", int)

        async with ground.runtime(waits) as runtime:
            for i in range(4):
                await runtime.start(waits, i, id=f"w{i}")
                await runtime.engine.waiting(f"w{i}")
                ground.clock.advance(1)
            middle = (await runtime.handle("w2").record()).created_at
            assert [each.id for each in await runtime.executions()] == ["w3", "w2", "w1", "w0"]
            assert [each.id for each in await runtime.executions(status="completed")] == ["w1", "w0"]
            assert [each.id for each in await runtime.executions(status="suspended", limit=1)] == ["w3"]
            assert [each.id for each in await runtime.executions(since=middle, name="waits")] == ["w3", "w2"]
            assert await runtime.executions(name="other") == []


async def first_result(runtime: Any, id: str = "order-1") -> Any:
    return await runtime.handle(id).result()


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

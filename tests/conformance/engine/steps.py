"""Steps and workflows: what decoration keeps, and what the journal holds."""

import asyncio
import inspect
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from assent import Retry, execution, idempotency_key, now, random, signal, step, uuid4, workflow
from assent.errors import (
    DuplicateWorkflow,
    ExecutionConflict,
    OutsideWorkflow,
)
from assent.store import Status
from tests.conformance.engine.ground import Ground, Suite, types


@dataclass(frozen=True)
class Order:
    total: Decimal
    at: datetime
    lines: tuple[str, ...] = ()


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

    async def test_methods_can_be_workflows(self, ground: Ground) -> None:
        class Shop:
            def __init__(self, factor: int) -> None:
                self.factor = factor

            @workflow
            async def price(self, amount: int) -> int:
                return self.factor * amount

        async with ground.runtime() as runtime:
            assert [await Shop(3).price(2), await Shop(4).price(2)] == [6, 8]
            handle = await runtime.start(Shop(5).price, 2)
            assert (await handle.result(), (await handle.record()).arguments) == (10, '{"amount":2}')

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

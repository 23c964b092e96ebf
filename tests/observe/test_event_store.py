"""EventStore: what it says of runs and costs, and that it says so under concurrency, nesting and cancellation."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assent import Principal, Retry, Runtime, acting_as, step, workflow
from assent.agents.messages import AssistantMessage, ModelResponse, Usage
from assent.errors import ExecutionNotFound, RuntimeRequired, UsageError
from assent.observe import EventStore
from assent.store import Status
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingLoop, memory_runtime
from assent.testing.scripted import ScriptedModel, tool_call
from tests.observe.agents import look_up, run_agent


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": JumpingLoop}


def answer(cost: str | None = "1", tokens: int = 10, *, model: str = "gpt-5", cached: bool = False) -> ModelResponse:
    price = None if cost is None else Decimal(cost)
    usage = Usage(tokens, tokens)
    return ModelResponse(message=AssistantMessage("ok"), model=model, usage=usage, cost=price, cached=cached)


def says(*answers: Any, name: str = "openai:gpt-5") -> ScriptedModel:
    return ScriptedModel(*answers, name=name)


@workflow
async def single(cost: str = "1") -> str:
    return await run_agent("writer", says(answer(cost)), 1)


@workflow
async def three_at_once() -> None:
    await asyncio.gather(*(run_agent(name, says(answer()), run) for run, name in enumerate("abc", 1)))


@workflow
async def researching() -> None:
    """A researcher that asks a writer as its tool, and looks up two words."""

    async def writer(topic: str) -> str:
        return await run_agent("writer", says(answer("0.25")), 2)

    calls = [tool_call("writer", topic="moon"), tool_call("look_up", word="moon"), tool_call("look_up", word="sun")]
    await run_agent("researcher", says(calls, answer("2")), 1, {"writer": writer, "look_up": look_up})


@workflow
async def interrupted() -> None:
    async def ask_forever() -> None:
        await run_agent("slow", says(lambda _: asyncio.sleep(1e6, answer())), 2)

    slow = asyncio.create_task(ask_forever())
    await run_agent("quick", says(answer()), 1)
    slow.cancel()
    await asyncio.wait([slow])


@workflow
async def failing() -> None:
    await run_agent("writer", says(answer("0.5")), 1, stop="output_invalid")
    raise ValueError("nothing fits")


async def test_three_runs_at_once_cost_what_each_of_them_cost() -> None:
    async with memory_runtime():
        await asyncio.gather(*(single() for _ in range(3)))
        runs = await EventStore().get_executions(agent_name="writer")
    assert [run.metrics.total_cost for run in runs] == [1, 1, 1]
    assert len({run.execution_id for run in runs}) == 3


async def test_three_runs_at_once_in_one_execution_cost_what_each_of_them_cost() -> None:
    async with memory_runtime():
        await three_at_once()
        events = EventStore()
        (whole,) = await events.get_executions()
        costs = {name: (await events.get_executions(agent_name=name))[0].metrics.total_cost for name in "abc"}
    assert costs == {"a": 1, "b": 1, "c": 1}
    assert whole.metrics.total_cost == 3
    assert [(one.name, one.run, float(one.metrics.total_cost)) for one in whole.agents] == [
        ("a", 1, 1),
        ("b", 2, 1),
        ("c", 3, 1),
    ]


async def test_a_nested_run_keeps_its_own_costs() -> None:
    async with memory_runtime():
        await researching()
        (whole,) = await EventStore().get_executions()
        (writer,) = await EventStore().get_executions(agent_name="writer")
        costs = {one.key: one.metrics.total_cost for one in await EventStore().get_costs("agent")}
    researcher = whole.agents[0]
    assert (researcher.metrics.total_cost, writer.metrics.total_cost, whole.metrics.total_cost) == (
        Decimal(2),
        Decimal("0.25"),
        Decimal("2.25"),
    )
    assert (researcher.metrics.llm_calls, researcher.metrics.tool_calls, writer.metrics.llm_calls) == (2, 3, 1)
    assert costs == {"researcher": 2, "writer": Decimal("0.25")}


async def test_what_was_cancelled_has_not_completed_and_does_not_run() -> None:
    async with memory_runtime():
        await interrupted()
        (whole,) = await EventStore().get_executions()
    assert {one.name: one.status for one in whole.agents} == {"quick": Status.COMPLETED, "slow": Status.CANCELLED}
    assert whole.status is Status.COMPLETED


async def test_a_cancelled_execution_says_so() -> None:
    async with memory_runtime() as runtime:

        @workflow
        async def waits() -> None:
            await run_agent("slow", says(lambda _: asyncio.Event().wait()), 1)

        handle = await runtime.start(waits)
        await asyncio.sleep(0)
        await handle.cancel("enough")
        with pytest.raises(Exception, match="enough"):
            await handle.result()
        run = await EventStore().get_execution(handle.id)
    assert (run.status, run.error) == (Status.CANCELLED, "enough")
    assert [one.status for one in run.agents] == [Status.CANCELLED]


async def test_a_failed_run_says_why() -> None:
    async with memory_runtime():
        with pytest.raises(ValueError, match="nothing fits"):
            await failing()
        (whole,) = await EventStore().get_executions(status="failed")
        (writer,) = await EventStore().get_executions(agent_name="writer", status=Status.FAILED)
        assert await EventStore().get_executions(agent_name="writer", status="completed") == []
    assert whole.error == "ValueError: nothing fits"
    assert (writer.stop, writer.error, writer.metrics.total_cost) == (
        "output_invalid",
        "output_invalid",
        Decimal("0.5"),
    )


async def test_the_newest_come_first_and_no_more_than_are_wanted() -> None:
    async with memory_runtime() as runtime:
        for number in range(4):
            await (await runtime.start(single, str(number))).result()
            await asyncio.sleep(60)
        events = EventStore()
        every = await events.get_executions()
        newest = await events.get_executions(limit=2)
        since = await events.get_executions(since=every[1].started_at)
        mine = await events.get_executions(agent_name="writer", limit=2)
        late = await events.get_executions(agent_name="writer", since=every[1].started_at)
    assert [run.metrics.total_cost for run in every] == [3, 2, 1, 0]
    assert newest == since == every[:2]
    assert [run.metrics.total_cost for run in mine] == [run.metrics.total_cost for run in late] == [3, 2]


async def test_a_name_that_no_agent_bears_is_that_of_an_execution() -> None:
    async with memory_runtime():
        await single()
        (run,) = await EventStore().get_executions(agent_name="single")
        assert await EventStore().get_executions(agent_name="nobody") == []
    assert (run.name, run.run, float(run.metrics.total_cost)) == ("single", None, 1)


async def test_an_answer_from_the_cache_costs_nothing_and_an_unknown_price_is_told() -> None:
    @workflow
    async def mixed() -> None:
        await run_agent("a", says(answer("1", cached=True)), 1)
        await run_agent("a", says(answer(None, 5)), 2)

    async with memory_runtime():
        await mixed()
        (run,) = await EventStore().get_executions()
    took = run.metrics
    assert (float(took.total_cost), took.total_tokens, took.llm_calls, took.cache_hits, took.unpriced) == (
        0,
        10,
        1,
        1,
        1,
    )


async def test_a_retried_request_counts_once() -> None:
    @step(name="model openai:gpt-5", retry=Retry(attempts=3, initial=0.01))
    async def flaky(agent: str, run: int, turn: int) -> ModelResponse:
        tries.append(turn)
        if len(tries) < 3:
            raise ConnectionError("busy")
        return answer("0.1")

    tries: list[int] = []

    @workflow
    async def stubborn() -> None:
        await flaky("a", 1, 1)

    async with memory_runtime():
        await stubborn()
        (run,) = await EventStore().get_executions()
    assert (run.metrics.llm_calls, run.metrics.total_cost) == (1, Decimal("0.1"))


async def test_a_request_that_takes_long_is_its_agents_too() -> None:
    """Its arguments then stand in the event that tells of its beginning."""

    @step(name="model openai:gpt-5", once=True)
    async def ask(agent: str, run: int, turn: int) -> ModelResponse:
        return answer()

    @workflow
    async def slow() -> None:
        await ask("patient", 1, 1)

    async with memory_runtime():
        await slow()
        (cost,) = await EventStore().get_costs("agent")
    assert (cost.key, float(cost.metrics.total_cost)) == ("patient", 1)


async def test_a_large_answer_is_counted() -> None:
    large = ModelResponse(message=AssistantMessage("x" * 300_000), model="gpt-5", cost=Decimal(3))

    @workflow
    async def verbose() -> None:
        await run_agent("a", says(large), 1)

    async with memory_runtime():
        await verbose()
        (run,) = await EventStore().get_executions()
        (cost,) = await EventStore().get_costs()
    assert run.metrics.total_cost == cost.metrics.total_cost == 3


async def test_costs_are_added_up_by_model_user_and_day() -> None:
    @workflow
    async def mixed(model: str, cost: str) -> None:
        await run_agent("a", says(answer(cost, model=model), name=f"openai:{model}"), 1)

    async with memory_runtime() as runtime:
        with acting_as(Principal("alice")):
            await mixed("small", "1")
            await mixed("large", "5")
        await asyncio.sleep(86400)
        await mixed("small", "2")
        events = EventStore()
        by_model, by_user, by_day = [await events.get_costs(by) for by in ("model", "user", "day")]
        tomorrow = datetime.fromtimestamp(runtime.clock.now(), UTC)
        late = await events.get_costs("model", since=tomorrow.timestamp() - 3600)
        far_east = await events.get_costs("day", zone=timezone(timedelta(hours=14)))
    assert [(one.key, float(one.metrics.total_cost)) for one in by_model] == [("large", 5), ("small", 3)]
    assert [(one.key, float(one.metrics.total_cost)) for one in by_user] == [("alice", 6), ("(nobody)", 2)]
    assert [one.metrics.total_cost for one in by_day] == [6, 2]
    assert by_day[1].key == tomorrow.date().isoformat()
    assert [(one.key, float(one.metrics.total_cost)) for one in late] == [("small", 2)]
    assert [one.metrics.total_cost for one in far_east] == [6, 2]


async def test_summary_stats_count_and_add_up() -> None:
    async with memory_runtime():
        events = EventStore()
        nothing = await events.get_summary_stats()
        await single()
        await single("2")
        with pytest.raises(ValueError, match="nothing"):
            await failing()
        found = await events.get_summary_stats()
        singles = await events.get_summary_stats(name="single")
    assert (nothing.total, nothing.avg_duration, float(nothing.metrics.total_cost)) == (0, 0.0, 0)
    assert (found.total, found.completed, found.failed, found.cancelled, found.open) == (3, 2, 1, 0, 0)
    assert (found.metrics.total_cost, singles.metrics.total_cost) == (Decimal("3.5"), Decimal(3))
    assert singles.total == 2


async def test_another_process_reads_the_same_and_nothing_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    async with Runtime(url):
        await single()
        before = await EventStore().get_executions()
    async with SqliteStore(url) as store:
        last = await store.last_seq()
        events = EventStore(store)
        assert await events.get_executions() == before
        await events.get_costs("user")
        await events.get_spans(before[0].execution_id)
        assert await store.last_seq() == last


async def test_it_says_what_is_missing() -> None:
    with pytest.raises(RuntimeRequired, match="give it a store"):
        await EventStore().get_executions()
    async with memory_runtime():
        with pytest.raises(ExecutionNotFound):
            await EventStore().get_execution("x")
        with pytest.raises(UsageError, match="agent, model, day, user"):
            await EventStore().get_costs("colour")  # type: ignore[arg-type]  # that is the point


async def test_workflow_code_is_told_to_read_in_a_step() -> None:
    @step
    async def spent() -> Decimal:
        return (await EventStore().get_summary_stats()).metrics.total_cost

    @workflow
    async def frugal() -> Decimal:
        await run_agent("a", says(answer()), 1)
        with pytest.raises(UsageError, match="@step"):
            await EventStore().get_executions()
        return await spent()

    async with memory_runtime():
        assert await frugal() == 1

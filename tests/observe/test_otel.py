"""OpenTelemetry: the spans of an execution, in whose trace they are, and that a restart changes nothing of that."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from assent import Principal, Retry, Runtime, acting_as, approve, signal, step, workflow
from assent.engine import current
from assent.errors import UsageError
from assent.observe.conventions import PROVIDERS, name_of
from assent.observe.otel import OpenTelemetry
from assent.observe.spans import spans_of
from assent.testing import memory_runtime
from assent.testing.scripted import tool_call
from tests.observe.agents import look_up, run_agent
from tests.observe.test_event_store import answer, says


class Place:
    """A provider that keeps what it is told, and telemetry that tells it."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.telemetry = OpenTelemetry(self.provider)
        self.tracer = self.provider.get_tracer("the caller")

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        self.telemetry.flush()
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.provider.shutdown()


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> SpanContext:
    found: SpanContext | None = span.context
    assert found is not None
    return found


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


@step
async def double(number: int) -> int:
    return 2 * number


@step(retry=Retry(attempts=2, initial=0.001))
async def shaky(fails: int) -> str:
    attempts.append(1)
    if len(attempts) <= fails:
        raise ConnectionError("down")
    return "up"


attempts: list[int] = []


@workflow
async def researching() -> int:
    calls = [tool_call("look_up", word="moon"), tool_call("double", number=2)]
    await run_agent("researcher", says(calls, answer("2")), 1, {"look_up": look_up, "double": double})
    return await double(1)


@workflow
async def parked() -> int:
    first = await double(1)
    return first + await signal("go", int)


@workflow
async def asks() -> None:
    await approve("Buy it", approvers=["cfo@company.com"], within="1h")


async def test_agents_requests_tools_and_steps_are_spans_in_each_other(place: Place) -> None:
    async with memory_runtime(watchers=[place.telemetry]):
        with acting_as(Principal("alice")):
            await researching()
    spans = place.spans
    whole, agent = spans["researching"], spans["invoke_agent researcher"]
    assert parent(whole) is None
    assert parent(agent) == ids(whole).span_id
    assert {parent(spans[name]) for name in ("chat gpt-5", "execute_tool look_up")} == {ids(agent).span_id}
    doubles = [span for span in place.exporter.get_finished_spans() if span.name == "double"]
    assert [parent(span) for span in doubles] == [ids(agent).span_id, ids(whole).span_id]
    assert len({ids(span).trace_id for span in spans.values()}) == 1
    assert len({ids(span).span_id for span in place.exporter.get_finished_spans()}) == 7
    assert facts(whole)["user.id"] == "alice"


async def test_a_model_request_follows_the_genai_conventions(place: Place) -> None:
    async with memory_runtime(watchers=[place.telemetry]):
        await researching()
    chat = place.spans["chat gpt-5"]  # the second of the two
    assert chat.kind is SpanKind.CLIENT
    assert facts(chat) == {
        "assent.execution.id": facts(place.spans["researching"])["assent.execution.id"],
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.agent.name": "researcher",
        "assent.model.cost_usd": 2.0,
        "assent.model.cached": False,
    }
    assert facts(place.spans["execute_tool look_up"])["gen_ai.tool.name"] == "look_up"
    assert facts(place.spans["invoke_agent researcher"])["assent.agent.stop"] == "final"
    assert PROVIDERS["google"] == "gcp.gemini"


async def test_neither_prompts_nor_arguments_nor_results_are_told(place: Place) -> None:
    async with memory_runtime(watchers=[place.telemetry]):
        await researching()
    told = " ".join(span.to_json() for span in place.spans.values())
    assert "do it" not in told
    assert "moon" not in told


async def test_an_execution_is_in_the_trace_of_its_caller(place: Place) -> None:
    async with memory_runtime(watchers=[place.telemetry]) as runtime:
        with place.tracer.start_as_current_span("request") as request:
            handle = await runtime.start(researching)
        await handle.result()
    assert parent(place.spans["researching"]) == request.get_span_context().span_id
    assert {ids(span).trace_id for span in place.spans.values()} == {request.get_span_context().trace_id}


async def test_a_step_finds_its_own_span_as_the_current_one(place: Place) -> None:
    @step
    async def calls_out() -> str:
        with place.tracer.start_as_current_span("http request"):
            return "answer"

    @workflow
    async def outgoing() -> str:
        assert not trace.get_current_span().get_span_context().is_valid
        return await calls_out()

    async with memory_runtime(watchers=[place.telemetry]):
        with place.tracer.start_as_current_span("request"):
            await outgoing()
    assert parent(place.spans["http request"]) == ids(place.spans[calls_out.spec.name]).span_id


async def test_a_child_lies_in_the_step_that_started_it(place: Place) -> None:
    @workflow
    async def parents() -> int:
        return int(await (await runtime.start(parked, id="child")).result())

    async with memory_runtime(watchers=[place.telemetry]) as runtime:
        handle = await runtime.start(parents)
        await runtime.engine.waiting(handle.id)
        await runtime.handle("child").signal("go", 1)
        assert await handle.result() == 3
    starting = place.spans["start parked"]
    assert parent(place.spans["parked"]) == ids(starting).span_id
    assert ids(place.spans["parked"]).trace_id == ids(starting).trace_id


async def test_spans_of_two_processes_are_one_trace(tmp_path: Path) -> None:
    """What the second process tells lies in the same trace, under the same parents, though it shares no memory."""
    url, first, second = f"sqlite:///{tmp_path}/a.db", Place(), Place()
    async with Runtime(url, watchers=[first.telemetry], workflows=[parked]) as runtime:
        with first.tracer.start_as_current_span("request") as request:
            handle = await runtime.start(parked)
        await runtime.engine.waiting(handle.id)
    async with Runtime(url, watchers=[second.telemetry], workflows=[parked]) as runtime:
        await runtime.handle(handle.id).signal("go", 1)
        assert await runtime.handle(handle.id).result() == 3
    assert "parked" not in first.spans
    (step_span,) = [span for span in first.spans.values() if span.name == "double"]
    whole = second.spans["parked"]
    assert list(second.spans) == ["parked"]
    assert parent(step_span) == ids(whole).span_id
    assert parent(whole) == request.get_span_context().span_id
    assert ids(whole).trace_id == ids(step_span).trace_id == request.get_span_context().trace_id
    assert (whole.start_time or 0) <= (step_span.start_time or 0) < (whole.end_time or 0)


async def test_an_execution_that_another_process_begins_is_in_the_trace_of_its_caller(tmp_path: Path) -> None:
    url, web, worker = f"sqlite:///{tmp_path}/a.db", Place(), Place()
    async with Runtime(url, watchers=[web.telemetry], worker=False) as runtime:
        with web.tracer.start_as_current_span("request") as request:
            handle = await runtime.start(researching)
    async with Runtime(url, watchers=[worker.telemetry], workflows=[researching]) as runtime:
        await runtime.handle(handle.id).result()
    assert list(web.spans) == ["request"]
    assert parent(worker.spans["researching"]) == request.get_span_context().span_id


async def test_an_agent_that_goes_on_in_another_process_is_one_span(tmp_path: Path) -> None:
    @workflow
    async def halting() -> None:
        live = current()
        assert live is not None
        live.note("agent.started", {"agent": "a", "run": 1})
        await signal("go", int)
        live.note("agent.ended", {"agent": "a", "run": 1, "stop": "turn_limit"})

    url, first, second = f"sqlite:///{tmp_path}/a.db", Place(), Place()
    async with Runtime(url, watchers=[first.telemetry], workflows=[halting]) as runtime:
        handle = await runtime.start(halting)
        await runtime.engine.waiting(handle.id)
    async with Runtime(url, watchers=[second.telemetry], workflows=[halting]) as runtime:
        await runtime.handle(handle.id).signal("go", 1)
        await runtime.handle(handle.id).result()
    agent = second.spans["invoke_agent a"]
    assert first.spans == {}
    assert (agent.status.status_code, facts(agent)["error.type"]) == (StatusCode.ERROR, "turn_limit")


async def test_each_attempt_of_a_step_is_a_span(place: Place) -> None:
    @workflow
    async def stubborn() -> str:
        return await shaky(1)

    attempts.clear()
    async with memory_runtime(watchers=[place.telemetry]):
        await stubborn()
    place.telemetry.flush()
    first, second = [span for span in place.exporter.get_finished_spans() if span.name == "shaky"]
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "ConnectionError: down")
    assert (second.status.status_code, facts(second)["assent.step.attempt"]) == (StatusCode.UNSET, 2)
    assert ids(first).span_id != ids(second).span_id


async def test_an_approval_is_a_span_from_the_question_to_the_verdict(place: Place) -> None:
    async with memory_runtime(watchers=[place.telemetry]) as runtime:
        handle = await runtime.start(asks)
        await runtime.engine.waiting(handle.id)
        (question,) = await runtime.approvals()
        decided = await runtime.decide(question.id, approver="cfo@company.com")
        await handle.result()
    span = next(one for name, one in place.spans.items() if name.startswith("approval "))
    assert facts(span)["assent.approval.status"] == "granted"
    assert facts(span)["assent.approval.id"] == question.id
    assert span.end_time == int((decided.decided_at or 0) * 1e9)


async def test_the_sampler_decides_for_whole_executions_and_heeds_the_caller() -> None:
    place = Place(sampler=ParentBased(TraceIdRatioBased(0.5)))
    async with memory_runtime(watchers=[place.telemetry]) as runtime:
        for number in range(20):
            await (await runtime.start(researching, id=str(number))).result()
    place.telemetry.flush()
    traces: dict[int, int] = {}
    for span in place.exporter.get_finished_spans():
        traces[ids(span).trace_id] = traces.get(ids(span).trace_id, 0) + 1
    assert 0 < len(traces) < 20
    assert set(traces.values()) == {7}


async def test_nothing_is_told_of_what_is_not_sampled() -> None:
    place = Place(sampler=ALWAYS_OFF)
    async with memory_runtime(watchers=[place.telemetry]):
        await researching()
    assert place.spans == {}


async def test_the_spans_are_those_of_the_journal(place: Place) -> None:
    async with memory_runtime(watchers=[place.telemetry]) as runtime:
        handle = await runtime.start(researching)
        await handle.result()
        record = await runtime.engine.execution(handle.id)
        read = spans_of(record, await handle.events())
    place.telemetry.flush()
    told = place.exporter.get_finished_spans()
    assert sorted(span.name for span in told) == sorted(name_of(span) for span in read)


async def test_an_exporter_that_fails_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            raise RuntimeError("no network")

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Broken()))
    async with memory_runtime(watchers=[OpenTelemetry(provider)]):
        assert await researching() == 2
    assert "no network" in caplog.text


def test_without_a_provider_it_says_so() -> None:
    with pytest.raises(UsageError, match="set_tracer_provider"):
        OpenTelemetry()


async def test_executions_that_leave_memory_are_let_go(tmp_path: Path) -> None:
    place = Place()
    async with Runtime(f"sqlite:///{tmp_path}/a.db", watchers=[place.telemetry]) as runtime:
        handles = [await runtime.start(parked) for _ in range(20)]
        await asyncio.gather(*(runtime.engine.waiting(handle.id) for handle in handles))
        place.telemetry.flush()
        assert len(place.telemetry._followed) == 0

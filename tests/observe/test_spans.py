"""A journal as spans: wherever it is cut, both halves tell the whole, and what has not ended is open."""

from collections.abc import Sequence

import pytest

from assent import approve, step, workflow
from assent.observe import Span, SpanKind
from assent.observe.spans import VERDICTS, Trace, spans_of
from assent.store import Event, ExecutionRecord
from assent.testing import memory_runtime
from assent.testing.scripted import tool_call
from tests.observe.agents import look_up, run_agent
from tests.observe.test_event_store import answer, says

APPROVER = "cfo@company.com"


@step
async def book(seat: int) -> int:
    return seat


@workflow
async def travelling() -> None:
    """Two agents that call the same tool in the same turn, then a question to people, then a step."""
    calls = [tool_call("look_up", word="moon"), tool_call("book", seat=1)]
    await run_agent("a", says(calls, answer()), 1, {"look_up": look_up, "book": book})
    await approve("Fly", approvers=[APPROVER], within="1h")
    await book(2)


async def journal() -> tuple[ExecutionRecord, list[Event]]:
    async with memory_runtime() as runtime:
        handle = await runtime.start(travelling)
        await runtime.engine.waiting(handle.id)
        (question,) = await runtime.approvals()
        await runtime.decide(question.id, approver=APPROVER, reason="have fun")
        await handle.result()
        return await handle.record(), await handle.events()


def by_key(spans: Sequence[Span]) -> dict[str, Span]:
    return {span.key: span for span in spans}


async def test_wherever_a_journal_is_cut_both_halves_tell_the_whole() -> None:
    record, events = await journal()
    events = [event for event in events if event.type not in VERDICTS]  # which are told to nobody who drives it
    whole = by_key(spans_of(record, events))
    for cut in range(len(events) + 1):
        before, after = Trace(record), Trace(record)
        first = [span for event in events[:cut] for span in before.tell(event)]
        for event in events[:cut]:
            after.tell(event)
        second = [span for event in events[cut:] for span in after.tell(event)]
        assert by_key([*first, *second]) == whole
        assert len(first) + len(second) == len(whole)


async def test_spans_lie_in_what_asked_for_them() -> None:
    found = spans_of(*await journal())
    agent = next(span for span in found if span.kind is SpanKind.AGENT)
    inner = [span.name for span in found if span.parent == agent.key]
    assert found[0].parent is None
    assert sorted(inner) == ["book", "look_up", "openai:gpt-5", "openai:gpt-5"]
    assert [span.parent for span in found if span.name == "book"] == [agent.key, found[0].key]


async def test_an_approval_lasts_until_it_is_decided() -> None:
    record, events = await journal()
    (approval,) = [span for span in spans_of(record, events) if span.kind is SpanKind.APPROVAL]
    decided = next(event.at for event in events if event.type == "policy.approval.granted")
    assert approval.ended_at == pytest.approx(decided)
    assert approval.outcome == "done"
    assert (approval.facts["approver"], approval.reason) == (APPROVER, "have fun")


async def test_what_has_begun_and_not_ended_is_open() -> None:
    record, events = await journal()
    asked = next(place for place, event in enumerate(events) if event.type == "policy.approval.requested")
    trace = Trace(record)
    for event in events[: asked + 1]:
        trace.tell(event)
    assert [(span.kind, span.outcome) for span in trace.open] == [
        (SpanKind.EXECUTION, "open"),
        (SpanKind.APPROVAL, "open"),
    ]


async def test_a_journal_with_values_that_nobody_can_read_is_told_all_the_same() -> None:
    record, events = await journal()
    damaged = [event._replace(value="@withheld:abc", arguments=None) for event in events]
    assert spans_of(record, damaged)[0].outcome == "done"

"""Executions in a browser: the list, the timeline of one, and word to it."""

import asyncio
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from assent import agent, answer, tool
from assent.agents.messages import ModelRequest
from assent.store import Event, ExecutionRecord, Status
from assent.testing import ScriptedModel, tool_call
from assent.web.execution_chart import chart_of, length
from assent.web.execution_lanes import story_of
from assent.web.lanes import Story
from assent.web.reading import Told
from tests.web.doors import browser, csrf, text_of
from tests.web.place import Place, place

ANN, CFO, OPERATOR, STRANGER, VIEWER = (
    "ann@company.com",
    "cfo@company.com",
    "operator@company.com",
    "stranger@company.com",
    "viewer@company.com",
)
HOSTILE = "<script>alert(1)</script>\u202e\x1b[2J'\"&"


async def started(there: Place, name: str, **arguments: object) -> str:
    async with there.client(OPERATOR) as client:
        return await there.started(client, name, **arguments)


async def test_executions_are_listed_by_status_text_name_and_time() -> None:
    async with place() as there, browser(there, VIEWER) as viewer:
        assert "Nothing has run yet" in (await viewer.get("/executions")).text
        ordered, quoted = await started(there, "order", item="lamp"), await started(there, "quote", item="desk")
        await there.ended(quoted)
        both = (await viewer.get("/executions")).text
        assert f'href="/executions/{ordered}"' in both
        assert f'href="/executions/{quoted}"' in both
        assert "waits for the signal address" in text_of(both)
        for query in ("status=suspended", "text=lamp", "name=order", "since=1h&text=lamp"):
            page = (await viewer.get(f"/executions?{query}")).text
            assert ordered in page, query
            assert quoted not in page or "since" in query, query
        assert "No execution is like that" in (await viewer.get("/executions?text=nowhere")).text
        assert (await viewer.get("/executions?status=odd&since=odd")).status_code == 200


async def test_those_who_do_not_see_all_get_their_own_and_what_is_asked_of_them() -> None:
    async with place() as there, browser(there, CFO) as cfo, browser(there, STRANGER) as stranger:
        transfer = await started(there, "wire_transfer", amount="50000")
        ordered = await started(there, "order", item="lamp")
        page = (await cfo.get("/executions")).text
        assert transfer in page
        assert ordered not in page
        assert (await cfo.get(f"/executions/{transfer}")).status_code == 200
        assert (await cfo.get(f"/executions/{ordered}")).status_code == 404
        assert (await stranger.get(f"/executions/{transfer}")).status_code == 404
        assert "Nothing has run yet" in (await stranger.get("/executions")).text


async def test_the_timeline_says_who_decided_and_what_came_of_it() -> None:
    async with place() as there, browser(there, VIEWER) as viewer:
        transfer = await started(there, "wire_transfer", amount="50000")
        (asked,) = await there.runtime.approvals()
        waiting = text_of((await viewer.get(f"/executions/{transfer}")).text)
        assert "Waits for people" in waiting
        await there.runtime.decide(asked.id, approver=CFO, reason="fine <b>with</b> me")
        assert await there.ended(transfer) is Status.COMPLETED
        page = (await viewer.get(f"/executions/{transfer}")).text
        assert "cfo@company.com approved" in page
        assert "fine &lt;b&gt;with" in page
        assert "50000 to Acme" in page
        assert f'href="/approvals/{asked.id}"' in page
        assert re.search(r'class="bubble ok" cx="[\d.]+%"', page)
        assert "style=" not in page  # the policy on content forbids it


async def test_a_failure_shows_its_traceback_to_those_who_see_all() -> None:
    async with place() as there, browser(there, VIEWER) as viewer:
        failed = await started(there, "failing", item=HOSTILE)
        await there.ended(failed)
        page = (await viewer.get(f"/executions/{failed}")).text
        assert "KeyError" in page
        assert "Traceback" in page
        assert "<script>alert" not in page
        assert "\u202e" not in page
        listed = (await viewer.get("/executions")).text
        assert "<script>alert" not in listed


async def test_operators_cancel_signal_and_resolve() -> None:
    async with place() as there, browser(there, OPERATOR) as operator, browser(there, ANN) as ann:
        ordered, other = await started(there, "order", item="lamp"), await started(there, "order", item="desk")
        doubtful = await started(there, "doubtful", amount=3)
        token = {"csrf_token": csrf(operator)}
        assert "Did charge happen?" in (await operator.get(f"/executions/{doubtful}")).text
        signal = {**token, "name": "address", "value": '"Main Street"'}
        assert (await operator.post(f"/executions/{ordered}/signal", data=signal)).status_code == 303
        assert await there.ended(ordered) is Status.COMPLETED
        cancel = await operator.post(f"/executions/{other}/cancel", data={**token, "reason": "a mistake"})
        assert cancel.headers["location"] == f"/executions/{other}"
        assert await there.ended(other) is Status.CANCELLED
        assert "a mistake" in (await operator.get(f"/executions/{other}")).text
        done = {**token, "step": "charge", "done": "yes", "result": '"charged 3"'}
        assert (await operator.post(f"/executions/{doubtful}/resolve", data=done)).status_code == 303
        assert await there.ended(doubtful) is Status.COMPLETED
        refused = await ann.post(f"/executions/{other}/cancel", data={"csrf_token": csrf(ann)})
        assert refused.status_code == 403
        for path, form in (
            ("signal", {"name": "approval:1"}),
            ("signal", {"name": "a", "value": "{"}),
            ("resolve", {}),
        ):
            answer = await operator.post(f"/executions/{other}/{path}", data={**token, **form})
            assert answer.status_code == 400, (path, form)


async def test_a_replay_is_checked_without_doing_anything() -> None:
    async with place() as there, browser(there, VIEWER) as viewer:
        transfer = await started(there, "wire_transfer", amount="50000")
        before = await there.runtime.open_store.last_seq()
        answer = await viewer.post(f"/executions/{transfer}/replay", data={"csrf_token": csrf(viewer)})
        assert answer.status_code == 303
        assert "leads where the journal went" in (await viewer.get(answer.headers["location"])).text
        assert await there.runtime.open_store.last_seq() == before


# The chart itself


def told(*events: Event, status: Status = Status.COMPLETED, waits: str = "[]") -> Told:
    record = ExecutionRecord(
        id="e", name="w", version=1, arguments="{}", digest="", created_at=events[0].at, status=status,
        updated_at=events[-1].at, waits=waits,
    )  # fmt: skip
    return Told(record=record, events=[event._replace(seq=n) for n, event in enumerate(events, 1)], asked=[])


def step(op: int, start: float, end: float, name: str = "s", what: str = "completed", attempt: int = 1) -> Event:
    value = '{"type":"builtins:OSError","message":"no"}' if what != "completed" else "1"
    return Event("e", f"step.{what}", end, op, name, attempt, start, "{}", value)


BEGUN = Event("e", "execution.started", 100.0)
PARKED = Event("e", "execution.suspended", 101.0, value='[{"for":"timer","op":1,"due":4701.0}]')


def test_attempts_stay_in_the_lane_of_their_step_and_their_pause_is_no_timer() -> None:
    events = (
        step(0, 100, 101, what="retried"),
        Event("e", "timer.started", 101, 1, value='{"due":102}'),
        Event("e", "timer.fired", 102, 1),
        step(2, 102, 103, attempt=2),
    )
    (lane,) = story_of(told(BEGUN, *events), 200).lanes
    assert [bar.look for bar in lane.bars] == ["failed", "pause", "done"]
    assert [one.number for one in lane.attempts] == [1, 2]
    assert lane.note == "2 attempts"


def test_branches_of_one_name_keep_their_lanes() -> None:
    first, second = step(0, 100, 101, what="retried"), step(1, 100, 101, what="retried")._replace(arguments='{"x":1}')
    again = step(2, 102, 103, attempt=2)._replace(arguments='{"x":1}')
    lanes = story_of(told(BEGUN, first, second, again), 200).lanes
    assert sorted(len(lane.attempts) for lane in lanes) == [1, 2]


def story_of_a_long_wait() -> Story:
    wait = (Event("e", "timer.started", 101, 1, value='{"due":4701.0}'), PARKED)
    after = (Event("e", "timer.fired", 4701, 1), step(2, 4701, 4702))
    return story_of(told(BEGUN, step(0, 100, 101), *wait, *after), 9999)


def test_long_quiet_stretches_are_cut_and_the_rest_is_true_to_scale() -> None:
    chart = chart_of(story_of_a_long_wait())
    assert [cut.text for cut in chart.cuts] == ["1 h 16 min"]
    work = [row.bars[0].width for row in chart.rows if row.lane.kind == "step"]
    assert work[0] == pytest.approx(work[1], abs=0.5)
    assert work[0] > 30


def test_nothing_is_drawn_outside_of_the_chart_or_backwards() -> None:
    chart = chart_of(story_of_a_long_wait())
    bars = [*chart.whole, *(bar for row in chart.rows for bar in row.bars)]
    assert all(bar.left >= 0 and bar.width >= 0 and bar.left + bar.width <= 100.01 for bar in bars)
    assert [tick.left for tick in chart.ticks] == sorted(tick.left for tick in chart.ticks)


def test_on_a_phone_no_label_of_the_axis_is_cut_or_runs_into_another() -> None:
    a_day, any_late = 86400.0, 0
    for waits in ([3600.0], [a_day * 3], [0.5, a_day * 40], [120.0] * 4, [a_day, 7.0, a_day, 7.0]):
        events, now, op = [BEGUN], 100.0, 0
        for wait in waits:
            events += [step(op, now, now + 1), *pause(op + 1, now + 1, wait)]
            now, op = now + 1 + wait, op + 2
        chart = chart_of(story_of(told(*events, step(op, now, now + 1)), now + 1))
        shown = [tick for tick in chart.ticks if not tick.is_minor]
        places = [(100.0 - one.width if one.is_late else one.left, one) for one in shown]
        assert all(left + one.width <= 100.01 for left, one in places), waits
        late = [left for left, one in places if one.is_late]
        assert len(late) <= 1
        any_late += len(late)
        assert all(one.width + left <= after + 0.01 for (left, one), (after, _) in pairwise(places)), waits
    assert any_late


def pause(op: int, at: float, wait: float) -> tuple[Event, ...]:
    due = f'{{"due":{at + wait}}}'
    return Event("e", "timer.started", at, op, value=due), PARKED, Event("e", "timer.fired", at + wait, op)


def test_what_goes_on_is_drawn_up_to_now() -> None:
    running = Event("e", "step.started", 100, 0, "s", 1, 100, "{}")
    (lane,) = story_of(told(BEGUN, running, status=Status.RUNNING), 160).lanes
    assert (lane.bars[0].end, lane.bars[0].look) == (160, "running")


def test_of_very_many_lanes_the_last_are_drawn() -> None:
    events = [step(op, 100 + op, 101 + op, name=f"s{op}") for op in range(500)]
    chart = chart_of(story_of(told(BEGUN, *events), 700))
    assert (len(chart.rows), chart.omitted) == (150, 350)
    assert chart.rows[-1].lane.name == "s499"


def test_an_empty_journal_and_facts_that_are_none_draw_nothing() -> None:
    odd = Event("e", "policy.approval.granted", 100, value="[1]")
    for told_ in (told(BEGUN), told(odd, Event("e", "timer.fired", 100, 1)._replace(op=None)), told(BEGUN, odd)):
        assert chart_of(story_of(told_, 100)).rows == []
    empty = replace(told(BEGUN), events=[])
    assert chart_of(story_of(empty, 100)).rows == []


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.12, "120 ms"), (2.35, "2.35 s"), (60, "1 min"), (75, "1 min 15 s"), (7500, "2 h 5 min")]
)
def test_lengths_are_as_exact_as_anybody_reads_them(seconds: float, words: str) -> None:
    assert length(seconds) == words


async def test_a_page_is_read_while_its_execution_goes_on() -> None:
    async with place() as there, browser(there, VIEWER) as viewer:
        pages = await asyncio.gather(*(started(there, "order", item=f"lamp {n}") for n in range(3)))
        answers = await asyncio.gather(*(viewer.get(f"/executions/{one}") for one in pages))
        assert {answer.status_code for answer in answers} == {200}


@tool
async def look_up(city: str) -> str:
    """How warm it is."""
    return "21"


def say(request: ModelRequest) -> Any:
    return "warm" if len(request.messages) > 1 else tool_call("look_up", city="Rome")


@agent(model=ScriptedModel(say, price="0.001"), tools=[look_up])
async def weather_clerk(city: str) -> str:
    """How warm is it in {{ city }}?"""
    return str(await answer())


async def test_what_agents_did_and_what_their_models_cost_is_shown() -> None:
    async with place() as there, browser(there, OPERATOR) as operator:
        handle = await there.runtime.start(weather_clerk, "Rome")
        assert await handle.result() == "warm"
        page = (await operator.get(f"/executions/{handle.id}")).text
        shown = " ".join(text_of(page).split())
        assert re.search(r"Models \$0\.0\d+ 2 requests, \d+ tokens", shown)
        assert re.search(r"weather_clerk final 2 1 \d+ \$0\.0\d+", shown)
        plain = await started(there, "quote", item="desk")
        await there.ended(plain)
        assert 'aria-label="Agents"' not in (await operator.get(f"/executions/{plain}")).text

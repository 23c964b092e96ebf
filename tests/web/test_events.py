"""Events as a stream: in order, from where the client left off, and nothing that is none of its business."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from assent.runtime import credentials
from assent.web.settings import WebSettings
from tests.web.doors import browser, csrf
from tests.web.place import Place, place, served

OPERATOR, CFO, STRANGER = "operator@company.com", "cfo@company.com", "stranger@company.com"
QUICK = WebSettings(poll_seconds=0.01, heartbeat_seconds=0.05, admit_seconds=0.01)


async def blocks(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The blocks of a stream as fields by name; comments are called "comment"."""
    found: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            found[name or "comment"] = value
        elif found:
            yield found
            found = {}


async def told(answer: httpx.Response, count: int) -> list[tuple[int, dict[str, Any]]]:
    """The first events of a stream, with their ids."""
    found: list[tuple[int, dict[str, Any]]] = []
    async for block in blocks(answer):
        if "id" in block:
            found.append((int(block["id"]), json.loads(block["data"])))
        if len(found) == count:
            break
    return found


async def test_a_stream_tells_what_happens_and_goes_on_after_the_last_event_seen(tmp_path: Path) -> None:
    async with served(tmp_path / "store.db", settings=QUICK) as there, there.client(OPERATOR) as client:
        async with client.stream("GET", "/api/v1/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            execution_id = await there.started(client, "quote", item="lamp")
            first = await told(answer, 2)
        assert {event["execution_id"] for _, event in first} == {execution_id}
        assert first[0][1]["type"] == "execution.started"
        headers = {"Last-Event-ID": str(first[0][0])}
        async with client.stream("GET", "/api/v1/events", headers=headers) as answer:
            assert (await told(answer, 1))[0] == first[1]


async def test_a_stream_of_all_executions_tells_no_values(tmp_path: Path) -> None:
    async with served(tmp_path / "store.db", settings=QUICK) as there, there.client(OPERATOR) as client:
        await there.started(client, "quote", item="secret lamp")
        async with client.stream("GET", "/api/v1/events?after=0") as answer:
            ((_, event),) = await told(answer, 1)
        assert (event["arguments"], event["value"]) == (None, None)


async def test_the_stream_of_one_execution_ends_with_it_and_says_so(tmp_path: Path) -> None:
    async with served(tmp_path / "store.db", settings=QUICK) as there, there.client(OPERATOR) as client:
        execution_id = await there.started(client, "order", item="lamp")
        path = f"/api/v1/executions/{execution_id}"
        async with client.stream("GET", f"{path}/events/stream") as answer:
            await client.post(f"{path}/signals", json={"name": "address", "value": "here"})
            found = [block async for block in blocks(answer)]
        assert found[-1]["event"] == "end"
        events = [json.loads(block["data"]) for block in found if "id" in block]
        assert events[0]["arguments"] == {"item": "lamp", "count": 1}
        assert (events[-1]["type"], events[-1]["value"]) == ("execution.completed", 404)
        again = await client.get(f"{path}/events/stream", headers={"Last-Event-ID": str(events[-1]["seq"])})
        assert again.status_code == 204


async def test_people_who_do_not_see_everything_hear_of_what_is_asked_of_them(tmp_path: Path) -> None:
    async with served(tmp_path / "store.db", settings=QUICK) as there, there.client(OPERATOR) as client:
        await there.started(client, "quote", item="lamp")
        await there.asked(client)
        async with there.client(CFO) as cfo, cfo.stream("GET", "/api/v1/events?after=0") as answer:
            ((_, event),) = await told(answer, 1)
            assert event["type"] == "policy.approval.requested"
        async with there.client(STRANGER) as stranger, stranger.stream("GET", "/api/v1/events?after=0") as answer:
            async for block in blocks(answer):
                assert "id" not in block
                if "comment" in block:
                    break


async def test_a_type_narrows_the_stream_down(tmp_path: Path) -> None:
    async with served(tmp_path / "store.db", settings=QUICK) as there, there.client(OPERATOR) as client:
        await there.asked(client)
        async with client.stream("GET", "/api/v1/events?after=0&type=policy.approval.*") as answer:
            ((_, event),) = await told(answer, 1)
        assert event["type"] == "policy.approval.requested"


async def test_a_stream_that_does_not_follow_ends_with_what_there_is(tmp_path: Path) -> None:
    async with served(tmp_path / "store.db", settings=QUICK) as there, there.client(OPERATOR) as client:
        execution_id = await there.started(client, "order", item="lamp")
        events = await there.runtime.engine.events(execution_id)
        for path in (
            "/api/v1/events?after=0&follow=false",
            f"/api/v1/executions/{execution_id}/events/stream?follow=false",
        ):
            async with client.stream("GET", path) as answer:
                found = [block async for block in blocks(answer)]
            assert [int(block["id"]) for block in found if "id" in block] == [event.seq for event in events]
            assert found[-1]["event"] == "end"
        from_now_on = await client.get("/api/v1/events?follow=false")
        assert "id:" not in from_now_on.text


async def test_of_a_stream_only_the_head_can_be_asked_for(tmp_path: Path) -> None:
    async with served(tmp_path / "store.db", settings=QUICK) as there, there.client(OPERATOR) as client:
        answer = await client.head("/api/v1/events")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "assent_streams 0" in (await client.get("/metrics")).text


async def _revoke(there: Place) -> None:
    (token,) = await there.runtime.open_store.credentials("token", OPERATOR)
    await credentials.revoke(there.runtime.open_store, there.runtime.clock, token.id)


async def _disable(there: Place) -> None:
    await there.runtime.people.disable(OPERATOR)


async def _narrow(there: Place) -> None:
    await there.runtime.people.add(OPERATOR, access="")


@pytest.mark.parametrize("end", [_revoke, _disable, _narrow])
async def test_a_stream_ends_with_what_lets_its_listener_in(
    end: Callable[[Place], Awaitable[None]], tmp_path: Path
) -> None:
    async with (
        served(tmp_path / "store.db", settings=QUICK) as there,
        there.client(OPERATOR) as client,
        client.stream("GET", "/api/v1/events") as answer,
    ):
        signs = 0
        async for block in blocks(answer):
            signs += "comment" in block
            if signs == 2:  # it has been asked several times meanwhile, and goes on
                await end(there)
        assert signs >= 2


async def test_a_stream_ends_when_its_listener_signs_out(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "store.db", settings=QUICK) as there,
        browser(there, OPERATOR) as client,
        client.stream("GET", "/api/v1/events") as answer,
    ):
        told = blocks(answer)
        assert await anext(told)
        form = {"csrf_token": csrf(client)}
        assert (await client.post("/sign-out", data=form)).status_code == 303
        assert "end" not in [block.get("event") async for block in told]
        assert (await client.get("/api/v1/events")).status_code == 401


async def test_streams_are_counted_and_not_endless_many(tmp_path: Path) -> None:
    settings = WebSettings(poll_seconds=0.01, streams=1)
    async with (
        served(tmp_path / "store.db", settings=settings) as there,
        there.client(OPERATOR) as client,
        client.stream("GET", "/api/v1/events"),  # its head comes when the stream is open
    ):
        refused = await client.get("/api/v1/events")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:assent:too-many-streams")
        assert "assent_streams 1" in (await client.get("/metrics")).text


async def test_an_id_that_is_none_is_refused() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        for last in ("x", "-1", "9" * 30):
            assert (await client.get("/api/v1/events", headers={"Last-Event-ID": last})).status_code == 422

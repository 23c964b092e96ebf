"""A button in Slack is the verdict of the person who has that Slack user as a contact, if Slack has signed it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assent.store import ApprovalStatus
from assent.web.server import listen, serving
from assent.web.settings import WebSettings
from tests.web.doors import SIGNING_SECRET, WITH_SLACK, AheadClock, pressed, signed
from tests.web.place import Place, place

ANN = "ann@company.com"  # whose Slack user is U1
SLACK = "/slack/interactive"


async def _asked(there: Place) -> str:
    async with there.client("operator@company.com") as client:
        return (await there.asked(client))[1]


async def _press(there: Place, body: str, headers: dict[str, str] | None = None) -> Any:
    async with there.client() as client:
        given = signed(body, there.runtime.clock.now()) if headers is None else headers
        return await client.post(SLACK, content=body, headers=given)


async def _verdicts(there: Place, approval_id: str) -> list[tuple[str, str, bool]]:
    found = await there.runtime.open_store.verdicts(approval_id)
    return [(one.approver, one.decision, one.refusal is None) for one in found]


@pytest.mark.parametrize(("what", "status"), [("approve", ApprovalStatus.GRANTED), ("reject", ApprovalStatus.REJECTED)])
async def test_a_button_decides_as_the_person_of_that_slack_user(what: str, status: ApprovalStatus) -> None:
    async with place(settings=WITH_SLACK) as there:
        approval_id = await _asked(there)
        answer = await _press(there, pressed("U1", approval_id, what))
        assert (answer.status_code, answer.json()["response_type"]) == (200, "ephemeral")
        assert f"{what.removesuffix('e')}ed this as {ANN}" in answer.json()["text"]
        assert await _verdicts(there, approval_id) == [(ANN, what, True)]
        record = await there.runtime.open_store.approval(approval_id)
        assert record is not None
        assert record.status is status


async def test_what_slack_has_not_signed_changes_nothing() -> None:
    async with place(settings=WITH_SLACK) as there:
        approval_id = await _asked(there)
        body, now = pressed("U1", approval_id), there.runtime.clock.now()
        good = signed(body, now)
        wrong: list[dict[str, str]] = [
            {},
            signed(body, now, secret="another"),
            signed(pressed("U1", "other"), now),
            {**good, "X-Slack-Signature": ""},
            {**good, "X-Slack-Signature": good["X-Slack-Signature"].removeprefix("v0=")},
            {**good, "X-Slack-Request-Timestamp": ""},
            {**good, "X-Slack-Request-Timestamp": "soon"},
            {**good, "X-Slack-Request-Timestamp": str(int(now) + 1)},
        ]
        for headers in wrong:
            assert (await _press(there, body, headers)).status_code == 401
        assert await _verdicts(there, approval_id) == []


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_what_was_signed_long_ago_or_is_to_come_changes_nothing(minutes: int) -> None:
    async with place(settings=WITH_SLACK) as there:
        approval_id = await _asked(there)
        body = pressed("U1", approval_id)
        headers = signed(body, there.runtime.clock.now() + 60 * minutes)
        assert (await _press(there, body, headers)).status_code == 401
        assert await _verdicts(there, approval_id) == []


async def test_a_message_counts_once_however_often_it_comes() -> None:
    clock = AheadClock()
    async with place(settings=WITH_SLACK, clock=clock) as there:
        approval_id = await _asked(there)
        body = pressed("U1", approval_id)
        headers = signed(body, clock.now())
        answers = await asyncio.gather(*(_press(there, body, headers) for _ in range(6)))
        assert sorted(each.status_code for each in answers) == [200] + [403] * 5
        clock.ahead = 200
        assert (await _press(there, body, headers)).status_code == 403
        assert await _verdicts(there, approval_id) == [(ANN, "approve", True)]


async def test_a_verdict_that_does_not_count_is_told_to_whoever_pressed() -> None:
    async with place(settings=WITH_SLACK) as there:
        approval_id = await _asked(there)
        await there.runtime.decide(approval_id, approver="cfo@company.com", decision="reject")
        answer = await _press(there, pressed("U1", approval_id))
        assert answer.status_code == 200
        assert "does not count" in answer.json()["text"]
        assert "cfo@company.com" in answer.json()["text"]


async def test_a_slack_user_of_nobody_of_two_or_of_the_disabled_decides_nothing() -> None:
    async with place(settings=WITH_SLACK) as there:
        approval_id = await _asked(there)
        for who in ("cfo@company.com", "stranger@company.com"):
            await there.runtime.people.add(who, contacts={"slack": "U2"})
        await there.runtime.people.add("viewer@company.com", contacts={"slack": "U3"})
        await there.runtime.people.disable("viewer@company.com")
        for user in ("U9", "U2", "U3", "", "u1"):
            answer = await _press(there, pressed(user, approval_id))
            assert answer.status_code == 200
            assert "Nobody here" in answer.json()["text"]
        assert await _verdicts(there, approval_id) == []


async def test_an_approval_that_is_not_there_is_told() -> None:
    async with place(settings=WITH_SLACK) as there:
        assert "no such approval" in (await _press(there, pressed("U1", "a9"))).json()["text"]


async def test_a_button_that_only_opens_a_page_changes_nothing() -> None:
    async with place(settings=WITH_SLACK) as there:
        approval_id = await _asked(there)
        for body in (pressed("U1", approval_id, "open"), pressed("U1", approval_id, type="view_submission")):
            answer = await _press(there, body)
            assert (answer.status_code, answer.text) == (200, "")
        assert await _verdicts(there, approval_id) == []


@pytest.mark.parametrize("payload", ["", "{", "[]", "{}", '{"actions": []}', "null", "[" * 100_000])
async def test_what_slack_would_not_send_is_refused(payload: str) -> None:
    async with place(settings=WITH_SLACK) as there:
        assert (await _press(there, urlencode({"payload": payload}))).status_code == 422


async def test_without_a_signing_secret_nothing_is_taken() -> None:
    async with place() as there:
        body = pressed("U1", "a1")
        assert (await _press(there, body, signed(body, there.runtime.clock.now(), secret=""))).status_code == 404


@asynccontextmanager
async def _listening() -> AsyncIterator[tuple[str, asyncio.Queue[Any]]]:
    """Slack's side of an answer: where to send it, and what came."""
    told: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(request: Request) -> Response:
        told.put_nowait(json.loads(await request.body()))
        return Response("ok")

    app = Starlette(routes=[Route("/answer", hear, methods=["POST"])])
    listener = listen("127.0.0.1", 0)
    async with serving(app, listener, WebSettings()):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/answer", told


async def test_whoever_pressed_hears_of_it_in_slack() -> None:
    async with place(settings=WITH_SLACK) as there, _listening() as (url, told):
        approval_id = await _asked(there)
        await _press(there, pressed("U1", approval_id, response_url=url))
        said = await told.get()
        assert (said["response_type"], said["replace_original"]) == ("ephemeral", False)
        assert said["text"] == f"You approved this as {ANN}."


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/nobody", "http://example.com/x", "file:///etc/passwd", "nonsense", "https://["]
)
async def test_that_slack_cannot_be_told_changes_nothing(url: str) -> None:
    async with place(settings=WITH_SLACK) as there:
        approval_id = await _asked(there)
        assert (await _press(there, pressed("U1", approval_id, response_url=url))).status_code == 200
        assert await _verdicts(there, approval_id) == [(ANN, "approve", True)]


def test_the_secret_is_not_in_what_is_printed() -> None:
    assert SIGNING_SECRET not in repr(WITH_SLACK)

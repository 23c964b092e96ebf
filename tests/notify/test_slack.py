"""Slack, against a small server that answers as Slack's API does."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from assent.errors import DeliveryFailed, UsageError
from assent.notify import SlackChannel, Templates
from tests.notify.ground import notification
from tests.notify.servers import Answer, Received, WebServer, silent_server, web_server

TOKEN = "xoxb-s3cret"


def said(status: int = 200, headers: dict[str, str] | None = None, **facts: Any) -> Answer:
    return Answer(status, json.dumps(facts).encode(), {"content-type": "application/json", **(headers or {})})


def slack() -> WebServer:
    return WebServer(usual=lambda _: said(ok=True, channel="C123", ts="1700000000.000100"))


def channel(url: str, **facts: Any) -> SlackChannel:
    return SlackChannel(**{"token": TOKEN, "channel": "#approvals", "base_url": url, "timeout": 5.0, **facts})


async def failure(of: SlackChannel, **facts: Any) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await of.send(notification(**facts))
    return caught.value


def content(request: Received) -> dict[str, Any]:
    """The arguments of a call to the API, however they were encoded."""
    if request.headers["content-type"].startswith("application/json"):
        return dict(request.json)
    return {name: json.loads(value) if value[:1] in "[{" else value for name, value in request.form.items()}


def blocks(request: Received, kind: str) -> list[dict[str, Any]]:
    return [each for each in content(request)["blocks"] if each["type"] == kind]


async def test_a_question_has_buttons_that_carry_the_approval() -> None:
    async with web_server(slack()) as server:
        receipt = await channel(server.url).send(notification())
    (request,) = server.received
    assert receipt == "C123:1700000000.000100"
    assert request.path == "/chat.postMessage"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert content(request)["channel"] == "#approvals"
    assert content(request)["text"] == "Approval needed: wire_transfer"
    (actions,) = blocks(request, "actions")
    assert [(each["action_id"], each["value"]) for each in actions["elements"]] == [
        ("assent_approve", "a1"),
        ("assent_reject", "a1"),
        ("assent_open", "a1"),
    ]
    assert actions["elements"][2]["url"] == "https://assent.example.com/approvals/a1"
    assert "50000" in blocks(request, "section")[0]["text"]["text"]
    assert content(request)["metadata"]["event_payload"]["id"] == notification().id


async def test_the_same_message_is_updated_once_it_is_decided() -> None:
    async with web_server(slack()) as server:
        hook = channel(server.url)
        first = await hook.send(notification())
        await hook.send(notification(topic="granted", headline="Approved: wire_transfer", earlier=first))
    update = server.received[1]
    assert update.path == "/chat.update"
    assert (content(update)["channel"], content(update)["ts"]) == ("C123", "1700000000.000100")
    (actions,) = blocks(update, "actions")
    assert [each["action_id"] for each in actions["elements"]] == ["assent_open"]
    assert blocks(update, "header")[0]["text"]["text"] == "Approved: wire_transfer"


async def test_a_reminder_goes_to_the_thread_and_to_the_channel() -> None:
    async with web_server(slack()) as server:
        await channel(server.url).send(notification(topic="reminded", headline="Still <waiting>", earlier="C1:17.5"))
    (request,) = server.received
    found = content(request)
    assert (found["channel"], found["thread_ts"], found["text"]) == ("C1", "17.5", "Still &lt;waiting&gt;")
    assert str(found["reply_broadcast"]).lower() in {"true", "1"}


async def test_a_decision_without_an_earlier_message_is_a_message() -> None:
    async with web_server(slack()) as server:
        await channel(server.url).send(notification(topic="granted", link=None))
    assert server.received[0].path == "/chat.postMessage"
    assert blocks(server.received[0], "actions") == []


async def test_hostile_text_mentions_nobody_and_links_nowhere() -> None:
    evil = "<!channel> <https://evil.com|Approve> `x` & *bold*"
    async with web_server(slack()) as server:
        await channel(server.url).send(notification(headline=evil, rows=(("note", evil),), preview="```\n<@U1>"))
    (request,) = server.received
    (section,) = blocks(request, "section")
    text = section["text"]["text"]
    assert section["text"]["verbatim"] is True
    assert "<" not in text
    assert ">" not in text
    assert text.count("`") == 2 + 6  # around the value, and around the preview
    assert "&lt;!channel&gt;" in content(request)["text"]
    assert blocks(request, "header")[0]["text"]["type"] == "plain_text"


async def test_a_long_message_is_cut_to_what_slack_takes() -> None:
    long = notification(headline="x" * 5000, rows=tuple((f"r{n}", "v" * 400) for n in range(20)), preview="p\n" * 5000)
    async with web_server(slack()) as server:
        await channel(server.url).send(long)
    (request,) = server.received
    text = blocks(request, "section")[0]["text"]["text"]
    assert len(text) <= 3000
    assert "shortened" in text
    assert text.count("```") % 2 == 0
    assert len(blocks(request, "header")[0]["text"]["text"]) <= 150


@pytest.mark.parametrize(
    ("code", "is_final"),
    [("msg_too_long", True), ("is_archived", True), ("invalid_auth", False), ("channel_not_found", False)],
)
async def test_what_slack_refuses(code: str, is_final: bool) -> None:
    async with web_server(WebServer(answers=[said(ok=False, error=code)])) as server:
        error = await failure(channel(server.url))
    assert code in error.reason
    assert error.is_final is is_final


async def test_slack_says_how_long_it_wants_to_be_left_alone() -> None:
    busy = said(429, {"Retry-After": "30"}, ok=False, error="ratelimited")
    async with web_server(WebServer(answers=[busy])) as server:
        error = await failure(channel(server.url))
    assert (error.retry_after, error.is_final) == (30.0, False)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "answer", [Answer(cut=True), Answer(500, b"<html>"), Answer(200, b"<html>"), said(502, ok=False)]
)
async def test_whatever_else_goes_wrong_is_tried_again_by_the_notifier_alone(answer: Answer) -> None:
    async with web_server(WebServer(answers=[answer])) as server:
        error = await failure(channel(server.url))
    assert not error.is_final
    assert len(server.received) == 1


async def test_a_slack_that_is_silent_or_gone_is_left() -> None:
    async with silent_server() as port:
        silent = await failure(channel(f"http://127.0.0.1:{port}", timeout=0.1))
    gone = await failure(channel(f"http://127.0.0.1:{port}"))
    assert (silent.is_final, gone.is_final) == (False, False)


async def test_the_token_is_never_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with web_server(WebServer(answers=[said(ok=False, error=f"bad {TOKEN}")])) as server:
        hook = channel(server.url)
        error = await failure(hook)
    assert TOKEN not in f"{hook!r} {error} {caplog.text}"


@pytest.mark.parametrize(
    "facts", [{"base_url": "http://slack.example.com/"}, {"base_url": "x"}, {"token": " "}, {"channel": ""}]
)
def test_a_channel_that_could_not_work_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        channel(**({"url": facts.pop("base_url", "https://slack.com/api/")} | facts))


async def test_a_folder_overrides_the_text(tmp_path: Path) -> None:
    (tmp_path / "slack.txt").write_text("*{{ title }}* {{ rows[0][1] }}", encoding="utf-8")
    async with web_server(slack()) as server:
        await channel(server.url, templates=Templates(tmp_path)).send(notification(rows=(("x", "<y>"),)))
    assert blocks(server.received[0], "section")[0]["text"]["text"] == "*wire_transfer* &lt;y&gt;"

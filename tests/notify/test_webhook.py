"""Webhooks, whose signatures are checked with the library of their specification."""

import base64
import logging
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from assent.errors import DeliveryFailed, UsageError
from assent.notify import WebhookChannel
from tests.notify.ground import notification
from tests.notify.servers import Answer, Certificate, WebServer, silent_server, web_server

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret of enough bytes..").decode()


def channel(url: str, **facts: Any) -> WebhookChannel:
    return WebhookChannel(**{"url": url, "secret": SECRET, "timeout": 5.0, **facts})


async def failure(of: WebhookChannel) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await of.send(notification())
    return caught.value


async def test_any_receiver_can_verify_it() -> None:
    async with web_server(WebServer()) as server:
        await channel(f"{server.url}/hooks?a=b").send(notification())
    (request,) = server.received
    said = Webhook(SECRET).verify(request.body, dict(request.headers))
    assert said == request.json
    assert said["type"] == "approval.requested"
    assert said["data"]["arguments"] == {"amount": "50000"}
    assert said["data"]["link"] == "https://assent.example.com/approvals/a1"
    assert request.path == "/hooks?a=b"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["content-type"] == "application/json"


async def test_a_changed_body_or_another_secret_does_not_pass() -> None:
    async with web_server(WebServer()) as server:
        await channel(server.url).send(notification())
    (request,) = server.received
    for secret, body in ((SECRET, request.body + b" "), (OTHER, request.body)):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, dict(request.headers))


async def test_receivers_can_change_their_secret_one_by_one() -> None:
    async with web_server(WebServer()) as server:
        await channel(server.url, secret=[SECRET, OTHER]).send(notification())
    (request,) = server.received
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(request.body, dict(request.headers))


async def test_a_repeat_bears_the_same_id() -> None:
    ids = ["a1:requested:hook", "a1:requested:hook", "é\r\nx: y.z"]
    async with web_server(WebServer()) as server:
        for each in ids:
            await channel(server.url).send(notification(id=each))
    found = [request.headers["webhook-id"] for request in server.received]
    assert found[:2] == ids[:2]
    assert found[2].startswith("msg_")
    for request in server.received:
        assert "x" not in request.headers
        Webhook(SECRET).verify(request.body, dict(request.headers))


@pytest.mark.parametrize(
    ("status", "is_final"), [(500, False), (503, False), (404, False), (302, False), (301, True), (410, True)]
)
async def test_what_is_tried_again(status: int, is_final: bool) -> None:
    async with web_server(WebServer(answers=[Answer(status)])) as server:
        error = await failure(channel(server.url))
    assert str(status) in error.reason
    assert error.is_final is is_final


async def test_a_receiver_says_how_long_it_wants_to_be_left_alone() -> None:
    slow_down = Answer(429, headers={"Retry-After": "120"})
    unclear = Answer(429, headers={"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"})
    async with web_server(WebServer(answers=[slow_down, unclear])) as server:
        assert (await failure(channel(server.url))).retry_after == 120.0
        assert (await failure(channel(server.url))).retry_after is None


async def test_redirects_are_not_followed() -> None:
    async with web_server(WebServer()) as elsewhere, web_server(WebServer()) as server:
        server.answers = [Answer(307, headers={"Location": elsewhere.url})]
        error = await failure(channel(server.url))
    assert "redirect" in error.reason
    assert elsewhere.received == []


async def test_a_cut_connection_and_a_missing_server_are_tried_again() -> None:
    async with web_server(WebServer(answers=[Answer(cut=True)])) as server:
        cut = await failure(channel(server.url))
    gone = await failure(channel(server.url))
    assert (cut.is_final, gone.is_final) == (False, False)


async def test_a_receiver_that_never_answers_is_left() -> None:
    async with silent_server() as port:
        error = await failure(channel(f"http://127.0.0.1:{port}", timeout=0.1))
    assert "Timeout" in error.reason


async def test_certificates_are_checked(certificate: Certificate) -> None:
    async with web_server(WebServer(), tls=certificate.server) as server:
        url = f"https://localhost:{server.port}"
        await channel(url, context=certificate.client).send(notification())
        await failure(channel(url))
    assert len(server.received) == 1


async def test_nothing_of_the_environment_sends_it_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async with web_server(WebServer()) as proxy, web_server(WebServer()) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await channel(server.url).send(notification())
        assert (len(proxy.received), len(server.received)) == (0, 1)
        await channel(server.url, proxy=proxy.url).send(notification())
    assert (len(proxy.received), len(server.received)) == (1, 1)


async def test_headers_of_the_operator_are_sent_but_replace_none_of_ours() -> None:
    own = {"authorization": "Bearer s3cret", "webhook-id": "mine", "content-type": "text/plain"}
    async with web_server(WebServer()) as server:
        await channel(server.url, headers=own).send(notification())
    (request,) = server.received
    assert request.headers["authorization"] == "Bearer s3cret"
    Webhook(SECRET).verify(request.body, dict(request.headers))


async def test_no_secret_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with web_server(WebServer(answers=[Answer(), Answer(500)])) as server:
        hook = channel(f"{server.url}/s3cret-path", headers={"authorization": "s3cret-token"})
        await hook.send(notification())
        error = await failure(hook)
    told = f"{hook!r} {error} {caplog.text}"
    assert "s3cret" not in told
    assert SECRET not in told


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/y",
        "file:///etc/passwd",
        "x",
        "https://",
        "http://x:port",
        "https://u:p@x.com/",
        "http://example.com/hooks",
    ],
)
def test_only_web_addresses_without_passwords_will_do(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        channel(url)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_????", "whsec_c2hvcnQ=", []])
def test_a_secret_is_long_enough_and_in_base64(secret: Any) -> None:
    with pytest.raises(UsageError) as caught:
        channel("https://x.com", secret=secret)
    assert "????" not in str(caught.value)

"""Buttons in Slack: what Slack signs is a verdict of the person who has that Slack user as a contact."""

import asyncio
import http.client
import json
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from slack_sdk.errors import SlackClientError
from slack_sdk.signature import Clock as SlackClock
from slack_sdk.signature import SignatureVerifier
from slack_sdk.webhook import WebhookClient
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from assent.errors import AccessRefused, ApprovalNotFound, SignInRequired, VerdictRefused
from assent.runtime.credentials import use_once
from assent.store import PersonRecord
from assent.web.access import Access, access_of
from assent.web.attempts import count_attempt
from assent.web.desk import Desk, desk_of
from assent.web.guards import is_loopback
from assent.web.problems import Problem
from assent.web.routing import Route

log = logging.getLogger("assent.web.slack")

Decision = Literal["approve", "reject"]
DECISIONS: Final[Mapping[str, Decision]] = {"assent_approve": "approve", "assent_reject": "reject"}
# Slack's own window is five minutes either way; a message is remembered until it is surely outside.
REMEMBERED: Final = 900.0
ANSWER_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Press:
    """Somebody pressed a button."""

    user: str
    decision: Decision
    approval_id: str
    answer_url: str
    workspace: str  # that of the user


class _Time(SlackClock):
    """The clock of the runtime, as Slack's library asks for it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def now(self) -> float:
        return self._desk.clock.now()


async def interact(request: Request) -> Response:
    """Take what Slack sends when a button is pressed. Raises what refuses a message that is not Slack's, or not new."""
    desk = desk_of(request)
    body = await _verified(desk, request)
    press = _press_of(_payload_of(body))
    if press is None:  # a button that only opens a page
        return Response()
    text = await _decide(desk, press)
    answer = {"response_type": "ephemeral", "replace_original": False, "text": text}
    return JSONResponse(answer, background=BackgroundTask(_answer, press.answer_url, text))


async def _verified(desk: Desk, request: Request) -> str:
    """The body, if Slack has signed it just now, and this is the first time that it comes."""
    secret = desk.settings.slack_signing_secret
    if not secret:
        raise Problem(404, "not-found", "This server does not take messages from Slack.")
    body = await request.body()
    signature = request.headers.get("x-slack-signature", "")
    timestamp = request.headers.get("x-slack-request-timestamp", "")
    is_formed = timestamp.isdecimal() and timestamp.isascii() and signature.isascii()
    if not is_formed or not SignatureVerifier(secret, _Time(desk)).is_valid(body, timestamp[:20], signature):
        await count_attempt(request)
        raise SignInRequired("This is not signed by Slack, or was signed too long ago.")
    expires_at = desk.clock.now() + REMEMBERED
    if not await use_once(desk.store, desk.clock, "message", signature, person="", expires_at=expires_at):
        raise AccessRefused("This message from Slack came before, and counted then.")
    return body.decode("utf-8", "replace")


def _payload_of(body: str) -> Mapping[str, Any]:
    try:
        payload = json.loads(parse_qs(body)["payload"][0])
    except (KeyError, ValueError, RecursionError) as error:
        raise Problem(422, "invalid-request", "This has no payload of an interaction.") from error
    if not isinstance(payload, dict):
        raise Problem(422, "invalid-request", "The payload is no object.")
    return payload


def _press_of(payload: Mapping[str, Any]) -> Press | None:
    try:
        action = payload["actions"][0]
        decision = DECISIONS.get(action["action_id"])
        if payload["type"] != "block_actions" or decision is None:
            return None
        user, approval_id = str(payload["user"]["id"]), str(action["value"])
    except (LookupError, TypeError) as error:
        raise Problem(422, "invalid-request", "This is not what Slack sends for a button.") from error
    workspace = str(payload["user"].get("team_id", ""))
    return Press(user, decision, approval_id, str(payload.get("response_url", "")), workspace)


async def _decide(desk: Desk, press: Press) -> str:
    """Give the verdict, and say what became of it."""
    if desk.settings.slack_workspace not in {None, press.workspace}:
        return "Your verdict does not count: this is for people of another workspace."
    person = await _person_of(desk, press.user)
    if person is None:
        return f"Nobody here has you as a contact. An administrator can add it: slack={press.user}."
    if access_of(person) < Access.APPROVER:
        return "Your verdict does not count: viewers look at everything and decide nothing."
    try:
        await desk.runtime.decide(press.approval_id, approver=person.id, decision=press.decision)
    except VerdictRefused as error:
        return f"Your verdict does not count: {error.reason}."
    except ApprovalNotFound:
        return "There is no such approval any more."
    return f"You {'approved' if press.decision == 'approve' else 'rejected'} this as {person.id}."


async def _person_of(desk: Desk, user: str) -> PersonRecord | None:
    """The only person with that Slack user; whom two people share, nobody speaks for."""
    found = [one for one in await desk.store.people() if user and one.contacts.get("slack") == user]
    return found[0] if len(found) == 1 and found[0].disabled_at is None else None


async def _answer(url: str, text: str) -> None:
    """Tell whoever pressed the button, and nobody else. That Slack cannot be told changes nothing."""
    try:
        place = urlsplit(url)
        if place.scheme == "https" or (place.scheme == "http" and is_loopback(place.hostname or "")):
            client = WebhookClient(url, timeout=ANSWER_SECONDS, ssl=ssl.create_default_context())
            await asyncio.to_thread(client.send, text=text, response_type="ephemeral", replace_original=False)
    except (SlackClientError, OSError, http.client.HTTPException, ValueError) as error:
        log.warning("Slack could not be told of a verdict: %s", type(error).__name__)


ROUTES: Final[tuple[Route, ...]] = (
    Route(method="POST", path="/slack/interactive", access=Access.PUBLIC, handler=interact, name="slack_interactive"),
)

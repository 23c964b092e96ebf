"""Ways into a server of the tests: browsers with sessions, links, what Slack sends, and a clock that can be set."""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx

from assent.clock import SystemClock
from assent.runtime.credentials import add_ticket
from assent.runtime.links import DecisionLinks
from assent.web.csrf import csrf_of
from assent.web.settings import WebSettings
from tests.web.place import Place

SIGNING_SECRET = "shhh-8f742231b10e"
WITH_SLACK = WebSettings(slack_signing_secret=SIGNING_SECRET)
HTML = {"Accept": "text/html"}


class AheadClock(SystemClock):
    """The clock of the machine, set ahead by so many seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


@asynccontextmanager
async def browser(there: Place, who: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A browser, signed in as somebody by a one-time link."""
    async with there.client() as client:
        client.headers.update(HTML)
        if who is not None:
            ticket = await add_ticket(there.runtime.open_store, there.runtime.clock, who)
            answer = await client.post(f"/sign-in/{ticket.secret}")
            assert answer.status_code == 303, answer.text
        yield client


def csrf(client: httpx.AsyncClient) -> str:
    """What the forms of this browser bring back."""
    (secret,) = (value for name, value in client.cookies.items() if name.removeprefix("__Host-") == "assent")
    return csrf_of(secret)


async def link_to(there: Place, approval_id: str, who: str) -> str:
    """The path of a link by which somebody decides."""
    base = "http://127.0.0.1:8400"
    links = await DecisionLinks.of(there.runtime.open_store, there.runtime.clock, base)
    return links.make(approval_id, who).removeprefix(base)


def pressed(user: str, approval_id: str, what: str = "approve", workspace: str = "T1", **more: Any) -> str:
    """The body that Slack sends when a button is pressed."""
    action = {"action_id": f"assent_{what}", "value": approval_id, "type": "button"}
    who = {"id": user, "team_id": workspace}
    payload = {"type": "block_actions", "user": who, "actions": [action], "response_url": "", **more}
    return urlencode({"payload": json.dumps(payload)})


def signed(body: str, at: float, secret: str = SIGNING_SECRET) -> dict[str, str]:
    """The headers with which Slack sends a body."""
    stamp = str(int(at))
    signature = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    return {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={signature}",
        "Content-Type": "application/x-www-form-urlencoded",
    }


def text_of(page: str) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))

"""Notifications in a Slack channel: one message for each approval, brought up to date once it is decided."""

import asyncio
import http.client
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import CRITICAL, Logger
from typing import Any, Final
from urllib.parse import urlsplit

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from assent.clock import Duration, seconds
from assent.errors import DeliveryFailed, UsageError
from assent.notify.channel import Notification
from assent.notify.safety import failed, is_loopback, seconds_of, shortened
from assent.notify.templates import Templates

LONGEST_HEADER: Final = 110  # characters; Slack takes 150, and some are ours
LONGEST_SECTION: Final = 2900  # characters; Slack takes 3,000
FENCE: Final = "```"
WORD: Final = re.compile(r"[a-z_]{1,60}")
# What would be answered each time. All else may pass, or be mended by the operator: a token, a scope, an invitation.
FINAL: Final = frozenset({
    "cant_update_message", "edit_window_closed", "invalid_blocks", "invalid_blocks_format", "is_archived",
    "message_not_found", "msg_blocks_too_long", "msg_too_long", "no_text",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlackChannel:
    """Posts to a Slack channel (its id or "#name") with a bot token, which needs the scope `chat:write`.

    Buttons carry the approval's id as their value, with the action ids `assent_approve`, `assent_reject` and
    `assent_open`. Reminders go to the thread of the message, and to the channel.
    """

    kind: str = field(default="slack", init=False, repr=False)
    is_personal: bool = field(default=False, init=False, repr=False)

    token: str = field(repr=False)
    channel: str
    name: str = "slack"
    base_url: str = "https://slack.com/api/"
    timeout: Duration = 15.0  # of each wait for Slack
    templates: Templates = field(default_factory=Templates, repr=False)

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname or "")):
            raise UsageError(f"The token would go readable to {self.base_url!r}. Give a URL that begins with https://.")
        if not self.token.strip() or not self.channel.strip():
            raise UsageError('Slack needs a bot token ("xoxb-...") and the channel to write to. Give both.')
        object.__setattr__(self, "base_url", self.base_url.rstrip("/") + "/")
        object.__setattr__(self, "timeout", seconds(self.timeout))

    async def send(self, notification: Notification) -> str | None:
        """Post or update the message, and return where it is: the channel's id and the message's time."""
        # In a thread, since Slack's own client for asyncio needs one more HTTP library.
        return await asyncio.to_thread(self._send, notification)

    def _send(self, notification: Notification) -> str | None:
        timeout = math.ceil(seconds(self.timeout))
        # Retries are the notifier's affair, and what is said to Slack and by Slack is for no log.
        silent = Logger(self.kind, level=CRITICAL + 1)  # noqa: LOG001 - nothing is set for anybody else
        client = WebClient(self.token, base_url=self.base_url, timeout=timeout, retry_handlers=[], logger=silent)
        place, _, at = (notification.earlier or "").rpartition(":")
        try:
            if not at:
                return _receipt(client.chat_postMessage(channel=self.channel, **self._content(notification)))
            if notification.is_question:
                text = _escaped(notification.headline)
                return _receipt(client.chat_postMessage(channel=place, text=text, thread_ts=at, reply_broadcast=True))
            return _receipt(client.chat_update(channel=place, ts=at, **self._content(notification)))
        except SlackApiError as error:
            raise self._refused(error) from error
        except (SlackClientError, OSError, http.client.HTTPException) as error:
            raise failed(f"Slack could not be reached: {type(error).__name__}") from error

    def _content(self, notification: Notification) -> dict[str, Any]:
        text = _fitting(self.templates.render("slack", notification))
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": _plain(shortened(notification.headline, LONGEST_HEADER))},
            # `verbatim`: names and addresses in somebody's text are no mentions and no links.
            {"type": "section", "text": {"type": "mrkdwn", "text": text or " ", "verbatim": True}},
        ]
        buttons = _buttons(notification)
        if buttons:
            blocks.append({"type": "actions", "elements": buttons})
        return {
            "text": _escaped(notification.headline),
            "blocks": blocks,
            "metadata": {"event_type": f"approval_{notification.topic}", "event_payload": _names(notification)},
        }

    def _refused(self, error: SlackApiError) -> DeliveryFailed:
        response: Any = error.response
        code = str(response.get("error"))
        if not WORD.fullmatch(code):
            code = "with no reason that Slack is known to give"
        return failed(
            f"Slack answered {response.status_code} {code}",
            secrets=[self.token],
            is_final=code in FINAL,
            retry_after=seconds_of(_header(response.headers, "retry-after")),
        )


def _receipt(response: SlackResponse) -> str | None:
    place, at = response.get("channel"), response.get("ts")
    return f"{place}:{at}" if place and at else None


def _header(headers: Mapping[str, Any], name: str) -> str | None:
    found = next((value for key, value in headers.items() if key.lower() == name), None)
    return str(found[0] if isinstance(found, list) else found) if found else None


def _buttons(notification: Notification) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if notification.is_question:
        found = [
            _button("approve", "Approve", notification, "primary"),
            _button("reject", "Reject", notification, "danger"),
        ]
    if notification.link is not None:
        found.append({**_button("open", "Open", notification), "url": notification.link})
    return found


def _button(what: str, label: str, notification: Notification, style: str | None = None) -> dict[str, Any]:
    button = {"type": "button", "action_id": f"assent_{what}", "text": _plain(label), "value": notification.approval_id}
    return {**button, "style": style} if style else button


def _names(notification: Notification) -> dict[str, str]:
    """What a program needs to recognise a message, and a duplicate of it."""
    return {"id": notification.id, "approval_id": notification.approval_id, "execution_id": notification.execution_id}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fitting(text: str) -> str:
    """As many lines as Slack takes; a code block that is cut is closed."""
    text = text.strip()
    if len(text) <= LONGEST_SECTION:
        return text
    kept = text[:LONGEST_SECTION].rpartition("\n")[0]
    return f"{kept}\n{FENCE if kept.count(FENCE) % 2 else ''}… (shortened)"

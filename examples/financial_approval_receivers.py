"""Where the show of `financial_approval_system.py` has its e-mails and Slack messages delivered: two small servers."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")


@dataclass
class Tray(Generic[T]):
    """What has arrived, in order, and whoever waits for something that is still to come."""

    received: list[T] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _taken: int = 0

    async def put(self, message: T) -> None:
        async with self._changed:
            self.received.append(message)
            self._changed.notify_all()

    async def next(self, fits: Callable[[T], bool] = lambda _: True) -> T:
        """The next message that fits; those before it are passed over."""
        async with self._changed:
            while True:
                for message in self.received[self._taken :]:
                    self._taken += 1
                    if fits(message):
                        return message
                await self._changed.wait()


@asynccontextmanager
async def mail_server(tray: Tray[EmailMessage]) -> AsyncIterator[int]:
    """An SMTP server for whatever is sent to anybody; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 demo\r\n")
        while line := await reader.readline():
            match line[:4].upper():
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    data = await reader.readuntil(b"\r\n.\r\n")
                    content = data.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
                    await tray.put(message_from_bytes(content, policy=policy.default))
                    writer.write(b"250 delivered\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 OK\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def slack_server(tray: Tray[Mapping[str, Any]]) -> AsyncIterator[str]:
    """The part of Slack's API that takes messages; gives its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        await tray.put({"call": head[0].split()[1].rpartition("/")[2], **json.loads(body or b"{}")})
        answer = json.dumps({"ok": True, "channel": "C0TREASURY", "ts": f"{len(tray.received)}.0"}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(answer), answer))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/"


def pressed_in_slack(secret: str, user: str, approval_id: str, now: float) -> tuple[bytes, dict[str, str]]:
    """What Slack sends when somebody presses its button: the body, and the headers by which it is known as Slack's."""
    action = {"action_id": "assent_approve", "value": approval_id}
    payload = {"type": "block_actions", "user": {"id": user}, "actions": [action], "response_url": ""}
    body = urlencode({"payload": json.dumps(payload)}).encode()
    at = str(int(now))
    signature = hmac.new(secret.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
    return body, {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": at,
        "X-Slack-Signature": f"v0={signature}",
    }

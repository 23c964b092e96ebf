"""Servers on loopback that receive what is sent: SMTP from a package, and a small one for HTTP."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = "assent", "s3cret-pässword"


@dataclass(frozen=True)
class Certificate:
    """Contexts for both ends of a connection."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@dataclass
class MailServer:
    """What an SMTP server received, and how it answers."""

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # answers to the next recipients
    objections: list[str] = field(default_factory=list)  # answers to the next messages
    was_encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the name is the package's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refusals:
            return self.refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        if self.objections:
            return self.objections.pop(0)
        assert isinstance(envelope.content, bytes)
        self.received.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients += envelope.rcpt_tos
        self.was_encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.users.append(data.login.decode())
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@asynccontextmanager
async def mail_server(
    server: MailServer, *, tls: ssl.SSLContext | None = None, implicit: ssl.SSLContext | None = None, auth: bool = False
) -> AsyncIterator[MailServer]:
    """Let it serve; with `tls` it offers STARTTLS, with `implicit` it speaks TLS from the first byte."""
    loop = asyncio.get_running_loop()
    protocols: list[SMTP] = []

    def connected() -> SMTP:
        protocols.append(
            SMTP(
                server,
                tls_context=tls,
                require_starttls=tls is not None,
                authenticator=server.authenticate if auth else None,
                auth_required=auth,
                auth_require_tls=tls is not None,
                hostname="localhost",
                loop=loop,
            )
        )
        return protocols[-1]

    listening = await loop.create_server(connected, "127.0.0.1", server.port, ssl=implicit, reuse_address=True)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for each in protocols:
            if isinstance(each.transport, asyncio.Transport):
                each.transport.abort()
        await listening.wait_closed()


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that takes connections and never says anything."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in writers:
            each.transport.abort()
        await server.wait_closed()


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Answer:
    """What a server says; with `cut` it closes the connection instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False

    def as_bytes(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Said", f"content-length: {len(self.body)}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass
class WebServer:
    """What an HTTP server received. Its answers are used up one by one; then `usual` answers."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    usual: Callable[[Received], Answer] = lambda _: Answer()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            self.received.append(request)
            answer = self.answers.pop(0) if self.answers else self.usual(request)
            if answer.cut:
                writer.transport.abort()
            else:
                writer.write(answer.as_bytes())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other end went away
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(head[0].split(" ")[1], headers, body)


@asynccontextmanager
async def web_server(server: WebServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """Let it serve."""
    listening = await asyncio.start_server(server.connected, "127.0.0.1", server.port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()

"""An HTTP server on loopback that gives the answers it was told to, one after another."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: Any


@dataclass(frozen=True)
class Answer:
    """What the server says: a body at once, or as a stream of chunks."""

    status: int = 200
    body: Any = b""  # bytes, or what becomes JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] | None = None
    ending: str = "whole"  # "cut": the connection breaks; "silent": nothing more comes

    def head(self) -> bytes:
        length = ("Transfer-Encoding", "chunked")
        if self.chunks is None:
            length = ("Content-Length", str(len(self.payload()) + (self.ending != "whole")))
        kind = "text/event-stream" if self.chunks is not None else "application/json"
        lines = [f"HTTP/1.1 {self.status} Said"]
        headers = {"Content-Type": kind, **self.headers}
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        return "\r\n".join([*lines, ": ".join(length), "", ""]).encode()

    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Loopback:
    """The server. `received` is what it was asked; `asked` is set by a request, `left` by the end of a connection."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.url = ""
        self._open: set[asyncio.StreamWriter] = set()
        self._answers: list[Answer | Callable[[Received], Answer]] = []

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        self = cls()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            try:
                yield self
            finally:
                # Their handlers see the end of the connection, and end themselves.
                for writer in self._open:
                    writer.transport.abort()
                while self._open:
                    self.left.clear()
                    await self.left.wait()

    def says(self, *answers: Answer | Callable[[Received], Answer]) -> None:
        """Answers to come, or functions of the request that make them."""
        self._answers.extend(answers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                received = await self._take(head.decode(), reader)
                answer = self._answers.pop(0)
                await self._say(answer if isinstance(answer, Answer) else answer(received), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._open.discard(writer)
            self.left.set()

    async def _take(self, head: str, reader: asyncio.StreamReader) -> Received:
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        received = Received(first.split(" ")[1], headers, json.loads(body))
        self.received.append(received)
        self.asked.set()
        return received

    async def _say(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer.head())
        for chunk in answer.chunks or ():
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
        if answer.ending == "whole":
            writer.write(answer.payload() if answer.chunks is None else b"0\r\n\r\n")
            return
        if answer.chunks is None:
            writer.write(answer.payload())
        await writer.drain()
        if answer.ending == "silent":
            await reader.read()
        raise ConnectionAbortedError

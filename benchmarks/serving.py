"""A governed endpoint under load, beside a bare one that inserts a row; and the inbox with many approvals in it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from sqlite3 import connect
from statistics import median
from time import perf_counter
from typing import Final

from benchmarks import programs
from benchmarks.child import ChildFailed, beside
from benchmarks.figures import Figure, Measure, Scale, Target, side_by_side
from benchmarks.parked import park

BARE: Final = "a bare endpoint that commits one row"
SHARE: Final = 6  # the yardstick is measured twice, each time for so small a part of the time
PAY: Final = "POST /pay"
INBOX: Final = "GET /inbox"
BODY: Final = b'{"amount": 5, "recipient": "ACME"}'


@dataclass(slots=True)
class Answers:
    """What the callers saw."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]


async def endpoint(scale: Scale, folder: Path) -> list[Figure]:
    """So many callers at once, each of them with the next request as soon as it has its answer."""
    ours, theirs = Answers(), Answers()
    file = folder / "ours.db"
    async with served("governed", file) as mine, served("bare", folder / "bare.db") as bare:
        found = await side_by_side(
            _loaded(mine, scale.lanes, scale.load, ours), _loaded(bare, scale.lanes, scale.load / SHARE, theirs), 1
        )
    if ours.errors:
        raise ChildFailed(f"{len(ours.errors)} of the calls were not answered with 200: {ours.errors[0]}")
    if (kept := completed_in(file)) != len(ours.seconds):
        raise ChildFailed(f"{len(ours.seconds)} calls were answered, and {kept} executions have completed")
    name, target = f"governed endpoint, {scale.lanes} callers", Target(1 / 3, "ratio at least")
    return [
        Figure(name=name, unit="/s", against=BARE, target=target, **found._asdict()),
        Figure(
            name="the same, p99 of the answer", ours=1e3 * ours.p99, unit="ms", yardstick=1e3 * theirs.p99, against=BARE
        ),
    ]


def _loaded(server: "Server", lanes: int, seconds: float, answers: Answers) -> Measure:
    async def measured() -> float:
        start, before = perf_counter(), len(answers.seconds)
        await asyncio.gather(*(_lane(server, start + seconds, answers) for _ in range(lanes)))
        return (len(answers.seconds) - before) / (perf_counter() - start)

    return measured


async def _lane(server: "Server", end: float, answers: Answers) -> None:
    async with server.connected() as call:
        for _ in count():
            start = perf_counter()
            status = await call.send(PAY, BODY)
            answers.seconds.append(perf_counter() - start)
            if status != 200:
                answers.errors.append(str(status))
            if start >= end:
                return


def completed_in(file: Path) -> int:
    with closing(connect(file)) as connection:
        (found,) = connection.execute("SELECT count(*) FROM executions WHERE status = 'completed'").fetchone()
    return int(found)


async def inbox(scale: Scale, folder: Path) -> list[Figure]:
    """The page that people open first, while so many approvals wait for them."""
    file = folder / "inbox.db"
    await park(file, programs.wait_for_people, scale.pending)
    costs = []
    async with served("governed", file) as server, server.connected() as call:
        for _ in range(scale.starts * 4):
            start = perf_counter()
            status = await call.send(INBOX)
            costs.append(1e3 * (perf_counter() - start))
            if status != 200:
                raise ChildFailed(f"the inbox was answered with {status}")
    target = Target(150, "at most")
    return [Figure(name=f"inbox page, {scale.pending:,} pending, p50", ours=median(costs), unit="ms", target=target)]


@dataclass(frozen=True, slots=True)
class Server:
    """A server on loopback, in a process of its own."""

    port: int
    token: str

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Call"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**22)
        try:
            yield Call(self, reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()


@dataclass(frozen=True, slots=True)
class Call:
    """A connection that is kept. A client library would take more time than the server does."""

    server: Server
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, what: str, body: bytes = b"") -> int:
        """Send a request and take its whole answer; returns the status."""
        head = (
            f"{what} HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\nAuthorization: Bearer {self.server.token}\r\n"
            "Accept: application/json, text/html\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        _, _, length = answer.partition(b"content-length: ")
        await self.reader.readexactly(int(length.split(b"\r\n", 1)[0]))
        return int(answer[9:12])


@asynccontextmanager
async def served(kind: str, file: Path) -> AsyncIterator[Server]:
    """One of the endpoints, until the block ends."""
    async with beside("serving_child", kind, file) as line:
        yield Server(**json.loads(line))

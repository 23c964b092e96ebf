"""`/api/v1/.../events/stream`: journals as server-sent events, which go on where a client has left off.

Each event bears its `seq` as its id, so that a browser that comes back names the last one it has seen. Other processes
write to the store as well and tell nobody, so each stream asks for what is new a few times a second, which is one look
into an index. A stream ends by itself after some minutes, and soon after its listener may no longer hear it: the
client comes back, and is asked anew who it is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from assent.codec import from_json
from assent.engine.texts import filled_in
from assent.errors import ApprovalNotFound, SignInRequired
from assent.runtime.credentials import holder_of
from assent.store import Event
from assent.web.access import Access, Identity, identity_for, identity_of
from assent.web.answers import EventShown, StreamedEvent
from assent.web.bodies import query_of, written
from assent.web.desk import Desk, desk_of
from assent.web.problems import Problem, invalid
from assent.web.reading import approval, execution_head
from assent.web.routing import Route
from assent.web.schemas import StreamFilter

EVENT_STREAM: Final = "text/event-stream"
BATCH: Final = 200
STREAM_SECONDS: Final = 600.0
APPROVALS: Final = "policy.approval."
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies pass on each event at once
END: Final = b"event: end\ndata: {}\n\n"
ALIVE: Final = b": alive\n\n"
# What browsers do between two tries.
HELLO: Final = b"retry: 2000\n\n"

Read = Callable[[int], Awaitable[list[Event]]]


async def stream_all(request: Request) -> Response:
    """What happens in all executions, without arguments and values."""
    desk, identity, wanted = desk_of(request), identity_of(request), query_of(request, StreamFilter)
    after = _after(request, wanted)

    async def read(seq: int) -> list[Event]:
        return await desk.store.events(after=seq, type=wanted.type, limit=BATCH)

    start = await desk.store.last_seq() if after is None else after
    return _answer(request, Stream(desk, identity, read, start, is_whole=False, follows=wanted.follow))


async def stream_one(request: Request) -> Response:
    """The journal of one execution, to its end. 204: it has ended, and the client knows all of it."""
    desk, identity, wanted = desk_of(request), identity_of(request), query_of(request, StreamFilter)
    record = await execution_head(desk, identity, request.path_params["execution_id"])
    start = _after(request, wanted) or 0

    async def read(seq: int) -> list[Event]:
        return await filled_in(desk.store, (await desk.store.journal(record.id, after=seq))[:BATCH])

    if record.status.is_final and not await read(start):
        return Response(status_code=204)
    return _answer(request, Stream(desk, identity, read, start, execution_id=record.id, follows=wanted.follow))


def _after(request: Request, wanted: StreamFilter) -> int | None:
    last = request.headers.get("last-event-id", "")
    if not last:
        return wanted.after
    if not (last.isascii() and last.isdecimal() and len(last) < 17):
        raise invalid(f"Last-Event-ID {last[:40]!r} is the id of no event.")
    return int(last)


def _answer(request: Request, stream: "Stream") -> Response:
    desk = stream.desk
    if request.method == "HEAD":  # whose answer has no body that could end
        return Response(media_type=EVENT_STREAM, headers=HEADERS)
    if desk.streams.is_full(desk.settings.streams):
        raise Problem(
            503, "too-many-streams", "Too many streams are open. Come back later.", headers={"Retry-After": "5"}
        )
    return StreamingResponse(stream.texts(), media_type=EVENT_STREAM, headers=HEADERS)


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of events to one client."""

    desk: Desk
    identity: Identity
    read: Read
    start: int
    execution_id: str | None = None  # it ends when this one does
    is_whole: bool = True  # with arguments and values
    follows: bool = True  # what is still to come; else it ends with what there is

    async def texts(self) -> AsyncIterator[bytes]:
        """The stream as it is sent."""
        with self.desk.streams.one_more():
            yield HELLO
            async for text in self._texts():
                yield text

    async def _texts(self) -> AsyncIterator[bytes]:
        settings, time = self.desk.settings, asyncio.get_running_loop().time
        seq, said, admitted, end = self.start, time(), time(), time() + STREAM_SECONDS
        while time() < end:
            if time() - admitted >= settings.admit_seconds:
                if not await self._may_listen():
                    return
                admitted = time()
            is_last = await self._has_ended() or not self.follows  # asked first, so that its last event is not missed
            found = await self.read(seq)
            for event in found:
                seq = event.seq
                if await self._may_see(event):
                    said = time()
                    yield self._text(event)
            if is_last and not found:
                yield END
                return
            if time() - said >= settings.heartbeat_seconds:
                said = time()
                yield ALIVE
            if len(found) < BATCH and not is_last:
                await asyncio.sleep(settings.poll_seconds)

    async def _may_listen(self) -> bool:
        """Whether what the listener has shown still lets them in, to the same things as before."""
        try:
            holder = await holder_of(self.desk.store, self.desk.clock, self.identity.credential)
        except SignInRequired:
            return False
        now = identity_for(holder.person, self.identity.via, credential=holder.record.id)
        return (now.access, now.sees_all) == (self.identity.access, self.identity.sees_all)

    async def _has_ended(self) -> bool:
        if self.execution_id is None:
            return False
        return (await self.desk.engine.execution(self.execution_id)).status.is_final

    def _text(self, event: Event) -> bytes:
        # JSON has no line break of its own, so one line of data holds all of it.
        shown = EventShown.of(event, whole=self.is_whole, traces=self.identity.sees_all)
        return b"id: %d\ndata: %b\n\n" % (event.seq, written(shown))

    async def _may_see(self, event: Event) -> bool:
        """Those who do not see everything are told of approvals that are their business."""
        if self.identity.sees_all or self.execution_id is not None:
            return True
        if not event.type.startswith(APPROVALS):
            return False
        try:
            facts = from_json(event.value or "{}")
            await approval(self.desk, self.identity, str(facts.get("approval_id")))
        except (ApprovalNotFound, ValueError, AttributeError):
            return False
        return True


ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/events",
        access=Access.VIEWER,
        scope="read",
        handler=stream_all,
        name="stream_events",
        summary="What happens, as server-sent events",
        query=StreamFilter,
        answers={200: StreamedEvent},
        media_type=EVENT_STREAM,
        own=True,
    ),
    Route(
        method="GET",
        path="/api/v1/executions/{execution_id}/events/stream",
        access=Access.VIEWER,
        scope="read",
        handler=stream_one,
        name="stream_execution",
        summary="One journal to its end, as server-sent events",
        query=StreamFilter,
        answers={200: StreamedEvent, 204: None},
        media_type=EVENT_STREAM,
        own=True,
    ),
)

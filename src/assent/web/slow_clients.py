"""Connections on which nothing comes, or too slowly: closed in time, so that nobody can hold them all.

An ASGI application hears of a request once its headers are there, and a server waits for those as long as it takes. The
bodies are the affair of `guards.Intake`, which can still answer.
"""

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class SlowClientProtocol(H11Protocol):
    """HTTP/1.1 with a time limit for each request to come in whole, and for each answer to be taken."""

    limit: ClassVar[float] = 30.0
    _incoming: asyncio.TimerHandle | None = None
    _outgoing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent has it
        super().connection_made(transport)
        self._incoming = self.loop.call_later(self.limit, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._outgoing = self._outgoing or self.loop.call_later(self.limit, self._hang_up)

    def resume_writing(self) -> None:
        if self._outgoing is not None:
            self._outgoing.cancel()
            self._outgoing = None
        super().resume_writing()

    def _watch(self) -> None:
        state = self.conn.their_state
        # Between two requests its parent waits, but not for one whose predecessor was answered before it was all there.
        is_alone = state is h11.IDLE and self.timeout_keep_alive_task is None
        if not (state is h11.SEND_BODY or is_alone):
            self._stop_waiting()
        elif self._incoming is None:
            self._incoming = self.loop.call_later(self.limit, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._incoming is not None:
            self._incoming.cancel()
            self._incoming = None

    def _hang_up(self) -> None:
        self.transport.abort()


def slow_client_protocol(seconds: float) -> type[asyncio.Protocol]:
    """The protocol with this time limit, for uvicorn's `http=`. A second more lets the application answer first."""
    return type("SlowClientProtocol", (SlowClientProtocol,), {"limit": seconds + 1.0})

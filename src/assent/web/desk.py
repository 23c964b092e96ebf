"""What every request finds: the open runtime, the settings, and the keeping of credentials."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from assent.clock import Clock
from assent.engine import Engine
from assent.runtime import Runtime
from assent.store import Store
from assent.store.credentials import Credentials
from assent.web.settings import WebSettings


class Streams:
    """Counts the streams of events that are open."""

    def __init__(self) -> None:
        self.count = 0

    def is_full(self, most: int) -> bool:
        return self.count >= most

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one for as long as it is open."""
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


@dataclass(frozen=True, slots=True)
class Desk:
    """One for each application, at `app.state.desk`. The runtime must be open while requests are answered."""

    runtime: Runtime
    settings: WebSettings
    streams: Streams = field(default_factory=Streams)

    @property
    def clock(self) -> Clock:
        return self.runtime.clock

    @property
    def engine(self) -> Engine:
        """Raises RuntimeRequired if the runtime is not open."""
        return self.runtime.engine

    @property
    def store(self) -> Store:
        """Raises RuntimeRequired if the runtime is not open."""
        return self.runtime.open_store

    @property
    def credentials(self) -> Credentials:
        """Tokens, sessions, tickets and links, which the store keeps."""
        return self.store


def desk_of(request: HTTPConnection) -> Desk:
    """The desk of the application that serves this request."""
    desk: Desk = request.app.state.desk
    return desk

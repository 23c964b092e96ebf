"""Work that may wait, done beside other work and at its own pace."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

log = logging.getLogger("assent.observe")

# One thread does so much at a time, and then rests for so many seconds: about a fiftieth of one processor, however
# much there is to do.
SLICE: Final = 40
PAUSE: Final = 0.04

T = TypeVar("T")


class Backlog(Generic[T]):
    """A queue that a thread of its own empties while it is open, with `work`; what is left is done when it closes.

    It holds `most` items. What comes when it is full is dropped and counted.
    """

    def __init__(self, work: Callable[[T], None], most: int) -> None:
        self.dropped = 0
        self._work = work
        self._most = most
        self._items: deque[T] = deque()
        self._lock = threading.Lock()  # two runtimes may share it, and order matters

    def put(self, item: T) -> None:
        """Have an item seen to soon, after all that were put before."""
        if len(self._items) < self._most:
            self._items.append(item)
        else:
            self.dropped += 1

    def flush(self) -> None:
        """Do all that is there now."""
        self._do(len(self._items))

    @contextmanager
    def open(self) -> Iterator[None]:
        """The thread works meanwhile."""
        closing = threading.Event()
        thread = threading.Thread(target=self._run, args=(closing,), name="assent-telemetry", daemon=True)
        thread.start()
        try:
            yield
        finally:
            closing.set()
            thread.join()
            self.flush()

    def _run(self, closing: threading.Event) -> None:
        while not closing.wait(PAUSE):
            self._do(SLICE)

    def _do(self, most: int) -> None:
        with self._lock:
            for _ in range(min(most, len(self._items))):
                item = self._items.popleft()
                try:
                    self._work(item)
                except Exception:  # somebody else's exporter, and the thread goes on
                    log.exception("telemetry failed on %r", item)

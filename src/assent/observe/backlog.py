"""Work that may wait, done beside other work and at its own pace."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

log = logging.getLogger("assent.observe")

# One thread does so much at a time, and then rests for so many seconds: about a fiftieth of one processor, however
# much there is to do.
SLICE: Final = 40
PAUSE: Final = 0.04

# When more than so many items have come while it rested, others have enough to do (5,000 a second).
RUSH: Final = 200


class Backlog:
    """A queue that a thread of its own empties while it is open, with `work`; what is left is done when it closes.

    It holds `most` items of `width` values, which are the arguments of `work`. What comes when it is full is dropped
    and counted. In a rush the thread leaves its work for later, unless the queue is half full.
    """

    def __init__(self, work: Callable[..., None], most: int, *, width: int = 1) -> None:
        self.dropped = 0
        self._work = work
        self._most = most
        self._width = width
        # The values of all items, one after another. Objects that hold them together would be many that live long, and
        # the collector comes the more often the more of them there are.
        self._values: deque[Any] = deque()
        self._room = most * width
        self._before = 0  # items that waited when the thread last looked
        self._lock = threading.Lock()  # two runtimes may share it, and order matters

    def put(self, item: tuple[Any, ...]) -> None:
        """Have an item seen to soon, after all that were put before."""
        if len(self._values) < self._room:
            self._values.extend(item)
        else:
            self.dropped += 1

    @property
    def waiting(self) -> int:
        """Items that are still to be done."""
        return len(self._values) // self._width

    def flush(self) -> None:
        """Do all that is there now."""
        self._do(self.waiting)

    def take_turn(self) -> None:
        """What the thread does between two rests."""
        waiting = self.waiting
        if waiting - self._before <= RUSH or waiting > self._most // 2:
            self._do(SLICE)
        self._before = self.waiting

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
            self.take_turn()

    def _do(self, most: int) -> None:
        with self._lock:
            for _ in range(min(most, self.waiting)):
                item = [self._values.popleft() for _ in range(self._width)]
                try:
                    self._work(*item)
                except Exception:  # somebody else's exporter, and the thread goes on
                    log.exception("telemetry failed on %r", item)

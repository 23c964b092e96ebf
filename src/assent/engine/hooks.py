"""The moments of an execution at which others may watch or veto, in the order in which they come.

    origin    when an execution is made: says where it comes from
    follow    when an execution comes into memory, new or from the store: gives a watcher for it alone
    gate      before each attempt of a step, in its own task: may raise, and the step fails with what it raised
    watcher   after events have become durable, in journaled order: told of them, cannot change anything

Watchers are told of what the executions driven here write. Verdicts are written by whoever decides, in any process, so
they are found in the journal only.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from assent.engine.ops import ExecutionInfo
from assent.store import Event, ExecutionRecord

log = logging.getLogger("assent.engine")

Gate = Callable[[ExecutionInfo, str, Any], Awaitable[None]]
"""Called with the execution, the step's name and its arguments."""

Watcher = Callable[[Event], None]


@runtime_checkable
class Tracer(Protocol):
    """Follows executions from whoever starts them through every process that drives them."""

    def open(self) -> AbstractContextManager[None]:
        """Entered while a runtime is open."""
        ...

    def origin(self) -> str | None:
        """Where an execution comes from that is started here and now, as a W3C traceparent; kept in its record."""
        ...

    def follow(self, record: ExecutionRecord, journal: Sequence[Event]) -> Watcher:
        """What is told of the events that an execution writes from here on, after those of its journal."""
        ...

    def surround(self) -> AbstractContextManager[None]:
        """Entered while an engine begins: what it sets in context variables, all steps find there."""
        ...


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who watches and who may veto; each list in order."""

    gates: Sequence[Gate] = ()
    watchers: Sequence[Watcher] = ()
    tracers: Sequence[Tracer] = ()

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        """What all steps find in context variables."""
        with ExitStack() as stack:
            for tracer in self.tracers:
                stack.enter_context(tracer.surround())
            yield

    def origin(self) -> str | None:
        """Where an execution comes from that is started here and now; None if nobody knows."""
        return next((found for tracer in self.tracers if (found := tracer.origin())), None)

    def following(self, record: ExecutionRecord, journal: Sequence[Event]) -> Sequence[Watcher]:
        """Those who watch this execution alone, while it is in memory."""
        return [tracer.follow(record, journal) for tracer in self.tracers]

    def seen(self, events: Sequence[Event], followers: Sequence[Watcher] = ()) -> None:
        """Tell the watchers. One that fails is logged and disturbs nobody."""
        for watcher in [*self.watchers, *followers] if self.watchers else followers:
            for event in events:
                try:
                    watcher(event)
                except Exception:
                    log.exception("watcher %r failed on %s", watcher, event.type)

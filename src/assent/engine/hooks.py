"""The moments of an execution at which others may watch or veto, in the order in which they come.

    gate      before each attempt of a step, in its own task: may raise, and the step fails with what it raised
    watcher   after events have become durable, in journaled order: told of them, cannot change anything

Watchers are told of what the executions driven here write. Verdicts are written by whoever decides, in any process, so
they are found in the journal only.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from assent.engine.ops import ExecutionInfo
from assent.store import Event

log = logging.getLogger("assent.engine")

Gate = Callable[[ExecutionInfo, str, Any], Awaitable[None]]
"""Called with the execution, the step's name and its arguments."""

Watcher = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who watches and who may veto; each list in order."""

    gates: Sequence[Gate] = ()
    watchers: Sequence[Watcher] = ()

    def seen(self, events: Sequence[Event]) -> None:
        """Tell the watchers. One that fails is logged and disturbs nobody."""
        for watcher in self.watchers:
            for event in events:
                try:
                    watcher(event)
                except Exception:
                    log.exception("watcher %r failed on %s", watcher, event.type)

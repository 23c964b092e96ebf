"""`assent worker`: a process that drives executions until it is told to stop."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from assent.cli.output import Screen, local
from assent.cli.reference import load_module, programs_of, runtime_of
from assent.cli.timeline import event_in_words
from assent.engine.local import WorkerSettings
from assent.errors import UsageError
from assent.runtime import Runtime
from assent.store import Event

REPORTED = frozenset({"started", "resumed", "suspended", "in_doubt", "completed", "failed", "cancelled"})


def work(screen: Screen, url: str | None, files: Sequence[str], *, quiet: bool) -> int:
    """`assent worker`; returns when a signal has asked it to stop and it has stopped."""
    modules = [load_module(each) for each in files]
    names = sorted({f"{each.name}@{each.version}" for module in modules for each in programs_of(module)})
    if not names:
        raise UsageError(f"There is no workflow in {', '.join(files)}. Decorate a function with @workflow or @govern.")
    runtime = runtime_of(modules, url, worker=True)
    _log_to(screen)
    asyncio.run(Shift(screen, runtime, names, quiet).serve())
    return 0


@dataclass(frozen=True, slots=True)
class Shift:
    """The time from a worker's start to its end."""

    screen: Screen
    runtime: Runtime
    names: Sequence[str]
    quiet: bool

    async def serve(self) -> None:
        """Drive executions until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop, number, stop)
        if not self.quiet:
            self.runtime.watchers = (*self.runtime.watchers, self._tell)
        async with self.runtime:
            self._say(
                f"Worker {os.getpid()} is ready on {self.runtime.url} for {', '.join(self.names)}. Ctrl-C stops it."
            )
            await stop.wait()
        self._say(f"Worker {os.getpid()} has stopped.")

    def _asked_to_stop(self, number: signal.Signals, stop: asyncio.Event) -> None:
        grace = (self.runtime.settings or WorkerSettings()).grace
        self._say(
            f"{number.name}: nothing new is taken, running steps get up to {grace:g} s, "
            "and the rest is left to other workers. A second signal ends it at once."
        )
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stop.set()

    def _tell(self, event: Event) -> None:
        room, _, what = event.type.partition(".")
        if room == "execution" and what in REPORTED:
            said = event_in_words(event, {}, event.at)
            words = [event.execution_id, what.replace("_", " "), event.name, said]
            self._say(" ".join(word for word in words if word))

    def _say(self, text: str) -> None:
        now = self.runtime.clock.now()
        self.screen.say(f"{local(now):%H:%M:%S} {text}")


class _ToScreen(logging.Handler):
    """Shows what the engine logs, in the same form as what the worker says."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        self._screen.say(f"{local(record.created):%H:%M:%S} {record.levelname} {record.getMessage()}")


def _log_to(screen: Screen) -> None:
    logging.getLogger("assent").addHandler(_ToScreen(screen))

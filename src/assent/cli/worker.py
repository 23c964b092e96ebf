"""`assent worker`: a process that drives executions until it is told to stop."""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType

from assent.cli.logs import log_to, tell
from assent.cli.output import Screen
from assent.cli.reference import load_module, programs_of, runtime_of
from assent.cli.timeline import event_in_words
from assent.engine.local import WorkerSettings
from assent.errors import UsageError
from assent.runtime import Runtime
from assent.store import Event

REPORTED = frozenset({"started", "resumed", "suspended", "in_doubt", "completed", "failed", "cancelled"})
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def work(screen: Screen, url: str | None, files: Sequence[str], *, quiet: bool, as_json: bool) -> int:
    """`assent worker`; returns when a signal has asked it to stop and it has stopped."""
    modules = [load_module(each) for each in files]
    names = names_in(modules, files)
    runtime = runtime_of(modules, url, worker=True)
    log_to(screen, as_json=as_json)
    if not quiet:
        runtime.watchers = (*runtime.watchers, report)
    asyncio.run(_drive(runtime, names))
    return 0


def names_in(modules: Sequence[ModuleType], files: Sequence[str]) -> list[str]:
    """What the modules can drive, as "name@version". Raises UsageError if that is nothing."""
    names = sorted({f"{each.name}@{each.version}" for module in modules for each in programs_of(module)})
    if not names:
        raise UsageError(f"There is no workflow in {', '.join(files)}. Decorate a function with @workflow or @govern.")
    return names


async def _drive(runtime: Runtime, names: Sequence[str]) -> None:
    stop = Stop(runtime)
    stop.listen()
    async with runtime:
        tell(f"Worker {os.getpid()} is ready on {runtime.url} for {', '.join(names)}. Ctrl-C stops it.")
        await stop.asked.wait()
    tell(f"Worker {os.getpid()} has stopped.")


@dataclass(frozen=True, slots=True)
class Stop:
    """The first SIGTERM or SIGINT asks a process to stop; a second one ends it."""

    runtime: Runtime
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        """From now on signals come here."""
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._ask, number)

    def _ask(self, number: signal.Signals) -> None:
        grace = (self.runtime.settings or WorkerSettings()).grace
        tell(
            f"{number.name}: nothing new is taken, running steps get up to {grace:g} s, "
            "and the rest is left to other workers. A second signal ends it at once."
        )
        for each in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        self.asked.set()


def report(event: Event) -> None:
    """Tell of what becomes of executions."""
    room, _, what = event.type.partition(".")
    if room == "execution" and what in REPORTED:
        said = event_in_words(event, {}, event.at)
        words = [event.execution_id, what.replace("_", " "), event.name, said]
        tell(" ".join(word for word in words if word), execution_id=event.execution_id, event=event.type)

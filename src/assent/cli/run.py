"""`assent run`: start one execution, wait with it as a caller would, and say how it stands."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import assent
from assent.cli.arguments import bound_arguments
from assent.cli.output import Screen
from assent.cli.reference import load_function, runtime_of
from assent.cli.stored import ending_of
from assent.cli.timeline import failure_in_words, value_of
from assent.cli.waiting import approvals_awaited, signals_awaited, staff_of, waits_in_words
from assent.clock import seconds
from assent.codec import from_json
from assent.engine import Engine, Program
from assent.errors import ApprovalPending, AssentError, InDoubt
from assent.governance import Principal
from assent.governance.approvals import intact_request
from assent.runtime import Runtime
from assent.store import ApprovalRecord, ExecutionRecord, Status, Store
from assent.store.sqlite import SqliteStore

# How often (seconds) the caller looks whether only others can go on.
LOOK = 0.05
FRAME = re.compile(r'^  File "(.+)", line (\d+), in (.+)\n +(.+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What `assent run` was asked for."""

    reference: str
    document: str | None  # a JSON object of arguments
    pairs: Sequence[str]  # name=value, each
    id: str | None
    who: str | None
    patience: str | None  # how long to wait for people and signals; None: as long as the policies say
    as_json: bool


def run(screen: Screen, errors: Screen, url: str | None, order: Order) -> int:
    """`assent run`; returns the exit code."""
    # The module is loaded outside of the event loop, as it would be as a script.
    module, program = load_function(order.reference)
    arguments = bound_arguments(program, order.document, order.pairs)
    patience = None if order.patience is None else _patience_of(order.patience)
    runtime = runtime_of([module], url, worker=False)
    runtime.store = store = runtime.store or SqliteStore(runtime.url)
    call = Call(screen, errors, runtime, store, program, order, patience)
    return asyncio.run(call.perform(arguments))


@dataclass(frozen=True, slots=True)
class Call:
    """One call from the command line."""

    screen: Screen
    errors: Screen
    runtime: Runtime
    store: Store
    program: Program
    order: Order
    patience: float | None

    async def perform(self, arguments: Mapping[str, Any]) -> int:
        """Start the execution, wait with it, and report; returns the exit code."""
        requester = Principal(self.order.who).to_text() if self.order.who else None
        async with self.runtime as runtime:
            engine = runtime.engine
            record = await engine.start(self.program, arguments, id=self.order.id, requester=requester, attended=True)
            result = asyncio.ensure_future(engine.result(record.id))
            try:
                await self._wait(engine, record.id, result)
                return await self._report(await engine.execution(record.id), result)
            except asyncio.CancelledError:
                self.errors.say(f"Execution {record.id} is left to the workers: assent worker FILE")
                raise
            finally:
                result.cancel()
                await asyncio.gather(result, return_exceptions=True)
                await engine.leave(record.id)
                await asyncio.sleep(0)  # leaving is noted by a callback, which must come before the end of the engine

    async def _wait(self, engine: Engine, id: str, result: "asyncio.Future[Any]") -> None:
        """Return when the execution has ended, or when others have not come in time for it to go on."""
        clock = asyncio.get_running_loop().time
        awaited: Sequence[str] = ()
        deadline = 0.0
        while not result.done():
            record = await engine.execution(id)
            others = self._others(record)
            if others and others != awaited:
                awaited, deadline = others, clock() + await self._patience(record)
            if others and clock() >= deadline:
                return
            await asyncio.wait({result}, timeout=LOOK)

    def _others(self, record: ExecutionRecord) -> Sequence[str]:
        """Whom the execution waits for: people, senders of signals, or a worker that takes it up."""
        if record.owner is None and record.wake_at is not None and record.wake_at <= self.runtime.clock.now():
            return ["worker"]
        if record.status is Status.IN_DOUBT:
            return ["resolve"]
        return signals_awaited(record) if record.status is Status.SUSPENDED else ()

    async def _patience(self, record: ExecutionRecord) -> float:
        if self.patience is not None:
            return self.patience
        requests = map(intact_request, (await approvals_awaited(self.store, [record])).values())
        return max((request.timeout_seconds for request in requests if request is not None), default=0.0)

    async def _report(self, record: ExecutionRecord, result: "asyncio.Future[Any]") -> int:
        if not result.done():
            return await self._report_wait(record)
        error = result.exception()
        if error is not None:
            return await self._report_failure(record, error)
        recorded = from_json(self.program.returns.encode(result.result()))
        if self.order.as_json:
            self.screen.json(self._facts(record, result=recorded))
        else:
            self.screen.json(recorded)
            self.errors.say(f"Execution {record.id} completed.", style="dim")
        return 0

    async def _report_failure(self, record: ExecutionRecord, error: BaseException) -> int:
        ending = ending_of(record, await self.store.journal(record.id))
        failure = value_of(ending.value) if record.status is Status.FAILED and ending else None
        if self.order.as_json:
            self.screen.json(self._facts(record, error=failure or {"message": str(error)}))
        elif isinstance(error, AssentError) or not isinstance(failure, dict):
            self.errors.say(str(error))
        else:
            self.errors.say(f"{self.program.name} failed with {failure_in_words(failure)}")
            self.errors.fields(("at", each) for each in frames(failure.get("traceback", "")))
        if not self.order.as_json:
            self.errors.say(f"Execution {record.id} {record.status}.", style="dim")
        return error.exit_code if isinstance(error, AssentError) else 1

    async def _report_wait(self, record: ExecutionRecord) -> int:
        now = self.runtime.clock.now()
        awaited = await approvals_awaited(self.store, [record])
        words = waits_in_words(record, awaited, await staff_of(self.store, now), now)
        if self.order.as_json:
            self.screen.json(self._facts(record, approvals=list(awaited), waits_for=words))
        else:
            self._say_wait(record, awaited, words)
        return InDoubt.exit_code if record.status is Status.IN_DOUBT else ApprovalPending.exit_code

    def _say_wait(self, record: ExecutionRecord, awaited: Mapping[str, ApprovalRecord], words: Sequence[str]) -> None:
        self.screen.say(f"{record.name} waits.")
        pairs = [("execution", record.id), *(("waits for", each) for each in words)]
        pairs += [("decide", f"assent approve {each} --as WHO") for each in awaited]
        self.screen.fields([*pairs, ("go on", f"assent worker {self.order.reference.rpartition(':')[0]}")])

    def _facts(self, record: ExecutionRecord, **more: Any) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "execution_id": record.id,
            "name": record.name,
            "status": record.status.value,
            "result": None,
            "error": None,
            "approvals": [],
            "waits_for": [],
        }
        return facts | more


def _patience_of(text: str) -> float:
    """A duration; a bare number is one of seconds."""
    return seconds(float(text) if text.replace(".", "", 1).isdigit() else text)


def frames(traceback: str) -> list[str]:
    """The places in the user's own code that a recorded traceback names, the outermost first."""
    # The traceback of a cause stands before that of its effect.
    parts = re.split(r"^The above exception was the direct cause.*$", traceback, flags=re.MULTILINE)
    found = [match for part in reversed(parts) for match in FRAME.findall(part)]
    own = str(Path(assent.__file__).parent)
    return [f"{file}:{line} {name}: {code}" for file, line, name, code in found if not file.startswith(own)]

"""A circuit breaker: what has failed too often is left alone for a while, then tried with care."""

import asyncio
import logging
import math
import threading
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, Final, Self, TypeVar
from weakref import WeakKeyDictionary

from assent.clock import Duration
from assent.codec import codec_for
from assent.errors import BulkheadFull, CircuitOpen, LimitExceeded, StoreError, UsageError
from assent.resilience.circuit import Admission, Circuit, Rules, State
from assent.resilience.ground import SharedState, ground
from assent.resilience.guard import Guard
from assent.resilience.settings import FINAL, Errors, count, kinds, length, require

T = TypeVar("T")
log = logging.getLogger("assent.resilience")

# Where there is a rate but no window.
WINDOW: Final = 60.0

# Errors of calls that were never made, or of which nobody knows.
SILENT: Final = (*FINAL, BulkheadFull, CircuitOpen, LimitExceeded)


_Inside = WeakKeyDictionary[Any, list[Admission]]  # by task


@dataclass(eq=False)
class CircuitBreaker(Guard):
    """Lets no more calls pass once they have failed too often, and tries with a few of them whether it is over.

    It opens after `failure_threshold` failures in a row (3 unless given); with `window`, after so many failures within
    that time; with `failure_rate` instead, when of at least `minimum_calls` in the window that part has failed. After
    `timeout` it is half-open: `probes` calls may pass. When so many have succeeded it closes; when one fails it is open
    for another `timeout`. A probe of which nothing is heard for as long is taken for lost. Calls that are turned away
    raise CircuitOpen and change nothing.

    A call that raises one of `on`, but none of `never_on`, has failed. Any other error is an answer, as good as a
    success. Neither are a cancelled call (so put a timeout inside of the breaker, not around it), one that another
    breaker, a limiter, a bulkhead, a policy or a person has kept from being made, and a wrong use of Assent.

    With a `name` its state is shared by all processes whose runtimes are open on one store; without, it is that of this
    object. Use it with `async with`, as a decorator, or as `await breaker.call(fn, ...)`. One that is not shared can
    also be asked and told directly, in workflow code too: `is_open`, `record_success`, `record_failure`, `state`.
    """

    failure_threshold: int | None = None
    _: KW_ONLY
    window: Duration | None = None
    failure_rate: float | None = None
    minimum_calls: int = 10
    timeout: Duration = 60.0
    probes: int = 1
    on: Errors = (Exception,)
    never_on: Errors = ()
    name: str | None = None
    _rules: Rules = field(init=False, repr=False)
    _circuit: Circuit = field(default_factory=Circuit, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)  # plain steps are in threads
    _inside: _Inside = field(default_factory=WeakKeyDictionary, init=False, repr=False)

    def __post_init__(self) -> None:
        rate, threshold = self.failure_rate, self.failure_threshold
        both = f"CircuitBreaker({threshold!r}, failure_rate={rate!r})"
        require(rate is None or threshold is None, both, "one of both")
        require(rate is None or 0 < rate <= 1, f"CircuitBreaker(failure_rate={rate!r})", "a number above 0, up to 1")
        self.on = kinds(self.on, "CircuitBreaker(on")
        self.never_on = kinds(self.never_on, "CircuitBreaker(never_on")
        window = WINDOW if self.window is None and rate is not None else self.window
        self._rules = Rules(
            failures=None
            if rate is not None
            else count(3 if threshold is None else threshold, "CircuitBreaker(failure_threshold"),
            rate=rate,
            window=None if window is None else length(window, "CircuitBreaker(window"),
            minimum_calls=count(self.minimum_calls, "CircuitBreaker(minimum_calls"),
            timeout=length(self.timeout, "CircuitBreaker(timeout"),
            probes=count(self.probes, "CircuitBreaker(probes"),
        )

    # Around calls.

    async def __aenter__(self) -> Self:
        admission = await self._change("admits", self._rules.admit, Admission)
        wait = admission["retry_after"]
        if wait is not None:
            raise CircuitOpen(
                f"The {self.label} lets no call pass; it will try one in {math.ceil(wait)} s.", retry_after=wait
            )
        self._inside.setdefault(asyncio.current_task(), []).append(admission)
        return self

    async def __aexit__(self, *exc: object) -> None:
        task, error = asyncio.current_task(), exc[1]
        # None: left in another task than that which entered, such as one that closes a stream.
        admissions = self._inside.get(task)
        admission = admissions.pop() if admissions else None
        if isinstance(error, Exception | asyncio.CancelledError | None):
            await self._learn(admission, self._outcome(error))

    def _outcome(self, error: BaseException | None) -> bool | None:
        """How a call ended: well or not; None if that cannot be said."""
        if error is None:
            return True
        if not isinstance(error, Exception) or isinstance(error, SILENT):
            return None
        return isinstance(error, self.never_on) or not isinstance(error, self.on)

    async def _learn(self, admission: Admission | None, outcome: bool | None) -> None:
        if outcome is None and (admission is None or admission["probe"] is None):
            return

        def learn(circuit: Circuit, now: float) -> tuple[Circuit, None]:
            if admission is None:
                return self._rules.note(circuit, outcome is True, now), None
            return self._rules.learn(circuit, admission, outcome, now), None

        try:
            await self._change("learns", learn, None)
        except StoreError as error:
            # The call was made, and what came of it matters more than that the others hear of it.
            log.warning("the %s did not learn how a call ended: %s", self.label, error)

    async def read_state(self) -> State:
        """The state now, of a breaker that is shared or not."""
        return await self._change("looks", _state, State)

    # Asked and told directly.

    @property
    def state(self) -> str:  # no Literal: type checkers would believe that it stays what it was compared with
        """One of "closed", "open" and "half-open". Raises UsageError if the breaker is shared."""
        return self._change_here("looks", _state, "await breaker.read_state()")

    def is_open(self) -> bool:
        """Whether the call that is to be made now must not be made. Raises UsageError if the breaker is shared.

        While it is half-open, each who is told False has one of the few probes, and is to record how it ended.
        """
        admission = self._change_here("admits", self._rules.admit, "async with breaker")
        return admission["retry_after"] is not None

    def record_success(self) -> None:
        """Tell of a call that went well. Raises UsageError if the breaker is shared."""
        self._record(True)

    def record_failure(self) -> None:
        """Tell of a call that failed. Raises UsageError if the breaker is shared."""
        self._record(False)

    def _record(self, outcome: bool) -> None:
        def note(circuit: Circuit, now: float) -> tuple[Circuit, None]:
            return self._rules.note(circuit, outcome, now), None

        self._change_here("learns", note, "async with breaker")

    # Its state, wherever that is.

    @property
    def label(self) -> str:
        """What it is called in journals, in messages and in the store."""
        return f"breaker {self.name}" if self.name else "breaker"

    @property
    def _shared(self) -> SharedState | None:
        return ground().shared if self.name else None

    async def _change(self, verb: str, change: Callable[[Circuit, float], tuple[Circuit, T]], type: Any) -> T:
        shared = self._shared
        if shared is None:
            return self._change_memory(verb, change)
        return await ground().recorded(f"{self.label} {verb}", partial(self._change_shared, shared, change), type)

    async def _change_shared(self, shared: SharedState, change: Callable[[Circuit, float], tuple[Circuit, T]]) -> T:
        codec = codec_for(Circuit)
        while True:
            text, version = await shared.read(self.label)
            circuit = Circuit() if text is None else codec.decode(text)
            changed, answer = self._changed(change, circuit)
            # Where the state stays as it was there is nothing to write, as with most calls that go well.
            if changed == circuit or await shared.swap(self.label, codec.encode(changed), version):
                return answer

    def _change_here(self, verb: str, change: Callable[[Circuit, float], tuple[Circuit, T]], instead: str) -> T:
        if self._shared is not None:
            raise UsageError(f"The {self.label} is shared through the store, which takes waiting. Write `{instead}`.")
        return self._change_memory(verb, change)

    def _change_memory(self, verb: str, change: Callable[[Circuit, float], tuple[Circuit, T]]) -> T:
        def choose() -> T:
            with self._lock:
                self._circuit, answer = self._changed(change, self._circuit)
            return answer

        return ground().decide(f"{self.label} {verb}", choose)

    def _changed(self, change: Callable[[Circuit, float], tuple[Circuit, T]], circuit: Circuit) -> tuple[Circuit, T]:
        now = ground().now()
        return change(self._rules.set_back(circuit, now), now)


def _state(circuit: Circuit, now: float) -> tuple[Circuit, State]:
    return circuit, circuit.state(now)

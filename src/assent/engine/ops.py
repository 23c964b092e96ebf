"""What workflow code waits for: steps, timers and signals, as data."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from assent.codec import Codec, Signature
from assent.engine.loop import DurableTimer
from assent.errors import PermitRefused
from assent.resilience import Retry
from assent.store import ApprovalRecord, Permit

Redact = Callable[[str, Any], str]
"""Given the JSON of a value and the value, gives the JSON that may be read."""

RedactError = Callable[[str, Mapping[str, Any]], str]
"""Given the JSON of an error and the arguments of the call that raised it, gives the JSON that may be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionInfo:
    """What workflow code and steps may know of the execution that they belong to."""

    id: str
    name: str
    version: int
    requester: str | None = None  # JSON of the principal for whom it runs
    parent_id: str | None = None
    started_at: float  # Unix seconds


class Note(NamedTuple):
    """An event that is journaled together with something else."""

    type: str
    name: str | None = None
    value: str | None = None  # JSON


class Mark(NamedTuple):
    """What workflow code has decided or noted by itself, between two completions."""

    name: str
    value: str  # JSON
    is_decision: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An effect as its `verify=` function sees it after a crash."""

    name: str
    arguments: Mapping[str, Any]
    execution_id: str
    idempotency_key: str
    intended_at: float  # Unix seconds at which the intent was journaled


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """How a step is performed and recorded; the same for all its calls."""

    name: str
    perform: Callable[[Mapping[str, Any]], Awaitable[Any]]  # called with the decoded arguments by parameter name
    signature: Signature | None = None  # encodes the arguments; None: there are none
    returns: Codec
    retry: Retry | None = None
    timeout: float | None = None  # seconds for one attempt
    once: bool = False  # the intent is journaled before, and the effect is never just repeated
    verify: Callable[[Effect], Awaitable[Any]] | None = None
    captured: bool = True  # False: digests instead of values are kept
    redact: Redact | None = None  # arguments and results as they may be read; what they were is sealed
    redact_error: RedactError | None = None  # errors as they may be kept; what they were is gone
    is_inner: bool = False  # only code of our own sees its outcome: it is written together with what that leads to
    settles: bool = True  # its success settles the holds of its permit, as its failure does in any case

    def repeats(self, attempt: int, error: BaseException) -> bool:
        """Whether another attempt follows this one. A refused permit is final: asking again does not make it hold."""
        if self.retry is None or not isinstance(error, Exception) or isinstance(error, PermitRefused):
            return False
        return self.retry.may_retry(attempt, error)


class Op:
    """Something that workflow code waits for, numbered in the order in which it was asked for."""

    __slots__ = ("index", "name")

    def __init__(self, index: int, name: str) -> None:
        self.index = index
        self.name = name


class StepOp(Op):
    """One attempt of a step."""

    __slots__ = (
        "arguments",
        "attempt",
        "cancelled",
        "future",
        "key",
        "notes",
        "permit",
        "settled",
        "shown",
        "spec",
        "started_at",
        "touched",
    )

    def __init__(self, index: int, spec: StepSpec, arguments: Mapping[str, Any], future: asyncio.Future[Any]) -> None:
        self.index = index
        self.name = spec.name
        self.spec = spec
        self.arguments = arguments
        self.future = future
        self.attempt = 1
        self.key = index  # the op of the first attempt: what the idempotency key is made of
        self.permit: Permit | None = None
        self.notes: Sequence[Note] = ()  # journaled with the intent
        self.shown = ""  # the arguments, as they are journaled with the outcome; empty once the intent has told them
        self.started_at: float | None = None
        self.cancelled = False
        self.settled = False
        self.touched = False  # an earlier attempt may have had its effect

    def encoded(self) -> str:
        """The arguments as JSON. Raises CodecError for what cannot come back as it is."""
        return self.spec.signature.encode(self.arguments) if self.spec.signature else "{}"


class TimerOp(Op):
    """A timer; `due` in Unix seconds, infinite for one that never fires."""

    __slots__ = ("due", "handle")

    def __init__(self, index: int, due: float, handle: DurableTimer) -> None:
        super().__init__(index, "")
        self.due = due
        self.handle = handle


class SignalOp(Op):
    """A wait for a message by name, with what is written when the wait begins."""

    __slots__ = ("approvals", "codec", "future", "notes", "served")

    def __init__(self, index: int, name: str, codec: Codec, future: asyncio.Future[Any]) -> None:
        super().__init__(index, name)
        self.codec = codec
        self.future = future
        self.notes: Sequence[Note] = ()
        self.approvals: Sequence[ApprovalRecord] = ()
        self.served = False  # its message is being written

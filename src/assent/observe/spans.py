"""A journal as spans: the execution, the agents in it, their requests, tools and steps, and what people were asked.

It is a fold over the events of one execution, in order. It can begin in the middle: what began before is told to it
first. What it finds depends on the journal alone, so every process that drives an execution finds the same spans.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Literal

from assent.observe.model_calls import MODEL, TOOL, ModelCall, ToolRequest, model_call, object_of
from assent.store import Event, ExecutionRecord

APPROVAL_SIGNAL: Final = "approval:"  # the word that an approval is decided comes as a signal of such a name
ROOT: Final = ""  # the key of the execution's own span

Outcome = Literal["open", "done", "failed", "cancelled"]

APPROVAL_OUTCOMES: Final[Mapping[str, Outcome]] = {"granted": "done", "amended": "done", "withdrawn": "cancelled"}


# Written by whoever decides. Who drives the execution has word of it later, as a signal.
VERDICTS: Final = frozenset(f"policy.approval.{status}" for status in (*APPROVAL_OUTCOMES, "rejected", "expired"))


class SpanKind(StrEnum):
    """What a span is of."""

    EXECUTION = "execution"
    AGENT = "agent"
    MODEL = "model"
    TOOL = "tool"
    STEP = "step"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time in an execution. `key` is unique in its execution, and the same in every process."""

    kind: SpanKind
    key: str
    parent: str | None = ROOT  # the key of the span in which it lies; None: it is the execution's own
    name: str
    started_at: float
    place: int = 0  # of the first event that tells of it: an order among those that begin at the same time
    ended_at: float | None = None  # None: it goes on
    outcome: Outcome = "open"
    error: str = ""  # its type, where that is known
    reason: str = ""  # why it failed, for people
    attempt: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)  # of an agent's run or an approval
    call: ModelCall | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A tool call that a model has asked for, and that has not been seen yet."""

    by: str  # the key of the run
    request: ToolRequest


class Trace:
    """The spans of one execution. `tell` it each event; it gives those that end with it."""

    def __init__(self, record: ExecutionRecord) -> None:
        self._record = record
        self._place = 0
        self._open: dict[str, Span] = {}
        self._told: dict[int, str | None] = {}  # arguments of steps that have begun, by op
        self._wanted: list[_Wanted] = []
        self._readers: Mapping[str, Callable[[Event], Sequence[Span]]] = {
            "execution.noted": self._noted,
            "execution.completed": self._ended,
            "execution.failed": self._ended,
            "execution.cancelled": self._ended,
            "step.started": self._begun,
            "step.completed": self._performed,
            "step.retried": self._performed,
            "step.failed": self._performed,
            "policy.approval.requested": self._asked,
            "signal.received": self._answered,
            **dict.fromkeys(VERDICTS, self._decided),
        }
        self._enter(self._new(SpanKind.EXECUTION, ROOT, record.name, record.created_at, parent=None))

    def tell(self, event: Event) -> Sequence[Span]:
        """The spans that end with this event."""
        self._place += 1
        reader = self._readers.get(event.type)
        return reader(event) if reader is not None else ()

    @property
    def open(self) -> Sequence[Span]:
        """Those that have begun and not ended, in the order in which they began."""
        return tuple(self._open.values())

    def _new(self, kind: SpanKind, key: str, name: str, at: float, **facts: Any) -> Span:
        return Span(kind=kind, key=key, name=name, started_at=at, place=self._place, **facts)

    def _enter(self, span: Span) -> None:
        self._open[span.key] = span

    def _leave(self, key: str, at: float, outcome: Outcome, **changes: Any) -> Sequence[Span]:
        span = self._open.pop(key, None)
        return () if span is None else (replace(span, ended_at=at, outcome=outcome, **changes),)

    # The execution

    def _ended(self, event: Event) -> Sequence[Span]:
        outcomes: Mapping[str, Outcome] = {"execution.completed": "done", "execution.failed": "failed"}
        outcome: Outcome = outcomes.get(event.type, "cancelled")
        why = str(object_of(event.value).get("reason") or "") if outcome == "cancelled" else ""
        error, reason = failure_of(event) if outcome == "failed" else ("", why)
        left = [key for key in self._open if key != ROOT]
        ended = [span for key in reversed(left) for span in self._leave(key, event.at, "cancelled")]
        return (*ended, *self._leave(ROOT, event.at, outcome, error=error, reason=reason))

    # Agents

    def _noted(self, event: Event) -> Sequence[Span]:
        facts = object_of(event.value)
        key, name = f"agent/{facts.get('run')}", str(facts.get("agent") or "")
        if event.name == "agent.started":
            parent = self._caller(name, {})
            self._enter(self._new(SpanKind.AGENT, key, name, event.at, parent=parent, facts=facts))
        elif event.name == "agent.ended" and key in self._open:
            stop = str(facts.get("stop") or "")
            outcome: Outcome = "done" if stop == "final" else "cancelled" if stop == "cancelled" else "failed"
            error = stop if outcome == "failed" else ""
            known = {**self._open[key].facts, **facts}
            return self._leave(key, event.at, outcome, error=error, reason=str(facts.get("error") or ""), facts=known)
        return ()

    def _caller(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The run that has asked for a call; of several alike the one that asked first."""
        alike = [each for each in self._wanted if each.request.name == name]
        if not alike:
            return ROOT
        found = next((each for each in alike if each.request.arguments == arguments), alike[0])
        self._wanted.remove(found)
        return self._run(found.by)

    def _run(self, key: str) -> str:
        return key if key in self._open else ROOT

    # Steps

    def _begun(self, event: Event) -> Sequence[Span]:
        if event.op is not None:
            self._told[event.op] = event.arguments
            self._enter(self._step(event, event.arguments))
        return ()

    def _performed(self, event: Event) -> Sequence[Span]:
        told = self._told.pop(event.op, None) if event.op is not None else None
        arguments = event.arguments or told
        # It may have begun in a process that has died since, and then began anew.
        span = self._open.pop(_key(event), None) or self._step(event, arguments)
        changes: dict[str, Any] = {"ended_at": event.at, "started_at": event.started_at or span.started_at}
        if event.type == "step.completed":
            changes |= {"outcome": "done", "call": self._called(span, event, arguments)}
        else:
            error, reason = failure_of(event)
            changes |= {"outcome": "cancelled" if error == "CancelledError" else "failed"}
            changes |= {"error": error, "reason": reason}
        if event.type == "step.retried" and span.parent and span.kind is not SpanKind.MODEL:
            # The next attempt is wanted by the same run.
            self._wanted.insert(0, _Wanted(span.parent, ToolRequest(span.name, object_of(arguments))))
        return (replace(span, **changes),)

    def _called(self, span: Span, event: Event, arguments: str | None) -> ModelCall | None:
        if span.kind is not SpanKind.MODEL:
            return None
        call = model_call(event.name or "", arguments, event.value)
        # What a run asked for in an earlier turn and nobody called will not be called any more.
        key = f"agent/{call.run}"
        kept = [each for each in self._wanted if each.by != key]
        self._wanted = [*kept, *(_Wanted(key, request) for request in call.tools)]
        return call

    def _step(self, event: Event, arguments: str | None) -> Span:
        name = event.name or ""
        kind, parent = SpanKind.STEP, ROOT
        if name.startswith(MODEL):
            kind, name = SpanKind.MODEL, name.removeprefix(MODEL)
            parent = self._run(f"agent/{object_of(arguments).get('run')}")
        elif name.startswith(TOOL):
            kind, name = SpanKind.TOOL, name.removeprefix(TOOL)
        if kind is not SpanKind.MODEL and self._wanted:
            parent = self._caller(name, object_of(arguments))
        return self._new(kind, _key(event), name, _start(event), parent=parent, attempt=event.attempt or 1)

    # Approvals

    def _asked(self, event: Event) -> Sequence[Span]:
        facts = object_of(event.value)
        key = f"approval/{facts.get('approval_id')}"
        self._enter(self._new(SpanKind.APPROVAL, key, event.name or "approval", event.at, facts=facts))
        return ()

    def _decided(self, event: Event) -> Sequence[Span]:
        facts, status = object_of(event.value), event.type.rpartition(".")[2]
        return self._close(f"approval/{facts.get('approval_id')}", event.at, status, facts)

    def _answered(self, event: Event) -> Sequence[Span]:
        """Word of a decision, for whoever does not see the event of the decision itself."""
        name, word = event.name or "", object_of(event.value)
        if not name.startswith(APPROVAL_SIGNAL):
            return ()
        at = word.get("decided_at")
        at = at if isinstance(at, int | float) else event.at
        return self._close(f"approval/{name.removeprefix(APPROVAL_SIGNAL)}", at, str(word.get("status") or ""), word)

    def _close(self, key: str, at: float, status: str, word: Mapping[str, Any]) -> Sequence[Span]:
        if key not in self._open:
            return ()
        outcome: Outcome = APPROVAL_OUTCOMES.get(status, "failed")
        known = {**self._open[key].facts, "status": status, "approver": word.get("approver")}
        reason, error = str(word.get("reason") or ""), status if outcome == "failed" else ""
        return self._leave(key, at, outcome, error=error, reason=reason, facts=known)


def spans_of(record: ExecutionRecord, events: Iterable[Event]) -> list[Span]:
    """All spans of an execution in the order in which they began, its own first."""
    trace = Trace(record)
    spans = [span for event in events for span in trace.tell(event)]
    return sorted([*spans, *trace.open], key=lambda span: (span.parent is not None, span.started_at, span.place))


def failure_of(event: Event) -> tuple[str, str]:
    """The type of a recorded error, and what it says."""
    facts = object_of(event.value)
    return str(facts.get("type") or "").rpartition(":")[2], str(facts.get("message") or "")


def _key(event: Event) -> str:
    return f"step/{event.op}/{event.attempt or 1}"


def _start(event: Event) -> float:
    return event.at if event.started_at is None else event.started_at

"""Spans for OpenTelemetry, made of the journal's events. The one module that knows the library.

A span here is made when it is over, from what the journal says of it, and its id is made of the journal's own. So each
process that drives an execution, today or after a crash, finds the same ids: all its spans are in one trace, in the
right places, and none need be kept open or carried over.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from importlib.metadata import version
from typing import Any, Final
from weakref import WeakValueDictionary

from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from assent.engine import Watcher, step_scope
from assent.errors import UsageError
from assent.observe.backlog import Backlog
from assent.observe.conventions import attributes_of, name_of
from assent.observe.event_store import user_of
from assent.observe.spans import VERDICTS, Span, Trace
from assent.observe.spans import SpanKind as Kind
from assent.store import Event, ExecutionRecord

# So many events wait for their turn, some ten megabytes of them.
MOST_WAITING: Final = 50_000

NANO: Final = 1_000_000_000
HEADER: Final = "traceparent"
PROPAGATOR: Final = TraceContextTextMapPropagator()
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
SCOPE: Final = InstrumentationScope("assent", version("assent"))


class OpenTelemetry:
    """Tells OpenTelemetry of executions: `Runtime(watchers=[OpenTelemetry()])`.

    Spans go to `provider`, or to the global one. An execution that is started in a span of yours belongs to its trace,
    also if another process drives it later. What a step calls finds the step's span as the current one, so that its own
    spans, and the headers that it sends, are in the trace too. The work is done on a thread of its own that takes no
    more than a fiftieth of a processor, and none in a rush; when events come faster for long, some are left out and
    counted in `dropped`.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        found = provider or trace.get_tracer_provider()
        tracer = found.get_tracer(SCOPE.name, SCOPE.version)
        if not isinstance(tracer, SdkTracer):
            raise UsageError(
                "No TracerProvider of the OpenTelemetry SDK is set. Set one with trace.set_tracer_provider(), or give "
                "one: OpenTelemetry(TracerProvider())."
            )
        self._tracer = tracer
        self._backlog = Backlog(_Followed.tell, MOST_WAITING, width=1 + len(Event._fields))
        self._followed: WeakValueDictionary[str, _Followed] = WeakValueDictionary()  # those in memory here

    @property
    def dropped(self) -> int:
        """Events that came too fast."""
        return self._backlog.dropped

    def flush(self) -> None:
        """Tell the provider of all that has happened so far. A runtime that closes does so by itself."""
        self._backlog.flush()

    # As a `Tracer`

    def open(self) -> AbstractContextManager[None]:
        return self._backlog.open()

    def origin(self) -> str | None:
        carrier: dict[str, str] = {}
        PROPAGATOR.inject(carrier)
        return carrier.get(HEADER)

    def follow(self, record: ExecutionRecord, journal: Sequence[Event]) -> Watcher:
        followed = _Followed(record, journal, self._tracer, self._backlog)
        if not followed.is_sampled():
            return _ignore
        self._followed[record.id] = followed
        return followed

    @contextmanager
    def surround(self) -> Iterator[None]:
        token = context.attach(trace.set_span_in_context(_CurrentStep(self._followed), context.Context()))
        try:
            yield
        finally:
            context.detach(token)


class _CurrentStep(NonRecordingSpan):
    """The span of whatever step is at work where it is asked for its ids. So a step that never asks takes no time."""

    def __init__(self, followed: "Mapping[str, _Followed]") -> None:
        self._followed = followed

    def get_span_context(self) -> SpanContext:
        scope = step_scope.get()
        followed = self._followed.get(scope.info.id) if scope is not None else None
        if scope is None or followed is None:
            return INVALID_SPAN_CONTEXT
        return followed.context_of(f"step/{scope.op}/{scope.attempt}")


class _Followed:
    """One execution that is in memory here, with the journal that it began with. The backlog makes its spans."""

    def __init__(self, record: ExecutionRecord, journal: Sequence[Event], tracer: SdkTracer, backlog: Backlog) -> None:
        self._record = record
        self._journal = journal
        self._user: str | None = None
        self._trace: Trace | None = None
        self._tracer = tracer
        self._backlog = backlog
        self._origin = _origin_of(record.traceparent) if record.traceparent is not None else None
        self._trace_id = self._origin.trace_id if self._origin is not None else _number(record.id, 16)

    def is_sampled(self) -> bool:
        """Whether the sampler wants it; of a trace that has begun elsewhere it usually wants what was wanted there."""
        around = context.Context()
        if self._origin is not None:
            around = trace.set_span_in_context(NonRecordingSpan(self._origin), around)
        decision = self._tracer.sampler.should_sample(around, self._trace_id, self._record.name).decision
        return decision is Decision.RECORD_AND_SAMPLE

    def __call__(self, event: Event) -> None:
        self._backlog.put((self,) + event)  # noqa: RUF005 - (self, *event) takes twice the time

    def tell(self, *values: Any) -> None:
        """Tell the provider of the spans that end with the event of these values."""
        if self._trace is None:
            self._trace = self._recall()
        for span in self._trace.tell(Event(*values)):
            self._tracer.span_processor.on_end(self._readable(span))

    def _recall(self) -> Trace:
        """What has been told of already, perhaps by another process; but nobody has told of verdicts yet."""
        self._user = user_of(self._record)
        found = Trace(self._record)
        for event in self._journal:
            if event.type not in VERDICTS:
                found.tell(event)
        self._journal = ()
        return found

    def context_of(self, key: str) -> SpanContext:
        """The ids of one of its spans."""
        return SpanContext(self._trace_id, _number(f"{self._record.id}/{key}", 8), False, SAMPLED)

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name_of(span),
            context=self.context_of(span.key),
            parent=self._origin if span.parent is None else self.context_of(span.parent),
            resource=self._tracer.resource,
            attributes=attributes_of(span, self._record, self._user),
            kind=SpanKind.CLIENT if span.kind is Kind.MODEL else SpanKind.INTERNAL,
            status=_status(span),
            start_time=_nanoseconds(span.started_at),
            end_time=_nanoseconds(span.ended_at or span.started_at),
            instrumentation_scope=SCOPE,
        )


def _origin_of(traceparent: str) -> SpanContext | None:
    """The span in which an execution was started."""
    found = PROPAGATOR.extract({HEADER: traceparent}, context.Context())
    origin = trace.get_current_span(found).get_span_context()
    return origin if origin.is_valid else None


def _status(span: Span) -> Status:
    if span.outcome != "failed":
        return Status()
    return Status(StatusCode.ERROR, ": ".join(part for part in (span.error, span.reason) if part))


def _number(text: str, size: int) -> int:
    """An id of so many bytes, the same for the same text everywhere; it is never 0, which is no id."""
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest()) or 1


def _nanoseconds(at: float) -> int:
    return int(at * NANO)


def _ignore(event: Event) -> None:
    """What is told of an execution that nobody wants to know of."""

"""Reading what the journal tells: runs, costs, durations, traces. It keeps nothing of its own.

OpenTelemetry is in `assent.observe.otel`, and is imported by nothing else: it needs the extra `otel`.
"""

from assent.observe.event_store import Cost, EventStore, Grouping, Run, Summary, run_in
from assent.observe.model_calls import Metrics, ModelCall, dollars
from assent.observe.spans import Span, SpanKind

__all__ = [
    "Cost",
    "EventStore",
    "Grouping",
    "Metrics",
    "ModelCall",
    "Run",
    "Span",
    "SpanKind",
    "Summary",
    "dollars",
    "run_in",
]

"""What telemetry costs: durable steps a second with OpenTelemetry, beside the same without it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from assent import Runtime
from assent.observe.otel import OpenTelemetry
from benchmarks.durable import all_at_once, on_new_store, one_after_another
from benchmarks.figures import Figure, Scale, Target, side_by_side

AGAINST: Final = "the same without telemetry"

# Times as many rounds as others have: the difference is smaller than what other programs do to one round.
PATIENT: Final = 3


class Nowhere(SpanExporter):
    """Takes spans and sends them to nobody."""

    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


async def traced(scale: Scale, folder: Path) -> list[Figure]:
    """Steps of one workflow, and of many at once."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))

    async def beside(name: str, measure: Callable[[Runtime], Awaitable[float]]) -> Figure:
        on, off = folder / f"{name}, on", folder / f"{name}, off"
        on.mkdir()
        off.mkdir()
        ours = on_new_store(on, measure, watchers=[OpenTelemetry(provider)])
        found = await side_by_side(ours, on_new_store(off, measure), PATIENT * scale.rounds)
        return Figure(name=name, unit="/s", against=AGAINST, target=Target(0.97, "ratio at least"), **found._asdict())

    try:
        one = await beside("traced steps, one workflow", lambda runtime: one_after_another(runtime, scale.sequential))
        name = f"traced steps, {scale.workflows} workflows at once"
        return [one, await beside(name, lambda runtime: all_at_once(runtime, scale.workflows, scale.each))]
    finally:
        provider.shutdown()

"""`assent monitor`: runs of agents, what they took, traces as trees, and a view that renews itself."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC
from decimal import Decimal
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from assent.cli.moments import past
from assent.cli.output import Row, Screen, iso, local, plain, short_moment, span, styled
from assent.cli.stored import find_execution, opened
from assent.clock import SystemClock
from assent.errors import UsageError
from assent.observe import Cost, EventStore, Grouping, Metrics, Run, Span, SpanKind, Summary, dollars
from assent.store import Status, Store

EVERY: Final = 0.5  # seconds between two frames of the live view
BAR: Final = 30  # columns
COLOURS: Final[Mapping[str, str]] = {"done": "green", "failed": "red", "cancelled": "dim", "open": "cyan"}
WORDS: Final[Mapping[SpanKind, str]] = {
    SpanKind.AGENT: "agent ",
    SpanKind.MODEL: "model ",
    SpanKind.TOOL: "tool ",
    SpanKind.APPROVAL: "approval ",
}
RUN_HEADERS: Final = ["EXECUTION", "STATUS", "NAME", "STARTED", ">TOOK", ">COST", ">TOKENS", ">CALLS", ">TOOLS"]


# Runs


async def list_runs(
    screen: Screen,
    url: str | None,
    *,
    agent: str | None,
    status: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """`assent monitor list`."""
    if status is not None and status not in set(Status):
        raise UsageError(f"{status!r} is no status of an execution. Give one of: {', '.join(Status)}.")
    start = past(since, screen.now) if since else None
    async with opened(url) as store:
        runs = await EventStore(store).get_executions(agent_name=agent, status=status, since=start, limit=limit)
    if as_json:
        screen.json([run_facts(run) for run in runs])
    elif not runs:
        screen.say("There is none.")
    else:
        screen.table(RUN_HEADERS, [_row(run, screen.now) for run in runs])


def run_facts(run: Run) -> dict[str, Any]:
    """A run for programs."""
    return {
        "execution_id": run.execution_id,
        "run": run.run,
        "name": run.name,
        "status": run.status.value,
        "stop": run.stop or None,
        "error": run.error,
        "user": run.user,
        "parent_id": run.parent_id,
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "metrics": metrics_facts(run.metrics),
        "agents": [run_facts(one) for one in run.agents],
    }


def metrics_facts(metrics: Metrics) -> dict[str, Any]:
    """Metrics for programs; money is text, so that nothing of it is lost."""
    return {**asdict(metrics), "total_cost": str(metrics.total_cost)}


def _row(run: Run, now: float) -> Row:
    notes = [plain(one) for one in (run.stop if run.stop != "final" else "", run.error) if one]
    return Row(_cells(run, now), notes)


def _cells(run: Run, now: float) -> list[Text]:
    took = run.metrics
    seconds = took.duration if run.ended_at is not None else max(0.0, now - run.started_at)
    return [
        plain(run.execution_id if run.run is None else f"{run.execution_id} run {run.run}"),
        styled(run.status.value),
        plain(run.name),
        Text(short_moment(run.started_at, now)),
        Text(span(seconds)),
        *_numbers(took),
    ]


def _numbers(took: Metrics) -> list[Text]:
    return [
        Text(dollars(took.total_cost) + ("+?" if took.unpriced else "")),
        Text(f"{took.total_tokens:,}"),
        Text(f"{took.llm_calls:,}"),
        Text(f"{took.tool_calls:,}"),
    ]


# Sums


async def stats(screen: Screen, url: str | None, *, name: str | None, since: str | None, as_json: bool) -> None:
    """`assent monitor stats`."""
    async with opened(url) as store:
        found = await EventStore(store).get_summary_stats(name=name, since=past(since, screen.now) if since else None)
    if as_json:
        screen.json({**asdict(found), "open": found.open, "metrics": metrics_facts(found.metrics)})
    else:
        screen.fields(_summary(found))


def _summary(found: Summary) -> list[tuple[str, str | Text]]:
    took = found.metrics
    ended = (
        f"{found.completed:,} completed, {found.failed:,} failed, {found.cancelled:,} cancelled, {found.open:,} open"
    )
    unpriced = f", without {took.unpriced:,} answers whose price is not known" if took.unpriced else ""
    return [
        ("executions", f"{found.total:,}: {ended}"),
        ("on average", span(found.avg_duration)),
        ("cost", dollars(took.total_cost) + unpriced),
        ("tokens", f"{took.total_tokens:,}: {took.input_tokens:,} read, {took.output_tokens:,} written"),
        ("model requests", f"{took.llm_calls:,}, and {took.cache_hits:,} answers from the cache"),
        ("tool calls", f"{took.tool_calls:,}"),
    ]


async def cost(screen: Screen, url: str | None, *, by: Grouping, since: str | None, as_json: bool) -> None:
    """`assent monitor cost`."""
    start, zone = past(since, screen.now) if since else None, local(screen.now).tzinfo
    async with opened(url) as store:
        found = await EventStore(store).get_costs(by, since=start, zone=zone or UTC)
    if as_json:
        screen.json([{by: one.key, **metrics_facts(one.metrics)} for one in found])
    elif not found:
        screen.say("No model was asked.")
    else:
        most = max(one.metrics.total_cost for one in found)
        headers = [by.upper(), ">COST", ">TOKENS", ">CALLS", ">TOOLS", ""]
        screen.table(headers, [_cost_row(one, most) for one in found])
        total = sum((one.metrics.total_cost for one in found), Decimal(0))
        screen.say(f"{dollars(total)} in all.", style="bold")


def _cost_row(one: Cost, most: Decimal) -> Row:
    share = float(one.metrics.total_cost / most) if most else 0.0
    return Row([plain(one.key), *_numbers(one.metrics), Text("█" * round(share * BAR), style="cyan")])


# Traces


async def trace(screen: Screen, url: str | None, id: str, *, as_json: bool) -> None:
    """`assent monitor trace`."""
    async with opened(url) as store:
        record = await find_execution(store, id)
        spans = await EventStore(store).get_spans(record.id)
    if as_json:
        screen.json([span_facts(one) for one in spans])
        return
    begin = spans[0].started_at
    end = spans[0].ended_at or screen.now
    rows = [_span_row(one, depth, begin, end) for one, depth in in_tree(spans)]
    screen.table(["SPAN", ">AFTER", ">TOOK", ""], rows)


def in_tree(spans: Sequence[Span]) -> list[tuple[Span, int]]:
    """Each span after the one that it lies in, and how deep it lies."""
    within: dict[str | None, list[Span]] = {}
    for one in spans:
        within.setdefault(one.parent, []).append(one)
    found: list[tuple[Span, int]] = []
    waiting = [(one, 0) for one in reversed(within.get(None, []))]
    while waiting:
        one, depth = waiting.pop()
        found.append((one, depth))
        waiting += [(each, depth + 1) for each in reversed(within.get(one.key, []))]
    return found


def span_facts(one: Span) -> dict[str, Any]:
    """A span for programs."""
    call = one.call
    return {
        "kind": one.kind.value,
        "key": one.key,
        "parent": one.parent,
        "name": one.name,
        "started_at": iso(one.started_at),
        "ended_at": iso(one.ended_at),
        "outcome": one.outcome,
        "error": one.error or None,
        "reason": one.reason or None,
        "attempt": one.attempt,
        "metrics": metrics_facts(Metrics.of([call])) if call is not None else None,
    }


def _span_row(one: Span, depth: int, begin: float, end: float) -> Row:
    ended = end if one.ended_at is None else one.ended_at
    cells = [
        Text(" " * 2 * depth + WORDS.get(one.kind, ""), style="dim") + plain(one.name, style="bold" * (depth == 0)),
        Text(f"+{span(one.started_at - begin)}", style="dim"),
        Text(span(ended - one.started_at)),
        _bar(one, ended, begin, end),
    ]
    return Row(cells, [plain(note) for note in _notes(one)])


def _bar(one: Span, ended: float, begin: float, end: float) -> Text:
    whole = max(end - begin, 1e-9)
    left = min(round((one.started_at - begin) / whole * BAR), BAR - 1)
    length = max(1, min(round((ended - one.started_at) / whole * BAR), BAR - left))
    right = " " * (BAR - left - length)
    return Text(" " * left) + Text("█" * length, style=COLOURS[one.outcome]) + Text(right)


def _notes(one: Span) -> list[str]:
    call = one.call
    took = [] if call is None or call.cached else [f"{call.input_tokens + call.output_tokens:,} tokens"]
    if call is not None:
        took += ["from the cache"] if call.cached else [dollars(call.cost)] if call.cost is not None else []
    attempt = [f"attempt {one.attempt}"] if one.attempt > 1 else []
    failed = [": ".join(part for part in (one.error, one.reason) if part)] if one.outcome == "failed" else []
    return [*took, *attempt, *failed, *([one.outcome] if one.outcome in {"open", "cancelled"} else [])]


# Live


async def live(screen: Screen, url: str | None, *, limit: int, console: Console | None = None) -> None:
    """`assent monitor live`."""
    console = console or Console()
    async with opened(url) as store:
        if not console.is_terminal:
            await _once(screen, store, limit)
            return
        with Live(console=console, auto_refresh=False, screen=True) as view:
            runs = await EventStore(store).get_executions(limit=limit)
            while True:
                if store.changed():
                    runs = await EventStore(store).get_executions(limit=limit)
                view.update(frame(runs, (await store.counts())["executions"], SystemClock().now()), refresh=True)
                await asyncio.sleep(EVERY)


async def _once(screen: Screen, store: Store, limit: int) -> None:
    runs = await EventStore(store).get_executions(limit=limit)
    screen.table(RUN_HEADERS, [_row(run, screen.now) for run in runs])


def frame(runs: Sequence[Run], counts: Mapping[str, int], now: float) -> Group:
    """What the live view shows at this moment: how many executions there are, and the newest with their agents."""
    table = Table(box=None, header_style="bold")
    for header in RUN_HEADERS:
        table.add_column(header.removeprefix(">"), justify="right" if header.startswith(">") else "left")
    for run in runs:
        table.add_row(*_cells(run, now))
        for agent in run.agents:
            table.add_row(*_agent_cells(agent, now))
    states = [Text.assemble(f"{count:,} ", styled(status)) for status, count in counts.items() if count]
    head = Text.assemble(("Assent", "bold"), f"  {local(now):%H:%M:%S}  ", Text(" · ").join(states))
    return Group(head, Text(), table, Text("Ctrl-C ends", style="dim"))


def _agent_cells(run: Run, now: float) -> list[Text]:
    return [Text(f"  run {run.run}", style="dim"), *_cells(run, now)[1:]]

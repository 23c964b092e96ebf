"""What has run, how it ended and what it cost: questions that the journal answers."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Literal, NamedTuple

from assent.engine import current
from assent.engine.reading import read_execution
from assent.engine.texts import filled_in
from assent.errors import RuntimeRequired, UsageError
from assent.governance import ambient_authority
from assent.observe.model_calls import MODEL, Metrics, ModelCall, model_call, object_of
from assent.observe.spans import Outcome, Span, SpanKind, spans_of
from assent.store import Event, ExecutionQuery, ExecutionRecord, Status, Store

PAGE: Final = 1000

Grouping = Literal["agent", "model", "day", "user"]
GROUPINGS: Final[tuple[Grouping, ...]] = ("agent", "model", "day", "user")

NOBODY: Final = "(nobody)"  # the user of what runs for nobody
NO_AGENT: Final = "(no agent)"

STATUSES: Final[dict[Outcome, Status]] = {
    "done": Status.COMPLETED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An execution, or one run of an agent in it.

    The metrics of an execution are of all that happened in it; those of an agent's run are its own, without those of
    the agents that it called as tools. Executions that it has started are runs of their own.
    """

    execution_id: str
    run: int | None = None  # of an agent, unique within its execution; None: the execution as a whole
    name: str  # of the agent, the workflow or the governed function
    status: Status
    stop: str = ""  # why an agent stopped: final, turn_limit, cost_limit ...
    error: str | None = None
    user: str | None = None  # for whom it runs
    parent_id: str | None = None
    started_at: float  # Unix seconds
    ended_at: float | None = None  # None: it goes on
    metrics: Metrics
    agents: Sequence["Run"] = ()  # the runs of agents in an execution, in the order in which they began


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How executions fare. `avg_duration` is in seconds, of those that have ended."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    avg_duration: float = 0.0
    metrics: Metrics = field(default_factory=Metrics)  # its duration is the sum of theirs

    @property
    def open(self) -> int:
        """Those that have not ended."""
        return self.total - self.completed - self.failed - self.cancelled


@dataclass(frozen=True, slots=True)
class Cost:
    """What one agent, model, day or user took."""

    key: str
    metrics: Metrics


class _Answered(NamedTuple):
    """An answered request with where and when."""

    execution_id: str
    at: float
    call: ModelCall


class EventStore:
    """Runs, costs and traces, read from the journal. It writes nothing.

    `store` is that of the runtime that is open here, unless it is given. Workflow code is replayed, and what it reads
    would differ then: call it in a @step there.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._given = store

    async def get_executions(
        self,
        *,
        agent_name: str | None = None,
        status: Status | str | None = None,
        since: float | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Executions, newest first; with `agent_name` the runs of that agent, wherever it ran.

        For a name that no agent bears, it is the executions of the workflow or function of that name. `since`: begun
        at that Unix second or later.
        """
        wanted = None if status is None else Status(status)
        starts = await self._starts(agent_name, since) if agent_name is not None else []
        if starts:
            return await self._runs(starts, wanted, limit)
        query = ExecutionQuery(name=agent_name, status=wanted, since=since, limit=limit)
        return [await self._run(record) for record in await self._store.executions(query)]

    async def get_execution(self, execution_id: str) -> Run:
        """One execution, with the agents that ran in it. Raises ExecutionNotFound."""
        return await self._run(await read_execution(self._store, execution_id))

    async def get_spans(self, execution_id: str) -> list[Span]:
        """What happened in an execution as spans, in the order in which they began, its own first."""
        record = await read_execution(self._store, execution_id)
        return spans_of(record, await self._journal(execution_id))

    async def get_summary_stats(self, *, name: str | None = None, since: float | None = None) -> Summary:
        """How the executions (of that name) fared that were started since then, and what they took."""
        query = ExecutionQuery(name=name, since=since, limit=PAGE)
        found = {record.id: record async for record in self._records(query)}
        ended = [record for record in found.values() if record.status.is_final]
        spent = sum(record.updated_at - record.created_at for record in ended)
        calls = [one.call async for one in self._answered() if one.execution_id in found]
        count = defaultdict[Status, int](int)
        for record in found.values():
            count[record.status] += 1
        return Summary(
            total=len(found),
            completed=count[Status.COMPLETED],
            failed=count[Status.FAILED],
            cancelled=count[Status.CANCELLED],
            avg_duration=spent / len(ended) if ended else 0.0,
            metrics=Metrics.of(calls, spent),
        )

    async def get_costs(self, by: Grouping = "agent", *, since: float | None = None, zone: tzinfo = UTC) -> list[Cost]:
        """What was spent on models since then, the most expensive first; days in order, as they are in `zone`."""
        if by not in GROUPINGS:
            raise UsageError(f"Costs are grouped by {', '.join(GROUPINGS)}, not by {by!r}.")
        groups: dict[str, list[ModelCall]] = {}
        users: dict[str, str] = {}
        async for one in self._answered(since):
            if by == "user" and one.execution_id not in users:
                users[one.execution_id] = await self._user(one.execution_id)
            groups.setdefault(_key(by, one, users, zone), []).append(one.call)
        costs = [Cost(key, Metrics.of(calls)) for key, calls in sorted(groups.items())]
        return costs if by == "day" else sorted(costs, key=lambda one: one.metrics.total_cost, reverse=True)

    # Reading

    @property
    def _store(self) -> Store:
        if current() is not None:
            raise UsageError("What EventStore reads differs when a workflow is replayed: call it in a @step.")
        if self._given is not None:
            return self._given
        authority = ambient_authority.get()
        if authority is None:
            raise RuntimeRequired("EventStore() found no open Runtime. Open one, or give it a store.")
        return authority.store

    async def _starts(self, agent: str, since: float | None) -> list[Event]:
        """Where runs of an agent began, newest first."""
        noted = [event async for event in self._events("execution.noted") if event.name == "agent.started"]
        mine = [event for event in noted if object_of(event.value).get("agent") == agent]
        return [event for event in reversed(mine) if since is None or event.at >= since]

    async def _runs(self, starts: Sequence[Event], status: Status | None, limit: int) -> list[Run]:
        read: dict[str, Run] = {}
        found: list[Run] = []
        for start in starts:
            if len(found) == limit:
                break
            if start.execution_id not in read:
                read[start.execution_id] = await self.get_execution(start.execution_id)
            number = object_of(start.value).get("run")
            found += [
                one
                for one in read[start.execution_id].agents
                if one.run == number and (status is None or one.status is status)
            ]
        return found

    async def _run(self, record: ExecutionRecord) -> Run:
        return run_of(record, spans_of(record, await self._journal(record.id)))

    async def _journal(self, execution_id: str) -> list[Event]:
        """The journal of an execution, with large answers of models filled in and nothing else."""
        events = await self._store.journal(execution_id)
        return [(await filled_in(self._store, [each]))[0] if _asks_model(each) else each for each in events]

    async def _answered(self, since: float | None = None) -> AsyncIterator[_Answered]:
        """The answered requests of all executions, in order."""
        told: dict[tuple[str, int | None], str | None] = {}
        async for event in self._events("step.*"):
            if not _asks_model(event):
                continue
            place = (event.execution_id, event.op)
            if event.type == "step.started":
                told[place] = event.arguments
                continue
            arguments = event.arguments or told.pop(place, None)
            if event.type == "step.completed" and (since is None or event.at >= since):
                (event,) = await filled_in(self._store, [event])
                yield _Answered(event.execution_id, event.at, model_call(event.name or "", arguments, event.value))

    async def _events(self, type: str) -> AsyncIterator[Event]:
        after = 0
        while page := await self._store.events(after, type, PAGE):
            for event in page:
                yield event
            after = page[-1].seq

    async def _records(self, query: ExecutionQuery) -> AsyncIterator[ExecutionRecord]:
        while page := await self._store.executions(query):
            for record in page:
                yield record
            query = replace(query, before=page[-1].id)

    async def _user(self, execution_id: str) -> str:
        record = await self._store.execution(execution_id)
        return user_of(record) or NOBODY if record is not None else NOBODY


def run_in(record: ExecutionRecord, journal: Sequence[Event]) -> Run:
    """An execution and the agents in it, from its journal with large values filled in."""
    return run_of(record, spans_of(record, journal))


def run_of(record: ExecutionRecord, spans: Sequence[Span]) -> Run:
    """An execution and the agents in it, from its spans."""
    whole = spans[0]
    agents = [_agent_run(record, span, spans) for span in spans if span.kind is SpanKind.AGENT]
    return Run(
        execution_id=record.id,
        name=record.name,
        status=record.status,
        error=_said(whole),
        user=user_of(record),
        parent_id=record.parent_id,
        started_at=whole.started_at,
        ended_at=whole.ended_at,
        metrics=Metrics.of(_calls(spans), _seconds(record, whole)),
        agents=agents,
    )


def _agent_run(record: ExecutionRecord, span: Span, spans: Sequence[Span]) -> Run:
    own = [each for each in spans if each.parent == span.key]
    return Run(
        execution_id=record.id,
        run=span.facts.get("run"),
        name=span.name,
        status=STATUSES.get(span.outcome, record.status),
        stop=str(span.facts.get("stop") or ""),
        error=_said(span),
        user=user_of(record),
        parent_id=record.parent_id,
        started_at=span.started_at,
        ended_at=span.ended_at,
        metrics=Metrics.of(_calls(own), _seconds(record, span)),
    )


def user_of(record: ExecutionRecord) -> str | None:
    """For whom an execution runs."""
    found: Any = object_of(record.requester).get("id")
    return str(found) if found else None


def _calls(spans: Sequence[Span]) -> list[ModelCall]:
    return [span.call for span in spans if span.call is not None]


def _seconds(record: ExecutionRecord, span: Span) -> float:
    """How long it took, or has taken so far as the store knows."""
    end = span.ended_at if span.ended_at is not None else record.updated_at
    return max(0.0, end - span.started_at)


def _said(span: Span) -> str | None:
    return f"{span.error}: {span.reason}".strip(": ") or None if span.outcome in {"failed", "cancelled"} else None


def _key(by: Grouping, one: _Answered, users: dict[str, str], zone: tzinfo) -> str:
    match by:
        case "agent":
            return one.call.agent or NO_AGENT
        case "model":
            return one.call.answered_by
        case "day":
            return datetime.fromtimestamp(one.at, zone).date().isoformat()
        case "user":
            return users[one.execution_id]


def _asks_model(event: Event) -> bool:
    return event.name is not None and event.name.startswith(MODEL) and event.type.startswith("step.")

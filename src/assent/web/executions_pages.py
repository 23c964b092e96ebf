"""Executions in the browser: the list with its filters, and one execution with its timeline."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from assent.clock import seconds
from assent.codec import from_json
from assent.engine import Program
from assent.engine.rehearsal import Recording, divergence
from assent.engine.texts import unsealed
from assent.errors import UsageError
from assent.observe import Metrics, dollars, run_in
from assent.store import Event, ExecutionQuery, ExecutionRecord, Message, Status, Workflow
from assent.web.access import Access, Identity, identity_of
from assent.web.answers import data_of, requester_of
from assent.web.desk import Desk, desk_of
from assent.web.execution_chart import chart_of, length
from assent.web.execution_lanes import story_of, waits_of
from assent.web.execution_words import drawn_in, event_words, waiting_for
from assent.web.forms import field
from assent.web.pages import redirect, render
from assent.web.reading import ApprovalsWanted, Told, approvals, execution_head, executions, told_of
from assent.web.routing import Route

PAGE: Final = 40
MOST_SCANNED: Final = 20  # pages that are read to find those of one person
MOST_EVENTS: Final = 400  # of a journal on one page
VIEWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "": "All",
        "running": "Running",
        "suspended": "Waiting",
        "in_doubt": "In doubt",
        "failed": "Failed",
        "completed": "Completed",
        "cancelled": "Cancelled",
    }
)
SINCE: Final[Mapping[str, str]] = MappingProxyType(
    {"": "Any time", "1h": "The last hour", "1d": "The last day", "7d": "The last week", "30d": "The last 30 days"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An execution as the list shows it."""

    record: ExecutionRecord
    arguments: Any
    requester: str | None
    waits: str
    took: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What somebody looks for."""

    status: str = ""
    text: str = ""
    name: str = ""
    since: str = ""
    before: str = ""

    def url(self, **changes: str) -> str:
        """The list with this filter, but for what is changed."""
        values = {"status": self.status, "text": self.text, "name": self.name, "since": self.since} | changes
        found = urlencode({key: value for key, value in values.items() if value})
        return f"/executions?{found}" if found else "/executions"

    @property
    def is_narrow(self) -> bool:
        return bool(self.text or self.name or self.since)


async def show_executions(request: Request) -> Response:
    """A page of executions, newest first; those who do not see all get what concerns them."""
    desk, identity = desk_of(request), identity_of(request)
    wanted = _filter_of(request)
    found, last = await _found(desk, identity, _query(wanted, desk.clock.now()))
    now = desk.clock.now()
    return await render(
        request,
        "executions.html",
        views=[(label, wanted.url(status=name), name == wanted.status, None) for name, label in VIEWS.items()],
        wanted=wanted,
        names=sorted({program.name for program in desk.runtime.programs}),
        spans=list(SINCE.items()),
        listed=[await _listed(desk, one, now) for one in found],
        next_url=wanted.url(before=last) if last else None,
        first_url=wanted.url() if wanted.before else None,
    )


def _filter_of(request: Request) -> Filter:
    given = request.query_params
    status, since = given.get("status", ""), given.get("since", "")
    return Filter(
        status=status if status in VIEWS else "",
        text=given.get("text", "").strip(),
        name=given.get("name", "").strip(),
        since=since if since in SINCE else "",
        before=given.get("before", ""),
    )


def _query(wanted: Filter, now: float) -> ExecutionQuery:
    return ExecutionQuery(
        status=Status(wanted.status) if wanted.status else None,
        name=wanted.name or None,
        text=wanted.text or None,
        since=now - seconds(wanted.since) if wanted.since else None,
        before=wanted.before or None,
        limit=PAGE,
    )


async def _found(desk: Desk, identity: Identity, query: ExecutionQuery) -> tuple[Sequence[ExecutionRecord], str | None]:
    """A page of what this person may see, and the cursor of the next one."""
    if identity.sees_all:
        page = await executions(desk, query)
        return page.items, page.next
    asked = await approvals(desk, identity, ApprovalsWanted(newest=True, limit=10 * PAGE))
    theirs = {one.record.execution_id for one in asked.items}
    found: list[ExecutionRecord] = []
    for _ in range(MOST_SCANNED):
        page = await executions(desk, query)
        found += [one for one in page.items if one.id in theirs or _is_for(one, identity)]
        if page.next is None or len(found) >= PAGE:
            break
        query = _after(query, page.next)
    shown = found[:PAGE]
    return shown, shown[-1].id if len(found) > PAGE else None


def _is_for(record: ExecutionRecord, identity: Identity) -> bool:
    requester = requester_of(record)
    return requester is not None and requester.casefold() == identity.person.casefold()


def _after(query: ExecutionQuery, cursor: str) -> ExecutionQuery:
    return ExecutionQuery(
        status=query.status, name=query.name, text=query.text, since=query.since, before=cursor, limit=query.limit
    )


async def _listed(desk: Desk, record: ExecutionRecord, now: float) -> Listed:
    end = record.updated_at if record.status.is_final else now
    return Listed(
        record=record,
        arguments=data_of(record.arguments),
        requester=requester_of(record),
        waits="" if record.status.is_final else await waiting_for(desk.store, record, now),
        took=length(max(0.0, end - record.created_at)),
    )


# One execution


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An event of the journal in words."""

    event: Event
    offset: str
    says: str


async def show_execution(request: Request) -> Response:
    """One execution: how it went, what it gave, and what can be done about it."""
    desk, identity = desk_of(request), identity_of(request)
    told = await told_of(desk, identity, request.path_params["execution_id"])
    now = desk.clock.now()
    record, story = told.record, story_of(told, now)
    children = await desk.engine.executions(ExecutionQuery(parent_id=record.id, limit=PAGE))
    is_operator = identity.access >= Access.OPERATOR
    run = run_in(record, told.events)
    return await render(
        request,
        "execution.html",
        record=record,
        requester=requester_of(record),
        chart=chart_of(story),
        length=length,
        figures=_figures(told, story.end - story.begin, run.metrics),
        agents=run.agents,
        arguments=_arguments(told),
        outcome=data_of(told.ending.value) if told.ending is not None else None,
        waits="" if record.status.is_final else await waiting_for(desk.store, record, now),
        open_approvals=[one for one in told.asked if one.is_open(now)],
        in_doubt=[str(one.get("name")) for one in waits_of(record) if one.get("for") == "resolve"],
        awaited=[str(one.get("name")) for one in waits_of(record) if _is_free_signal(one)],
        drawn=drawn_in(told.events),
        journal=_journal(told.events),
        more_events=max(0, len(told.events) - MOST_EVENTS),
        children=children if identity.sees_all else [],
        may_operate=is_operator,
        may_see_traces=identity.sees_all,
    )


def _is_free_signal(wait: Mapping[str, Any]) -> bool:
    name = str(wait.get("name", ""))
    return wait.get("for") == "signal" and not name.startswith(("approval:", "child:"))


def _arguments(told: Told) -> Any:
    started = next((one.arguments for one in told.events if one.type == "execution.started" and one.arguments), None)
    return data_of(started or told.record.arguments)


def _figures(told: Told, seconds: float, spent: Metrics) -> list[tuple[str, str, str]]:
    """What the head of the page counts: label, value and a hint."""
    types = [event.type for event in told.events]
    work = sum(
        event.at - event.started_at
        for event in told.events
        if event.type in {"step.completed", "step.failed", "step.retried"} and event.started_at is not None
    )
    people = sorted({verdict.approver for one in told.asked for verdict in one.verdicts if verdict.refusal is None})
    steps, retries = types.count("step.completed") + types.count("step.failed"), types.count("step.retried")
    parked, resumed = types.count("execution.suspended"), types.count("execution.resumed")
    return [
        ("Duration" if told.record.status.is_final else "So far", length(max(0.0, seconds)), f"{length(work)} of work"),
        ("Steps", str(steps), f"{retries} tried again" if retries else "none tried again"),
        ("People asked", str(len(told.asked)), ", ".join(people) if people else "nobody has decided"),
        _cost(spent)
        if spent.llm_calls or spent.cache_hits
        else (
            "Parked",
            _times(parked),
            f"resumed {_times(resumed)}" if resumed else "not resumed yet" if parked else "it never had to wait",
        ),
    ]


def _cost(spent: Metrics) -> tuple[str, str, str]:
    """What asking models cost."""
    unpriced = f", {spent.unpriced} without a price" if spent.unpriced else ""
    kept = f", {spent.cache_hits} from the cache" if spent.cache_hits else ""
    requests = "one request" if spent.llm_calls == 1 else f"{spent.llm_calls} requests"
    return "Models", dollars(spent.total_cost), f"{requests}, {spent.total_tokens:,} tokens{unpriced}{kept}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times" if count else "never"


def _journal(events: Sequence[Event]) -> list[Line]:
    begin = events[0].at if events else 0.0
    return [
        Line(event=one, offset=f"+{length(max(0.0, one.at - begin))}", says=event_words(one))
        for one in events[-MOST_EVENTS:]
    ]


async def check_replay(request: Request) -> Response:
    """Whether the code of this process leads where the journal went. Nothing is performed or written."""
    desk, identity = desk_of(request), identity_of(request)
    record = await execution_head(desk, identity, request.path_params["execution_id"])
    program = next(
        (one for one in desk.runtime.programs if one.workflow == Workflow(record.name, record.version)), None
    )
    if program is None:
        told = f"This server has no {record.name} version {record.version}, so it cannot be replayed here."
        return redirect(request, _page_of(record), told, "warn")
    return redirect(request, _page_of(record), *await _rehearsed(desk, record, program))


async def _rehearsed(desk: Desk, record: ExecutionRecord, program: Program) -> tuple[str, str]:
    """What a replay shows, and its tone."""
    sealed = await desk.store.sealed(record.id)
    events = unsealed(await desk.engine.events(record.id), sealed)
    started = next((event.arguments for event in events if event.type == "execution.started"), None)
    recording = Recording(record, sealed.get(-1) or started or record.arguments, events)
    if not recording.is_whole:
        return "It cannot be replayed: capture_state=False kept none of its values.", "warn"
    with desk.runtime.ambient():
        problem = await divergence(program, recording)
    if problem is None:
        return f"Replayed: today's code leads where the journal went, through all {len(events)} events.", "ok"
    if recording.is_redacted:
        return f"It cannot be replayed any more, because its secrets were erased when it ended. {problem}", "warn"
    return f"Today's code leads elsewhere. {problem}", "bad"


# Word from outside


async def cancel(request: Request) -> Response:
    """Cancel an execution; its code sees it and cleans up."""
    form = await request.form()
    return await _post(request, "cancel", "", field(form, "reason"), "It is being cancelled.")


async def resolve(request: Request) -> Response:
    """Say what has become of an effect in doubt."""
    form = await request.form()
    done, text = field(form, "done"), field(form, "result")
    if done not in {"yes", "no"}:
        raise UsageError("Say whether it happened: press one of the two buttons.")
    value = {"done": done == "yes", "result": _json(text, "The result") if text and done == "yes" else None}
    return await _post(request, "resolve", field(form, "step"), value, "Noted. The execution goes on from there.")


async def send_signal(request: Request) -> Response:
    """Send it the message for which its code waits."""
    form = await request.form()
    name = field(form, "name")
    if not name or name.startswith(("approval:", "child:")):
        raise UsageError(f"{name!r} is no signal that people send. Approvals are decided on their own pages.")
    return await _post(request, "signal", name, _json(field(form, "value") or "null", "The message"), "Sent.")


def _json(text: str, what: str) -> Any:
    try:
        return from_json(text)
    except ValueError as error:
        raise UsageError(f'{what} is no JSON. Write texts in quotes, as in "shipped".') from error


async def _post(request: Request, kind: str, name: str, value: Any, message: str) -> Response:
    desk, identity = desk_of(request), identity_of(request)
    record = await execution_head(desk, identity, request.path_params["execution_id"])
    word = Message(execution_id=record.id, kind=kind, name=name, value=json.dumps(value), sender=identity.person)
    await desk.engine.post(word)
    return redirect(request, _page_of(record), message)


def _page_of(record: ExecutionRecord) -> str:
    return f"/executions/{quote(record.id, safe='')}"


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        method="GET",
        path="/executions",
        access=Access.VIEWER,
        handler=show_executions,
        name="executions_page",
        page=True,
        own=True,
    ),
    Route(
        method="GET",
        path="/executions/{execution_id}",
        access=Access.VIEWER,
        handler=show_execution,
        name="execution_page",
        page=True,
        own=True,
    ),
    Route(
        method="POST",
        path="/executions/{execution_id}/cancel",
        access=Access.OPERATOR,
        handler=cancel,
        name="execution_cancel_page",
        page=True,
    ),
    Route(
        method="POST",
        path="/executions/{execution_id}/replay",
        access=Access.VIEWER,
        handler=check_replay,
        name="execution_replay_page",
        page=True,
    ),
    Route(
        method="POST",
        path="/executions/{execution_id}/resolve",
        access=Access.OPERATOR,
        handler=resolve,
        name="execution_resolve_page",
        page=True,
    ),
    Route(
        method="POST",
        path="/executions/{execution_id}/signal",
        access=Access.OPERATOR,
        handler=send_signal,
        name="execution_signal_page",
        page=True,
    ),
)

"""`/api/v1/executions`: started by name, listed, shown; and word to them from outside."""

import asyncio
import json
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from assent.codec import digest, to_json
from assent.engine import Program
from assent.engine.texts import filled_in
from assent.errors import CodecError, ExecutionConflict
from assent.governance import Principal, roster_of
from assent.store import Event, ExecutionQuery, ExecutionRecord, Message
from assent.web.access import Access, identity_of
from assent.web.answers import (
    Accepted,
    Events,
    EventShown,
    Executions,
    ExecutionShown,
    ExecutionWhole,
    Started,
    Workflows,
    WorkflowShown,
)
from assent.web.bodies import answer, answer_tagged, body_of, headers_of, query_of
from assent.web.desk import Desk, desk_of
from assent.web.paging import answer_page
from assent.web.problems import Problem, invalid
from assent.web.reading import Told, execution_head, executions, told_of
from assent.web.routing import Onward, Route
from assent.web.schemas import Cancel, EventFilter, ExecutionFilter, Resolve, Signal, Start, StartHeaders, StartQuery

PATH: Final = "/api/v1/executions"
# What can be asked of an execution.
ABOUT: Final = (
    "show_execution",
    "list_events",
    "stream_execution",
    "signal_execution",
    "cancel_execution",
    "resolve_execution",
)
RESERVED: Final = ("approval:", "child:")  # names of signals by which executions hear of verdicts and of children


async def list_workflows(request: Request) -> Response:
    """Every version of what this process knows, by name."""
    programs = sorted(desk_of(request).runtime.programs, key=lambda one: (one.name, one.version))
    return answer(Workflows(items=[_workflow(one) for one in programs]))


def _workflow(program: Program) -> WorkflowShown:
    return WorkflowShown(name=program.name, version=program.version, parameters=list(program.signature.names))


# Starting


async def start(request: Request) -> Response:
    """Start an execution for whoever asks; with an Idempotency-Key, once. With `wait`, its end is waited for."""
    desk, identity = desk_of(request), identity_of(request)
    wait = query_of(request, StartQuery).wait
    key = headers_of(request, StartHeaders).idempotency_key
    wanted = await body_of(request, Start)
    program = _program(desk, wanted)
    execution_id = None if key is None else _id_of(identity.person, key)
    requester = await _principal(desk, identity.person)
    try:
        arguments = program.signature.bind((), program.signature.read(wanted.arguments))
        record = await desk.engine.start(program, arguments, id=execution_id, requester=requester.to_text())
    except (CodecError, TypeError) as error:
        raise invalid(f"The arguments do not fit {program.name}: {error}") from error
    except ExecutionConflict as error:
        detail = f"The Idempotency-Key {key!r} was used for another call. Use a new one."
        raise Problem(422, "idempotency-key-reused", detail) from error
    if not wait:
        return _started(record)
    # Whatever it raised is told with its record.
    await asyncio.gather(desk.engine.result(record.id, timeout=wait), return_exceptions=True)
    told = await told_of(desk, identity, record.id)
    return answer(_whole(told)) if told.record.status.is_final else _started(told.record)


def _id_of(person: str, key: str) -> str:
    """The id of the execution that this person starts with this key; nobody else can name it."""
    return f"key-{digest(to_json(['start', person, key]))[:40]}"


def _started(record: ExecutionRecord) -> Response:
    url = f"{PATH}/{record.id}"
    body = Started(id=record.id, name=record.name, version=record.version, status=record.status, poll_url=url)
    return answer(body, 202, {"Location": url, "Retry-After": "1"})


def _program(desk: Desk, wanted: Start) -> Program:
    found = [one for one in desk.runtime.programs if one.name == wanted.name]
    found = [one for one in found if wanted.version in {None, one.version}]
    if not found:
        version = "" if wanted.version is None else f" in version {wanted.version}"
        detail = f"This server knows no workflow {wanted.name!r}{version}. GET /api/v1/workflows lists them."
        raise Problem(404, "unknown-workflow", detail)
    return max(found, key=lambda one: one.version)


async def _principal(desk: Desk, person: str) -> Principal:
    """Somebody with the roles that the store knows of them."""
    roster = await roster_of(desk.store, desk.clock.now(), [person])
    return Principal(person, roles=roster.roles(person))


# Reading


async def list_executions(request: Request) -> Response:
    """A page of executions, newest first."""
    wanted = query_of(request, ExecutionFilter)
    query = ExecutionQuery(
        status=wanted.status,
        name=wanted.name,
        cause=wanted.cause,
        text=wanted.text,
        parent_id=wanted.parent_id,
        since=wanted.since.timestamp() if wanted.since else None,
        before=wanted.cursor,
        limit=wanted.limit,
    )
    page = await executions(desk_of(request), query)
    body = Executions(items=[ExecutionShown.of(one) for one in page.items], next=page.next)
    return answer_page(request, body, page.next)


async def show(request: Request) -> Response:
    """One execution, with its result or error: where a caller polls."""
    told = await told_of(desk_of(request), identity_of(request), request.path_params["execution_id"])
    return answer_tagged(request, _whole(told))


def _whole(told: Told) -> ExecutionWhole:
    return ExecutionWhole.whole(told.record, told.events, told.ending, [one.record.id for one in told.asked])


async def list_events(request: Request) -> Response:
    """A page of its journal, with large values filled in."""
    desk, identity, wanted = desk_of(request), identity_of(request), query_of(request, EventFilter)
    record = await execution_head(desk, identity, request.path_params["execution_id"])
    found = await desk.store.journal(record.id, after=wanted.after)
    items: list[Event] = await filled_in(desk.store, found[: wanted.limit])
    last = items[-1].seq if len(found) > wanted.limit else None
    return answer_page(
        request, Events(items=[EventShown.of(one, traces=identity.sees_all) for one in items], next=last), last, "after"
    )


# Word from outside


async def cancel(request: Request) -> Response:
    """Cancel an execution; its code sees it and cleans up."""
    wanted = await body_of(request, Cancel)
    return await _post(request, "cancel", "", wanted.reason)


async def signal(request: Request) -> Response:
    """Send an execution a message, kept until its code asks for it."""
    wanted = await body_of(request, Signal)
    if wanted.name.startswith(RESERVED):
        raise invalid(f"Signals called {wanted.name!r} are Assent's own. Approvals are decided at /api/v1/approvals.")
    return await _post(request, "signal", wanted.name, wanted.value)


async def resolve(request: Request) -> Response:
    """Say what has become of an effect in doubt."""
    wanted = await body_of(request, Resolve)
    return await _post(request, "resolve", wanted.step, {"done": wanted.done, "result": wanted.result})


async def _post(request: Request, kind: str, name: str, value: Any) -> Response:
    desk, identity = desk_of(request), identity_of(request)
    record = await execution_head(desk, identity, request.path_params["execution_id"])
    message = Message(execution_id=record.id, kind=kind, name=name, value=json.dumps(value), sender=identity.person)
    await desk.engine.post(message)
    return answer(Accepted(execution_id=record.id), 202)


ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/workflows",
        access=Access.VIEWER,
        scope="read",
        handler=list_workflows,
        name="list_workflows",
        summary="What can be started here",
        answers={200: Workflows},
    ),
    Route(
        method="POST",
        path=PATH,
        access=Access.OPERATOR,
        scope="start",
        handler=start,
        name="start_execution",
        summary="Start an execution by the name of its workflow or governed function",
        body=Start,
        query=StartQuery,
        headers=StartHeaders,
        answers={200: ExecutionWhole, 202: Started},
        onward=[Onward(name, "execution_id", "$response.body#/id") for name in ABOUT],
    ),
    Route(
        method="GET",
        path=PATH,
        access=Access.VIEWER,
        scope="read",
        handler=list_executions,
        name="list_executions",
        summary="Executions, newest first",
        query=ExecutionFilter,
        answers={200: Executions},
        onward=[Onward("show_execution", "execution_id", "$response.body#/items/0/id")],
    ),
    Route(
        method="GET",
        path=PATH + "/{execution_id}",
        access=Access.VIEWER,
        scope="read",
        handler=show,
        name="show_execution",
        summary="One execution, with its result or error",
        answers={200: ExecutionWhole},
        onward=[
            Onward("show_approval", "approval_id", "$response.body#/approvals/0"),
            *[Onward(name, "execution_id", "$response.body#/id") for name in ABOUT[1:]],
        ],
        own=True,
        has_etag=True,
    ),
    Route(
        method="GET",
        path=PATH + "/{execution_id}/events",
        access=Access.VIEWER,
        scope="read",
        handler=list_events,
        name="list_events",
        summary="Its journal",
        query=EventFilter,
        answers={200: Events},
        own=True,
    ),
    Route(
        method="POST",
        path=PATH + "/{execution_id}/cancel",
        access=Access.OPERATOR,
        scope="operate",
        handler=cancel,
        name="cancel_execution",
        summary="Cancel it",
        body=Cancel,
        answers={202: Accepted},
    ),
    Route(
        method="POST",
        path=PATH + "/{execution_id}/signals",
        access=Access.OPERATOR,
        scope="operate",
        handler=signal,
        name="signal_execution",
        summary="Send it a message",
        body=Signal,
        answers={202: Accepted},
    ),
    Route(
        method="POST",
        path=PATH + "/{execution_id}/resolve",
        access=Access.OPERATOR,
        scope="operate",
        handler=resolve,
        name="resolve_execution",
        summary="Say what has become of an effect in doubt",
        body=Resolve,
        answers={202: Accepted},
    ),
)

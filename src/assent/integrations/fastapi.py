"""FastAPI: governed functions in endpoints, answered as HTTP wants it, and approvals under the app's own sign-in."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.routing import NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from assent.errors import (
    ApprovalNotFound,
    ApprovalPending,
    AssentError,
    ExecutionNotFound,
    SignInRequired,
    UsageError,
)
from assent.governance import Principal, acting_as, current_principal, roster_of
from assent.integrations import answers
from assent.integrations.answers import (
    PROBLEM_JSON,
    Approval,
    Approvals,
    Execution,
    Problem,
    Verdict,
    accepted,
    approval_of,
    ending_of,
    entries_of,
    execution_of,
    headers_of,
    is_asked_of,
    problem_of,
    unfit,
    was_asked_for_by,
)
from assent.runtime import Runtime
from assent.store import ApprovalRecord, ApprovalStatus, ExecutionRecord

log = logging.getLogger("assent.fastapi")

POLL: Final = "assent_execution"  # the name of the route that polls

# Seconds between two questions for a result: people take minutes, and a question costs one look into the store.
ASK_AGAIN: Final = 2

MOST: Final = 200  # approvals in one answer

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": answers.Accepted, "description": "Goes on by itself; poll for its result."},
    **{
        status: {"description": description, "content": {PROBLEM_JSON: {"schema": Problem.model_json_schema()}}}
        for status, description in {
            403: "A policy denies it.",
            409: "Rejected, expired, in doubt or in conflict.",
            422: "The arguments are not valid.",
            429: "Too much, or too often.",
            503: "The store cannot be reached.",
        }.items()
    },
}
"""What a governed endpoint may answer beside its result, for the app's own document: `responses=RESPONSES`."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


class Governance:
    """Assent in a FastAPI app. Make one beside the app, and `install` it before the app serves.

    `principal` is a dependency of the app: it signs people in by whatever means the app has, and returns for whom a
    request is made; roles and permissions in it are those that policies see. It should raise 401 by itself; None is
    answered with 401 as well. Whoever has one of the roles in `overseers` sees the executions and approvals of others.
    """

    def __init__(
        self, runtime: Runtime, *, principal: Callable[..., Any], overseers: Collection[str] = frozenset()
    ) -> None:
        self.runtime = runtime
        self.requester = _requester(principal)
        self.router = APIRouter(dependencies=[Depends(self.requester)], tags=["governance"], route_class=_Route)
        self._overseers = frozenset(overseers)
        self._add_routes()

    def install(self, app: FastAPI) -> None:
        """Open the runtime while the app serves, let its endpoints find it, and answer what they raise.

        The runtime is open before the app's own `lifespan` begins, and until it has ended.
        """
        app.add_middleware(_Within, runtime=self.runtime)
        app.add_exception_handler(AssentError, self._answer)
        app.router.lifespan_context = _around(self.runtime, app.router.lifespan_context)

    async def accepted(self, request: Request, execution_id: str) -> Response:
        """202 for an execution that goes on by itself, with `Location` and `Retry-After`.

        Governed calls that wait for people are answered like this without being asked. It is for what an endpoint
        starts on purpose: `handle = await runtime.start(...)`.
        """
        record = await self._find(execution_id)
        return await self._accepted(request, record, self.runtime.poll_url.format(execution_id=execution_id))

    async def _accepted(self, request: Request, record: ExecutionRecord, template: str) -> Response:
        asked = await self.runtime.approvals("pending", record.id)
        answer = accepted(record.id, record.name, _poll_url(request, record.id) or template, asked)
        headers = {"location": answer.poll_url, "retry-after": str(ASK_AGAIN)}
        return JSONResponse(answer.model_dump(mode="json"), HTTPStatus.ACCEPTED, headers)

    async def _answer(self, request: Request, error: Exception) -> Response:
        """The answer to what an endpoint has raised."""
        if request.scope["type"] == "websocket":
            raise error  # there is nothing to answer
        if isinstance(error, ApprovalPending):
            return await self._accepted(request, await self._find(error.execution_id), error.poll_url)
        if isinstance(error, UsageError):
            # Whoever wrote the endpoint has misused Assent; its client is not to blame, and not to be told.
            problem = Problem(title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase, status=500)
        else:
            problem = problem_of(error)
        if problem.status >= 500:
            log.error("%s %s: %s", request.method, request.scope["path"], error, exc_info=error)
        return _problem(problem, headers_of(error))

    # The router.

    def _add_routes(self) -> None:
        add = self.router.add_api_route
        problems: dict[int | str, dict[str, Any]] = {status: RESPONSES[status] for status in (409, 503)}
        # An app may choose ids with slashes.
        add("/executions/{execution_id:path}", self._poll, name=POLL, responses=problems)
        add("/approvals", self._list, name="assent_approvals", responses=problems)
        add("/approvals/{approval_id}", self._show, name="assent_approval", responses=problems)
        verdicts = "/approvals/{approval_id}/verdicts"
        add(
            verdicts, self._decide, name="assent_verdict", methods=["POST"], response_model=Approval, responses=problems
        )

    async def _poll(self, execution_id: str, response: Response) -> Execution:
        """Where an execution stands, and what came of it. Others than its requester and overseers find nothing."""
        record = await self._find(execution_id)
        who = _signed_in()
        if not (was_asked_for_by(record, who) or self._oversees(who)):
            raise _no_execution(execution_id)
        _keep_private(response)
        if not record.status.is_final:
            response.headers["retry-after"] = str(ASK_AGAIN)
            return execution_of(record, None, await self.runtime.approvals("pending", execution_id))
        events = await self.runtime.handle(execution_id).events()
        return execution_of(record, ending_of(events), (), _explained)

    async def _list(
        self,
        response: Response,
        status: ApprovalStatus | None = ApprovalStatus.PENDING,
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> Approvals:
        """What is asked of whoever asks, oldest first; of overseers: what is asked of anybody."""
        store, who = self.runtime.open_store, _signed_in()
        roster = await roster_of(store, self.runtime.clock.now())
        sees_all = self._oversees(who)
        entries = None if sees_all else entries_of(roster, who)
        found = await store.approvals(status, limit=limit + 1, approvers=entries, after=cursor)
        page = found[:limit]
        seen = [one for one in page if sees_all or is_asked_of(one, roster, who)]
        _keep_private(response)
        return Approvals(
            items=[approval_of(one, await store.verdicts(one.id), roster, who) for one in seen],
            next=page[-1].id if len(found) > limit else None,
        )

    async def _show(self, approval_id: str, response: Response) -> Approval:
        """One approval, for those who are asked, its requester and overseers; it is noted that they have seen it."""
        store, who = self.runtime.open_store, _signed_in()
        record = await store.approval(approval_id)
        if record is None or not await self._may_see(record, who):
            raise ApprovalNotFound(f"There is no approval {approval_id!r} for you to see.", approval_id=approval_id)
        found = await self._seen_by(record, who)
        if found.may_decide:
            await self.runtime.show(approval_id, who.id)
        _keep_private(response)
        return found

    async def _decide(self, approval_id: str, verdict: Verdict, request: Request, response: Response) -> Any:
        """Give a verdict as whoever has signed in. One that does not count is kept on record, and answered with 409."""
        if not _is_json(request):
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            return _problem(Problem(title=status.phrase, status=status, detail="Send the verdict as application/json."))
        who = _signed_in()
        try:
            record = await self.runtime.decide(approval_id, approver=who.id, **verdict.model_dump())
        except UsageError as error:
            return _problem(problem_of(error))
        _keep_private(response)
        return await self._seen_by(record, who)

    async def _seen_by(self, record: ApprovalRecord, who: Principal) -> Approval:
        store = self.runtime.open_store
        roster = await roster_of(store, self.runtime.clock.now())
        return approval_of(record, await store.verdicts(record.id), roster, who)

    async def _may_see(self, record: ApprovalRecord, who: Principal) -> bool:
        roster = await roster_of(self.runtime.open_store, self.runtime.clock.now())
        if self._oversees(who) or is_asked_of(record, roster, who):
            return True
        return was_asked_for_by(await self._find(record.execution_id), who)

    def _oversees(self, who: Principal) -> bool:
        return not self._overseers.isdisjoint(who.roles)

    async def _find(self, execution_id: str) -> ExecutionRecord:
        record = await self.runtime.open_store.execution(execution_id)
        if record is None:
            raise _no_execution(execution_id)
        return record


# Who asks.


class _Unsaid(Principal):
    """Stands for whoever asks while the app has not said who that is: no execution starts in this name."""

    def to_text(self) -> str:
        raise UsageError(
            "This endpoint has not said who asks. Add Depends(governance.requester) to it, to its router or to the "
            "app; for what the app does in its own name, use `with acting_as(Principal(...))`."
        )


UNSAID: Final = _Unsaid("unsaid")


class _Within:
    """Lets what answers a request find the runtime."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        with self._runtime.ambient(), acting_as(UNSAID):
            await self._app(scope, receive, send)


def _requester(principal: Callable[..., Any]) -> Callable[..., AsyncIterator[Principal]]:
    """The dependency that lets an endpoint's governed calls be requested by whoever the app says has signed in."""

    async def requester(who: Annotated[Any, Depends(principal)]) -> AsyncIterator[Principal]:
        if who is None:
            raise SignInRequired("Nobody has signed in.")
        if not isinstance(who, Principal):
            raise UsageError(f"The dependency `principal` returned {type(who).__name__}. Let it return a Principal.")
        with acting_as(who):
            yield who

    return requester


def _signed_in() -> Principal:
    """Whom the router's dependency has found."""
    who = current_principal()
    if who is None or who is UNSAID:
        raise SignInRequired("Nobody has signed in.")
    return who


# Answers.


class _Route(APIRoute):
    """Answers requests that do not fit with a problem. It does not repeat them, as an app's own answer may."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_refuse(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return _problem(unfit([(each["loc"], each["msg"]) for each in error.errors()]))

        return handle_or_refuse


def _around(runtime: Runtime, inner: Lifespan) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        async with runtime, inner(app) as state:
            yield state

    return lifespan


def _no_execution(execution_id: str) -> ExecutionNotFound:
    return ExecutionNotFound(f"There is no execution {execution_id!r} for you to see.", execution_id=execution_id)


def _poll_url(request: Request, execution_id: str) -> str | None:
    """Where the app has mounted the router: a path, since the host in a request is its client's word."""
    try:
        return request.url_for(POLL, execution_id=quote(execution_id)).path
    except NoMatchFound:
        return None


def _problem(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(problem.model_dump(mode="json"), problem.status, headers, media_type=PROBLEM_JSON)


def _explained(error: BaseException) -> Problem:
    """The problem of an error of an endpoint, which may be one of FastAPI's own."""
    if not isinstance(error, HTTPException):
        return problem_of(error)
    status = error.status_code
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=str(error.detail))


def _keep_private(response: Response) -> None:
    response.headers["cache-control"] = "no-store"


def _is_json(request: Request) -> bool:
    """Whether a page of somebody else cannot have sent it: browsers ask first before they send JSON elsewhere."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"

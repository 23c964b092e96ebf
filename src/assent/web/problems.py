"""Errors as HTTP tells them: RFC 9457 problem documents for programs, pages for browsers."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import pydantic_core
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assent.errors import AssentError, RuntimeRequired, SignInRequired, StoreError
from assent.web.access_log import shown

log = logging.getLogger("assent.web")

PROBLEM: Final = "application/problem+json"
URN: Final = "urn:assent:"
STORE_FAILED: Final = "The store does not answer. Try again in a while; the log of the server says more."
# What errors know beside their message and may tell.
FACTS: Final = (
    "execution_id",
    "approval_id",
    "approvals",
    "notice_id",
    "action",
    "policy",
    "approver",
    "reason",
    "poll_url",
    "retry_after",
    "limit",
    "spent",
    "remainder",
    "file",
    "line",
    "key",
)

ErrorPage = Callable[[Request, "Problem"], Response]
"""Makes the page that browsers get instead of a problem document."""


class Problem(HTTPException):
    """What went wrong, as it is told. Raised by handlers for what no error of Assent stands for.

    `name` is the last part of its type; `facts` stand in the document beside the usual members.
    """

    def __init__(
        self, status: int, name: str, detail: str, *, headers: Mapping[str, str] | None = None, **facts: Any
    ) -> None:
        super().__init__(status, detail, headers)
        self.name = name
        self.facts = facts

    @property
    def title(self) -> str:
        """The name in words."""
        words = self.name.replace("-", " ")
        return words[:1].upper() + words[1:]

    def to_document(self) -> dict[str, Any]:
        """The members of the problem document."""
        kind = "about:blank" if not self.name else f"{URN}{self.name}"
        title = self.title or HTTPStatus(self.status_code).phrase
        return {"type": kind, "title": title, "status": self.status_code, "detail": self.detail, **self.facts}


def invalid(detail: str, errors: Sequence[Mapping[str, Any]] = ()) -> Problem:
    """What was sent has the right form of HTTP, and the wrong content."""
    return Problem(422, "invalid-request", detail, errors=list(errors))


def problem_of(error: Exception) -> Problem:
    """The problem that an error is; of one that nobody expected, nothing is told."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return Problem(error.status_code, "", error.detail, headers=error.headers)
        case RuntimeRequired():
            return Problem(503, "not-ready", "The server is starting or stopping.", headers={"Retry-After": "2"})
        case AssentError():
            return _of_assent(error)
        case _:
            return Problem(500, "internal-error", "Something went wrong here. It is in the log of the server.")


def _of_assent(error: AssentError) -> Problem:
    facts = {name: value for name in FACTS if (value := getattr(error, name, None)) not in (None, "")}
    # What a store says names files, and whoever asks need not have signed in.
    detail = STORE_FAILED if isinstance(error, StoreError) else str(error)
    return Problem(error.http_status, _name_of(error), detail, headers=_headers_of(error), **facts)


def _name_of(error: AssentError) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()


def _headers_of(error: AssentError) -> dict[str, str]:
    headers: dict[str, str] = {}
    retry_after = getattr(error, "retry_after", None)
    if isinstance(retry_after, int | float):
        headers["Retry-After"] = str(max(1, round(retry_after + 0.5)))
    elif error.http_status in {202, 503}:
        headers["Retry-After"] = "2"
    if isinstance(error, SignInRequired):
        headers["WWW-Authenticate"] = 'Bearer realm="assent"'
    return headers


def wants_page(request: Request) -> bool:
    """Whether whoever asks is a person with a browser."""
    if request.url.path.startswith("/api/"):
        return False
    return "text/html" in request.headers.get("accept", "")


def answer_to(request: Request, error: Exception) -> Response:
    """The answer that tells of an error."""
    problem = problem_of(error)
    page: ErrorPage | None = getattr(request.app.state, "error_page", None)
    if page is not None and wants_page(request):
        return page(request, problem)
    body = pydantic_core.to_json(problem.to_document(), inf_nan_mode="null", fallback=str)
    return Response(body, problem.status_code, problem.headers, PROBLEM)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """For starlette, which raises exceptions of its own for paths and methods that there are not."""
    return answer_to(request, error)


class Answering:
    """The outermost guard: whatever is raised inside becomes an answer, if none has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            request = Request(scope, receive)
            if problem_of(error).status_code >= 500:
                log.error("%s %s failed", request.method, shown(request.url.path), exc_info=error)
            if begun:
                raise
            await answer_to(request, error)(scope, receive, send)

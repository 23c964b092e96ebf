"""What a route is: who may use it, what it takes and what it answers, in one record that everything else reads."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from assent.web.access import Access


class Onward(NamedTuple):
    """A route that can be asked next: where in the answer to this one a parameter of its path stands.

    `source` is a runtime expression of OpenAPI.
    """

    name: str
    parameter: str
    source: str


Handler = Callable[[Request], Awaitable[Response]]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


def _no_answers() -> Mapping[int, type[BaseModel] | None]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. Routes are matched in the order of `ALL_ROUTES`, and each needs a name of its own.

    `access` is the least that somebody must be; PUBLIC is open to all. A token must also carry `scope`, if there is
    one. `own`: also open to people who see nothing but what is asked of them (`Identity.sees_all`); its handler shows
    them no more, while routes without it are closed to them.

    `body`, `query` and `answers` are pydantic models: the OpenAPI document is made of them, and handlers read with
    them. Those without a `summary` are not in that document. Nor are pages, which answer errors in HTML, and send
    those who are not signed in to sign in.
    """

    method: Method
    path: str  # as starlette writes it: "/approvals/{approval_id}"
    access: Access
    handler: Handler
    name: str
    scope: str = ""
    summary: str = ""
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | None] = field(default_factory=_no_answers)  # None: without a JSON body
    media_type: str = "application/json"  # of its answers
    page: bool = False
    own: bool = False
    onward: Sequence[Onward] = ()
    has_etag: bool = False  # answers 304 to If-None-Match

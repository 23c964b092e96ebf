"""The application as a whole: health, metrics, methods, problems, and the document of its routes."""

import re
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import jsonschema
import pytest
from starlette.requests import Request
from starlette.responses import Response

from assent.errors import AssentError, BudgetExceeded, RateLimited, StoreUnavailable
from assent.web.access import Access
from assent.web.app import ALL_ROUTES, create_app
from assent.web.problems import problem_of
from assent.web.routing import Route
from assent.web.server import listen
from tests.web.place import place

VIEWER, OPERATOR = "viewer@company.com", "operator@company.com"


async def test_health_is_open_and_ready_is_not() -> None:
    async with place() as there, there.client() as nobody, there.client(VIEWER, scopes=["metrics"]) as viewer:
        assert (await nobody.get("/health")).json() == {"status": "ok"}
        assert (await nobody.get("/ready")).status_code == 401
        assert (await viewer.get("/ready")).json() == {"status": "ok", "workers": 1}


def test_answers_are_sent_at_once_and_not_when_their_head_is_acknowledged() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_ready_fails_when_the_store_does(tmp_path: Path) -> None:
    async with place(tmp_path / "store.db", settings=None) as there, there.client(VIEWER) as client:
        with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
            connection.execute("ALTER TABLE workers RENAME TO lost")
            answer = await client.get("/ready")
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            assert (await client.get("/health")).status_code == 200
            connection.execute("ALTER TABLE lost RENAME TO workers")


async def test_nothing_is_ready_before_the_runtime_is_open() -> None:
    async with place() as there:
        token = await there.token(VIEWER)
    transport = httpx.ASGITransport(app=there.app)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url=there.base_url, headers=headers) as client:
        assert (await client.get("/ready")).json()["type"] == "urn:assent:not-ready"
        assert (await client.get("/health")).status_code == 200


async def test_metrics_count_what_stands_in_the_store() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        await there.asked(client)
        lines = (await client.get("/metrics")).text.splitlines()
        for line in ('assent_executions{status="suspended"} 1', 'assent_approvals{status="pending"} 1'):
            assert line in lines
        assert all(re.fullmatch(r"# (HELP|TYPE) .+|assent_\w+(\{status=\"\w+\"\})? [0-9.]+", line) for line in lines)


async def test_methods_and_paths_that_there_are_not_are_problems() -> None:
    async with place() as there, there.client(VIEWER) as client:
        wrong = await client.delete("/api/v1/executions")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
        assert wrong.json()["type"] == "urn:assent:method-not-allowed"
        missing = await client.get("/api/v1/nothing")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        assert (await client.options("/api/v1/executions")).headers["allow"] == wrong.headers["allow"]
        assert (await client.head("/health")).status_code == 200


async def test_an_error_that_nobody_expected_tells_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def break_down(_request: Request) -> Response:
        raise ZeroDivisionError("the secret is 42")

    route = Route(method="GET", path="/api/v1/broken", access=Access.PUBLIC, handler=break_down, name="broken")
    async with place() as there:
        there.app = create_app(there.runtime, extra_routes=[route])
        async with there.client() as client:
            answer = await client.get("/api/v1/broken")
        assert (answer.status_code, answer.json()["type"]) == (500, "urn:assent:internal-error")
        assert "42" not in answer.text
        assert "the secret is 42" in caplog.text


def test_errors_tell_their_facts() -> None:
    limited = problem_of(RateLimited("slow down", policy="pace", retry_after=1.5, action="pay", execution_id=None))
    assert (limited.status_code, limited.headers) == (429, {"Retry-After": "2"})
    assert limited.to_document() == {
        "type": "urn:assent:rate-limited",
        "title": "Rate limited",
        "status": 429,
        "detail": "slow down",
        "policy": "pace",
        "action": "pay",
        "retry_after": 1.5,
    }
    assert problem_of(BudgetExceeded("spent")).status_code == 429
    assert problem_of(StoreUnavailable("locked")).headers == {"Retry-After": "2"}


def test_every_error_has_a_type_of_its_own() -> None:
    kinds = [AssentError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    known = [kind for kind in dict.fromkeys(kinds) if kind.__module__ == "assent.errors"]
    named = [problem_of(kind("what happened")) for kind in known]
    assert len({each.name for each in named}) == len(named)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", each.name) for each in named)


async def test_the_document_tells_every_route_that_is_no_page() -> None:
    async with place() as there, there.client(VIEWER) as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(each.method, each.path) for each in ALL_ROUTES if each.summary and not each.page}
    assert {path.split("/")[1] for _, path in told} == {"api", "health", "metrics", "ready"}
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_route_has_a_name_of_its_own_and_a_summary() -> None:
    names = [each.name for each in ALL_ROUTES]
    assert len(set(names)) == len(names)
    assert len({(each.method, each.path) for each in ALL_ROUTES}) == len(ALL_ROUTES)
    assert all(each.summary for each in ALL_ROUTES if each.path.startswith("/api/"))
    assert all(each.scope for each in ALL_ROUTES if not each.page and each.access is not Access.PUBLIC)

"""Every route against everybody who might ask: the table of who may what, tried out over HTTP."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from assent.runtime.credentials import SCOPES
from assent.web.access import EVERYTHING, Access, Identity, may
from assent.web.app import ALL_ROUTES
from assent.web.settings import WebSettings
from tests.web.doors import HTML
from tests.web.place import Place, served

# By method and path: the least access; "own" if also those may come who see only what concerns them; a token's scope.
TABLE = """
GET  /health                                           public
GET  /ready                                            viewer       metrics
GET  /metrics                                          viewer       metrics

GET  /api/v1/openapi.json                              viewer   own read
GET  /api/v1/me                                        viewer   own read
GET  /api/v1/events                                    viewer   own read
GET  /api/v1/executions/{execution_id}/events/stream   viewer   own read
GET  /api/v1/workflows                                 viewer       read
GET  /api/v1/executions                                viewer       read
POST /api/v1/executions                                operator     start
GET  /api/v1/executions/{execution_id}                 viewer   own read
GET  /api/v1/executions/{execution_id}/events          viewer   own read
POST /api/v1/executions/{execution_id}/cancel          operator     operate
POST /api/v1/executions/{execution_id}/signals         operator     operate
POST /api/v1/executions/{execution_id}/resolve         operator     operate
GET  /api/v1/approvals                                 viewer   own read
GET  /api/v1/approvals/{approval_id}                   viewer   own read
POST /api/v1/approvals/{approval_id}/verdicts          approver own decide
POST /api/v1/verdicts                                  approver own decide
POST /api/v1/approvals/{approval_id}/remind            operator     operate
GET  /api/v1/policies                                  viewer       read
POST /api/v1/policies/explain                          viewer       read
GET  /api/v1/mandates                                  viewer       read
POST /api/v1/mandates                                  operator     start
GET  /api/v1/statistics                                viewer       read
GET  /api/v1/people                                    viewer       read
GET  /api/v1/people/{person_id}                        viewer       read
PUT  /api/v1/people/{person_id}                        admin        administer
POST /api/v1/people/{person_id}/disable                admin        administer
POST /api/v1/people/{person_id}/enable                 admin        administer
GET  /api/v1/tokens                                    admin        administer
POST /api/v1/tokens                                    admin        administer
POST /api/v1/tokens/{token_id}/revoke                  admin        administer
GET  /api/v1/delegations                               viewer   own read
POST /api/v1/delegations                               approver own decide
POST /api/v1/delegations/{delegation_id}/end           approver own decide
GET  /api/v1/notifications                             viewer       read
POST /api/v1/notifications/{notice_id}/retry           operator     operate

GET  /sign-in                                          public
POST /sign-in                                          public
GET  /sign-in/{ticket}                                 public
POST /sign-in/{ticket}                                 public
POST /sign-out                                         viewer   own
GET  /oidc/start                                       public
GET  /oidc/callback                                    public
GET  /decide/{signed}                                  public
POST /decide/{signed}                                  public
POST /slack/interactive                                public
GET  /static/{name}                                    public

GET  /                                                 viewer   own
POST /theme                                            viewer   own
GET  /inbox                                            viewer   own
POST /inbox/decide                                     approver own
GET  /approvals/{approval_id}                          viewer   own
POST /approvals/{approval_id}/verdict                  approver own
POST /approvals/{approval_id}/remind                   operator
GET  /executions                                       viewer   own
GET  /executions/{execution_id}                        viewer   own
POST /executions/{execution_id}/cancel                 operator
POST /executions/{execution_id}/signal                 operator
POST /executions/{execution_id}/resolve                operator
POST /executions/{execution_id}/replay                 viewer
GET  /policies                                         viewer
POST /policies/explain                                 viewer
POST /policies/backtest                                operator
GET  /dashboard                                        viewer
GET  /mandates                                         viewer
POST /mandates                                         operator
GET  /mandates/new                                     operator
GET  /mandates/{mandate_id}                            viewer
GET  /people                                           viewer
POST /people                                           admin
POST /people/disable                                   admin
POST /people/enable                                    admin
GET  /people/{person_id:path}                          viewer   own
POST /delegations                                      approver own
POST /delegations/end                                  approver own
GET  /notifications                                    viewer
POST /notifications/retry                              operator
"""
RULES: Mapping[tuple[str, str], list[str]] = {
    (method, path): rule for method, path, *rule in (str(line).split() for line in TABLE.splitlines() if line)
}
PERSON_OF = {
    "": "stranger@company.com",
    "viewer": "viewer@company.com",
    "approver": "ann@company.com",
    "operator": "operator@company.com",
    "admin": "admin@company.com",
}
RANKS = ("public", "viewer", "approver", "operator", "admin")


def test_the_table_has_every_route() -> None:
    assert {(route.method, route.path) for route in ALL_ROUTES} == set(RULES)


def test_no_route_is_hidden_behind_another() -> None:
    assert len({route.name for route in ALL_ROUTES}) == len(ALL_ROUTES)
    assert len({(route.method, route.path) for route in ALL_ROUTES}) == len(ALL_ROUTES)


def test_only_these_are_open_to_all() -> None:
    openings = {path for (_, path), rule in RULES.items() if rule == ["public"]}
    signs_in = {"/sign-in", "/sign-in/{ticket}", "/oidc/start", "/oidc/callback"}
    assert openings == {"/health", "/decide/{signed}", "/slack/interactive", "/static/{name}"} | signs_in


@asynccontextmanager
async def _everybody(folder: Path) -> AsyncIterator[tuple[Place, dict[str, httpx.AsyncClient]]]:
    settings = WebSettings(sign_in_attempts=100_000, heartbeat_seconds=0.05)
    async with served(folder / "assent.db", settings=settings) as there, AsyncExitStack() as stack:
        clients = {"anonymous": await stack.enter_async_context(there.client())}
        for access, who in PERSON_OF.items():
            clients[access] = await stack.enter_async_context(there.client(who))
        for scope in SCOPES:
            clients[f"scope {scope}"] = await stack.enter_async_context(there.client("admin@company.com", [scope]))
        yield there, clients


async def _status(client: httpx.AsyncClient, method: str, path: str) -> int:
    """The status of a request about nothing that there is; of a stream, no more is waited for."""
    filled = path.replace("{person_id:path}", PERSON_OF[""])  # people see at least themselves
    for name in ("execution_id", "approval_id", "person_id", "delegation_id", "notice_id", "mandate_id", "token_id"):
        filled = filled.replace(f"{{{name}}}", "nothing")
    filled = filled.replace("{ticket}", "0").replace("{signed}", "0.0").replace("{name}", "assent.css")
    async with client.stream(method, filled) as answer:
        return answer.status_code


def _expected(asker: str, rule: list[str]) -> str:
    least, words = rule[0], rule[1:]
    scope = next((word for word in words if word != "own"), "")
    if asker == "anonymous":
        return "must sign in"
    if asker.startswith("scope "):
        return "may" if scope and asker.removeprefix("scope ") == scope else "may not"
    if asker == "":
        return "may" if "own" in words and RANKS.index(least) <= RANKS.index("approver") else "may not"
    return "may" if RANKS.index(asker) >= RANKS.index(least) else "may not"


def _seen(status: int) -> str:
    return {401: "must sign in", 403: "may not"}.get(status, "may")


async def test_everybody_reaches_what_the_table_says_and_nothing_else(tmp_path: Path) -> None:
    async with _everybody(tmp_path) as (_, clients):
        wrong = []
        for (method, path), rule in RULES.items():
            for asker, client in clients.items():
                if rule == ["public"]:
                    continue
                status = await _status(client, method, path)
                if _seen(status) != _expected(asker, rule):
                    wrong.append((method, path, asker, status, _expected(asker, rule)))
                assert status < 500, (method, path, asker)
        assert wrong == []


async def test_what_is_open_to_all_asks_nobody_to_sign_in(tmp_path: Path) -> None:
    async with _everybody(tmp_path) as (_, clients):
        for (method, path), rule in RULES.items():
            if rule == ["public"]:
                told = {await _status(clients[asker], method, path) for asker in ("anonymous", "viewer", "admin")}
                assert len(told) == 1, (method, path, told)
                # Signing in with nothing is refused, and so is a message that Slack has not signed.
                assert 401 not in told or (method, path) == ("POST", "/sign-in"), (method, path)


async def test_whoever_has_not_signed_in_is_led_there_from_every_page(tmp_path: Path) -> None:
    pages = [route for route in ALL_ROUTES if route.page and route.method == "GET" and route.access > Access.PUBLIC]
    async with served(tmp_path / "assent.db") as there, there.client() as client:
        client.headers.update(HTML)
        for route in pages:
            assert await _status(client, "GET", route.path) == 303, route.path


async def test_paths_and_methods_that_there_are_not_tell_nothing(tmp_path: Path) -> None:
    async with _everybody(tmp_path) as (_, clients):
        for client in clients.values():
            assert await _status(client, "GET", "/api/v1/secrets") == 404
            assert await _status(client, "DELETE", "/api/v1/executions") == 405
            assert await _status(client, "GET", "/static/../app.py") == 404
            assert await _status(client, "GET", "/static/%2e%2e%2fapp.py") == 404


@pytest.mark.parametrize(
    ("scopes", "scope", "expected"),
    [
        ({EVERYTHING}, "", True),
        ({EVERYTHING}, "read", True),
        ({"read"}, "read", True),
        ({"read"}, "", False),
        ({"read"}, "start", False),
        (set(), "", False),
    ],
)
def test_scopes_bound_a_token(scopes: set[str], scope: str, expected: bool) -> None:
    asker = Identity(person="a", name="a", access=Access.ADMIN, via="token", scopes=frozenset(scopes))
    assert may(asker, Access.VIEWER, scope) is expected

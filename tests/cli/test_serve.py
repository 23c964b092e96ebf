"""`assent serve`: the web and a worker in one process."""

import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Shell, line_with

BRANCH = """
import os

from starlette.requests import Request
from starlette.responses import JSONResponse

from assent import Runtime, workflow
from assent.web.access import Access, identity_of
from assent.web.routing import Route
from assent.web.settings import WebSettings

settings = WebSettings(ticket_minutes=5.0, allowed_hosts=["desk.example.com"])
runtime = Runtime("sqlite:///branch.db")


@workflow
async def greet(name: str) -> str:
    return f"hello {name}"


async def who(request: Request) -> JSONResponse:
    return JSONResponse({"person": identity_of(request).person})


route = Route(method="GET", path="/who", access=Access.VIEWER, handler=who, name="who")
"""


@dataclass(frozen=True)
class Served:
    """A server that is ready."""

    process: "subprocess.Popen[str]"
    url: str

    def link(self) -> str:
        """The link to sign in with that it prints next."""
        return line_with("/sign-in/", self.process).strip()


def serve(shell: Shell, *arguments: str) -> Served:
    process = shell.start("serve", *arguments, "--port", "0")
    found = re.search(r"is ready at (\S+) on", line_with("is ready", process))
    assert found
    return Served(process, found[1])


def token_of(shell: Shell, person: str, access: str) -> dict[str, str]:
    """The header by which a person is let in."""
    shell("users", "add", person, "--access", access)
    shown = shell.run("tokens", "add", person)
    found = re.search(r"assent_\S+_\S+", shown.stdout + shown.stderr)
    assert found
    return {"Authorization": f"Bearer {found[0]}"}


@pytest.fixture
def branch(assent: Shell) -> Shell:
    """A folder with an app that sets up its own runtime, settings and a route."""
    (assent.folder / "branch.py").write_text(BRANCH, encoding="utf-8")
    return assent


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(follow_redirects=True, timeout=20) as client:
        yield client


def test_whoever_starts_the_first_server_signs_in_with_a_link_as_its_administrator(
    assent: Shell, browser: httpx.Client
) -> None:
    server = serve(assent, "app.py", "--as", "boss@company.com")
    link = server.link()
    assert link.startswith(f"{server.url}/sign-in/")
    assert browser.get(f"{server.url}/api/v1/executions").status_code == 401
    assert browser.get(link).status_code == 200
    assert browser.post(link).status_code == 200
    assert browser.get(f"{server.url}/api/v1/executions").json()["items"] == []
    (person,) = assent.read("users", "list")
    assert (person["id"], person["access"]) == ("boss@company.com", "admin")
    with httpx.Client(timeout=20) as other:
        assert other.post(link).is_client_error


def test_a_second_server_makes_nobody_an_administrator(assent: Shell) -> None:
    assent("run", "app.py:quote", "--arg", "item=lamp")
    assent("users", "add", "boss@company.com", "--access", "admin")
    assent("users", "add", "clerk@company.com")
    server = serve(assent, "app.py", "--as", "clerk@company.com")
    assert "/sign-in/" in server.link()
    accesses = {each["id"]: each["access"] for each in assent.read("users", "list")}
    assert accesses == {"boss@company.com": "admin", "clerk@company.com": ""}


def test_in_a_pipe_nobody_is_given_a_link_unasked(assent: Shell) -> None:
    server = serve(assent, "app.py")
    server.process.terminate()
    rest, _ = server.process.communicate(timeout=20)
    assert "sign-in" not in rest
    assert assent.read("users", "list") == []


def test_one_process_serves_and_drives(assent: Shell, browser: httpx.Client) -> None:
    server = serve(assent, "app.py", "--quiet")
    browser.headers = httpx.Headers(token_of(assent, "ops@company.com", "operator"))
    started = browser.post(f"{server.url}/api/v1/executions", json={"name": "quote", "arguments": {"item": "lamp"}})
    assert started.status_code == 202
    assert result(browser, server.url + started.headers["location"]) == 400


def test_a_worker_beside_a_server_without_one_drives(assent: Shell, browser: httpx.Client) -> None:
    server = serve(assent, "app.py", "--no-worker")
    assent.worker("app.py")
    browser.headers = httpx.Headers(token_of(assent, "ops@company.com", "operator"))
    executed = assent.read("run", "app.py:wire_transfer", '{"amount": 5, "recipient": "Acme"}', code=75)
    browser.headers = httpx.Headers(token_of(assent, "cfo@company.com", "approver"))
    url = f"{server.url}/api/v1/approvals/{executed['approvals'][0]}/verdicts"
    assert browser.post(url, json={"decision": "approve"}).status_code == 200
    assert result(browser, f"{server.url}/api/v1/executions/{executed['execution_id']}") == "5 to Acme"


def result(browser: httpx.Client, url: str) -> object:
    """Ask until there is one; the test's own time limit ends it."""
    while True:
        found = browser.get(url).json()
        if found["status"] == "completed":
            return found["result"]


def test_a_module_brings_its_own_settings_runtime_and_routes(branch: Shell, browser: httpx.Client) -> None:
    server = serve(branch, "branch.py", "--as", "boss@company.com")
    assert "within 5 minutes" in line_with("Sign in as", server.process)
    link = server.link()
    assert browser.get(f"{server.url}/who").status_code == 401
    browser.post(link)
    assert browser.get(f"{server.url}/who").json() == {"person": "boss@company.com"}
    assert browser.get(f"{server.url}/health", headers={"Host": "desk.example.com"}).status_code == 200
    assert browser.get(f"{server.url}/health", headers={"Host": "evil.example.com"}).status_code == 421
    assert (branch.folder / "branch.db").exists()


def test_it_listens_on_loopback_unless_it_is_told_how_people_reach_it(assent: Shell, tmp_path: Path) -> None:
    refused = assent.error("serve", "app.py", "--host", "0.0.0.0", "--port", "0", code=2)
    assert "--base-url" in refused
    assert list(tmp_path.glob("*.db")) == []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "--port" in assent.error("serve", "app.py", "--port", port, code=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_though_somebody_listens_to_events(
    assent: Shell, browser: httpx.Client, number: signal.Signals
) -> None:
    server = serve(assent, "app.py")
    browser.headers = httpx.Headers(token_of(assent, "ops@company.com", "operator"))
    with browser.stream("GET", f"{server.url}/api/v1/events") as events:
        assert events.status_code == 200
        server.process.send_signal(number)
        rest, complaints = server.process.communicate(timeout=20)
    assert (server.process.returncode, complaints) == (0, "")
    assert "has stopped" in rest

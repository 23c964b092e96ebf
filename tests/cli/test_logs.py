"""What long-running commands log: with execution ids, as lines or as JSON, and never what lets somebody in."""

import json
import re
from typing import Any

import httpx
import pytest

from assent.cli.logs import BLANK, without_secrets
from tests.cli.conftest import Shell, line_with
from tests.cli.test_serve import Served, serve, token_of

TALKATIVE = """
import logging

from assent import ApprovalPolicy, AuditPolicy, govern, step, workflow

log = logging.getLogger("shop")


@step
async def look_up(item: str) -> int:
    log.warning("looking up %s\\nor so", item)
    return 100 * len(item)


@workflow
async def quote(item: str) -> int:
    log.warning("in workflow code")
    return await look_up(item)


@govern(policies=[AuditPolicy(sensitive=["account"])])
async def pay(amount: int, account: str) -> str:
    raise ValueError(f"the bank knows no account {account}")


@govern(policies=[ApprovalPolicy(approvers=["boss"], timeout_seconds=0), AuditPolicy(sensitive=["account"])])
async def ask_and_pay(amount: int, account: str) -> str:
    return "paid"
"""
ACCOUNT = "DE89-3704-0044-0532"


@pytest.fixture
def talkative(assent: Shell) -> Shell:
    (assent.folder / "app.py").write_text(TALKATIVE, encoding="utf-8")
    return assent


def ended(server: Served) -> tuple[list[dict[str, Any]], str]:
    """What a process has written from now to its end: its JSON lines, and all of it."""
    server.process.terminate()
    output, complaints = server.process.communicate(timeout=20)
    return [json.loads(line) for line in output.splitlines()], output + complaints


def test_each_line_of_json_stands_alone_and_says_of_which_execution_it_is(talkative: Shell) -> None:
    worker = talkative.start("worker", "app.py", "--log-format", "json")
    ready = json.loads(line_with("is ready", worker))
    assert set(ready) == {"at", "level", "logger", "message"}
    assert ready["level"] == "info"
    lines, _ = ended(Served(worker, ""))
    assert lines[-1]["message"].endswith("has stopped.")


def test_what_steps_and_workflows_log_bears_their_execution(talkative: Shell) -> None:
    server = serve_as_json(talkative)
    execution_id = started(talkative, server, "quote", item="lamp")
    lines, _ = ended(server)
    said = {each["message"]: each for each in lines if each["logger"] == "shop"}
    assert set(said) == {"in workflow code", "looking up lamp\nor so"}
    assert {each["execution_id"] for each in said.values()} == {execution_id}
    events = [each["event"] for each in lines if each.get("execution_id") == execution_id and "event" in each]
    assert events == ["execution.started", "execution.completed"]
    (request,) = [each for each in lines if each["logger"] == "assent.web" and each["method"] == "POST"]
    assert (request["path"], request["status"], request["person"]) == ("/api/v1/executions", 202, "ops@company.com")


def serve_as_json(shell: Shell) -> Served:
    process = shell.start("serve", "app.py", "--port", "0", "--log-format", "json", "--as", "boss@company.com")
    found = re.search(r"is ready at (\S+) on", line_with("is ready", process))
    assert found
    return Served(process, found[1])


def line_with_link(server: Served) -> str:
    """The link to sign in with, which is no part of the log."""
    assert server.process.stderr is not None
    return next(line for line in server.process.stderr if "/sign-in/" in line).strip()


def started(shell: Shell, server: Served, name: str, **arguments: object) -> str:
    """Start an execution over REST, and see it end or wait."""
    headers = token_of(shell, "ops@company.com", "operator")
    with httpx.Client(base_url=server.url, headers=headers, timeout=20) as client:
        answer = client.post("/api/v1/executions", json={"name": name, "arguments": arguments})
        assert answer.status_code == 202, answer.text
        while client.get(answer.headers["location"]).json()["status"] in {"pending", "running"}:
            pass
    return str(answer.json()["id"])


def test_nothing_that_lets_somebody_in_and_nothing_sensitive_is_logged(talkative: Shell) -> None:
    server = serve_as_json(talkative)
    link = line_with_link(server)
    header = token_of(talkative, "ops@company.com", "operator")
    secrets = [link.rpartition("/")[2], header["Authorization"].removeprefix("Bearer "), ACCOUNT, "s3cret-value"]
    with httpx.Client(base_url=server.url, timeout=20) as client:
        client.get(link)
        client.get(link, headers={"Host": "evil.example.com"})
        client.post(link)
        secrets += client.cookies.values()
        client.get("/inbox")
        client.get("/api/v1/executions", params={"text": "s3cret-value"}, headers=header)
        client.get("/api/v1/executions", headers={"Authorization": "Bearer assent_0123_s3cret-value"})
        client.get("/decide/s3cret-value-s3cret-value-s3cret-value-s3cret-value")
        client.get("/inbox", auth=("ops", "s3cret-value"))
    started(talkative, server, "pay", amount=5, account=ACCOUNT)
    started(talkative, server, "ask_and_pay", amount=5, account=ACCOUNT)
    lines, output = ended(server)
    assert [line for line in output.splitlines() for each in secrets if each in line] == []
    assert len(secrets) > 4
    paths = [each["path"] for each in lines if each["logger"] == "assent.web"]
    assert "/sign-in/…" in paths
    assert {each["audit"]["arguments"]["account"] for each in lines if "arguments" in each.get("audit", {})} == {
        "[redacted]"
    }


def test_lines_for_people_are_as_quiet_as_before(talkative: Shell) -> None:
    server = serve(talkative, "app.py", "--quiet")
    started(talkative, server, "pay", amount=5, account=ACCOUNT)
    server.process.terminate()
    output, complaints = server.process.communicate(timeout=20)
    assert ACCOUNT not in output + complaints
    assert [line[9:].split(" ")[0] for line in output.splitlines()] == ["SIGTERM:", "Server"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("token assent_01a1f92efcdf_4f5c6d7e8f9a0b1c was shown", f"token {BLANK} was shown"),
        ("Authorization: Bearer abc.def-ghi_jkl", f"Authorization: {BLANK}"),
        ("GET /decide/WyJhIl0.c2ln failed", f"GET /decide/{BLANK} failed"),
        ("GET /sign-in/0123456789abcdef failed", f"GET /sign-in/{BLANK} failed"),
        ("postgres://assent:hunter2@db/assent", f"postgres://{BLANK}@db/assent"),
        ("at https://example.com/a@b", "at https://example.com/a@b"),
        ("assent serve app.py", "assent serve app.py"),
        ("the bearer of this letter", "the bearer of this letter"),
    ],
)
def test_secrets_are_blanked_out_wherever_they_stand(text: str, kept: str) -> None:
    assert without_secrets(text) == kept

"""One decorator, two patterns: the caller waits for a quick approver, and is told to come back for a slow one.

    python examples/approval_patterns.py

Which of the two it becomes follows from `timeout_seconds` and from when the decision comes. Every figure in the table
was measured in this run.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assent import ApprovalPending, ApprovalPolicy, ApprovalRejected, Event, Runtime, govern


# Somebody looks at the chat all day: it is worth waiting.
@govern(policies=[ApprovalPolicy(approvers=["lead@company.com"], timeout_seconds=30)])
async def deploy_fix(version: str) -> str:
    return f"{version} is live"


# The board meets on Thursdays: nobody can wait for that.
@govern(policies=[ApprovalPolicy(approvers=["board@company.com"], timeout_seconds=0.2, expires="7d")])
async def deploy_rewrite(version: str) -> str:
    return f"{version} is live"


@dataclass(frozen=True)
class Answer:
    """What the caller gets, and when."""

    status: int
    body: str
    at: float


async def handle_request(deployment: Awaitable[str]) -> Answer:
    """What a web handler makes of a governed call."""
    try:
        status, body = 200, await deployment
    except ApprovalPending as pending:
        status, body = pending.http_status, pending.poll_url
    except ApprovalRejected as rejected:
        status, body = rejected.http_status, f"rejected: {rejected.reason}"
    return Answer(status, body, time.perf_counter())


class Approver:
    """A person with an inbox, who thinks for half a second. The runtime's watchers are told of every event."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inbox: asyncio.Queue[str] = asyncio.Queue()

    def notice(self, event: Event) -> None:
        if event.type == "policy.approval.requested":
            self.inbox.put_nowait(json.loads(event.value or "")["approval_id"])

    async def decide(self, runtime: Runtime, decision: Literal["approve", "reject"]) -> tuple[str, float]:
        """Returns for which execution, and when."""
        approval_id = await self.inbox.get()
        await asyncio.sleep(0.5)
        approval = await runtime.decide(approval_id, approver=self.name, decision=decision, reason="tests read")
        return approval.execution_id, time.perf_counter()


async def sync_pattern(url: str, version: str, decision: Literal["approve", "reject"]) -> list[str]:
    """The connection stays open, and the caller itself gets the result or the rejection."""
    lead = Approver("lead@company.com")
    async with Runtime(url, watchers=[lead.notice]) as runtime:
        began = time.perf_counter()
        deciding = asyncio.create_task(lead.decide(runtime, decision))
        answer = await handle_request(deploy_fix(version))
        execution_id, decided = await deciding
        return [*measured(began, answer, decided), *await ending(runtime, execution_id)]


async def async_pattern(url: str, version: str) -> list[str]:
    """The caller is told to come back. Whichever worker is there when the decision comes does the rest."""
    board = Approver("board@company.com")
    async with Runtime(url, watchers=[board.notice]):
        began = time.perf_counter()
        answer = await handle_request(deploy_rewrite(version))
    # The caller's runtime is closed. The next one could be another process, days later.
    async with Runtime(url) as runtime:
        execution_id, decided = await board.decide(runtime, "approve")
        await runtime.handle(execution_id).result(timeout=10)
        return [*measured(began, answer, decided), *await ending(runtime, execution_id)]


def measured(began: float, answer: Answer, decided: float) -> list[str]:
    late = decided - answer.at
    body = answer.body if len(answer.body) <= 25 else f"{answer.body[:24]}…"
    decision = f"{abs(late):.3f} s {'after' if late > 0 else 'before'} answer"
    return [str(answer.status), body, f"{answer.at - began:.2f} s", decision]


async def ending(runtime: Runtime, execution_id: str) -> list[str]:
    """What the store says in the end."""
    last = (await runtime.handle(execution_id).events())[-1]
    result = json.loads(last.value or "null") if last.type == "execution.completed" else last.name
    return [last.type, str(result)]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'approval_patterns.db'}"
        columns = [
            ["", "ANSWER", "  WITH", "RESPONSE TIME", "DECISION", "LAST EVENT", "RESULT"],
            ["SYNC, APPROVED", *await sync_pattern(url, "v1.2.1", "approve")],
            ["SYNC, REJECTED", *await sync_pattern(url, "v1.2.2", "reject")],
            ["ASYNC", *await async_pattern(url, "v2.0")],
        ]
    for row in zip(*columns, strict=True):
        print(f"{row[0]:15}" + "".join(f"{cell:28}" for cell in row[1:]).rstrip())


if __name__ == "__main__":
    asyncio.run(main())

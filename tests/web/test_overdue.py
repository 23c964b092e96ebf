"""What waits for too long, and how approvers decide, is found without a look at each of very many requests."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from assent.governance.approvals import ApprovalRequest, opened
from assent.store import Commit, ExecutionRecord, WorkerRecord
from assent.web.inbox import is_overdue
from tests.web.place import Place, place

NOW = 1_800_000_000.0
VIEWER = "viewer@company.com"


async def test_the_store_finds_what_the_inbox_calls_overdue() -> None:
    async with place() as there:
        store = there.runtime.open_store
        records = [
            opened(f"a{number}", "e1", request, NOW + number / 7, ())
            for number, request in enumerate(
                ApprovalRequest(approvers=("ann",), expires=expires, reminders=reminders, escalated_at=escalated)
                for expires, reminders, escalated in itertools.product(
                    (None, 0.9, 100.0, 86400.0, 1e6), ((), (0.3,), (0.1234567, 0.5)), (None, NOW + 0.5, NOW + 40.25)
                )
            )
        ]
        await store.register(WorkerRecord(id="w", host="", pid=1, started_at=NOW, expires_at=NOW * 2, workflows="[]"))
        facts: dict[str, Any] = {"arguments": "{}", "digest": "", "created_at": NOW, "updated_at": NOW}
        await store.create(ExecutionRecord(id="e1", name="pay", version=1, owner="w", **facts))
        await store.append("w", Commit(execution_id="e1", approvals=records))
        for seconds in (0, 0.5, 1, 5, 80, 130, 70_000, 90_000, 2e6):
            found = [one.id for one in await store.overdue(NOW + seconds, len(records))]
            assert found == [one.id for one in records if is_overdue(one, NOW + seconds)]


@pytest.mark.parametrize("path", ["/api/v1/approvals?view=overdue", "/api/v1/statistics"])
async def test_it_asks_the_store_as_often_for_many_requests_as_for_few(path: str, tmp_path: Path) -> None:
    db = tmp_path / "store.db"
    async with place(db) as there, there.client("operator@company.com") as client, there.client(VIEWER) as viewer:
        await there.asked(client)
        few = await _statements(there, viewer, path)
        columns = "execution_id, request, digest, status, version, created_at, expires_at, channels"
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
                f" INSERT INTO approvals (id, {columns}) SELECT 'copy-' || i, {columns} FROM approvals, n"
            )
        assert await _statements(there, viewer, path) == few


async def test_requests_that_nobody_has_answered_are_all_waited_for(tmp_path: Path) -> None:
    async with place(tmp_path / "store.db") as there, there.client("operator@company.com") as client:
        approvals = [(await there.asked(client))[1] for _ in range(3)]
        await there.runtime.decide(approvals[0], approver="ann@company.com", decision="reject")
        async with there.client(VIEWER) as viewer:
            items = (await viewer.get("/api/v1/statistics")).json()["items"]
        assert {one["approver"]: (one["verdicts"], one["waiting"]) for one in items} == {
            "ann@company.com": (1, 2),
            "cfo@company.com": (0, 2),
        }


async def _statements(there: Place, client: httpx.AsyncClient, path: str) -> int:
    """How many statements the answer takes."""
    seen: list[str] = []
    reader = there.runtime.open_store._reader  # type: ignore[attr-defined]  # of SqliteStore
    reader.set_trace_callback(seen.append)
    try:
        assert (await client.get(path)).status_code == 200
    finally:
        reader.set_trace_callback(None)
    return len(seen)

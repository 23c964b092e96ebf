"""Approvals over REST: what is asked of whom, and the verdict of whoever sends it, never of anybody else."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from assent import Runtime
from assent.errors import UsageError
from tests.web.place import place

OPERATOR, VIEWER, CFO, ANN = "operator@company.com", "viewer@company.com", "cfo@company.com", "ann@company.com"
STRANGER = "stranger@company.com"
APPROVALS = "/api/v1/approvals"


async def said(client: httpx.AsyncClient, approval_id: str, decision: str = "approve", **facts: Any) -> httpx.Response:
    return await client.post(f"{APPROVALS}/{approval_id}/verdicts", json={"decision": decision, **facts})


async def ids(client: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get(APPROVALS, params=query)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


async def test_a_verdict_lets_the_execution_go_on() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        execution_id, approval_id = await there.asked(client)
        answer = await said(cfo, approval_id, reason="agreed")
        assert (answer.status_code, answer.json()["status"]) == (200, "granted")
        (verdict,) = answer.json()["verdicts"]
        assert (verdict["approver"], verdict["reason"], verdict["counts"]) == (CFO, "agreed", True)
        await there.ended(execution_id)
        shown = (await client.get(f"/api/v1/executions/{execution_id}")).json()
        assert shown["result"] == "50000 to Acme"
        assert shown["approvals"] == [approval_id]


async def test_the_approver_is_whoever_sends_it_whatever_the_body_says() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(VIEWER) as viewer:
        _, approval_id = await there.asked(client)
        assert (await said(viewer, approval_id)).status_code == 403
        assert (await said(client, approval_id, approver=CFO)).status_code == 422
        refused = await said(client, approval_id)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:assent:verdict-refused")
        assert OPERATOR in refused.json()["reason"]
        assert await ids(client, view="all", status="pending") == [approval_id]


async def test_who_comes_late_is_told_who_decided_and_when() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo, there.client(ANN) as ann:
        _, approval_id = await there.asked(client)
        assert (await said(ann, approval_id, "reject", reason="too much")).status_code == 200
        late = (await said(cfo, approval_id)).json()
        assert (late["status"], late["approval_id"]) == (409, approval_id)
        assert f"rejected by {ANN} at 20" in late["reason"]


async def test_what_is_none_of_somebodys_business_is_not_there() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(STRANGER) as stranger:
        _, approval_id = await there.asked(client)
        for answer in (await stranger.get(f"{APPROVALS}/{approval_id}"), await said(stranger, approval_id)):
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:assent:approval-not-found")
        assert await ids(stranger, view="all") == await ids(stranger) == []
        body = {"approval_ids": [approval_id], "decision": "reject"}
        (outcome,) = (await stranger.post("/api/v1/verdicts", json=body)).json()["items"]
        assert (outcome["status"], CFO in outcome["refusal"]) == (None, False)
        assert await there.runtime.open_store.verdicts(approval_id) == []


async def test_mine_is_what_waits_for_me_by_name_by_role_or_in_anothers_place() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(STRANGER) as stranger:
        _, approval_id = await there.asked(client)
        async with there.client(CFO) as cfo, there.client(ANN) as ann:
            assert await ids(cfo) == await ids(ann) == [approval_id]
            assert await ids(client) == await ids(stranger) == []
            body = {"to": STRANGER, "until": "2999-01-01T00:00:00Z"}
            assert (await cfo.post("/api/v1/delegations", json=body)).status_code == 201
            assert await ids(stranger) == [approval_id]
            await said(stranger, approval_id)
            assert await ids(cfo) == []


async def test_pages_of_approvals_follow_one_another_in_each_view() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        known = [(await there.asked(client, str(amount)))[1] for amount in range(1, 6)]
        for view, whose in (("mine", cfo), ("all", client), ("all", cfo)):
            found: list[str] = []
            cursor: str | None = None
            while True:
                query: dict[str, str | int] = {"view": view, "limit": 2}
                if cursor:
                    query["cursor"] = cursor
                page = (await whose.get(APPROVALS, params=query)).json()
                found += [each["id"] for each in page["items"]]
                cursor = page["next"]
                if cursor is None:
                    break
            assert found == known
        assert await ids(client, view="all", newest=True) == known[::-1]
        assert await ids(client, view="all", action="other") == []


async def test_one_verdict_on_many_stops_at_none_of_them() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        known = [(await there.asked(client, str(amount)))[1] for amount in (1, 2, 3)]
        await said(cfo, known[1], "reject")
        body = {"approval_ids": [*known, known[0], "nothing"], "decision": "approve"}
        items = (await cfo.post("/api/v1/verdicts", json=body)).json()["items"]
        assert [each["status"] for each in items] == ["granted", None, "granted", None]
        assert "rejected by" in items[1]["refusal"]


async def test_changes_are_asked_for_anew() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        execution_id, approval_id = await there.asked(client)
        answer = await said(cfo, approval_id, changes={"amount": "100"})
        assert answer.json()["status"] == "amended"
        await there.ended(execution_id)
        assert (await client.get(f"/api/v1/executions/{execution_id}")).json()["result"] == "100 to Acme"


async def test_new_values_that_the_function_does_not_take_are_no_verdict() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        execution_id, approval_id = await there.asked(client)
        answer = await said(cfo, approval_id, changes={"amount": "a lot", "recipient": "Bolt"})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["at"] == "changes.amount"
        assert "decimal" in error["problem"]
        shown = (await client.get(f"{APPROVALS}/{approval_id}")).json()
        assert (shown["status"], shown["verdicts"]) == ("pending", [])
        with pytest.raises(UsageError, match="new value of 'amount' does not fit"):
            await there.runtime.decide(approval_id, approver=CFO, changes={"amount": "a lot"})
        events = (await client.get(f"/api/v1/executions/{execution_id}/events")).json()["items"]
        assert [each["type"] for each in events if each["type"].startswith("policy.approval.")] == [
            "policy.approval.requested"
        ]


async def test_of_a_function_that_is_not_known_here_the_execution_finds_out(tmp_path: Path) -> None:
    async with place(tmp_path / "store.db") as there, there.client(OPERATOR) as client:
        execution_id, approval_id = await there.asked(client)
        waits = (await there.runtime.engine.execution(execution_id)).waits
        async with Runtime(f"sqlite:///{tmp_path / 'store.db'}", worker=False) as elsewhere:
            record = await elsewhere.decide(approval_id, approver=CFO, changes={"amount": "a lot"})
            assert record.status == "amended"
        while (await there.runtime.engine.news(execution_id, known=waits)).waits in {"", waits}:
            pass
        (asked,) = await there.runtime.approvals(execution_id=execution_id)
        assert asked.id != approval_id
        types = [event.type for event in await there.runtime.engine.events(execution_id)]
        assert "policy.approval.edit_refused" in types


async def test_conditions_go_without_changes_and_must_make_sense() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        _, approval_id = await there.asked(client)
        both = await said(cfo, approval_id, changes={"amount": "1"}, conditions=["amount <= 2"])
        assert both.status_code == 422
        assert (await said(cfo, approval_id, conditions=["amount <="])).status_code == 400
        kept = (await said(cfo, approval_id, conditions=["amount <= 20000"])).json()
        assert (kept["status"], kept["verdicts"][0]["counts"]) == ("pending", False)


async def test_what_was_granted_is_taken_back_while_nobody_has_acted_on_it() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        _, approval_id = await there.asked(client)
        assert (await said(cfo, approval_id, "revoke")).status_code == 409
        await said(cfo, approval_id, "reject")
        assert (await client.get(f"{APPROVALS}/{approval_id}")).json()["status"] == "rejected"


async def test_whoever_may_decide_is_noted_to_have_seen_it() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        _, approval_id = await there.asked(client)
        store = there.runtime.open_store
        await client.get(f"{APPROVALS}/{approval_id}")
        await cfo.get(f"{APPROVALS}/{approval_id}")
        assert await store.shown(approval_id, OPERATOR) is None
        assert await store.shown(approval_id, CFO) is not None


async def test_a_token_for_reading_decides_nothing() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO, scopes=["read"]) as cfo:
        _, approval_id = await there.asked(client)
        assert (await cfo.get(f"{APPROVALS}/{approval_id}")).status_code == 200
        assert (await said(cfo, approval_id)).status_code == 403


async def test_approvers_are_reminded_by_operators() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        _, approval_id = await there.asked(client)
        assert (await client.post(f"{APPROVALS}/{approval_id}/remind")).json() == {"reminded": True}
        assert (await cfo.post(f"{APPROVALS}/{approval_id}/remind")).status_code == 403
        await said(cfo, approval_id)
        assert (await client.post(f"{APPROVALS}/{approval_id}/remind")).json() == {"reminded": False}

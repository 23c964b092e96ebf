"""What people try who want more than they may: on others, on the pages of all, on what the server says by mistake."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.responses import Response

from assent import ApprovalPolicy, AuditPolicy, govern
from assent.errors import StoreUnavailable
from assent.store import ApprovalStatus
from assent.web.access import Access
from assent.web.app import create_app
from assent.web.routing import Route
from tests.web import shop
from tests.web.doors import HTML, WITH_SLACK, browser, csrf, link_to, pressed, signed, text_of
from tests.web.place import Place, place

ADMIN, ANN, CFO, OPERATOR, STRANGER, VIEWER = (
    "admin@company.com",
    "ann@company.com",
    "cfo@company.com",
    "operator@company.com",
    "stranger@company.com",
    "viewer@company.com",
)
LATER_THAN_ANY_CALENDAR = ("9999-12-31T23:59:59-23:59", "999999999999d")


async def _asked(there: Place) -> str:
    async with there.client(OPERATOR) as client:
        return (await there.asked(client))[1]


# The pages of all.


@pytest.mark.parametrize("until", LATER_THAN_ANY_CALENDAR)
async def test_a_delegation_to_the_end_of_time_is_refused(until: str) -> None:
    async with place() as there, browser(there, CFO) as cfo, browser(there, ADMIN) as admin:
        answer = await cfo.post("/delegations", data={"csrf_token": csrf(cfo), "to": ANN, "until": until})
        assert answer.status_code == 400
        assert (await admin.get("/people")).status_code == 200
        assert not await there.runtime.people.delegations(all=True)


@pytest.mark.parametrize("until", LATER_THAN_ANY_CALENDAR)
async def test_a_mandate_to_the_end_of_time_is_refused(until: str) -> None:
    form = {"action": "wire_transfer", "until": until, "count": "3", "approvers": CFO}
    async with place() as there, browser(there, OPERATOR) as operator:
        answer = await operator.post("/mandates", data={**form, "csrf_token": csrf(operator)})
        assert answer.status_code == 400
        assert await there.runtime.executions() == []


async def test_a_mandate_to_the_end_of_time_is_refused_by_rest_too() -> None:
    body = {"action": "wire_transfer", "until": LATER_THAN_ANY_CALENDAR[0], "count": 3, "approvers": [CFO]}
    async with place() as there, there.client(OPERATOR) as operator:
        assert (await operator.post("/api/v1/mandates", json=body)).status_code == 400


@govern(policies=[ApprovalPolicy(approvers=[CFO], timeout_seconds=0, expires=1e12)])
async def wait_for_long(amount: int) -> int:
    return amount


async def test_pages_show_what_expires_after_the_end_of_time() -> None:
    async with place() as there, browser(there, ADMIN) as admin:
        handle = await there.runtime.start(wait_for_long, 7)
        await there.runtime.engine.waiting(handle.id)
        (approval,) = await there.runtime.approvals()
        for page in ("/inbox?view=team", f"/approvals/{approval.id}", f"/executions/{handle.id}", "/dashboard"):
            assert (await admin.get(page)).status_code == 200, page


async def test_the_last_administrator_cannot_lock_everybody_out() -> None:
    async with place() as there, browser(there, ADMIN) as admin:
        form = {"csrf_token": csrf(admin), "id": "Admin@Company.com"}
        for path, more in (("/people", {"access": "viewer"}), ("/people/disable", {})):
            assert (await admin.post(path, data={**form, **more})).status_code == 409
        record = await there.runtime.open_store.person(ADMIN)
        assert record is not None
        assert (record.access, record.disabled_at) == ("admin", None)
        renamed = await admin.post("/people", data={**form, "name": "Ada", "access": "admin"})
        assert renamed.status_code == 303


# The business of others.


async def test_strangers_learn_nothing_of_approvals_by_deciding_on_many() -> None:
    async with place() as there, browser(there, STRANGER) as stranger:
        approval_id = await _asked(there)
        form = {"csrf_token": csrf(stranger), "approval_id": [approval_id, "made-up"], "decision": "approve"}
        assert (await stranger.post("/inbox/decide", data=form)).status_code == 303
        told = text_of((await stranger.get("/inbox")).text)
        assert "0 requests approved. 2 did not count" in told
        assert CFO not in told
        assert await there.runtime.open_store.verdicts(approval_id) == []


async def test_viewers_decide_by_no_way() -> None:
    async with place(settings=WITH_SLACK) as there, there.client() as client:
        approval_id = await _asked(there)
        link = await link_to(there, approval_id, ANN)
        await there.runtime.people.add(ANN, access="viewer", roles=["finance"], contacts={"slack": "U1"})
        assert (await client.post(link, data={"decision": "approve"})).status_code == 403
        body = pressed("U1", approval_id)
        answer = await client.post("/slack/interactive", content=body, headers=signed(body, there.runtime.clock.now()))
        assert "does not count" in answer.json()["text"]
        record = await there.runtime.open_store.approval(approval_id)
        assert record is not None
        assert record.status is ApprovalStatus.PENDING


@pytest.mark.parametrize(("team", "counts"), [("T1", True), ("T2", False), ("", False)])
async def test_a_user_of_another_workspace_is_another_person(team: str, counts: bool) -> None:
    async with place(settings=replace(WITH_SLACK, slack_workspace="T1")) as there, there.client() as client:
        approval_id = await _asked(there)
        body = pressed("U1", approval_id, workspace=team)
        headers = signed(body, there.runtime.clock.now())
        told = (await client.post("/slack/interactive", content=body, headers=headers)).json()["text"]
        assert ("You approved this" in told) is counts
        assert bool(await there.runtime.open_store.verdicts(approval_id)) is counts


@govern(policies=[ApprovalPolicy(approvers=[CFO], timeout_seconds=0)])
async def fall_over(amount: int) -> int:
    raise ZeroDivisionError(amount)


async def test_only_those_who_see_everything_see_tracebacks() -> None:
    async with place() as there, there.client(CFO) as cfo, there.client(VIEWER) as viewer:
        handle = await there.runtime.start(fall_over, 7)
        await there.runtime.engine.waiting(handle.id)
        (approval,) = await there.runtime.approvals()
        await there.runtime.decide(approval.id, approver=CFO)
        await there.ended(handle.id)
        for path in ("events", "events/stream"):
            url = f"/api/v1/executions/{handle.id}/{path}"
            assert "test_attacks.py" in (await viewer.get(url)).text
            hidden = (await cfo.get(url)).text
            assert "ZeroDivisionError" in hidden
            assert "test_attacks.py" not in hidden


async def test_asking_what_policies_say_leaves_no_record_of_an_action(caplog: pytest.LogCaptureFixture) -> None:
    body = {"name": "wire_transfer", "arguments": {"amount": "50000"}, "requester": ADMIN}
    async with place(policies=[AuditPolicy()]) as there, there.client(VIEWER) as viewer:
        with caplog.at_level(logging.INFO, "assent.audit"):
            found = (await viewer.post("/api/v1/policies/explain", json=body)).json()
        assert caplog.records == []
        assert found["outcome"] == "ask"
        (asks,) = [each for each in found["decisions"] if each["outcome"] == "ask"]
        assert asks["approvers"] == [CFO, "role:finance"]
        wrong = await viewer.post("/api/v1/policies/explain", json={**body, "arguments": {"amount": "much"}})
        assert wrong.status_code == 422


# What the server says by mistake.


@contextmanager
def _broken(there: Place) -> Iterator[None]:
    """The same server with a page whose store answers nothing."""

    async def fail(request: Request) -> Response:
        raise StoreUnavailable("/secret/path/assent.db cannot be read")

    route = Route(method="GET", path="/broken/{ticket}", access=Access.PUBLIC, handler=fail, name="broken", page=True)
    before, there.app = there.app, create_app(there.runtime, extra_routes=[route])
    try:
        yield
    finally:
        there.app = before


async def test_a_store_that_fails_tells_strangers_nothing_and_the_log_no_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ticket = "0123456789abcdef" * 3
    async with place() as there:
        with _broken(there):
            async with there.client() as client:
                for headers in ({}, HTML):
                    answer = await client.get(f"/broken/{ticket}", headers=headers)
                    assert answer.status_code == 503
                    assert "/secret/path" not in answer.text
    assert "/secret/path" in caplog.text
    assert ticket not in caplog.text


async def test_a_file_that_there_is_not_is_a_problem() -> None:
    async with place() as there, there.client() as client:
        answer = await client.get("/static/secrets.txt")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("execution_id", ["orders/2030/7", "a?b#c", "50% <b>"])
async def test_an_id_that_a_program_chose_is_found_whatever_it_is(execution_id: str) -> None:
    async with place() as there, browser(there, ADMIN) as admin:
        await there.runtime.start(shop.order, "pen", id=execution_id)
        await there.runtime.engine.waiting(execution_id)
        (row,) = [line for line in (await admin.get("/executions")).text.splitlines() if 'href="/executions/' in line]
        path = row.partition('href="')[2].partition('"')[0]
        assert (await admin.get(path)).status_code == 200
        assert (await admin.get(f"/api/v1{path}")).json()["id"] == execution_id
        assert (await admin.get(f"/api/v1{path}/events")).json()["items"][0]["execution_id"] == execution_id
        form = {"csrf_token": csrf(admin), "name": "address", "value": '"home"'}
        assert (await admin.post(f"{path}/signal", data=form)).status_code == 303
        await there.ended(execution_id)


async def test_routes_of_a_program_stand_before_none_of_ours() -> None:
    async def answer_all(request: Request) -> Response:
        return Response("open")

    mine = Route(method="GET", path="/api/v1/me", access=Access.PUBLIC, handler=answer_all, name="mine")
    async with place() as there:
        there.app = create_app(there.runtime, extra_routes=[mine])
        async with there.client() as client:
            assert (await client.get("/api/v1/me")).status_code == 401

"""Governed functions in FastAPI endpoints, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from assent import PolicyFileError, Principal, RuntimeRequired
from tests.integrations.serving import client, serving
from tests.integrations.shop import CFO, PEOPLE, Shop, signed_in

PROBLEM = "application/problem+json"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
async def base(shop: Shop) -> AsyncIterator[str]:
    async with serving(shop.app) as address:
        yield address


@pytest.fixture
async def nobody(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(base) as found:
        yield found


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer token-{name}"}


@pytest.fixture
async def ana(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(base, headers=bearer("ana")) as found:
        yield found


@pytest.fixture
async def bob(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(base, headers=bearer("bob")) as found:
        yield found


@pytest.fixture
async def cfo(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(base, headers=bearer("cfo")) as found:
        yield found


@pytest.fixture
async def eve(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(base, headers=bearer("eve")) as found:
        yield found


async def ask(who: httpx.AsyncClient, amount: int = 5000, recipient: str = "Acme") -> dict[str, Any]:
    """The body of a 202 for a transfer that needs an approval."""
    answer = await who.post("/transfers", json={"amount": amount, "recipient": recipient})
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def asked(who: httpx.AsyncClient) -> list[str]:
    """The ids of what waits for somebody."""
    return [one["id"] for one in (await who.get("/governance/approvals")).json()["items"]]


async def said(who: httpx.AsyncClient, approval_id: str, **verdict: Any) -> httpx.Response:
    return await who.post(f"/governance/approvals/{approval_id}/verdicts", json={"decision": "approve", **verdict})


async def ended(shop: Shop, who: httpx.AsyncClient, poll_url: str) -> dict[str, Any]:
    """What a poll says once the execution has ended."""
    result = shop.runtime.handle(poll_url.rpartition("/")[2]).result()
    await asyncio.gather(result, return_exceptions=True)
    body: dict[str, Any] = (await who.get(poll_url)).json()
    return body


def is_problem(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["type"]) == (status, f"urn:assent:{name}")
    return body


# The calls


async def test_a_call_that_may_happen_gives_its_result_and_runs_for_whoever_has_signed_in(
    shop: Shop, ana: httpx.AsyncClient
) -> None:
    answer = await ana.post("/transfers", json={"amount": 5})
    assert (answer.status_code, answer.json()) == (200, "5 to Acme")
    (record,) = await shop.runtime.executions()
    assert record.requester == PEOPLE["token-ana"].to_text()


async def test_a_call_that_waits_is_answered_with_202_and_where_to_poll(ana: httpx.AsyncClient) -> None:
    answer = await ana.post("/transfers", json={"amount": 5000})
    assert answer.status_code == 202
    body = answer.json()
    assert list(body) == ["status", "execution_id", "message", "poll_url"]
    assert body["status"] == "awaiting_approval"
    assert body["message"] == "transfer waits for approval by cfo@company.com"
    assert body["poll_url"] == answer.headers["location"] == f"/governance/executions/{body['execution_id']}"
    assert int(answer.headers["retry-after"]) > 0


async def test_what_was_approved_later_is_found_by_polling(
    shop: Shop, ana: httpx.AsyncClient, cfo: httpx.AsyncClient
) -> None:
    body = await ask(ana)
    polled = await ana.get(body["poll_url"])
    (approval_id,) = polled.json()["approvals"]
    assert (polled.json()["status"], polled.json()["result"]) == ("suspended", None)
    assert int(polled.headers["retry-after"]) > 0
    assert polled.headers["cache-control"] == "no-store"
    assert (await said(cfo, approval_id, reason="contract 7")).json()["status"] == "granted"
    found = await ended(shop, ana, body["poll_url"])
    assert (found["status"], found["result"], found["error"]) == ("completed", "5000 to Acme", None)
    is_problem(await said(cfo, approval_id), 409, "verdict-refused")  # which is noted in the journal that has ended
    assert (await ana.get(body["poll_url"])).json() == found


async def test_a_call_that_is_decided_in_time_gets_its_result(
    shop: Shop, ana: httpx.AsyncClient, cfo: httpx.AsyncClient
) -> None:
    answer = asyncio.ensure_future(ana.post("/patient", json={"amount": 7}))
    approval_id = await first_approval(shop)
    assert not answer.done()
    await said(cfo, approval_id)
    assert ((await answer).status_code, (await answer).json()) == (200, "7 at last")


async def first_approval(shop: Shop) -> str:
    while not (found := await shop.runtime.approvals()):  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    return found[0].id


async def test_a_denied_call_is_403_with_the_policy_that_denies(ana: httpx.AsyncClient) -> None:
    body = is_problem(await ana.post("/books/close"), 403, "policy-denied")
    assert (body["policy"], body["action"], body["title"]) == ("authorization", "close_books", "Policy denied")
    assert "treasurer" in body["detail"]


async def test_a_call_with_wrong_values_is_422(ana: httpx.AsyncClient) -> None:
    assert is_problem(await ana.post("/transfers", json={"amount": -1}), 422, "validation-denied")["policy"]


async def test_a_rejected_call_is_409_and_says_who_and_why(
    shop: Shop, ana: httpx.AsyncClient, cfo: httpx.AsyncClient
) -> None:
    answer = asyncio.ensure_future(ana.post("/patient", json={"amount": 7}))
    await said(cfo, await first_approval(shop), decision="reject", reason="not this year")
    body = is_problem(await answer, 409, "approval-rejected")
    assert (body["approver"], body["reason"]) == (CFO, "not this year")


async def test_too_many_calls_are_429_with_the_seconds_to_wait(ana: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    assert (await ana.post("/reminders")).json() == ["ana@company.com", "reminded"]
    answer = await ana.post("/reminders")
    body = is_problem(answer, 429, "rate-limited")
    assert 3500 < int(answer.headers["retry-after"]) <= 3601
    assert body["retry_after"] <= int(answer.headers["retry-after"])
    assert (await bob.post("/reminders")).status_code == 200


async def test_what_is_in_doubt_is_409(ana: httpx.AsyncClient) -> None:
    assert is_problem(await ana.get("/errors/doubt"), 409, "in-doubt")["execution_id"] == "e1"


@pytest.mark.parametrize(("name", "status"), [("usage", 500), ("store", 503)])
async def test_failures_on_our_side_say_nothing_of_it(name: str, status: int, ana: httpx.AsyncClient) -> None:
    answer = await ana.get(f"/errors/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_what_the_app_starts_on_purpose_can_be_accepted_and_polled(shop: Shop, ana: httpx.AsyncClient) -> None:
    answer = await ana.post("/stock")
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    await shop.runtime.handle(answer.json()["execution_id"]).signal("stock", 12)
    assert (await ended(shop, ana, answer.headers["location"]))["result"] == 12


async def test_many_callers_at_once_stay_themselves(shop: Shop, ana: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await asyncio.gather(*(who.post("/transfers", json={"amount": 5}) for who in [ana, bob] * 20))
    requesters = [record.requester for record in await shop.runtime.executions()]
    assert sorted(requesters, key=str) == [PEOPLE["token-ana"].to_text()] * 20 + [PEOPLE["token-bob"].to_text()] * 20


async def test_an_error_of_the_app_stays_what_it_is(ana: httpx.AsyncClient) -> None:
    answer = await ana.post("/transfers", json={"amount": 5, "recipient": "nobody"})
    assert (answer.status_code, answer.json()) == (410, {"detail": "the recipient has closed the account"})


# Who asks


async def test_nobody_is_let_in_without_the_sign_in_of_the_app(nobody: httpx.AsyncClient, shop: Shop) -> None:
    for path in ("/transfers", "/patient", "/books/close", "/reminders", "/stock"):
        is_problem(await nobody.post(path, json={"amount": 5}), 401, "sign-in-required")
    for path in ("executions/e1", "approvals", "approvals/a1"):
        is_problem(await nobody.get(f"/governance/{path}"), 401, "sign-in-required")
    is_problem(await said(nobody, "a1"), 401, "sign-in-required")
    assert await shop.runtime.executions() == []


async def test_the_app_answers_a_wrong_token_itself(nobody: httpx.AsyncClient) -> None:
    answer = await nobody.post("/transfers", json={"amount": 5}, headers=bearer("mallory"))
    assert (answer.status_code, answer.json()) == (401, {"detail": "unknown token"})
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["x-user-id", "x-user-email", "x-user", "x-forwarded-user", "remote-user", "from"])
async def test_no_header_makes_somebody_else_the_requester(header: str, shop: Shop, ana: httpx.AsyncClient) -> None:
    await ana.post("/transfers", json={"amount": 5}, headers={header: CFO, "x-user-roles": "treasurer"})
    (record,) = await shop.runtime.executions()
    assert record.requester == PEOPLE["token-ana"].to_text()


async def test_an_endpoint_that_does_not_say_who_asks_starts_nothing(shop: Shop, ana: httpx.AsyncClient) -> None:
    answer = await ana.post("/forgotten")
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert await shop.runtime.executions() == []


async def test_what_the_app_does_in_its_own_name_it_says_so(shop: Shop, nobody: httpx.AsyncClient) -> None:
    assert (await nobody.post("/nightly")).status_code == 200
    (record,) = await shop.runtime.executions()
    assert record.requester == Principal("nightly").to_text()


async def test_what_goes_on_after_the_answer_is_done_for_the_same_person(shop: Shop, ana: httpx.AsyncClient) -> None:
    assert (await ana.post("/later")).status_code == 200
    while not (found := await shop.runtime.executions(status="completed")):  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    assert found[0].requester == PEOPLE["token-ana"].to_text()


def test_sockets_have_requesters_too(shop: Shop) -> None:
    with TestClient(shop.app) as http, http.websocket_connect("/talk", headers=bearer("ana")) as talk:
        talk.send_text("5")
        assert talk.receive_text() == "5 to ana@company.com"


async def test_a_dependency_that_returns_no_principal_is_a_mistake(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    async with serving(shop.app) as base, client(base, headers=bearer("ana")) as ana:
        shop.app.dependency_overrides[signed_in] = lambda: "ana@company.com"
        assert (await ana.post("/transfers", json={"amount": 5})).status_code == 500
        assert await shop.runtime.executions() == []


# Clients that leave


async def test_a_client_that_hangs_up_does_not_cancel_the_call(
    shop: Shop, base: str, ana: httpx.AsyncClient, cfo: httpx.AsyncClient
) -> None:
    address = urlsplit(base)
    body = json.dumps({"amount": 7})
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST /patient HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer token-ana\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
    approval_id = await first_approval(shop)
    writer.close()
    await writer.wait_closed()
    await said(cfo, approval_id)
    (record,) = await shop.runtime.executions()
    assert (await ended(shop, ana, f"/governance/executions/{record.id}"))["result"] == "7 at last"


async def test_a_server_that_cancels_the_handler_at_any_moment_loses_no_call_that_was_stored(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/transfers",
        "headers": [(b"authorization", b"Bearer token-ana"), (b"content-type", b"application/json")],
        "query_string": b"",
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"amount": 5}'}

    async def send(_: Any) -> None:
        pass

    async with shop.runtime as runtime:
        for turns in range(40):
            call = asyncio.ensure_future(shop.app(dict(scope), receive, send))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
        records = await runtime.executions()
        assert records
        results = await asyncio.gather(*(runtime.handle(record.id).result(timeout=10) for record in records))
        assert set(results) == {"5 to Acme"}


# Polling


async def test_only_the_requester_and_overseers_may_poll(
    ana: httpx.AsyncClient, bob: httpx.AsyncClient, cfo: httpx.AsyncClient, eve: httpx.AsyncClient
) -> None:
    body = await ask(ana)
    assert [(await who.get(body["poll_url"])).status_code for who in (ana, eve)] == [200, 200]
    foreign = [await who.get(body["poll_url"]) for who in (bob, cfo)]
    unknown = await ana.get("/governance/executions/none")
    for answer in (*foreign, unknown):
        is_problem(answer, 404, "execution-not-found")
    assert {one.json()["detail"].replace(body["execution_id"], "none") for one in foreign} == {unknown.json()["detail"]}


async def test_a_poll_tells_what_went_wrong_as_the_call_itself_would(
    shop: Shop, ana: httpx.AsyncClient, cfo: httpx.AsyncClient
) -> None:
    answers = {}
    for recipient, decision in (("Acme", "reject"), ("nobody", "approve"), ("broken", "approve")):
        body = await ask(ana, recipient=recipient)
        (approval_id,) = await asked(cfo)
        await said(cfo, approval_id, decision=decision, reason="so be it")
        answers[recipient] = await ended(shop, ana, body["poll_url"])
    assert {answer["status"] for answer in answers.values()} == {"failed"}
    assert answers["Acme"]["error"]["type"] == "urn:assent:approval-rejected"
    assert answers["Acme"]["error"]["reason"] == "so be it"
    assert answers["nobody"]["error"]["status"] == 410
    assert answers["nobody"]["error"]["detail"] == "the recipient has closed the account"
    assert answers["broken"]["error"]["status"] == 500
    assert "secret" not in json.dumps(answers)


async def test_a_poll_tells_that_it_was_cancelled(shop: Shop, ana: httpx.AsyncClient) -> None:
    body = await ask(ana)
    await shop.runtime.handle(body["execution_id"]).cancel("not needed")
    found = await ended(shop, ana, body["poll_url"])
    assert (found["status"], found["error"]["type"]) == ("cancelled", "urn:assent:execution-cancelled")
    assert found["error"]["reason"] == "not needed"


async def test_without_the_router_the_address_is_that_of_the_runtime(tmp_path: Path) -> None:
    shop = Shop(tmp_path, prefix=None, poll_url="https://assent.company.com/{execution_id}")
    async with serving(shop.app) as base, client(base, headers=bearer("ana")) as ana:
        body = await ask(ana)
        assert body["poll_url"] == f"https://assent.company.com/{body['execution_id']}"


async def test_the_address_has_the_path_under_which_a_proxy_serves_the_app_and_never_the_clients_host(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path)
    async with serving(shop.app, root_path="/shop") as base, client(base, headers=bearer("ana")) as ana:
        answer = await ana.post("/transfers", json={"amount": 5000}, headers={"host": "evil.example"})
        assert answer.headers["location"].startswith("/shop/governance/executions/")


# Approvals


async def test_people_see_what_is_asked_of_them_and_what_they_ask(
    ana: httpx.AsyncClient, bob: httpx.AsyncClient, cfo: httpx.AsyncClient, eve: httpx.AsyncClient
) -> None:
    await ask(ana)
    (approval_id,) = await asked(cfo)
    assert [await asked(who) for who in (ana, bob, eve)] == [[], [], [approval_id]]
    shown = [await who.get(f"/governance/approvals/{approval_id}") for who in (ana, bob, cfo, eve)]
    assert [answer.status_code for answer in shown] == [200, 404, 200, 200]
    assert [answer.json().get("may_decide") for answer in shown] == [False, None, True, False]
    request = shown[2].json()["request"]
    assert request["arguments"] == {"amount": 5000, "recipient": "Acme", "iban": "[redacted]"}
    assert (request["requester"], request["approvers"], request["title"]) == ("ana@company.com", [CFO], "transfer")


async def test_roles_and_stand_ins_of_the_store_count(
    shop: Shop, ana: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    people = shop.runtime.people
    await people.add(CFO)
    await people.add("bob@company.com")
    await people.delegate(CFO, "bob@company.com", until="1h")
    await ask(ana)
    (approval_id,) = await asked(bob)
    answer = await said(bob, approval_id)
    assert (answer.status_code, answer.json()["verdicts"][0]["approver"]) == (200, "bob@company.com")


async def test_approvals_are_listed_page_by_page(ana: httpx.AsyncClient, cfo: httpx.AsyncClient) -> None:
    for amount in (1001, 1002, 1003):
        await ask(ana, amount)
    amounts: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await cfo.get("/governance/approvals", params={"limit": 2, **cursor})).json()
        amounts += [one["request"]["arguments"]["amount"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert amounts == [1001, 1002, 1003]


async def test_whoever_has_signed_in_is_the_approver_and_no_body_can_change_that(
    shop: Shop, ana: httpx.AsyncClient, cfo: httpx.AsyncClient
) -> None:
    await ask(ana)
    (approval_id,) = await asked(cfo)
    assert (await said(ana, approval_id, approver=CFO)).status_code == 422
    is_problem(await said(ana, approval_id), 409, "verdict-refused")
    assert [one.status for one in await shop.runtime.approvals(None)] == ["pending"]
    granted = (await said(cfo, approval_id, reason="fine")).json()
    assert granted["status"] == "granted"
    assert [(one["approver"], one["refusal"] is None) for one in granted["verdicts"]] == [
        ("ana@company.com", False),
        (CFO, True),
    ]
    body = is_problem(await said(cfo, approval_id), 409, "verdict-refused")
    assert CFO in body["reason"]


async def test_changes_and_conditions_go_with_an_approval(
    shop: Shop, ana: httpx.AsyncClient, cfo: httpx.AsyncClient
) -> None:
    body = await ask(ana)
    (approval_id,) = await asked(cfo)
    is_problem(await said(cfo, approval_id, conditions=["amount is small"]), 400, "usage-error")
    assert (await said(cfo, approval_id, changes={"amount": 900})).json()["status"] == "amended"
    assert (await ended(shop, ana, body["poll_url"]))["result"] == "900 to Acme"


async def test_a_page_of_somebody_else_cannot_send_a_verdict(ana: httpx.AsyncClient, cfo: httpx.AsyncClient) -> None:
    await ask(ana)
    (approval_id,) = await asked(cfo)
    path = f"/governance/approvals/{approval_id}/verdicts"
    for kind in ({"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}, {}):
        answer = await cfo.post(path, content=b'{"decision": "approve"}', headers=kind)
        assert answer.status_code in {415, 422}
    assert await asked(cfo) == [approval_id]


@pytest.mark.parametrize(
    "body",
    [
        b'{"decision": "nope"}',
        b'{"decision": "approve", "approver": "cfo@company.com"}',
        b'{"decision": "approve", "reason": NaN}',
        b'{"decision": "approve", "reason": "\\ud800"}',
    ],
)
async def test_a_verdict_that_does_not_fit_is_a_problem_and_not_repeated(body: bytes, cfo: httpx.AsyncClient) -> None:
    path, headers = "/governance/approvals/any/verdicts", {"content-type": "application/json"}
    answer = await cfo.post(path, content=body, headers=headers)
    is_problem(answer, 422, "invalid-request")
    assert "input" not in answer.json()["errors"][0]
    assert (await cfo.post(path, content=body)).headers["content-type"] == "application/problem+json"
    assert (await cfo.get("/governance/approvals?limit=0")).json()["errors"][0]["at"] == "query.limit"


@pytest.mark.parametrize("value", [b'"\\ud800"', b"[" * 500 + b"]" * 500], ids=["no text", "too deep"])
async def test_changes_that_nobody_can_write_down_are_refused(
    value: bytes, ana: httpx.AsyncClient, cfo: httpx.AsyncClient
) -> None:
    await ask(ana)
    (approval_id,) = await asked(cfo)
    body = b'{"decision": "approve", "changes": {"recipient": %b}}' % value
    path, headers = f"/governance/approvals/{approval_id}/verdicts", {"content-type": "application/json"}
    answer = await cfo.post(path, content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert await asked(cfo) == [approval_id]


@pytest.mark.parametrize("execution_id", ["orders/7", "a?b#c", "50%", "\u65e5\u672c"])
async def test_whatever_id_the_app_chose_can_be_polled(execution_id: str, shop: Shop, ana: httpx.AsyncClient) -> None:
    answer = await ana.post("/stock", params={"id": execution_id})
    assert (answer.status_code, answer.json()["execution_id"]) == (202, execution_id)
    polled = await ana.get(answer.headers["location"])
    assert (polled.status_code, polled.json()["id"]) == (200, execution_id)


async def test_an_unknown_approval_is_404(ana: httpx.AsyncClient) -> None:
    assert is_problem(await ana.get("/governance/approvals/none"), 404, "approval-not-found")
    assert is_problem(await said(ana, "none"), 404, "approval-not-found")


async def test_it_is_noted_when_an_approver_first_saw_a_request(
    shop: Shop, ana: httpx.AsyncClient, cfo: httpx.AsyncClient
) -> None:
    await ask(ana)
    (approval_id,) = await asked(cfo)
    store = shop.runtime.open_store
    await ana.get(f"/governance/approvals/{approval_id}")
    assert await store.shown(approval_id, "ana@company.com") is None
    assert await store.shown(approval_id, CFO) is None
    await cfo.get(f"/governance/approvals/{approval_id}")
    assert await store.shown(approval_id, CFO) is not None


# The app


async def test_the_document_of_the_app_names_the_answers_of_governed_endpoints(ana: httpx.AsyncClient) -> None:
    paths = (await ana.get("/openapi.json")).json()["paths"]
    assert {"200", "202", "403", "409", "422", "429", "503"} <= paths["/transfers"]["post"]["responses"].keys()
    assert "/governance/approvals/{approval_id}/verdicts" in paths


async def test_the_runtime_is_open_while_the_app_serves_and_closed_afterwards(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    for _ in range(2):
        async with serving(shop.app) as base, client(base, headers=bearer("ana")) as ana:
            assert (await ana.post("/transfers", json={"amount": 5})).status_code == 200
        with pytest.raises(RuntimeRequired):
            _ = shop.runtime.engine


async def test_an_app_whose_runtime_does_not_open_does_not_start(tmp_path: Path) -> None:
    shop = Shop(tmp_path, policies=str(tmp_path / "missing.yaml"))
    lifespan = shop.app.router.lifespan_context(shop.app)
    with pytest.raises(PolicyFileError, match=r"missing\.yaml"):
        await lifespan.__aenter__()

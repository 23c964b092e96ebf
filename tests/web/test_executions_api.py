"""Executions over REST: started by name, listed, shown, and word to them."""

from tests.web.place import place

OPERATOR, VIEWER, CFO, STRANGER = (
    "operator@company.com",
    "viewer@company.com",
    "cfo@company.com",
    "stranger@company.com",
)
START = "/api/v1/executions"


async def test_an_execution_is_started_by_name_and_polled_to_its_result() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        answer = await client.post(START, json={"name": "quote", "arguments": {"item": "lamp"}})
        assert answer.status_code == 202
        assert answer.headers["location"] == answer.json()["poll_url"] == f"{START}/{answer.json()['id']}"
        await there.ended(answer.json()["id"])
        shown = (await client.get(answer.headers["location"])).json()
        assert (shown["status"], shown["result"], shown["error"]) == ("completed", 400, None)
        assert (shown["arguments"], shown["requester"]) == ({"item": "lamp"}, OPERATOR)


async def test_a_start_that_waits_answers_with_the_end_if_it_comes_in_time() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        quick = await client.post(START, params={"wait": 30}, json={"name": "quote", "arguments": {"item": "lamp"}})
        assert (quick.status_code, quick.json()["result"]) == (200, 400)
        failed = await client.post(START, params={"wait": 30}, json={"name": "failing", "arguments": {"item": "lamp"}})
        assert (failed.status_code, failed.json()["status"]) == (200, "failed")
        assert "lamp" in failed.json()["error"]["message"]
        parked = await client.post(START, params={"wait": 0.05}, json={"name": "order", "arguments": {"item": "lamp"}})
        assert (parked.status_code, parked.headers["location"]) == (202, parked.json()["poll_url"])
        for wait in ("30.1", "-1", "nan", "long"):
            refused = await client.post(
                START, params={"wait": wait}, json={"name": "quote", "arguments": {"item": "x"}}
            )
            assert refused.status_code == 422
        assert len((await client.get(START)).json()["items"]) == 3


async def test_arguments_take_the_types_of_the_function_and_defaults_are_filled_in() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        execution_id = await there.started(client, "wire_transfer", amount="12.50")
        shown = (await client.get(f"{START}/{execution_id}")).json()
        assert shown["arguments"] == {"amount": "12.50", "recipient": "Acme"}


async def test_arguments_that_do_not_fit_start_nothing() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        for arguments in ({}, {"item": 7}, {"item": "lamp", "colour": "red"}, {"item": "lamp", "count": "many"}):
            answer = await client.post(START, json={"name": "order", "arguments": arguments})
            assert answer.status_code == 422, answer.text
            assert answer.json()["type"] == "urn:assent:invalid-request"
        assert (await client.get(START)).json()["items"] == []


async def test_an_unknown_name_or_version_is_not_found() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        for body in ({"name": "nothing"}, {"name": "quote", "version": 9, "arguments": {"item": "x"}}):
            answer = await client.post(START, json=body)
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:assent:unknown-workflow")


async def test_the_same_idempotency_key_starts_once_and_never_for_somebody_else() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client("admin@company.com") as other:
        key = {"Idempotency-Key": "order-7"}
        body = {"name": "order", "arguments": {"item": "lamp"}}
        first, again = [await client.post(START, json=body, headers=key) for _ in range(2)]
        foreign = await other.post(START, json=body, headers=key)
        assert first.json()["id"] == again.json()["id"] != foreign.json()["id"]
        changed = await client.post(START, json={"name": "order", "arguments": {"item": "desk"}}, headers=key)
        assert (changed.status_code, changed.json()["type"]) == (422, "urn:assent:idempotency-key-reused")
        assert len((await client.get(START)).json()["items"]) == 2


async def test_pages_follow_one_another_by_cursor_and_by_link() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        ids = [await there.started(client, "order", item=f"item {number}") for number in range(5)]
        found, address = [], f"{START}?limit=2&status=suspended"
        while address:
            answer = await client.get(address)
            found += [each["id"] for each in answer.json()["items"]]
            assert ("next" in answer.links) == (answer.json()["next"] is not None)
            address = answer.links["next"]["url"] if "next" in answer.links else ""
        assert found == ids[::-1]


async def test_executions_are_filtered_by_status_name_and_arguments() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        lamp = await there.started(client, "order", item="Lamp")
        quote = await there.started(client, "quote", item="desk")
        await there.ended(quote)

        async def ids(**query: str) -> list[str]:
            return [each["id"] for each in (await client.get(START, params=query)).json()["items"]]

        assert await ids(text="lamp") == [lamp]
        assert await ids(name="quote") == await ids(status="completed") == [quote]
        assert await ids(since="2999-01-01T00:00:00Z") == []


async def test_what_is_known_already_is_not_sent_again() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        execution_id = await there.started(client, "order", item="lamp")
        first = await client.get(f"{START}/{execution_id}")
        again = await client.get(f"{START}/{execution_id}", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        await client.post(f"{START}/{execution_id}/signals", json={"name": "address", "value": "here"})
        await there.ended(execution_id)
        changed = await client.get(f"{START}/{execution_id}", headers={"If-None-Match": first.headers["etag"]})
        assert (changed.status_code, changed.json()["result"]) == (200, 404)


async def test_an_execution_is_cancelled_with_a_reason_and_takes_no_more_word() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        execution_id = await there.started(client, "order", item="lamp")
        assert (await client.post(f"{START}/{execution_id}/cancel", json={"reason": "sold out"})).status_code == 202
        await there.ended(execution_id)
        shown = (await client.get(f"{START}/{execution_id}")).json()
        assert (shown["status"], shown["error"]["reason"]) == ("cancelled", "sold out")
        late = await client.post(f"{START}/{execution_id}/cancel", json={})
        assert (late.status_code, late.json()["execution_id"]) == (409, execution_id)


async def test_nobody_passes_a_verdict_off_as_a_signal() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        execution_id, approval_id = await there.asked(client)
        body = {"name": f"approval:{approval_id}", "value": {"status": "granted"}}
        assert (await client.post(f"{START}/{execution_id}/signals", json=body)).status_code == 422


async def test_an_effect_in_doubt_is_resolved() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        execution_id = await there.started(client, "doubtful", amount=7)
        shown = (await client.get(f"{START}/{execution_id}")).json()
        assert shown["status"] == "in_doubt"
        body = {"done": True, "result": "charged 7"}
        assert (await client.post(f"{START}/{execution_id}/resolve", json=body)).status_code == 202
        await there.ended(execution_id)
        assert (await client.get(f"{START}/{execution_id}")).json()["result"] == "charged 7"


async def test_a_failure_is_told_without_its_traceback() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        execution_id = await there.started(client, "failing", item="lamp")
        await there.ended(execution_id)
        shown = (await client.get(f"{START}/{execution_id}")).json()
        assert (shown["status"], shown["cause"]) == ("failed", "error")
        assert "KeyError" in shown["error"]["type"]
        assert "traceback" not in shown["error"]


async def test_the_journal_is_read_a_page_at_a_time() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        execution_id = await there.started(client, "quote", item="lamp")
        await there.ended(execution_id)
        found: list[str] = []
        after: int | None = 0
        while after is not None:
            page = (await client.get(f"{START}/{execution_id}/events", params={"limit": 1, "after": after})).json()
            found += [each["type"] for each in page["items"]]
            after = page["next"]
        assert found[0] == "execution.started"
        assert found[-1] == "execution.completed"


async def test_a_traceback_in_the_journal_is_for_those_who_see_everything() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(STRANGER) as stranger:
        execution_id = await there.started(client, "failing", item="lamp")
        for path in ("", "/events", "/events/stream"):
            answer = await stranger.get(f"{START}/{execution_id}{path}")
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:assent:execution-not-found")


async def test_an_approver_sees_the_execution_that_waits_for_them_and_no_list() -> None:
    async with place() as there, there.client(OPERATOR) as client, there.client(CFO) as cfo:
        execution_id, _ = await there.asked(client)
        assert (await cfo.get(f"{START}/{execution_id}")).status_code == 200
        assert (await cfo.get(START)).status_code == 403


async def test_what_can_be_started_is_listed() -> None:
    async with place() as there, there.client(VIEWER) as client:
        items = (await client.get("/api/v1/workflows")).json()["items"]
        assert {"name": "order", "version": 1, "parameters": ["item", "count"]} in items


async def test_bodies_must_be_sound_json() -> None:
    async with place() as there, there.client(OPERATOR) as client:
        json_type = {"Content-Type": "application/json"}
        for body, status in ((b"{", 400), (b'{"name":"a","name":"b"}', 400), (b'{"name": NaN}', 400), (b"[]", 422)):
            answer = await client.post(START, content=body, headers=json_type)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert (await client.post(START, content=b"{}", headers={"Content-Type": "text/plain"})).status_code == 415
        assert (await client.post(START, json={"name": "quote", "wish": 1})).json()["errors"][0]["at"] == "wish"


async def test_queries_must_be_known_and_given_once() -> None:
    async with place() as there, there.client(VIEWER) as client:
        for query in ("limit=0", "limit=x", "limit=1&limit=2", "colour=red", "status=late", "since=yesterday"):
            assert (await client.get(f"{START}?{query}")).status_code == 422, query

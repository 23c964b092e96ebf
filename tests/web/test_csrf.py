"""What another site sends in the name of whoever is signed in changes nothing."""

import pytest

from tests.web.doors import browser, csrf
from tests.web.place import Place, place

ANN = "ann@company.com"
HERE = "http://127.0.0.1:8400"


async def _asked(there: Place) -> str:
    async with there.client("operator@company.com") as client:
        return (await there.asked(client))[1]


def _verdicts(approval_id: str) -> str:
    return f"/api/v1/approvals/{approval_id}/verdicts"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 64},
        {"X-CSRF-Token": "é".encode().decode("latin-1")},
    ],
)
async def test_without_the_token_of_the_session_nothing_is_decided(headers: dict[str, str]) -> None:
    async with place() as there, browser(there, ANN) as client:
        approval_id = await _asked(there)
        raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        answer = await client.post(_verdicts(approval_id), json={"decision": "approve"}, headers=raw)
        assert answer.status_code == 403
        assert await there.runtime.open_store.verdicts(approval_id) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.com"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": HERE},
    ],
)
async def test_another_site_decides_nothing_even_with_the_token(headers: dict[str, str]) -> None:
    async with place() as there, browser(there, ANN) as client:
        approval_id = await _asked(there)
        given = {**headers, "X-CSRF-Token": csrf(client)}
        answer = await client.post(_verdicts(approval_id), json={"decision": "approve"}, headers=given)
        assert answer.status_code == 403
        assert await there.runtime.open_store.verdicts(approval_id) == []


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": HERE}, {"Sec-Fetch-Site": "same-origin", "Origin": HERE}, {"Sec-Fetch-Site": "none"}]
)
async def test_our_own_pages_decide(headers: dict[str, str]) -> None:
    async with place() as there, browser(there, ANN) as client:
        given = {**headers, "X-CSRF-Token": csrf(client)}
        answer = await client.post(_verdicts(await _asked(there)), json={"decision": "approve"}, headers=given)
        assert answer.status_code == 200


async def test_the_token_of_another_session_is_no_good() -> None:
    async with place() as there, browser(there, ANN) as client, browser(there, ANN) as other:
        answer = await client.post("/sign-out", data={"csrf_token": csrf(other)})
        assert answer.status_code == 403
        assert (await client.post("/sign-out", data={"csrf_token": csrf(client)})).status_code == 303


async def test_programs_with_a_token_need_no_form() -> None:
    async with place() as there, there.client(ANN) as client:
        answer = await client.post(_verdicts(await _asked(there)), json={"decision": "approve"})
        assert answer.status_code == 200


async def test_nobody_is_signed_in_by_another_site() -> None:
    async with place() as there, there.client() as client:
        form = {"token": await there.token(ANN)}
        answer = await client.post("/sign-in", data=form, headers={"Origin": "https://evil.com"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers

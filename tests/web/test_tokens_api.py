"""Tokens over REST: made and taken back by administrators, shown once, and never a way to more than one has."""

import pytest

from assent.runtime.credentials import add_ticket
from tests.web.doors import AheadClock
from tests.web.place import place

ADMIN, OPERATOR, CFO = "admin@company.com", "operator@company.com", "cfo@company.com"
TOKENS, ME = "/api/v1/tokens", "/api/v1/me"


async def test_a_token_is_shown_once_lets_its_person_in_and_is_taken_back() -> None:
    async with place() as there, there.client(ADMIN) as admin, there.client() as program:
        made = await admin.post(TOKENS, json={"person": OPERATOR, "name": "nightly", "scopes": ["read", "start"]})
        assert made.status_code == 201, made.text
        token = made.json()["token"]
        program.headers["Authorization"] = f"Bearer {token}"
        me = (await program.get(ME)).json()
        assert (me["person"], me["scopes"]) == (OPERATOR, ["read", "start"])
        listed = await admin.get(TOKENS, params={"person": OPERATOR})
        (shown,) = listed.json()["items"]
        assert (shown["id"], shown["name"], shown["scopes"]) == (made.json()["id"], "nightly", ["read", "start"])
        assert token.split("_")[2] not in listed.text
        revoked = await admin.post(f"{TOKENS}/{shown['id']}/revoke")
        assert revoked.json()["revoked_at"] is not None
        assert (await program.get(ME)).status_code == 401
        assert (await admin.post(f"{TOKENS}/{shown['id']}/revoke")).json() == revoked.json()
        assert (await admin.get(TOKENS, params={"person": OPERATOR})).json()["items"] == []
        assert len((await admin.get(TOKENS, params={"person": OPERATOR, "all": True})).json()["items"]) == 1


async def test_a_token_ends_after_90_days_or_when_it_is_said() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there, there.client(ADMIN) as admin:
        usual = (await admin.post(TOKENS, json={})).json()
        assert usual["person"] == ADMIN
        clock.ahead = 89 * 86400
        async with there.client() as program:
            program.headers["Authorization"] = f"Bearer {usual['token']}"
            assert (await program.get(ME)).status_code == 200
            late = await program.post(TOKENS, json={"until": "2020-01-01T00:00:00Z"})
            assert late.status_code == 422
            until = await program.post(TOKENS, json={"until": "2999-01-01T00:00:00Z"})
            assert until.json()["expires_at"].startswith("2999-01-01T00:00:00")
            clock.ahead = 91 * 86400
            assert (await program.get(ME)).status_code == 401


async def test_a_token_makes_none_that_reaches_further_than_itself() -> None:
    async with place() as there, there.client(ADMIN, ["administer", "read"]) as program:
        assert (await program.post(TOKENS, json={"scopes": ["read"]})).status_code == 201
        for scopes in ([], ["start"], ["read", "operate"]):
            answer = await program.post(TOKENS, json={"scopes": scopes})
            assert answer.status_code == 403
            assert "administer, read" in answer.json()["detail"]


@pytest.mark.parametrize("scopes", [[], ["decide"], ["read", "decide"]])
async def test_nobody_makes_a_token_to_decide_in_the_name_of_another(scopes: list[str]) -> None:
    async with place() as there, there.client(ADMIN) as admin:
        answer = await admin.post(TOKENS, json={"person": CFO, "scopes": scopes})
        assert answer.status_code == 403
        assert (await admin.post(TOKENS, json={"person": ADMIN.upper(), "scopes": scopes})).status_code == 201


async def test_only_tokens_are_taken_back_here() -> None:
    async with place() as there, there.client(ADMIN) as admin:
        ticket = await add_ticket(there.runtime.open_store, there.runtime.clock, CFO)
        assert (await admin.post(f"{TOKENS}/nothing/revoke")).json()["type"] == "urn:assent:token-not-found"
        assert (await admin.post(TOKENS, json={"person": "nobody@company.com", "scopes": ["read"]})).status_code == 400
        assert (await admin.post(f"{TOKENS}/{ticket.record.id}/revoke")).status_code == 404

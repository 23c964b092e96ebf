"""Signing in with a token or a one-time link, and how long a session holds."""

import asyncio

import httpx
import pytest

from assent.runtime import credentials
from assent.runtime.credentials import add_ticket, digest_of
from assent.web.settings import WebSettings
from tests.web.doors import HTML, AheadClock, browser, csrf, text_of
from tests.web.place import Place, place

ANN, CFO = "ann@company.com", "cfo@company.com"
ME = "/api/v1/me"
HOUR = 3600.0


async def _ticket(there: Place, who: str = ANN) -> str:
    return (await add_ticket(there.runtime.open_store, there.runtime.clock, who)).secret


async def test_a_token_opens_a_session_and_leads_to_where_one_wanted_to_go() -> None:
    async with place() as there, there.client() as client:
        form = {"token": await there.token(ANN), "next": "/approvals/a1?x=1"}
        answer = await client.post("/sign-in", data=form, headers=HTML)
        assert (answer.status_code, answer.headers["location"]) == (303, "/approvals/a1?x=1")
        assert (await client.get(ME)).json()["person"] == ANN


@pytest.mark.parametrize(
    "next", ["https://evil.com", "//evil.com", "/\\evil.com", "\\\\evil.com", "javascript:x", "/\r\nx"]
)
async def test_nobody_is_sent_elsewhere_after_signing_in(next: str) -> None:
    async with place() as there, there.client() as client:
        form = {"token": await there.token(ANN), "next": next}
        answer = await client.post("/sign-in", data=form)
        assert answer.headers["location"] == "/inbox"


async def test_a_wrong_token_is_told_on_the_page_and_opens_nothing() -> None:
    async with place() as there, there.client() as client:
        answer = await client.post("/sign-in", data={"token": "assent_1_2", "next": "/inbox"}, headers=HTML)
        assert answer.status_code == 401
        assert "This token does not let anybody in." in text_of(answer.text)
        assert "set-cookie" not in answer.headers
        assert (await client.get(ME)).status_code == 401


async def test_a_token_for_a_few_things_opens_no_session() -> None:
    async with place() as there, there.client() as client:
        answer = await client.post("/sign-in", data={"token": await there.token(ANN, ["read"])}, headers=HTML)
        assert answer.status_code == 403
        assert client.cookies.get("assent") is None


async def test_a_link_signs_in_once_and_only_by_the_button() -> None:
    async with place() as there, there.client() as client, there.client() as other:
        path = f"/sign-in/{await _ticket(there)}"
        for _ in range(3):
            page = await client.get(path, headers=HTML)
            assert page.status_code == 200
            assert ANN in text_of(page.text)
        assert (await client.get(ME)).status_code == 401
        assert (await client.post(path)).status_code == 303
        assert (await client.get(ME)).json()["person"] == ANN
        for answer in (await other.post(path), await other.get(path)):
            assert answer.status_code == 403
        assert (await other.get(ME)).status_code == 401


async def test_of_many_who_use_a_link_at_once_one_gets_in() -> None:
    async with place() as there, there.client() as client:
        path = f"/sign-in/{await _ticket(there)}"
        answers = await asyncio.gather(*(client.post(path) for _ in range(8)))
        assert sorted(each.status_code for each in answers) == [303] + [403] * 7


async def test_a_link_expires_and_is_worth_nothing_for_the_disabled() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there, there.client() as client:
        late, other = await _ticket(there), await _ticket(there, "viewer@company.com")
        await there.runtime.people.disable("viewer@company.com")
        assert (await client.post(f"/sign-in/{other}")).status_code == 403
        clock.ahead = 901
        assert (await client.post(f"/sign-in/{late}")).status_code == 403


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites() -> None:
    async with place() as there, there.client() as client:
        cookie = (await client.post(f"/sign-in/{await _ticket(there)}")).headers["set-cookie"]
        assert cookie.startswith("assent=")
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


async def test_by_https_the_cookie_is_for_this_host_alone() -> None:
    settings = WebSettings(base_url="https://assent.example.com")
    async with place(settings=settings) as there:
        transport = httpx.ASGITransport(app=there.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://assent.example.com") as client:
            answer = await client.post(f"/sign-in/{await _ticket(there)}")
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-assent=")
            assert {"HttpOnly", "SameSite=lax", "Path=/", "Secure"} <= set(cookie.split("; "))
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            assert (await client.get(ME)).json()["person"] == ANN


async def test_of_a_session_the_store_has_only_the_digest() -> None:
    async with place() as there, browser(there, ANN) as client:
        (record,) = await there.runtime.open_store.credentials("session")
        secret = client.cookies["assent"]
        assert (record.digest, record.person) == (digest_of(secret), ANN)
        assert secret not in repr(record)


async def test_a_session_holds_while_it_is_used_and_a_week_at_most() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there, browser(there, ANN) as client:
        while clock.ahead < 7 * 24 * HOUR - 12 * HOUR:
            clock.ahead += 11 * HOUR
            assert (await client.get(ME)).status_code == 200
        clock.ahead = 7 * 24 * HOUR + 1
        assert (await client.get(ME)).status_code == 401


async def test_a_session_that_is_not_used_ends() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there, browser(there, ANN) as client:
        clock.ahead = 12 * HOUR + 1
        assert (await client.get(ME)).status_code == 401


async def test_signing_out_ends_the_session_for_whoever_has_the_cookie() -> None:
    async with place() as there, browser(there, ANN) as client, there.client() as thief:
        thief.cookies.set("assent", client.cookies["assent"], domain="127.0.0.1")
        assert (await thief.get(ME)).status_code == 200
        answer = await client.post("/sign-out", data={"csrf_token": csrf(client)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert client.cookies.get("assent") is None
        assert (await thief.get(ME)).status_code == 401


async def test_signing_out_everywhere_ends_all_sessions_of_that_person_alone() -> None:
    async with place() as there, browser(there, ANN) as here, browser(there, ANN) as away, browser(there, CFO) as other:
        await here.post("/sign-out", data={"csrf_token": csrf(here), "everywhere": "1"})
        assert (await away.get(ME)).status_code == 401
        assert (await other.get(ME)).status_code == 200


async def test_signing_in_anew_ends_the_session_before() -> None:
    async with place() as there, browser(there, ANN) as client, there.client() as thief:
        thief.cookies.set("assent", client.cookies["assent"], domain="127.0.0.1")
        await client.post(f"/sign-in/{await _ticket(there, 'viewer@company.com')}")
        assert (await client.get(ME)).json()["person"] == "viewer@company.com"
        assert (await thief.get(ME)).status_code == 401


async def test_a_cookie_that_somebody_made_up_is_nobody() -> None:
    async with place() as there, there.client() as client:
        secret = "f" * 48
        client.cookies.set("assent", secret, domain="127.0.0.1")
        await client.post(f"/sign-in/{await _ticket(there)}")
        assert client.cookies.get("assent", domain="127.0.0.1") != secret


async def test_whoever_is_disabled_is_out_at_once() -> None:
    async with place() as there, browser(there, ANN) as client:
        await there.runtime.people.disable(ANN)
        assert (await client.get(ME)).status_code == 401


async def test_attempts_to_sign_in_are_counted_right_ones_too() -> None:
    settings = WebSettings(sign_in_attempts=3, sign_in_window_seconds=300)
    async with place(settings=settings) as there, there.client() as client:
        statuses = [(await client.post("/sign-in", data={"token": "x"})).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        assert (await client.post("/sign-in", data={"token": await there.token(ANN)})).status_code == 429
        assert (await client.get(f"/sign-in/{'0' * 48}")).status_code == 429


async def test_the_page_to_sign_in_leads_on_whoever_is_signed_in() -> None:
    async with place() as there, browser(there, ANN) as client:
        answer = await client.get("/sign-in", params={"next": "/dashboard"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")


async def test_a_page_that_needs_sign_in_comes_back_after_it() -> None:
    async with place() as there, there.client() as client:
        client.headers.update(HTML)
        answer = await client.get("/metrics", params={"a": "b c"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fmetrics%3Fa%3Db%2Bc")


async def test_old_credentials_do_not_pile_up() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there:
        store = there.runtime.open_store
        await _ticket(there)
        clock.ahead = HOUR
        await credentials.add_session(store, clock, ANN)
        assert [each.kind for each in await store.credentials()] == ["session"]

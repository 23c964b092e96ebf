"""Whoever signs in at the provider is signed in here, if the store knows them. Nothing forged signs anybody in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from assent.web.settings import OidcSettings, WebSettings
from tests.web.doors import HTML, AheadClock, text_of
from tests.web.place import Place, place
from tests.web.provider import CLIENT, SECRET, Provider, provider

ANN = "ann@company.com"
ME = "/api/v1/me"


@asynccontextmanager
async def _doors(**options: Any) -> AsyncIterator[tuple[Place, Provider, httpx.AsyncClient]]:
    async with provider() as there:
        settings = WebSettings(oidc=there.settings, sign_in_attempts=1000)
        async with place(settings=settings, **options) as here, here.client() as client:
            yield here, there, client


async def _sign_in(there: Provider, client: httpx.AsyncClient, onward: str = "/inbox") -> httpx.Response:
    start = await client.get("/oidc/start", params={"next": onward})
    assert start.status_code == 303, start.text
    return await client.get(there.sign_in(start.headers["location"]))


async def test_whoever_the_provider_names_is_signed_in_and_goes_on() -> None:
    async with _doors() as (_, there, client):
        answer = await _sign_in(there, client, "/approvals/a1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/approvals/a1")
        assert (await client.get(ME)).json()["person"] == ANN
        (asked,) = there.asked
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert (asked["scope"], asked["code_challenge_method"]) == ("openid email profile", "S256")
        assert asked["redirect_uri"] == "http://127.0.0.1:8400/oidc/callback"
        assert len(asked["state"]) == len(asked["nonce"]) == 64


async def test_case_in_the_address_does_not_matter() -> None:
    async with _doors() as (_, there, client):
        there.email = "Ann@Company.com"
        await _sign_in(there, client)
        assert (await client.get(ME)).json()["person"] == ANN


async def test_nobody_is_sent_elsewhere_afterwards() -> None:
    async with _doors() as (_, there, client):
        assert (await _sign_in(there, client, "https://evil.com")).headers["location"] == "/inbox"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://evil.com"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another"]},  # without azp
        {"aud": None},
        {"azp": "another-client"},
        {"exp": 1_600_000_000},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
)
async def test_a_token_that_says_something_else_signs_nobody_in(claims: dict[str, Any]) -> None:
    async with _doors() as (_, there, client):
        there.claims = claims
        assert "not valid" in await _refusal(there, client)


async def _refusal(there: Provider, client: httpx.AsyncClient) -> str:
    """What somebody is told who is not let in."""
    client.headers.update(HTML)
    answer = await _sign_in(there, client)
    assert answer.status_code == 403, answer.text
    assert client.cookies.get("assent") is None
    return text_of(answer.text)


async def test_a_token_that_somebody_else_signed_signs_nobody_in() -> None:
    async with _doors() as (_, there, client):
        there.signer = RSAKey.generate_key(2048, {"kid": "k1"})
        assert "not valid" in await _refusal(there, client)


@pytest.mark.parametrize("key", [SECRET, "its public key", ""])
async def test_a_token_signed_with_something_shared_or_nothing_signs_nobody_in(key: str) -> None:
    async with _doors() as (_, there, client):
        there.shared = there.key.as_pem(private=False).decode() if key == "its public key" else key
        assert "not valid" in await _refusal(there, client)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"email_verified": False}, "has not verified"),
        ({"email_verified": None}, "has not verified"),
        ({"email_verified": "true"}, "has not verified"),
        ({"email": None}, "does not say who you are"),
        ({"email": ["ann@company.com"]}, "does not say who you are"),
        ({"email": "nobody@company.com"}, "Nobody here"),
    ],
)
async def test_only_a_verified_and_known_person_comes_in(claims: dict[str, Any], words: str) -> None:
    async with _doors() as (_, there, client):
        there.claims = claims
        assert words in await _refusal(there, client)


async def test_the_disabled_do_not_come_in() -> None:
    async with _doors() as (here, there, client):
        await here.runtime.people.disable(ANN)
        assert "Nobody here" in await _refusal(there, client)


async def test_a_flow_ends_only_in_the_browser_in_which_it_began() -> None:
    async with _doors() as (here, there, client), here.client() as victim:
        start = await client.get("/oidc/start")
        back = there.sign_in(start.headers["location"])
        assert (await victim.get(back)).status_code == 403
        await victim.get("/oidc/start")  # it has begun one of its own
        assert (await victim.get(back)).status_code == 403
        assert victim.cookies.get("assent") is None


@pytest.mark.parametrize("cookie", ["", "x", "x.y", "e30=.00", "."])
async def test_a_cookie_that_somebody_made_up_is_no_flow(cookie: str) -> None:
    async with _doors() as (_, there, client):
        start = await client.get("/oidc/start")
        client.cookies.clear()
        client.cookies.set("assent-oidc", cookie, domain="127.0.0.1")
        assert (await client.get(there.sign_in(start.headers["location"]))).status_code == 403


async def test_a_code_is_good_once_and_a_flow_for_ten_minutes() -> None:
    clock = AheadClock()
    async with _doors(clock=clock) as (_, there, client):
        start = await client.get("/oidc/start")
        cookies = dict(client.cookies)
        back = there.sign_in(start.headers["location"])
        assert (await client.get(back)).status_code == 303
        client.cookies.clear()
        client.cookies.update(cookies)
        assert (await client.get(back)).status_code == 403
        start = await client.get("/oidc/start")
        clock.ahead = 601
        assert (await client.get(there.sign_in(start.headers["location"]))).status_code == 403


async def test_an_answer_of_another_provider_or_none_is_refused() -> None:
    async with _doors() as (_, _, client):
        start = await client.get("/oidc/start")
        state = parse_qs(urlsplit(start.headers["location"]).query)["state"][0]
        for query in (
            {"state": state},
            {"state": state, "error": "access_denied<script>"},
            {"state": state, "code": "x", "iss": "https://evil.com"},
            {"state": state, "code": "made-up"},
            {"state": "x", "code": "x"},
        ):
            assert (await client.get("/oidc/callback", params=query)).status_code == 403
        assert client.cookies.get("assent") is None


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.com"},
        {"token_endpoint": "http://evil.com/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
async def test_a_provider_that_contradicts_itself_is_not_used(about: dict[str, Any]) -> None:
    async with _doors() as (_, there, client):
        there.about = about
        answer = await client.get("/oidc/start")
        assert (answer.status_code, answer.json()["type"]) == (502, "urn:assent:sign-on-failed")


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:1", "http://provider.example.com", "nonsense"])
async def test_a_provider_that_cannot_be_reached_safely_is_told(issuer: str) -> None:
    oidc = OidcSettings(issuer=issuer, client_id=CLIENT, client_secret=SECRET)
    async with place(settings=WebSettings(oidc=oidc)) as here, here.client() as client:
        assert (await client.get("/oidc/start")).status_code == 502


async def test_another_claim_can_name_the_person() -> None:
    async with provider() as there:
        settings = WebSettings(oidc=replace(there.settings, person_claim="preferred_username"))
        async with place(settings=settings) as here, here.client() as client:
            there.claims = {"preferred_username": ANN, "email": None, "email_verified": None}
            await _sign_in(there, client)
            assert (await client.get(ME)).json()["person"] == ANN


async def test_the_page_to_sign_in_offers_it() -> None:
    async with _doors() as (_, _, client):
        page = await client.get("/sign-in", params={"next": "/dashboard"}, headers=HTML)
        assert "Continue with Company login" in text_of(page.text)
        assert 'href="/oidc/start?next=%2Fdashboard"' in page.text


async def test_without_a_provider_there_is_none() -> None:
    async with place() as here, here.client() as client:
        assert (await client.get("/oidc/start")).status_code == 404
        assert (await client.get("/oidc/callback")).status_code == 404


def test_the_secret_of_the_client_is_not_printed() -> None:
    assert SECRET not in repr(OidcSettings(issuer="https://x", client_id=CLIENT, client_secret=SECRET))

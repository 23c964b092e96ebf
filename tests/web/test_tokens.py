"""Tokens let in those for whom they were made, while they are good, for what they are for, and nobody else."""

import asyncio
import logging
from pathlib import Path

import pytest

from assent.errors import UsageError
from assent.runtime import credentials
from assent.web.settings import WebSettings
from tests.web.doors import AheadClock
from tests.web.place import Place, place

VIEWER = "viewer@company.com"
ME = "/api/v1/me"


async def _status(there: Place, authorization: str) -> int:
    async with there.client() as client:
        return (await client.get(ME, headers={"Authorization": authorization})).status_code


async def test_a_token_is_its_person() -> None:
    async with place() as there, there.client(VIEWER) as client:
        assert (await client.get(ME)).json()["person"] == VIEWER


async def test_of_a_token_the_store_has_only_the_digest(tmp_path: Path) -> None:
    async with place(tmp_path / "assent.db") as there:
        _, _, secret = (await there.token(VIEWER)).split("_")
        (record,) = await there.runtime.open_store.credentials("token")
        assert record.digest == credentials.digest_of(secret)
    stored = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert secret.encode() not in stored


async def test_what_is_no_token_lets_nobody_in_and_says_nothing_of_why() -> None:
    settings = WebSettings(sign_in_attempts=100)
    async with place(settings=settings) as there, there.client() as client:
        good = await there.token(VIEWER)
        prefix, name, secret = good.split("_")
        wrong = [
            "",
            good[:-1],
            f"{prefix}_{name}_{'0' * 48}",
            f"{prefix}_{'0' * 32}_{secret}",
            f"x_{name}_{secret}",
            name,
        ]
        told = set()
        for each in (*wrong, secret, f"{prefix}_{name}_", f"{prefix}__", "🙂".encode().decode("latin-1")):
            answer = await client.get(ME, headers={b"Authorization": b"Bearer " + each.encode("latin-1")})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="assent"'
            told.add(answer.json()["detail"])
        assert len(told) == 1
        assert await _status(there, f"Basic {good}") == 401
        assert await _status(there, f"bearer {good}") == 200


async def test_a_session_or_ticket_is_no_token() -> None:
    async with place() as there:
        store, clock = there.runtime.open_store, there.runtime.clock
        for fresh in (
            await credentials.add_session(store, clock, VIEWER),
            await credentials.add_ticket(store, clock, VIEWER),
        ):
            assert await _status(there, f"Bearer assent_{fresh.record.id}_{fresh.secret}") == 401


async def test_a_token_ends_when_it_expires_or_is_revoked_or_its_person_is_disabled() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there:
        store = there.runtime.open_store
        short = await credentials.add_token(store, clock, VIEWER, expires="1h")
        taken = await credentials.add_token(store, clock, VIEWER, expires=None)
        left = await credentials.add_token(store, clock, "ann@company.com")
        clock.ahead = 3599
        assert await _status(there, f"Bearer {short.secret}") == 200
        clock.ahead = 3601
        assert await _status(there, f"Bearer {short.secret}") == 401
        assert await _status(there, f"Bearer {taken.secret}") == 200
        assert await credentials.revoke(store, clock, taken.record.id)
        assert await _status(there, f"Bearer {taken.secret}") == 401
        assert await _status(there, f"Bearer {left.secret}") == 200
        await there.runtime.people.disable("ann@company.com")
        assert await _status(there, f"Bearer {left.secret}") == 401
        await there.runtime.people.enable("ann@company.com")
        assert await _status(there, f"Bearer {left.secret}") == 200


async def test_what_a_person_may_changes_at_once() -> None:
    async with place() as there, there.client(VIEWER) as client:
        body = {"name": "quote", "arguments": {"item": "lamp"}}
        refused = await client.post("/api/v1/executions", json=body)
        assert refused.status_code == 403
        assert "'viewer'" in refused.json()["detail"]
        await there.runtime.people.add(VIEWER, access="operator")
        assert (await client.post("/api/v1/executions", json=body)).status_code == 202


async def test_a_token_reaches_no_further_than_its_scopes_and_its_person() -> None:
    async with place() as there:
        async with there.client("admin@company.com", ["read", "metrics"]) as client:
            assert (await client.get("/api/v1/executions")).status_code == 200
            answer = await client.post("/api/v1/executions", json={"name": "quote", "arguments": {"item": "x"}})
            assert answer.status_code == 403
            assert "'start'" in answer.json()["detail"]
        async with there.client(VIEWER, ["start", "read"]) as client:
            answer = await client.post("/api/v1/executions", json={"name": "quote", "arguments": {"item": "x"}})
            assert answer.status_code == 403


async def test_a_token_for_nobody_or_for_nothing_known_is_not_made() -> None:
    async with place() as there:
        store, clock = there.runtime.open_store, there.runtime.clock
        with pytest.raises(UsageError, match="assent users add"):
            await credentials.add_token(store, clock, "nobody@company.com")
        with pytest.raises(UsageError, match="'everything'"):
            await credentials.add_token(store, clock, VIEWER, scopes=["everything"])
        await there.runtime.people.disable(VIEWER)
        with pytest.raises(UsageError, match="disabled"):
            await credentials.add_token(store, clock, VIEWER)
        assert await store.credentials() == []


async def test_failed_attempts_are_counted_and_then_refused_for_a_while() -> None:
    clock = AheadClock()
    settings = WebSettings(sign_in_attempts=3, sign_in_window_seconds=30)
    async with place(settings=settings, clock=clock) as there, there.client() as client:
        wrong = {"Authorization": "Bearer assent_1_2"}
        answers = await asyncio.gather(*(client.get(ME, headers=wrong) for _ in range(5)))
        assert sorted(each.status_code for each in answers) == [401, 401, 401, 429, 429]
        late = await client.get(ME, headers=wrong)
        assert (late.status_code, late.json()["type"]) == (429, "urn:assent:too-many-attempts")
        assert 1 <= int(late.headers["retry-after"]) <= 12
        assert await _status(there, f"Bearer {await there.token(VIEWER)}") == 200
        clock.ahead += 12
        assert (await client.get(ME, headers=wrong)).status_code == 401


async def test_use_is_noted_now_and_then() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there:
        store, token = there.runtime.open_store, await there.token(VIEWER)
        for ahead, noted in ((1, False), (400, True), (500, True)):
            clock.ahead = ahead
            assert await _status(there, f"Bearer {token}") == 200
            (record,) = await store.credentials("token")
            assert (record.last_seen_at is not None) is noted
        assert record.last_seen_at is not None
        assert record.last_seen_at < clock.now() - 90


async def test_no_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with place() as there:
        token = await there.token(VIEWER)
        fresh = await credentials.add_ticket(there.runtime.open_store, there.runtime.clock, VIEWER)
        async with there.client() as client:
            await client.get(ME, headers={"Authorization": f"Bearer {token}x"})
            await client.get("/api/v1/nothing", headers={"Authorization": f"Bearer {token}"})
            await client.post("/sign-in", data={"token": token})
        ours = "".join(
            f"{each.getMessage()} {each.exc_text}" for each in caplog.records if each.name.startswith("assent")
        )
        assert token.split("_")[2] not in ours
        assert fresh.secret not in repr(fresh)

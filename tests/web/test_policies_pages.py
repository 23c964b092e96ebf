"""Policies and the dashboard in a browser."""

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

from assent import BudgetPolicy, ValidationPolicy
from assent.governance import Selector
from assent.web.charts import columns, parts, ranked
from tests.web.doors import AheadClock, browser, csrf, text_of
from tests.web.place import Place, place

ANN, CFO, OPERATOR, VIEWER = "ann@company.com", "cfo@company.com", "operator@company.com", "viewer@company.com"
RULES = [
    ValidationPolicy(check=lambda action: action.amount < 90000, name="not too much"),
    BudgetPolicy(limit=100000, window="1d", name="a day's <b>payments</b>", applies_to=Selector(actions=["wire_*"])),
]
FILE = "version: 1\npolicies:\n  - {name: small, type: deny, when: args.amount > 10, reason: too much for a test}\n"


async def decided(there: Place, amount: str, decision: str = "approve") -> None:
    async with there.client(OPERATOR) as client:
        execution_id, approval_id = await there.asked(client, amount)
    await there.runtime.show(approval_id, CFO)
    await there.runtime.decide(approval_id, approver=CFO, decision="approve" if decision == "approve" else "reject")
    await there.ended(execution_id)


async def explained(client: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await client.post("/policies/explain", data={"csrf_token": csrf(client), **form})


async def backtested(client: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await client.post("/policies/backtest", data={"csrf_token": csrf(client), **form})


async def test_policies_are_shown_with_those_of_governed_functions() -> None:
    async with place(policies=RULES) as there, browser(there, VIEWER) as viewer:
        page = text_of((await viewer.get("/policies")).text)
        for words in ("not too much", "wire_*", "Only for wire_transfer", "in force", "&lt;b&gt;payments"):
            assert words in page, words
        assert "Operators can ask" in page


async def test_an_explanation_asks_every_policy_of_an_action_and_changes_nothing() -> None:
    async with place(policies=RULES) as there, browser(there, VIEWER) as viewer:
        before = await there.runtime.open_store.last_seq()
        asks = await explained(viewer, action="wire_transfer", arguments='{"amount": "500"}', requester="clerk")
        assert asks.status_code == 200
        assert "asks people" in asks.text
        assert "cfo@company.com" in text_of(asks.text)
        denies = await explained(viewer, action="wire_transfer", arguments='{"amount": "95000"}')
        assert "denies" in denies.text
        other = await explained(viewer, action="unknown_deed", arguments='{"amount": 5}')
        assert "allowed" in other.text
        assert await there.runtime.open_store.last_seq() == before
        for form in ({"action": ""}, {"action": "wire_transfer", "arguments": "{"}, {"action": "a", "arguments": "[]"}):
            assert (await explained(viewer, **form)).status_code == 400
        assert (await explained(viewer, action="wire_transfer", arguments='{"amount": "x"}')).status_code == 400


async def test_a_back_test_says_what_would_have_changed() -> None:
    async with place(policies=RULES) as there, browser(there, OPERATOR) as operator, browser(there, ANN) as ann:
        assert "No governed action is recorded" in (await backtested(operator)).text
        await decided(there, "500")
        page = text_of((await backtested(operator, policies=FILE, since="1d")).text)
        for words in ("1 action of the last day", "newly denied", "too much for a test"):
            assert words in page, words
        assert "unchanged" in (await backtested(operator, since="")).text
        assert (await backtested(ann, policies=FILE)).status_code == 403


async def test_what_is_written_into_the_form_reads_no_file_of_the_server(tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text(FILE)
    async with place() as there, browser(there, OPERATOR) as operator:
        answer = await backtested(operator, policies=f"version: 1\nextends: {secret}\npolicies: []\n")
        assert answer.status_code == 400
        assert "cannot extend files" in answer.text
        for text in ("- a list", "version: 1\npolicies: [{name: a, type: nothing}]", "{", "&a [*a]"):
            refused = await backtested(operator, policies=text)
            assert refused.status_code == 400, text
            assert 'role="alert"' in refused.text


async def test_the_dashboard_counts_what_waits_what_was_decided_and_what_was_denied() -> None:
    async with place(policies=RULES) as there, browser(there, VIEWER) as viewer:
        empty = (await viewer.get("/dashboard")).text
        for words in ("Nothing waits", "Nothing was decided", "Nothing was denied", "Nobody has decided anything"):
            assert words in empty, words
        for _ in range(3):
            await decided(there, "500")
        await decided(there, "700", "reject")
        async with there.client(OPERATOR) as client:
            await there.asked(client, "900")
            await there.ended(await there.started(client, "wire_transfer", amount="99000"))
        page = (await viewer.get("/dashboard?since=1d")).text
        assert "&lt;b&gt;payments" in page
        said = text_of(page)
        for words in ("75 %", "not too much", "1,500 of 100,000 a day", "Rubber stamp? 100 % within 3 s"):
            assert words in said, words
        assert "style=" not in page
        assert (await viewer.get("/dashboard?since=odd")).status_code == 200


async def test_of_very_many_denials_the_newest_are_counted_and_the_page_says_so(tmp_path: Path) -> None:
    db, clock = tmp_path / "store.db", AheadClock()
    async with place(db, clock=clock) as there:
        add = (
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO journal (execution_id, type, at, value) SELECT 'e', 'policy.evaluated', ? + i, ? FROM n"
        )
        denied = '{"outcome":"deny","decisions":[{"policy":"%s","outcome":"deny"}]}'
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute(add, (40_000, clock.now(), '{"outcome":"allow","decisions":[]}'))
            connection.execute(add, (100, clock.now() + 40_000, denied % "at first"))
        clock.ahead = 50_000
        async with browser(there, VIEWER) as viewer:
            few = text_of((await viewer.get("/dashboard?since=1d")).text)
            assert "at first" in few
            assert "There were more" not in few
            with closing(sqlite3.connect(db)) as connection, connection:
                connection.execute(add, (5_000, clock.now(), denied % "at last"))
            clock.ahead = 60_000
            page = text_of((await viewer.get("/dashboard?since=1d")).text)
        assert "5000+" in page
        assert "at last" in page
        assert "at first" not in page
        assert "There were more: counted are the latest ones, since" in page


def test_columns_and_parts_fill_their_place_exactly() -> None:
    made = columns({"a": 4, "b": 0, "c": 1}, {"c": "bad"})
    assert [(one.value, one.tone) for one in made] == [(4, ""), (0, ""), (1, "bad")]
    assert made[0].height == 4 * made[2].height
    assert all(one.top + one.height == made[0].top + made[0].height for one in made)
    shares = parts([("x", 1, ""), ("y", 0, ""), ("z", 3, "")])
    assert [(one.label, one.percent) for one in shares] == [("x", "25 %"), ("z", "75 %")]
    assert not (columns({}, {}))
    assert not (parts([]))
    assert not (ranked([]))
    assert [one.width for one in ranked([("a", 1), ("b", 4)])] == [100.0, 25.0]

"""The inbox as a browser gets it, and the page of one approval with its form."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from assent import ApprovalPolicy, Principal, acting_as, govern
from assent.errors import ApprovalPending
from assent.governance import Preview
from assent.store import ApprovalStatus
from tests.web.doors import AheadClock, browser, csrf, text_of
from tests.web.place import Place, place

ANN, CFO, OPERATOR, VIEWER, STRANGER = (
    "ann@company.com",
    "cfo@company.com",
    "operator@company.com",
    "viewer@company.com",
    "stranger@company.com",
)
HOSTILE = "<script>alert(1)</script>\u202e\x1b[2J'\"&"


def preview(action: Any) -> Preview:
    return Preview.diff("plan: basic\n", f"plan: {action.plan}\n")


@govern(
    policies=[
        ApprovalPolicy(approvers=[ANN, CFO], quorum=2, timeout_seconds=0, require_reason=True, name="two pairs of eyes")
    ],
    preview=preview,
    labels=["contracts"],
    risk="high",
)
async def upgrade(plan: str, seats: int = 5) -> str:
    return plan


async def ask(there: Place, amount: str = "50000") -> str:
    async with there.client(OPERATOR) as client:
        return (await there.asked(client, amount))[1]


async def ask_upgrade(plan: str = "gold") -> str:
    with acting_as(Principal("buyer")), pytest.raises(ApprovalPending) as caught:
        await upgrade(plan)
    return str(caught.value.approvals[0])


async def verdict(client: httpx.AsyncClient, approval_id: str, **fields: str) -> httpx.Response:
    form = {"csrf_token": csrf(client), **fields}
    return await client.post(f"/approvals/{approval_id}/verdict", data=form)


async def status_of(there: Place, approval_id: str) -> ApprovalStatus:
    record = await there.runtime.open_store.approval(approval_id)
    assert record is not None
    return record.status


async def test_the_inbox_has_what_waits_for_each_person() -> None:
    async with place() as there, browser(there, ANN) as ann, browser(there, STRANGER) as stranger:
        empty = await ann.get("/inbox")
        assert empty.status_code == 200
        assert "Nothing waits for you" in empty.text
        approval_id = await ask(there)
        assert f'href="/approvals/{approval_id}"' in (await ann.get("/inbox")).text
        assert "wire_transfer" not in (await stranger.get("/inbox?view=team")).text
        await verdict(ann, approval_id, decision="approve")
        assert approval_id not in (await ann.get("/inbox")).text
        assert f'href="/approvals/{approval_id}"' in (await ann.get("/inbox?view=decided")).text


async def test_the_badge_counts_what_waits_and_stops_at_99() -> None:
    async with place() as there, browser(there, ANN) as ann, browser(there, VIEWER) as viewer:
        approval_id = await ask(there)
        assert '<span class="count">1<' in (await ann.get("/inbox")).text
        assert '<span class="count">' not in (await viewer.get("/inbox")).text
        await there.runtime.decide(approval_id, approver=ANN)
        assert '<span class="count">' not in (await ann.get("/inbox")).text


async def test_a_long_inbox_has_pages(tmp_path: Path) -> None:
    db = tmp_path / "store.db"
    async with place(db) as there, browser(there, ANN) as ann:
        await ask(there)
        columns = "execution_id, request, digest, status, version, created_at, expires_at, channels"
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120)"
                f" INSERT INTO approvals (id, {columns}) SELECT 'copy-' || i, {columns} FROM approvals, n"
            )
        first = await ann.get("/inbox")
        assert len(re.findall("data-row", first.text)) == 25
        assert "99+" in first.text
        (onward,) = re.findall(r'href="([^"]*)" rel="next"', first.text)
        second = await ann.get(onward.replace("&amp;", "&"))
        shown = [re.findall(r'href="(/approvals/[^"]*)"', page.text) for page in (first, second)]
        assert not set(shown[0]) & set(shown[1])
        assert len(shown[1]) == 25


async def test_overdue_are_those_of_whose_time_little_is_left() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there:
        approval_id = await ask(there)
        async with browser(there, ANN) as ann:
            assert approval_id not in (await ann.get("/inbox?view=overdue")).text
            clock.ahead = 20 * 3600
        async with browser(there, ANN) as ann:
            assert approval_id in (await ann.get("/inbox?view=overdue")).text
            assert " overdue " in text_of((await ann.get("/inbox")).text)


async def test_several_are_decided_at_once_and_those_that_do_not_count_are_told_of() -> None:
    async with place() as there, browser(there, ANN) as ann:
        ids = [await ask(there, amount) for amount in ("5", "6", "7")]
        await there.runtime.decide(ids[2], approver=CFO, decision="reject")
        form = {"csrf_token": csrf(ann), "approval_id": ids, "decision": "approve", "reason": "all fine"}
        answer = await ann.post("/inbox/decide", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")
        told = text_of((await ann.get("/inbox")).text)
        assert "2 requests approved. 1 did not count: approval" in told
        assert f"was rejected by {CFO}" in told
        assert [await status_of(there, each) for each in ids] == ["granted", "granted", "rejected"]
        nothing = await ann.post("/inbox/decide", data={"csrf_token": csrf(ann), "decision": "approve"})
        assert nothing.status_code == 303
        assert "Pick at least one" in (await ann.get("/inbox")).text


async def test_an_approval_says_what_is_asked_why_and_by_whom() -> None:
    async with place() as there, browser(there, ANN) as ann:
        approval_id = await ask_upgrade()
        await there.runtime.decide(approval_id, approver=CFO, reason="we need it")
        page = await ann.get(f"/approvals/{approval_id}")
        told = text_of(page.text)
        for words in (
            "upgrade",
            "buyer",
            "two pairs of eyes wants 2 approvals and a reason with each verdict",
            "high risk",
            "contracts",
            "gold",
            "+plan: gold",
            "1 more approval is needed",
            f"{CFO} approved",
            "we need it",
        ):
            assert words in told, words
        assert await there.runtime.open_store.shown(approval_id, ANN) is not None


async def test_opening_a_page_is_no_verdict_and_viewers_leave_no_trace() -> None:
    async with place() as there, browser(there, VIEWER) as viewer:
        approval_id = await ask(there)
        page = await viewer.get(f"/approvals/{approval_id}")
        assert "You cannot decide this: viewers look at everything and decide nothing" in text_of(page.text)
        assert (await verdict(viewer, approval_id, decision="approve")).status_code == 403
        assert await there.runtime.open_store.shown(approval_id, VIEWER) is None
        assert await status_of(there, approval_id) == "pending"


async def test_a_verdict_without_the_reason_that_it_needs_keeps_what_was_written() -> None:
    async with place() as there, browser(there, ANN) as ann:
        approval_id = await ask_upgrade()
        refused = await verdict(ann, approval_id, decision="approve", conditions="seats <= 10")
        assert refused.status_code == 409
        assert "needs a reason with each verdict" in refused.text
        assert "seats &lt;= 10" in refused.text
        done = await verdict(ann, approval_id, decision="approve", conditions="seats <= 10", reason="small")
        assert done.status_code == 303
        (said,) = [one for one in await there.runtime.open_store.verdicts(approval_id) if one.refusal is None]
        assert (said.reason, list(said.conditions)) == ("small", ["seats <= 10"])


async def test_arguments_are_changed_only_by_the_button_for_it() -> None:
    async with place() as there, browser(there, ANN) as ann:
        approval_id = await ask(there)
        by_mistake = await verdict(ann, approval_id, decision="approve", **{"argument.amount": "12.50"})
        assert by_mistake.status_code == 400
        assert "You changed amount" in by_mistake.text
        assert 'data-original="50000"' in by_mistake.text
        assert await status_of(there, approval_id) == "pending"
        done = await verdict(ann, approval_id, decision="approve_changed", **{"argument.amount": "12.50"})
        assert done.status_code == 303
        assert await status_of(there, approval_id) == "amended"


@pytest.mark.parametrize(("given", "error"), [("seven", "is no JSON"), ("5", "You changed no argument")])
async def test_changes_that_are_none_or_cannot_be_read_are_refused(given: str, error: str) -> None:
    async with place() as there, browser(there, ANN) as ann:
        approval_id = await ask_upgrade()
        fields = {"decision": "approve_changed", "reason": "r", "argument.seats": given, "argument.plan": "gold"}
        answer = await verdict(ann, approval_id, **fields)
        assert answer.status_code in {400, 409}
        assert error in answer.text
        assert await status_of(there, approval_id) == "pending"


async def test_a_new_value_of_the_wrong_type_is_told_of_beside_its_field_and_decides_nothing() -> None:
    async with place() as there, browser(there, ANN) as ann:
        approval_id = await ask_upgrade()
        fields = {"decision": "approve_changed", "reason": "cheaper", "argument.seats": "2.5", "argument.plan": "gold"}
        answer = await verdict(ann, approval_id, **fields)
        assert answer.status_code == 422
        field = r'<textarea[^>]*name="argument.seats"[^>]*aria-invalid="true">\s*2.5</textarea>'
        assert re.search(field + r'\s*<div [^>]*><p class="error">[^<]*integer', answer.text)
        assert answer.text.count("aria-invalid") == 1
        assert "cheaper" in answer.text
        assert await there.runtime.open_store.verdicts(approval_id) == []


async def test_whoever_comes_second_is_told_who_decided_and_when() -> None:
    async with place() as there, browser(there, ANN) as ann, browser(there, CFO) as cfo:
        approval_id = await ask(there)
        await ann.get(f"/approvals/{approval_id}")
        assert (await verdict(cfo, approval_id, decision="reject", reason="no")).status_code == 303
        late = await verdict(ann, approval_id, decision="approve")
        assert late.status_code == 409
        assert re.search(rf"was rejected by {CFO} at \d{{4}}-", late.text)
        assert 'value="approve"' not in late.text


async def test_an_approval_can_be_taken_back_until_it_is_used() -> None:
    async with place() as there, browser(there, ANN) as ann:
        approval_id = await ask_upgrade()
        await verdict(ann, approval_id, decision="approve", reason="yes")
        assert "Take your approval back" in text_of((await ann.get(f"/approvals/{approval_id}")).text)
        assert (await verdict(ann, approval_id, decision="revoke", reason="no, wait")).status_code == 303
        page = text_of((await ann.get(f"/approvals/{approval_id}")).text)
        assert "took it back" in page
        assert "2 more approvals are needed" in page


async def test_approvals_of_others_are_not_there_for_those_who_see_only_their_own() -> None:
    async with place() as there, browser(there, STRANGER) as stranger, browser(there, CFO) as cfo:
        approval_id = await ask(there)
        assert (await stranger.get(f"/approvals/{approval_id}")).status_code == 404
        assert (await verdict(stranger, approval_id, decision="approve")).status_code == 404
        assert (await cfo.get(f"/approvals/{approval_id}")).status_code == 200


async def test_approvers_are_reminded_by_operators_only() -> None:
    async with place() as there, browser(there, OPERATOR) as operator, browser(there, ANN) as ann:
        approval_id = await ask(there)
        path = f"/approvals/{approval_id}/remind"
        assert (await ann.post(path, data={"csrf_token": csrf(ann)})).status_code == 403
        assert (await operator.post(path, data={"csrf_token": csrf(operator)})).status_code == 303
        assert "Approvers were reminded" in (await operator.get(f"/approvals/{approval_id}")).text


async def test_nothing_that_somebody_has_written_becomes_markup() -> None:
    async with place() as there, browser(there, ANN) as ann:
        approval_id = await ask_upgrade(HOSTILE)
        await verdict(ann, approval_id, decision="approve", reason=HOSTILE)
        for path in ("/inbox", "/inbox?view=team", f"/approvals/{approval_id}"):
            page = (await ann.get(path)).text
            assert "<script>alert" not in page
            assert "\u202e" not in page
            assert "\x1b" not in page
            assert not re.search(r"<[^>]+\son\w+=|style=|javascript:", page)


async def test_a_request_that_was_changed_in_the_store_is_shown_as_such(tmp_path: Path) -> None:
    db = tmp_path / "store.db"
    async with place(db) as there, browser(there, ANN) as ann:
        approval_id = await ask(there)
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute("UPDATE approvals SET request = replace(request, '50000', '90000')")
        page = await ann.get(f"/approvals/{approval_id}")
        assert page.status_code == 200
        assert "changed after it was asked for" in page.text
        assert 'value="approve"' not in page.text
        assert "nobody can decide it" in (await ann.get("/inbox?view=team")).text

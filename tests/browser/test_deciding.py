"""Deciding in a browser: plainly, with changes, at once with somebody else, by keyboard, and without scripts."""

import asyncio
import re
from decimal import Decimal
from pathlib import Path

from playwright.async_api import Browser, Page, expect

from assent.store import ApprovalStatus, VerdictRecord
from tests.browser.visitors import is_same, live, visitor
from tests.web.place import Place, served

ANN, CFO, OPERATOR = "ann@company.com", "cfo@company.com", "operator@company.com"
WITHOUT_STREAM = "**/api/v1/events*"


async def ask(there: Place, amount: str = "50000") -> str:
    async with there.client(OPERATOR) as client:
        return (await there.asked(client, amount))[1]


async def status_of(there: Place, approval_id: str) -> ApprovalStatus:
    record = await there.runtime.open_store.approval(approval_id)
    assert record is not None
    return record.status


async def counted(there: Place, approval_id: str) -> list[VerdictRecord]:
    return [one for one in await there.runtime.open_store.verdicts(approval_id) if one.refusal is None]


async def go_stale(page: Page) -> None:
    """Let a page hear nothing of what happens from now on."""
    await page.route(WITHOUT_STREAM, lambda route: route.abort())


async def test_a_request_is_opened_from_the_inbox_and_approved_with_a_reason(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there, ANN) as ann:
        approval_id = await ask(there)
        await ann.goto("/inbox")
        await ann.get_by_role("link", name=re.compile("wire_transfer")).click()
        await expect(ann.get_by_role("region", name="What is asked")).to_contain_text("50000")
        await ann.get_by_label("Reason (optional)").fill("Matches the contract")
        await ann.get_by_role("button", name="Approve", exact=True).click()
        await expect(ann.locator(".flash")).to_be_visible()
        await expect(ann.locator("#verdict h2")).to_have_text("Decided")
        await expect(ann.locator("#history")).to_contain_text("Matches the contract")
        (verdict,) = await counted(there, approval_id)
        assert (verdict.approver, verdict.decision, verdict.reason) == (ANN, "approve", "Matches the contract")


async def test_a_rejection_leaves_no_way_to_decide(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there, ANN) as ann:
        approval_id = await ask(there)
        await ann.goto(f"/approvals/{approval_id}")
        await ann.get_by_role("button", name="Reject", exact=True).click()
        await expect(ann.locator("#status")).to_contain_text(re.compile("rejected", re.IGNORECASE))
        await expect(ann.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
        assert await status_of(there, approval_id) == "rejected"


async def test_changed_arguments_are_approved_and_are_what_happens(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there, ANN) as ann:
        approval_id = await ask(there)
        await ann.goto(f"/approvals/{approval_id}")
        await ann.get_by_text("Approve with changes").first.click()
        change = ann.get_by_role("button", name="Approve with changes")
        await expect(change).to_be_disabled()
        await ann.locator("[name='argument.amount']").fill("12.50")
        await ann.get_by_role("button", name="Approve", exact=True).click()
        # The plain button means the plain request; nothing that was written is lost.
        await expect(ann.get_by_role("alert")).to_contain_text("You changed amount")
        await expect(ann.locator("[name='argument.amount']")).to_have_value("12.50")
        await change.click()
        await expect(ann.locator(".flash")).to_contain_text("Approved with changes")
        assert await status_of(there, approval_id) == "amended"
        record = await there.runtime.open_store.approval(approval_id)
        assert record is not None
        result = await asyncio.wait_for(there.runtime.handle(record.execution_id).result(), 10)
        assert result == f"{Decimal('12.50')} to Acme"


async def test_of_two_who_press_at_once_one_decides_and_the_other_is_told(browser: Browser, tmp_path: Path) -> None:
    async with (
        served(tmp_path / "store.db") as there,
        visitor(browser, there, ANN) as ann,
        visitor(browser, there, CFO) as cfo,
    ):
        approval_id = await ask(there)
        for page in (ann, cfo):
            await go_stale(page)
            await page.goto(f"/approvals/{approval_id}")
        await asyncio.gather(
            ann.get_by_role("button", name="Approve", exact=True).click(),
            cfo.get_by_role("button", name="Reject", exact=True).click(),
        )
        for page in (ann, cfo):
            await expect(page.locator("#verdict h2")).to_have_text("Decided")
            await expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
        (verdict,) = await counted(there, approval_id)
        winner, loser = (ann, cfo) if verdict.approver == ANN else (cfo, ann)
        await expect(winner.locator(".flash")).to_have_count(1)
        outcome = "granted" if verdict.decision == "approve" else "rejected"
        await expect(loser.get_by_role("alert")).to_contain_text(
            re.compile(rf"was {outcome} by {verdict.approver} at \d{{4}}-")
        )
        assert await status_of(there, approval_id) == outcome


async def test_lists_badges_and_requests_keep_themselves_up_to_date(browser: Browser, tmp_path: Path) -> None:
    async with (
        served(tmp_path / "store.db") as there,
        visitor(browser, there, ANN) as ann,
        visitor(browser, there, CFO) as cfo,
    ):
        await ann.goto("/inbox")
        await live(ann)
        await expect(ann.get_by_text("Nothing waits for you")).to_be_visible()
        approval_id = await ask(there)
        await expect(ann.locator("[data-row]")).to_have_count(1)
        await expect(ann.locator("#count-inbox")).to_contain_text("1")
        await expect(ann.locator("#announcer")).to_have_text("This page was updated.")
        await cfo.goto(f"/approvals/{approval_id}")
        await live(cfo)
        await cfo.get_by_label("Reason (optional)").fill("half a sentence")
        await ann.get_by_role("checkbox", name=re.compile("Pick wire_transfer")).check()
        await there.runtime.remind(approval_id)
        await there.runtime.decide(approval_id, approver=ANN, reason="seen")
        await expect(cfo.locator("#verdict h2")).to_have_text("Decided")
        await expect(cfo.locator("#history")).to_contain_text("seen")
        await expect(ann.locator("[data-row]")).to_have_count(0)
        assert await is_same(ann)
        assert await is_same(cfo)


async def test_an_update_keeps_what_somebody_is_writing(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there, ANN) as ann:
        first = await ask(there, "1")
        await ann.goto("/inbox")
        await live(ann)
        await ann.locator(f"#pick-{first}").check()
        await ann.locator("#bulk-reason").fill("half a sent")
        await ask(there, "2")
        await expect(ann.locator("[data-row]")).to_have_count(2)
        await expect(ann.locator(f"#pick-{first}")).to_be_checked()
        await expect(ann.locator("#bulk-reason")).to_have_value("half a sent")
        await ann.keyboard.type("ence")
        await expect(ann.locator("#bulk-reason")).to_have_value("half a sentence")


async def test_back_shows_what_has_become_of_it_and_not_the_old_form(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there, ANN) as ann:
        approval_id = await ask(there)
        await ann.goto("/inbox")
        await ann.goto(f"/approvals/{approval_id}")
        await ann.get_by_role("button", name="Approve", exact=True).click()
        await expect(ann.locator(".flash")).to_be_visible()
        await ann.goto("/people")
        await ann.go_back()
        await expect(ann.locator("#verdict h2")).to_have_text("Decided")
        await expect(ann.locator(".flash")).to_have_count(0)
        # The form was left by a redirect, so the page may stand in the history twice.
        for _ in range(2):
            await expect(ann.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
            if not ann.url.endswith("/inbox"):
                await ann.go_back()
        await expect(ann.get_by_text("Nothing waits for you")).to_be_visible()
        assert len(await counted(there, approval_id)) == 1


async def test_everything_can_be_done_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there, ANN) as ann:
        await ask(there, "1")
        approval_id = await ask(there, "2")
        await ann.goto("/inbox")
        await ann.keyboard.press("Tab")
        await expect(ann.get_by_role("link", name="Skip to content")).to_be_focused()
        await ann.keyboard.press("Enter")
        await expect(ann.locator("#main")).to_be_focused()
        await ann.keyboard.press("j")
        await ann.keyboard.press("j")
        await ann.keyboard.press("Enter")
        await expect(ann).to_have_url(re.compile(approval_id))
        await ann.keyboard.press("v")
        await expect(ann.locator("#reason")).to_be_focused()
        await ann.keyboard.type("by hand")
        await ann.keyboard.press("Tab")
        await ann.keyboard.press("Enter")
        await expect(ann.locator(".flash")).to_be_visible()
        assert await status_of(there, approval_id) == "granted"
        await ann.keyboard.press("g")
        await ann.keyboard.press("m")
        await expect(ann).to_have_url(re.compile("/mandates$"))
        await ann.keyboard.press("?")
        await expect(ann.get_by_role("dialog")).to_be_visible()
        await ann.keyboard.press("Escape")
        await expect(ann.get_by_role("dialog")).to_have_count(0)


async def test_several_are_picked_and_decided_at_once(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there, ANN) as ann:
        ids = [await ask(there, amount) for amount in ("1", "2", "3")]
        await ann.goto("/inbox")
        await ann.get_by_label("Pick all").check()
        await expect(ann.locator("[data-pick-count]")).to_have_text("3 picked")
        await ann.locator(f"#pick-{ids[1]}").uncheck()
        await ann.get_by_role("button", name="Approve picked").click()
        await expect(ann.locator(".flash")).to_contain_text("2 requests approved")
        assert [await status_of(there, each) for each in ids] == ["granted", "pending", "granted"]


async def test_deciding_needs_no_script(browser: Browser, tmp_path: Path) -> None:
    async with (
        served(tmp_path / "store.db") as there,
        visitor(browser, there, ANN, java_script_enabled=False) as ann,
    ):
        approval_id = await ask(there)
        await ann.goto("/inbox")
        await ann.get_by_role("link", name=re.compile("wire_transfer")).click()
        await ann.get_by_text("Approve with changes").first.click()
        await ann.locator("[name='argument.amount']").fill("5")
        await ann.get_by_role("button", name="Approve with changes").click()
        await expect(ann.locator(".flash")).to_be_visible()
        assert await status_of(there, approval_id) == "amended"

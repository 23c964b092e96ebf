"""Signing in and out in a browser, and what is left of a page when the session is over."""

import re
from pathlib import Path

from playwright.async_api import Browser, expect

from assent.runtime.credentials import add_ticket
from tests.browser.visitors import live, sign_in, visitor
from tests.web.doors import AheadClock, link_to
from tests.web.place import Place, served

ANN, OPERATOR = "ann@company.com", "operator@company.com"


async def ask(there: Place) -> str:
    async with there.client(OPERATOR) as client:
        return (await there.asked(client))[1]


async def test_a_token_signs_in_and_a_wrong_one_does_not(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there) as page:
        await page.goto("/")
        await page.get_by_label("Token").fill("assent_1_nonsense")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("does not let anybody in")
        await sign_in(page, there, ANN)
        await expect(page).to_have_url(re.compile("/inbox$"))
        await expect(page.locator("details.account")).to_contain_text(ANN)
        assert await page.evaluate("document.cookie") == ""


async def test_a_one_time_link_signs_in_once_and_only_by_its_button(browser: Browser, tmp_path: Path) -> None:
    async with (
        served(tmp_path / "store.db") as there,
        visitor(browser, there) as page,
        visitor(browser, there) as other,
    ):
        ticket = await add_ticket(there.runtime.open_store, there.runtime.clock, ANN)
        for each in (other, page):
            await each.goto(f"/sign-in/{ticket.secret}")
            await expect(each.get_by_role("heading", name=re.compile("Sign in as"))).to_be_visible()
        await page.get_by_role("button", name="Continue").click()
        await expect(page.locator("details.account")).to_contain_text(ANN)
        await other.get_by_role("button", name="Continue").click()
        await expect(other.locator("main")).to_contain_text("was used already")


async def test_a_deep_link_leads_there_after_sign_in(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there) as page:
        approval_id = await ask(there)
        for wanted in (f"/approvals/{approval_id}", "/inbox?view=team"):
            await page.context.clear_cookies()
            await page.goto(wanted)
            await expect(page).to_have_url(re.compile("/sign-in"))
            await sign_in(page, there, ANN)
            await expect(page).to_have_url(there.base_url + wanted)


async def test_sign_in_leads_to_no_other_site(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there) as page:
        await page.goto("/sign-in?next=//elsewhere.example/x")
        await sign_in(page, there, ANN)
        await expect(page).to_have_url(re.compile("/inbox$"))


async def test_a_page_whose_session_expires_says_so_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    clock = AheadClock()
    async with served(tmp_path / "store.db", clock=clock) as there, visitor(browser, there, ANN) as ann:
        await ann.goto("/inbox?view=team")
        await live(ann)
        clock.ahead = 13 * 3600
        await ask(there)
        await expect(ann.get_by_role("alert")).to_contain_text("Your session has expired")
        await ann.get_by_role("link", name="Sign in again").click()
        await sign_in(ann, there, ANN)
        await expect(ann).to_have_url(re.compile(r"/inbox\?view=team$"))
        await expect(ann.locator("[data-row]")).to_have_count(1)


async def test_a_verdict_after_the_session_has_expired_decides_nothing(browser: Browser, tmp_path: Path) -> None:
    clock = AheadClock()
    async with served(tmp_path / "store.db", clock=clock) as there, visitor(browser, there, ANN) as ann:
        approval_id = await ask(there)
        await ann.goto(f"/approvals/{approval_id}")
        clock.ahead = 13 * 3600
        await ann.get_by_role("button", name="Approve", exact=True).click()
        await expect(ann).to_have_url(re.compile("/sign-in"))
        assert await there.runtime.open_store.verdicts(approval_id) == []
        await sign_in(ann, there, ANN)
        await expect(ann).to_have_url(re.compile(f"/approvals/{approval_id}$"))
        await expect(ann.get_by_role("button", name="Approve", exact=True)).to_be_visible()


async def test_nothing_is_left_to_see_after_signing_out(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there, ANN) as ann:
        await ask(there)
        await ann.goto("/inbox")
        await ann.locator("details.account summary").click()
        await ann.get_by_role("button", name="Sign out").click()
        await expect(ann.locator(".flash")).to_contain_text("You are signed out")
        await ann.go_back()
        await expect(ann).to_have_url(re.compile("/sign-in"))
        await expect(ann.get_by_text("wire_transfer")).to_have_count(0)


async def test_a_decision_link_shows_decides_once_and_signs_nobody_in(browser: Browser, tmp_path: Path) -> None:
    async with (
        served(tmp_path / "store.db") as there,
        visitor(browser, there) as page,
        visitor(browser, there) as other,
    ):
        path = await link_to(there, await ask(there), ANN)
        for each in (page, other):
            await each.goto(path)
            await expect(each.get_by_role("region", name="What is asked")).to_contain_text("50000")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_role("heading", name="Approved")).to_be_visible()
        await other.get_by_role("button", name="Reject").click()
        await expect(other.get_by_role("button", name="Reject")).to_have_count(0)
        await expect(other.locator("main")).to_contain_text(re.compile("used|decided|granted|approved"))
        await page.goto("/inbox")
        await expect(page).to_have_url(re.compile("/sign-in"))

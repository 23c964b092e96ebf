"""People at their browsers, who notice what a page does wrong."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, ViewportSize, expect

from assent.runtime.credentials import add_session
from assent.web.sessions import COOKIE
from tests.web.place import Place

DESK: ViewportSize = {"width": 1360, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}
# A busy machine may take its time; a test that fails waits as long.
PATIENCE = 15_000.0  # milliseconds

expect.set_options(timeout=PATIENCE)


@asynccontextmanager
async def visitor(browser: Browser, there: Place, who: str | None = None, **options: Any) -> AsyncIterator[Page]:
    """A page of a fresh browser, in which somebody has signed in before.

    The block fails if a script did, if the content security policy had to step in, or if something was asked of
    another host.
    """
    context = await browser.new_context(base_url=there.base_url, **{"viewport": DESK, **options})
    context.set_default_timeout(PATIENCE)
    if who is not None:
        session = await add_session(there.runtime.open_store, there.runtime.clock, who)
        await context.add_cookies([{"name": COOKIE, "value": session.secret, "url": there.base_url}])
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    page.on("request", lambda asked: faults.append(asked.url) if not _is_here(asked.url, there) else None)
    try:
        yield page
        assert faults == []
    finally:
        await context.close()


def _is_here(url: str, there: Place) -> bool:
    return url.startswith(f"{there.base_url}/")


async def sign_in(page: Page, there: Place, who: str) -> None:
    """By token, on the page that asks for one."""
    if urlsplit(page.url).path != "/sign-in":
        await page.goto("/sign-in")
    await page.get_by_label("Token").fill(await there.token(who))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("details.account")).to_be_visible()


async def live(page: Page) -> Page:
    """The page, once it hears of what happens; marked, so that one can tell it from the same page loaded anew."""
    await expect(page.locator("[data-live-mark].is-live").first).to_be_visible()
    await page.evaluate("window.isSame = true")
    return page


async def is_same(page: Page) -> bool:
    """Whether nothing has loaded the page anew since it was live."""
    return bool(await page.evaluate("window.isSame === true"))

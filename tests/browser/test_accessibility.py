"""Every page has no barrier that axe-core can find: light, dark, on a phone; and none is wider than its screen."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from assent.runtime.credentials import add_ticket
from assent.web.app import ALL_ROUTES
from tests.browser.chromium import barriers
from tests.browser.scene import ADA, TOUR, Scene, scene
from tests.browser.visitors import DESK, PHONE, visitor

# Bytes of the page and of all that it loads, unpacked.
WEIGHT = """["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
    .reduce((sum, each) => sum + each.decodedBodySize, 0)"""
COLOURS = ("color-contrast", "link-in-text-block")
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
# Pages that anybody gets are tested apart; these are files, or only lead on.
ELSEWHERE = {
    "/static/{name}",
    "/",
    "/sign-in",
    "/sign-in/{ticket}",
    "/oidc/start",
    "/oidc/callback",
    "/decide/{signed}",
}


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("scene")) as found:
        yield found


@pytest.fixture(scope="module")
async def ada(browser: Browser, made: Scene) -> AsyncIterator[Page]:
    async with visitor(browser, made.there, ADA) as page:
        yield page


async def barriers_everywhere(page: Page) -> dict[str, list[str]]:
    """What axe-core finds on a page in each of its looks, with everything unfolded."""
    found: dict[str, list[str]] = {}
    await page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
    found["light"] = await barriers(page)
    await page.emulate_media(color_scheme="dark")
    found["dark"] = await barriers(page, COLOURS)
    await page.set_viewport_size(PHONE)
    found["phone"] = await barriers(page)
    too_wide = await page.evaluate(OVERFLOW)
    found["width"] = [f"{too_wide} pixels too wide"] if too_wide > 0 else []
    return {look: what for look, what in found.items() if what}


@pytest.mark.parametrize("name", TOUR)
async def test_pages_have_no_barriers(name: str, made: Scene, ada: Page) -> None:
    await ada.emulate_media(color_scheme="light")
    await ada.set_viewport_size(DESK)
    await ada.goto(TOUR[name].format_map(made.paths))
    assert await barriers_everywhere(ada) == {}


async def test_pages_for_those_who_are_not_signed_in_have_no_barriers(browser: Browser, made: Scene) -> None:
    runtime = made.there.runtime
    ticket = await add_ticket(runtime.open_store, runtime.clock, ADA)
    for path in ("/sign-in", f"/sign-in/{ticket.secret}", "/sign-in/unknown", made.paths["link"]):
        async with visitor(browser, made.there) as page:
            await page.goto(path)
            assert await barriers_everywhere(page) == {}, path


async def test_what_opens_on_a_page_has_no_barriers(made: Scene, ada: Page) -> None:
    await ada.emulate_media(color_scheme="light")
    await ada.set_viewport_size(DESK)
    await ada.goto(TOUR["inbox"])
    await ada.locator("details.account summary").click()
    assert await barriers(ada) == []
    await ada.get_by_role("button", name="Keyboard shortcuts").click()
    await expect(ada.get_by_role("dialog")).to_be_visible()
    assert await barriers(ada) == []
    await ada.keyboard.press("Escape")
    await ada.goto(made.paths["deploy"])
    await ada.get_by_label("Reason", exact=True).first.fill("Not so many")
    await ada.get_by_text("Approve with changes").first.click()
    await ada.locator("[name='argument.options']").fill("{")
    await ada.get_by_role("button", name="Approve with changes").click()
    await expect(ada.get_by_role("alert")).to_be_visible()
    assert await barriers(ada) == []


async def test_what_policies_would_say_has_no_barriers(made: Scene, ada: Page) -> None:
    await ada.emulate_media(color_scheme="light")
    await ada.set_viewport_size(DESK)
    await ada.goto(TOUR["policies"])
    await ada.get_by_label("Action", exact=True).fill("refund")
    await ada.get_by_label("Arguments (JSON)").fill('{"order": "A-1", "amount": "5", "reason": "late"}')
    await ada.get_by_role("button", name="Explain").click()
    await expect(ada.locator("main")).to_contain_text("asks")
    assert await barriers_everywhere(ada) == {}


async def test_what_other_policies_would_have_changed_has_no_barriers(made: Scene, ada: Page) -> None:
    await ada.emulate_media(color_scheme="light")
    await ada.set_viewport_size(DESK)
    await ada.goto(TOUR["policies"])
    rule = "{name: no more refunds, type: deny, applies_to: {actions: [refund]}, reason: enough}"
    await ada.get_by_label("Policies", exact=True).fill(f"version: 1\npolicies:\n  - {rule}\n")
    await ada.get_by_role("button", name="Back-test").click()
    await expect(ada.locator("#backtest .answer")).to_contain_text("no more refunds")
    await expect(ada.locator("#backtest svg.share")).to_be_visible()
    assert await barriers_everywhere(ada) == {}


async def test_no_page_is_left_out(made: Scene) -> None:
    pages = [route.path for route in ALL_ROUTES if route.page and route.method == "GET" and route.path not in ELSEWHERE]
    seen = [urlsplit(path.format_map(made.paths)).path for path in TOUR.values()]
    patterns = {path: re.compile(re.sub(r"{\w+(:\w+)?}", ".+", path)) for path in pages}
    left_out = [path for path, pattern in patterns.items() if not any(map(pattern.fullmatch, seen))]
    assert left_out == []


async def test_the_first_page_is_small(browser: Browser, made: Scene) -> None:
    async with visitor(browser, made.there) as page:
        ticket = await add_ticket(made.there.runtime.open_store, made.there.runtime.clock, ADA)
        await page.goto(f"/sign-in/{ticket.secret}")
        await page.context.request.post(f"/sign-in/{ticket.secret}", headers={"Accept": "text/html"})
        await page.goto(TOUR["inbox-team"])
        assert 10_000 < await page.evaluate(WEIGHT) < 100_000

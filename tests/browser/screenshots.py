"""Takes the pictures of docs/images: each page of the scene in light, in dark and on a phone.

python -m tests.browser.screenshots [name ...]
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, Page

from assent.runtime.credentials import add_ticket
from tests.browser.chromium import ROOT, chromium
from tests.browser.scene import ADA, TOUR, Scene, scene
from tests.browser.visitors import DESK, PHONE, visitor

IMAGES = ROOT / "docs/images"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True, "has_touch": True},
}
TALLEST = 1600  # pixels


async def take_all(names: Sequence[str]) -> None:
    """Write the pictures of the pages with these names; without any, of all."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        async with scene(Path(folder)) as made, chromium() as browser:
            for look in LOOKS:
                await take(browser, made, look, names)


async def take(browser: Browser, made: Scene, look: str, names: Sequence[str]) -> None:
    """Write the pictures of one look."""
    runtime = made.there.runtime
    ticket = await add_ticket(runtime.open_store, runtime.clock, ADA)
    outside = {"sign-in": "/sign-in", "sign-in-link": f"/sign-in/{ticket.secret}", "decision-link": made.paths["link"]}
    inside = {name: path.format_map(made.paths) for name, path in TOUR.items()}
    for who, pages in ((None, outside), (ADA, inside)):
        wanted = {name: path for name, path in pages.items() if not names or name in names}
        async with visitor(browser, made.there, who, reduced_motion="reduce", **LOOKS[look]) as page:
            for name, path in wanted.items():
                await page.goto(path)
                await shoot(page, IMAGES / f"{name}-{look}.png")


async def shoot(page: Page, path: Path) -> None:
    """Write a picture of the whole page, or of its upper part if it is very long."""
    if await page.locator("[data-live-mark]").count():
        await page.locator("[data-live-mark].is-live").first.wait_for()
    usual = page.viewport_size
    assert usual is not None
    height = await page.evaluate("document.documentElement.scrollHeight")
    # As high as the page, so that what sticks to the bottom of the screen does.
    await page.set_viewport_size({"width": usual["width"], "height": min(height, TALLEST)})
    await page.screenshot(path=path, animations="disabled")
    await page.set_viewport_size(usual)


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # of the channel that delivers nothing
    asyncio.run(take_all(sys.argv[1:]))

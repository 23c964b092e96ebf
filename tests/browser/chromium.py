"""The browser of the tests: Chromium as the system has it, and axe-core, which looks for barriers in pages."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).parents[2]
AXE = ROOT / ".browser/node_modules/axe-core/axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "`sh .ci/browser` installs it"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
RUN_AXE = """async (only) => {
    // Colours that are still on their way would be judged as they are at that moment.
    const passing = document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(passing.map((one) => one.finished));
    const options = { resultTypes: ["violations"], ...(only ? { runOnly: { type: "rule", values: only } } : {}) };
    const found = await axe.run(document, options);
    return found.violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${one.help}: ${node.html}`));
}"""


def chromium_path() -> str:
    """Where Chromium is. Raises RuntimeError, which says how to get it."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise RuntimeError(f"Browser tests need Chromium on the PATH. {REMEDY}; so does `apt-get install chromium`.")
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window, for as long as the block takes."""
    path = chromium_path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


async def barriers(page: Page, only: Sequence[str] = ()) -> list[str]:
    """What axe-core finds on a page as it is now; `only` by these rules."""
    if not AXE.exists():
        raise RuntimeError(f"Tests of accessibility need axe-core in {AXE.parent}. {REMEDY}.")
    if not await page.evaluate("typeof axe === 'object'"):
        await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[Any] = await page.evaluate(RUN_AXE, list(only) or None)
    return [str(one) for one in found]

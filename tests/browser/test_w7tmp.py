from pathlib import Path
import pytest
from playwright.async_api import Browser, expect
from tests.browser.visitors import is_same, live, visitor
from tests.web.place import Place, served
from tests.browser.conftest import browser
ANN="ann@company.com"
async def test_a(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there, visitor(browser, there, ANN) as ann:
        await ann.goto("/inbox")
        await live(ann)
        assert False
async def test_b(browser: Browser, tmp_path: Path) -> None:
    async with served(tmp_path / "store.db") as there:
        async with there.client() as c:
            print((await c.get("/health")).status_code)
            print((await c.get("/sign-in")).status_code)
        async with visitor(browser, there) as ann:
            ann.on("request", lambda r: print("req", r.url)); ann.on("requestfinished", lambda r: print("fin", r.url)); ann.on("requestfailed", lambda r: print("failed", r.url, r.failure))
            await ann.goto("/sign-in")

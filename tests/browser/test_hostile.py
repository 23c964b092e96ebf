"""Whatever somebody writes is shown as they wrote it, and never becomes markup, a script or a link of its own.

The content security policy, which would stop a script that got in, is switched off here: escaping alone must hold.
"""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.async_api import Browser, Page, expect

from assent import (
    ApprovalPending,
    ApprovalPolicy,
    Preview,
    Principal,
    Runtime,
    acting_as,
    govern,
    signal,
    step,
    workflow,
)
from assent.governance import Action
from assent.web.app import create_app
from assent.web.server import listen, serving
from assent.web.settings import WebSettings
from tests.browser.scene import BrokenChannel
from tests.browser.visitors import is_same, live, visitor
from tests.web.place import Place

ADA, MAL = "ada@company.com", "mal@company.com"


def evil(mark: str) -> str:
    """Ways out of a text, of an attribute, of a script and of a link, with a mark that tells where it was written."""
    inside = '\' onfocus=owned() autofocus x=" onfocus=owned() autofocus x="'
    return f"{mark}<img data-owned src=x onerror=owned()>{inside}</textarea></script><script>owned()</script>"


def shown(action: Action) -> Preview:
    if action.arguments["kind"] == "diff":
        return Preview.diff(evil("before") + "\n", evil("after") + "\n")
    return Preview.table([[evil("cell")]], [evil("column")])


@govern(
    policies=[ApprovalPolicy(name=evil("policy"), approvers=[ADA, MAL], quorum=2, timeout_seconds=0)],
    preview=shown,
    labels=[evil("label")],
    name=evil("action"),
)
async def publish(kind: str, text: str, data: dict[str, Any]) -> str:
    return text


@step(name=evil("step"))
async def break_down(text: str) -> str:
    raise RuntimeError(evil("error"))


@workflow(name=evil("failing"))
async def failing(text: str) -> str:
    return await break_down(text)


@workflow(name=evil("waiting"))
async def waiting(text: str) -> str:
    return await signal(evil("signal"), str)


@workflow(name=evil("done"))
async def done(text: str) -> dict[str, str]:
    return {evil("key"): text}


@asynccontextmanager
async def hostile_place(folder: Path) -> AsyncIterator[tuple[Place, list[str]]]:
    """A server on a store where everything was written by somebody who means harm, and the pages that show it."""
    url, programs = f"sqlite:///{folder / 'assent.db'}", [sys.modules[__name__]]
    async with Runtime(url, workflows=programs, channels=[BrokenChannel(evil("delivery"))]) as runtime:
        listener, settings = listen("127.0.0.1", 0), WebSettings()
        there = Place(runtime, create_app(runtime, settings), f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with serving(there.app, listener, settings):
            yield there, await fill(runtime)


async def fill(runtime: Runtime) -> list[str]:
    await runtime.people.add(
        ADA, name=evil("name"), roles=[evil("role")], access="admin", contacts={"chat": evil("contact")}
    )
    await runtime.people.add(MAL, name=evil("friend"), access="approver")
    await runtime.people.delegate(MAL, ADA, until="2d", reason=evil("delegation"))
    paths = ["/people", f"/people/{ADA}", "/policies", "/dashboard", "/mandates?all=1", "/executions"]
    for kind in ("diff", "table"):
        approval_id = await ask(kind)
        await runtime.decide(approval_id, approver=MAL, reason=evil("reason"), conditions=[f'text != "{CONDITION}"'])
        paths.append(f"/approvals/{approval_id}")
    for program in (failing, waiting, done):
        with acting_as(Principal(evil("starter"))):
            handle = await runtime.start(program, evil("argument"))
        await runtime.engine.waiting(handle.id)
        paths.append(f"/executions/{handle.id}")
    handle = await runtime.ask_mandate(
        "publish", approvers=[ADA, MAL], until="2d", count=3, title=evil("title"), only=[f'text != "{CONDITION}"']
    )
    await runtime.engine.waiting(handle.id)
    (mandate,) = await runtime.approvals(execution_id=handle.id)
    return [*paths, f"/approvals/{mandate.id}", f"/mandates/{mandate.id}", f"/executions/{handle.id}"]


CONDITION = "condition<img data-owned src=x onerror=owned()>"


async def ask(kind: str) -> str:
    with acting_as(Principal(evil("requester"))):
        try:
            await publish(kind, evil("text"), {evil("inner"): [evil("value")]})
        except ApprovalPending as pending:
            return str(pending.approvals[0])
    raise AssertionError("It should have been asked for")


# What stands in a page by the will of whoever wrote a text: nothing.
INTRUDERS = """() => {
    const all = [...document.querySelectorAll("*")];
    const handled = all.filter((one) => one.getAttributeNames().some((name) => name.startsWith("on")));
    const foreign = all.filter((one) => ["src", "href", "action", "formaction"].some((name) =>
        one.hasAttribute(name) && !/^(\\/(?!\\/)|#|\\?)/.test(one.getAttribute(name))));
    return [...document.querySelectorAll("[data-owned], script:not([src]), [autofocus]"), ...handled, ...foreign]
        .map((one) => one.outerHTML);
}"""


@asynccontextmanager
async def victim(browser: Browser, there: Place) -> AsyncIterator[tuple[Page, list[str]]]:
    owned: list[str] = []
    async with visitor(browser, there, ADA, bypass_csp=True) as page:
        await page.expose_function("owned", lambda: owned.append(page.url))
        page.on("dialog", lambda dialog: owned.append(dialog.message))
        yield page, owned


async def text_of(page: Page) -> str:
    """All that somebody may see or hear of a page, and all that its fields hold."""
    await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    return str(
        await page.evaluate("""() => [document.title, document.body.innerText, ...[...document.querySelectorAll("*")]
            .flatMap((one) => one.getAttributeNames().map((name) => one.getAttribute(name)).concat(one.value || []))]
            .join("\\n")""")
    )


FIELDS = """
    policy label action step error failing waiting signal done key name role contact friend delegation
    reason argument starter requester text inner value cell column before after title
"""


async def test_what_is_written_stays_text_on_every_page(browser: Browser, tmp_path: Path) -> None:
    seen = set[str]()
    async with hostile_place(tmp_path) as (there, paths), victim(browser, there) as (page, owned):
        for path in ["/inbox", "/inbox?view=team", "/inbox?view=decided", *paths]:
            answer = await page.goto(path)
            assert answer is not None
            assert answer.ok, path
            assert await page.evaluate(INTRUDERS) == [], path
            text = await text_of(page)
            seen |= {field for field in FIELDS.split() if f"{field}<img data-owned" in text}
        await until_told(page)
        assert await page.evaluate(INTRUDERS) == []
        assert owned == []
        assert sorted(set(FIELDS.split()) - seen) == []


async def until_told(page: Page) -> None:
    """Notices are sent by and by and no event says when, so their page is asked until it has what came of one."""
    for _ in range(50):
        await page.goto("/notifications")
        if "delivery<img data-owned" in await text_of(page):
            return
    raise AssertionError("No notice was given up")


async def test_what_comes_in_by_an_update_stays_text(browser: Browser, tmp_path: Path) -> None:
    async with hostile_place(tmp_path) as (there, _), victim(browser, there) as (page, owned):
        await page.goto("/inbox")
        await live(page)
        rows = page.locator("[data-row]")
        count = await rows.count()
        approval_id = await ask("diff")
        await expect(rows).to_have_count(count + 1)
        assert await page.evaluate(INTRUDERS) == []
        assert await is_same(page)
        await page.goto(f"/approvals/{approval_id}")
        await live(page)
        await there.runtime.decide(approval_id, approver=MAL, reason=evil("fresh"))
        await expect(page.locator("#history")).to_contain_text("fresh<img data-owned")
        assert await page.evaluate(INTRUDERS) == []
        assert await is_same(page)
        assert owned == []


async def test_what_stands_in_an_address_stays_text(browser: Browser, tmp_path: Path) -> None:
    word = quote(evil("address"), safe="")
    addresses = [
        f"/{word}",
        f"/approvals/{word}",
        f"/executions/{word}",
        f"/mandates/{word}",
        f"/people/{word}",
        f"/decide/{word}",
        f"/sign-in/{word}",
        f"/sign-in?next={word}",
        f"/inbox?view={word}&after={word}",
        f"/executions?text={word}&name={word}&status={word}&since={word}&before={word}",
        f"/people?q={word}",
        f"/mandates?all={word}",
        f"/notifications?status={word}&before={word}",
        f"/dashboard?since={word}",
        "/executions?text=javascript:owned()&name=javascript:owned()",
    ]
    async with hostile_place(tmp_path) as (there, _), victim(browser, there) as (page, owned):
        for address in addresses:
            await page.goto(address)
            assert await page.evaluate(INTRUDERS) == [], address
        assert owned == []


async def test_what_is_written_into_a_form_comes_back_as_text(browser: Browser, tmp_path: Path) -> None:
    async with hostile_place(tmp_path) as (there, _), victim(browser, there) as (page, owned):
        await page.goto("/mandates/new")
        for field in ("action", "only", "approvers", "title", "total", "amount"):
            await page.locator(f"#{field}").fill(evil(field))
        await page.locator("#until").fill("2020-01-01T10:00")
        await page.get_by_role("button", name="Ask").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        assert await page.evaluate(INTRUDERS) == []
        assert (await page.locator("#title").input_value()) == evil("title")
        await page.goto(f"/approvals/{await ask('table')}")
        await page.locator("#reason").fill(evil("why"))
        await page.get_by_text("Approve with changes").first.click()
        await page.locator("[name='argument.data']").fill(evil("json"))
        await page.get_by_role("button", name="Approve with changes").click()
        await expect(page.get_by_role("alert")).to_contain_text("is no JSON")
        assert await page.evaluate(INTRUDERS) == []
        assert (await page.locator("#reason").input_value()) == evil("why")
        assert owned == []


async def test_the_policy_of_pages_would_stop_a_script_that_got_in(browser: Browser, tmp_path: Path) -> None:
    async with hostile_place(tmp_path) as (there, _):
        context = await browser.new_context(base_url=there.base_url)
        page = await context.new_page()
        await page.goto("/sign-in")
        for intruder in ("<img src=x onerror='document.title = 1'>", "<svg onload='document.title = 1'></svg>"):
            async with page.expect_console_message(lambda said: "Content Security Policy" in said.text):
                await page.evaluate("(html) => { document.body.insertAdjacentHTML('beforeend', html); }", intruder)
        assert re.match("Sign in", await page.title())
        await context.close()

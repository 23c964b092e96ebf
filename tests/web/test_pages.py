"""The frame of all pages: navigation, messages, themes, static files and errors."""

import re
from decimal import Decimal

import pytest
from jinja2 import UndefinedError

from assent.web.pages import assets, environment, local_path
from assent.web.wording import ago, amount, gist, initials, safe, span, tone
from tests.web.doors import HTML, browser, csrf
from tests.web.place import place

ANN, STRANGER, VIEWER = "ann@company.com", "stranger@company.com", "viewer@company.com"
PAGES = ("/inbox", "/people", "/mandates", "/notifications")


async def test_a_page_asks_for_nothing_from_elsewhere_and_is_small() -> None:
    async with place() as there, browser(there, ANN) as ann:
        page = await ann.get("/inbox")
        addresses = re.findall(r'(?:src|href|action)="([^"]*)"', page.text)
        assert all(each.startswith(("/", "#")) for each in addresses)
        parts = {each for each in addresses if each.startswith("/static/")}
        size = len(page.content) + sum([len((await ann.get(each)).content) for each in parts])
        assert size < 100_000
        assert not re.search(r"<style|<script>|\sstyle=|\son\w+=", page.text)


async def test_whoever_is_not_signed_in_is_sent_to_sign_in_and_back() -> None:
    async with place() as there, browser(there) as nobody:
        answer = await nobody.get("/inbox?view=team")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Finbox%3Fview%3Dteam")
        answer = await nobody.post("/inbox/decide", headers={"Referer": "http://127.0.0.1:8400/approvals/a"})
        assert answer.headers["location"] == "/sign-in?next=%2Fapprovals%2Fa"


async def test_people_see_the_places_that_are_open_to_them() -> None:
    async with place() as there, browser(there, VIEWER) as viewer, browser(there, STRANGER) as stranger:
        assert 'href="/dashboard"' in (await viewer.get("/inbox")).text
        assert 'href="/dashboard"' not in (await stranger.get("/inbox")).text
        for path in PAGES:
            assert (await viewer.get(path)).status_code == 200
            assert (await stranger.get(path)).status_code == (200 if path == "/inbox" else 403)


async def test_errors_are_pages_for_people() -> None:
    async with place() as there, browser(there, VIEWER) as viewer:
        lost = await viewer.get("/nowhere")
        assert (lost.status_code, lost.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "There is no such page" in lost.text
        refused = await viewer.get("/mandates/new")
        assert refused.status_code == 403
        assert "You may not do this" in refused.text


async def test_the_theme_is_remembered_by_the_browser() -> None:
    async with place() as there, browser(there, VIEWER) as viewer:
        assert "data-theme" not in (await viewer.get("/inbox")).text
        form = {"csrf_token": csrf(viewer), "theme": "dark", "back": "//evil.example/"}
        answer = await viewer.post("/theme", data=form)
        assert answer.headers["location"] == "/inbox"
        assert 'data-theme="dark"' in (await viewer.get("/inbox")).text
        await viewer.post("/theme", data={**form, "theme": "system"})
        assert "data-theme" not in (await viewer.get("/inbox")).text


async def test_a_message_is_shown_once_and_never_as_markup() -> None:
    async with place() as there, browser(there, ANN) as ann:
        await ann.post("/inbox/decide", data={"csrf_token": csrf(ann), "decision": "approve"})
        assert "Pick at least one request" in (await ann.get("/inbox")).text
        assert "Pick at least one request" not in (await ann.get("/inbox")).text
        ann.cookies.set("assent-flash", "bm9uc2Vuc2U=")
        assert (await ann.get("/inbox")).status_code == 200


async def test_static_files_may_be_kept_for_good_under_their_own_address() -> None:
    async with place() as there, there.client() as client:
        client.headers.update(HTML)
        tagged = await client.get(f"/static/assent.css?v={assets()['assent.css'].digest}")
        assert "immutable" in tagged.headers["cache-control"]
        assert (await client.get("/static/assent.css")).headers["cache-control"] == "no-cache"
        again = await client.get("/static/assent.css", headers={"If-None-Match": tagged.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("nothing.css", "..%2Fpages.py", "%2e%2e/pages.py"):
            assert (await client.get(f"/static/{name}")).status_code == 404


@pytest.mark.parametrize("url", ["//evil", "/\\evil", "https://evil", "evil", "/a\nb", "", "/a\\b"])
def test_a_form_leads_to_no_other_site(url: str) -> None:
    assert local_path(url) == "/inbox"


def test_templates_compile_escape_and_know_all_that_they_name() -> None:
    made = environment()
    for name in made.list_templates(extensions=["html"]):
        made.get_template(name)
    assert made.from_string("{{ x }}").render(x="<b>\u202e\x07\n\t.") == "&lt;b&gt;\\u202e\\x07\n    ."
    with pytest.raises(UndefinedError):
        made.from_string("{{ nothing }}").render()


def test_values_are_worded_for_people() -> None:
    assert [span(each) for each in (0, 0.25, 45, 150, 7500, 400_000)] == [
        "0 s",
        "250 ms",
        "45 s",
        "2 min",
        "2 h 5 min",
        "4 d",
    ]
    assert [ago(each, 1000.0) for each in (998.0, 880.0, 1500.0)] == ["just now", "2 min ago", "in 8 min"]
    assert [initials(each) for each in ("Ada Moreno", "ann@company.com", "")] == ["AM", "a", "?"]
    assert gist({"amount": 5, "to": "Acme\nInc", "more": [1]}) == "amount 5 · to Acme Inc · more [1]"
    assert (tone("granted"), tone("pending"), tone("withdrawn")) == ("ok", "warn", "")
    assert (safe(None), safe(5)) == ("", 5)


def test_amounts_keep_their_digits() -> None:
    assert [amount(Decimal(each)) for each in ("12500", "0.50", "1E+3")] == ["12,500", "0.5", "1,000"]

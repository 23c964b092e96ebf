"""Messages to one person carry a link by which that person decides; messages to all lead to the inbox."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from assent.notify import Notification
from assent.store import ApprovalStatus
from tests.web.doors import HTML, AheadClock, text_of
from tests.web.place import place

CFO = "cfo@company.com"
WEB = "http://127.0.0.1:8400"


@dataclass
class Letterbox:
    """A channel that keeps what it is to send."""

    is_personal: bool
    name: str = "letters"
    kind: str = "email"
    sent: asyncio.Queue[Notification] = field(default_factory=asyncio.Queue)

    async def send(self, notification: Notification) -> str | None:
        self.sent.put_nowait(notification)
        return None


async def test_who_is_asked_by_mail_decides_by_the_link_in_it() -> None:
    box = Letterbox(is_personal=True)
    async with place(channels=[box], web_url=WEB) as there, there.client("operator@company.com") as operator:
        _, approval_id = await there.asked(operator)
        letters = {letter.recipient: letter async for letter in _some(box, 2)}
        assert set(letters) == {CFO, "ann@company.com"}
        link = letters[CFO].link
        assert link is not None
        assert link in letters[CFO].text
        async with there.client() as client:
            page = await client.get(urlsplit(link).path, headers=HTML)
            assert f"You decide as {CFO}" in text_of(page.text)
            assert (await client.post(urlsplit(link).path, data={"decision": "reject"})).status_code == 200
        record = await there.runtime.open_store.approval(approval_id)
        assert record is not None
        assert record.status is ApprovalStatus.REJECTED
        # What became of it is nothing to decide: it leads to where one signs in.
        told = [letter async for letter in _some(box, 2)]
        assert {letter.link for letter in told} == {f"{WEB}/approvals/{approval_id}"}


@pytest.mark.parametrize(("lifetime", "hours"), [(None, 72), ("30m", 0.5)])
async def test_a_link_is_good_for_as_long_as_the_runtime_is_told(lifetime: str | None, hours: float) -> None:
    box, clock = Letterbox(is_personal=True), AheadClock()
    options: dict[str, Any] = {} if lifetime is None else {"link_lifetime": lifetime}
    async with (
        place(channels=[box], web_url=WEB, clock=clock, **options) as there,
        there.client("operator@company.com") as operator,
        there.client() as client,
    ):
        await there.asked(operator)
        link = urlsplit((await box.sent.get()).link or "").path
        clock.ahead = hours * 3600 - 5
        assert (await client.get(link, headers=HTML)).status_code == 200
        clock.ahead = hours * 3600 + 5
        expired = await client.get(link, headers=HTML)
        assert (expired.status_code, "This link has expired" in expired.text) == (410, True)


async def test_a_message_to_all_lets_nobody_decide() -> None:
    box = Letterbox(is_personal=False)
    async with place(channels=[box], web_url=WEB) as there, there.client("operator@company.com") as operator:
        _, approval_id = await there.asked(operator)
        assert (await box.sent.get()).link == f"{WEB}/approvals/{approval_id}"


@pytest.mark.parametrize("template", [None, "https://inbox.example.com/{approval_id}"])
async def test_without_a_web_here_links_are_as_they_were(template: str | None) -> None:
    box = Letterbox(is_personal=True)
    async with place(channels=[box], approval_url=template) as there, there.client("operator@company.com") as operator:
        _, approval_id = await there.asked(operator)
        assert (await box.sent.get()).link == (template and f"https://inbox.example.com/{approval_id}")


async def _some(box: Letterbox, count: int) -> AsyncIterator[Notification]:
    for _ in range(count):
        yield await box.sent.get()

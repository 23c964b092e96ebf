"""People, delegations, mandates and notifications in a browser."""

import asyncio

from anyio.lowlevel import checkpoint

from assent.errors import DeliveryFailed
from assent.notify import Notification
from assent.store import NoticeStatus
from tests.web.doors import browser, csrf, text_of
from tests.web.place import Place, place

ADMIN, ANN, CFO, OPERATOR, STRANGER = (
    "admin@company.com",
    "ann@company.com",
    "cfo@company.com",
    "operator@company.com",
    "stranger@company.com",
)


async def test_administrators_add_change_and_disable_people() -> None:
    async with place() as there, browser(there, ADMIN) as admin, browser(there, ANN) as ann:
        form = {"csrf_token": csrf(admin), "id": "eve@company.com", "name": "Eve", "roles": "finance, board"}
        refused = await admin.post("/people", data={**form, "contacts": "slack"})
        assert refused.status_code == 400
        assert "is no contact" in refused.text
        assert 'value="Eve"' in refused.text
        answer = await admin.post("/people", data={**form, "contacts": "slack=U7", "access": "approver"})
        assert answer.headers["location"] == "/people/eve@company.com"
        record = await there.runtime.open_store.person("eve@company.com")
        assert record is not None
        assert (record.roles, record.contacts, record.access) == (("finance", "board"), {"slack": "U7"}, "approver")
        assert (await ann.post("/people", data={**form, "csrf_token": csrf(ann)})).status_code == 403
        await admin.post("/people/disable", data={"csrf_token": csrf(admin), "id": "eve@company.com"})
        assert " disabled " in text_of((await admin.get("/people/eve@company.com")).text)
        await admin.post("/people/enable", data={"csrf_token": csrf(admin), "id": "eve@company.com"})
        assert "Eve" in (await ann.get("/people?q=board")).text
        assert "Nobody is called so" in (await ann.get("/people?q=nobody-such")).text
        assert (await ann.get("/people/who@company.com")).status_code == 404


async def test_people_hand_over_their_own_approvals_and_nobody_elses() -> None:
    async with place() as there, browser(there, CFO) as cfo, browser(there, STRANGER) as stranger:
        assert (await cfo.get(f"/people/{CFO}")).status_code == 200
        assert (await cfo.get(f"/people/{ANN}")).status_code == 403
        form = {"csrf_token": csrf(cfo), "to": ANN, "until": "2099-01-01T10:00", "is_away": "1", "reason": "holiday"}
        assert (await cfo.post("/delegations", data=form)).status_code == 303
        (lent,) = await there.runtime.people.delegations()
        assert (lent.delegator, lent.delegate, lent.is_away, lent.reason) == (CFO, ANN, True, "holiday")
        foreign = {"csrf_token": csrf(stranger), "delegator": CFO, "to": STRANGER, "until": "1d"}
        assert (await stranger.post("/delegations", data=foreign)).status_code == 403
        end = {"csrf_token": csrf(stranger), "delegation": lent.id}
        assert (await stranger.post("/delegations/end", data=end)).status_code == 403
        assert (await cfo.post("/delegations/end", data={**end, "csrf_token": csrf(cfo)})).status_code == 303
        assert not await there.runtime.people.delegations()
        past = await cfo.post("/delegations", data={**form, "until": "2001-01-01T10:00"})
        assert past.status_code == 400
        assert "would never hold" in past.text


async def asked_for_mandate(there: Place, **fields: str) -> str:
    """Ask for one through the form; its id."""
    async with browser(there, OPERATOR) as operator:
        form = {"csrf_token": csrf(operator), "action": "wire_transfer", "until": "8h", "count": "3", "approvers": CFO}
        answer = await operator.post("/mandates", data={**form, **fields})
        assert answer.status_code == 303, answer.text
        (record,) = await there.runtime.executions(name="assent.mandate")
        await there.runtime.engine.waiting(record.id)
        (found,) = await there.runtime.mandates()
        return found.mandate.id


async def test_a_mandate_is_asked_for_given_and_shown_with_what_is_left() -> None:
    async with place() as there, browser(there, ANN) as ann:
        assert "No mandate is in force" in (await ann.get("/mandates")).text
        mandate_id = await asked_for_mandate(there, total="30000", only="amount <= 20000")
        record = await there.runtime.open_store.approval(mandate_id)
        assert record is not None
        assert '"requester":"operator@company.com"' in record.request
        await there.runtime.decide(mandate_id, approver=CFO)
        async with there.client(OPERATOR) as client:
            await there.ended(await there.started(client, "wire_transfer", amount="12500"))
        listed = text_of((await ann.get("/mandates")).text)
        for words in ("in force", "2 of 3 times", "17,500 of 30,000", f"{CFO}", "only if amount"):
            assert words in listed, words
        page = text_of((await ann.get(f"/mandates/{mandate_id}")).text)
        assert "12,500" in page
        assert "42 % used" in page
        assert (await ann.get("/mandates/nothing")).status_code == 404


async def test_a_mandate_that_makes_no_sense_is_asked_of_nobody() -> None:
    async with place() as there, browser(there, OPERATOR) as operator:
        form = {"csrf_token": csrf(operator), "action": "wire_transfer", "until": "8h", "approvers": CFO}
        for more in ({}, {"count": "0"}, {"count": "x"}, {"count": "1", "until": "2001-01-01"}, {"total": "-5"}):
            answer = await operator.post("/mandates", data={**form, **more})
            assert answer.status_code == 400, more
            assert 'value="wire_transfer"' in answer.text
        assert not await there.runtime.mandates()
        assert (await operator.get("/mandates/new")).status_code == 200


class BrokenChannel:
    """Says each time that the receiver wants no more."""

    name = kind = "broken"
    is_personal = False

    def __init__(self) -> None:
        self.asked = asyncio.Semaphore(0)

    async def send(self, notification: Notification) -> str | None:
        self.asked.release()
        raise DeliveryFailed("refused", reason="the receiver is <b>gone</b>", is_final=True)


async def test_notifications_that_were_given_up_are_sent_again() -> None:
    channel = BrokenChannel()
    async with place(channels=[channel]) as there, browser(there, OPERATOR) as operator, browser(there, ANN) as ann:
        assert "Nobody was told of anything yet" in (await ann.get("/notifications")).text
        async with there.client(OPERATOR) as client:
            await there.asked(client)
        store, page = there.runtime.open_store, ""
        await channel.asked.acquire()
        async with asyncio.timeout(20):
            while "given up" not in page:
                await checkpoint()
                page = text_of((await ann.get("/notifications")).text)
        assert "wire_transfer" in page
        assert "the receiver is &lt;b&gt;gone" in page
        assert "Send again" not in page
        (notice,) = await store.notices(NoticeStatus.DEAD)
        retry = {"csrf_token": csrf(operator), "notice": notice.id}
        assert (await ann.post("/notifications/retry", data={**retry, "csrf_token": csrf(ann)})).status_code == 403
        assert (await operator.post("/notifications/retry", data=retry)).status_code == 303
        async with asyncio.timeout(20):
            await channel.asked.acquire()
        assert (await operator.post("/notifications/retry", data={**retry, "notice": "none:such"})).status_code == 404

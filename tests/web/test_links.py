"""A link decides one approval for one person, once; opening it decides nothing."""

import asyncio
import re

import pytest

from assent import ApprovalPolicy, govern
from assent.errors import LinkRefused, UsageError
from assent.runtime.links import DecisionLinks
from assent.store import ApprovalStatus, Status
from assent.web.settings import WebSettings
from tests.web.doors import HTML, AheadClock, browser, link_to, text_of
from tests.web.place import Place, place

ANN, CFO, STRANGER = "ann@company.com", "cfo@company.com", "stranger@company.com"


async def _asked(there: Place) -> tuple[str, str]:
    async with there.client("operator@company.com") as client:
        return await there.asked(client)


async def _status(there: Place, approval_id: str) -> ApprovalStatus:
    record = await there.runtime.open_store.approval(approval_id)
    assert record is not None
    return record.status


async def test_opening_shows_the_request_and_decides_nothing() -> None:
    async with place() as there, there.client() as client:
        _, approval_id = await _asked(there)
        link = await link_to(there, approval_id, CFO)
        for _ in range(3):
            page = await client.get(link, headers=HTML)
            assert page.status_code == 200
            assert "50000" in text_of(page.text)
            assert CFO in text_of(page.text)
        await client.head(link)
        assert await _status(there, approval_id) is ApprovalStatus.PENDING
        assert await there.runtime.open_store.shown(approval_id, CFO) is None


async def test_the_look_of_whoever_presses_the_button_is_noted_and_not_that_of_programs_before() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there, there.client() as client:
        _, approval_id = await _asked(there)
        link = await link_to(there, approval_id, CFO)
        scanned = await client.get(link, headers=HTML)
        clock.ahead = 3600
        page = await client.get(link, headers=HTML)
        looked_at = clock.now()
        clock.ahead += 2
        assert (await client.post(link, data={"decision": "reject", "stamp": _stamp(page.text)})).status_code == 200
        (verdict,) = await there.runtime.open_store.verdicts(approval_id)
        assert verdict.shown_at == pytest.approx(looked_at, abs=1)
        (cfo,) = [one for one in await there.runtime.statistics() if one.approver == CFO]
        assert cfo.quick == 1.0
        assert cfo.least_dwell == pytest.approx(2, abs=1)
        assert _stamp(scanned.text) != _stamp(page.text)


async def test_when_it_was_looked_at_cannot_be_made_up() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there, there.client() as client:
        links = [await link_to(there, (await _asked(there))[1], CFO) for _ in range(2)]
        stamps = [_stamp((await client.get(link, headers=HTML)).text) for link in links]
        moment, _, signature = stamps[0].partition("/")
        forged = f"{float(moment) - 3600:.3f}/{signature}"
        for link, stamp in zip(links, (forged, stamps[0]), strict=True):
            assert (await client.post(link, data={"decision": "reject", "stamp": stamp})).status_code == 200
        (cfo,) = [one for one in await there.runtime.statistics() if one.approver == CFO]
        assert (cfo.verdicts, cfo.median_dwell) == (2, None)


def _stamp(page: str) -> str:
    (stamp,) = re.findall(r'name="stamp" value="([^"]+)"', page)
    return str(stamp)


@pytest.mark.parametrize(
    ("decision", "status", "ends"),
    [("approve", ApprovalStatus.GRANTED, Status.COMPLETED), ("reject", ApprovalStatus.REJECTED, Status.FAILED)],
)
async def test_the_button_decides_and_the_execution_goes_on(
    decision: str, status: ApprovalStatus, ends: Status
) -> None:
    async with place() as there, there.client() as client:
        execution_id, approval_id = await _asked(there)
        link = await link_to(there, approval_id, CFO)
        answer = await client.post(link, data={"decision": decision, "reason": "so be it"}, headers=HTML)
        assert answer.status_code == 200
        assert await _status(there, approval_id) is status
        (verdict,) = await there.runtime.open_store.verdicts(approval_id)
        assert (verdict.approver, verdict.decision, verdict.reason) == (CFO, decision, "so be it")
        assert await there.ended(execution_id) is ends


async def test_a_link_gives_no_session() -> None:
    async with place() as there, there.client() as client:
        _, approval_id = await _asked(there)
        link = await link_to(there, approval_id, CFO)
        for answer in (await client.get(link), await client.post(link, data={"decision": "approve"})):
            assert "set-cookie" not in answer.headers
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_a_link_is_good_for_one_verdict() -> None:
    async with place() as there, there.client() as client:
        _, approval_id = await _asked(there)
        link = await link_to(there, approval_id, CFO)
        presses = [client.post(link, data={"decision": each}) for each in ("approve", "reject", "approve", "reject")]
        answers = await asyncio.gather(*presses)
        assert sorted(each.status_code for each in answers) == [200, 410, 410, 410]
        assert len(await there.runtime.open_store.verdicts(approval_id)) == 1
        again = await client.get(link, headers=HTML)
        assert again.status_code == 410
        assert "50000" not in again.text


async def test_two_links_of_one_person_are_one_voice() -> None:
    async with place() as there, there.client() as client:
        _, approval_id = await _asked(there)
        links = [await link_to(there, approval_id, CFO) for _ in range(2)]
        answers = [await client.post(each, data={"decision": "approve"}, headers=HTML) for each in links]
        assert [each.status_code for each in answers] == [200, 409]
        assert CFO in text_of(answers[1].text)


async def test_a_link_that_comes_second_says_who_decided() -> None:
    async with place() as there, there.client() as client:
        _, approval_id = await _asked(there)
        link = await link_to(there, approval_id, CFO)
        await there.runtime.decide(approval_id, approver=ANN, decision="reject")
        page = text_of((await client.get(link, headers=HTML)).text)
        assert "Nothing is left to decide" in page
        answer = await client.post(link, data={"decision": "approve"}, headers=HTML)
        assert answer.status_code == 409
        assert ANN in text_of(answer.text)
        assert await _status(there, approval_id) is ApprovalStatus.REJECTED


async def test_a_link_for_somebody_who_may_not_decide_shows_nothing() -> None:
    async with place() as there, there.client() as client:
        _, approval_id = await _asked(there)
        link = await link_to(there, approval_id, STRANGER)
        for answer in (await client.get(link), await client.post(link, data={"decision": "approve"})):
            assert answer.status_code == 410
            assert "50000" not in answer.text
        assert await there.runtime.open_store.verdicts(approval_id) == []


async def test_a_link_ends_with_its_time_and_with_its_person() -> None:
    clock = AheadClock()
    async with place(clock=clock) as there, there.client() as client:
        _, approval_id = await _asked(there)
        link, late = await link_to(there, approval_id, CFO), await link_to(there, approval_id, ANN)
        await there.runtime.people.disable(CFO)
        assert (await client.post(link, data={"decision": "approve"})).status_code == 410
        clock.ahead = 72 * 3600 + 1
        assert (await client.post(late, data={"decision": "approve"})).status_code == 410
        assert await _status(there, approval_id) is ApprovalStatus.PENDING


async def test_a_changed_link_is_refused_wherever_it_is_changed() -> None:
    async with place(settings=WebSettings(sign_in_attempts=1000)) as there, there.client() as client:
        _, approval_id = await _asked(there)
        link = await link_to(there, approval_id, CFO)
        head, signed = link.rsplit("/", 1)
        for place_of in range(0, len(signed), 7):
            other = "A" if signed[place_of] != "A" else "B"
            changed = f"{head}/{signed[:place_of]}{other}{signed[place_of + 1 :]}"
            assert (await client.get(changed)).status_code == 410
        for broken in ("x", "-.-", f"{signed}.x", signed.partition(".")[0], "é"):
            assert (await client.get(f"{head}/{broken}")).status_code == 410


async def test_a_link_of_another_store_is_refused() -> None:
    async with place() as other:
        _, approval_id = await _asked(other)
        link = await link_to(other, approval_id, CFO)
    async with place() as there, there.client() as client:
        assert (await client.get(link)).status_code == 410


async def test_a_word_that_is_no_decision_uses_nothing_up() -> None:
    async with place() as there, there.client() as client:
        _, approval_id = await _asked(there)
        link = await link_to(there, approval_id, CFO)
        for form in ({}, {"decision": "revoke"}, {"decision": "APPROVE"}):
            assert (await client.post(link, data=form)).status_code == 422
        assert (await client.post(link, data={"decision": "approve"})).status_code == 200


@govern(policies=[ApprovalPolicy(approvers=[CFO], require_reason=True, timeout_seconds=0)])
async def write_off(amount: int) -> int:
    return amount


async def test_a_reason_that_is_missing_uses_nothing_up() -> None:
    async with place() as there, there.client() as client:
        handle = await there.runtime.start(write_off, 7)
        await there.runtime.engine.waiting(handle.id)
        (approval,) = await there.runtime.approvals(execution_id=handle.id)
        link = await link_to(there, approval.id, CFO)
        answer = await client.post(link, data={"decision": "approve", "reason": " "}, headers=HTML)
        assert answer.status_code == 422
        assert "Say why" in text_of(answer.text)
        assert await there.runtime.open_store.verdicts(approval.id) == []
        assert (await client.post(link, data={"decision": "approve", "reason": "lost"})).status_code == 200


async def test_another_site_cannot_press_the_button() -> None:
    async with place() as there, there.client() as client:
        _, approval_id = await _asked(there)
        link = await link_to(there, approval_id, CFO)
        answer = await client.post(link, data={"decision": "approve"}, headers={"Origin": "https://evil.com"})
        assert answer.status_code == 403
        assert await _status(there, approval_id) is ApprovalStatus.PENDING


async def test_a_link_decides_for_its_person_whoever_is_signed_in() -> None:
    async with place() as there, browser(there, "viewer@company.com") as client:
        _, approval_id = await _asked(there)
        answer = await client.post(await link_to(there, approval_id, CFO), data={"decision": "approve"})
        assert answer.status_code == 200
        (verdict,) = await there.runtime.open_store.verdicts(approval_id)
        assert verdict.approver == CFO


async def test_links_need_a_url_and_lead_everybody_else_to_the_inbox() -> None:
    async with place() as there:
        store, clock = there.runtime.open_store, there.runtime.clock
        with pytest.raises(UsageError, match="no URL"):
            await DecisionLinks.of(store, clock, "assent.example.com")
        links = await DecisionLinks.of(store, clock, "https://assent.example.com/")
        assert links.make("a1", "") == "https://assent.example.com/approvals/a1"
        assert links.make("a1", CFO) != links.make("a1", CFO)
        read = links.read(links.make("a1", CFO).rpartition("/")[2])
        assert (read.approval_id, read.person) == ("a1", CFO)
        with pytest.raises(LinkRefused):
            links.read("")
        assert repr(links.key) not in repr(links)

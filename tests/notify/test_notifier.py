"""From the outbox to people: who is told what, in which order, how often, and what happens when it goes wrong."""

import asyncio
import base64
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assent.clock import SystemClock
from assent.errors import UsageError
from assent.governance import lapse
from assent.governance.people import add_person, delegate, disable_person
from assent.notify import EmailChannel, Notification, Notifier, SlackChannel, WebhookChannel
from assent.notify.notifier import Pace
from assent.notify.safety import failed
from assent.resilience import Retry
from assent.store import ApprovalStatus, Event, NoticeStatus
from assent.store.sqlite import SqliteStore
from tests.notify.ground import HASTY, NOW, Notebook, Office, Stuck, notifier
from tests.notify.servers import Answer, MailServer, Received, WebServer, mail_server, web_server
from tests.notify.test_slack import content, said

CFO, CEO = "cfo@company.com", "ceo@company.com"
PATIENT = replace(HASTY, retry=Retry(attempts=5, initial=3600.0, maximum=3600.0, jitter="none"))


class SetClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at

    def new_id(self) -> str:
        return SystemClock().new_id()


def failing(*results: Any) -> Callable[[Notification], str | None]:
    """Answers one by one; errors among them are raised, and afterwards all goes well."""
    left: list[Any] = list(results)

    def answer(_: Notification) -> str | None:
        found = left.pop(0) if left else "r1"
        if isinstance(found, BaseException):
            raise found
        return found

    return answer


# who is told


async def test_a_shared_channel_is_told_once_and_of_the_outcome(office: Office) -> None:
    book = Notebook(answer=lambda _: "r1")
    await office.ask(channels=("book",), approvers=(CFO, CEO))
    await notifier(office, book, link="https://x.com/{approval_id}").send_due()
    await office.decide()
    await notifier(office, book).send_due()
    assert book.topics == ["requested", "granted"]
    assert (book.noted[0].earlier, book.noted[1].earlier) == (None, "r1")
    assert book.noted[0].link == "https://x.com/a1"
    assert set((await office.statuses()).values()) == {"sent"}


async def test_each_person_gets_a_message_of_their_own(office: Office) -> None:
    await add_person(office.store, office.clock, "boss", roles=["finance"], contacts={"book": "B7"})
    book = Notebook(is_personal=True)
    await office.ask(channels=("book",), approvers=("role:finance", CFO))
    await notifier(office, book).send_due()
    assert [(one.recipient, one.address) for one in book.noted] == [("boss", "B7")]
    statuses = await office.statuses()
    assert statuses == {
        "a1:requested:book": "sent",
        "a1:requested:book:boss": "sent",
        f"a1:requested:book:{CFO}": "skipped",
    }
    assert "address" in ((await office.notices())[f"a1:requested:book:{CFO}"].error or "")


async def test_an_id_that_is_an_address_serves_for_email_and_a_contact_comes_first(office: Office) -> None:
    await add_person(office.store, office.clock, CEO, contacts={"email": "private@ceo.org"})
    book = Notebook(name="mail", kind="email", is_personal=True)
    await office.ask(channels=("mail",), approvers=(CFO, CEO))
    await notifier(office, book).send_due()
    assert sorted(one.address for one in book.noted) == [CFO, "private@ceo.org"]


async def test_whoever_may_not_decide_is_not_told(office: Office) -> None:
    for one in ("alice", "bob", "carl", "dora"):
        await add_person(office.store, office.clock, one, contacts={"book": one})
    await disable_person(office.store, office.clock, "carl")
    book = Notebook(is_personal=True)
    await office.ask(channels=("book",), approvers=("alice", "bob", "carl", "dora"), excluded=("bob",))
    await notifier(office, book).send_due()
    assert book.topics == ["requested dora"]


async def test_a_delegate_is_told_instead_of_somebody_who_is_away(office: Office) -> None:
    for one in ("boss", "deputy"):
        await add_person(office.store, office.clock, one, contacts={"book": one})
    until = office.clock.now() + 3600
    await delegate(office.store, office.clock, "boss", "deputy", until=until, is_away=True)
    book = Notebook(is_personal=True)
    await office.ask(channels=("book",), approvers=("boss",))
    await notifier(office, book).send_due()
    assert book.topics == ["requested deputy"]


async def test_if_there_is_nobody_to_tell_that_is_on_record(office: Office) -> None:
    book = Notebook(is_personal=True)
    await office.ask(channels=("book",), approvers=("role:nobody",))
    await notifier(office, book).send_due()
    (notice,) = (await office.notices()).values()
    assert (notice.status, notice.error) == (NoticeStatus.SKIPPED, "there is nobody to tell")


async def test_only_those_who_were_asked_hear_of_the_outcome(office: Office) -> None:
    book = Notebook(name="mail", kind="email", is_personal=True, answer=failing(failed("no", is_final=True)))
    await office.ask(channels=("mail",), approvers=(CFO, CEO))
    await notifier(office, book).send_due()
    await office.decide()
    await notifier(office, book).send_due()
    assert book.topics == [f"requested {CEO}", f"requested {CFO}", f"granted {CFO}"]
    assert book.noted[2].earlier == "r1"


async def test_a_reminder_spares_those_who_have_decided(office: Office) -> None:
    book = Notebook(name="mail", kind="email", is_personal=True)
    record = await office.ask(channels=("mail",), approvers=(CFO, CEO), quorum=2)
    await notifier(office, book).send_due()
    await office.decide(status=ApprovalStatus.PENDING)
    stored = await office.store.approval(record.id)
    assert stored is not None
    assert await office.store.remind(replace(stored, version=stored.version + 1), [])
    await notifier(office, book).send_due()
    assert book.topics[2:] == [f"reminded {CEO}"]


# what is still worth saying


async def test_a_question_that_is_decided_is_not_asked_any_more(office: Office) -> None:
    book = Notebook()
    await office.ask(channels=("book",))
    await office.decide()
    await notifier(office, book).send_due()
    assert book.topics == ["granted"]
    assert await office.statuses() == {"a1:requested:book": "skipped", "a1:granted:book": "sent"}


async def test_an_approval_that_was_altered_is_not_spread(office: Office, tmp_path: Path) -> None:
    book = Notebook()
    await office.ask(channels=("book",))
    record = await office.store.approval("a1")
    assert record is not None
    altered = replace(record, request=record.request.replace("50000", "1"), version=1)
    assert await office.store.decide(altered, None, [])
    await notifier(office, book).send_due()
    assert book.noted == []


async def test_one_recipient_who_cannot_be_reached_delays_the_outcome_for_nobody_else(office: Office) -> None:
    book = Notebook(name="mail", kind="email", is_personal=True, answer=failing(failed("busy")))
    clock = office.clock = SetClock()
    await office.ask(channels=("mail",), approvers=(CFO, CEO))
    await notifier(office, book, pace=PATIENT).send_due()
    await office.decide()
    await notifier(office, book, pace=PATIENT).send_due()
    assert book.topics == [f"requested {CEO}", f"requested {CFO}", f"granted {CFO}"]
    clock.at += 3601
    await notifier(office, book, pace=PATIENT).send_due()
    assert book.topics[3:] == []
    assert (await office.statuses())[f"a1:granted:mail:{CEO}"] == "skipped"


async def test_an_outcome_that_has_been_taken_back_is_not_told_any_more(office: Office) -> None:
    book = Notebook()
    await office.ask(channels=("book",))
    await notifier(office, book).send_due()
    await office.decide()
    await office.decide(status=ApprovalStatus.REVOKED)
    await notifier(office, book).send_due()
    assert book.topics == ["requested", "revoked"]


async def test_of_several_reminders_that_are_late_one_is_sent(office: Office) -> None:
    clock = office.clock = SetClock()
    book = Notebook()
    record = await office.ask(channels=("book",))
    await notifier(office, book).send_due()
    for version in (1, 2):
        clock.at += 60
        event = Event("e1", "policy.approval.reminded", clock.at)
        assert await office.store.remind(replace(record, version=version), [event])
    await notifier(office, book).send_due()
    assert book.topics == ["requested", "reminded"]


async def test_those_to_whom_it_escalates_are_told_and_late_questions_to_others_are_not(office: Office) -> None:
    clock = office.clock = SetClock()
    book = Notebook(name="mail", kind="email", is_personal=True)
    await office.ask(channels=("mail",), approvers=(CFO,), expires=60.0, on_expiry="escalate", escalate_to=((CEO,),))
    clock.at += 61
    await lapse(office.store, clock, "a1")
    await notifier(office, book).send_due()
    assert book.topics == [f"escalated {CEO}"]


async def test_the_outcome_waits_for_a_question_that_is_under_way(office: Office) -> None:
    book = Notebook(answer=failing(failed("busy"), "r1"))
    await office.ask(channels=("book",))
    clock = office.clock = SetClock()
    clock.at = SystemClock().now()
    await notifier(office, book, pace=PATIENT).send_due()
    await office.decide()
    await notifier(office, book, pace=PATIENT).send_due()
    assert book.topics == ["requested"]
    clock.at += 3601
    await notifier(office, book, pace=PATIENT).send_due()
    assert book.topics == ["requested", "granted"]
    assert (await office.notices())["a1:granted:book"].attempts == 1


# what goes wrong


async def test_what_fails_is_tried_again_and_given_up_in_the_end(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    book = Notebook(answer=failing(failed("one"), failed("two"), failed("three")))
    await office.ask(channels=("book",))
    await notifier(office, book).send_due()
    (notice,) = (await office.notices()).values()
    assert (notice.status, notice.attempts, notice.error) == (NoticeStatus.DEAD, 3, "three")
    assert "is given up: three" in caplog.text


async def test_what_would_never_arrive_is_given_up_at_once(office: Office) -> None:
    book = Notebook(answer=failing(failed("gone", is_final=True)))
    await office.ask(channels=("book",))
    await notifier(office, book).send_due()
    assert len(book.noted) == 1
    assert await office.statuses() == {"a1:requested:book": "dead"}


async def test_the_waits_grow_and_a_receiver_may_ask_for_more(office: Office) -> None:
    clock = office.clock = SetClock()
    book = Notebook(answer=failing(failed("a"), failed("b"), failed("c", retry_after=500.0)))
    pace = replace(HASTY, retry=Retry(attempts=9, initial=10.0, maximum=3600.0, jitter="none"))
    await office.ask(channels=("book",))
    waits = []
    for _ in range(3):
        await notifier(office, book, pace=pace).send_due()
        due = await office.store.next_notice(["book"])
        assert due is not None
        waits.append(due - clock.at)
        clock.at = due
    assert waits == [10.0, 20.0, 500.0]


async def test_an_error_of_the_channel_is_a_failure_whose_words_are_not_kept(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "assent")
    book = Notebook(answer=failing(*[RuntimeError("s3cret")] * 3))
    await office.ask(channels=("book",))
    await notifier(office, book).send_due()
    (notice,) = (await office.notices()).values()
    assert notice.error == "the channel raised RuntimeError"
    assert "s3cret" not in caplog.text


async def test_a_channel_that_takes_too_long_is_interrupted(office: Office) -> None:
    await office.ask(channels=("stuck",))
    await notifier(office, Stuck(), pace=replace(HASTY, limit=0.02)).send_due()
    (notice,) = (await office.notices()).values()
    assert notice.error == "it took longer than 0.02 s"


async def test_a_broken_channel_delays_no_other(office: Office) -> None:
    stuck, book = Stuck(), Notebook()
    async with notifier(office, stuck, book, pace=replace(HASTY, limit=60.0, grace=0.0)) as running:
        await office.ask(channels=("stuck", "book"))
        running.nudge()
        await stuck.started.wait()
        await book.holds(1)
        await office.decide()
        running.nudge()
        await book.holds(2)
    assert book.topics == ["requested", "granted"]
    assert (await office.statuses())["a1:requested:stuck"] == "pending"


class Ear(logging.Handler):
    """Hears what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.set()


async def test_a_store_that_fails_is_asked_again(office: Office, tmp_path: Path) -> None:
    book, ear, log = Notebook(), Ear(), logging.getLogger("assent.notify")
    store = SqliteStore(str(tmp_path / "assent.db"))
    async with store:
        pass
    log.addHandler(ear)
    try:
        async with Notifier(store, office.clock, [book], pace=HASTY):
            await ear.heard.wait()
            async with store:
                await office.ask(channels=("book",))
                await book.holds(1)
                assert book.topics == ["requested"]
    finally:
        log.removeHandler(ear)


# in the background, in several processes


async def test_it_works_in_the_background_also_for_notices_of_other_processes(office: Office) -> None:
    book = Notebook()
    async with notifier(office, book):
        await office.ask(channels=("book",))
        await book.holds(1)
    assert await office.statuses() == {"a1:requested:book": "sent"}


async def test_what_is_written_just_before_the_end_still_goes_out(office: Office) -> None:
    book = Notebook()
    async with notifier(office, book, pace=replace(HASTY, look_every=60.0)) as running:
        await office.ask(channels=("book",))
        assert book.noted == []
    assert book.topics == ["requested"]
    assert running is not None


async def test_it_stops_after_what_is_under_way(office: Office) -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    class Slow(Notebook):
        async def send(self, notification: Notification) -> str | None:
            started.set()
            await may_end.wait()
            return await super().send(notification)

    book = Slow()
    await office.ask(channels=("book",))
    async with notifier(office, book):
        await started.wait()
        asyncio.get_running_loop().call_soon(may_end.set)
    assert await office.statuses() == {"a1:requested:book": "sent"}


async def test_several_processes_send_each_notice_once(office: Office, tmp_path: Path) -> None:
    book = Notebook()
    for number in range(60):
        await office.ask(f"a{number}", channels=("book",))
    async with SqliteStore(str(tmp_path / "assent.db")) as other, SqliteStore(str(tmp_path / "assent.db")) as third:
        for store in (office.store, other, third):
            await store.notices(limit=1)
        sends = [Notifier(each, office.clock, [book], pace=HASTY).send_due() for each in (office.store, other, third)]
        closed = await asyncio.gather(*sends)
    assert sorted(one.approval_id for one in book.noted) == sorted(f"a{number}" for number in range(60))
    assert sum(map(len, closed)) == 60


async def test_a_notice_whose_process_died_is_sent_by_another_with_the_same_id(office: Office) -> None:
    clock = office.clock = SetClock()
    book = Notebook()
    await office.ask(channels=("book",))
    (claimed,) = await office.store.claim_notices(["book"], now=clock.at, until=clock.at + 15.0, limit=9)
    await notifier(office, book).send_due()
    assert book.noted == []
    clock.at += 16
    await notifier(office, book).send_due()
    assert [one.id for one in book.noted] == [claimed.id]


async def test_channels_have_different_plain_names(office: Office) -> None:
    for names in (["a", "a"], ["a b"], [""], ["a:b"]):
        with pytest.raises(UsageError):
            notifier(office, *[Notebook(name=name) for name in names])
    with pytest.raises(UsageError):
        notifier(office, link="javascript:{approval_id}")


# with real channels


async def test_slack_shows_the_outcome_in_the_message_that_asked(office: Office) -> None:
    def answer(request: Received) -> Answer:
        return said(ok=True, channel="C1", ts="17.5")

    async with web_server(WebServer(usual=answer)) as server:
        slack = SlackChannel(token="xoxb-1", channel="#a", base_url=server.url)
        await office.ask(channels=("slack",), approvers=("role:finance",))
        await notifier(office, slack).send_due()
        await office.decide(status=ApprovalStatus.REJECTED)
        await notifier(office, slack).send_due()
    assert [one.path for one in server.received] == ["/chat.postMessage", "/chat.update"]
    update = content(server.received[1])
    assert (update["channel"], update["ts"], update["text"]) == ("C1", "17.5", "Rejected: wire_transfer")


async def test_mail_is_delayed_and_not_lost_by_a_server_that_is_down(office: Office) -> None:
    clock = office.clock = SetClock()
    async with mail_server(MailServer()) as server:
        pass
    mail = EmailChannel(host="127.0.0.1", port=server.port, security="none", sender="a@company.com")
    await office.ask(channels=("email",), approvers=(CFO, CEO))
    await notifier(office, mail, pace=PATIENT).send_due()
    assert list((await office.statuses()).values()) == ["sent", "pending", "pending"]
    clock.at += 3601
    async with mail_server(server):
        await notifier(office, mail, pace=PATIENT).send_due()
        await office.decide()
        await notifier(office, mail, pace=PATIENT).send_due()
    assert sorted(server.recipients) == sorted([CFO, CEO] * 2)
    granted = [one for one in server.received if one["Subject"] == "Approved: wire_transfer"]
    asked = [one for one in server.received if one not in granted]
    assert {one["In-Reply-To"] for one in granted} == {one["Message-ID"] for one in asked}
    assert set((await office.statuses()).values()) == {"sent"}


async def test_no_secret_of_a_channel_reaches_the_store(office: Office, tmp_path: Path) -> None:
    secret = base64.b64encode(b"a secret of more than enough bytes").decode()
    async with web_server(WebServer(usual=lambda _: Answer(500, secret.encode()))) as server:
        hook = WebhookChannel(url=f"{server.url}/{secret[:20]}", secret=secret)
        slack = SlackChannel(token=f"xoxb-{secret}", channel="#a", base_url=server.url)
        await office.ask(channels=("webhook", "slack"))
        await notifier(office, hook, slack, pace=Pace(retry=Retry(attempts=1))).send_due()
    assert set((await office.statuses()).values()) == {"dead"}
    stored = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert secret[:20].encode() not in stored

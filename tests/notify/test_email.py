"""E-mails, against an SMTP server of another project."""

import ssl
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from assent.errors import DeliveryFailed, UsageError
from assent.notify import EmailChannel, Templates
from tests.notify.ground import NOW, notification
from tests.notify.servers import PASSWORD, USER, Certificate, MailServer, mail_server, silent_server


def channel(port: int, **facts: Any) -> EmailChannel:
    usual = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "Assent <assent@company.com>"}
    return EmailChannel(**{"timeout": 5.0, **usual, **facts})


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


async def failure(of: EmailChannel, **facts: Any) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await of.send(notification(**facts))
    return caught.value


async def test_a_message_has_text_and_html_and_names_what_it_is_about() -> None:
    async with mail_server(MailServer()) as server:
        receipt = await channel(server.port).send(notification())
    (message,) = server.received
    assert server.recipients == ["cfo@company.com"]
    assert message["Subject"] == "Approval needed: wire_transfer"
    assert message["From"] == "Assent <assent@company.com>"
    assert message["To"] == "cfo@company.com"
    assert message["Message-ID"] == receipt
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.timestamp() == NOW
    for kind in ("plain", "html"):
        text = part(message, kind)
        assert "50000" in text
        assert "https://assent.example.com/approvals/a1" in text


async def test_a_repeat_bears_the_same_id_and_another_notice_another() -> None:
    async with mail_server(MailServer()) as server:
        sends = [await channel(server.port).send(notification(id=each)) for each in ("a:b", "a:b", "a:c")]
    assert sends[0] == sends[1] != sends[2]
    assert [message["Message-ID"] for message in server.received] == sends


async def test_a_later_message_answers_the_first() -> None:
    async with mail_server(MailServer()) as server:
        first = await channel(server.port).send(notification())
        await channel(server.port).send(notification(id="a1:granted", topic="granted", earlier=first))
    assert server.received[1]["In-Reply-To"] == first
    assert server.received[1]["References"] == first


async def test_hostile_text_injects_no_header_and_no_markup() -> None:
    evil = "Pay\r\nBcc: thief@evil.com\n\n<script>alert(1)</script>\x1b[31m\u202e"
    safe = notification(headline=f"Approval needed: {evil!a}", rows=(("note", "<b>&amp;</b>"),), preview="<i>\n</pre>")
    async with mail_server(MailServer()) as server:
        await channel(server.port).send(safe)
        await channel(server.port).send(replace(safe, headline=evil))
    assert server.recipients == ["cfo@company.com"] * 2
    for message in server.received:
        assert "Bcc" not in message
        assert str(message["Subject"]).isprintable()
        html = part(message, "html")
        assert "<script>" not in html
        assert "<b>" not in html
        assert "&lt;b&gt;&amp;amp;&lt;/b&gt;" in html
        assert html.count("</pre>") == 1


async def test_words_of_any_language_arrive() -> None:
    async with mail_server(MailServer()) as server:
        await channel(server.port).send(notification(headline="Genehmigung nötig: 支払い", rows=(("für", "Ünal"),)))
    (message,) = server.received
    assert message["Subject"] == "Genehmigung nötig: 支払い"
    assert "Ünal" in part(message, "plain")


async def test_starttls_and_login(certificate: Certificate) -> None:
    async with mail_server(MailServer(), tls=certificate.server, auth=True) as server:
        login = {"username": USER, "password": PASSWORD, "security": "starttls", "context": certificate.client}
        await channel(server.port, **login).send(notification())
    assert server.users == [USER]
    assert server.was_encrypted == [True]


async def test_tls_from_the_first_byte(certificate: Certificate) -> None:
    async with mail_server(MailServer(), implicit=certificate.server) as server:
        await channel(server.port, security="tls", context=certificate.client).send(notification())
    assert len(server.received) == 1


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Certificate) -> None:
    async with mail_server(MailServer(), tls=certificate.server) as server:
        error = await failure(channel(server.port, security="starttls", context=ssl.create_default_context()))
    assert not error.is_final
    assert server.received == []


async def test_starttls_is_required_and_not_tried() -> None:
    async with mail_server(MailServer()) as server:
        error = await failure(channel(server.port, security="starttls"))
    assert "STARTTLS" in error.reason.upper()
    assert server.received == []


async def test_a_wrong_password_can_be_mended_and_is_not_told(certificate: Certificate) -> None:
    async with mail_server(MailServer(), tls=certificate.server, auth=True) as server:
        login = {"username": USER, "password": "wrong-one", "security": "starttls", "context": certificate.client}
        mail = channel(server.port, **login)
        error = await failure(mail)
    assert "535" in error.reason
    assert not error.is_final
    assert "wrong-one" not in f"{error} {mail!r}"


async def test_a_recipient_who_is_refused_for_good_is_given_up() -> None:
    async with mail_server(MailServer(refusals=["550 no such user", "450 mailbox is busy"])) as server:
        gone, busy = await failure(channel(server.port)), await failure(channel(server.port))
        await channel(server.port).send(notification())
    assert (gone.is_final, busy.is_final) == (True, False)
    assert "550 no such user" in gone.reason
    assert len(server.received) == 1


async def test_a_message_that_is_refused_for_good_is_given_up() -> None:
    async with mail_server(MailServer(objections=["554 looks like spam", "451 try later"])) as server:
        spam, later = await failure(channel(server.port)), await failure(channel(server.port))
    assert (spam.is_final, later.is_final) == (True, False)


async def test_a_server_that_is_not_there_can_come_back() -> None:
    async with mail_server(MailServer()) as server:
        pass
    error = await failure(channel(server.port))
    assert not error.is_final
    async with mail_server(server):
        await channel(server.port).send(notification())
    assert len(server.received) == 1


async def test_a_server_that_never_answers_is_left() -> None:
    async with silent_server() as port:
        error = await failure(channel(port, timeout=0.1))
    assert not error.is_final
    assert "did not answer" in error.reason or "Timed out" in error.reason


@pytest.mark.parametrize("address", ["", "nobody", "a@b\r\nRCPT TO:<c@d>", "two@x.com, three@x.com", "a b@x.com"])
async def test_what_is_no_address_is_never_sent_to(address: str) -> None:
    async with mail_server(MailServer()) as server:
        error = await failure(channel(server.port), address=address)
    assert error.is_final
    assert server.received == []


@pytest.mark.parametrize(
    ("facts", "remedy"),
    [
        ({"host": "mail.company.com"}, "readable"),
        ({"security": "ssl"}, "starttls"),
        ({"username": "x"}, "both or neither"),
        ({"sender": "nobody"}, "assent@example.com"),
        ({"sender": "a@b.com\nBcc: c@d.com"}, "assent@example.com"),
    ],
)
def test_a_channel_that_could_not_work_is_refused(facts: dict[str, Any], remedy: str) -> None:
    with pytest.raises(UsageError, match=remedy):
        channel(25, **facts)


def test_the_port_follows_the_security() -> None:
    ports = [
        EmailChannel(host="localhost", sender="a@b.com", security=each).port for each in ("starttls", "tls", "none")
    ]
    assert ports == [587, 465, 25]


def test_a_password_is_in_no_repr() -> None:
    assert PASSWORD not in repr(channel(25, username=USER, password=PASSWORD))


async def test_a_folder_overrides_single_texts(tmp_path: Path) -> None:
    (tmp_path / "subject.txt").write_text("[pay]\n {{ title }}", encoding="utf-8")
    (tmp_path / "html.html").write_text("<p>{{ rows[0][1] }}</p>", encoding="utf-8")
    async with mail_server(MailServer()) as server:
        await channel(server.port, templates=Templates(tmp_path)).send(notification(rows=(("x", "<y>"),)))
    (message,) = server.received
    assert message["Subject"] == "[pay] wire_transfer"
    assert part(message, "html").strip() == "<p>&lt;y&gt;</p>"
    assert "Approval needed" in part(message, "plain")

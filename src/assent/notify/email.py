"""Notifications by e-mail: SMTP, as text and HTML."""

import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from typing import Final, Literal, get_args

import aiosmtplib

from assent.clock import Duration, seconds
from assent.codec import digest
from assent.errors import DeliveryFailed, UsageError
from assent.governance.previews import harmless
from assent.notify.channel import Notification
from assent.notify.safety import failed, is_loopback, shortened
from assent.notify.templates import Templates

Security = Literal["starttls", "tls", "none"]

PORTS: Final = (("starttls", 587), ("tls", 465), ("none", 25))
LONGEST_SUBJECT: Final = 200
# Seconds for a goodbye. By then the message is accepted, whatever is answered.
FAREWELL: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmailChannel:
    """Sends each recipient an e-mail, over a connection of its own.

    `security` is "starttls" (required, not tried), "tls" from the first byte, or "none" for a server on this machine.
    People are written to at their address of the kind "email", or at their id if that is an address.
    """

    kind: str = field(default="email", init=False, repr=False)
    is_personal: bool = field(default=True, init=False, repr=False)

    host: str
    sender: str  # "assent@example.com" or "Assent <assent@example.com>"
    port: int | None = None  # None: 587, 465 or 25, as `security` says
    security: Security = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    name: str = "email"
    timeout: Duration = 15.0  # of each wait for the server
    context: ssl.SSLContext | None = field(default=None, repr=False)  # instead of the usual certificates
    templates: Templates = field(default_factory=Templates, repr=False)

    def __post_init__(self) -> None:
        if self.security not in get_args(Security):
            raise UsageError(f'security={self.security!r} is unknown. Give "starttls", "tls" or "none".')
        if self.security == "none" and not is_loopback(self.host):
            raise UsageError(f'security="none" would send approvals readable to {self.host}. Give "starttls" or "tls".')
        if (self.username is None) != (self.password is None):
            raise UsageError("username and password belong together. Give both or neither.")
        if "\n" in self.sender or "\r" in self.sender or _address(parseaddr(self.sender)[1]) is None:
            raise UsageError(f"sender={self.sender!r} is no e-mail address. Give one such as assent@example.com.")
        object.__setattr__(self, "timeout", seconds(self.timeout))
        object.__setattr__(self, "port", self.port or dict(PORTS)[self.security])

    async def send(self, notification: Notification) -> str | None:
        """Send it, and return its Message-ID, which is the same whenever it is sent again."""
        message = self._message(notification)
        client = self._client()
        try:
            await client.connect()
            await client.send_message(message)
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=FAREWELL)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise self._failed(error) from error
        except ValueError as error:
            raise failed("the address cannot be written in an e-mail to this server", is_final=True) from error
        finally:
            client.close()
        return str(message["Message-ID"])

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.security == "tls",
            start_tls=self.security == "starttls",
            tls_context=self.context,
            username=self.username,
            password=self.password,
            timeout=seconds(self.timeout),
        )

    def _message(self, notification: Notification) -> EmailMessage:
        address = _address(notification.address)
        if address is None:
            raise failed(f"{notification.address!r} is no e-mail address", is_final=True)
        subject = " ".join(self.templates.render("subject", notification).split())
        message = EmailMessage(policy=SMTP if notification.address.isascii() else SMTPUTF8)
        message["From"] = self.sender
        message["To"] = address
        message["Subject"] = shortened(harmless(subject), LONGEST_SUBJECT)
        message["Date"] = format_datetime(datetime.fromtimestamp(notification.at, UTC))
        message["Message-ID"] = self._message_id(notification)
        message["Auto-Submitted"] = "auto-generated"
        if notification.earlier is not None:
            message["In-Reply-To"] = message["References"] = notification.earlier
        message.set_content(self.templates.render("text", notification))
        message.add_alternative(self.templates.render("html", notification), subtype="html")
        return message

    def _message_id(self, notification: Notification) -> str:
        # Ids may hold characters that have a meaning in this header.
        return f"<{digest(notification.id)[:40]}@{parseaddr(self.sender)[1].rpartition('@')[2]}>"

    def _failed(self, error: Exception) -> DeliveryFailed:
        """What went wrong, in words, and whether it would go wrong each time."""
        secrets = [self.password or ""]
        match error:
            case aiosmtplib.SMTPRecipientsRefused() if error.recipients:
                return self._refusal("the recipient", error.recipients[0])
            case aiosmtplib.SMTPDataError():
                return self._refusal("the message", error)
            case aiosmtplib.SMTPResponseException():
                return failed(f"the server answered {error.code} {error.message}", secrets=secrets)
            case TimeoutError():
                return failed(f"the server did not answer within {self.timeout:g} s", secrets=secrets)
            case aiosmtplib.SMTPException():
                return failed(str(error) or type(error).__name__, secrets=secrets)
            case _:
                return failed(f"the server could not be reached: {type(error).__name__}", secrets=secrets)

    def _refusal(self, what: str, error: aiosmtplib.SMTPResponseException) -> DeliveryFailed:
        said = f"the server refused {what}: {error.code} {error.message}"
        return failed(said, secrets=[self.password or ""], is_final=500 <= error.code < 600)


def _address(text: str) -> Address | None:
    try:
        address = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError):
        return None
    return address if address.username and address.domain and text.isprintable() else None

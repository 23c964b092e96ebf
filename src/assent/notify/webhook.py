"""Notifications to programs: HTTP requests signed as Standard Webhooks asks for."""

import hashlib
import hmac
import ssl
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import httpx

from assent.clock import Clock, Duration, SystemClock, seconds
from assent.codec import digest, to_json
from assent.errors import UsageError
from assent.notify.channel import Notification
from assent.notify.safety import failed, is_loopback, seconds_of

PREFIX: Final = "whsec_"
SHORTEST_SECRET: Final = 24  # bytes, as the specification asks
# The receiver wants no more of these, or has moved for good; all else may pass.
FINAL: Final = frozenset({301, 308, 410})
IN_IDS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WebhookChannel:
    """Posts each notification as JSON to `url`, signed with `secret` ("whsec_..." and Base64).

    Several secrets give several signatures, so that receivers can change theirs one after the other. Redirects are not
    followed. Which hosts may be reached is for the operator to say: addresses of private networks are fine.
    """

    kind: str = field(default="webhook", init=False, repr=False)
    is_personal: bool = field(default=False, init=False, repr=False)

    url: str = field(repr=False)  # often a secret itself
    secret: str | Sequence[str] = field(repr=False)
    name: str = "webhook"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    timeout: Duration = 15.0  # of connecting, and of each wait for the receiver
    context: ssl.SSLContext | None = field(default=None, repr=False)  # instead of the usual certificates
    proxy: str | None = field(default=None, repr=False)
    clock: Clock = field(default_factory=SystemClock, repr=False)
    _keys: tuple[bytes, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        texts = (self.secret,) if isinstance(self.secret, str) else tuple(self.secret)
        _check_url(self.url)
        object.__setattr__(self, "timeout", seconds(self.timeout))
        object.__setattr__(self, "context", self.context or ssl.create_default_context())
        object.__setattr__(self, "_keys", _keys_of(texts))

    async def send(self, notification: Notification) -> str | None:
        """Post it. Every answer from 200 to 299 will do."""
        request = self._request(notification)
        try:
            # The transport alone: a client would follow the environment's proxies and write each URL to the log.
            async with httpx.AsyncHTTPTransport(verify=self.context or True, proxy=self.proxy) as transport:
                response = await transport.handle_async_request(request)
                await response.aclose()
        except httpx.HTTPError as error:
            raise failed(f"the receiver could not be reached: {type(error).__name__}") from error
        if not 200 <= response.status_code < 300:
            raise failed(
                f"the receiver answered {response.status_code}{_meaning(response.status_code)}",
                is_final=response.status_code in FINAL,
                retry_after=seconds_of(response.headers.get("retry-after")),
            )
        return None

    def _request(self, notification: Notification) -> httpx.Request:
        at, body, name = int(self.clock.now()), _body(notification), wire_id(notification.id)
        signature = self._signatures(name, at, body)
        signed = {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": signature}
        headers = {"user-agent": "assent", **self.headers, "content-type": "application/json", **signed}
        limits = httpx.Timeout(seconds(self.timeout)).as_dict()
        return httpx.Request("POST", self.url, content=body, headers=headers, extensions={"timeout": limits})

    def _signatures(self, id: str, at: int, body: bytes) -> str:
        content = f"{id}.{at}.".encode() + body
        macs = (hmac.digest(key, content, hashlib.sha256) for key in self._keys)
        return " ".join(f"v1,{b64encode(mac).decode()}" for mac in macs)


def wire_id(id: str) -> str:
    """The id of a notice as it stands in a header: itself, or a digest of it if it holds anything unusual."""
    return id if set(id) <= IN_IDS else f"msg_{digest(id)}"


def _body(notification: Notification) -> bytes:
    at = datetime.fromtimestamp(notification.at, UTC).isoformat(timespec="milliseconds")
    data = {**notification.facts, "headline": notification.headline, "link": notification.link}
    return to_json({"type": f"approval.{notification.topic}", "timestamp": at, "data": data}).encode()


def _meaning(status: int) -> str:
    if 300 <= status < 400:
        return ", a redirect, which is not followed"
    return ": it wants no more of these" if status in FINAL else ""


def _check_url(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError("The URL of a webhook cannot be read. Give one such as https://example.com/hooks.") from error
    is_safe = parsed.scheme == "https" or (parsed.scheme == "http" and is_loopback(parsed.host))
    if not is_safe or not parsed.host:
        raise UsageError(
            "The URL of a webhook must begin with https:// and name a host (http:// only on this machine): anybody on "
            "the way could read what is asked."
        )
    if parsed.userinfo:
        raise UsageError('A URL with a password may be logged by others. Give headers={"authorization": ...} instead.')


def _keys_of(secrets: Sequence[str]) -> tuple[bytes, ...]:
    try:
        keys = tuple(b64decode(each.removeprefix(PREFIX), validate=True) for each in secrets)
    except ValueError:
        keys = ()
    if not keys or any(len(key) < SHORTEST_SECRET for key in keys):
        # Raised outside of the handler, so that no traceback shows the secret beside it.
        raise UsageError(f'A webhook needs a secret of at least {SHORTEST_SECRET} bytes, as "{PREFIX}" and Base64.')
    return keys

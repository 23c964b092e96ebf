"""Texts cut to size, errors without secrets, and what else keeps a message from doing harm."""

from base64 import b64encode
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from assent.errors import DeliveryFailed
from assent.governance.previews import harmless

LONGEST_VALUE: Final = 500  # characters of one value that are shown; the whole is in the store
LONGEST_REASON: Final = 300  # characters of an error that are kept


def shortened(text: str, length: int = LONGEST_VALUE) -> str:
    """The beginning of a text that is too long, with the number of characters left out."""
    return text if len(text) <= length else f"{text[:length]}… ({len(text) - length} more characters)"


def without(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, also where they stand in Base64 as in an answer to a login."""
    for secret in secrets:
        for form in (secret, b64encode(secret.encode()).decode()):
            text = text.replace(form, "[secret]") if form else text
    return text


def failed(
    reason: str, *, secrets: Iterable[str] = (), is_final: bool = False, retry_after: float | None = None
) -> DeliveryFailed:
    """The error of a channel, fit to be kept: one line, not long, without secrets."""
    told = shortened(harmless(" ".join(without(reason, secrets).split())), LONGEST_REASON)
    return DeliveryFailed(told, reason=told, is_final=is_final, retry_after=retry_after)


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine, so that it needs no encryption."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def seconds_of(header: str | None) -> float | None:
    """The wait that a Retry-After asks for; None if it says none in seconds."""
    return float(header) if header is not None and header.isascii() and header.isdigit() else None

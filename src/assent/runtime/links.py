"""Links by which one person decides one approval without signing in: signed, expiring, good for one verdict."""

import base64
import binascii
import hmac
import json
from dataclasses import dataclass, field
from typing import Any, Final, Self

from assent.clock import Clock, Duration, seconds, secret_bytes
from assent.codec import to_json
from assent.errors import LinkRefused, UsageError
from assent.runtime.credentials import digest_of, use_once
from assent.store import Store

SIGNER: Final = "decision links"  # the name of the store's secret that signs them
LIFETIME: Final = "72h"
DECIDE: Final = "/decide/"  # followed by the signed text
SHOWN: Final = "/shown/"  # the purpose of stamps
LOOK: Final = "/approvals/"  # followed by the approval's id: for people who sign in
USED: Final = "This link was used already. Sign in to see what became of it."
LONGEST: Final = 4096  # characters of a text that is worth reading


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLink:
    """What a link says: who may decide what by it, and until when (Unix seconds)."""

    approval_id: str
    person: str
    expires_at: float
    nonce: str  # of this link; it is kept once the link is used


@dataclass(frozen=True, slots=True)
class DecisionLinks:
    """Makes and reads links to decisions on one store, below the public URL of its web."""

    base_url: str
    clock: Clock
    key: bytes = field(repr=False)
    lifetime: Duration = LIFETIME

    @classmethod
    async def of(cls, store: Store, clock: Clock, base_url: str, lifetime: Duration = LIFETIME) -> Self:
        """Those of a store: every process that has it open makes and reads the same ones."""
        if not base_url.startswith(("https://", "http://")):
            raise UsageError(f"{base_url!r} is no URL of a web. Give one such as https://assent.example.com.")
        return cls(base_url.rstrip("/"), clock, await store.secret(SIGNER), lifetime)

    def make(self, approval_id: str, person: str) -> str:
        """A URL by which this person decides; without a person one for whoever signs in."""
        if not person:
            return f"{self.base_url}{LOOK}{approval_id}"
        facts = [approval_id, person, round(self.clock.now() + seconds(self.lifetime)), secret_bytes(12).hex()]
        payload = _text(to_json(facts).encode())
        return f"{self.base_url}{DECIDE}{payload}.{_text(self._signature(payload))}"

    def read(self, signed: str) -> DecisionLink:
        """What a signed text says. Raises LinkRefused if it is not ours, or has expired."""
        payload, _, signature = signed[:LONGEST].partition(".")
        if not hmac.compare_digest(_text(self._signature(payload)).encode(), signature.encode("utf-8", "replace")):
            raise LinkRefused("This link is not as it was sent. Open it from the message once more, or sign in.")
        approval_id, person, expires_at, nonce = _facts(payload)
        if expires_at <= self.clock.now():
            raise LinkRefused("This link has expired. Sign in to decide.")
        return DecisionLink(approval_id=approval_id, person=person, expires_at=expires_at, nonce=nonce)

    def stamp(self, link: DecisionLink) -> str:
        """When the page of a link is shown, signed: the form on it brings it back."""
        at = f"{self.clock.now():.3f}"
        return f"{at}/{_text(self._signature(f'{link.nonce}/{at}', SHOWN))}"

    def shown_at(self, link: DecisionLink, stamp: str) -> float | None:
        """When the page was shown from which a stamp comes; None for one that is not ours."""
        at, _, signature = stamp[:LONGEST].partition("/")
        ours = _text(self._signature(f"{link.nonce}/{at}", SHOWN))
        return float(at) if hmac.compare_digest(ours.encode(), signature.encode("utf-8", "replace")) else None

    def _signature(self, payload: str, purpose: str = DECIDE) -> bytes:
        # What it signs begins with what it is for, so that no other text under this key passes as a link.
        return hmac.digest(self.key, f"{purpose}{payload}".encode("utf-8", "replace"), "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _facts(payload: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error) as error:
        raise LinkRefused("This link is not as it was sent. Sign in to decide.") from error


async def use_link(store: Store, clock: Clock, link: DecisionLink) -> None:
    """Use up a link. Raises LinkRefused if it was used before; of those who come at once, one gets through."""
    is_first = await use_once(
        store,
        clock,
        "link",
        link.nonce,
        person=link.person,
        approval_id=link.approval_id,
        expires_at=link.expires_at,
    )
    if not is_first:
        raise LinkRefused(USED)


async def is_used(store: Store, link: DecisionLink) -> bool:
    """Whether somebody has decided by this link."""
    return await store.credential_by(digest_of(link.nonce)) is not None

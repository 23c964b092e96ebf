"""Letting people and programs in: tokens, sessions and one-time tickets, each worth something while its person is.

Every secret is random and shown once; the store has its SHA-256 and no more, so a stolen store lets nobody in. Such a
digest needs no salt and no slow hash: nobody guesses 192 random bits.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args
from urllib.parse import urlencode

from assent.clock import Clock, Duration, seconds, secret_bytes
from assent.errors import SignInRequired, UsageError
from assent.governance.action import names_of
from assent.governance.approvals import person
from assent.store import CredentialKind, CredentialRecord, PersonRecord, Store

PREFIX: Final = "assent"  # how a token begins, so that scanners for leaked secrets know one
TICKETS: Final = "/sign-in/"  # the path below which a ticket's secret is a page
SECRET_BYTES: Final = 24
SEEN_EVERY: Final = 300.0  # seconds between notes that a credential is in use: each of them is a commit
SEEN_PART: Final = 0.1  # of a session's time, if that is sooner
LONGEST_SESSION: Final = 7 * 86400.0  # however often it is used

Scope = Literal["read", "start", "decide", "operate", "administer", "metrics"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""What a token can be for: look; start executions; decide; cancel, signal and resolve; say who is who; read metrics."""

WORTHLESS: Final = "What was shown to get in is unknown, has expired, or was taken back. Sign in again."


@dataclass(frozen=True, slots=True)
class Fresh:
    """A credential just made, and its secret, which nobody can show again."""

    record: CredentialRecord
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever has shown a credential that is worth something."""

    record: CredentialRecord
    person: PersonRecord


async def add_token(
    store: Store,
    clock: Clock,
    who: str,
    *,
    name: str = "",
    scopes: Iterable[str] = (),
    expires: Duration | None = "90d",
) -> Fresh:
    """Make a token for programs that act for a person: for all that the person may do, or for these scopes only."""
    wanted = names_of("scopes", scopes)
    for scope in wanted:
        if scope not in SCOPES:
            raise UsageError(f"There is no scope {scope!r}. Give some of {', '.join(SCOPES)}, or none for all.")
    made = await _new(store, clock, who, "token", expires)
    record = replace(made.record, name=name, scopes=wanted)
    await store.add_credential(record)
    return Fresh(record, f"{PREFIX}_{record.id}_{made.secret}")


async def add_ticket(store: Store, clock: Clock, who: str, *, expires: Duration = "15m") -> Fresh:
    """Make a ticket for one sign-in."""
    made = await _new(store, clock, who, "ticket", expires)
    await store.add_credential(made.record)
    return made


async def add_session(store: Store, clock: Clock, who: str, *, expires: Duration = "12h") -> Fresh:
    """Open a session. It expires that long after it was last used, and after a week at the latest."""
    now = clock.now()
    await store.prune_credentials(now - SEEN_EVERY)
    made = await _new(store, clock, who, "session", expires)
    await store.add_credential(made.record)
    return made


async def _new(store: Store, clock: Clock, who: str, kind: CredentialKind, expires: Duration | None) -> Fresh:
    known, now = await known_person(store, who), clock.now()
    secret = secret_bytes(SECRET_BYTES).hex()
    record = CredentialRecord(
        id=clock.new_id().replace("-", ""),
        kind=kind,
        digest=digest_of(secret),
        person=known.id,
        created_at=now,
        expires_at=None if expires is None else now + seconds(expires),
    )
    return Fresh(record, secret)


async def known_person(store: Store, who: str) -> PersonRecord:
    """A person of the store who is not disabled. Raises UsageError."""
    record = await store.person(person(who))
    if record is None:
        raise UsageError(f"Nobody is known as {who!r}. `assent users add {who} --access approver` adds them.")
    if record.disabled_at is not None:
        raise UsageError(f"{record.id} is disabled, and nothing lets them in. `assent users enable {record.id}` first.")
    return record


def digest_of(secret: str) -> str:
    """Under which a secret is kept."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


async def holder_of_token(store: Store, clock: Clock, text: str) -> Holder:
    """Who shows this token. Raises SignInRequired if it is worth nothing, and does not say why."""
    start, _, rest = text.partition("_")
    credential_id, _, secret = rest.partition("_")
    record = await store.credential(credential_id) if start == PREFIX else None
    # Compared also where there is none, so that the time it takes tells nothing of which ids there are.
    fits = hmac.compare_digest(record.digest if record else digest_of(""), digest_of(secret))
    if record is None or not fits:
        raise SignInRequired(WORTHLESS)
    holder = await _holder(store, clock, record, "token")
    await _see(store, clock, record, record.expires_at, SEEN_EVERY)
    return holder


async def holder_of_session(store: Store, clock: Clock, secret: str, *, expires: Duration = "12h") -> Holder:
    """Whose session this is; it now expires later. Raises SignInRequired."""
    holder = await _holder(store, clock, await store.credential_by(digest_of(secret)), "session")
    latest, length = holder.record.created_at + LONGEST_SESSION, seconds(expires)
    every = min(SEEN_EVERY, length * SEEN_PART)
    await _see(store, clock, holder.record, min(clock.now() + length, latest), every)
    return holder


async def holder_of_ticket(store: Store, clock: Clock, secret: str) -> Holder:
    """Who may sign in with this ticket, which is not used up by looking. Raises SignInRequired."""
    return await _holder(store, clock, await store.credential_by(digest_of(secret)), "ticket")


async def use_ticket(store: Store, clock: Clock, secret: str) -> Holder:
    """Use up a ticket: of all who show it, one gets in. Raises SignInRequired."""
    holder = await holder_of_ticket(store, clock, secret)
    if not await store.use_credential(holder.record.id, clock.now()):
        raise SignInRequired(WORTHLESS)
    return holder


async def holder_of(store: Store, clock: Clock, credential_id: str) -> Holder:
    """Whoever has shown this credential before, if it is still worth something. Raises SignInRequired."""
    record = await store.credential(credential_id)
    return await _holder(store, clock, record, record.kind if record is not None else "token")


async def _holder(store: Store, clock: Clock, record: CredentialRecord | None, kind: CredentialKind) -> Holder:
    if record is None or record.kind != kind or not is_good(record, clock.now()):
        raise SignInRequired(WORTHLESS)
    known = await store.person(record.person)
    if known is None or known.disabled_at is not None:
        raise SignInRequired(WORTHLESS)
    return Holder(record, known)


def is_good(record: CredentialRecord, now: float) -> bool:
    """Whether a credential lets its person in, if that person may come in at all."""
    is_over = record.expires_at is not None and record.expires_at <= now
    return not is_over and record.used_at is None and record.revoked_at is None


async def _see(store: Store, clock: Clock, record: CredentialRecord, expires_at: float | None, every: float) -> None:
    now = clock.now()
    if now - (record.last_seen_at or record.created_at) >= every:
        await store.touch_credential(record.id, now, expires_at)


async def revoke(store: Store, clock: Clock, credential_id: str) -> bool:
    """From now on a credential is worth nothing. False: it was worth nothing before."""
    return await store.revoke_credential(credential_id, clock.now())


async def revoke_sessions(store: Store, clock: Clock, who: str) -> int:
    """End every session of a person; returns how many there were."""
    found = await store.credentials("session", person(who))
    return sum([await revoke(store, clock, one.id) for one in found if is_good(one, clock.now())])


async def use_once(
    store: Store,
    clock: Clock,
    kind: CredentialKind,
    secret: str,
    *,
    person: str,
    expires_at: float,
    approval_id: str | None = None,
) -> bool:
    """Note that something of which only its secret is known is used; of all who try, one gets True.

    The note is kept until it expires, and by then the thing itself must have.
    """
    digest, now = digest_of(secret), clock.now()
    record = CredentialRecord(
        id=f"{kind}:{digest}",
        kind=kind,
        digest=digest,
        person=person,
        approval_id=approval_id,
        created_at=now,
        expires_at=expires_at,
        used_at=now,
    )
    return await store.add_credential(record)


def ticket_url(base_url: str, ticket: Fresh, onward: str = "") -> str:
    """Where a ticket signs its person in; from there they go on to the path `onward`."""
    query = f"?{urlencode({'next': onward})}" if onward else ""
    return f"{base_url.rstrip('/')}{TICKETS}{ticket.secret}{query}"

"""`assent tokens` and `assent sign-in-link`: what lets programs and people in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from assent.cli.output import Row, Screen, iso, moment, plain
from assent.cli.stored import opened
from assent.clock import SystemClock
from assent.errors import UsageError
from assent.governance.approvals import person
from assent.runtime import credentials
from assent.store import CredentialRecord, Store

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Order:
    """What token to make. Without scopes it is for all that the person may do."""

    person: str
    name: str
    scopes: Sequence[str]
    expires: str | None


async def add(screen: Screen, url: str | None, order: Order, *, as_json: bool) -> None:
    """`assent tokens add`."""
    async with opened(url) as store:
        fresh = await credentials.add_token(
            store, SystemClock(), order.person, name=order.name, scopes=order.scopes, expires=order.expires
        )
    if as_json:
        screen.json({**_facts(fresh.record), "token": fresh.secret})
        return
    screen.say(fresh.secret)
    screen.say()
    screen.say(
        f"Keep it now: it is not shown again. It is for {_reach(fresh.record)}, and {_end(fresh.record, screen)}."
    )


async def list_tokens(screen: Screen, url: str | None, *, person: str | None, as_json: bool) -> None:
    """`assent tokens list`."""
    async with opened(url) as store:
        found = await _tokens(store, person)
    if as_json:
        screen.json([_facts(each) for each in found])
    elif not found:
        screen.say("There are no tokens. `assent tokens add` makes one.")
    else:
        rows = [_row(each, screen) for each in found]
        screen.table(["TOKEN", "PERSON", "NAME", "FOR", "STATUS"], rows, "MORE")


async def _tokens(store: Store, who: str | None) -> list[CredentialRecord]:
    return await store.credentials("token", None if who is None else person(who))


def _facts(record: CredentialRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "person": record.person,
        "name": record.name,
        "scopes": list(record.scopes),
        "created_at": iso(record.created_at),
        "expires_at": iso(record.expires_at),
        "last_seen_at": iso(record.last_seen_at),
        "revoked_at": iso(record.revoked_at),
    }


def _row(record: CredentialRecord, screen: Screen) -> Row:
    cells = [
        plain(record.id),
        plain(record.person),
        plain(record.name),
        plain(", ".join(record.scopes) or "everything"),
    ]
    used = "never used" if record.last_seen_at is None else f"last used {moment(record.last_seen_at, screen.now)}"
    return Row([*cells, _status(record, screen.now)], [plain(_end(record, screen)), plain(used)])


def _status(record: CredentialRecord, now: float) -> Text:
    if record.revoked_at is not None:
        return Text("revoked", style="red")
    if record.expires_at is not None and record.expires_at <= now:
        return Text("expired", style="red")
    return Text("active", style="green")


def _end(record: CredentialRecord, screen: Screen) -> str:
    if record.revoked_at is not None:
        return f"taken back {moment(record.revoked_at, screen.now)}"
    if record.expires_at is None:
        return "never expires"
    return f"{'expired' if record.expires_at <= screen.now else 'expires'} {moment(record.expires_at, screen.now)}"


def _reach(record: CredentialRecord) -> str:
    return ", ".join(record.scopes) or f"all that {record.person} may do"


async def revoke(screen: Screen, url: str | None, token: str) -> None:
    """`assent tokens revoke`."""
    async with opened(url) as store:
        record = await _one(store, token)
        was_good = await credentials.revoke(store, SystemClock(), record.id)
    words = "lets nobody in any more" if was_good else "was taken back before"
    screen.say(f"The token {record.id} of {record.person} {words}.")


async def _one(store: Store, token: str) -> CredentialRecord:
    """The token with that id, or the only one whose id begins so. Somebody may give the token itself, too."""
    start = token.split("_")[1] if token.startswith(f"{credentials.PREFIX}_") else token
    found = [each for each in await _tokens(store, None) if start and each.id.startswith(start)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"There is no token {start!r} in this store. `assent tokens list` shows those that are.")
    names = ", ".join(each.id for each in found[:SHOWN])
    raise UsageError(f"{start!r} is the beginning of {len(found)} tokens: {names} ... Give more of it.")


async def invite(screen: Screen, url: str | None, who: str, base_url: str, *, expires: str, as_json: bool) -> None:
    """`assent sign-in-link`."""
    async with opened(url) as store:
        ticket = await credentials.add_ticket(store, SystemClock(), who, expires=expires)
    link = credentials.ticket_url(base_url, ticket)
    record = ticket.record
    if as_json:
        screen.json({"person": record.person, "url": link, "expires_at": iso(record.expires_at)})
        return
    screen.say(link)
    screen.say()
    screen.say(f"It lets {record.person} sign in, once, and {_end(record, screen)}.")

"""`assent users`: who decides, in which roles, and who stands in for whom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from assent.cli.moments import coming
from assent.cli.output import Row, Screen, iso, moment, plain
from assent.cli.stored import opened
from assent.clock import SystemClock
from assent.errors import UsageError
from assent.governance import people
from assent.governance.approvals import ROLE, person
from assent.store import DelegationRecord, PersonRecord, Store

SHOWN = 3
# Seconds within which a delegation that is about to begin is one that holds.
SOON = 60.0


async def add(
    screen: Screen,
    url: str | None,
    id: str,
    *,
    name: str | None,
    roles: Sequence[str] | None,
    contacts: Sequence[str] | None,
    access: str | None = None,
) -> None:
    """`assent users add`."""
    addresses = None if contacts is None else dict(_contact(each) for each in contacts)
    async with opened(url) as store:
        known = await _known(store, id)
        record = await people.add_person(
            store,
            SystemClock(),
            id,
            name=known.name if known and name is None else name or "",
            roles=known.roles if known and roles is None else [each for each in roles or () if each],
            contacts=known.contacts if known and addresses is None else addresses,
            access=access,
        )
    extent = f", with the access {record.access}" if record.access else ""
    screen.say(f"{record.id} is {'known anew' if known else 'added'}, {_roles_in_words(record)}{extent}.")


async def _known(store: Store, id: str) -> PersonRecord | None:
    return next((each for each in await store.people() if person(each.id) == person(id)), None)


def _contact(pair: str) -> tuple[str, str]:
    kind, equals, address = pair.partition("=")
    if not (kind and equals and address):
        raise UsageError(f"{pair!r} is no contact. Write --contact kind=address, as in slack=U012AB3CD.")
    return kind, address


def _roles_in_words(record: PersonRecord) -> str:
    return f"in the roles {', '.join(record.roles)}" if record.roles else "without roles"


async def list_people(screen: Screen, url: str | None, *, role: str | None, as_json: bool) -> None:
    """`assent users list`."""
    wanted = None if role is None else role.removeprefix(ROLE)
    async with opened(url) as store:
        found = [each for each in await store.people() if wanted is None or wanted in each.roles]
        lent = [each for each in await store.delegations() if _is_to_hold(each, screen.now)]
    if as_json:
        screen.json([_facts(each, lent) for each in found])
    elif not found:
        screen.say("Nobody is known yet. Approvers who are not stand for themselves; `assent users add` adds people.")
    else:
        screen.table(["PERSON", "NAME", "ROLES", "STATUS"], [_row(each, lent, screen.now) for each in found], "MORE")


def _is_to_hold(delegation: DelegationRecord, now: float) -> bool:
    """Whether it holds, or will."""
    return delegation.until > now and delegation.ended_at is None


def _facts(record: PersonRecord, lent: Sequence[DelegationRecord]) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "roles": list(record.roles),
        "contacts": dict(record.contacts),
        "access": record.access,
        "created_at": iso(record.created_at),
        "disabled_at": iso(record.disabled_at),
        "delegations": [
            {
                "id": each.id,
                "delegate": each.delegate,
                "since": iso(each.since),
                "until": iso(each.until),
                "away": each.is_away,
                "reason": each.reason,
            }
            for each in lent
            if person(each.delegator) == person(record.id)
        ],
    }


def _row(record: PersonRecord, lent: Sequence[DelegationRecord], now: float) -> Row:
    status = Text("active", style="green") if record.disabled_at is None else Text("disabled", style="red")
    cells = [plain(record.id), plain(record.name), plain(", ".join(record.roles)), status]
    return Row(cells, [plain(each) for each in _notes(record, lent, now)])


def _notes(record: PersonRecord, lent: Sequence[DelegationRecord], now: float) -> Iterator[str]:
    if record.disabled_at is not None:
        yield f"since {moment(record.disabled_at, now)}"
    if record.access:
        yield f"access {record.access}"
    for kind, address in record.contacts.items():
        yield f"{kind} {address}"
    for each in lent:
        if person(each.delegator) == person(record.id):
            yield _delegation_in_words(each, now)


def _delegation_in_words(delegation: DelegationRecord, now: float) -> str:
    words = f"{delegation.delegate} stands in"
    if delegation.since > now + SOON:
        words += f" from {moment(delegation.since, now)}"
    words += f" until {moment(delegation.until, now)}"
    words += ", out of office" if delegation.is_away else ""
    words += f" ({delegation.reason})" if delegation.reason else ""
    return f"{words}, delegation {delegation.id}"


async def disable(screen: Screen, url: str | None, id: str) -> None:
    """`assent users disable`."""
    async with opened(url) as store:
        record = await people.disable_person(store, SystemClock(), id)
    screen.say(f"Nothing that {record.id} says counts any more, nor what they have said on approvals still open.")


async def enable(screen: Screen, url: str | None, id: str) -> None:
    """`assent users enable`."""
    async with opened(url) as store:
        record = await people.enable_person(store, SystemClock(), id)
    screen.say(f"{record.id} may decide again, {_roles_in_words(record)}.")


@dataclass(frozen=True, slots=True)
class Term:
    """How long one person stands in for another, and why."""

    until: str
    since: str | None
    is_away: bool
    reason: str


async def delegate(screen: Screen, url: str | None, delegator: str, to: str, term: Term) -> None:
    """`assent users delegate`."""
    until = coming(term.until, screen.now)
    since = coming(term.since, screen.now) if term.since else None
    if until <= (screen.now if since is None else since):
        raise UsageError(
            f"--until {term.until} is over by then. Give a later moment, or for how long: 3d, 2030-01-31T18:00."
        )
    async with opened(url) as store:
        record = await people.delegate(
            store, SystemClock(), delegator, to, until=until, since=since, is_away=term.is_away, reason=term.reason
        )
    screen.say(f"For {record.delegator}, {_delegation_in_words(record, screen.now)}.")


async def undelegate(screen: Screen, url: str | None, id: str) -> None:
    """`assent users undelegate`."""
    async with opened(url) as store:
        found = await _delegation(store, id)
        record = await people.end_delegation(store, SystemClock(), found.id)
    if record.ended_at is None:
        screen.say(f"It was over already, {moment(record.until, screen.now)}.")
    else:
        screen.say(f"{record.delegate} stands in for {record.delegator} no longer.")


async def _delegation(store: Store, id: str) -> DelegationRecord:
    """The delegation with that id, or the only one whose id begins so."""
    everything = await store.delegations()
    found = [each for each in everything if each.id == id] or [
        each for each in everything if id and each.id.startswith(id)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"There is no delegation {id!r} in this store. `assent users list` shows those that hold.")
    names = ", ".join(each.id for each in found[:SHOWN])
    raise UsageError(f"{id!r} is the beginning of {len(found)} delegations: {names} ... Give more of it.")

"""People, their roles, and who stands in for whom: who may sit on which seat of an approval, and whom to tell."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, NamedTuple

from assent.clock import Clock
from assent.errors import UsageError
from assent.governance.action import names_of
from assent.governance.approvals import ROLE, ApprovalRequest, is_role, person
from assent.store import DelegationRecord, PersonRecord, Store, VerdictRecord

ACCESSES: Final = ("", "viewer", "approver", "operator", "admin")
"""What people may be let do in the web; the first sees and decides only what is asked of them."""

FOR: Final = " for "  # between a role and the person for whom somebody else sits on its seat


class Seat(NamedTuple):
    """A place from which somebody decides.

    Each seat is one voice, whoever speaks: that of its `holder`, who may have delegated it.
    """

    entry: str  # of the request's approvers
    holder: str  # the person, in the form that `person` gives

    def text(self, approver: str) -> str:
        """The seat as a verdict of this approver names it."""
        is_plain = not is_role(self.entry) or self.holder == person(approver)
        return self.entry if is_plain else f"{self.entry}{FOR}{self.holder}"


def seat_of(request: ApprovalRequest, approver: str, text: str) -> Seat | None:
    """The seat that a verdict names; None if the request has no such seat, or if it must not be sat on.

    A verdict that names none is the person's own.
    """
    text = text or approver
    for entry in request.approvers:
        seat = _named(entry, approver, text)
        if seat is not None:
            return None if request.bars(approver) or request.bars(seat.holder) else seat
    return None


def _named(entry: str, approver: str, text: str) -> Seat | None:
    if not is_role(entry):
        return Seat(entry, person(entry)) if person(text) == person(entry) else None
    if text == entry:
        return Seat(entry, person(approver))
    return Seat(entry, person(text.removeprefix(entry + FOR))) if text.startswith(entry + FOR) else None


def _nobody() -> Mapping[str, PersonRecord]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is who at one moment. People of whom it knows nothing stand for themselves.

    `delegations` are those in force; in a roster made by `history_of` they are all that there ever were.
    """

    people: Mapping[str, PersonRecord] = field(default_factory=_nobody)
    delegations: Sequence[DelegationRecord] = ()

    def __post_init__(self) -> None:
        known = {person(one.id): one for one in self.people.values()}
        object.__setattr__(self, "people", MappingProxyType(known))
        object.__setattr__(self, "delegations", tuple(sorted(self.delegations, key=lambda one: (one.since, one.id))))

    def is_disabled(self, who: str, at: float | None = None) -> bool:
        """Whether nothing this person says counts; with `at`, whether that was so at that moment."""
        record = self.people.get(person(who))
        return record is not None and record.disabled_at is not None and (at is None or record.disabled_at <= at)

    def roles(self, who: str) -> tuple[str, ...]:
        """The roles of a person, disabled or not, by name: "finance"."""
        record = self.people.get(person(who))
        return tuple(record.roles) if record is not None else ()

    def has_role(self, who: str, entry: str) -> bool:
        """Whether a person has the role of an entry such as "role:finance"."""
        return entry.removeprefix(ROLE) in self.roles(who)

    def stand_ins(self, who: str) -> Iterator[DelegationRecord]:
        """The delegations of a person to others."""
        return (one for one in self.delegations if person(one.delegator) == person(who))

    def has_stood_in(self, delegate: str, delegator: str, at: float) -> bool:
        """Whether one stood in for the other at a moment."""
        return any(
            person(one.delegate) == person(delegate) and one.since <= at < _end(one)
            for one in self.stand_ins(delegator)
        )

    def seats(self, request: ApprovalRequest, who: str) -> tuple[str, ...]:
        """The entries of the request's approvers for which this person may decide.

        First their own, then those of their roles, then those of people for whom they stand in.
        """
        return tuple(dict.fromkeys(seat.entry for seat in self.sittings(request, who)))

    def sittings(self, request: ApprovalRequest, who: str) -> tuple[Seat, ...]:
        """The same with whose seat each is, so that a role may be there several times."""
        if request.bars(who) or self.is_disabled(who):
            return ()
        found = [*self._own_seats(request, who)]
        for one in self.delegations:
            if person(one.delegate) == person(who):
                found += self._lent_seats(request, one.delegator)
        return tuple(dict.fromkeys(found))

    def _lent_seats(self, request: ApprovalRequest, delegator: str) -> Iterator[Seat]:
        # What somebody may not do, nobody may do in their place.
        barred = request.bars(delegator) or self.is_disabled(delegator)
        return iter(()) if barred else self._own_seats(request, delegator)

    def _own_seats(self, request: ApprovalRequest, who: str) -> Iterator[Seat]:
        holder = person(who)
        yield from (Seat(one, holder) for one in request.approvers if person(one) == holder and not is_role(one))
        yield from (Seat(one, holder) for one in request.approvers if is_role(one) and self.has_role(who, one))

    def seated(self, request: ApprovalRequest) -> tuple[str, ...]:
        """Everybody who might decide a request now, by id."""
        listed = {person(who) for one in request.approvers for who in (self._members(one) if is_role(one) else [one])}
        lent = {person(one.delegate) for one in self.delegations if person(one.delegator) in listed}
        return tuple(who for who in sorted(listed | lent) if self.sittings(request, who))

    def recipients(self, approvers: Iterable[str]) -> tuple[str, ...]:
        """The people to tell: members of roles too, delegates beside those who are there and instead of the absent.

        Nobody who is disabled; and an absent person after all if nobody who could be told stands in for them.
        """
        found: dict[str, str] = {}
        for one in approvers:
            for name in self._members(one) if is_role(one) else [one]:
                for each in self._told_for(name):
                    found.setdefault(person(each), each)
        return tuple(found.values())

    def _members(self, entry: str) -> list[str]:
        return [one.id for _, one in sorted(self.people.items()) if self.has_role(one.id, entry)]

    def _told_for(self, name: str) -> list[str]:
        if self.is_disabled(name):
            return []
        lent = [one for one in self.stand_ins(name) if not self.is_disabled(one.delegate)]
        is_away = any(one.is_away for one in lent)
        return [*([] if is_away else [name]), *(one.delegate for one in lent)]


NOBODY: Final = Roster()
"""The roster of a place that knows nobody: people stand for themselves, and nobody has a role."""


def _end(delegation: DelegationRecord) -> float:
    ended_at = delegation.ended_at
    return delegation.until if ended_at is None else min(delegation.until, ended_at)


async def roster_of(store: Store, now: float, about: Iterable[str] | None = None) -> Roster:
    """Who is who now; with `about`, it knows only these people and those for whom they stand in."""
    return await _roster(store, await store.delegations(now), about)


async def history_of(store: Store, about: Iterable[str] | None = None) -> Roster:
    """Who is who now, and who has ever stood in for whom; `about` as above."""
    return await _roster(store, await store.delegations(), about)


async def _roster(store: Store, delegations: Sequence[DelegationRecord], about: Iterable[str] | None) -> Roster:
    if about is None:
        return Roster({one.id: one for one in await store.people()}, delegations)
    # A few look-ups, since a house may have thousands of people, and few of them speak on one approval.
    ids = {person(one) for one in about if one}
    ids |= {person(one.delegator) for one in delegations if person(one.delegate) in ids}
    found = [await store.person(one) for one in sorted(ids)]
    return Roster({one.id: one for one in found if one is not None}, delegations)


def speakers(verdicts: Iterable[VerdictRecord]) -> set[str]:
    """Those who have spoken, and those on whose seats they sat."""
    return {who for one in verdicts for who in (one.approver, one.seat.rpartition(FOR)[2])}


# What is done to people.


async def add_person(
    store: Store,
    clock: Clock,
    person_id: str,
    *,
    name: str = "",
    roles: Iterable[str] = (),
    contacts: Mapping[str, str] | None = None,
    access: str | None = None,
) -> PersonRecord:
    """Add a person, or say anew who somebody is: all but since when, and whether they are disabled.

    Roles are given by name, "finance" or "role:finance"; contacts are addresses by kind of channel. `access` is one of
    ACCESSES; None leaves it as it is.
    """
    if access is not None and access not in ACCESSES:
        raise UsageError(f"There is no access {access!r}. Give one of {', '.join(filter(None, ACCESSES))}, or ''.")
    (known,) = names_of("person", [person_id])
    if is_role(known):
        raise UsageError(f"{known!r} is a role, not a person. Add a person and give the role: roles=[{known!r}].")
    earlier = (await roster_of(store, clock.now())).people.get(person(known))
    record = PersonRecord(
        id=person(known),
        name=name,
        roles=names_of("roles", [one.removeprefix(ROLE) for one in names_of("roles", roles)]),
        contacts=dict(contacts or {}),
        created_at=earlier.created_at if earlier else clock.now(),
        disabled_at=earlier.disabled_at if earlier else None,
        access=access if access is not None else earlier.access if earlier else "",
    )
    await store.save_person(record)
    return record


async def disable_person(store: Store, clock: Clock, person_id: str) -> PersonRecord:
    """From now on nothing that this person says counts, nor what they have said on approvals that are still open."""
    record = await _known(store, clock, person_id)
    if record.disabled_at is None:
        record = replace(record, disabled_at=clock.now())
        await store.save_person(record)
    return record


async def enable_person(store: Store, clock: Clock, person_id: str) -> PersonRecord:
    """Take back that a person was disabled."""
    record = await _known(store, clock, person_id)
    if record.disabled_at is not None:
        record = replace(record, disabled_at=None)
        await store.save_person(record)
    return record


async def _known(store: Store, clock: Clock, person_id: str) -> PersonRecord:
    record = (await roster_of(store, clock.now())).people.get(person(person_id))
    if record is None:
        raise UsageError(
            f"Nobody is known as {person_id!r}. `assent users list` shows who is, and `assent users add {person_id}` "
            f"adds them."
        )
    return replace(record, id=person(record.id))  # the spelling under which they are looked up


async def delegate(
    store: Store,
    clock: Clock,
    delegator: str,
    delegate: str,
    *,
    until: float,
    since: float | None = None,
    is_away: bool = False,
    reason: str = "",
) -> DelegationRecord:
    """Let one person stand in for another `until` then (Unix seconds), on all seats that are theirs, also by role.

    It is not passed on. `is_away`: whoever is stood in for is told of nothing meanwhile, and may decide all the same.
    """
    now = clock.now()
    since = now if since is None else since
    giver, taker = await _known(store, clock, delegator), await _known(store, clock, delegate)
    _check_delegation(giver, taker)
    if not max(now, since) < until < float("inf"):
        raise UsageError(
            f"A delegation from {since!r} until {until!r} would never hold, or never end. Give an end after "
            f"its beginning and in the future (it is {now!r}), in Unix seconds."
        )
    record = DelegationRecord(
        id=clock.new_id(),
        delegator=giver.id,
        delegate=taker.id,
        since=since,
        until=until,
        is_away=is_away,
        reason=reason,
    )
    await store.delegate(record)
    return record


def _check_delegation(giver: PersonRecord, taker: PersonRecord) -> None:
    if person(giver.id) == person(taker.id):
        raise UsageError(f"{giver.id} cannot stand in for themselves. Name somebody else.")
    for one in (giver, taker):
        if one.disabled_at is not None:
            raise UsageError(f"{one.id} is disabled. `assent users enable {one.id}` first, or name somebody else.")


async def end_delegation(store: Store, clock: Clock, delegation_id: str) -> DelegationRecord:
    """End a delegation before its time. One that is over stays as it is."""
    found = [one for one in await store.delegations() if one.id == delegation_id]
    if not found:
        raise UsageError(f"There is no delegation {delegation_id!r}. `assent users list` shows them.")
    (record,) = found
    if clock.now() < _end(record):
        record = replace(record, ended_at=clock.now())
        await store.delegate(record)
    return record

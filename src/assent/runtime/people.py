"""The people of a store: who they are, in which roles, and who stands in for whom."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from assent.clock import Clock, Duration, moment
from assent.governance import people
from assent.store import DelegationRecord, PersonRecord, Store


class People:
    """Adds people and delegations, and lists them. An approver whom nobody has added stands for themselves."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(
        self,
        id: str,
        *,
        name: str = "",
        roles: Sequence[str] = (),
        contacts: Mapping[str, str] | None = None,
        access: str | None = None,
    ) -> PersonRecord:
        """Add a person, or say anew who somebody is. `contacts`: addresses by channel kind, as in {"slack": "U1"}.

        `access` to the web: "viewer", "approver", "operator" or "admin"; "": only to what is asked of them. None leaves
        it as it is.
        """
        return await people.add_person(
            self._store, self._clock, id, name=name, roles=roles, contacts=contacts, access=access
        )

    async def list(self) -> Iterable[PersonRecord]:
        """Everybody, disabled people too, by id."""
        return await self._store.people()

    async def disable(self, id: str) -> PersonRecord:
        """From now on nothing that they say counts, nor what they have said on approvals that are still open."""
        return await people.disable_person(self._store, self._clock, id)

    async def enable(self, id: str) -> PersonRecord:
        """Take back that a person was disabled."""
        return await people.enable_person(self._store, self._clock, id)

    async def delegate(
        self,
        delegator: str,
        to: str,
        *,
        until: datetime | Duration,
        since: datetime | Duration | None = None,
        is_away: bool = False,
        reason: str = "",
    ) -> DelegationRecord:
        """Let one person stand in for another until a moment, or for so long.

        `is_away`: the one who is stood in for is told of nothing meanwhile.
        """
        now = self._clock.now()
        return await people.delegate(
            self._store,
            self._clock,
            delegator,
            to,
            until=moment(until, now),
            since=None if since is None else moment(since, now),
            is_away=is_away,
            reason=reason,
        )

    async def end_delegation(self, id: str) -> DelegationRecord:
        """End a delegation before its time."""
        return await people.end_delegation(self._store, self._clock, id)

    async def delegations(self, *, all: bool = False) -> Iterable[DelegationRecord]:
        """Those that hold now, or all there ever were, oldest first."""
        return await self._store.delegations(None if all else self._clock.now())

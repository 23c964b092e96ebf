"""Stores as a process sees them that is killed, or whose disk fails, at an exact moment."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Self

from assent.errors import StoreUnavailable
from assent.store import Commit, Receipt, Store

Moment = Callable[[Commit], bool]


class Door:
    """A store that lets everything through."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._store.__aexit__(*exc)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def append(self, owner: str, commit: Commit) -> Receipt[None]:
        return self._store.append(owner, commit)


class DeadlyDoor(Door):
    """Its process is killed instead of writing the first commit of a kind: from then on it writes nothing."""

    def __init__(self, store: Store, moment: Moment) -> None:
        super().__init__(store)
        self.died = asyncio.Event()
        self._moment = moment

    def append(self, owner: str, commit: Commit) -> Receipt[None]:
        if self._moment(commit):
            self.died.set()
        if self.died.is_set():
            return Receipt()
        return super().append(owner, commit)


class FaultyDoor(Door):
    """Its n-th call fails: before anything is done, or after it is done, so that only the word of it is lost."""

    def __init__(self, store: Store, fails_at: int, *, is_done: bool) -> None:
        super().__init__(store)
        self.calls = 0
        self._fails_at = fails_at
        self._is_done = is_done

    @property
    def has_failed(self) -> bool:
        return self.calls >= self._fails_at

    def _fails(self) -> bool:
        self.calls += 1
        return self.calls == self._fails_at

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            if not self._fails():
                return await found(*args, **kwargs)
            if self._is_done:
                await found(*args, **kwargs)
            raise StoreUnavailable(f"{name} failed")

        return call

    def append(self, owner: str, commit: Commit) -> Receipt[None]:
        if not self._fails():
            return super().append(owner, commit)
        failure, receipt = StoreUnavailable("append failed"), Receipt[None]()
        if self._is_done:
            super().append(owner, commit).then(lambda _: receipt.settle(failure))
        else:
            receipt.settle(failure)
        return receipt


def takes_permit(commit: Commit) -> bool:
    return commit.permit is not None


def records(name: str) -> Moment:
    """The outcome of a step of that name."""
    return lambda commit: any((each.type, each.name) == ("step.completed", name) for each in commit.events)


def nth(number: int) -> Moment:
    """Whatever is written as the n-th commit."""
    seen = iter(range(1, 10**9))
    return lambda _: next(seen) == number

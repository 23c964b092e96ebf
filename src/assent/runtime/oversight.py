"""What people do through an open runtime: look at what is asked of them, decide, take back, bound."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from assent.clock import Clock
from assent.engine.local import LocalEngine
from assent.errors import UsageError
from assent.governance import (
    ApproverStatistics,
    Cast,
    Remainder,
    cast,
    cast_all,
    remainders,
    remind,
    show,
)
from assent.governance.approvals import intact_request
from assent.governance.statistics import statistics
from assent.governance.verdicts import find
from assent.notify import Notifier
from assent.runtime.changes import misfits
from assent.runtime.people import People
from assent.store import ApprovalRecord, ApprovalStatus, Store, Workflow

Said = Literal["approve", "reject", "revoke"]


class Oversight(ABC):
    """The side of a runtime that is turned to people. Whoever calls it answers for who they are."""

    clock: Clock
    _notifier: Notifier | None = None

    @abstractmethod
    def _local(self) -> LocalEngine:
        """The open engine. Raises RuntimeRequired."""

    @property
    def open_store(self) -> Store:
        """The store that is open here, for whoever only reads it or keeps what is no business of executions."""
        return self._local().store

    @property
    def people(self) -> People:
        """Who decides here, in which roles, and who stands in for whom."""
        return People(self._local().store, self.clock)

    async def approvals(
        self, status: ApprovalStatus | str | None = "pending", execution_id: str | None = None, limit: int = 100
    ) -> list[ApprovalRecord]:
        """What is asked of people, oldest first: what is still open, or of another status, or with None all."""
        wanted = ApprovalStatus(status) if status else None
        return await self._local().store.approvals(wanted, execution_id, limit)

    async def decide(
        self,
        approval_id: str,
        *,
        approver: str,
        decision: Said = "approve",
        reason: str = "",
        changes: Mapping[str, Any] | None = None,
        conditions: Sequence[str] = (),
    ) -> ApprovalRecord:
        """Give a person's verdict, from whatever process, and return the approval as it is afterwards.

        `changes` approve with other arguments (JSON values by name): the edited action passes every policy again and
        is asked for anew, with this approval counted. `conditions`, as in "amount <= 20000", bound an approval. A
        verdict that does not count (from somebody who is not asked, late, repeated) is kept on record and raised as
        VerdictRefused, which says why. Changes that the function does not take, if it is known here, raise UsageError,
        and nothing is kept. The execution goes on wherever a worker is.
        """
        for name, problem in (await self.misfits(approval_id, changes or {})).items():
            raise UsageError(f"The new value of {name!r} does not fit. {problem}. Give a value of its type.")
        with self._word_was_sent() as engine:
            return await cast(
                engine.store,
                self.clock,
                approval_id,
                approver=approver,
                decision=decision,
                reason=reason,
                changes=changes,
                conditions=conditions,
            )

    async def misfits(self, approval_id: str, changes: Mapping[str, Any]) -> dict[str, str]:
        """Why the function behind an approval does not take these new values, by argument.

        Empty if it takes them, or is not known in this process: then its execution finds out, and asks anew.
        """
        if not changes:
            return {}
        engine = self._local()
        record = await find(engine.store, approval_id)
        request, execution = intact_request(record), await engine.execution(record.execution_id)
        asking = Workflow(execution.name, execution.version)
        return misfits(engine.programs, request.action, asking, changes) if request is not None else {}

    async def decide_all(
        self,
        approval_ids: Iterable[str],
        *,
        approver: str,
        decision: Said = "approve",
        reason: str = "",
        conditions: Sequence[str] = (),
    ) -> list[Cast]:
        """Give one verdict on several approvals, in order. One that does not count stops none of the others."""
        with self._word_was_sent() as engine:
            return await cast_all(
                engine.store,
                self.clock,
                approval_ids,
                approver=approver,
                decision=decision,
                reason=reason,
                conditions=conditions,
            )

    async def revoke(self, approval_id: str, *, approver: str, reason: str = "") -> ApprovalRecord:
        """Take back what a person has said: until the approval is used, and of a mandate what is left of it."""
        return await self.decide(approval_id, approver=approver, decision="revoke", reason=reason)

    async def show(self, approval_id: str, person: str) -> float:
        """Note that a person sees a request; returns when they first did, in Unix seconds."""
        return await show(self._local().store, self.clock, approval_id, person)

    async def remind(self, approval_id: str) -> bool:
        """Tell the approvers once more. False: the approval is no longer open."""
        with self._word_was_sent() as engine:
            return await remind(engine.store, self.clock, approval_id)

    async def statistics(self, since: float | None = None) -> list[ApproverStatistics]:
        """How each approver decides. `since`: only what was asked from then on, Unix seconds."""
        return await statistics(self._local().store, self.clock.now(), since)

    async def mandates(self, action: str | None = None) -> list[Remainder]:
        """Every mandate with what is left of it, oldest first."""
        return await remainders(self._local().store, self.clock.now(), action)

    @contextmanager
    def _word_was_sent(self) -> Iterator[LocalEngine]:
        """Whether others have written is all that a store can be asked; of our own verdict the engine must be told.

        Also if word of it was lost.
        """
        engine = self._local()
        try:
            yield engine
        finally:
            engine.nudge()
            if self._notifier is not None:
                self._notifier.nudge()

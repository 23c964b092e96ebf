"""How a caller waits for a governed call: as long as its policies say, and no longer."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from assent.codec import from_json
from assent.engine import Engine, News
from assent.errors import ApprovalPending, InDoubt
from assent.governance.approvals import ApprovalRequest
from assent.governance.asking import authority_of
from assent.governance.terms import Subject
from assent.store import ApprovalStatus


class Patience:
    """A caller's wait for one execution. Each approval is waited for `timeout_seconds` from when it was first seen."""

    def __init__(self, subject: Subject, engine: Engine, execution_id: str) -> None:
        self._subject = subject
        self._engine = engine
        self._id = execution_id
        self._deadlines: Mapping[str, float] = {}

    async def result(self, news: News) -> Any:
        """The result. Raises what the execution raised, ApprovalPending, StateNotCaptured, InDoubt."""
        clock = asyncio.get_running_loop().time
        while not news.has_ended:
            self._check_doubt(news)
            await self._look(clock())
            due = min(self._deadlines.values(), default=None)
            if due is not None and due <= clock():
                return await self._give_up(sorted(self._deadlines))
            limit = asyncio.timeout_at(due)
            try:
                async with limit:
                    news = await self._engine.news(self._id, known=news.waits)
            except TimeoutError:
                if not limit.expired():
                    raise  # it is what the execution raised
        return news.value

    async def _look(self, now: float) -> None:
        """Learn what waits for people now."""
        store = authority_of(self._subject.name).store
        found = await store.approvals(ApprovalStatus.PENDING, self._id)
        self._deadlines = {
            each.id: self._deadlines.get(each.id, now + ApprovalRequest.from_text(each.request).timeout_seconds)
            for each in found
        }

    def _check_doubt(self, news: News) -> None:
        if any(wait["for"] == "resolve" for wait in from_json(news.waits)):
            raise InDoubt(
                f"{self._subject.name}: whether its effect happened is unknown, and a person must say so: "
                f"`assent resolve {self._id} --done RESULT | --not-done`.",
                execution_id=self._id,
                action=self._subject.name,
            )

    async def _give_up(self, approvals: Sequence[str]) -> Any:
        if self._subject.terms.captured:
            raise self._pending(approvals)
        # Nobody else can take it over, so it ends when its caller leaves, and says why.
        await self._engine.leave(self._id)
        return await self._engine.result(self._id)

    def _pending(self, approvals: Sequence[str]) -> ApprovalPending:
        name = self._subject.name
        return ApprovalPending(
            f"{name} waits for approval {', '.join(approvals)}; execution {self._id} goes on when it is given. "
            f"Decide with `assent approve {approvals[0]} --as WHO`, and ask for the result later.",
            execution_id=self._id,
            action=name,
            approvals=list(approvals),
            poll_url=authority_of(name).poll_url.format(execution_id=self._id),
        )

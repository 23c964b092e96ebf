"""What every store must do to find approvals by how long they wait, and by whether anybody has answered."""

from typing import Any

from assent.codec import from_json, to_json
from assent.store import ApprovalRecord, ApprovalStatus, Event, Store
from tests.conformance.store_governance import ask
from tests.conformance.store_records import NOW, OWNER, approval, commit, digest_of, event, granted, own, verdict


def asking(approval_id: str, approvers: str = "ann", **facts: Any) -> ApprovalRecord:
    """A request with facts of its own; those of the record are `created_at` and `expires_at`."""
    times = {name: facts.pop(name) for name in ("created_at", "expires_at") if name in facts}
    request = to_json({"approvers": [approvers], **facts})
    return approval(approval_id, request=request, digest=digest_of(request), **times)


class QuestionsSuite:
    """For one open store; the fixture `store` comes from the suite that inherits this."""

    async def test_open_approvals_wait_too_long_from_their_first_reminder_or_three_quarters_of_their_time(
        self, store: Store
    ) -> None:
        await ask(
            store,
            asking("endless"),
            asking("short", expires_at=NOW + 100),
            asking("reminded", expires_at=NOW + 1000, reminders=[10.5, 20.0]),
            asking("passed on", created_at=NOW + 0.1, expires_at=NOW + 200, escalated_at=NOW + 100),
            approval("broken", request="{"),
        )

        async def overdue(seconds: float) -> list[str]:
            return [one.id for one in await store.overdue(NOW + seconds)]

        assert await overdue(10.4) == []
        assert await overdue(10.5) == ["reminded"]
        assert await overdue(75) == ["short", "reminded"]
        assert await overdue(99.9) == ["short", "reminded"]
        assert await overdue(100) == ["reminded"]  # what has expired is no longer open
        assert await overdue(175) == ["reminded", "passed on"]
        assert await overdue(86399) == []
        assert await overdue(86400) == ["endless"]
        await store.decide(granted("endless"), verdict(approval_id="endless"), [])
        assert await overdue(86400) == []

    async def test_what_waits_too_long_comes_in_pages_and_by_approver(self, store: Store) -> None:
        await ask(store, *[asking(f"a{n}", "ann" if n % 2 else "bob", expires_at=NOW + 10) for n in range(5)])
        first = await store.overdue(NOW + 9, 2)
        assert [one.id for one in first] == ["a0", "a1"]
        assert [one.id for one in await store.overdue(NOW + 9, after="a1")] == ["a2", "a3", "a4"]
        assert [one.id for one in await store.overdue(NOW + 9, approvers=["ANN"])] == ["a1", "a3"]

    async def test_what_was_said_comes_with_its_approvals(self, store: Store) -> None:
        await ask(store, *[asking(f"a{n}") for n in range(4)])
        await store.decide(granted("a1", request="{}"), verdict(approval_id="a1"), [])
        await store.decide(granted("a1"), verdict("bob", refusal="late", approval_id="a1", at=NOW + 50), [])
        await store.decide(granted("a2"), verdict(approval_id="a2"), [])
        await store.decide(asking("a3"), verdict("bob", refusal="not asked", approval_id="a3"), [])
        said = await store.spoken()
        assert [(one.approval.id, len(one.verdicts)) for one in said] == [("a1", 2), ("a2", 1), ("a3", 1)]
        assert said[0].approval == await store.approval("a1")
        assert said[0].verdicts == await store.verdicts("a1")
        since = [one.approval.id for one in await store.spoken(NOW + 1)]
        assert since == ["a1", "a3"]  # a3 still waits, whenever it was spoken of

    async def test_what_nobody_has_answered_is_counted_by_whom_it_is_asked_of(self, store: Store) -> None:
        await ask(
            store,
            asking("a1", reminders=[10.0]),
            asking("a2", amount=2),
            asking("b1", "bob"),
            asking("b2", "bob", excluded=["eve"]),
            asking("over", expires_at=NOW + 5),
            asking("said"),
            approval("edited", request='{"approvers":["ann"],"amount":3}'),
            approval("broken", request="{"),
        )
        await store.decide(asking("said"), verdict("eve", refusal="not asked", approval_id="said"), [])
        found = await store.unspoken(NOW + 20)
        assert sorted((one.number, one.reminded, one.approval.request[:20]) for one in found) == [
            (1, 0, '{"approvers":["bob"]'),
            (1, 0, '{"approvers":["bob"]'),
            (2, 1, '{"approvers":["ann"]'),
        ]
        assert {one.approval.status for one in found} == {ApprovalStatus.PENDING}
        assert sum(one.number for one in await store.unspoken(NOW + 4)) == 5

    async def test_evaluations_that_denied_are_found_newest_first(self, store: Store) -> None:
        def evaluated(outcome: str, seconds: float, note: str = "") -> Event:
            facts = {"outcome": outcome, "decisions": [{"policy": "p", "outcome": "deny"}], "note": note}
            return event(type="policy.evaluated", at=NOW + seconds, value=to_json(facts))

        await own(store, "e1")
        events = [evaluated("deny", 1), evaluated("ask", 2), evaluated("deny", 3), evaluated("deny", 3, "b")]
        odd = [
            event(type="policy.evaluated", at=NOW + 4, value='deny"deny"'),
            event(type="step.completed", at=NOW + 4, value='{"outcome":"deny"}'),
        ]
        await store.append(OWNER, commit(*events, *odd))

        async def denied(since: float, limit: int = 9) -> list[tuple[float, str]]:
            found = await store.denials(NOW + since, limit)
            return [(one.at - NOW, from_json(one.value or "")["note"]) for one in found]

        assert await denied(0) == [(3, "b"), (3, ""), (1, "")]
        assert await denied(0, 2) == [(3, "b"), (3, "")]
        assert await denied(3) == [(3, "b"), (3, "")]

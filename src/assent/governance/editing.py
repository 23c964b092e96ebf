"""The step that journals an edit of an action, and finds out whose approvals count for the edited action as well."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from assent.codec import from_json, to_json
from assent.engine import StepScope
from assent.errors import UsageError
from assent.governance.action import Action
from assent.governance.approvals import intact_request, person
from assent.governance.asking import Amended, Carried, refusal
from assent.governance.authority import Authority
from assent.governance.conditions import Condition
from assent.governance.voices import standing
from assent.store import ApprovalRecord, Event, VerdictRecord

Show = Callable[[Mapping[str, Any]], Any]
"""Makes of arguments what may be seen of them."""


async def record_edit(
    amended: Amended,
    opened: Sequence[str],
    before: Action,
    after: Action,
    show: Show,
    authority: Authority,
    scope: StepScope,
) -> dict[str, Any]:
    """Journal the edit, and return whose approvals carry over: that of the editor, and conditional ones.

    The latter are those of the approvals `opened` in this round whose conditions limit every argument that was changed.
    Raises PermitRefused if the journal does not tell of the edit: then somebody has written it into the store.
    """
    told = _told(await authority.store.journal(scope.info.id))
    if (amended.approval_id, amended.approver, to_json(amended.changes)) not in told:
        reason = f"the changes in approval {amended.approval_id} are not those that {amended.approver} made"
        raise refusal(before.name, reason, scope.info.id)
    facts = _facts(amended, show) | {"action_digest": after.digest, "instead_of": before.digest}
    scope.note("policy.approval.edited", amended.request.policy, to_json(facts))
    place = amended.request
    editor = Carried(policy=place.policy_digest, stage=place.stage, approver=amended.approver, reason=amended.reason)
    found = {_key(editor): editor}
    for approval_id in opened:
        record = await authority.store.approval(approval_id)
        if record is not None:
            for each in _conditional(record, await authority.store.verdicts(approval_id), amended.changes):
                if (approval_id, each.approver, to_json(each.conditions)) in told:
                    found.setdefault(_key(each), each)
    return {"carried": [asdict(each) for each in found.values()]}


async def refuse_edit(amended: Amended, problem: str, show: Show, _: Authority, scope: StepScope) -> dict[str, Any]:
    """Journal why an edit is impossible. Nothing carries over: the action is asked for as it was."""
    facts = _facts(amended, show) | {"reason": problem}
    scope.note("policy.approval.edit_refused", amended.request.policy, to_json(facts))
    return {"carried": []}


def _told(events: Sequence[Event]) -> frozenset[tuple[str, str, str]]:
    """What the journal tells of edits and conditions: the approval, the approver, and the changes or conditions."""
    found = [from_json(event.value or "{}") for event in events if event.type.startswith("policy.approval.")]
    return frozenset(
        (str(one.get("approval_id")), str(one["approver"]), to_json(one.get("changes") or one.get("conditions")))
        for one in found
        if one.get("decision") == "approve" and "refusal" not in one
    )


def _facts(amended: Amended, show: Show) -> dict[str, Any]:
    return {"approval_id": amended.approval_id, "approver": amended.approver, "changes": show(amended.changes)}


def _key(carried: Carried) -> tuple[str, int, str]:
    return carried.policy, carried.stage, person(carried.approver)


def _conditional(
    record: ApprovalRecord, verdicts: Sequence[VerdictRecord], changes: Mapping[str, Any]
) -> list[Carried]:
    request = intact_request(record)
    if request is None:
        return []
    return [
        Carried(
            policy=request.policy_digest,
            stage=request.stage,
            approver=one.approver,
            reason=one.reason,
            conditions=tuple(one.conditions),
        )
        for one in standing(request, verdicts)
        if _speaks_of(one, changes)
    ]


def _speaks_of(verdict: VerdictRecord, changes: Mapping[str, Any]) -> bool:
    """Whether an approval of the action as it was limits all that has changed; it then says what it thinks of it."""
    try:
        limited = {Condition.parse(text).argument for text in verdict.conditions}
    except UsageError:
        return False  # its conditions were edited in the store, and cannot be relied on
    return verdict.decision == "approve" and verdict.changes is None and changes.keys() <= limited

"""Whether a permit holds: checked, and taken up, in the transaction that journals the intent of its effect."""

import hashlib
import math
from typing import NamedTuple

from assent.errors import PermitRefused
from assent.store.holds import misfit, take, wanting
from assent.store.records import ApprovalStatus, Commit, Permit
from assent.store.writer import Transaction

# A request that is no JSON was edited, which its digest tells; it must not stop the statement.
STORED = (
    "SELECT status, digest, request, used_by, CASE WHEN json_valid(request) THEN request ->> '$.kind' END,"
    " CASE WHEN json_valid(request) THEN request ->> '$.terms.until' END FROM approvals WHERE id = ?"
)


class _Stored(NamedTuple):
    status: str
    digest: str
    request: str
    used_by: str | None
    kind: object
    until: object


def check_permit(commit: Commit, permit: Permit, transaction: Transaction) -> None:
    """Raise PermitRefused unless the permit is new, or used again with right, and all its authority holds."""
    used = transaction.execute("SELECT action_digest FROM permits WHERE id = ?", (permit.id,)).fetchone()
    if used and not permit.again:
        raise _refused(commit, permit, "already used")
    if permit.again and used != (permit.action_digest,):
        raise _refused(commit, permit, "used for another action" if used else "never used, so it cannot be used again")
    for approval_id, digest in permit.approvals:
        if reason := _objection(approval_id, digest, permit, transaction):
            raise _refused(commit, permit, reason)
    for mandate_id, digest in permit.mandates:
        if reason := _objection_to_mandate(mandate_id, digest, _moment(commit), transaction):
            raise _refused(commit, permit, reason, hold=f"mandate:{mandate_id}")
    for hold in wanting(permit, transaction):
        if reason := misfit(hold, transaction.execute):
            raise _refused(commit, permit, reason, hold=hold.key)


def take_up(commit: Commit, permit: Permit, transaction: Transaction) -> None:
    """Use up a permit that was found to hold, and its approvals, and hold what it draws on."""
    if not permit.again:
        transaction.execute(
            "INSERT INTO permits (id, execution_id, action_digest, at) VALUES (?, ?, ?, ?)",
            (permit.id, commit.execution_id, permit.action_digest, commit.events[-1].at if commit.events else None),
        )
    if permit.approvals:
        transaction.executemany(
            "UPDATE approvals SET used_by = ? WHERE id = ?",
            [(permit.id, approval_id) for approval_id, _ in permit.approvals],
        )
    if permit.holds:
        take(permit.id, wanting(permit, transaction), _moment(commit), transaction)


def _moment(commit: Commit) -> float:
    # A commit that does not say when it happens comes after every end, and its holds never grow old.
    return commit.events[-1].at if commit.events else math.inf


def _objection(approval_id: str, digest: str, permit: Permit, transaction: Transaction) -> str | None:
    name = f"approval {approval_id!r}"
    stored = _find(approval_id, transaction)
    if stored is None:
        return f"{name} is gone"
    if stored.kind == "mandate":
        return f"{name} is a mandate, which is not used up by one action"
    if stored.used_by not in {None, permit.id}:
        return f"{name} was used by another permit"
    return _fault(name, digest, stored)


def _objection_to_mandate(mandate_id: str, digest: str, moment: float, transaction: Transaction) -> str | None:
    name = f"mandate {mandate_id!r}"
    stored = _find(mandate_id, transaction)
    if stored is None:
        return f"{name} is gone"
    if stored.kind != "mandate":
        return f"{name} is an approval of a single action"
    if not isinstance(stored.until, int | float) or stored.until <= moment:
        return f"{name} has expired"
    return _fault(name, digest, stored)


def _find(approval_id: str, transaction: Transaction) -> _Stored | None:
    found = transaction.execute(STORED, (approval_id,)).fetchone()
    return _Stored._make(found) if found else None


def _fault(name: str, digest: str, stored: _Stored) -> str | None:
    """What is wrong with an approval or a mandate as it is stored."""
    if stored.status != ApprovalStatus.GRANTED:
        return f"{name} is {stored.status}, not granted"
    if stored.digest != digest:
        return f"the digest of {name} has changed"
    if hashlib.sha256(stored.request.encode()).hexdigest() != digest:
        return f"the request of {name} was edited"
    return None


def _refused(commit: Commit, permit: Permit, reason: str, hold: str | None = None) -> PermitRefused:
    return PermitRefused(
        f"The permit {permit.id!r} does not hold: {reason}. Nothing was done; ask for a new approval.",
        execution_id=commit.execution_id,
        # Of what was written along with the intent, the events of other ops tell of something else.
        action=next((event.name for event in commit.events if event.name and event.op == commit.events[-1].op), ""),
        reason=reason,
        hold=hold,
    )

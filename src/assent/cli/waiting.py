"""What executions wait for, in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assent.cli.output import moment
from assent.clock import SystemClock
from assent.codec import from_json
from assent.governance.approvals import ApprovalRequest, intact_request, is_role, reminders_of
from assent.store import ApprovalRecord, ApprovalStatus, ExecutionRecord, Store, WorkerRecord

Wait = Mapping[str, Any]
"""What an execution waits for, as its record has it."""

APPROVAL = "approval:"
CHILD = "child:"
# A timer that is due when an approval expires, or people are reminded of it, is the approval's own.
SAME_MOMENT = 0.001


@dataclass(frozen=True, slots=True)
class Staff:
    """The workers whose leases hold, and what they can drive."""

    present: Mapping[str, WorkerRecord]
    skills: frozenset[str]  # "name@version"

    def can_drive(self, record: ExecutionRecord) -> bool:
        return f"{record.name}@{record.version}" in self.skills

    def drives(self, record: ExecutionRecord) -> bool:
        return record.owner in self.present


async def staff_of(store: Store, now: float) -> Staff:
    """Who is at work on this store."""
    present = {worker.id: worker for worker in await store.workers() if worker.expires_at > now}
    return Staff(present, frozenset(name for worker in present.values() for name in from_json(worker.workflows)))


async def approvals_awaited(store: Store, records: Iterable[ExecutionRecord]) -> dict[str, ApprovalRecord]:
    """The approvals that these executions wait for, by id."""
    names = [name for record in records for name in signals_awaited(record) if name.startswith(APPROVAL)]
    found = [await store.approval(name.removeprefix(APPROVAL)) for name in names]
    return {approval.id: approval for approval in found if approval is not None}


def signals_awaited(record: ExecutionRecord) -> list[str]:
    """The names of the signals that an execution waits for."""
    return [each["name"] for each in from_json(record.waits) if each["for"] == "signal"]


def waits_in_words(
    record: ExecutionRecord, approvals: Mapping[str, ApprovalRecord], staff: Staff, now: float
) -> list[str]:
    """What an execution waits for; last a worker, if it lacks one."""
    if record.status.is_final:
        return []
    waits = [wait for wait in _of_its_own(from_json(record.waits), approvals) if not _is_over(wait, approvals)]
    lack = _lack_of_worker(record, staff, now)
    return [_in_words(wait, approvals, now) for wait in waits] + ([lack] if lack else [])


def _is_over(wait: Wait, approvals: Mapping[str, ApprovalRecord]) -> bool:
    """Whether an approval that an execution waits for has been decided, and only nobody has gone on with it yet."""
    approval = approvals.get(wait.get("name", "").removeprefix(APPROVAL))
    return approval is not None and approval.status is not ApprovalStatus.PENDING


def waits_of_event(waits: Sequence[Wait], approvals: Mapping[str, ApprovalRecord], now: float) -> list[str]:
    """What a suspension says it waits for."""
    return [_in_words(wait, approvals, now) for wait in _of_its_own(waits, approvals)]


def _of_its_own(waits: Sequence[Wait], approvals: Mapping[str, ApprovalRecord]) -> list[Wait]:
    """The waits without the timers at which people are reminded of approvals, or these expire."""
    awaited = [approvals.get(wait.get("name", "").removeprefix(APPROVAL)) for wait in waits]
    moments = [at for each in awaited if each is not None for at in _moments_of(each)]
    return [wait for wait in waits if not _is_one_of(wait, moments)]


def _moments_of(approval: ApprovalRecord) -> list[float]:
    request = intact_request(approval)
    reminders = reminders_of(approval, request) if request else ()
    return [*reminders, *([] if approval.expires_at is None else [approval.expires_at])]


def _is_one_of(wait: Wait, moments: Sequence[float]) -> bool:
    return wait["for"] == "timer" and any(abs(wait["due"] - each) < SAME_MOMENT for each in moments)


def _lack_of_worker(record: ExecutionRecord, staff: Staff, now: float) -> str | None:
    if staff.drives(record):
        return None
    is_due = record.owner is not None or (record.wake_at is not None and record.wake_at <= now)
    if not is_due:
        return None
    if staff.can_drive(record):
        return "its turn with a worker"
    return absent_worker(record)


async def whose_turn(store: Store, record: ExecutionRecord) -> str:
    """After word to an execution: what must still happen before it is read."""
    staff = await staff_of(store, SystemClock().now())
    present = staff.drives(record) or staff.can_drive(record)
    return "" if present else f" when there is {absent_worker(record)}"


def absent_worker(record: ExecutionRecord) -> str:
    """What is to be done when nobody can drive an execution."""
    return f"a worker that has {record.name} version {record.version}; start one: assent worker FILE"


def _in_words(wait: Wait, approvals: Mapping[str, ApprovalRecord], now: float) -> str:
    match wait["for"]:
        case "timer":
            return f"a timer until {moment(wait['due'], now)}"
        case "signal":
            return _signal_in_words(wait["name"], approvals, now)
        case "resolve":
            return f"somebody to say whether {wait['name']} has happened: assent resolve"
        case "code":
            return f"code that fits its journal: {wait['error']}"
        case other:
            return f"{other} {wait.get('name', '')}".rstrip()


def _signal_in_words(name: str, approvals: Mapping[str, ApprovalRecord], now: float) -> str:
    if name.startswith(CHILD):
        return f"execution {name.removeprefix(CHILD)}"
    if not name.startswith(APPROVAL):
        return f"signal {name}"
    approval = approvals.get(name.removeprefix(APPROVAL))
    return approval_in_words(approval, now) if approval else f"approval {name.removeprefix(APPROVAL)}"


def approval_in_words(approval: ApprovalRecord, now: float) -> str:
    """An approval as something to wait for: by whom, and until when."""
    until = f" until {moment(approval.expires_at, now)}" if approval.expires_at is not None else ""
    return f"approval {approval.id} by {electorate_in_words(intact_request(approval))}{until}"


def electorate_in_words(request: ApprovalRequest | None) -> str:
    """Who may decide: all of several, some of them, or one."""
    if request is None:
        return "nobody: its request was changed after it was made"
    names = request.electorate
    if request.each or (request.quorum == len(names) and not any(map(is_role, names))):
        return " and ".join(names)
    # Of a role there may be several, so that one name can stand for a quorum.
    return " or ".join(names) if request.quorum == 1 else f"{request.quorum} of {', '.join(names)}"


def is_open(approval: ApprovalRecord, now: float) -> bool:
    """Whether a verdict could still count."""
    in_time = approval.expires_at is None or approval.expires_at > now
    return approval.status is ApprovalStatus.PENDING and in_time


def steps_in_doubt(record: ExecutionRecord) -> list[str]:
    """The names of the steps of which nobody knows whether they happened."""
    return [each["name"] for each in from_json(record.waits) if each["for"] == "resolve"]

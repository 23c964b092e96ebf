"""`assent approvals`, `approve` and `reject`: what is asked of whom, and what they say."""

from typing import Any

from rich.text import Text

from assent.cli.output import Row, Screen, iso, moment, plain, short_moment, shortened, styled
from assent.cli.stored import EVERYTHING, find_approval, opened
from assent.cli.timeline import LONGEST_VALUE, facts_in_words
from assent.cli.waiting import electorate_in_words, is_open, votes, whose_turn
from assent.clock import SystemClock
from assent.errors import UsageError
from assent.governance import cast
from assent.governance.approvals import ApprovalRequest, intact_request
from assent.store import ApprovalRecord, ApprovalStatus, Store, VerdictRecord

ALL = "all"


async def list_approvals(screen: Screen, url: str | None, *, status: str, limit: int, as_json: bool) -> None:
    """`assent approvals`."""
    wanted = None if status == ALL else _status(status)
    async with opened(url) as store:
        newest = (await store.approvals(wanted, limit=EVERYTHING))[-limit:]
        found = [(record, await store.verdicts(record.id)) for record in newest]
    if as_json:
        screen.json([approval_facts(record, verdicts) for record, verdicts in found])
    elif not found:
        screen.say("No approval is open." if wanted is ApprovalStatus.PENDING else "There is none.")
    else:
        rows = [approval_row(record, verdicts, screen.now) for record, verdicts in found]
        screen.table(["APPROVAL", "STATUS", "ASKED", "FOR"], rows, "BY")


def _status(word: str) -> ApprovalStatus:
    try:
        return ApprovalStatus(word)
    except ValueError as error:
        known = ", ".join([*ApprovalStatus, ALL])
        raise UsageError(f"{word!r} is no status of an approval. Give one of: {known}.") from error


def approval_facts(record: ApprovalRecord, verdicts: list[VerdictRecord]) -> dict[str, Any]:
    """An approval for programs."""
    request = intact_request(record)
    return {
        "id": record.id,
        "execution_id": record.execution_id,
        "status": record.status.value,
        "created_at": iso(record.created_at),
        "expires_at": iso(record.expires_at),
        "decided_at": iso(record.decided_at),
        "votes": votes(request, verdicts) if request else 0,
        "request": _request_facts(request) if request else None,
        "verdicts": [
            {
                "approver": one.approver,
                "decision": one.decision,
                "reason": one.reason,
                "at": iso(one.at),
                "refusal": one.refusal,
            }
            for one in verdicts
        ],
    }


def _request_facts(request: ApprovalRequest) -> dict[str, Any]:
    return {
        "title": request.subject,
        "action": request.action,
        "arguments": dict(request.arguments),
        "requester": request.requester,
        "policy": request.policy,
        "approvers": list(request.approvers),
        "quorum": request.quorum,
        "stage": request.stage,
        "stages": request.stages,
        "require_reason": request.require_reason,
        "separation_of_duties": request.separation_of_duties,
        "on_expiry": request.on_expiry,
        "escalate_to": list(request.escalate_to),
        "labels": list(request.labels),
    }


def approval_row(record: ApprovalRecord, verdicts: list[VerdictRecord], now: float) -> Row:
    """An approval as a line, with who may decide it, until when, and what has been said."""
    request = intact_request(record)
    overdue = record.status is ApprovalStatus.PENDING and not is_open(record, now)
    cells = [
        plain(record.id),
        styled("expired" if overdue else record.status.value),
        Text(short_moment(record.created_at, now)),
        plain(request.subject if request else "?"),
    ]
    notes = [plain(_progress(record, request, verdicts, now))]
    if request is not None and request.arguments:
        notes.append(plain(shortened(facts_in_words(dict(request.arguments)), LONGEST_VALUE)))
    notes += [plain(_verdict_in_words(one), "" if one.refusal is None else "dim") for one in verdicts]
    return Row(cells, notes)


def _progress(
    record: ApprovalRecord, request: ApprovalRequest | None, verdicts: list[VerdictRecord], now: float
) -> str:
    words = electorate_in_words(request)
    if request is None:
        return words
    if request.quorum > 1:
        words += f", {votes(request, verdicts)} of {request.quorum} so far"
    if request.stages > 1:
        words += f", stage {request.stage} of {request.stages}"
    if request.requester is not None:
        words += f", asked by {request.requester}"
    if is_open(record, now) and record.expires_at is not None:
        words += f", until {moment(record.expires_at, now)}"
    return words


def _verdict_in_words(one: VerdictRecord) -> str:
    said = f"{one.approver}: {one.decision}"
    reason = f" ({one.reason})" if one.reason else ""
    return f"{said}{reason}" if one.refusal is None else f"{said}{reason}, refused: {one.refusal}"


async def decide(
    screen: Screen, url: str | None, approval_id: str, *, approver: str, decision: str, reason: str
) -> None:
    """`assent approve` and `assent reject`. Raises VerdictRefused for a verdict that does not count."""
    async with opened(url) as store:
        found = await find_approval(store, approval_id)
        record = await cast(store, SystemClock(), found.id, approver=approver, decision=decision, reason=reason)
        screen.say(await _outcome(store, record))
        await _say_who_goes_on(screen, store, record)


async def _outcome(store: Store, record: ApprovalRecord) -> Text:
    request = intact_request(record)
    if record.status is not ApprovalStatus.PENDING or request is None:
        return Text.assemble("Approval ", plain(record.id), " is ", styled(record.status.value), ".")
    count = votes(request, await store.verdicts(record.id))
    return plain(f"Noted: {count} of {request.quorum} have approved. Approval {record.id} waits for the others.")


async def _say_who_goes_on(screen: Screen, store: Store, record: ApprovalRecord) -> None:
    execution = await store.execution(record.execution_id)
    if record.status is ApprovalStatus.PENDING or execution is None or execution.status.is_final:
        return
    screen.say(f"Execution {execution.id} of {execution.name} goes on{await whose_turn(store, execution)}.")

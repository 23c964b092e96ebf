"""Asking people from workflow code, and waiting durably for what they say."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from assent.clock import Duration, seconds
from assent.codec import codec_for, digest, to_json
from assent.engine import LiveExecution, Note, StepSpec, current, uuid4
from assent.errors import ApprovalExpired, ApprovalRejected, PermitRefused, RuntimeRequired, StoreError
from assent.governance.action import Principal, current_principal
from assent.governance.approvals import ApprovalRequest, OnExpiry, objection, opened, signal_name
from assent.governance.authority import Authority, ambient_authority
from assent.governance.verdicts import lapse, withdraw
from assent.resilience import Retry
from assent.store import ApprovalRecord, ApprovalStatus, VerdictRecord

T = TypeVar("T")
WORD = codec_for(dict[str, Any])
ANYTHING = codec_for(Any)

# A store that cannot be read for a while is no reason to lose what people have said.
PERSISTENT = Retry(attempts=20, initial=0.5, maximum="1m", on=StoreError)

Grant = tuple[str, str]
"""An approval that was granted: its id, and the digest of the request as it was when it was granted.

Neither is taken on trust: `permits.recheck` holds the stored request against the one that was asked.
"""


async def obtain_all(live: LiveExecution, series: Sequence[Sequence[ApprovalRequest]]) -> list[Grant]:
    """Ask for all of it: each series beside the others, the requests of one series one after another.

    Raises ApprovalRejected or ApprovalExpired at the first that is not granted; the others are withdrawn.
    """
    if len(series) == 1:
        return await _obtain_in_turn(live, series[0])
    tasks = [asyncio.create_task(_obtain_in_turn(live, each)) for each in series]
    try:
        return [grant for grants in await asyncio.gather(*tasks) for grant in grants]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _obtain_in_turn(live: LiveExecution, requests: Sequence[ApprovalRequest]) -> list[Grant]:
    return [await obtain(live, request) for request in requests]


async def obtain(live: LiveExecution, request: ApprovalRequest) -> Grant:
    """Put one request to people and wait until it is decided, however long that takes."""
    record = opened(str(uuid4()), live.info.id, request, live.loop.now)
    try:
        word = await _decided(live, record, request)
    except asyncio.CancelledError:
        await _step(live, "withdraw approval", partial(_withdraw, record.id))
        raise
    _check(live, record, request, word)
    return record.id, word["digest"]


async def _decided(live: LiveExecution, record: ApprovalRecord, request: ApprovalRequest) -> Mapping[str, Any]:
    """Wait for word, or until time is over, and then read in the store what has become of the approval."""
    notes: Sequence[Note] = _opening(record, request)
    approvals: Sequence[ApprovalRecord] = (record,)
    expires_at = record.expires_at
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(expires_at):
                # Only a reason to look: anybody may send a signal, so what it says counts for nothing.
                await live.wait_signal(signal_name(record.id), ANYTHING, notes=notes, approvals=approvals)
        word = await _step(live, "read approval", partial(_read, record.id, request))
        if word["status"] != ApprovalStatus.PENDING:
            return word
        notes, approvals, expires_at = (), (), word["expires_at"]


def _opening(record: ApprovalRecord, request: ApprovalRequest) -> list[Note]:
    facts = {
        "approval_id": record.id,
        "approvers": request.approvers,
        "expires_at": record.expires_at,
        "request_digest": record.digest,
    }
    if request.quorum > 1:
        facts["quorum"] = request.quorum
    if request.stages > 1:
        facts["stage"] = f"{request.stage}/{request.stages}"
    return [
        Note("policy.approval.requested", request.policy, to_json(facts)),
        Note("execution.state.captured"),
    ]


def _check(live: LiveExecution, record: ApprovalRecord, request: ApprovalRequest, word: Mapping[str, Any]) -> None:
    if word["status"] == ApprovalStatus.GRANTED:
        return
    subject = _subject(request)
    facts = {
        "execution_id": live.info.id,
        "action": subject,
        "approval_id": record.id,
        "policy": request.policy,
    }
    if word["status"] == ApprovalStatus.REJECTED:
        who, reason = word.get("approver") or "somebody", word.get("reason") or ""
        raise ApprovalRejected(
            f"{subject} was rejected by {who}{f': {reason}' if reason else ''} "
            f"(policy {request.policy!r}, execution {live.info.id})",
            approver=who,
            reason=reason,
            **facts,
        )
    raise ApprovalExpired(
        f"{subject}: nobody of {', '.join(request.approvers)} decided in time, and approval {record.id} is "
        f"{word['status']} (policy {request.policy!r}, execution {live.info.id}). Ask again.",
        **facts,
    )


Work = Callable[[Authority], Coroutine[Any, Any, T]]


async def _step(live: LiveExecution, name: str, work: Work[dict[str, Any]]) -> dict[str, Any]:
    async def perform(_arguments: Mapping[str, Any]) -> dict[str, Any]:
        return await work(authority_of(name))

    spec = StepSpec(name=name, perform=perform, returns=WORD, retry=PERSISTENT)
    return await live.run_step(spec, {})  # type: ignore[no-any-return]  # the codec says so


def authority_of(what: str) -> Authority:
    """The authority of the open runtime. Raises RuntimeRequired."""
    authority = ambient_authority.get()
    if authority is None:
        raise RuntimeRequired(
            f"{what} needs a place to keep approvals. Open one: `async with Runtime('sqlite:///assent.db'):`."
        )
    return authority


async def _read(approval_id: str, request: ApprovalRequest, authority: Authority) -> dict[str, Any]:
    """What has become of an approval, after its expiry is seen to. Raises PermitRefused for one that was changed."""
    if await authority.store.approval(approval_id) is None:
        raise refusal(_subject(request), f"approval {approval_id} is gone")
    record = await lapse(authority.store, authority.clock, approval_id)
    verdicts = await authority.store.verdicts(approval_id)
    if record.status is ApprovalStatus.GRANTED and (reason := objection(record, request, verdicts)) is not None:
        raise refusal(_subject(request), reason, record.execution_id)
    return _word(record, verdicts)


async def _withdraw(approval_id: str, authority: Authority) -> dict[str, Any]:
    return _word(await withdraw(authority.store, authority.clock, approval_id), ())


def _word(record: ApprovalRecord, verdicts: Sequence[VerdictRecord]) -> dict[str, Any]:
    facts = {"status": record.status.value, "digest": record.digest, "expires_at": record.expires_at}
    if record.status is ApprovalStatus.REJECTED:
        against = [one for one in verdicts if one.refusal is None and one.decision == "reject"]
        facts |= {"approver": against[-1].approver, "reason": against[-1].reason} if against else {}
    return facts


def _subject(request: ApprovalRequest) -> str:
    return request.action or request.title


def refusal(subject: str, reason: str, execution_id: str | None = None) -> PermitRefused:
    """The error for an action whose authority does not hold."""
    where = f" (execution {execution_id})" if execution_id else ""
    return PermitRefused(
        f"{subject} was not permitted: {reason}{where}. Ask for it again.",
        execution_id=execution_id,
        action=subject,
        reason=reason,
    )


async def approve(
    title: str,
    *,
    approvers: Sequence[str],
    within: Duration | None = "24h",
    quorum: int = 1,
    require_reason: bool = False,
    separation_of_duties: bool = True,
    on_expiry: OnExpiry = "reject",
    escalate_to: Sequence[str] = (),
) -> None:
    """Ask people in the middle of a workflow, and wait durably until they agree.

    Raises ApprovalRejected, or ApprovalExpired when nobody decides `within` that time. The same rules hold as for an
    ApprovalPolicy.
    """
    live = current()
    if live is None:
        raise RuntimeRequired(
            f"approve({title!r}) waits durably, so it needs a @workflow that was started under a Runtime."
        )
    requester = requester_of(live)
    request = ApprovalRequest(
        title=title,
        policy="approve",
        action_digest=digest(to_json([live.info.id, len(live.ops), title])),
        requester=None if requester is None else requester.id,
        approvers=tuple(approvers),
        quorum=quorum,
        require_reason=require_reason,
        separation_of_duties=separation_of_duties,
        on_expiry=on_expiry,
        escalate_to=tuple(escalate_to),
        expires=None if within is None else seconds(within),
    )
    await obtain(live, request)


def requester_of(live: LiveExecution) -> Principal | None:
    """For whom workflow code acts: as it says itself with `acting_as`, or else for whom its execution runs."""
    principal = current_principal()
    if principal is None and live.info.requester:
        return Principal.from_text(live.info.requester)
    return principal

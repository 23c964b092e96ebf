"""Asking people from workflow code, and waiting durably for what they say."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from assent.clock import Duration, seconds
from assent.codec import codec_for, digest, to_json
from assent.engine import LiveExecution, Note, StepSpec, current, uuid4
from assent.errors import ApprovalExpired, ApprovalRejected, RuntimeRequired
from assent.governance.approvals import ApprovalRequest, OnExpiry, find, lapse, opened, signal_name
from assent.governance.authority import Authority, ambient_authority
from assent.store import ApprovalRecord, ApprovalStatus

T = TypeVar("T")
WORD = codec_for(dict[str, Any])

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
    notes: Sequence[Note] = _opening(record, request)
    approvals: Sequence[ApprovalRecord] = (record,)
    while True:
        try:
            async with asyncio.timeout_at(record.expires_at):
                word = await live.wait_signal(signal_name(record.id), WORD, notes=notes, approvals=approvals)
        except TimeoutError:
            word = await _step(live, "expire approval", lambda authority, id=record.id: _lapse(authority, id))
        except asyncio.CancelledError:
            await _step(live, "withdraw approval", lambda authority, id=record.id: _withdraw(authority, id))
            raise
        record = replace(record, digest=word["digest"], expires_at=word["expires_at"])
        if word["status"] != ApprovalStatus.PENDING:
            break
        notes, approvals = (), ()
    _check(live, record, request, word)
    return record.id, record.digest


def _opening(record: ApprovalRecord, request: ApprovalRequest) -> list[Note]:
    facts = {
        "approval_id": record.id,
        "approvers": request.approvers,
        "quorum": request.quorum,
        "expires_at": record.expires_at,
        "stage": f"{request.stage}/{request.stages}",
        "request_digest": record.digest,
        "action_digest": request.action_digest,
    }
    return [
        Note("policy.approval.requested", request.policy, to_json(facts)),
        Note("execution.state.captured", "pre_approval", to_json({"action_digest": request.action_digest})),
    ]


def _check(live: LiveExecution, record: ApprovalRecord, request: ApprovalRequest, word: Mapping[str, Any]) -> None:
    if word["status"] == ApprovalStatus.GRANTED:
        return
    subject = request.action or request.title
    facts = {
        "execution_id": live.info.id,
        "action": request.action,
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

    return await live.run_step(StepSpec(name=name, perform=perform, returns=WORD), {})  # type: ignore[no-any-return]


def authority_of(what: str) -> Authority:
    """The authority of the open runtime. Raises RuntimeRequired."""
    authority = ambient_authority.get()
    if authority is None:
        raise RuntimeRequired(
            f"{what} needs a place to keep approvals. Open one: `async with Runtime('sqlite:///assent.db'):`."
        )
    return authority


async def _lapse(authority: Authority, approval_id: str) -> dict[str, Any]:
    return _word(await lapse(authority.store, authority.clock, approval_id))


async def _withdraw(authority: Authority, approval_id: str) -> dict[str, Any]:
    while True:  # a compare-and-set fails only if a verdict came first, and then there is nothing to withdraw
        record = await find(authority.store, approval_id)
        if record.status is not ApprovalStatus.PENDING:
            return _word(record)
        withdrawn = replace(
            record,
            status=ApprovalStatus.WITHDRAWN,
            version=record.version + 1,
            decided_at=authority.clock.now(),
        )
        if await authority.store.decide(withdrawn, None, []):
            return _word(withdrawn)


def _word(record: ApprovalRecord) -> dict[str, Any]:
    return {"status": record.status.value, "digest": record.digest, "expires_at": record.expires_at}


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
    request = ApprovalRequest(
        title=title,
        policy="approve",
        action_digest=digest(to_json([live.info.id, len(live.ops), title])),
        requester=requester_id(live),
        approvers=tuple(approvers),
        quorum=quorum,
        require_reason=require_reason,
        separation_of_duties=separation_of_duties,
        on_expiry=on_expiry,
        escalate_to=tuple(escalate_to),
        expires=None if within is None else seconds(within),
    )
    await obtain(live, request)


def requester_id(live: LiveExecution) -> str | None:
    """For whom an execution runs."""
    from_principal: dict[str, Any] = WORD.decode(live.info.requester) if live.info.requester else {}
    return from_principal.get("id")

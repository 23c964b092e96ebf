"""Asking people from workflow code, and waiting durably for what they say."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeVar

from assent.clock import Duration, seconds
from assent.codec import codec_for, digest, from_json, to_json
from assent.engine import LiveExecution, Note, StepSpec, current, uuid4
from assent.errors import ApprovalExpired, ApprovalRejected, PermitRefused, RuntimeRequired, StoreError, VerdictRefused
from assent.governance.action import Principal, current_principal
from assent.governance.approvals import (
    ApprovalRequest,
    Escalation,
    OnExpiry,
    asked_at,
    intact_request,
    levels_of,
    opened,
    person,
    signal_name,
)
from assent.governance.authority import Authority, ambient_authority
from assent.governance.verdicts import cast, find, lapse, objection_to, remind, withdraw
from assent.resilience import Retry
from assent.store import ApprovalRecord, ApprovalStatus, VerdictRecord

T = TypeVar("T")
WORD = codec_for(dict[str, Any])
ANYTHING = codec_for(Any)

# A store that cannot be read for a while is no reason to lose what people have said.
PERSISTENT = Retry(attempts=20, initial=0.5, maximum="1m", on=StoreError)

# Seconds that a new approval is waited for before carried approvals are cast on it: by then it is in the store.
OPEN: Final = 0.001

# The statuses that somebody has brought about by saying what.
SAID: Final = {
    ApprovalStatus.REJECTED: "reject",
    ApprovalStatus.AMENDED: "approve",
    ApprovalStatus.REVOKED: "revoke",
}

Grant = tuple[str, str]
"""An approval that was granted: its id, and the digest of the request as it was when it was granted.

Neither is taken on trust: `permits.recheck` holds the stored request against the one that was asked.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """An approval that also counts for the action as it was edited: where the same policy asks in the same stage."""

    policy: str  # its digest: several may bear one name
    stage: int
    approver: str
    reason: str = ""
    conditions: Sequence[str] = ()

    def fits(self, request: ApprovalRequest) -> bool:
        return (self.policy, self.stage) == (request.policy_digest, request.stage)


class Amended(BaseException):
    """An approver wants other arguments. No error: it only ends the asking, and the governed call begins anew."""

    def __init__(self, approval_id: str, request: ApprovalRequest, word: Mapping[str, Any]) -> None:
        super().__init__(approval_id)
        self.approval_id = approval_id
        self.request = request
        self.approver: str = word.get("approver") or ""
        self.reason: str = word.get("reason") or ""
        self.changes: Mapping[str, Any] = word.get("changes") or {}


class Round:
    """One round of questions about one action. `opened` has the ids of all approvals that were opened in it."""

    __slots__ = ("_carried", "_live", "opened")

    def __init__(self, live: LiveExecution, carried: Sequence[Carried] = ()) -> None:
        self.opened: list[str] = []
        self._live = live
        self._carried = list(carried)

    async def obtain_all(self, series: Sequence[Sequence[ApprovalRequest]]) -> list[Grant]:
        """Ask for all of it: each series beside the others, the requests of one series one after another.

        Raises ApprovalRejected, ApprovalExpired, PermitRefused or Amended at the first that is not granted; the others
        are withdrawn.
        """
        if len(series) == 1:
            return await self._obtain_in_turn(series[0])
        tasks = [asyncio.create_task(self._obtain_in_turn(each)) for each in series]
        try:
            return [grant for grants in await asyncio.gather(*tasks) for grant in grants]
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _obtain_in_turn(self, requests: Sequence[ApprovalRequest]) -> list[Grant]:
        return [await self.obtain(request) for request in requests]

    async def obtain(self, request: ApprovalRequest) -> Grant:
        """Put one request to people and wait until it is decided, however long that takes."""
        live = self._live
        channels = authority_of(_subject(request)).channels
        record = opened(str(uuid4()), live.info.id, request, live.loop.now, channels)
        self.opened.append(record.id)
        try:
            word = await _Question(live, record, request, self._taken(request)).answer()
        except asyncio.CancelledError:
            await _step(live, "withdraw approval", partial(_withdraw, record.id))
            raise
        _check(live, record, request, word)
        return record.id, word["digest"]

    def _taken(self, request: ApprovalRequest) -> list[Carried]:
        """What carries over to this request, and to no other: two policies that are alike are still two questions."""
        found: dict[str, Carried] = {}
        for each in self._carried:
            if each.fits(request):
                found.setdefault(person(each.approver), each)
        self._carried = [each for each in self._carried if each not in found.values()]
        return list(found.values())


class _Question:
    """One approval that is waited for: until people decide, it is time to remind them, or it expires."""

    def __init__(
        self, live: LiveExecution, record: ApprovalRecord, request: ApprovalRequest, carried: Sequence[Carried]
    ) -> None:
        self.live = live
        self.record = record
        self.request = request
        self.carried = carried
        self.asked_at = record.created_at  # from then on reminders are counted; escalation asks anew
        self.expires_at = record.expires_at
        self.reminded = 0

    async def answer(self) -> Mapping[str, Any]:
        """What has become of it, as the store says."""
        notes: Sequence[Note] = _opening(self.record, self.request)
        approvals: Sequence[ApprovalRecord] = (self.record,)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self.look_at()):
                    # Only a reason to look: anybody may send a signal, so what it says counts for nothing.
                    await self.live.wait_signal(signal_name(self.record.id), ANYTHING, notes=notes, approvals=approvals)
            word = await self.look()
            if word["status"] != ApprovalStatus.PENDING:
                return word
            notes, approvals = (), ()

    def look_at(self) -> float | None:
        """When to look at the store, whatever comes; None: when there is word."""
        if self.carried:
            return self.live.loop.now + OPEN
        times = self.reminders[self.reminded :]
        if self.expires_at is not None:
            times.append(self.expires_at)
        return min(times, default=None)

    @property
    def reminders(self) -> list[float]:
        """When people are reminded, in order."""
        return [round(self.asked_at + each, 3) for each in self.request.reminders]

    async def look(self) -> Mapping[str, Any]:
        approval_id, request, live = self.record.id, self.request, self.live
        if self.carried:
            carried, self.carried = self.carried, []
            word = await _step(live, "carry approvals", partial(_carry, approval_id, request, carried))
        elif self.is_reminder_due():
            word = await _step(live, "remind approvers", partial(_remind, approval_id, request))
        else:
            word = await _step(live, "read approval", partial(_read, approval_id, request))
        self.expires_at = word["expires_at"]
        if word["asked_at"] != self.asked_at:
            self.asked_at, self.reminded = word["asked_at"], 0
        return word

    def is_reminder_due(self) -> bool:
        """Whether time for a reminder has come; of several that were missed only one is sent."""
        passed = sum(each <= self.live.loop.now for each in self.reminders)
        is_due, self.reminded = passed > self.reminded, max(passed, self.reminded)
        return is_due


def _opening(record: ApprovalRecord, request: ApprovalRequest) -> list[Note]:
    facts = {
        "approval_id": record.id,
        "approvers": request.approvers,
        "expires_at": record.expires_at,
        "request_digest": record.digest,
    }
    if request.quorum > 1:
        facts["quorum"] = request.quorum
    if request.each:
        facts["each"] = True
    if request.stages > 1:
        facts["stage"] = f"{request.stage}/{request.stages}"
    return [
        Note("policy.approval.requested", request.policy, to_json(facts)),
        Note("execution.state.captured"),
    ]


def _check(live: LiveExecution, record: ApprovalRecord, request: ApprovalRequest, word: Mapping[str, Any]) -> None:
    if word["status"] == ApprovalStatus.GRANTED:
        return
    if word["status"] == ApprovalStatus.AMENDED:
        raise Amended(record.id, request, word)
    subject = _subject(request)
    if word["status"] == ApprovalStatus.REVOKED:
        raise refusal(subject, revoked(record.id, word), live.info.id)
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
    if record.status is ApprovalStatus.GRANTED:
        reason = await objection_to(authority.store, approval_id, request)
        # Taken back between the two looks at it: whoever waits reads that next.
        if reason is not None and (record := await find(authority.store, approval_id)).status is ApprovalStatus.GRANTED:
            raise refusal(_subject(request), reason, record.execution_id)
    return _word(record, await authority.store.verdicts(approval_id))


async def _remind(approval_id: str, request: ApprovalRequest, authority: Authority) -> dict[str, Any]:
    word = await _read(approval_id, request, authority)
    if word["status"] == ApprovalStatus.PENDING:
        await remind(authority.store, authority.clock, approval_id)
    return word


async def _carry(
    approval_id: str, request: ApprovalRequest, carried: Sequence[Carried], authority: Authority
) -> dict[str, Any]:
    """Have those who have agreed to the edited action already agree to it here."""
    for each in carried:
        said = await authority.store.verdicts(approval_id)
        if any(person(one.approver) == person(each.approver) for one in said):
            continue  # done before a crash, or they were faster
        # Whoever may not decide here, or only later: the refusal is on record, and the others are asked.
        with contextlib.suppress(VerdictRefused):
            await cast(
                authority.store,
                authority.clock,
                approval_id,
                approver=each.approver,
                decision="approve",
                reason=each.reason,
                conditions=each.conditions,
            )
    return await _read(approval_id, request, authority)


async def _withdraw(approval_id: str, authority: Authority) -> dict[str, Any]:
    return _word(await withdraw(authority.store, authority.clock, approval_id), ())


def _word(record: ApprovalRecord, verdicts: Sequence[VerdictRecord]) -> dict[str, Any]:
    request = intact_request(record)
    facts = {
        "status": record.status.value,
        "digest": record.digest,
        "expires_at": record.expires_at,
        "asked_at": asked_at(record, request) if request else record.created_at,
    }
    return facts | said_last(record, verdicts)


def said_last(record: ApprovalRecord, verdicts: Sequence[VerdictRecord]) -> dict[str, Any]:
    """Who brought an approval to where it stands, why, and with which changes; empty if nobody did."""
    decision = SAID.get(record.status)
    for one in reversed(verdicts):
        if one.refusal is None and one.decision == decision and (decision != "approve" or one.changes is not None):
            changes = {} if one.changes is None else {"changes": from_json(one.changes)}
            return {"approver": one.approver, "reason": one.reason, **changes}
    return {}


def revoked(approval_id: str, word: Mapping[str, Any]) -> str:
    """What a revocation means, in words for people."""
    who, reason = word.get("approver") or "somebody", word.get("reason") or ""
    return f"approval {approval_id} was revoked by {who}{f': {reason}' if reason else ''}"


def _subject(request: ApprovalRequest) -> str:
    return request.action or request.title


def refusal(subject: str, reason: str, execution_id: str | None = None, **facts: Any) -> PermitRefused:
    """The error for an action whose authority does not hold."""
    where = f" (execution {execution_id})" if execution_id else ""
    return PermitRefused(
        f"{subject} was not permitted: {reason}{where}. Ask for it again.",
        execution_id=execution_id,
        action=subject,
        reason=reason,
        **facts,
    )


async def approve(  # noqa: PLR0913 - one rule a line, as it is read
    title: str,
    *,
    approvers: Sequence[str],
    within: Duration | None = "24h",
    quorum: int | Literal["all"] = 1,
    require_reason: bool = False,
    separation_of_duties: bool = True,
    on_expiry: OnExpiry = "reject",
    escalate_to: Escalation = (),
    exclude: Sequence[str] = (),
    remind: Sequence[Duration] = (),
) -> None:
    """Ask people in the middle of a workflow, and wait durably until they agree.

    Raises ApprovalRejected, ApprovalExpired when nobody decides `within` that time, or PermitRefused when what was
    granted is revoked at once. The same rules hold as for an ApprovalPolicy.
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
        quorum=1 if quorum == "all" else quorum,
        each=quorum == "all",
        excluded=tuple(exclude),
        reminders=tuple(map(seconds, remind)),
        require_reason=require_reason,
        separation_of_duties=separation_of_duties,
        on_expiry=on_expiry,
        escalate_to=levels_of(escalate_to),
        expires=None if within is None else seconds(within),
    )
    await Round(live).obtain(request)


def requester_of(live: LiveExecution) -> Principal | None:
    """For whom workflow code acts: as it says itself with `acting_as`, or else for whom its execution runs."""
    principal = current_principal()
    if principal is None and live.info.requester:
        return Principal.from_text(live.info.requester)
    return principal

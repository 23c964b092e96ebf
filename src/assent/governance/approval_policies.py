"""The policies that ask people: once, or stage by stage."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, ClassVar, Literal, get_args

from assent.clock import Duration, seconds
from assent.errors import UsageError
from assent.governance.action import Action
from assent.governance.approvals import ApprovalRequest, Escalation, OnExpiry
from assent.governance.policy import Answer, Facts, Phase, Policy, said_yes
from assent.governance.terms import awaited

Condition = Callable[[Action], bool | Awaitable[bool]]
Exclusion = Callable[[Action], Sequence[str] | Awaitable[Sequence[str]]]
Quorum = int | Literal["all"]
OnPreviewError = Literal["ask", "deny"]


@dataclass(frozen=True)
class ApprovalPolicy(Policy):
    """People must approve.

    A caller waits `timeout_seconds` for them and is then told that the approval is pending; it stays open until it
    `expires`. Then it is rejected, or granted (`on_expiry="approve"`), or put to `escalate_to` for as long again, which
    may be several levels, one after the other. They are reminded so long after they were asked as `remind` says.

    Approvers are people by id, or roles as in "role:finance". `quorum` different approvers must approve ("all": each
    entry of `approvers`), and one rejection is enough to reject. Those in `exclude`, which may be a function of the
    action, may not decide. `auto_approve` gets the action, and True from it spares people the question. Both functions
    may be async. If the action's preview fails, people are asked all the same, or `on_preview_error="deny"` denies.
    """

    kind: ClassVar[str] = "approval"

    approvers: Sequence[str]
    _: KW_ONLY
    timeout_seconds: Duration = 30.0
    expires: Duration | None = "24h"
    on_expiry: OnExpiry = "reject"
    escalate_to: Escalation = ()
    remind: Sequence[Duration] = ()
    quorum: Quorum = 1
    exclude: Sequence[str] | Exclusion = ()
    require_reason: bool = False
    separation_of_duties: bool = True
    auto_approve: Condition | None = None
    on_preview_error: OnPreviewError = "ask"
    title: str | None = None
    phase: Phase = field(default=Phase.BEFORE, init=False)
    rechecked: bool = field(default=True, init=False)  # then what it asks must be what people have granted
    _request: ApprovalRequest = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _settle_rules(self)
        Policy.__post_init__(self)

    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        if self.auto_approve is None and not callable(self.exclude):
            return self.ask_people(self._request, needs_preview=self.on_preview_error == "deny")
        return self._ask(action)

    async def _ask(self, action: Action) -> Answer:
        if await _is_approved_by_rule(self, action):
            return self.allow("approved by rule")
        request = await _request_for(self, action)
        return self.ask_people(request, needs_preview=self.on_preview_error == "deny")


@dataclass(frozen=True, slots=True)
class ApprovalStage:
    """One stage of a `SequentialApprovalPolicy`; the rules are those of `ApprovalPolicy`."""

    name: str
    approvers: Sequence[str]
    _: KW_ONLY
    timeout_seconds: Duration = 30.0
    expires: Duration | None = "24h"
    on_expiry: OnExpiry = "reject"
    escalate_to: Escalation = ()
    remind: Sequence[Duration] = ()
    quorum: Quorum = 1
    exclude: Sequence[str] | Exclusion = ()
    require_reason: bool = False
    separation_of_duties: bool = True
    auto_approve: Condition | None = None
    on_preview_error: OnPreviewError = "ask"
    title: str | None = None
    _request: ApprovalRequest = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise UsageError('A stage needs a name, as in ApprovalStage("finance", ["cfo@company.com"]).')
        _settle_rules(self)

    async def request(self, action: Action, place: int, stages: int) -> ApprovalRequest | None:
        """What is asked in this stage, the `place`-th of so many; None if people need not be asked."""
        if await _is_approved_by_rule(self, action):
            return None
        request = await _request_for(self, action)
        return replace(request, stage=place, stages=stages, stage_name=self.name)


@dataclass(frozen=True)
class SequentialApprovalPolicy(Policy):
    """People must approve in stages: the next is asked when the one before has approved; one rejection ends it."""

    kind: ClassVar[str] = "approval"

    stages: Sequence[ApprovalStage]
    _: KW_ONLY
    phase: Phase = field(default=Phase.BEFORE, init=False)
    rechecked: bool = field(default=True, init=False)  # then what it asks must be what people have granted

    def __post_init__(self) -> None:
        stages = tuple(self.stages)
        names = [stage.name for stage in stages]
        if not stages:
            raise UsageError(
                'Without stages nobody would be asked. Give stages=[ApprovalStage("finance", [...]), ...].'
            )
        if len(set(names)) < len(names):
            raise UsageError(f"stages={names} has one name twice. Give each stage a name of its own.")
        object.__setattr__(self, "stages", stages)
        Policy.__post_init__(self)

    async def evaluate(self, action: Action, facts: Facts) -> Answer:
        count = len(self.stages)
        requests = [(stage, await stage.request(action, place, count)) for place, stage in enumerate(self.stages, 1)]
        asked = [(stage, request) for stage, request in requests if request is not None]
        if not asked:
            return self.allow("approved by rule")
        needs_preview = any(stage.on_preview_error == "deny" for stage, _ in asked)
        return self.ask_people(*(request for _, request in asked), needs_preview=needs_preview)


def _settle_rules(rules: Any) -> None:
    """Bring the rules of a policy or a stage into one form, and make the request of them, which checks them."""
    if rules.on_preview_error not in get_args(OnPreviewError):
        raise UsageError(f'on_preview_error={rules.on_preview_error!r} is unknown. Give "ask" or "deny".')
    request = ApprovalRequest(
        approvers=rules.approvers,
        quorum=1 if rules.quorum == "all" else rules.quorum,
        each=rules.quorum == "all",
        excluded=() if callable(rules.exclude) else rules.exclude,
        require_reason=rules.require_reason,
        separation_of_duties=rules.separation_of_duties,
        on_expiry=rules.on_expiry,
        escalate_to=rules.escalate_to,
        reminders=_reminders(rules.remind),
        timeout_seconds=seconds(rules.timeout_seconds),
        expires=None if rules.expires is None else seconds(rules.expires),
        title=rules.title or "",
    )
    object.__setattr__(rules, "_request", request)
    for name in ("approvers", "escalate_to", "timeout_seconds", "expires"):
        object.__setattr__(rules, name, getattr(request, name))
    object.__setattr__(rules, "remind", request.reminders)
    if not callable(rules.exclude):
        object.__setattr__(rules, "exclude", request.excluded)


def _reminders(remind: Sequence[Duration]) -> tuple[float, ...]:
    if isinstance(remind, str) or not isinstance(remind, Sequence):
        raise UsageError(f"remind={remind!r} is one time. Give a list: remind=[{remind!r}].")
    return tuple(seconds(one) for one in remind)


async def _is_approved_by_rule(rules: Any, action: Action) -> bool:
    return rules.auto_approve is not None and said_yes(await awaited(rules.auto_approve(action)), "auto_approve")


async def _request_for(rules: Any, action: Action) -> ApprovalRequest:
    """What is asked of people, but for those who may not decide on this very action."""
    request: ApprovalRequest = rules._request
    if not callable(rules.exclude):
        return request
    return replace(request, excluded=await awaited(rules.exclude(action)))

"""The policies that ask people: once, or stage by stage."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, ClassVar

from assent.clock import Duration, seconds
from assent.errors import UsageError
from assent.governance.action import Action
from assent.governance.approvals import ApprovalRequest, OnExpiry
from assent.governance.policy import Answer, Decision, Facts, Phase, Policy, said_yes, then

Condition = Callable[[Action], bool | Awaitable[bool]]


@dataclass(frozen=True)
class ApprovalPolicy(Policy):
    """People must approve.

    A caller waits `timeout_seconds` for them and is then told that the approval is pending; it stays open until it
    `expires`. Then it is rejected, or granted (`on_expiry="approve"`), or put to `escalate_to` for as long again.
    `quorum` different approvers must approve, and one rejection is enough to reject. `auto_approve` gets the action,
    and True from it spares people the question; it may be async.
    """

    kind: ClassVar[str] = "approval"

    approvers: Sequence[str]
    _: KW_ONLY
    timeout_seconds: Duration = 30.0
    expires: Duration | None = "24h"
    on_expiry: OnExpiry = "reject"
    escalate_to: Sequence[str] = ()
    quorum: int = 1
    require_reason: bool = False
    separation_of_duties: bool = True
    auto_approve: Condition | None = None
    title: str | None = None
    phase: Phase = field(default=Phase.BEFORE, init=False)
    rechecked: bool = field(default=True, init=False)  # then what it asks must be what people have granted
    _request: ApprovalRequest = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _settle_rules(self)
        Policy.__post_init__(self)

    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        if self.auto_approve is None:
            return self.ask_people(self._request)
        return then(self.auto_approve(action), self._unless)

    def _unless(self, answer: object) -> Decision:
        return self.allow("approved by rule") if said_yes(answer, "auto_approve") else self.ask_people(self._request)


@dataclass(frozen=True, slots=True)
class ApprovalStage:
    """One stage of a `SequentialApprovalPolicy`; the rules are those of `ApprovalPolicy`."""

    name: str
    approvers: Sequence[str]
    _: KW_ONLY
    timeout_seconds: Duration = 30.0
    expires: Duration | None = "24h"
    on_expiry: OnExpiry = "reject"
    escalate_to: Sequence[str] = ()
    quorum: int = 1
    require_reason: bool = False
    separation_of_duties: bool = True
    auto_approve: Condition | None = None
    title: str | None = None
    _request: ApprovalRequest = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise UsageError('A stage needs a name, as in ApprovalStage("finance", ["cfo@company.com"]).')
        _settle_rules(self)

    def request(self, place: int, stages: int) -> ApprovalRequest:
        """What is asked in this stage, the `place`-th of so many."""
        return replace(self._request, stage=place, stages=stages, stage_name=self.name)

    async def is_needed(self, action: Action) -> bool:
        """Whether people are to be asked."""
        if self.auto_approve is None:
            return True
        answer = self.auto_approve(action)
        return not said_yes(await answer if isinstance(answer, Awaitable) else answer, "auto_approve")


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

    async def evaluate(self, action: Action, facts: Facts) -> Decision:
        count = len(self.stages)
        places = enumerate(self.stages, start=1)
        asked = [stage.request(place, count) for place, stage in places if await stage.is_needed(action)]
        return self.ask_people(*asked) if asked else self.allow("approved by rule")


def _settle_rules(rules: Any) -> None:
    """Bring the rules of a policy or a stage into one form, and make the request of them, which checks them."""
    request = ApprovalRequest(
        approvers=rules.approvers,
        quorum=rules.quorum,
        require_reason=rules.require_reason,
        separation_of_duties=rules.separation_of_duties,
        on_expiry=rules.on_expiry,
        escalate_to=rules.escalate_to,
        timeout_seconds=seconds(rules.timeout_seconds),
        expires=None if rules.expires is None else seconds(rules.expires),
        title=rules.title or "",
    )
    object.__setattr__(rules, "_request", request)
    for name in ("approvers", "escalate_to", "timeout_seconds", "expires"):
        object.__setattr__(rules, name, getattr(request, name))

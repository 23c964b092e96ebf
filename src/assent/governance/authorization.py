"""The policy about who may do something."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from assent.errors import UsageError
from assent.governance.action import Action, Principal, names_of
from assent.governance.approval_policies import ApprovalPolicy, SequentialApprovalPolicy
from assent.governance.policy import Answer, Decision, Facts, Phase, Policy, said_yes, then


@dataclass(frozen=True, kw_only=True)
class AuthorizationPolicy(Policy):
    """The requester has one of the `roles`, all of the `permissions`, and the `authorizer` says True.

    What is not given is not asked for; the authorizer gets the action and may be async. Without a requester it
    denies. Whoever may not do it is denied, or people are asked: `ask` gives the approvers, or an ApprovalPolicy.
    Asked again at the moment of the effect, since roles are taken away while an action waits.
    """

    kind: ClassVar[str] = "authorization"

    roles: Collection[str] = ()
    permissions: Collection[str] = ()
    authorizer: Callable[[Action], bool | Awaitable[bool]] | None = None
    ask: ApprovalPolicy | SequentialApprovalPolicy | Iterable[str] | None = None
    phase: Phase = field(default=Phase.BEFORE, init=False)
    rechecked: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", frozenset(names_of("roles", self.roles)))
        object.__setattr__(self, "permissions", frozenset(names_of("permissions", self.permissions)))
        if not self.roles and not self.permissions and self.authorizer is None:
            raise UsageError("AuthorizationPolicy asks for nothing. Give roles=, permissions= or authorizer=.")
        if self.ask is not None and not isinstance(self.ask, Policy):
            object.__setattr__(self, "ask", ApprovalPolicy(names_of("ask", self.ask)))
        Policy.__post_init__(self)

    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        if action.requester is None:
            return self.deny("nobody is known to ask for it; call it inside `with acting_as(Principal(...))`")
        lacking = self._lacking(action.requester)
        if lacking or self.authorizer is None:
            return self._answer(action, facts, lacking)
        return self._authorized(action, facts, self.authorizer(action))

    def _authorized(self, action: Action, facts: Facts, said: Any) -> Answer | Awaitable[Answer]:
        if isinstance(said, Awaitable):
            return self._authorized_later(action, facts, said)
        refused = "" if said_yes(said, "authorizer") else f"{_id_of(action)} is not authorized"
        return self._answer(action, facts, refused)

    async def _authorized_later(self, action: Action, facts: Facts, said: Awaitable[Any]) -> Answer:
        answer = self._authorized(action, facts, await said)
        return await answer if isinstance(answer, Awaitable) else answer

    def _lacking(self, requester: Principal) -> str:
        if self.roles and requester.roles.isdisjoint(self.roles):
            return f"{requester.id} has none of the roles {', '.join(sorted(self.roles))}"
        missing = sorted(set(self.permissions) - requester.permissions)
        return f"{requester.id} lacks the permissions {', '.join(missing)}" if missing else ""

    def _answer(self, action: Action, facts: Facts, lacking: str) -> Answer | Awaitable[Answer]:
        if not lacking:
            return self.allow()
        if not isinstance(self.ask, Policy):
            return self.deny(lacking)
        return then(self.ask.evaluate(action, facts), partial(self._asked, lacking))

    def _asked(self, lacking: str, answer: Answer) -> Answer:
        """What people are asked instead, as a decision of this policy."""
        if isinstance(answer, Decision) and answer.outcome == "ask":
            return self.ask_people(*answer.requests, reason=lacking)
        return self.allow(f"{lacking}; approved by rule") if isinstance(answer, Decision) else self.deny(lacking)


def _id_of(action: Action) -> str:
    return action.requester.id if action.requester is not None else "nobody"

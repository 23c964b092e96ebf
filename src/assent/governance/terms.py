"""What is governed, and under which terms."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Self

from assent.codec import Signature
from assent.engine import StepSpec, plain_name
from assent.errors import GovernanceError, PolicyDenied
from assent.governance.action import Action, Outcome, Principal, nothing
from assent.governance.evaluating import PASSED_ON, Order, order_of
from assent.governance.policy import Phase, Policy
from assent.governance.previews import MakePreview
from assent.governance.redaction import Redaction
from assent.governance.ruling import policies_digest, redaction_of
from assent.governance.selection import selected

PreAction = Callable[[Action], Any]
PostAction = Callable[[Action, Outcome], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms under which a function is governed: the arguments of `@govern`."""

    policies: tuple[Policy, ...] = ()
    pre: tuple[PreAction, ...] = ()
    post: tuple[PostAction, ...] = ()
    captured: bool = True
    verify: Callable[[Action], Any] | None = None
    once: bool = True
    labels: frozenset[str] = frozenset()
    risk: str = ""
    preview: MakePreview | None = None
    context: Mapping[str, Any] = field(default_factory=nothing)
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is governed: a function, a step or a workflow, bound to its object if it is a method."""

    name: str
    terms: Terms
    signature: Signature
    perform: Callable[..., Awaitable[Any]]
    step: StepSpec | None = None  # of a governed step: its retries, its timeout and its `verify`
    is_workflow: bool = False

    def effect(self, bound: Mapping[str, Any]) -> Awaitable[Any]:
        """The effect itself."""
        args, kwargs = self.signature.spread(bound)
        return self.perform(*args, **kwargs)

    def action(self, bound: Mapping[str, Any], requester: Principal | None, execution_id: str | None = None) -> Action:
        """What a call wants to do."""
        terms = self.terms
        return Action(
            name=self.name,
            arguments=bound,
            requester=requester,
            labels=terms.labels,
            risk=terms.risk,
            context=terms.context,
            execution_id=execution_id,
            captured=terms.captured,
            canonical=self.signature.canonical,
        )


@dataclass(frozen=True)
class PolicySet:
    """All policies of an action, with what can be said of them before any call."""

    policies: tuple[Policy, ...]

    @classmethod
    def for_action(cls, policies: Iterable[Policy], name: str, terms: Terms) -> Self:
        """Those that are for the action of that name under these terms."""
        return cls(selected(policies, _Known(name, terms.labels, terms.risk)))

    @cached_property
    def digest(self) -> str:
        return policies_digest(self.policies)

    @cached_property
    def redaction(self) -> Redaction:
        return redaction_of(self.policies)

    @cached_property
    def is_rechecked(self) -> bool:
        return any(policy.rechecked and policy.mode == "enforce" for policy in self.policies)

    @cached_property
    def audits(self) -> tuple[Policy, ...]:
        """Those that only record; their word on the outcome is journaled with it."""
        return tuple(policy for policy in self.policies if _only_records(policy) and policy.phase != Phase.BEFORE)

    @cached_property
    def reviews(self) -> tuple[Policy, ...]:
        """Those that judge the outcome."""
        return tuple(policy for policy in self.policies if not _only_records(policy) and policy.phase != Phase.BEFORE)

    @cached_property
    def order_of_audits(self) -> Order:
        """In which order the auditors are asked about the outcome."""
        return order_of(self.audits)

    @cached_property
    def order_of_reviews(self) -> Order:
        """In which order the others are asked about it."""
        return order_of(self.reviews)

    @cached_property
    def order(self) -> Order:
        """In which order they are asked before the effect."""
        return order_of(self.policies)

    @cached_property
    def order_after(self) -> Order:
        """In which order they are asked after it."""
        return order_of(self.after)

    @cached_property
    def after(self) -> tuple[Policy, ...]:
        """All that are asked after the effect."""
        return (*self.audits, *self.reviews)

    def amounts(self, action: Action, outcome: Outcome) -> dict[str, int]:
        """What a successful effect has really drawn, in millionths by key of the hold; the other holds are right."""
        found: dict[str, int] = {}
        for policy in self._metering:
            found |= policy.amounts(action, outcome)
        return found

    @cached_property
    def _metering(self) -> tuple[Policy, ...]:
        return tuple(policy for policy in self.policies if type(policy).amounts is not Policy.amounts)


def _only_records(policy: Policy) -> bool:
    return policy.only_records


class _Known(NamedTuple):
    """What is known of an action before any call."""

    name: str
    labels: frozenset[str]
    risk: str


async def run_pre(terms: Terms, action: Action) -> None:
    """Run what comes before the effect. If it fails, the effect is denied."""
    for each in terms.pre:
        try:
            await awaited(each(action))
        except (GovernanceError, *PASSED_ON):
            raise
        except BaseException as error:
            name = f"pre {plain_name(each) if hasattr(each, '__qualname__') else type(each).__name__}"
            reason = f"it failed with {type(error).__name__}: {error}"
            raise PolicyDenied(
                f"{action.name} was denied by {name!r}: {reason}",
                execution_id=action.execution_id,
                action=action.name,
                policy=name,
                reason=reason,
            ) from error


async def run_post(terms: Terms, action: Action, outcome: Outcome) -> None:
    """Run what comes after the effect, also after one that failed."""
    for each in terms.post:
        await awaited(each(action, outcome))


async def awaited(answer: Any) -> Any:
    """What a callable of the user returned, after awaiting it if it is async."""
    return await answer if inspect.isawaitable(answer) else answer


def several(given: Any) -> tuple[Any, ...]:
    """One thing, or several, or none, as a tuple."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Iterable) else (given,)

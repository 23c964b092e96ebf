"""What a policy is, what it may know, and what it may say."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, NamedTuple, get_args, overload

from assent.errors import UsageError
from assent.governance.action import NOTHING, Action, Outcome, nothing
from assent.governance.approvals import ApprovalRequest
from assent.governance.fingerprint import fingerprint_of
from assent.governance.redaction import Redaction
from assent.governance.selection import Selector
from assent.store import Drawn, Hold


class Phase(StrEnum):
    """When a policy is asked: before the effect, after it (with its outcome), or both times."""

    BEFORE = "before"
    AFTER = "after"
    BOTH = "both"


BEFORE: Final = Phase.BEFORE
AFTER: Final = Phase.AFTER
BOTH: Final = Phase.BOTH


Admit = Callable[[str, float, int], Awaitable[float]]
"""Takes a token from the bucket of that key, which refills by `rate` a second up to `burst`: 0, or seconds to wait."""


async def nowhere_to_count(key: str, rate: float, burst: int) -> float:
    """Stands in where nobody has said where to count calls, so that a limit is never taken for kept."""
    raise UsageError(
        f"There is nowhere to count the calls of {key}. Give Facts(admit=...), for one Buckets(...).admit."
    )


Spent = Callable[[str, float | None], Awaitable[Drawn]]
"""Says what has been drawn under a key: of all time, or after a moment (Unix seconds)."""


async def nowhere_to_draw(key: str, since: float | None) -> Drawn:
    """Stands in where nobody has said where budgets are kept, so that one is never taken for kept."""
    raise UsageError(f"There is nowhere to look up what was drawn on {key}. Give Facts(spent=...), or open a runtime.")


@dataclass(frozen=True, kw_only=True)  # without slots, so that `at` can copy all of it at once
class Facts:
    """What a policy may know beside the action.

    `evaluated_at` is None the first time. At the moment of the effect, which may be days later, it is when the action
    was first evaluated, and `granted` has the digests of the requests that people have granted.
    """

    now: float  # Unix seconds
    phase: Phase = Phase.BEFORE
    outcome: Outcome | None = None  # of the effect; only in the phase after it
    admit: Admit = nowhere_to_count
    environment: Mapping[str, Any] = field(default_factory=nothing)
    evaluated_at: float | None = None
    granted: frozenset[str] = frozenset()
    spent: Spent = nowhere_to_draw
    preview: Mapping[str, Any] = field(default_factory=nothing)  # at the moment of the effect: what people were shown

    def __post_init__(self) -> None:
        if self.phase == BOTH:
            raise UsageError('Facts are of one phase. Give phase="before" or phase="after".')

    @property
    def is_recheck(self) -> bool:
        return self.evaluated_at is not None

    def at(self, now: float, outcome: Outcome | None = None) -> "Facts":
        """The same facts at another moment, for much less than it costs to make them: every call needs them twice."""
        facts = object.__new__(Facts)
        facts.__dict__.update(self.__dict__, now=now, outcome=outcome)
        return facts


class Decision(NamedTuple):
    """What one policy says on one action. Made with `allow`, `deny`, `warn` and `ask_people` of the policy.

    A tuple, because every policy makes one for every call.
    """

    outcome: Literal["allow", "deny", "warn", "ask"]
    policy: str = ""
    kind: str = "custom"
    reason: str = ""
    facts: Mapping[str, Any] = NOTHING  # for the journal
    requests: tuple[ApprovalRequest, ...] = ()  # to be asked one after another
    retry_after: float | None = None  # seconds
    cause: BaseException | None = None  # the error that stands behind a denial
    holds: tuple[Hold, ...] = ()  # what the action draws on, to be taken together with its permit
    needs_preview: bool = False  # of a question: if people cannot be shown what would happen, it is a denial
    hands_on: tuple["Policy", ...] = ()  # asked as well, as if they stood beside the policy that names them


Answer = Decision | bool | None
"""What a policy returns. True allows, False denies; None is no answer, and denies."""


Mode = Literal["enforce", "shadow"]


@dataclass(frozen=True, kw_only=True)
class Policy(ABC):
    """A rule about actions. Write your own as a frozen dataclass with an `evaluate`.

    It is shared by all calls and processes, so it keeps no state; whatever it raises is a denial. With `mode="shadow"`
    it is asked and what it would have said is recorded, and nothing else comes of it. `applies_to` says for which
    actions it is; without it, for all that it is attached to.
    """

    kind: ClassVar[str] = "custom"
    consumes: ClassVar[bool] = False  # evaluating it uses something up, so it is asked last, if nothing else denies

    name: str = ""
    version: int = 1  # raise it when the code behind the rule changes; open approvals then no longer fit
    phase: Phase = Phase.BEFORE
    rechecked: bool = False  # asked again at the moment of the effect, since its answer may have changed by then
    mode: Mode = "enforce"
    applies_to: Selector | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or _default_name(type(self)))
        if self.phase not in set(Phase):
            raise UsageError(f'phase={self.phase!r} is unknown. Give "before", "after" or "both".')
        object.__setattr__(self, "phase", Phase(self.phase))
        if self.mode not in get_args(Mode):
            raise UsageError(f'mode={self.mode!r} is unknown. Give "enforce" or "shadow".')
        if not isinstance(self.applies_to, Selector | None):
            raise UsageError(f'applies_to={self.applies_to!r} is none. Give one, as in Selector(actions=["pay_*"]).')

    @abstractmethod
    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        """Say whether the action may happen, or has happened rightly."""

    @property
    def redaction(self) -> Redaction | None:
        """What this policy wants to be kept out of all records."""
        return None

    @property
    def only_records(self) -> bool:
        """Whether what it says of an outcome is only a record; it is then asked about effects that failed, too."""
        return self.kind == "audit" or self.mode == "shadow"

    def applies(self, facts: Facts) -> bool:
        """Whether the policy is asked at this moment."""
        if facts.evaluated_at is not None and not self.rechecked:
            return False
        if self.phase in (facts.phase, BOTH):
            return True
        # A misspelled phase must not silently switch a policy off: it raises, and that denies.
        return Phase(self.phase) == facts.phase

    def amounts(self, action: Action, outcome: Outcome) -> Mapping[str, int]:
        """What a successful effect really drew, in millionths by key of the hold; those not named are right."""
        return NOTHING

    def fingerprint(self) -> str:
        """A digest of kind, name, version and settings: the same in every process, another after any change of them."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint_of([self.kind, self])

    def allow(self, reason: str = "", *, holds: Sequence[Hold] = (), **facts: Any) -> Decision:
        """The action may happen, and draws on what it `holds`."""
        if reason or facts or holds:
            return Decision("allow", self.name, self.kind, reason, facts, holds=tuple(holds))
        return self.allowed

    @cached_property
    def allowed(self) -> Decision:
        """What `allow()` returns: one and the same each time, since most calls end with it."""
        return Decision("allow", self.name, self.kind)

    def deny(self, reason: str, *, retry_after: float | None = None, **facts: Any) -> Decision:
        """The action may not happen; `retry_after` says in how many seconds it might."""
        return Decision("deny", self.name, self.kind, reason, facts, retry_after=retry_after)

    def warn(self, reason: str, **facts: Any) -> Decision:
        """The action may happen, and the record says what is wrong with it."""
        return Decision("warn", self.name, self.kind, reason, facts)

    def ask_people(
        self, *requests: ApprovalRequest, reason: str = "", needs_preview: bool = False, **facts: Any
    ) -> Decision:
        """People must agree first, to one request after another; with `needs_preview` they are not asked blindly."""
        return Decision("ask", self.name, self.kind, reason, facts, requests, needs_preview=needs_preview)


def _default_name(kind: type[Policy]) -> str:
    return kind.__name__ if kind.kind == Policy.kind else kind.kind


Rule = Callable[[Action, Facts], Answer | Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class FunctionPolicy(Policy):
    """A function as a policy; see `policy`."""

    rule: Rule

    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        return self.rule(action, facts)


@overload
def policy(rule: Rule, /) -> FunctionPolicy: ...


@overload
def policy(
    *,
    name: str = "",
    version: int = 1,
    phase: Phase = Phase.BEFORE,
    rechecked: bool = False,
    mode: Mode = "enforce",
    applies_to: Selector | None = None,
) -> Callable[[Rule], FunctionPolicy]: ...


def policy(rule: Rule | None = None, /, **options: Any) -> FunctionPolicy | Callable[[Rule], FunctionPolicy]:
    """Make a function of action and facts a policy. It returns a Decision, True or False, and may be async."""
    if rule is None:
        return lambda fn: _policy_of(fn, options)
    return _policy_of(rule, options)


def _policy_of(rule: Rule, options: Mapping[str, Any]) -> FunctionPolicy:
    name = options.get("name") or getattr(rule, "__name__", "")
    return FunctionPolicy(rule=rule, **{**options, "name": name})


def then(answer: object, go_on: Callable[[Any], Answer]) -> Answer | Awaitable[Answer]:
    """Go on with what a callable of the user returned, after awaiting it if it is async."""
    return _then(answer, go_on) if isinstance(answer, Awaitable) else go_on(answer)


async def _then(answer: Awaitable[Any], go_on: Callable[[Any], Answer]) -> Answer:
    return go_on(await answer)


def said_yes(answer: object, what: str) -> bool:
    """Whether a callable of the user said yes. Raises UsageError for an answer that is neither yes nor no."""
    if answer is True:
        return True
    if answer is False or answer is None:
        return False
    raise UsageError(f"{what} returned {type(answer).__name__}, which is neither yes nor no. Return True or False.")

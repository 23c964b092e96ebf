"""What policies have in common that decide which other policies are asked."""

import copy
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import cached_property
from typing import Any, Final, Literal

from assent.errors import UsageError
from assent.governance import Action, Decision, Facts, Outcome, Phase, Policy, Redaction
from assent.governance.action import names_of
from assent.governance.fingerprint import fingerprint_of, name_of
from assent.policies.criteria import Criterion, Finding

Word = Literal["allow", "warn", "deny"]
"""What is said without asking any other policy."""

Then = Policy | Sequence[Policy] | Word
"""What happens in a case: policies are asked, or a word is the answer."""

STRICTNESS: Final = ("allow", "warn", "deny")


@dataclass(frozen=True, slots=True)
class Branch:
    """What happens in a case, in one form."""

    word: Word = "allow"
    policies: tuple[Policy, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """The names of the policies that it leads to, and its word if it says more than they."""
        names = tuple(one.name for one in self.policies)
        return names if names and self.word == "allow" else (self.word, *names)

    def __add__(self, other: "Branch") -> "Branch":
        stricter = max((self, other), key=lambda one: STRICTNESS.index(one.word))
        return Branch(stricter.word, (*self.policies, *other.policies))


DENIED: Final = Branch("deny")
BY_WORD: Final[Mapping[str, Branch]] = {"allow": Branch(), "warn": Branch("warn"), "deny": DENIED}


def branch_of(what: str, given: object) -> Branch:
    """What was given for a case. Raises UsageError for what is neither policies nor a known word."""
    match given:
        case str() if given in BY_WORD:
            return BY_WORD[given]
        case Policy():
            return Branch(policies=(given,))
        case list() | tuple() if given and all(isinstance(one, Policy) for one in given):
            return Branch(policies=tuple(given))
        case _:
            raise UsageError(
                f'{what}={given!r} is nothing to do. Give a policy, a list of policies, "allow", "warn" or "deny".'
            )


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a `Layered` or a `Composite`: what happens when its criterion is met; without one, always."""

    name: str
    _: KW_ONLY
    then: Then
    when: Criterion | None = None
    _branch: Branch = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names_of("name", [self.name])
        if self.when is not None:
            check_criterion(f"Rule {self.name!r}", self.when)
        object.__setattr__(self, "_branch", branch_of(f"then of rule {self.name!r}", self.then))

    @property
    def branch(self) -> Branch:
        """What it leads to."""
        return self._branch

    def told(self, found: Finding) -> str:
        """That it applies, and why."""
        return f"{self.name}: {found.reason}" if found.reason else self.name


ALWAYS: Final = Finding(True)
"""What is found where there is nothing to meet."""


def check_criterion(what: str, given: object) -> None:
    """Raise UsageError for what is no criterion."""
    if not isinstance(given, Criterion):
        raise UsageError(
            f"{what} is told to look at {given!r}, which is no criterion. Give Threshold(...), Matches(...) and the "
            "like, or make a function one with Dynamic(function)."
        )


@dataclass(frozen=True, kw_only=True)
class Chooser(Policy):
    """A policy that decides which others are asked. They are then asked as if they stood beside it.

    So each keeps its own say, name, version and place in the record, and only what is said of it here holds for it. It
    is asked at every moment for which one of them is, and again at the moment of the effect if one of them is.
    """

    phase: Phase = field(default=Phase.BEFORE, init=False)

    def __post_init__(self) -> None:
        inside = [one for one in self.inside if one.mode == "enforce"]  # a shadow changes nothing
        if any(one.phase != Phase.BEFORE for one in inside):
            object.__setattr__(self, "phase", Phase.BOTH)
        object.__setattr__(self, "rechecked", self.rechecked or any(one.rechecked for one in inside))
        Policy.__post_init__(self)

    @property
    @abstractmethod
    def branches(self) -> Iterable[Branch]:
        """All that it may lead to."""

    @property
    def inside(self) -> tuple[Policy, ...]:
        """The policies that it may hand on to."""
        return tuple(one for branch in self.branches for one in branch.policies)

    @property
    def redaction(self) -> Redaction | None:
        united: Redaction | None = None
        for one in self.inside:
            if one.redaction is not None and one.mode == "enforce":
                united = one.redaction if united is None else united | one.redaction
        return united

    @property
    def only_records(self) -> bool:
        judges = [one for one in self.inside if one.phase != Phase.BEFORE and not one.only_records]
        return self.mode == "shadow" or not judges

    def amounts(self, action: Action, outcome: Outcome) -> Mapping[str, int]:
        found = [self._handed(one).amounts(action, outcome) for one in self.inside]
        return {key: amount for amounts in found for key, amount in amounts.items()}

    @cached_property
    def _fingerprint(self) -> str:
        # Without shadows, so that trying one out costs no approval.
        settings = {one.name: _in_force(getattr(self, one.name)) for one in fields(self) if one.compare}
        return fingerprint_of([self.kind, name_of(type(self)), settings])

    def lead_to(self, branch: Branch, action: Action, facts: Facts, found: Finding) -> Decision:
        """The decision that hands on to a branch, with what was found."""
        # What has happened already can be recorded and judged, but no more allowed or denied for what it is.
        word = branch.word if facts.phase == Phase.BEFORE else "allow"
        told = {"then": branch.told, **_seen(action, found)}
        hands_on = tuple(self._handed(one) for one in branch.policies if _is_for(one, action))
        return Decision(word, self.name, self.kind, found.reason, told, hands_on=hands_on)

    def refuse(self, action: Action, found: Finding) -> Decision:
        """The denial for want of knowledge, at whatever moment."""
        reason = f"it cannot be told whether it may happen: {found.reason}"
        return Decision("deny", self.name, self.kind, reason, _seen(action, found))

    def _handed(self, one: Policy) -> Policy:
        """The policy as it is handed on to: what a shadow leads to is a shadow itself."""
        if self.mode == "enforce" or one.mode == "shadow":
            return one
        shadow = copy.copy(one)
        object.__setattr__(shadow, "mode", "shadow")
        return shadow


def _seen(action: Action, found: Finding) -> dict[str, Any]:
    """What the record shows of the values; nothing of a call that keeps no state."""
    return {"seen": found.facts} if action.captured and found.facts else {}


def _in_force(value: Any) -> Any:
    """A setting without the policies in it that are shadows, and with the fingerprints of the others."""
    match value:
        case Policy():
            return value.fingerprint() if value.mode == "enforce" else None
        case Rule():
            return [value.name, value.when, _in_force(value.then)]
        case list() | tuple():
            return [_in_force(one) for one in value if not isinstance(one, Policy) or one.mode == "enforce"]
        case Mapping():
            return {key: _in_force(one) for key, one in value.items()}
        case _:
            return value


def _is_for(one: Policy, action: Action) -> bool:
    return one.applies_to is None or one.applies_to.selects(action)

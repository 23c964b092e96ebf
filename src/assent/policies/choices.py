"""The policies that hand on to others: by a criterion, by tiers of a number, and by rules in layers or in order."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, ClassVar

from assent.errors import UsageError
from assent.governance import Action, Decision, Facts
from assent.governance.policy import Answer
from assent.governance.policy import then as once_known
from assent.policies.choosing import ALWAYS, DENIED, Branch, Chooser, Rule, Then, branch_of, check_criterion
from assent.policies.criteria import Criterion, Finding, finding_of, findings, merged, settled
from assent.policies.measures import MISSING, Amount, Measure, Reading, Root, measure_of, number_of
from assent.policies.scores import Tiers


@dataclass(frozen=True)
class When(Chooser):
    """If the criterion is met, `then` is asked, else `otherwise`, which allows if it is left out.

    Both are a policy, a list of policies, or "allow", "warn" or "deny". If the criterion cannot be told, it denies.
    """

    kind: ClassVar[str] = "when"

    criterion: Criterion
    then: Then
    otherwise: Then | None = None
    _then: Branch = field(init=False, repr=False, compare=False)
    _otherwise: Branch = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_criterion("When", self.criterion)
        object.__setattr__(self, "_then", branch_of("then", self.then))
        otherwise = "allow" if self.otherwise is None else self.otherwise
        object.__setattr__(self, "_otherwise", branch_of("otherwise", otherwise))
        Chooser.__post_init__(self)

    @property
    def branches(self) -> Iterable[Branch]:
        return self._then, self._otherwise

    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        return once_known(self.criterion.meets(action, facts), partial(self._choose, action, facts))

    def _choose(self, action: Action, facts: Facts, answer: Finding) -> Decision:
        found = settled(self.criterion, answer)
        if found.met is None:
            return self.refuse(action, found)
        return self.lead_to(self._then if found.met else self._otherwise, action, facts, found)


@dataclass(frozen=True)
class Tiered(Chooser):
    """What is asked follows from a number: each key of `tiers` is the least number from which its entry holds.

    `Tiered("amount", {0: "allow", 1_000: ApprovalPolicy(...), 1_000_000: "deny"})`. The number is an argument by its
    path (or something else, see `of`), or what a function or a `Score` gives. A number below all tiers is denied,
    and so is what is no number.
    """

    kind: ClassVar[str] = "tiered"

    value: str | Measure | Callable[..., Any]
    tiers: Mapping[Amount, Then]
    _: KW_ONLY
    of: Root = "arguments"
    label: str = ""  # what people call a number that a function gives
    _measure: Measure = field(init=False, repr=False, compare=False)
    _tiers: Tiers[Branch] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_measure", measure_of(self.value, self.of, self.label))
        given = Tiers(self.tiers).tiers
        tiers = Tiers({bound: branch_of(f"tiers[{bound}]", one) for bound, one in given.items()})
        object.__setattr__(self, "tiers", given)
        object.__setattr__(self, "_tiers", tiers)
        Chooser.__post_init__(self)

    @property
    def branches(self) -> Iterable[Branch]:
        return self._tiers.tiers.values()

    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        return once_known(self._measure.read(action, facts), partial(self._choose, action, facts))

    def _choose(self, action: Action, facts: Facts, reading: Reading) -> Decision:
        label, number = self._measure.label, number_of(reading.value)
        if number is None:
            problem = f"there is no {label}" if reading.value is MISSING else f"{label} is no number"
            return self.refuse(action, Finding(None, reading.facts, problem))
        place = self._tiers.place_of(number)
        if place < 0:
            return self.lead_to(DENIED, action, facts, Finding(False, reading.facts, f"{label} is below all tiers"))
        bound, branch = self._tiers.at(place)
        return self.lead_to(
            branch, action, facts, Finding(True, reading.facts, f"{label} is in the tier from {bound:,}")
        )


@dataclass(frozen=True)
class Layered(Chooser):
    """Rules that all count: what every layer demands that applies must be given, so each can only make it stricter.

    `Layered([Rule("company", then=[...]), Rule("production", when=Environment("production"), then=[...])])`. If the
    criterion of one cannot be told, it denies.
    """

    kind: ClassVar[str] = "layered"

    layers: Sequence[Rule]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _rules_of("Layered", self.layers))
        Chooser.__post_init__(self)

    @property
    def branches(self) -> Iterable[Branch]:
        return (layer.branch for layer in self.layers)

    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        criteria = [layer.when for layer in self.layers if layer.when is not None]
        return once_known(findings(criteria, action, facts), partial(self._choose, action, facts))

    def _choose(self, action: Action, facts: Facts, found: Sequence[Finding]) -> Decision:
        seen = merged(one.facts for one in found)
        unknown = [one.reason for one in found if one.met is None]
        if unknown:
            return self.refuse(action, Finding(None, seen, " and ".join(unknown)))
        answers = iter(found)
        each = [(layer, ALWAYS if layer.when is None else next(answers)) for layer in self.layers]
        told = "; ".join(layer.told(answer) for layer, answer in each if answer)
        branch = sum((layer.branch for layer, answer in each if answer), Branch())
        return self.lead_to(branch, action, facts, Finding(True, seen, told or "no layer applies"))


@dataclass(frozen=True)
class Composite(Chooser):
    """Rules in order, of which the first decides whose criterion is met; then `otherwise`, which denies if left out.

    If the criterion of a rule cannot be told, it denies, and does not go on to the next.
    """

    kind: ClassVar[str] = "composite"

    rules: Sequence[Rule]
    _: KW_ONLY
    otherwise: Then = "deny"
    _otherwise: Branch = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", _rules_of("Composite", self.rules))
        object.__setattr__(self, "_otherwise", branch_of("otherwise", self.otherwise))
        Chooser.__post_init__(self)

    @property
    def branches(self) -> Iterable[Branch]:
        return *(rule.branch for rule in self.rules), self._otherwise

    async def evaluate(self, action: Action, facts: Facts) -> Decision:
        seen: list[Mapping[str, Any]] = []
        for rule in self.rules:
            found = ALWAYS if rule.when is None else await finding_of(rule.when, action, facts)
            seen.append(found.facts)
            if found.met is None:
                return self.refuse(action, Finding(None, merged(seen), found.reason))
            if found.met:
                return self.lead_to(rule.branch, action, facts, Finding(True, merged(seen), rule.told(found)))
        return self.lead_to(self._otherwise, action, facts, Finding(False, merged(seen), "no rule applies"))


def _rules_of(what: str, given: object) -> tuple[Rule, ...]:
    rules = tuple(given) if isinstance(given, Sequence) else ()
    if not rules or not all(isinstance(one, Rule) for one in rules):
        raise UsageError(f'{what} takes a list of rules, as in {what}([Rule("large", when=..., then=...)]).')
    names = [rule.name for rule in rules]
    if len(set(names)) < len(names):
        raise UsageError(f"{what} has rules {names}, of which two share a name. Give each a name of its own.")
    return rules

"""Conditions in CEL, the Common Expression Language; it needs the extra `policy`."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from assent.errors import UsageError
from assent.governance import Action, Facts
from assent.policies.carrying import carried, members, plain
from assent.policies.criteria import Criterion, Finding
from assent.policies.exact import FAULTS
from assent.policies.expressions import Translation, translated
from assent.policies.extras import extra
from assent.policies.tokens import within_bits

ABSENT: Final = object()
MAPS: Final = (dict, MappingProxyType, Mapping)  # the usual ones first: asking for the last takes longer
SPOKEN: Final = re.compile("'(and|or|not|AND|OR|NOT)'")
NOWHERE: Final = Facts(now=0.0)
FINEST: Final = 10**9  # finer amounts are rounded up
ABOUT: Final = ("name", "labels", "risk", "context", "arguments")  # what `action` has
POISON: Final = b"!"  # instead of a value that a function could not work out; no operator takes it
# The library has no error of its own; a missing variable, a wrong type and a bad key are these.
REFUSALS: Final = (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Expression:
    """A CEL expression, compiled once. It may use `args`, `action`, `requester`, `environment` and `now`.

    Numbers are compared and added up exactly, and a text that is written as a number counts as one. What is wrong with
    the expression itself raises UsageError when it is made; what is wrong with the values it gets, when they come.
    """

    text: str
    _plan: Translation = field(init=False, repr=False, compare=False)
    _program: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _compiled(within_bits(self.text), self.text)
        plan = translated(self.text)
        for pattern in plan.patterns:
            _check_pattern(pattern, self.text)
        object.__setattr__(self, "_plan", plan)
        object.__setattr__(self, "_program", _compiled(plan.text, self.text))

    @property
    def kind(self) -> str:
        """Of its result, as far as that can be told: "bool", "number", "text", "list" and so on, or "any"."""
        return self._plan.kind

    @property
    def roots(self) -> frozenset[str]:
        """The variables that it uses."""
        return frozenset(path[0] for path in (*self._plan.paths, *self._plan.presences))

    def value(self, action: Action, facts: Facts) -> Any:
        """What it comes to. Raises UsageError that says why it comes to nothing."""
        return self._worked_out(action, facts, self._values(action, facts))

    def holds(self, action: Action, facts: Facts) -> bool:
        """Whether it is true. Raises UsageError for anything but true and false."""
        return self._truth(self.value(action, facts))

    def holds_for(self, action: Action) -> bool:
        """Whether one that looks at the action only is true."""
        return self.holds(action, NOWHERE)

    def amount_of(self, action: Action) -> Any:
        """The amount that one comes to that looks at the action only; endless fractions are rounded up."""
        value = self.value(action, NOWHERE)
        return value if not isinstance(value, Fraction) else Decimal(math.ceil(value * FINEST)) / FINEST

    def key_of(self, action: Action) -> str:
        """What one that looks at the action only counts by."""
        value = self.value(action, NOWHERE)
        if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
            return str(value)
        raise UsageError(f"{self.text!r} came to {type(value).__name__}, and counting is by a text or a number.")

    def names_for(self, action: Action) -> list[str]:
        """The names that one comes to that looks at the action only."""
        value = self.value(action, NOWHERE)
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        raise UsageError(f"{self.text!r} came to {type(value).__name__}, and a list of names is needed.")

    def find(self, action: Action, facts: Facts) -> tuple[bool, Mapping[str, Any]]:
        """Whether it is true, and the values that it saw. The UsageError has these as `seen`."""
        values = self._values(action, facts)
        seen = _nested(values)
        try:
            return self._truth(self._worked_out(action, facts, values)), seen
        except UsageError as error:
            raise UsageError(str(error), seen=seen) from error

    def _truth(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise UsageError(f"{self.text!r} came to {type(value).__name__}, and a condition is true or false.")

    def _values(self, action: Action, facts: Facts) -> dict[tuple[str, ...], Any]:
        return {path: _found(action, facts, path) for path in self._plan.paths}

    def _worked_out(self, action: Action, facts: Facts, values: Mapping[tuple[str, ...], Any]) -> Any:
        problems: list[str] = []
        faults: list[str] = []
        given: dict[str, Any] = {name: partial(_quietly, work, faults) for name, work in self._plan.functions.items()}
        # A variable without a value is left out. Asking for it is an error, in the library as in the language.
        for path, value in values.items():
            if value is ABSENT:
                problems.append(f"there is no {'.'.join(path)}")
                continue
            try:
                given[self._plan.paths[path]] = carried(value)
            except UsageError as error:
                problems.append(f"{'.'.join(path)} cannot be used: {str(error).rstrip('.')}")
        for path, name in self._plan.presences.items():
            if _found(action, facts, path[:-1]) is ABSENT:
                problems.append(f"there is no {'.'.join(path[:-1])}")
            else:
                given[name] = _found(action, facts, path) is not ABSENT
        return plain(self._run(given, faults, problems))

    def _run(self, given: dict[str, Any], faults: list[str], problems: list[str]) -> Any:
        try:
            result = self._program.execute(given)
        except REFUSALS as error:
            problem = next(iter((*faults, *problems)), str(error).partition(". ")[0])
            raise UsageError(f"{self.text!r} cannot be told: {problem}.") from error
        if faults:
            # What a function could not work out may have come to something all the same, as in a list of it.
            raise UsageError(f"{self.text!r} cannot be told: {faults[0]}.")
        return result


@dataclass(frozen=True)
class Cel(Criterion):
    """A CEL expression is true: `Cel("args.amount > 10000 && 'treasury' in requester.roles")`.

    Where a value is missing, or of a kind that the expression has no use for, it cannot be told, which denies.
    """

    expression: str
    _compiled: Expression = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_compiled", condition(self.expression))

    def meets(self, action: Action, facts: Facts) -> Finding:
        try:
            met, seen = self._compiled.find(action, facts)
        except UsageError as error:
            return Finding(None, getattr(error, "seen", {}), str(error).rstrip("."))
        return Finding(met, seen, f"{self.expression} is {'true' if met else 'false'}")


def condition(text: str) -> Expression:
    """The expression, which must be one that is true or false. Raises UsageError."""
    found = Expression(text)
    if found.kind not in {"bool", "any"}:
        raise UsageError(f"{text!r} comes to a {found.kind}. A condition is true or false: compare it with something.")
    return found


def of_action(expression: Expression) -> Expression:
    """The expression, which must look at the action only. Raises UsageError."""
    others = sorted(expression.roots & {"now", "environment"})
    if others:
        raise UsageError(
            f"{expression.text!r} uses {' and '.join(others)}, which is not known here. Put it into `when`."
        )
    return expression


def _compiled(text: str, original: str) -> Any:
    try:
        return extra("cel").compile(text)
    except REFUSALS as error:
        problem = str(error).partition("ERROR: <input>:")[2].partition("\n")[0].partition(" expecting ")[0] or str(
            error
        )
        words = "Write && for and, || for or, ! for not." if SPOKEN.search(problem) else "Mend the expression."
        raise UsageError(f"{original!r} is no CEL: {problem}. {words}") from error


def _check_pattern(pattern: str, original: str) -> None:
    try:
        extra("cel").compile(f"''.matches({pattern})").execute({})
    except REFUSALS as error:
        raise UsageError(f"{pattern} in {original!r} is no regular expression. Mend it.") from error


def _quietly(work: Callable[..., Any], faults: list[str], *values: Any) -> Any:
    """Call a function of ours. The library would log what one raises, with values that may be secret."""
    try:
        return carried(work(*values))
    except FAULTS as error:
        faults.append(str(error).rstrip("."))
        return POISON


def _found(action: Action, facts: Facts, path: tuple[str, ...]) -> Any:
    """What stands at a path; ABSENT if nothing does."""
    value: Any
    root, names = path[0], path[1:]
    if root == "args":  # by far the most, so they come first
        value = action.arguments
    elif root == "action" and names:
        value, names = (getattr(action, names[0]) if names[0] in ABOUT else ABSENT), names[1:]
    else:
        value = _root(action, facts, root)
    for name in names:
        if value is ABSENT:
            break
        value = value.get(name, ABSENT) if isinstance(value, MAPS) else _member(value, name)
    return value


def _root(action: Action, facts: Facts, name: str) -> Any:
    match name:
        case "now":
            return datetime.fromtimestamp(facts.now, UTC)
        case "environment":
            return facts.environment
        case "requester":
            return _requester(action)
        case _:
            return _about(action)


def _requester(action: Action) -> Mapping[str, Any] | None:
    who = action.requester
    return None if who is None else {"id": who.id, "roles": who.roles, "permissions": who.permissions}


def _about(action: Action) -> Mapping[str, Any]:
    return {name: getattr(action, name) for name in ABOUT}


def _member(value: Any, name: str) -> Any:
    try:
        return members(value).get(name, ABSENT)
    except UsageError:
        return ABSENT


def _nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """What was seen, by root and name, as records want it."""
    seen: dict[str, Any] = {}
    for path, value in values.items():
        if value is not ABSENT and path != ("now",):
            place = seen
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = value
    return seen

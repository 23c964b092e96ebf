"""The policy that the arguments, or the result, are as they should be."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import Parameter
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from assent.errors import UsageError
from assent.governance.action import Action
from assent.governance.fingerprint import name_of
from assent.governance.policy import AFTER, Answer, Decision, Facts, Phase, Policy, said_yes

Check = Callable[..., bool | Awaitable[bool]]


class _Rule(NamedTuple):
    """One thing to check: `holds` says True, or raises ValueError with what is wrong."""

    label: str  # of what is wrong, for people
    holds: Callable[[Action, Facts], Any]
    message: str = ""  # what to say instead when it does not hold

    def problem(self, action: Action, facts: Facts) -> str | Awaitable[str | None] | None:
        """What is wrong; None if nothing is."""
        try:
            answer = self.holds(action, facts)
            if answer is True:
                return None
            return self._later(answer) if inspect.isawaitable(answer) else self._judged(answer)
        except (ValueError, AssertionError) as error:
            return self.message or _told(self.label, error)

    async def _later(self, answer: Awaitable[Any]) -> str | None:
        try:
            return self._judged(await answer)
        except (ValueError, AssertionError) as error:
            return self.message or _told(self.label, error)

    def _judged(self, answer: object) -> str | None:
        if answer is None:
            raise UsageError(f"{self.label} returned None. Return True or False, or raise ValueError(what is wrong).")
        return None if said_yes(answer, self.label) else self.message or f"{self.label} does not hold"


@dataclass(frozen=True, kw_only=True)
class ValidationPolicy(Policy):
    """The arguments, or the result, are as they should be.

    `check` gets the action; one with several parameters, or keyword-only ones, gets the arguments of these names. It
    returns True or False, or raises ValueError with what is wrong; it may be async. `model` (a pydantic model or
    any type of a mapping) is validated from all arguments, `parameters` names a type or a check of one value for
    some. `result` is a type or a check for what the function returns. Values are validated, not converted. With
    `strict=False` what is wrong is a warning; a check that does not work denies all the same.
    """

    kind: ClassVar[str] = "validation"

    check: Check | None = None
    model: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    strict: bool = True
    message: str = ""  # what to tell people when the check does not hold
    phase: Phase = field(default=Phase.BEFORE, init=False)
    _before: Sequence[_Rule] = field(init=False, repr=False, compare=False)
    _after: Sequence[_Rule] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "_before", tuple(self._rules_before()))
        object.__setattr__(self, "_after", tuple(self._rules_after()))
        if not self._before and not self._after:
            raise UsageError("ValidationPolicy has nothing to validate. Give check=, model=, parameters= or result=.")
        phase = Phase.BOTH if self._before and self._after else Phase.BEFORE if self._before else Phase.AFTER
        object.__setattr__(self, "phase", phase)
        Policy.__post_init__(self)

    def _rules_before(self) -> Iterable[_Rule]:
        if self.check is not None:
            yield _Rule(_called(self.check), _check_of_action(self.check), self.message)
        if self.model is not None:
            yield _Rule("", partial(_validate_arguments, _adapter("model", self.model)))
        for name, expected in self.parameters.items():
            yield _Rule(_label(name, expected), partial(_hold_argument, name, _check_of_value("parameters", expected)))

    def _rules_after(self) -> Iterable[_Rule]:
        if self.result is not None:
            yield _Rule(_label("result", self.result), partial(_hold_result, _check_of_value("result", self.result)))

    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        rules = self._after if facts.phase == AFTER else self._before
        problems: list[str] = []
        for place, rule in enumerate(rules, start=1):
            found = rule.problem(action, facts)
            if isinstance(found, str):
                problems.append(found)
            elif found is not None:
                return self._rest(action, facts, problems, found, rules[place:])
        return self._decision(problems)

    async def _rest(
        self,
        action: Action,
        facts: Facts,
        problems: list[str],
        waiting: Awaitable[str | None],
        rules: Sequence[_Rule],
    ) -> Decision:
        found = [await waiting]
        for rule in rules:
            problem = rule.problem(action, facts)
            found.append(problem if isinstance(problem, str) or problem is None else await problem)
        return self._decision([*problems, *(one for one in found if one is not None)])

    def _decision(self, problems: list[str]) -> Decision:
        if not problems:
            return self.allow()
        reason = "; ".join(problems)
        return self.deny(reason) if self.strict else self.warn(reason)


def _validate_arguments(adapter: TypeAdapter[Any], action: Action, _: Facts) -> bool:
    adapter.validate_python(dict(action.arguments))
    return True


def _hold_argument(name: str, check: Callable[[Any], Any], action: Action, _: Facts) -> Any:
    if name not in action.arguments:
        raise UsageError(f"{action.name} has no parameter {name!r}; it has {', '.join(action.arguments) or 'none'}.")
    return check(action.arguments[name])


def _hold_result(check: Callable[[Any], Any], _: Action, facts: Facts) -> Any:
    if facts.outcome is None:
        raise UsageError("There is no outcome to validate. Give Facts(outcome=...) in the phase after the effect.")
    return facts.outcome.failed or check(facts.outcome.value)


def _check_of_action(check: Check) -> Callable[[Action, Facts], Any]:
    names = _names_asked_for(check)
    if names is None:
        return lambda action, _: check(action)
    return lambda action, _: check(**_picked(action, names))


def _names_asked_for(check: Check) -> Mapping[str, bool] | None:
    """The arguments that a check asks for by name, and whether it can do without; None if it takes the action."""
    try:
        parameters = list(inspect.signature(check).parameters.values())
    except (TypeError, ValueError):
        return None
    if len(parameters) == 1 and parameters[0].kind is not Parameter.KEYWORD_ONLY:
        return None
    if any(one.kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD} for one in parameters) or not parameters:
        raise UsageError(f"{_called(check)} must take the action, or arguments by their names.")
    return {one.name: one.default is not Parameter.empty for one in parameters}


def _picked(action: Action, names: Mapping[str, bool]) -> dict[str, Any]:
    missing = [name for name, optional in names.items() if not optional and name not in action.arguments]
    if missing:
        known = ", ".join(action.arguments) or "none"
        raise UsageError(f"The check asks for {missing}, which {action.name} does not have; it has {known}.")
    return {name: action.arguments[name] for name in names if name in action.arguments}


def _is_type(expected: Any) -> bool:
    return isinstance(expected, type) or get_origin(expected) is not None or hasattr(expected, "__supertype__")


def _check_of_value(what: str, expected: Any) -> Callable[[Any], Any]:
    """A check of one value, from a type or from a callable."""
    if not _is_type(expected) and callable(expected):
        return expected  # type: ignore[no-any-return]  # its answer is judged when it comes
    adapter = _adapter(what, expected)
    return lambda value: (adapter.validate_python(value), True)[1]


def _adapter(what: str, expected: Any) -> TypeAdapter[Any]:
    try:
        if _is_type(expected):
            return TypeAdapter(expected)
        cause = None
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        cause = error
    remedy = "Give a pydantic model, a type or a check."
    raise UsageError(f"{what}={expected!r} is no type to validate with. {remedy}") from cause


def _label(name: str, expected: Any) -> str:
    return name if _is_type(expected) else f"{_called(expected)} of {name}"


def _called(check: Any) -> str:
    return f"check {name_of(check).rpartition(':')[2].rpartition('<locals>.')[2]}"


def _told(label: str, error: Exception) -> str:
    """What is wrong, without the values: they may be secret."""
    if not isinstance(error, ValidationError):
        return f"{label}: {error}" if str(error) else f"{label} does not hold"
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, filter(None, (label, *one['loc']))))}: {one['msg']}" for one in found)

"""Which actions a policy is for: by name, by label or by risk."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol, TypeVar

from assent.errors import UsageError
from assent.governance.action import names_of

RISKS: Final = ("low", "medium", "high", "critical")
"""How much harm an action can do, in rising order. An action of which nobody says so comes before all of them."""


def checked_risk(risk: str) -> str:
    """The risk itself; "" if nothing is said. Raises UsageError for an unknown one."""
    if risk and risk not in RISKS:
        raise UsageError(f"risk={risk!r} is unknown. Give one of {', '.join(RISKS)}, or leave it out.")
    return risk


class Selectable(Protocol):
    """What a selector looks at: an action, or the terms of a governed function."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> frozenset[str]: ...

    @property
    def risk(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """The actions whose name fits one of the patterns, with one of the labels, and of at least that risk.

    What is not given does not matter, so an empty selector selects every action. Patterns are those of file names
    (`pay_*`), and upper and lower case differ.
    """

    actions: Sequence[str] = ()
    labels: Sequence[str] = ()
    risk: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "actions", names_of("actions", self.actions))
        object.__setattr__(self, "labels", names_of("labels", self.labels))
        checked_risk(self.risk)

    def selects(self, action: Selectable) -> bool:
        """Whether the action is one of those."""
        return self.misses(action) is None

    def misses(self, action: Selectable) -> str | None:
        """Why the action is none of those, in words for people; None if it is one."""
        if self.actions and not any(fnmatchcase(action.name, pattern) for pattern in self.actions):
            return f"its name {action.name!r} fits none of {', '.join(self.actions)}"
        if self.labels and action.labels.isdisjoint(self.labels):
            return f"it has none of the labels {', '.join(self.labels)}"
        if self.risk and _rank(action.risk) < _rank(self.risk):
            return f"its risk {action.risk or 'is not given, and so'} is below {self.risk}"
        return None


def _rank(risk: str) -> int:
    return RISKS.index(risk) if risk in RISKS else -1


P = TypeVar("P")


def selected(policies: Iterable[P], action: Selectable) -> tuple[P, ...]:
    """The policies that are for such an action, in their order; one that is attached twice is there once."""
    found = {id(one): one for one in policies if (selector := _selector_of(one)) is None or selector.selects(action)}
    return tuple(found.values())


def _selector_of(one: Any) -> Selector | None:
    # What is no policy at all stays in, so that asking it denies.
    found = getattr(one, "applies_to", None)
    return found if isinstance(found, Selector) else None

"""A lane of a timeline: one thing that happened in an execution, with its bars, marks and attempts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["step", "policies", "approval", "timer", "signal", "child"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time in a lane. Looks: done, failed, running, doubt, pause, wait, parked."""

    start: float
    end: float
    look: str
    says: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in a lane; `who` is the person who did it, if somebody did."""

    at: float
    tone: str
    says: str
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a step, for reading."""

    number: int
    start: float
    end: float | None
    outcome: str  # completed, failed, retried, running
    result: Any = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What one policy said of an action."""

    policy: str
    kind: str
    outcome: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Lane:
    """One thing that happened, with all that is known of it."""

    kind: Kind
    name: str
    key: str
    begin: float
    tone: str = ""
    note: str = ""
    href: str = ""
    arguments: Any = None
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    ruling: Sequence[Said] = ()  # what each policy said
    reason: str = ""
    open_since: float | None = None  # while it goes on
    open_look: str = "running"

    @property
    def seconds(self) -> float:
        """From its beginning to its end, pauses included."""
        return max((bar.end for bar in self.bars), default=self.begin) - self.begin

    @property
    def has_more(self) -> bool:
        """Whether there is more to read than the lane shows."""
        return bool(self.attempts or self.ruling or self.arguments or self.reason or self.href)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The lanes of an execution in the order in which they began, and how it was kept meanwhile."""

    lanes: Sequence[Lane]
    whole: Sequence[Bar]  # in memory or parked
    handovers: Sequence[Mark]  # when another worker went on with it
    begin: float
    end: float

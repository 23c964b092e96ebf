"""A figure of the table: what was measured, beside what, and the target that it is held against."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Target:
    """A bound, and whether the figure itself or its ratio to the yardstick is held against it."""

    bound: float
    kind: Literal["ratio at least", "at least", "at most"]

    def is_met(self, ours: float, ratio: float | None) -> bool | None:
        """None if there was nothing to compare with."""
        match self.kind:
            case "ratio at least":
                return None if ratio is None else ratio >= self.bound
            case "at least":
                return ours >= self.bound
            case "at most":
                return ours <= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    ours: float
    unit: str
    yardstick: float | None = None  # in the same unit
    against: str = ""  # what the yardstick is, or why there is none
    ratio: float | None = None  # the median of the rounds' ratios, which is not quite that of the medians
    target: Target | None = None

    @property
    def is_met(self) -> bool | None:
        """None if it has no target, or nothing to compare with."""
        return None if self.target is None else self.target.is_met(self.ours, self.ratio)


class Compared(NamedTuple):
    """Medians over some rounds."""

    ours: float
    yardstick: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is done for each figure."""

    rounds: int
    commits: int  # of one row, for a yardstick
    groups: int  # commits of many rows, for a yardstick
    sequential: int  # steps of the one workflow
    workflows: int  # at once
    each: int  # steps of each of them
    rival_sequential: int
    rival_each: int
    replayed: int  # steps of the journal
    calls: int  # governed, in memory, for one round
    callers: int
    calls_each: int
    parked: int
    idle: float  # seconds
    samples: int  # of a latency
    starts: int  # fresh processes
    pending: int  # approvals that wait for people
    verdicts: int  # of these, decided one after another in one round
    recorded: int  # actions that are judged anew
    lanes: int  # callers over HTTP at once
    load: float  # seconds for which they call
    agent_runs: int  # of an agent, one after another
    agents: int  # at once


Bench = Callable[[Scale, Path], Awaitable[list[Figure]]]
"""Measures some figures, with a folder for its files."""

Measure = Callable[[], Awaitable[float]]


async def side_by_side(ours: Measure, yardstick: Measure, rounds: int) -> Compared:
    """Measure ours between two measurements of the yardstick, some times over: the machine may be busy meanwhile."""
    mine: list[float] = []
    theirs = [await yardstick()]
    for _ in range(rounds):
        mine.append(await ours())
        theirs.append(await yardstick())
    ratios = [mine[place] * 2 / (theirs[place] + theirs[place + 1]) for place in range(rounds)]
    return Compared(median(mine), median(theirs), median(ratios))

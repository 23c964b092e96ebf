"""What reviewing costs: how long people took so far, and what so many questions take at that pace."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from assent.governance.action import nothing
from assent.governance.approvals import person
from assent.governance.people import Roster
from assent.governance.statistics import ApproverStatistics, statistics_of
from assent.policies.recording import Question
from assent.store import ApprovalStatus, Store

LATEST: Final = 2_000  # approvals whose verdicts are read: enough for medians, and quick in a store of any size
EVERYTHING: Final = 1_000_000_000  # approvals; the port lists them with a limit


@dataclass(frozen=True, slots=True)
class Habit:
    """How one approver decides, in seconds; None where it is not known."""

    verdicts: int = 0
    waiting: float | None = None  # median from asked to verdict
    looking: float | None = None  # median from seen to verdict


@dataclass(frozen=True, slots=True)
class Pace:
    """The recorded pace of all approvers. Whoever is not known takes the median of the others."""

    habits: Mapping[str, Habit] = field(default_factory=nothing)
    waiting: float | None = field(init=False)
    looking: float | None = field(init=False)

    def __post_init__(self) -> None:
        known = {person(name): habit for name, habit in self.habits.items()}
        object.__setattr__(self, "habits", known)
        object.__setattr__(self, "waiting", _median(one.waiting for one in known.values()))
        object.__setattr__(self, "looking", _median(one.looking for one in known.values()))

    def of(self, approver: str) -> Habit:
        """The habit to reckon with for this person, or for the members of this role."""
        habit = self.habits.get(person(approver), Habit())
        return Habit(
            verdicts=habit.verdicts,
            waiting=self.waiting if habit.waiting is None else habit.waiting,
            looking=self.looking if habit.looking is None else habit.looking,
        )

    def wait(self, question: Question) -> float | None:
        """How long it takes until enough of those who are asked have decided."""
        waits = sorted(wait for one in question.approvers if (wait := self.of(one).waiting) is not None)
        return waits[min(question.quorum, len(waits)) - 1] if waits else None


async def pace_of(store: Store, now: float, since: float | None = None) -> Pace:
    """The pace of the latest approvals that people have decided, since then if it is given."""
    decided = [
        record
        for record in await store.approvals(limit=EVERYTHING)
        if record.status is not ApprovalStatus.PENDING and (since is None or record.created_at >= since)
    ][-LATEST:]
    verdicts = {record.id: await store.verdicts(record.id) for record in decided}
    return Pace(_habits(statistics_of(decided, verdicts, Roster(), now)))


def _habits(statistics: Iterable[ApproverStatistics]) -> dict[str, Habit]:
    return {
        one.approver: Habit(one.verdicts, one.median_decision, one.median_dwell) for one in statistics if one.verdicts
    }


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What some questions take. Verdicts are shared evenly among those who are asked."""

    questions: int
    verdicts: float
    waiting: float | None  # seconds that actions wait, all together; None: no pace is known
    looking: float | None  # seconds that people look at them, all together
    shares: Mapping[str, float]  # verdicts by approver


def load_of(asked: Counter[Question], pace: Pace) -> Load:
    """What these questions take at that pace."""
    shares: Counter[str] = Counter()
    for question, count in asked.items():
        each = count * question.quorum / len(question.approvers)
        shares.update(dict.fromkeys(question.approvers, each))
    return Load(
        questions=asked.total(),
        verdicts=sum(count * question.quorum for question, count in asked.items()),
        waiting=_total((pace.wait(question), count) for question, count in asked.items()),
        looking=_total((pace.of(one).looking, share) for one, share in shares.items()),
        shares=shares,
    )


def _total(parts: Iterable[tuple[float | None, float]]) -> float | None:
    """The sum of lengths, each so many times; None if one of them is not known."""
    found = 0.0
    for length, times in parts:
        if length is None:
            return None
        found += length * times
    return found

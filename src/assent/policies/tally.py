"""What would change: recorded actions counted by what was said of them and what would be, with examples."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from assent.policies.recording import Question, Recorded, Word

EXAMPLES: Final = 5  # executions named for one change by one policy; enough to look it up


class Change(StrEnum):
    """What becomes of an action. Each action counts once."""

    NEWLY_DENIED = "newly denied"
    NEWLY_ASKED = "newly asked"
    NO_LONGER_ASKED = "no longer asked"
    NO_LONGER_DENIED = "no longer denied"  # allowed, or asked about
    ASKED_OF_OTHERS = "asked of others"  # of other people, or of another number of them
    UNCHANGED = "unchanged"
    UNJUDGED = "cannot be judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One action, with what was said of it and what would be."""

    recorded: Recorded
    outcome: str | None  # what would become of it; None: that cannot be told
    before: Sequence[Word]  # of the policies whose place is taken, as recorded
    kept: Sequence[Word]  # of all other policies, as recorded
    words: Sequence[Word]  # of the policies under test that are in force
    shadows: Sequence[Word] = ()  # of those that are not
    missing: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # values not recorded, by the policy that needs one
    shadow_missing: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def asked_before(self) -> list[Question]:
        """What people were asked, in order."""
        return questions_of(self.recorded.outcome, (*self.before, *self.kept))

    @property
    def asked(self) -> list[Question]:
        """What they would be asked, in order."""
        return questions_of(self.outcome, (*self.words, *self.kept))

    @property
    def change(self) -> Change:
        was, now = self.recorded.outcome, self.outcome
        if now is None:
            return Change.UNJUDGED
        if was == now:
            is_same = now != "ask" or self.asked == self.asked_before
            return Change.UNCHANGED if is_same else Change.ASKED_OF_OTHERS
        if now == "deny":
            return Change.NEWLY_DENIED
        if was == "deny":
            return Change.NO_LONGER_DENIED
        return Change.NEWLY_ASKED if now == "ask" else Change.NO_LONGER_ASKED

    def responsible(self, change: Change) -> list[Word]:
        """The words that make the change: those that count now, or those that counted and no longer do."""
        match change:
            case Change.NEWLY_DENIED:
                return _saying("deny", self.words)
            case Change.NEWLY_ASKED:
                return _saying("ask", self.words)
            case Change.NO_LONGER_DENIED:
                return _saying("deny", self.before)
            case Change.NO_LONGER_ASKED:
                return _saying("ask", self.before)
            case Change.ASKED_OF_OTHERS:
                return self._asking_otherwise()
            case _:
                return []

    def _asking_otherwise(self) -> list[Word]:
        before = {word.policy: word.questions for word in self.before}
        now = {word.policy: word for word in self.words}
        gone = [word for word in self.before if word.questions and word.policy not in now]
        return [*gone, *(word for word in self.words if word.questions != before.get(word.policy, ()))]


def questions_of(outcome: str | None, words: Iterable[Word]) -> list[Question]:
    """What people are asked; nothing if the action is denied, whoever would have liked to ask."""
    return sorted(each for word in words for each in word.questions) if outcome == "ask" else []


def _saying(outcome: str, words: Iterable[Word]) -> list[Word]:
    return [word for word in words if word.outcome == outcome]


@dataclass(frozen=True, slots=True)
class Example:
    """An execution to look at."""

    execution_id: str
    reason: str


@dataclass(slots=True)
class PolicyTally:
    """What one policy says of the recorded actions."""

    name: str
    is_shadow: bool = False
    leads: bool = False  # it decides which others are asked, and says little itself
    is_tested: bool = True  # False: its recorded word counts no longer, and nothing takes its place
    said: Counter[str] = field(default_factory=Counter)
    said_before: Counter[str] = field(default_factory=Counter)
    failed: int = 0  # times it denied because it did not work
    failure: str = ""  # the first of these
    unjudged: int = 0
    changes: Counter[Change] = field(default_factory=Counter)
    examples: dict[Change, list[Example]] = field(default_factory=dict)

    def hear(self, word: Word) -> None:
        self.said[word.outcome] += 1
        if word.failed:
            self.failed += 1
            self.failure = self.failure or word.reason

    @property
    def is_silent(self) -> bool:
        """Whether all that it did was to lead to others."""
        return self.leads and not self.said.keys() - {"allow"} and not (self.changes or self.failed or self.unjudged)

    def blame(self, change: Change, example: Example) -> None:
        self.changes[change] += 1
        examples = self.examples.setdefault(change, [])
        if len(examples) < EXAMPLES:
            examples.append(example)


@dataclass(slots=True)
class Tally:
    """The result of a back-test, as it is counted."""

    policies: dict[str, PolicyTally] = field(default_factory=dict)
    actions: int = 0
    first: float | None = None  # Unix seconds
    last: float | None = None
    changes: Counter[Change] = field(default_factory=Counter)
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)  # from one outcome to another
    missing: Counter[str] = field(default_factory=Counter)  # values that were not recorded and are needed, by name
    kept: Counter[str] = field(default_factory=Counter)  # policies whose recorded word was left as it is
    asked_before: Counter[Question] = field(default_factory=Counter)
    asked: Counter[Question] = field(default_factory=Counter)

    def add(self, one: Comparison) -> None:
        """Count one action."""
        change = one.change
        self._see(one.recorded.at)
        self.changes[change] += 1
        for word in one.kept:
            self.kept[word.policy] += 1
        self._hear(one)
        for name in (*one.missing, *one.shadow_missing):
            self.of(name).unjudged += 1
        if change is Change.UNJUDGED:
            self.missing.update({path for paths in one.missing.values() for path in paths})
            return
        if one.recorded.outcome == "ask":
            self.asked_before.update(one.asked_before)
        if one.outcome == "ask":
            self.asked.update(one.asked)
        if one.outcome is not None and one.outcome != one.recorded.outcome:
            self.moves[one.recorded.outcome, one.outcome] += 1
        for word in one.responsible(change):
            self.of(word.policy).blame(change, Example(one.recorded.execution_id, word.reason))

    def add_unreadable(self, at: float, why: str) -> None:
        """Count a record of which nothing can be made."""
        self._see(at)
        self.changes[Change.UNJUDGED] += 1
        self.missing[why] += 1

    def _see(self, at: float) -> None:
        self.actions += 1
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)

    def _hear(self, one: Comparison) -> None:
        for word in one.before:
            self.of(word.policy).said_before[word.outcome] += 1
        for word in one.words:
            self.of(word.policy).hear(word)
        for word in one.shadows:
            self.of(word.policy).hear(word)

    def of(self, name: str) -> PolicyTally:
        """The tally of a policy, which begins now if its name is new."""
        known = self.policies.get(name)
        if known is None:
            known = self.policies[name] = PolicyTally(name, is_tested=False)
        return known

"""Policies asked about actions that were recorded before, to see what they would change.

The policies under test take the place of the recorded ones of the same name, and of those that are said to go
(`without`). Whatever other policies said, for one those that stand in the code, stays as it was recorded. Together they
say what policies say together anywhere: any denial denies, else any question asks. Rate limits and budgets are counted
anew in the order of recording, as if every action that is not denied had been approved and had happened.

Nothing is guessed. A policy that wants a value which the record does not have (redacted, cut, not captured) leaves the
action unjudged, unless another policy denies it anyway, or the very same policy was asked then, by its fingerprint.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from assent.errors import UsageError
from assent.governance import Decision, Facts, Policy, evaluate_all
from assent.governance.selection import selected
from assent.policies.recording import EVALUATED, UNREADABLE, Question, Recorded, Word, recorded_of
from assent.policies.simulation import Simulation
from assent.policies.tally import Comparison, PolicyTally, Tally
from assent.store import Event, Store

PAGE: Final = 2_000  # events read at a time: a few MB, and a progress bar that moves

Progress = Callable[[Tally], None]
"""Is told after each page how far it has come."""


async def backtest(
    store: Store,
    policies: Sequence[Policy],
    *,
    since: float | None = None,
    until: float | None = None,
    without: Iterable[str] = (),
    progress: Progress | None = None,
) -> Tally:
    """Say what the policies would change in the actions recorded `since` then (Unix seconds), and before `until`."""
    test = Backtest(policies, without)
    after = 0
    while page := await store.events(after=after, type=EVALUATED, limit=PAGE):
        after = page[-1].seq
        for event in page:
            if (since is None or event.at >= since) and (until is None or event.at < until):
                await test.add(event)
        if progress is not None:
            progress(test.tally)
    return test.tally


@dataclass(frozen=True, slots=True)
class _Rules:
    """The policies under test that are for one kind of action."""

    free: tuple[Policy, ...]
    consuming: tuple[Policy, ...]  # asked last, and only while nothing denies
    shadows: tuple[Policy, ...]  # as if they were in force


class Backtest:
    """A back-test under way: give it one event after another, in the order of recording."""

    def __init__(self, policies: Sequence[Policy], without: Iterable[str] = ()) -> None:
        # What only records never decides, and must not log actions of the past as if they happened now.
        self._policies = tuple(one for one in policies if one.kind != "audit")
        names = [one.name for one in policies]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"There are several policies called {', '.join(twice)}. Give each a name of its own.")
        self._replaced = {*names, *without}
        self._shadowed = {one.name for one in policies if one.mode == "shadow"}
        self._rules: dict[tuple[str, frozenset[str], str], _Rules] = {}
        self._simulation = Simulation()
        self.tally = Tally({one.name: PolicyTally(one.name, one.mode == "shadow") for one in self._policies})

    async def add(self, event: Event) -> None:
        """Judge one recorded action, and count it."""
        recorded = recorded_of(event)
        if recorded is None:
            self.tally.add_unreadable(event.at, UNREADABLE)
        else:
            self.tally.add(await self.compare(recorded))

    async def compare(self, recorded: Recorded) -> Comparison:
        """What the policies say of an action, beside what was said."""
        kept = tuple(word for word in recorded.words if word.policy not in self._replaced)
        hearing = _Hearing(recorded, self._simulation.facts(recorded.at, recorded.environment), kept)
        rules = self._rules_for(recorded)
        await hearing.ask_all(rules.free)
        await hearing.ask_in_turn(rules.consuming)
        shadow = _Hearing(recorded, hearing.facts, ())
        for one in rules.shadows:
            # Each as if it alone were added to those in force.
            if hearing.happens or not one.consumes:
                await shadow.ask(one)
        if hearing.happens:
            self._simulation.take(hold for decision in hearing.decisions + shadow.decisions for hold in decision.holds)
        return Comparison(
            recorded=recorded,
            outcome=hearing.outcome,
            before=tuple(word for word in recorded.words if word.policy in self._replaced),
            kept=kept,
            words=hearing.words,
            shadows=shadow.words,
            missing=hearing.missing,
            shadow_missing=shadow.missing,
        )

    def _rules_for(self, recorded: Recorded) -> _Rules:
        action = recorded.action
        key = action.name, action.labels, action.risk
        rules = self._rules.get(key)
        if rules is None:
            rules = self._rules[key] = _rules_of(selected(self._policies, action))
        return rules


def _rules_of(policies: Sequence[Policy]) -> _Rules:
    enforcing = [one for one in policies if one.mode == "enforce"]
    return _Rules(
        free=tuple(one for one in enforcing if not one.consumes),
        consuming=tuple(one for one in enforcing if one.consumes),
        shadows=tuple(replace(one, mode="enforce") for one in policies if one.mode == "shadow"),
    )


class _Hearing:
    """The policies under test are asked about one action."""

    __slots__ = ("decisions", "facts", "missing", "recorded", "said", "words")

    def __init__(self, recorded: Recorded, facts: Facts, said: Sequence[Word]) -> None:
        self.recorded = recorded
        self.facts = facts
        self.said = said  # by others
        self.words: list[Word] = []
        self.decisions: list[Decision] = []
        self.missing: dict[str, tuple[str, ...]] = {}

    @property
    def is_denied(self) -> bool:
        return any(word.outcome == "deny" for words in (self.said, self.words) for word in words)

    @property
    def outcome(self) -> str | None:
        """What all say together; None if that hangs on what is not recorded."""
        if self.is_denied:
            return "deny"
        if self.missing:
            return None
        asks = any(word.outcome == "ask" for words in (self.said, self.words) for word in words)
        return "ask" if asks else "allow"

    @property
    def happens(self) -> bool:
        """Whether the action is taken to happen: as it did, where nothing else is known."""
        return (self.outcome or self.recorded.outcome) != "deny"

    async def ask_all(self, policies: Sequence[Policy]) -> None:
        """Ask policies that use nothing up, so that they can be asked again."""
        ruling = await evaluate_all(policies, self.recorded.action, self.facts)
        if self.recorded.gaps.take():
            # Somebody wanted a value that is not there. Asked one by one, they show who.
            for one in policies:
                await self.ask(one)
        else:
            self._hear(ruling.decisions)

    async def ask_in_turn(self, policies: Sequence[Policy]) -> None:
        """Ask policies of which one that denies spares the others."""
        for one in policies:
            if self.happens:
                await self.ask(one)

    async def ask(self, one: Policy) -> None:
        """Ask one policy, or take its recorded word if it misses a value."""
        ruling = await evaluate_all([one], self.recorded.action, self.facts)
        missing = self.recorded.gaps.take()
        if not missing:
            self._hear(ruling.decisions)
        elif (word := self._recorded_word(one)) is not None:
            self.words.append(word)
        else:
            self.missing[one.name] = missing

    def _recorded_word(self, one: Policy) -> Word | None:
        fingerprint = one.fingerprint()
        return next((word for word in self.recorded.words if word.fingerprint == fingerprint), None)

    def _hear(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            self.decisions.append(decision)
            self.words.append(_word_of(decision))


def _word_of(decision: Decision) -> Word:
    return Word(
        policy=decision.policy,
        outcome=decision.outcome,
        questions=tuple(Question.of(one.electorate, one.quorum) for one in decision.requests),
        reason=decision.reason,
        failed=decision.cause is not None,
    )

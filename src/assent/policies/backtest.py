"""Policies asked about actions that were recorded before, to see what they would change.

The policies under test take the place of the recorded ones of the same name, and of those that are said to go
(`without`); policies inside of one, called `name/part`, go with it. What other policies said, for one those that stand
in the code, stays as it was recorded. All words together mean what they mean anywhere: any denial denies, else any
question asks. Rate limits and budgets are counted anew in the order of recording, as if every action that is not denied
had been approved and had happened.

Nothing is guessed. A policy that wants a value which the record does not have (redacted, cut, not captured) leaves the
action unjudged, unless another policy denies it anyway, or the very same policy was asked then, by its fingerprint.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from assent.errors import UsageError
from assent.governance import Action, Decision, Facts, Policy, evaluate_all
from assent.governance.evaluating import Asking, Order, order_of
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

    enforcing: tuple[Policy, ...]
    order: Order  # in which they are asked
    order_if_denied: Order  # the same, where others deny
    shadows: tuple[Policy, ...]  # as if they were in force


@dataclass(frozen=True, kw_only=True)
class _Recorded(Policy):
    """Stands for the denials of other policies, which stay as they were recorded."""

    def evaluate(self, action: Action, facts: Facts) -> Decision:
        return self.deny("as recorded")


DENIED_BY_OTHERS: Final = _Recorded(name="as recorded")


class Backtest:
    """A back-test under way: give it one event after another, in the order of recording."""

    def __init__(self, policies: Sequence[Policy], without: Iterable[str] = ()) -> None:
        # What only records never decides, and must not log actions of the past as if they happened now.
        self._policies = tuple(one for one in policies if one.kind != "audit")
        names = [one.name for one in policies]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"There are several policies called {', '.join(twice)}. Give each a name of its own.")
        every = [each for one in policies for each in _with_all_inside(one)]
        self._replaced = {_first_name(name) for name in (*without, *(one.name for one in every))}
        self._stays: dict[str, bool] = {}  # what a record says of a policy, by its name
        self._rules: dict[tuple[str, frozenset[str], str], _Rules] = {}
        self._simulation = Simulation()
        self.tally = Tally({one.name: _tally_of(one) for one in every if one.kind != "audit"})

    async def add(self, event: Event) -> None:
        """Judge one recorded action, and count it."""
        recorded = recorded_of(event)
        if recorded is None:
            self.tally.add_unreadable(event.at, UNREADABLE)
        else:
            self.tally.add(await self.compare(recorded))

    async def compare(self, recorded: Recorded) -> Comparison:
        """What the policies say of an action, beside what was said."""
        before, kept = self._divided(recorded.words)
        hearing = _Hearing(recorded, self._simulation.facts(recorded.at, recorded.environment), kept)
        rules = self._rules_for(recorded)
        await hearing.ask(rules)
        outcome = hearing.outcome
        happens = (outcome or recorded.outcome) != "deny"
        shadow = _Hearing(recorded, hearing.facts, ())
        for one in rules.shadows:
            # Each as if it alone were added to those in force.
            if happens or not _consumes(one):
                await shadow.ask_alone(one)
        if happens:
            self._simulation.take(hold for decision in hearing.decisions + shadow.decisions for hold in decision.holds)
        return Comparison(
            recorded=recorded,
            outcome=outcome,
            before=before,
            kept=kept,
            words=hearing.words,
            shadows=shadow.words,
            missing=hearing.missing,
            shadow_missing=shadow.missing,
        )

    def _divided(self, words: Iterable[Word]) -> tuple[list[Word], list[Word]]:
        """The words in whose place others come, and those that stay."""
        before: list[Word] = []
        kept: list[Word] = []
        for word in words:
            stays = self._stays.get(word.policy)
            if stays is None:
                stays = self._stays[word.policy] = _first_name(word.policy) not in self._replaced
            (kept if stays else before).append(word)
        return before, kept

    def _rules_for(self, recorded: Recorded) -> _Rules:
        action = recorded.action
        key = action.name, action.labels, action.risk
        rules = self._rules.get(key)
        if rules is None:
            rules = self._rules[key] = _rules_of(selected(self._policies, action))
        return rules


def _rules_of(policies: Sequence[Policy]) -> _Rules:
    enforcing = tuple(one for one in policies if one.mode == "enforce")
    return _Rules(
        enforcing=enforcing,
        order=order_of(enforcing),
        order_if_denied=order_of([DENIED_BY_OTHERS, *enforcing]),
        shadows=tuple(replace(one, mode="enforce") for one in policies if one.mode == "shadow"),
    )


def _tally_of(one: Policy) -> PolicyTally:
    return PolicyTally(one.name, is_shadow=one.mode == "shadow", leads=bool(getattr(one, "inside", ())))


def _first_name(name: str) -> str:
    """The name of the whole of which a policy is a part: those inside of `payments` are called `payments/large`."""
    return name.partition("/")[0]


def _with_all_inside(one: Policy) -> Iterator[Policy]:
    """A policy, and those that it may hand on to."""
    yield one
    for each in getattr(one, "inside", ()):
        yield from _with_all_inside(each)


def _consumes(one: Policy) -> bool:
    return any(each.consumes for each in _with_all_inside(one))


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
    def outcome(self) -> str | None:
        """What all say together; None if that hangs on what is not recorded."""
        outcomes = {word.outcome for words in (self.said, self.words) for word in words}
        if "deny" in outcomes:
            return "deny"
        if self.missing:
            return None
        return "ask" if "ask" in outcomes else "allow"

    @property
    def happens(self) -> bool:
        """Whether the action is taken to happen: as it did, where nothing else is known."""
        return (self.outcome or self.recorded.outcome) != "deny"

    async def ask(self, rules: _Rules) -> None:
        """Ask all that are in force, together with what others have said."""
        if not self.recorded.is_whole:
            # One after another they show who wants a value that is not there; what uses something up comes last.
            for one in sorted(rules.enforcing, key=_consumes):
                if self.happens or not _consumes(one):
                    await self.ask_alone(one)
            return
        is_denied = self.outcome == "deny"
        order = rules.order_if_denied if is_denied else rules.order
        asking = Asking(rules.enforcing, self.recorded.action, self.facts, order=order)
        await asking.ask()
        self._hear([decision for one, decision, _ in asking.trail if one is not DENIED_BY_OTHERS])

    async def ask_alone(self, one: Policy) -> None:
        """Ask one policy, or take its recorded word if it misses a value."""
        ruling = await evaluate_all([one], self.recorded.action, self.facts)
        missing = self.recorded.gaps.take()
        if not missing:
            self._hear(ruling.decisions)
        elif words := self._recorded_words(one):
            self.words += words
        else:
            self.missing[one.name] = missing

    def _recorded_words(self, one: Policy) -> list[Word]:
        """What the very same policy said then, with those that it handed on to; nothing if there was another."""
        fingerprint, names = one.fingerprint(), {each.name for each in _with_all_inside(one)}
        words = [word for word in self.recorded.words if word.policy in names]
        return words if any(word.fingerprint == fingerprint for word in words) else []

    def _hear(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            self.decisions.append(decision)
            self.words.append(_word_of(decision))


def _word_of(decision: Decision) -> Word:
    requests = decision.requests
    questions = tuple([Question.of(one.electorate, one.quorum) for one in requests]) if requests else ()
    return Word(decision.policy, decision.outcome, "", questions, decision.reason, decision.cause is not None)

"""A breaker's states follow from calls, their outcomes and time as they are meant to, in any order of all of these."""

import dataclasses
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from assent.codec import codec_for
from assent.resilience.circuit import SLICES, Admission, Circuit, Rules

TIMEOUT = 30.0
START = 1_750_000_000.0


def rules(**changes: Any) -> Rules:
    """Three failures in a row open it, one probe closes it."""
    common = Rules(failures=3, rate=None, window=None, minimum_calls=10, timeout=TIMEOUT, probes=1)
    return dataclasses.replace(common, **changes)


@dataclass
class Call:
    """A call under way, as the model sees it."""

    admission: Admission
    period: int  # of the model: one more with each opening and closing
    began: float


class Breaking(RuleBasedStateMachine):
    """Calls that begin, end and get lost in any order, against a model that keeps whole lists of them."""

    @initialize(failures=st.integers(1, 4), probes=st.integers(1, 3))
    def begin(self, failures: int, probes: int) -> None:
        self.using = rules(failures=failures, probes=probes)
        self.circuit, self.now = Circuit(), START
        self.calls: list[Call] = []
        self.period, self.opened_at, self.in_a_row = 0, -1.0, 0
        self.probes: list[Call] = []
        self.successes = 0

    @property
    def expected(self) -> str:
        if self.opened_at < 0:
            return "closed"
        return "open" if self.now < self.opened_at + TIMEOUT else "half-open"

    @rule(seconds=st.sampled_from([0.0, 0.5, 7.0, TIMEOUT - 0.5, TIMEOUT, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_wants_to_pass(self) -> None:
        heard_of = [call for call in self.probes if call.began + TIMEOUT > self.now]
        has_place = len(heard_of) + self.successes < self.using.probes
        before = self.circuit
        self.circuit, admission = self.using.admit(before, self.now)
        passes = self.expected == "closed" or (self.expected == "half-open" and has_place)
        assert (admission["retry_after"] is None) == passes
        if not passes:
            assert self.circuit == before
            assert 0 < (admission["retry_after"] or 0) <= TIMEOUT
            return
        self.calls.append(Call(admission, self.period, self.now))
        if self.expected == "half-open":
            self.probes.append(self.calls[-1])

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def a_call_ends(self, data: st.DataObject) -> None:
        call = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        outcome = data.draw(st.sampled_from([True, False, None]))
        note(f"{outcome} of period {call.period} in {self.period}, {self.expected}")
        self.circuit = self.using.learn(self.circuit, call.admission, outcome, self.now)
        if call in self.probes:
            self.probes.remove(call)
        if call.period != self.period:
            return
        if self.opened_at < 0:
            self.in_a_row = {True: 0, False: self.in_a_row + 1, None: self.in_a_row}[outcome]
            if self.in_a_row >= (self.using.failures or 0):
                self.turn(self.now)
        elif outcome is False:
            self.turn(self.now)
        elif outcome:
            self.successes += 1
            if self.successes >= self.using.probes:
                self.turn(-1.0)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def a_call_is_never_heard_of_again(self, data: st.DataObject) -> None:
        self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))

    def turn(self, opened_at: float) -> None:
        self.period, self.opened_at, self.in_a_row = self.period + 1, opened_at, 0
        self.probes, self.successes = [], 0

    @invariant()
    def it_is_in_the_state_that_it_should_be_in(self) -> None:
        assert self.circuit.state(self.now) == self.expected

    @invariant()
    def it_survives_the_store(self) -> None:
        codec = codec_for(Circuit)
        assert codec.round_trip(self.circuit)[1] == self.circuit


TestBreaking = Breaking.TestCase


def after(using: Rules, outcomes: list[tuple[float, bool]]) -> tuple[Circuit, int]:
    """The circuit after calls that ended so long after each other, and of how many it knows; it stops once open."""
    circuit, now = Circuit(), START
    for place, (pause, outcome) in enumerate(outcomes):
        now += pause
        circuit = using.note(circuit, outcome, now)
        if circuit.until is not None:
            return circuit, place + 1
    return circuit, len(outcomes)


ENDS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 3.0, 9.0, 40.0]), st.booleans()), max_size=60)


@given(ENDS, st.integers(1, 6))
def test_so_many_failures_in_a_window_open_it_and_fewer_do_not(ends: list[tuple[float, bool]], most: int) -> None:
    circuit, known = after(rules(failures=most, window=20.0), ends)
    moments = list(accumulate(pause for pause, _ in ends[:known]))

    def failed_within(window: float, calls: int) -> int:
        return sum(not ends[call][1] and moments[call] > moments[calls - 1] - window for call in range(calls))

    if circuit.until is not None:
        assert failed_within(20.0, known) >= most
    # What lies at the edge, in the slice that is about to leave the window, need not count any more.
    unopened = known if circuit.until is None else known - 1
    assert all(failed_within(20.0 * (SLICES - 1) / SLICES, calls + 1) < most for calls in range(unopened))


@given(ENDS, st.floats(0.1, 1.0))
def test_a_rate_opens_it_only_once_enough_calls_were_made(ends: list[tuple[float, bool]], rate: float) -> None:
    using = rules(failures=None, rate=rate, window=1e9, minimum_calls=8)
    circuit, known = after(using, ends)
    outcomes = [outcome for _, outcome in ends[:known]]

    def is_too_much(calls: int) -> bool:
        return calls >= 8 and outcomes[:calls].count(False) >= rate * calls

    assert (circuit.until is not None) == is_too_much(known)
    assert not any(is_too_much(calls) for calls in range(known))


def test_what_has_left_the_window_does_not_count() -> None:
    using = rules(failures=None, rate=0.5, window=10.0, minimum_calls=4)
    assert after(using, [(0, False), (0, False), (0, False), (11, True)])[0].until is None
    assert after(using, [(0, False), (0, False), (0, False), (1, True)])[0].until is not None


def test_a_window_forgets_so_that_its_state_stays_small() -> None:
    circuit, _ = after(rules(failures=5, window=10.0), [(0.5, True)] * 500)
    assert len(circuit.slices) <= SLICES
    assert len(codec_for(Circuit).encode(circuit)) < 400


@pytest.mark.parametrize("late", [0.5, 12.0])
def test_a_clock_that_is_behind_does_no_harm(late: float) -> None:
    using = rules(failures=2, window=10.0)
    circuit = using.note(Circuit(), False, START)
    circuit = using.note(circuit, False, START - late)
    assert (circuit.until is None) == (late > 10)


def test_nothing_is_learned_directly_while_it_is_open() -> None:
    opened = Circuit(era=1, until=START + 5)
    assert rules().note(opened, True, START + 4) == opened
    assert rules().note(opened, False, START + 4) == opened
    assert rules().note(opened, True, START + 5) == Circuit(era=2)
    assert rules().note(opened, False, START + 5) == Circuit(era=2, until=START + 5 + TIMEOUT)


DAY = 86_400.0


def test_a_clock_that_is_set_back_keeps_it_open_for_no_more_than_another_timeout() -> None:
    using, opened = rules(), Circuit(era=1, until=START + TIMEOUT)
    now = START - DAY
    circuit = using.set_back(opened, now)
    assert circuit.state(now) == "open"
    assert circuit.state(now + TIMEOUT) == "half-open"
    assert using.set_back(circuit, now + 1) == circuit
    assert using.set_back(opened, START) == opened


def test_a_probe_that_began_on_a_clock_since_set_back_blocks_nobody() -> None:
    using, now = rules(), START - DAY
    probing = using.admit(Circuit(era=1, until=START - DAY - 1), START)[0]
    assert using.admit(using.set_back(probing, now), now)[1]["retry_after"] is None
    assert using.admit(using.set_back(probing, START), START)[1]["retry_after"] is not None


def test_failures_count_again_at_once_after_the_clock_was_set_back() -> None:
    using = rules(failures=2, window=10.0)
    circuit = using.note(Circuit(), False, START)
    for _ in range(2):
        circuit = using.note(using.set_back(circuit, START - DAY), False, START - DAY)
    assert circuit.until == START - DAY + TIMEOUT

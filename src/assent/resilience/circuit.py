"""The states of a circuit breaker as plain data: what calls, their outcomes and time make of them."""

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from typing_extensions import TypedDict

State = Literal["closed", "open", "half-open"]

# A window moves on by one of so many slices at a time: what lies back less than nine tenths of it is surely in it.
SLICES: Final = 10


class Slice(NamedTuple):
    """What was counted in one slice of time."""

    number: int  # from the beginning of Unix time
    calls: int
    failures: int


class Admission(TypedDict):
    """What became of one who wanted to make a call. JSON, so that workflow code can be told of it again."""

    era: int
    probe: float | None  # when it began, if the call is a probe
    retry_after: float | None  # None: the call may be made


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What a breaker remembers."""

    era: int = 0  # one more with each opening and closing: outcomes of calls from an earlier one say nothing
    until: float | None = None  # Unix seconds; from then on probes may pass; None: it is closed
    failures: int = 0  # in a row
    slices: tuple[Slice, ...] = ()  # of the window, if there is one
    probes: tuple[float, ...] = ()  # when those under way began
    successes: int = 0  # of probes

    def state(self, now: float) -> State:
        """Whether calls pass."""
        if self.until is None:
            return "closed"
        return "open" if now < self.until else "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a breaker opens and when it closes; all times in seconds."""

    failures: int | None  # None: only the rate counts
    rate: float | None
    window: float | None  # None: failures in a row
    minimum_calls: int
    timeout: float
    probes: int

    def admit(self, circuit: Circuit, now: float) -> tuple[Circuit, Admission]:
        """Let a call pass, or not. While it is half-open, who passes takes one of the places for probes.

        A probe that has not been heard of for as long as the breaker stays open is taken for lost.
        """
        if circuit.until is None:
            return circuit, Admission(era=circuit.era, probe=None, retry_after=None)
        if now < circuit.until:
            return circuit, Admission(era=circuit.era, probe=None, retry_after=circuit.until - now)
        probes = tuple(began for began in circuit.probes if began + self.timeout > now)
        if len(probes) + circuit.successes >= self.probes:
            wait = min(probes) + self.timeout - now
            return circuit, Admission(era=circuit.era, probe=None, retry_after=wait)
        return replace(circuit, probes=(*probes, now)), Admission(era=circuit.era, probe=now, retry_after=None)

    def set_back(self, circuit: Circuit, now: float) -> Circuit:
        """The circuit on a clock that may have been set back: nothing in it lies further ahead than it could."""
        latest = now + self.timeout
        if circuit.until is None or max(circuit.until, *circuit.probes, 0.0) <= latest:
            return circuit
        probes = tuple(began for began in circuit.probes if began <= latest)
        return replace(circuit, until=min(circuit.until, latest), probes=probes)

    def learn(self, circuit: Circuit, admission: Admission, outcome: bool | None, now: float) -> Circuit:
        """What follows from the end of a call that was admitted. None: it says nothing about the service."""
        if admission["era"] != circuit.era:
            return circuit
        if circuit.until is not None:
            return self._probed(circuit, admission["probe"], outcome, now)
        return circuit if outcome is None else self._counted(circuit, outcome, now)

    def note(self, circuit: Circuit, outcome: bool, now: float) -> Circuit:
        """What follows from the end of a call of which nobody knows when it was admitted."""
        if circuit.state(now) == "open":
            return circuit
        probe = circuit.probes[0] if circuit.probes else None
        return self.learn(circuit, Admission(era=circuit.era, probe=probe, retry_after=None), outcome, now)

    def _probed(self, circuit: Circuit, probe: float | None, outcome: bool | None, now: float) -> Circuit:
        if outcome is False:
            return self._opened(circuit, now)
        rest = list(circuit.probes)
        if probe in rest:
            rest.remove(probe)
        successes = circuit.successes + (outcome is True)
        if successes >= self.probes:
            return Circuit(era=circuit.era + 1)
        return replace(circuit, probes=tuple(rest), successes=successes)

    def _counted(self, circuit: Circuit, succeeded: bool, now: float) -> Circuit:
        if self.window is None:
            counted = replace(circuit, failures=0 if succeeded else circuit.failures + 1)
        else:
            counted = replace(circuit, slices=_added(circuit.slices, int(now * SLICES / self.window), succeeded))
        return self._opened(circuit, now) if self._has_tripped(counted) else counted

    def _has_tripped(self, circuit: Circuit) -> bool:
        calls = sum(each.calls for each in circuit.slices)
        failures = circuit.failures if self.window is None else sum(each.failures for each in circuit.slices)
        if self.rate is None:
            return self.failures is not None and failures >= self.failures
        return calls >= self.minimum_calls and failures >= self.rate * calls

    def _opened(self, circuit: Circuit, now: float) -> Circuit:
        return Circuit(era=circuit.era + 1, until=now + self.timeout)


def _added(slices: tuple[Slice, ...], number: int, succeeded: bool) -> tuple[Slice, ...]:
    # What lies ahead by less than a window counts, for time in workflow code lags; by more, the clock was set back.
    found = {each.number: each for each in slices if abs(each.number - number) < SLICES}
    _, calls, failures = found.get(number, Slice(number, 0, 0))
    found[number] = Slice(number, calls + 1, failures + (not succeeded))
    return tuple(found[each] for each in sorted(found))

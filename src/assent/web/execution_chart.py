"""The timeline of an execution as a chart made here: where each bar begins and ends, in percent of the width.

Workflows work for milliseconds and wait for hours. So the axis is true to scale, but quiet stretches that would leave
nothing else to see are cut, and the chart says where and how much. Percentages let the browser draw it in any width
without a script.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from assent.web.lanes import Bar, Lane, Mark, Story
from assent.web.wording import span

QUIET: Final = 2.0  # quiet stretches longer than this many times all work are cut
LONG: Final = 3.0  # times all work: what a stretch takes at least to be cut
MOST_CUT: Final = 50.0  # percent of the width for all cuts together
ONE_CUT: Final = 24.0
APART: Final = 11.0  # percent between two ticks
LEAST: Final = 0.35  # percent of the shortest stretch, so that it is seen
LETTER: Final = 2.2  # percent of the width that a letter of the axis takes on a phone
MOST_POINTS: Final = 600
STEPS: Final = (1, 2, 5)
UNITS: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 36000.0, 86400.0, 864000.0)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis, true to scale in itself unless it is cut."""

    start: float
    end: float
    left: float  # percent
    width: float
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of the axis. A minor one is left out where there is little room."""

    left: float
    text: str
    is_start: bool
    is_minor: bool = False

    @property
    def width(self) -> float:
        """What its text takes on a phone, in percent."""
        return len(self.text) * LETTER

    @property
    def is_late(self) -> bool:
        """Whether on a phone its text would be cut at the end of the chart, and so ends there."""
        return self.left + self.width > 100.0


@dataclass(frozen=True, slots=True)
class Cut:
    """A stretch that is drawn shorter than it was."""

    left: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A bar in its place."""

    left: float
    width: float
    bar: Bar


@dataclass(frozen=True, slots=True)
class Placed:
    """A mark in its place."""

    left: float
    mark: Mark


@dataclass(frozen=True, slots=True)
class Row:
    """A lane in its place."""

    lane: Lane
    bars: Sequence[Drawn]
    marks: Sequence[Placed]

    @property
    def length(self) -> str:
        """How long it took, or has taken so far."""
        return length(self.lane.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """All that the template draws."""

    rows: Sequence[Row]
    whole: Sequence[Drawn]
    handovers: Sequence[Placed]
    ticks: Sequence[Tick]
    cuts: Sequence[Cut]
    omitted: int  # lanes that are not drawn


def chart_of(story: Story, most: int = 150) -> Chart:
    """Place everything; of very many lanes the last ones."""
    lanes = story.lanes[-most:]
    axis = Axis(story, lanes)
    return Chart(
        rows=[Row(lane, axis.bars(lane.bars), axis.marks(lane.marks)) for lane in lanes],
        whole=axis.bars(story.whole),
        handovers=axis.marks(story.handovers),
        ticks=axis.ticks(),
        cuts=[Cut(one.left, one.width, length(one.end - one.start)) for one in axis.stretches if one.is_cut],
        omitted=len(story.lanes) - len(lanes),
    )


class Axis:
    """Moments as percent of the width."""

    def __init__(self, story: Story, lanes: Iterable[Lane]) -> None:
        bars = [bar for lane in lanes for bar in lane.bars]
        marks = [mark.at for lane in lanes for mark in lane.marks]
        busy = _joined([(bar.start, bar.end) for bar in bars if bar.look in {"done", "failed", "running"}])
        points = [*marks, *(moment for bar in bars for moment in (bar.start, bar.end))]
        self.stretches = _stretches(story.begin, max(story.end, story.begin + 0.001), points, busy)
        self._starts = [one.start for one in self.stretches]

    def at(self, moment: float) -> float:
        """Where a moment is."""
        one = self.stretches[max(bisect_right(self._starts, moment) - 1, 0)]
        share = (min(max(moment, one.start), one.end) - one.start) / (one.end - one.start)
        return round(one.left + share * one.width, 3)

    def bars(self, bars: Iterable[Bar]) -> list[Drawn]:
        return [Drawn(self.at(bar.start), round(self.at(bar.end) - self.at(bar.start), 3), bar) for bar in bars]

    def marks(self, marks: Iterable[Mark]) -> list[Placed]:
        return [Placed(self.at(mark.at), mark) for mark in marks]

    def ticks(self) -> Sequence[Tick]:
        """The time of day where a run begins, and then how much later it is."""
        found: list[Tick] = []
        before = self._starts[0]
        for start, end in self._runs():
            left, width = self.at(start), self.at(end) - self.at(start)
            if not found or left - found[-1].left >= APART:
                found.append(Tick(left, _time_of_day(start, before), is_start=True))
                before = start
            found += self._between(start, end, width)
        return _kept_apart(found)

    def _between(self, start: float, end: float, width: float) -> list[Tick]:
        size = _nice((end - start) * APART / width) if width > 0 else 0.0
        if size <= 0:
            return []
        moments = [start + size * number for number in range(1, int((end - start) / size) + 1)]
        places = [(self.at(moment), moment - start) for moment in moments]
        kept = [(left, offset) for left, offset in places if left <= min(97.0, self.at(end) - APART / 2)]
        return [Tick(left, f"+{length(offset)}", False, number % 2 == 0) for number, (left, offset) in enumerate(kept)]

    def _runs(self) -> list[tuple[float, float]]:
        """The stretches between cuts, joined."""
        return _joined([(one.start, one.end) for one in self.stretches if not one.is_cut])


def _kept_apart(ticks: Sequence[Tick]) -> Sequence[Tick]:
    """The ticks; those whose text would run into that of one before, or of a late one, are minor ones."""
    late = [tick for tick in ticks if tick.is_late and not tick.is_minor]
    kept = next((tick for tick in late if tick.is_start), late[0] if late else None)
    free, end, found = 100.0 - (kept.width if kept else 0.0), 0.0, list[Tick]()
    for tick in ticks:
        fits = tick is kept or (end <= tick.left and tick.left + tick.width <= free)
        end = tick.left + tick.width if fits and not tick.is_minor else end
        found.append(tick if fits else replace(tick, is_minor=True))
    return found


def _stretches(begin: float, end: float, points: Iterable[float], busy: Sequence[tuple[float, float]]) -> list[Stretch]:
    moments = sorted({begin, end, *(point for point in points if begin < point < end)})
    parts = list(pairwise(_thinned(moments)))
    work = sum(stop - start for start, stop in busy)
    quiet = [part for part in parts if not _overlaps(part, busy)]
    cut = set()
    if work and sum(stop - start for start, stop in quiet) > QUIET * work:
        cut = {part for part in quiet if part[1] - part[0] > LONG * work}
    return _laid_out(parts, cut)


def _laid_out(parts: Sequence[tuple[float, float]], cut: set[tuple[float, float]]) -> list[Stretch]:
    cut_width = min(ONE_CUT, MOST_CUT / len(cut)) if cut else 0.0
    shown = [part for part in parts if part not in cut]
    least = min(LEAST, 20.0 / max(len(shown), 1))
    room = 100.0 - cut_width * len(cut) - least * len(shown)
    total = sum(stop - start for start, stop in shown)
    found, left = [], 0.0
    for part in parts:
        length = part[1] - part[0]
        width = cut_width if part in cut else least + (room * length / total if total else 0.0)
        found.append(Stretch(*part, left, width, part in cut))
        left += width
    return found


def _thinned(moments: Sequence[float]) -> Sequence[float]:
    """No more moments than an axis can have."""
    every = len(moments) // MOST_POINTS + 1
    return moments if every == 1 else [*moments[:-1:every], moments[-1]]


def _joined(stretches: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _overlaps(part: tuple[float, float], busy: Sequence[tuple[float, float]]) -> bool:
    return any(start < part[1] and part[0] < end for start, end in busy)


def _nice(least: float) -> float:
    """The next round duration."""
    sizes = (unit * step for unit in UNITS for step in STEPS)
    return next((size for size in sorted(sizes) if size >= least), 0.0)


def length(seconds: float) -> str:
    """How long something took, as exactly as anybody reads it: 120 ms, 2.35 s, 1 min 15 s, 4 h 2 min."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return span(seconds)


def _time_of_day(moment: float, before: float) -> str:
    """The time, and where another day has begun its date."""
    at = datetime.fromtimestamp(moment, UTC)
    is_new = at.date() != datetime.fromtimestamp(before, UTC).date()
    return f"{at:%d %b %H:%M:%S}" if is_new else f"{at:%H:%M:%S}"

"""Simple charts as what templates draw: columns, lying bars, and the shares of a whole, in percent of the width."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 116.0  # of the highest column, in pixels
TOP: Final = 22.0  # above it, for its number
FILLED: Final = 0.62  # of the place of a column


@dataclass(frozen=True, slots=True)
class Column:
    """A standing bar with its number above and its name below."""

    label: str
    value: int
    left: float
    width: float
    middle: float
    top: float
    height: float
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a whole."""

    label: str
    value: int
    left: float
    width: float
    tone: str

    @property
    def percent(self) -> str:
        return f"{self.width:.0f} %"


@dataclass(frozen=True, slots=True)
class Lying:
    """A lying bar: how long it is, and what stands beside it."""

    label: str
    width: float
    text: str
    tone: str = ""
    hint: str = ""


def columns(counts: Mapping[str, int], tones: Mapping[str, str]) -> list[Column]:
    """One column for each count, in order."""
    most = max([*counts.values(), 1])
    place = 100.0 / max(len(counts), 1)
    found = []
    for number, (label, value) in enumerate(counts.items()):
        height = round(HEIGHT * value / most, 1)
        left = place * number + place * (1 - FILLED) / 2
        found.append(
            Column(
                label=label,
                value=value,
                left=round(left, 2),
                width=round(place * FILLED, 2),
                middle=round(place * (number + 0.5), 2),
                top=TOP + HEIGHT - height,
                height=height,
                tone=tones.get(label, ""),
            )
        )
    return found


def parts(counts: Iterable[tuple[str, int, str]]) -> list[Part]:
    """The shares of a whole, given as name, count and tone; those of nothing are left out."""
    known = [one for one in counts if one[1]]
    total = sum(value for _, value, _ in known)
    found, left = [], 0.0
    for label, value, tone in known:
        width = 100.0 * value / total
        found.append(Part(label, value, round(left, 3), round(width, 3), tone))
        left += width
    return found


def ranked(counts: Sequence[tuple[str, int]], tone: str = "", most: int = 8) -> list[Lying]:
    """The largest counts as bars, each in proportion to the largest of all."""
    kept = sorted(counts, key=lambda one: (-one[1], one[0]))[:most]
    largest = max((value for _, value in kept), default=1)
    return [Lying(label, round(100.0 * value / largest, 2), f"{value:,}", tone) for label, value in kept]

"""What commands print: text made safe, tables, times, durations and JSON."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

# A pipe has no width: each row stays on its line, for whatever reads it.
ENDLESS = 100_000
GAP = "  "
STYLES: Mapping[str, str] = {
    "completed": "green",
    "granted": "green",
    "running": "cyan",
    "pending": "yellow",
    "suspended": "yellow",
    "in_doubt": "bold magenta",
    "failed": "red",
    "rejected": "red",
    "expired": "red",
    "cancelled": "dim",
    "withdrawn": "dim",
}
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def safe(text: str) -> str:
    """The text on one line, with everything escaped that a terminal would obey instead of show."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return ascii(character)[1:-1]


def shortened(text: str, length: int) -> str:
    """The beginning of a text that is too long, with the number of characters left out."""
    if len(text) <= length:
        return text
    return f"{text[:length]}… ({len(text) - length} more characters)"


def styled(word: str) -> Text:
    """A status in its colour."""
    return Text(safe(word), style=STYLES.get(word, ""))


def plain(text: str, style: str = "") -> Text:
    """Somebody else's text, safe to print. No markup is read in it."""
    return Text(safe(text), style=style)


def span(seconds: float) -> str:
    """A length of time in its two largest units: 350 ms, 1.2 s, 4 min 10 s, 3 h 5 min, 2 d."""
    if seconds < 0.9995:
        return f"{max(seconds, 0.0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    rest = round(seconds)
    parts: list[str] = []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {name}" if count else "")
    return " ".join(part for part in parts[:2] if part)


def age(at: float, now: float) -> str:
    """How long ago, or how soon, in the largest unit."""
    if round(abs(now - at)) == 0:
        return "just now"
    length = " ".join(_largest(abs(now - at)))
    return f"{length} ago" if at <= now else f"in {length}"


def _largest(gap: float) -> tuple[str, str]:
    # A unit begins a little early, so that one hour is not called 60 minutes.
    name, size = next((unit for unit in _UNITS if gap >= 0.99 * unit[1]), _UNITS[-1])
    return f"{gap / size:.0f}", name


def local(at: float) -> datetime:
    """A moment in the zone of this machine."""
    return datetime.fromtimestamp(at, UTC).astimezone()


def moment(at: float, now: float) -> str:
    """A moment for people: local date and time, and how far it is from now."""
    return f"{local(at):%Y-%m-%d %H:%M:%S} ({age(at, now)})"


def short_moment(at: float, now: float) -> str:
    """The same for a column: the time of today, or else the day."""
    then, today = local(at), local(now)
    count, unit = _largest(abs(now - at))
    day = "%H:%M:%S" if then.date() == today.date() else "%m-%d %H:%M" if then.year == today.year else "%Y-%m-%d"
    return f"{then:{day}} ({count}{unit.removesuffix('in')})"


def iso(at: float | None) -> str | None:
    """A moment for programs: UTC, to the millisecond."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def json_text(value: Any) -> str:
    """A JSON document that is safe to print as well."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    # What is left unprintable stands inside strings, where JSON has an escape of its own for it.
    return re.sub(r"[^\n -~]", lambda found: found[0] if found[0].isprintable() else _json_escape(found[0]), text)


def _json_escape(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else json.dumps(character)[1:-1]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table. Its notes stand at its end if there is room in the whole table, else under it."""

    cells: Sequence[Text]
    notes: Sequence[Text] = ()


class Screen:
    """Where a command prints. `now` is the moment that ages are counted from."""

    def __init__(self, now: float, file: TextIO | None = None) -> None:
        self.now = now
        stream = sys.stdout if file is None else file
        width = None if stream.isatty() or os.environ.get("COLUMNS") else ENDLESS
        self._console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)

    @property
    def width(self) -> int:
        return self._console.width

    def say(self, text: str | Text = "", style: str = "") -> None:
        """Print a line; a `str` is made safe, a `Text` is printed as it stands."""
        line = plain(text, style) if isinstance(text, str) else text
        self._console.print(line, soft_wrap=self.width == ENDLESS)

    def title(self, text: str | Text) -> None:
        """Print a heading, after an empty line."""
        self.say()
        self.say(Text.assemble(text, style="bold"))

    def json(self, value: Any) -> None:
        """Print one JSON document."""
        self._console.out(json_text(value), highlight=False)

    def fields(self, pairs: Iterable[tuple[str, Text | str]]) -> None:
        """Print facts, one a line, with their names on the left; a fact without a name belongs to the one above."""
        listed = [(safe(name), plain(value) if isinstance(value, str) else value) for name, value in pairs]
        left = max((len(name) for name, _ in listed), default=0)
        for name, value in listed:
            self._hanging(Text(f"{GAP}{name.ljust(left)}{GAP}", style="dim"), value)

    def _hanging(self, label: Text, value: Text) -> None:
        room = max(self.width - label.cell_len, 20)
        first, *rest = value.wrap(self._console, room) or [Text()]
        self.say(label + first)
        for line in rest:
            self.say(Text(" " * label.cell_len) + line)

    def table(self, headers: Sequence[str], rows: Sequence[Row], note: str = "") -> None:
        """Print rows under headers; a header that begins with `>` has its column set to the right."""
        while (widths := _widths(headers, rows)) and _length(widths) > self.width and len(widths) > 1:
            # What does not fit in its column goes under the line, where it may be wrapped.
            headers = headers[:-1]
            rows = [Row(row.cells[:-1], [each for each in (row.cells[-1], *row.notes) if each]) for row in rows]
        names = [Text(header.removeprefix(">"), style="bold") for header in headers]
        sides = [header.startswith(">") for header in headers]
        room = self.width - _length(widths) - len(GAP)
        tails = [Text(" · ").join(row.notes) for row in rows]
        beside = any(tails) and all(tail.cell_len <= room for tail in tails)
        self.say(_line(names, widths, sides, Text(note if beside else "", style="bold")))
        for row, tail in zip(rows, tails, strict=True):
            self.say(_line(row.cells, widths, sides, tail if beside else Text()))
            for each in () if beside else row.notes:
                self._hanging(Text(" " * 4), each)


def _widths(headers: Sequence[str], rows: Sequence[Row]) -> list[int]:
    names = [Text(header.removeprefix(">")) for header in headers]
    return [max(cell.cell_len for cell in column) for column in zip(names, *(row.cells for row in rows), strict=True)]


def _length(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _line(cells: Sequence[Text], widths: Sequence[int], sides: Sequence[bool], tail: Text) -> Text:
    line = Text()
    for cell, width, to_the_right in zip(cells, widths, sides, strict=True):
        blank = " " * (width - cell.cell_len)
        line.append_text(Text(blank) + cell if to_the_right else cell + blank).append(GAP)
    line.append_text(tail)
    line.rstrip()
    return line

"""The figures as a table for the terminal and as a page, with the machine on which they came about."""

import os
import platform
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.table import Table

from benchmarks.figures import Figure

COLUMNS: Final = ("figure", "ours", "yardstick", "measured against", "ratio", "target", "met")
NUMBERS: Final = frozenset({"ours", "yardstick", "ratio", "target"})
MET: Final = {True: "yes", False: "no", None: "not measured"}
SIGNS: Final = {"ratio at least": "≥", "at least": "≥", "at most": "≤"}


def as_table(figures: Sequence[Figure]) -> Table:
    """For the terminal."""
    table = Table(header_style="bold")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in NUMBERS else "left")
    for figure in figures:
        style = {True: "green", False: "red", None: ""}[figure.is_met]
        *cells, met = _cells(figure)
        table.add_row(*cells, f"[{style}]{met}[/]" if style else met)
    return table


def as_page(figures: Sequence[Figure], facts: Iterable[str], at: float) -> str:
    """For the repository."""
    return "\n".join([*_page(figures, facts, at), ""])


def _page(figures: Sequence[Figure], facts: Iterable[str], at: float) -> Iterator[str]:
    yield "# Results"
    yield ""
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d at %H:%M UTC")
    yield f"Written by `make bench`, a whole run of `python -m benchmarks`, on {when}."
    yield "What is measured, and how, stands in [docs/performance.md](../docs/performance.md)."
    yield ""
    yield from (f"- {fact}" for fact in facts)
    yield ""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{'|'.join('---:' if column in NUMBERS else '---' for column in COLUMNS)}|"
    yield from (f"| {' | '.join(_cells(figure))} |" for figure in figures)


def facts_of_machine(fsync: tuple[float, float]) -> list[str]:
    """What the figures depend on. `fsync`: seconds, before and after the run."""
    busy = f", load {os.getloadavg()[0]:.1f} at the end of the run" if hasattr(os, "getloadavg") else ""
    return [
        f"{platform.system()} on {platform.machine()}, {os.cpu_count()} CPUs{busy}",
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        f"one fsync: {fsync[0] * 1000:.3f} ms before the run, {fsync[1] * 1000:.3f} ms after it (medians)",
    ]


def _cells(figure: Figure) -> Sequence[str]:
    target = figure.target
    unit = "" if target is None else "×" if target.kind == "ratio at least" else figure.unit
    return (
        figure.name,
        _amount(figure.ours, figure.unit),
        _amount(figure.yardstick, figure.unit),
        figure.against,
        _amount(figure.ratio, "×"),
        "" if target is None else f"{SIGNS[target.kind]} {_amount(target.bound, unit)}",
        "" if target is None else MET[figure.is_met],
    )


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if abs(value) >= 100 else f"{value:.3g} {unit}"

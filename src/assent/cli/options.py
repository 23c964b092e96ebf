"""What commands share: their options, the screens that they print on, and how they are run."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, TextIO

import typer

# The parts of the list of commands.
RUN, LOOK, DECIDE, MEND = "Run", "Look", "Decide", "Mend"

Url = Annotated[
    str | None,
    typer.Option("--store", envvar="ASSENT_STORE", metavar="URL", help="The store. Default: sqlite:///assent.db"),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The execution, or the beginning of its id.", show_default=False)]
Who = Annotated[str | None, typer.Option("--as", metavar="WHO", help="Who says so.")]
Reason = Annotated[str, typer.Option("--reason", metavar="WHY", help="Why. Kept in the journal.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many, the newest.")]


def finish(work: Coroutine[Any, Any, int | None]) -> int:
    """Do the work of a command; returns the exit code."""
    return asyncio.run(work) or 0


def screen(file: TextIO | None = None) -> Any:
    """A screen on standard output, or on another stream."""
    # What prints is imported by the command itself: `assent --help` must not wait for it.
    from assent.cli.output import Screen
    from assent.clock import SystemClock

    return Screen(SystemClock().now(), file)


def error_screen() -> Any:
    """A screen on standard error."""
    return screen(sys.stderr)

"""`python -m benchmarks [--quick] [--only NAME]`: measure, print the table, and write down a whole run."""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from assent import SystemClock
from benchmarks.durable import concurrent, governed, sequential
from benchmarks.figures import Bench, Figure, Scale
from benchmarks.governed import in_memory
from benchmarks.latencies import signals
from benchmarks.parked import parked
from benchmarks.raw_sqlite import fsync_cost
from benchmarks.replaying import replayed
from benchmarks.rivals import rivals
from benchmarks.startup import startup
from benchmarks.table import as_page, as_table, facts_of_machine

BENCHES: Final[dict[str, Bench]] = {
    "sequential": sequential,
    "concurrent": concurrent,
    "rivals": rivals,
    "replay": replayed,
    "governed-call": in_memory,
    "governed-durable": governed,
    "parked": parked,
    "signals": signals,
    "startup": startup,
}

FULL: Final = Scale(
    rounds=5, commits=1_000, groups=150, sequential=2_000, workflows=200, each=50, rival_sequential=400, rival_each=5,
    replayed=20_000, calls=5_000, callers=100, calls_each=20, parked=100_000, idle=5.0, samples=200, starts=5,
)  # fmt: skip
QUICK: Final = Scale(
    rounds=2, commits=400, groups=50, sequential=800, workflows=200, each=15, rival_sequential=100, rival_each=1,
    replayed=5_000, calls=2_000, callers=100, calls_each=5, parked=3_000, idle=1.0, samples=50, starts=3,
)  # fmt: skip

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds, under 40 s")
    parser.add_argument("--only", action="append", choices=BENCHES, help="this one; may be repeated")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    console = Console()
    names = chosen.only or list(BENCHES)
    with place() as folder:
        facts = facts_of_machine(fsync_cost(folder))
        figures = asyncio.run(measure(names, QUICK if chosen.quick else FULL, folder, console))
    for fact in facts:
        console.print(fact, highlight=False)
    console.print(as_table(figures))
    if not (chosen.quick or chosen.only):
        (HERE / "results.md").write_text(as_page(figures, facts, SystemClock().now()), encoding="utf-8")
        console.print("Written to benchmarks/results.md")


async def measure(names: Sequence[str], scale: Scale, folder: Path, console: Console) -> list[Figure]:
    """Each bench in a folder of its own, so that one cannot find what another has left."""
    figures: list[Figure] = []
    for name in names:
        subfolder = folder / name
        subfolder.mkdir()
        with console.status(f"Measuring {name}"):
            figures += await BENCHES[name](scale, subfolder)
    return figures


@contextmanager
def place() -> Iterator[Path]:
    """A folder beside this file, so on a real disk where a temporary one may be in memory; removed at the end."""
    around = HERE / ".tmp"
    around.mkdir(exist_ok=True)
    try:
        (around / ".gitignore").write_text("*\n", encoding="utf-8")
        with tempfile.TemporaryDirectory(dir=around) as name:
            yield Path(name)
    finally:
        if [each.name for each in around.iterdir()] == [".gitignore"]:
            (around / ".gitignore").unlink()
            around.rmdir()


if __name__ == "__main__":
    sys.exit(main())

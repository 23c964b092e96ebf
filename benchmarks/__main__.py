"""`python -m benchmarks [--quick] [--only NAME]`: measure, print the table, and write down a whole run."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from assent import AssentError, SystemClock
from benchmarks.catalogue import BENCHES, FULL, QUICK
from benchmarks.child import ChildFailed
from benchmarks.figures import Figure, Scale
from benchmarks.raw_sqlite import fsync_cost
from benchmarks.table import as_page, as_table, facts_of_machine

HERE = Path(__file__).parent
PATIENCE = 120.0  # seconds for one of them; a disk that is ten times slower still gets through


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Assent beside its yardsticks.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds, under 40 seconds")
    parser.add_argument("--only", action="append", choices=BENCHES, metavar="NAME", help=f"one of {', '.join(BENCHES)}")
    chosen = parser.parse_args(arguments)
    console = Console()
    with place() as folder:
        before = fsync_cost(folder)
        names = chosen.only or list(BENCHES)
        figures, failures = asyncio.run(measure(names, QUICK if chosen.quick else FULL, folder, console))
        facts = facts_of_machine((before, fsync_cost(folder)))
    for fact in facts:
        console.print(fact, highlight=False)
    console.print(as_table(figures))
    if failures:
        sys.exit("\n".join(failures))
    if not (chosen.quick or chosen.only):
        (HERE / "results.md").write_text(as_page(figures, facts, SystemClock().now()), encoding="utf-8")
        console.print("Written to benchmarks/results.md")


async def measure(names: Sequence[str], scale: Scale, folder: Path, console: Console) -> tuple[list[Figure], list[str]]:
    """The figures, and what could not be measured. Each bench has a folder of its own, and finds nothing of another."""
    figures: list[Figure] = []
    failures: list[str] = []
    for name in names:
        subfolder = folder / name
        subfolder.mkdir()
        try:
            with console.status(f"Measuring {name}"):
                async with asyncio.timeout(PATIENCE):
                    figures += await BENCHES[name](scale, subfolder)
        except (AssentError, ChildFailed, TimeoutError) as error:
            failures.append(f"{name} could not be measured: {type(error).__name__}: {error}")
    return figures, failures


@contextmanager
def place() -> Iterator[Path]:
    """A folder beside this file, so on a real disk where a temporary one may be in memory; removed at the end."""
    around = HERE / ".tmp"
    around.mkdir(exist_ok=True)
    (around / ".gitignore").write_text("*\n", encoding="utf-8")
    try:
        with tempfile.TemporaryDirectory(dir=around) as name:
            yield Path(name)
    finally:
        if [each.name for each in around.iterdir()] == [".gitignore"]:  # nobody else measures at the same time
            (around / ".gitignore").unlink()
            around.rmdir()


if __name__ == "__main__":
    main()

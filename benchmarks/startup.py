"""How long a fresh process takes to import the package, and to show the command line's help."""

from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.child import seconds_of
from benchmarks.figures import Figure, Scale, Target

COMMANDS: Final = (
    ("import assent", ("-c", "import assent"), 0.25),
    ("assent --help", ("-m", "assent", "--help"), 0.4),
)


async def startup(scale: Scale, folder: Path) -> list[Figure]:
    """Medians over fresh processes, the interpreter's own start included."""
    bare = median([await seconds_of("-c", "pass") for _ in range(scale.starts)])
    figures: list[Figure] = []
    for name, command, bound in COMMANDS:
        spent = median([await seconds_of(*command) for _ in range(scale.starts)])
        target = Target(bound, "at most")
        figures.append(Figure(name=name, ours=spent, unit="s", yardstick=bare, against="Python alone", target=target))
    return figures

"""How long a fresh process takes to import the package, and to show the command line's help."""

from pathlib import Path
from statistics import median

from benchmarks.child import seconds_of
from benchmarks.figures import Figure, Scale, Target


async def startup(scale: Scale, folder: Path) -> list[Figure]:
    """Medians over fresh processes, the interpreter's own start included."""
    bare = median([await seconds_of("-c", "pass") for _ in range(scale.starts)])
    imported = median([await seconds_of("-c", "import assent") for _ in range(scale.starts)])
    helped = median([await seconds_of("-m", "assent", "--help") for _ in range(scale.starts)])
    against = "Python alone"
    return [
        Figure(name="import assent", ours=imported, unit="s", yardstick=bare, against=against, target=Target(0.25, "at most")),
        Figure(name="assent --help", ours=helped, unit="s", yardstick=bare, against=against, target=Target(0.4, "at most")),
    ]  # fmt: skip

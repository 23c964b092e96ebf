"""The outside world of a test: it remembers every effect, also those that no journal knows of."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One effect."""

    what: str
    key: str  # of the step that had it, if that gave one
    pid: int  # of the process that had it


class Ledger:
    """A file with a line for each effect. Many processes may write to it at once, and be killed while they do."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def enter(self, what: str, key: str = "") -> Entry:
        """Have an effect. It is on disk when this returns."""
        entry = Entry(what, key, os.getpid())
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            # One write: no line of another process gets in between.
            os.write(file, json.dumps(asdict(entry)).encode() + b"\n")
            os.fsync(file)
        finally:
            os.close(file)
        return entry

    def entries(self) -> list[Entry]:
        """All effects, in the order in which they happened."""
        if not self.path.exists():
            return []
        return [Entry(**json.loads(line)) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def find(self, key: str) -> Entry | None:
        """The first effect with that key; what a `verify=` function of a real service would look up."""
        return next((entry for entry in self.entries() if entry.key == key), None)

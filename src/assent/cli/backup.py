"""`assent backup`: a copy of a store that others work on."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from assent.cli.doctor import size
from assent.cli.output import Screen
from assent.cli.stored import existing
from assent.errors import UsageError
from assent.store.backup import back_up


def backup(screen: Screen, url: str | None, where: str, *, keep: int | None, as_json: bool) -> None:
    """`assent backup`."""
    location = existing(url)
    place = Path(where)
    if keep is not None and not place.is_dir():
        raise UsageError(f"--keep is for a folder of backups, and {where!r} is none. Make it, or leave --keep out.")
    target = place / _name(location, screen.now) if place.is_dir() else place
    copy = back_up(location, target)
    gone = [] if keep is None else _thinned(place, location, keep)
    if as_json:
        screen.json(
            {
                "path": str(copy.path.resolve()),
                "bytes": copy.bytes,
                "executions": copy.executions,
                "last_event": copy.last_event,
                "removed": [each.name for each in gone],
            }
        )
        return
    screen.say(
        f"{location} is copied to {copy.path}: {size(copy.bytes)}, {copy.executions} executions, read back whole."
    )
    for each in gone:
        screen.say(f"{each} is removed.")


def _name(location: str, now: float) -> str:
    return f"{Path(location).stem}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.db"


def _thinned(folder: Path, location: str, keep: int) -> list[Path]:
    """Remove all but the newest backups of this store from a folder; those of other stores stay."""
    gone = sorted(_backups(folder, Path(location).stem))[:-keep]
    for each in gone:
        each.unlink()
    return gone


def _backups(folder: Path, stem: str) -> Iterator[Path]:
    ours = re.compile(re.escape(stem) + r"-\d{8}T\d{6}Z\.db")
    return (each for each in folder.iterdir() if ours.fullmatch(each.name))

"""`assent doctor`: the store, the versions, the workers, and what this machine offers for sandboxes."""

import platform
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.text import Text

from assent.cli.abilities import Ability, abilities
from assent.cli.output import Row, Screen, age, iso, plain, short_moment
from assent.cli.stored import DEFAULT_STORE, existing, opened
from assent.codec import from_json
from assent.errors import AssentError, StoreCorrupt
from assent.store import WorkerRecord
from assent.store.connection import SCHEMA_VERSION, SYNCHRONOUS, connect, translated

PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "page_size")
UNITS = ("B", "kB", "MB", "GB", "TB")


async def doctor(screen: Screen, url: str | None, *, as_json: bool) -> int:
    """`assent doctor`; returns the exit code, which is that of the store's trouble if it has one."""
    code, workers = 0, list[WorkerRecord]()
    store: dict[str, Any] = {"url": url or DEFAULT_STORE, "ok": True, "problem": None}
    try:
        workers = await _examine(url, store)
    except AssentError as error:
        store |= {"ok": False, "problem": str(error)}
        code = error.exit_code
    tried = abilities()
    if as_json:
        screen.json(
            {
                "store": store,
                "versions": versions(),
                "workers": [_worker_facts(each, screen.now) for each in workers],
                "sandboxes": [{"name": e.name, "available": e.available, "detail": e.detail} for e in tried],
            }
        )
    else:
        _show(screen, store, workers, tried)
    return code


async def _examine(url: str | None, facts: dict[str, Any]) -> list[WorkerRecord]:
    """Add what there is to know of the store, as far as it can be known. Raises what is wrong with it."""
    path = existing(url)
    facts |= _file(Path(path))
    async with opened(url) as store:
        facts |= _content(path)
        complaints = await store.check()
        if complaints:
            raise StoreCorrupt(f"{path!r} is damaged: {'; '.join(complaints)}. Restore a backup.")
        return await store.workers()


def _file(path: Path) -> dict[str, Any]:
    return {"path": str(path.resolve()), "bytes": path.stat().st_size}


def _content(path: str) -> dict[str, Any]:
    with translated(path), closing(connect(path, "FULL")) as connection:
        settings = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}
        settings["synchronous"] = SYNCHRONOUS[settings["synchronous"]]
        return {
            "schema": connection.execute("PRAGMA user_version").fetchone()[0],
            "settings": settings,
            "executions": dict(connection.execute("SELECT status, count(*) FROM executions GROUP BY status")),
            "approvals": dict(connection.execute("SELECT status, count(*) FROM approvals GROUP BY status")),
        }


def versions() -> dict[str, str]:
    """What runs here."""
    return {
        "assent": version("assent"),
        "schema": str(SCHEMA_VERSION),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "pydantic": version("pydantic"),
        "system": platform.platform(),
    }


def _worker_facts(worker: WorkerRecord, now: float) -> dict[str, Any]:
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "started_at": iso(worker.started_at),
        "expires_at": iso(worker.expires_at),
        "alive": worker.expires_at > now,
        "workflows": from_json(worker.workflows),
    }


def _show(screen: Screen, store: Mapping[str, Any], workers: Sequence[WorkerRecord], tried: Sequence[Ability]) -> None:
    screen.say("Store", style="bold")
    screen.fields(_store_lines(store))
    screen.title("Versions")
    screen.fields([*versions().items(), ("program", sys.executable)])
    screen.title("Workers")
    if workers:
        rows = [_worker_row(each, screen.now) for each in workers]
        screen.table(["WORKER", "PROCESS", "STARTED", "STATE"], rows, "HAS")
    else:
        screen.say("  None is at work." if store["ok"] else "  Not known.")
    screen.title("Sandboxes")
    screen.fields([(each.name, _ability_line(each)) for each in tried])


def _store_lines(store: Mapping[str, Any]) -> list[tuple[str, str | Text]]:
    lines: list[tuple[str, str | Text]] = [("url", store["url"])]
    if "path" in store:
        lines += [("path", store["path"]), ("size", size(store["bytes"]))]
    if "schema" in store:
        lines.append(("schema", f"version {store['schema']}"))
        lines += [(kind, _counts(store[kind])) for kind in ("executions", "approvals")]
        lines.append(("settings", " ".join(f"{name}={value}" for name, value in store["settings"].items())))
    state = Text("ok, checked whole", style="green") if store["ok"] else plain(store["problem"], "red")
    return [*lines, ("state", state)]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "none"


def size(count: float) -> str:
    """A number of bytes, rounded."""
    power = min(len(f"{count:.0f}") - 1, 3 * len(UNITS) - 1) // 3
    return f"{count / 1000**power:.1f}".removesuffix(".0") + f" {UNITS[power]}"


def _worker_row(worker: WorkerRecord, now: float) -> Row:
    alive = worker.expires_at > now
    state = Text("at work", style="green") if alive else Text(f"silent, lease ended {age(worker.expires_at, now)}")
    cells = [
        plain(worker.id),
        plain(f"{worker.pid} on {worker.host}"),
        Text(short_moment(worker.started_at, now)),
        state,
    ]
    names = ", ".join(from_json(worker.workflows)) or "nothing: it only starts executions and waits"
    return Row(cells, [plain(names)])


def _ability_line(ability: Ability) -> Text:
    word = Text("available", style="green") if ability.available else Text("not available", style="dim")
    return word + plain(f": {ability.detail}")

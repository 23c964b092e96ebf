"""The commands for whoever keeps a store running: serving it, copying it, thinning it. What they do is elsewhere."""

from enum import StrEnum
from typing import Annotated

import typer

from assent.cli.options import Json, Url, finish, screen
from assent.errors import UsageError

# As in `main`, each command imports what it needs itself.


class LogFormat(StrEnum):
    """How what happens is told."""

    TEXT = "text"
    JSON = "json"


Log = Annotated[
    LogFormat,
    typer.Option("--log-format", envvar="ASSENT_LOG_FORMAT", metavar="FORMAT", help="text, or json: an object a line."),
]


Quiet = Annotated[bool, typer.Option("--quiet", help="Tell only of starting, stopping and trouble.")]
Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Files or modules with workflows.", show_default=False)
]


def worker(files: Files, quiet: Quiet = False, log_format: Log = LogFormat.TEXT, url: Url = None) -> int:
    """Drive executions until SIGTERM or Ctrl-C.

    Takes up whatever is due of the workflows in these files.
    When it is asked to stop, running steps may end first.
    """
    from assent.cli import worker as room

    return room.work(screen(), url, files, quiet=quiet, as_json=log_format is LogFormat.JSON)


def serve(  # noqa: PLR0913 - one setting a line, as it is read
    files: Files,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0: any that is free.")] = 8400,
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url", envvar="ASSENT_BASE_URL", metavar="URL", help="How people reach it.", show_default=False
        ),
    ] = None,
    allow_hosts: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="HOST", help="Another host name that is served; may be given again."),
    ] = None,
    trust_proxy: Annotated[
        str | None,
        typer.Option("--trust-proxy", metavar="ADDRESS", help="Of a reverse proxy that says who calls."),
    ] = None,
    who: Annotated[
        str | None,
        typer.Option("--as", metavar="WHO", help="Print a sign-in link for this person.", show_default=False),
    ] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Only serve; workers run elsewhere.")] = False,
    quiet: Quiet = False,
    log_format: Log = LogFormat.TEXT,
    url: Url = None,
) -> int:
    """Serve the inbox and the REST interface, and drive executions.

    On a terminal it prints a link with which you sign in, once.
    """
    try:
        from assent.cli import serve as room
    except ModuleNotFoundError as error:
        raise UsageError(
            f"`assent serve` needs {error.name}, which is not installed: pip install 'assent[notify,web]'"
        ) from error
    order = room.Order(
        files=files,
        host=host,
        port=port,
        base_url=base_url,
        allow_hosts=allow_hosts or (),
        trust_proxy=trust_proxy,
        who=who,
        worker=not no_worker,
        quiet=quiet,
        as_json=log_format is LogFormat.JSON,
    )
    return room.serve(screen(), url, order)


def backup(
    where: Annotated[
        str,
        typer.Argument(metavar="FILE|FOLDER", help="A new file, or a folder that gives it a name.", show_default=False),
    ],
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, metavar="N", help="Then leave only the newest N in that folder."),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Copy the store while others work on it.

    The copy is read back before it gets its name.
    """
    from assent.cli import backup as room

    room.backup(screen(), url, where, keep=keep, as_json=as_json)


def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Ended before: 90d ago, 2030-01-31.", show_default=False)
    ],
    archive: Annotated[
        str | None,
        typer.Option("--archive", metavar="FILE", help="Write each down before it goes: a JSON object a line."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Remove executions that ended long ago.

    With their journals, approvals and verdicts.
    """
    from assent.cli import prune as room

    work = room.prune(screen(), url, older_than, archive=archive, dry_run=dry_run, as_json=as_json)
    return finish(work)

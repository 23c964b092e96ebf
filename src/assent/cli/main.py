"""The commands with their options, and how the process ends. What they do is in the other modules of this room."""

import sys
from collections.abc import Sequence
from importlib.metadata import version as version_of
from typing import Annotated, Any, NoReturn

import typer

from assent.cli import access, monitor, operation, oversight
from assent.cli.options import DECIDE, LOOK, MEND, RUN, Id, Json, Limit, Reason, Url, Who, error_screen, finish, screen
from assent.errors import AssentError

# Each command imports what it needs itself: `assent --help` must not wait for pydantic and the engine.

INTERRUPTED = 130

app = typer.Typer(
    name="assent",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"assent {version_of('assent')}")
        raise typer.Exit


@app.callback()
def assent(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Durable workflows that act only with permission.

    Results go to standard output, everything else to standard error.
    Exit codes: 0 done, 1 failed, 2 wrong call, 3 not found, 5 refused, 75 waits.
    """


@app.command(rich_help_panel=RUN)
def run(
    reference: Annotated[
        str, typer.Argument(metavar="FILE:FUNCTION", help="A workflow or governed function.", show_default=False)
    ],
    document: Annotated[
        str | None, typer.Argument(metavar="JSON", help="The arguments, as one JSON object.", show_default=False)
    ] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--arg", metavar="NAME=VALUE", help="One argument; may be given again.")
    ] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id: the same call twice is one execution.")
    ] = None,
    who: Annotated[str | None, typer.Option("--as", metavar="WHO", help="For whom it is done.")] = None,
    wait: Annotated[
        str | None,
        typer.Option("--wait", metavar="TIME", help="How long to wait for others. Default: as its policies say"),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Start an execution, and wait for its result.

    Prints the result, and ends with 0.
    If others do not come in time: prints what it waits for, and ends with 75.
    The execution then lives on in the store, and a worker finishes it.
    """
    from assent.cli import run as room

    order = room.Order(
        reference=reference, document=document, pairs=pairs or (), id=id, who=who, patience=wait, as_json=as_json
    )
    return room.run(screen(), error_screen(), url, order)


app.command(rich_help_panel=RUN)(operation.worker)
app.command(rich_help_panel=RUN)(operation.serve)


@app.command(rich_help_panel=LOOK)
def executions(
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="pending, running, suspended, in_doubt, completed, failed or cancelled.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Of this workflow only.")] = None,
    cause: Annotated[
        str | None,
        typer.Option("--cause", metavar="CAUSE", help="Failed so: error, denied, rejected, expired, refused."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Started since: 2h, 7d, 2030-01-31, 2030-01-31T14:00.")
    ] = None,
    limit: Limit = 50,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """List executions, and what they wait for."""
    from assent.cli.executions import list_executions

    listing = list_executions(
        screen(), url, status=status, name=name, cause=cause, since=since, limit=limit, as_json=as_json
    )
    return finish(listing)


@app.command(rich_help_panel=LOOK)
def show(id: Id, url: Url = None, as_json: Json = False) -> int:
    """Show one execution: arguments, approvals, timeline."""
    from assent.cli import executions as room

    return finish(room.show(screen(), url, id, as_json=as_json))


@app.command(rich_help_panel=LOOK)
def events(id: Id, url: Url = None, as_json: Json = False) -> int:
    """Print the journal of one execution, whole."""
    from assent.cli.executions import list_events

    return finish(list_events(screen(), url, id, as_json=as_json))


@app.command(rich_help_panel=LOOK)
def doctor(url: Url = None, as_json: Json = False) -> int:
    """Check the store, the workers and this machine."""
    from assent.cli import doctor as room

    return finish(room.doctor(screen(), url, as_json=as_json))


app.add_typer(monitor.monitor, name="monitor", rich_help_panel=LOOK)
app.add_typer(oversight.approvals, name="approvals", rich_help_panel=LOOK)
app.command(rich_help_panel=DECIDE)(oversight.approve)
app.command(rich_help_panel=DECIDE)(oversight.reject)
app.command(rich_help_panel=DECIDE)(oversight.revoke)
app.add_typer(oversight.users, name="users", rich_help_panel=DECIDE)
app.add_typer(access.tokens, name="tokens", rich_help_panel=DECIDE)
app.command("sign-in-link", rich_help_panel=DECIDE)(access.sign_in_link)
app.add_typer(oversight.mandates, name="mandates", rich_help_panel=DECIDE)


@app.command(rich_help_panel=DECIDE)
def signal(
    id: Id,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the signal.", show_default=False)],
    value: Annotated[str | None, typer.Argument(metavar="JSON", help="Its value.", show_default=False)] = None,
    who: Who = None,
    url: Url = None,
) -> int:
    """Send a signal to an execution.

    It is kept until the execution asks for it.
    """
    from assent.cli.orders import send_signal

    return finish(send_signal(screen(), url, id, name, value, who))


@app.command(rich_help_panel=DECIDE)
def cancel(id: Id, reason: Reason = "", who: Who = None, url: Url = None) -> int:
    """Cancel an execution. Its cleanup still runs."""
    from assent.cli import orders

    return finish(orders.cancel(screen(), url, id, reason, who))


@app.command(rich_help_panel=MEND)
def resolve(
    id: Id,
    done: Annotated[
        str | None, typer.Option("--done", metavar="RESULT", help="It has happened, with this result (JSON).")
    ] = None,
    not_done: Annotated[
        bool, typer.Option("--not-done", help="It surely has not happened, and may happen now.")
    ] = False,
    step: Annotated[str, typer.Option("--step", metavar="NAME", help="Which one, if several are in doubt.")] = "",
    who: Who = None,
    url: Url = None,
) -> int:
    """Say whether an effect that is in doubt has happened."""
    from assent.cli import orders

    return finish(orders.resolve(screen(), url, id, done=done, not_done=not_done, step=step, who=who))


@app.command(rich_help_panel=MEND)
def replay(
    id: Id,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file with the workflow.", show_default=False)],
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Check that today's code follows a journal.

    Runs the code against what is recorded. Performs nothing, writes nothing.
    """
    from assent.cli.replay import check

    return check(screen(), url, id, file, as_json=as_json)


app.command(rich_help_panel=MEND)(operation.backup)
app.command(rich_help_panel=MEND)(operation.prune)

policy = typer.Typer(no_args_is_help=True, help="Check, try and explain policy files.")
app.add_typer(policy, name="policy", rich_help_panel=LOOK)

PolicyFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A policy file: YAML, JSON or TOML.", show_default=False)
]
Environment = Annotated[
    str | None, typer.Option("--env", metavar="NAME", help="Under this environment of the file.", show_default=False)
]


@policy.command("check")
def policy_check(file: PolicyFile, environment: Environment = None, as_json: Json = False) -> None:
    """Check a policy file, and list its policies."""
    from assent.cli import policies as room

    room.check(screen(), file, environment, as_json=as_json)


@policy.command("test")
def policy_test(file: PolicyFile, environment: Environment = None, as_json: Json = False) -> int:
    """Try the examples that a policy file carries.

    Ends with 1 if one of them does not hold.
    """
    from assent.cli import policies as room

    return finish(room.test(screen(), file, environment, as_json=as_json))


@policy.command("explain")
def policy_explain(
    file: PolicyFile,
    action: Annotated[
        str, typer.Argument(metavar="ACTION", help="A file with an action, as JSON.", show_default=False)
    ],
    environment: Environment = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="At this moment: 2030-01-31T14:00Z.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> int:
    """Say which policies decide on an action, and why.

    Nothing is counted, drawn or sent.
    """
    from assent.cli import policies as room

    return finish(room.explain_action(screen(), file, action, environment, at, as_json=as_json))


@policy.command("backtest")
def policy_backtest(
    file: PolicyFile,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Of actions since: 2h, 30d, 2030-01-31. Default: all.", show_default=False
        ),
    ] = None,
    environment: Environment = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="A recorded policy that goes; may be given again."),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Ask a policy file about recorded actions.

    Says what it would change, and what that costs or saves the reviewers.
    """
    from assent.cli import backtest as room

    order = room.Order(file=file, since=since, environment=environment, without=without or (), as_json=as_json)
    return finish(room.backtest(screen(), sys.stderr, url, order))


@policy.command("schema")
def policy_schema() -> None:
    """Print the JSON Schema of policy files, for editors."""
    from assent.cli import policies as room

    room.schema(screen())


notifications = typer.Typer(no_args_is_help=True, help="See what people are told, and send it again.")
app.add_typer(notifications, name="notifications", rich_help_panel=LOOK)


@notifications.command("list")
def notifications_list(
    status: Annotated[
        str, typer.Option("--status", metavar="STATUS", help="pending, sent, dead, skipped or all.")
    ] = "all",
    approval: Annotated[
        str | None, typer.Option("--approval", metavar="ID", help="About this approval only.", show_default=False)
    ] = None,
    limit: Limit = 50,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """List notices, the newest first, and what became of them."""
    from assent.cli import notifications as room

    return finish(room.list_notices(screen(), url, status=status, approval=approval, limit=limit, as_json=as_json))


@notifications.command("retry")
def notifications_retry(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="NOTICE...", help="Notices, or beginnings of their ids.", show_default=False),
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    url: Url = None,
) -> int:
    """Have notices sent again that were given up or skipped."""
    from assent.cli import notifications as room

    return finish(room.retry(screen(), url, ids or (), dead=dead))


@notifications.command("send")
def notifications_send(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files with a Runtime that has channels.", show_default=False)
    ],
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Send what is due, once, without a worker."""
    from assent.cli import notifications as room

    return finish(room.send(screen(), url, files, as_json=as_json))


def main() -> NoReturn:
    """Run the command that the process was called with, and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end a listing.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # they are text files
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: Sequence[str]) -> int:
    try:
        return app(arguments, prog_name="assent", standalone_mode=False) or 0
    except AssentError as error:
        _complain(str(error))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        # Typer has no public name for its wrong calls, which were other classes in its earlier versions.
        if not hasattr(error, "format_message"):
            raise
        return _refuse(error)


def _refuse(error: Any) -> int:
    command = error.ctx.command_path if error.ctx else "assent"
    message = error.format_message().rstrip(".")
    if message:
        _complain(f"{message}. See `{command} --help`.")
    return int(error.exit_code)


def _complain(message: str) -> None:
    """One line on standard error."""
    from assent.cli.output import safe

    typer.echo(safe(f"assent: {' '.join(message.split())}"), err=True)

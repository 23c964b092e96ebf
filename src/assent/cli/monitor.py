"""The commands that watch agents and what they cost. What they do is in `monitoring`."""

from enum import StrEnum
from typing import Annotated

import typer

from assent.cli.options import Id, Json, Limit, Url, finish, screen
from assent.cli.oversight import ListedByDefault

# As in `main`, each command imports what it needs itself.

Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Since: 2h, 7d, 2030-01-31. Default: all.", show_default=False),
]


class Grouping(StrEnum):
    """What costs are added up by."""

    AGENT = "agent"
    MODEL = "model"
    DAY = "day"
    USER = "user"


class LiveByDefault(ListedByDefault):
    """A group whose `live` is what its bare name does."""

    default = "live"


monitor = typer.Typer(cls=LiveByDefault, help="Watch agents and what they cost. Without more: live.")


@monitor.command("live")
def monitor_live(limit: Limit = 20, url: Url = None) -> int:
    """Show what runs, until Ctrl-C.

    In a pipe: once.
    """
    from assent.cli import monitoring as room

    return finish(room.live(screen(), url, limit=limit))


@monitor.command("list")
def monitor_list(
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="The runs of this agent, or executions of that name."),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="pending, running, suspended, completed, failed ..."),
    ] = None,
    since: Since = None,
    limit: Limit = 50,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """List executions, or the runs of one agent, with what they took."""
    from assent.cli import monitoring as room

    return finish(room.list_runs(screen(), url, agent=agent, status=status, since=since, limit=limit, as_json=as_json))


@monitor.command("stats")
def monitor_stats(
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Of executions of this name only.")] = None,
    since: Since = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Say how executions fare, and what they took together."""
    from assent.cli import monitoring as room

    return finish(room.stats(screen(), url, name=name, since=since, as_json=as_json))


@monitor.command("trace")
def monitor_trace(id: Id, url: Url = None, as_json: Json = False) -> int:
    """Show one execution as a tree: agents, model requests, tools, steps, approvals."""
    from assent.cli import monitoring as room

    return finish(room.trace(screen(), url, id, as_json=as_json))


@monitor.command("cost")
def monitor_cost(
    by: Annotated[Grouping, typer.Option("--by", metavar="WHAT", help="agent, model, day or user.")] = Grouping.AGENT,
    since: Since = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Add up what was spent on models."""
    from assent.cli import monitoring as room

    return finish(room.cost(screen(), url, by=by.value, since=since, as_json=as_json))

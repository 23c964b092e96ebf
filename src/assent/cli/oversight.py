"""The commands for people who oversee others: approvals, verdicts, users and mandates. What they do is elsewhere."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from assent.cli.options import Json, Limit, Reason, Url, error_screen, finish, screen

# As in `main`, each command imports what it needs itself.

Approval = Annotated[
    str, typer.Argument(metavar="APPROVAL", help="The approval, or the beginning of its id.", show_default=False)
]
Approvals = Annotated[
    list[str],
    typer.Argument(metavar="APPROVAL...", help="Approvals, or the beginnings of their ids.", show_default=False),
]
AnyApprovals = Annotated[
    list[str] | None,
    typer.Argument(metavar="APPROVAL...", help="Approvals, or the beginnings of their ids.", show_default=False),
]
Approver = Annotated[
    str, typer.Option("--as", metavar="WHO", help="Who decides: an approver's name.", show_default=False)
]
Everything = Annotated[bool, typer.Option("--all", help="All that waits for this person; with --action. No mandates.")]
Action = Annotated[
    str | None, typer.Option("--action", metavar="NAME", help="Of the action of that name only.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant so.")]


class ListedByDefault(TyperGroup):
    """A group whose `list`, or another of its commands, is what its bare name does."""

    default = "list"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        wants_help = bool(args) and args[0] in ctx.help_option_names
        is_bare = not args or (args[0].startswith("-") and not wants_help)
        return super().parse_args(ctx, [self.default, *args] if is_bare else args)


# Approvals

approvals = typer.Typer(cls=ListedByDefault, help="See what people are asked. Without more: list it.")


@approvals.command("list")
def approvals_list(
    status: Annotated[
        str,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="pending, granted, rejected, expired, withdrawn, amended, revoked or all.",
        ),
    ] = "pending",
    limit: Limit = 50,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """List what people are asked, the oldest first."""
    from assent.cli.approvals import list_approvals

    return finish(list_approvals(screen(), url, status=status, limit=limit, as_json=as_json))


@approvals.command("show")
def approvals_show(
    approval: Approval,
    who: Annotated[
        str | None,
        typer.Option("--as", metavar="WHO", help="Who looks: it is noted that they have seen it.", show_default=False),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Show one approval whole, with its preview and all verdicts."""
    from assent.cli import approvals as room

    return finish(room.show_approval(screen(), url, approval, who=who, as_json=as_json))


@approvals.command("stats")
def approvals_stats(
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Of verdicts since: 30d, 2030-01-31.", show_default=False),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Show how each approver decides, and what waits for them."""
    from assent.cli import statistics as room

    return finish(room.stats(screen(), url, since=since, as_json=as_json))


@approvals.command("remind")
def approvals_remind(approval: Approval, url: Url = None) -> int:
    """Remind those who may decide an approval."""
    from assent.cli import approvals as room

    return finish(room.remind_of(screen(), url, approval))


# Verdicts


def approve(  # noqa: PLR0913 - one option a line, as it is read
    who: Approver,
    approval: AnyApprovals = None,
    reason: Reason = "",
    changes: Annotated[
        list[str] | None,
        typer.Option("--change", metavar="NAME=VALUE", help="With another argument; may be given again."),
    ] = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option("--if", metavar="CONDITION", help='Only if, as in "amount <= 20000"; may be given again.'),
    ] = None,
    everything: Everything = False,
    action: Action = None,
    yes: Yes = False,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Say yes to approvals.

    One verdict that is refused stops none of the others; the command then ends with 5.
    """
    from assent.cli import decisions as room

    choice = room.Choice(approval or (), everything, action, yes)
    said = room.Said(who, "approve", reason, changes or (), conditions or ())
    return finish(room.decide(screen(), error_screen(), url, choice, said, as_json=as_json))


def reject(
    who: Approver,
    approval: AnyApprovals = None,
    reason: Reason = "",
    everything: Everything = False,
    action: Action = None,
    yes: Yes = False,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Say no to approvals.

    One verdict that is refused stops none of the others; the command then ends with 5.
    """
    from assent.cli import decisions as room

    choice = room.Choice(approval or (), everything, action, yes)
    return finish(room.decide(screen(), error_screen(), url, choice, room.Said(who, "reject", reason), as_json=as_json))


def revoke(
    who: Approver, approval: Approvals, reason: Reason = "", yes: Yes = False, url: Url = None, as_json: Json = False
) -> int:
    """Take back what somebody has said.

    A verdict while it is open; what was granted until it is acted upon.
    """
    from assent.cli import decisions as room

    choice = room.Choice(approval, yes=yes)
    return finish(room.decide(screen(), error_screen(), url, choice, room.Said(who, "revoke", reason), as_json=as_json))


# Users

users = typer.Typer(no_args_is_help=True, help="Who decides: people, roles, stand-ins.")

Person = Annotated[str, typer.Argument(metavar="PERSON", help="The id of a person.", show_default=False)]


@users.command("add")
def users_add(
    person: Person,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What people call them.", show_default=False)
    ] = None,
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", help="A role, as in finance; may be given again. '' for none."),
    ] = None,
    contacts: Annotated[
        list[str] | None,
        typer.Option("--contact", metavar="KIND=ADDRESS", help="An address by kind of channel; may be given again."),
    ] = None,
    access: Annotated[
        str | None,
        typer.Option(
            "--access",
            metavar="ACCESS",
            help="To the web: viewer, approver, operator or admin; '' for only what is asked of them.",
            show_default=False,
        ),
    ] = None,
    url: Url = None,
) -> int:
    """Add a person, or say anew who somebody is.

    What is not given stays as it was.
    """
    from assent.cli import users as room

    return finish(room.add(screen(), url, person, name=name, roles=roles, contacts=contacts, access=access))


@users.command("list")
def users_list(
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", help="With this role only.", show_default=False)
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """List people, their roles, and who stands in for whom."""
    from assent.cli import users as room

    return finish(room.list_people(screen(), url, role=role, as_json=as_json))


@users.command("disable")
def users_disable(person: Person, url: Url = None) -> int:
    """From now on nothing that a person says counts."""
    from assent.cli import users as room

    return finish(room.disable(screen(), url, person))


@users.command("enable")
def users_enable(person: Person, url: Url = None) -> int:
    """Take back that a person was disabled."""
    from assent.cli import users as room

    return finish(room.enable(screen(), url, person))


@users.command("delegate")
def users_delegate(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Who is stood in for.", show_default=False)],
    to: Annotated[str, typer.Option("--to", metavar="PERSON", help="Who stands in.", show_default=False)],
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="For so long, or until: 3d, 2030-01-31T18:00.")],
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From then on; without it, now.", show_default=False)
    ] = None,
    away: Annotated[bool, typer.Option("--away", help="Out of office: who is stood in for is told nothing.")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="WHY", help="Why.", show_default=False)] = "",
    url: Url = None,
) -> int:
    """Let one person stand in for another for a time."""
    from assent.cli import users as room

    term = room.Term(until, since, away, reason)
    return finish(room.delegate(screen(), url, person, to, term))


@users.command("undelegate")
def users_undelegate(
    delegation: Annotated[
        str,
        typer.Argument(metavar="DELEGATION", help="The delegation, or the beginning of its id.", show_default=False),
    ],
    url: Url = None,
) -> int:
    """End a delegation before its time."""
    from assent.cli import users as room

    return finish(room.undelegate(screen(), url, delegation))


# Mandates

mandates = typer.Typer(no_args_is_help=True, help="One approval for a bounded series of actions.")

Mandate = Annotated[
    str, typer.Argument(metavar="MANDATE", help="The mandate, or the beginning of its id.", show_default=False)
]


@mandates.command("ask")
def mandates_ask(  # noqa: PLR0913 - one bound a line, as it is read
    action: Annotated[
        str,
        typer.Argument(metavar="ACTION", help="The name of an action, or FILE:FUNCTION.", show_default=False),
    ],
    approvers: Annotated[
        list[str],
        typer.Option("--approver", metavar="WHO", help="A person, or role:NAME; given again.", show_default=False),
    ],
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="Good for so long, or until: 8h, 2030-01-31T18:00.")
    ],
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", help="For so many actions.", show_default=False)
    ] = None,
    total: Annotated[
        str | None, typer.Option("--total", metavar="AMOUNT", help="For so much in all.", show_default=False)
    ] = None,
    amount: Annotated[
        str, typer.Option("--amount", metavar="ARGUMENT", help="The argument that --total counts.")
    ] = "amount",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CONDITION", help="Only if, as in 'supplier == \"acme\"'; may be given again."),
    ] = None,
    quorum: Annotated[str, typer.Option("--quorum", metavar="N", help="How many must approve, or all.")] = "1",
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="WHO", help="Who may not decide; may be given again."),
    ] = None,
    require_reason: Annotated[bool, typer.Option("--require-reason", help="Each verdict must say why.")] = False,
    within: Annotated[str, typer.Option("--within", metavar="TIME", help="How long people have to decide.")] = "24h",
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="What it is for.", show_default=False)] = "",
    who: Annotated[
        str | None, typer.Option("--as", metavar="WHO", help="Who asks, and so may not decide.", show_default=False)
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Ask people for a mandate."""
    from assent.cli import mandates as room

    bounds = room.Bounds(until=until, count=count, total=total, amount=amount, only=only or ())
    rules = room.Rules(
        approvers=approvers,
        quorum=quorum,
        exclude=exclude or (),
        require_reason=require_reason,
        within=within,
        title=title,
        who=who,
    )
    return room.ask(screen(), url, action, bounds, rules, as_json=as_json)


@mandates.command("list")
def mandates_list(
    action: Annotated[
        str | None, typer.Option("--action", metavar="NAME", help="For this action only.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """List mandates with what is left of them."""
    from assent.cli import mandates as room

    return finish(room.list_mandates(screen(), url, action=action, everything=everything, as_json=as_json))


@mandates.command("show")
def mandates_show(mandate: Mandate, url: Url = None, as_json: Json = False) -> int:
    """Show a mandate, who gave it, and what has drawn on it."""
    from assent.cli import mandates as room

    return finish(room.show_mandate(screen(), url, mandate, as_json=as_json))


@mandates.command("revoke")
def mandates_revoke(
    mandate: Mandate, who: Approver, reason: Reason = "", url: Url = None, as_json: Json = False
) -> int:
    """Take back what is left of a mandate."""
    from assent.cli import mandates as room

    return finish(room.revoke(screen(), error_screen(), url, mandate, approver=who, reason=reason, as_json=as_json))

"""The commands for letting people and programs in: tokens and one-time links. What they do is elsewhere."""

from typing import Annotated

import typer

from assent.cli.options import Json, Url, finish, screen

# As in `main`, each command imports what it needs itself.

Person = Annotated[str, typer.Argument(metavar="PERSON", help="The id of a person.", show_default=False)]

tokens = typer.Typer(no_args_is_help=True, help="What lets programs in.")


@tokens.command("add")
def tokens_add(
    person: Person,
    name: Annotated[
        str, typer.Option("--name", metavar="TEXT", help="What it is for, for your list.", show_default=False)
    ] = "",
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="Only for this: read, start, decide, operate, administer or metrics. May be given again.",
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="After so long, as in 90d; never for never.")
    ] = "90d",
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Make a token by which programs act for a person.

    It is shown once. What it may do follows what the person may.
    """
    from assent.cli import tokens as room

    order = room.Order(person, name, tuple(scopes or ()), None if expires == "never" else expires)
    return finish(room.add(screen(), url, order, as_json=as_json))


@tokens.command("list")
def tokens_list(
    person: Annotated[
        str | None, typer.Option("--of", metavar="PERSON", help="Of this person only.", show_default=False)
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> int:
    """List tokens, never the tokens themselves."""
    from assent.cli import tokens as room

    return finish(room.list_tokens(screen(), url, person=person, as_json=as_json))


@tokens.command("revoke")
def tokens_revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, or the beginning of it.", show_default=False)],
    url: Url = None,
) -> int:
    """Take a token back: nobody gets in with it any more."""
    from assent.cli import tokens as room

    return finish(room.revoke(screen(), url, token))


def sign_in_link(
    person: Person,
    base_url: Annotated[
        str,
        typer.Option("--base-url", envvar="ASSENT_BASE_URL", metavar="URL", help="Where the server is reached."),
    ] = "http://127.0.0.1:8400",
    expires: Annotated[str, typer.Option("--expires", metavar="TIME", help="After so long.")] = "15m",
    url: Url = None,
    as_json: Json = False,
) -> int:
    """Make a link by which a person signs in once."""
    from assent.cli import tokens as room

    return finish(room.invite(screen(), url, person, base_url, expires=expires, as_json=as_json))

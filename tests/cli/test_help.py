"""The help pages, and what else must be told of every command.

After a wanted change: `ASSENT_WRITE_SNAPSHOTS=1 python -m pytest tests/cli/test_help.py`, and read the difference.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from assent import errors
from assent.cli.main import INTERRUPTED, app
from tests.cli.conftest import Shell

SNAPSHOTS = Path(__file__).parent / "snapshots"
PAGE = (Path(__file__).parent.parent.parent / "docs/cli.md").read_text(encoding="utf-8")
GROUP: Any = typer.main.get_command(app)


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """The commands by what is typed for them, groups of commands before what is in them."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")


PAGES: dict[str, Any] = dict(_commands(GROUP))
COMMANDS = {name: command for name, command in PAGES.items() if not hasattr(command, "commands")}
SHARED = {"--help", "-h"}


@pytest.mark.parametrize("command", ["", *PAGES])
def test_help_is_as_it_was_reviewed(tmp_path: Path, command: str) -> None:
    text = "\n".join(_words(Shell(tmp_path, width="80")(*command.split(), "--help"))) + "\n"
    snapshot = SNAPSHOTS / f"{command.replace(' ', '-') or 'assent'}.txt"
    if os.environ.get("ASSENT_WRITE_SNAPSHOTS"):
        snapshot.write_text(text, encoding="utf-8")
    assert text == snapshot.read_text(encoding="utf-8")


def _words(page: str) -> Iterator[str]:
    """The lines of a page without its frames, which are Typer's affair."""
    for line in page.splitlines():
        text = re.sub(r"[│╭╮╰╯─]", " ", line).strip()
        if text:
            yield re.sub(r" {2,}", "  ", text)


def test_a_wrong_call_is_one_line(assent: Shell) -> None:
    assert "No such command 'nope'" in assent.error("nope", code=2)
    assert "--frob" in assent.error("executions", "--frob", code=2)
    assert "Missing argument 'ID'" in assent.error("show", code=2)
    assert "Commands" in assent.run(code=2).stdout or "Usage: assent" in assent.run(code=2).stdout


def test_the_version_is_told(assent: Shell) -> None:
    assert re.fullmatch(r"assent \d+\.\d+\.\d+\n", assent("--version"))


def _section(command: str) -> str:
    """What the page says of a command: its section, from heading to heading."""
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    return next((each for each in sections if re.search(rf"`assent {command}\b", each.partition("\n")[0])), "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_in_the_docs(command: str) -> None:
    section = _section(command)
    options = {name for each in COMMANDS[command].params for name in each.opts if name.startswith("-")} - SHARED
    documented = set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))
    assert section
    assert documented == options


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_is_in_its_heading(command: str) -> None:
    heading = _section(command).partition("\n")[0]
    arguments = [str(each.metavar) for each in COMMANDS[command].params if not each.opts[0].startswith("-")]
    assert [each for each in arguments if each not in heading] == []


def _exit_codes(error: type[errors.AssentError]) -> set[int]:
    return {error.exit_code}.union(*(_exit_codes(each) for each in error.__subclasses__()))


def test_every_exit_code_is_in_the_docs() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert documented == {0, INTERRUPTED} | _exit_codes(errors.AssentError)


def test_the_command_line_loads_nothing_heavy_before_a_command_needs_it() -> None:
    program = (
        "import sys, assent; before = set(sys.modules); import assent.cli.main; new = set(sys.modules) - before; "
        "print(*sorted(name for name in new if name.startswith(('assent.', 'pydantic', 'rich.'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    rooms = ("access", "main", "monitor", "operation", "options", "oversight")
    light = ["assent.cli", *(f"assent.cli.{room}" for room in rooms), "assent.errors"]
    assert done.stdout.split() == light

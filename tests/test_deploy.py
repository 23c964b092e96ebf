"""What is written to be deployed with fits the commands and metrics that there are."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from assent.cli.main import app

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
GROUP: Any = typer.main.get_command(app)


def commands() -> Iterator[list[str]]:
    """The calls of `assent` in units, in the container file and in the shell blocks of the page."""
    for unit in DEPLOY.glob("*.service"):
        (line,) = re.findall(r"^ExecStart=\S+/assent (.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
        yield shlex.split(line)
    (listed,) = re.findall(r"^CMD (\[.+\])$", (DEPLOY / "Containerfile").read_text(encoding="utf-8"), re.MULTILINE)
    yield json.loads(listed)
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for call in re.findall(
            r"(?:^ *|&& |\$\(|u assent |/bin/)assent ((?:[a-z-]+)(?: [^|&;#\n)]+)?)", block, re.MULTILINE
        ):
            yield shlex.split(call.replace("\\", ""))


CALLS = list(commands())


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_each_command_exists_with_its_options(call: list[str]) -> None:
    command, words = GROUP, list(call)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert command is not GROUP
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_enough_calls_are_looked_at() -> None:
    assert len(CALLS) >= 15
    assert {"serve", "worker", "backup", "prune", "users", "doctor", "replay"} <= {call[0] for call in CALLS}


def test_alerts_ask_for_metrics_that_there_are() -> None:
    metrics = (ROOT / "src/assent/web/metrics.py").read_text(encoding="utf-8")
    asked = set(re.findall(r"assent_[a-z_]+", (DEPLOY / "alerts.yml").read_text(encoding="utf-8")))
    assert asked
    assert {name for name in asked if f'"{name}"' not in metrics} == set()


def test_the_page_names_every_file() -> None:
    names = {path.name for path in DEPLOY.iterdir()}
    missing = {name for name in names if f"deploy/{name})" not in PAGE}
    assert missing == set()


def test_the_image_is_made_of_what_the_wheel_needs_and_nothing_else() -> None:
    copied = re.findall(r"^COPY (.+) (\S+)$", (DEPLOY / "Containerfile").read_text(encoding="utf-8"), re.MULTILINE)
    sources = {source for sources, _ in copied for source in sources.split()}
    assert sources == {"pyproject.toml", "LICENSE", "src"}
    assert all((ROOT / source).exists() for source in sources)


def test_no_proxy_logs_paths_which_may_hold_a_link() -> None:
    blocks = re.findall(
        r"^server \{\n.*?^\}", (DEPLOY / "nginx.conf").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == 2
    assert all("\n    access_log off;\n" in block for block in blocks)
    # Caddy logs requests only where it is told to.
    assert not re.search(r"^\s*log\b", (DEPLOY / "Caddyfile").read_text(encoding="utf-8"), re.MULTILINE)

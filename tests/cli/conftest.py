"""A folder with the shop and a store, and the command that is run in it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assent.clock import SystemClock
from assent.governance.people import add_person
from assent.store.sqlite import SqliteStore

SHOP = Path(__file__).parent / "shop.py"
TREASURY = Path(__file__).parent / "treasury.py"
# Seconds, and longer than any command takes: one that hangs must fail by itself, before the test is interrupted.
PATIENCE = 30


@dataclass(frozen=True)
class Shell:
    """Runs `assent` in a folder that holds the shop as app.py."""

    folder: Path
    width: str | None = None  # columns of the terminal; None: a pipe
    settings: dict[str, str] = field(default_factory=dict)  # of the environment
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What the command prints. Fails if it ends with another code."""
        return self.run(*arguments, code=code).stdout

    def run(self, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "assent", *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def read(self, *arguments: str, code: int = 0) -> Any:
        """The JSON document that the command prints."""
        return json.loads(self(*arguments, "--json", code=code))

    def error(self, *arguments: str, code: int) -> str:
        """The only line that a refused command writes, all of it on standard error."""
        done = self.run(*arguments, code=code)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("assent: ")
        return done.stderr.removeprefix("assent: ").rstrip()

    def worker(self, *arguments: str) -> "subprocess.Popen[str]":
        """A worker that is ready."""
        worker = self.start("worker", *arguments)
        assert "is ready" in line_with("", worker)
        return worker

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """The command at work; it is ended with the test."""
        command = [sys.executable, "-m", "assent", *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=pipe, stderr=pipe, text=True)
        self.started.append(process)
        return process

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "ASSENT_STORE"}}
        return (
            {**kept, "TZ": "UTC", "PYTHONUTF8": "1"} | self.settings | ({"COLUMNS": self.width} if self.width else {})
        )


def line_with(part: str, worker: "subprocess.Popen[str]") -> str:
    """The next line of a worker in which that part stands."""
    assert worker.stdout is not None
    return next(line for line in worker.stdout if part in line)


def shell_in(folder: Path) -> Shell:
    shutil.copy(SHOP, folder / "app.py")
    return Shell(folder)


@pytest.fixture
def assent(tmp_path: Path) -> Iterator[Shell]:
    """The command in a folder of its own, whose store nobody has made yet."""
    shell = shell_in(tmp_path)
    yield shell
    for process in shell.started:
        process.kill()
        process.communicate()


@pytest.fixture
def treasury(assent: Shell) -> Shell:
    """The command in a folder with the treasury, which was asked to buy a lamp."""
    return with_treasury(assent)


@pytest.fixture
def office(treasury: Shell) -> Shell:
    """The same with people who have roles."""
    return with_people(treasury)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """An office that tests only read, or are refused by."""
    return with_people(with_treasury(shell_in(tmp_path_factory.mktemp("desk"))))


def with_treasury(shell: Shell) -> Shell:
    shutil.copy(TREASURY, shell.folder / "treasury.py")
    ask(shell, "buy", "item=lamp")
    return shell


def with_people(shell: Shell) -> Shell:
    """Two members of finance, added without a process for each."""

    async def add() -> None:
        async with SqliteStore(str(shell.folder / "assent.db")) as store:
            for person in ("fin@company.com", "cfo@company.com"):
                await add_person(store, SystemClock(), person, roles=["finance"])

    asyncio.run(add())
    return shell


def ask(shell: Shell, action: str, *pairs: str, who: str = "alice@company.com") -> str:
    """Ask for an action of the treasury; returns the id of its approval."""
    arguments = [part for pair in pairs for part in ("--arg", pair)]
    started = shell.read("run", f"treasury.py:{action}", *arguments, "--as", who, code=75)
    (approval,) = started["approvals"]
    return str(approval)


@dataclass(frozen=True)
class Day:
    """A store in which something of each kind has happened; tests only read it."""

    shell: Shell
    transfer: str  # ids of executions: waits for an approval
    order: str  # waits for a signal
    quote: str  # has completed
    failed: str
    doubtful: str
    approval: str  # of the transfer


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """A day in the shop."""
    shell = shell_in(tmp_path_factory.mktemp("day"))

    def started(name: str, *arguments: str, code: int = 0) -> dict[str, Any]:
        return dict(shell.read("run", f"app.py:{name}", *arguments, code=code))

    transfer = started("wire_transfer", '{"amount": 50000, "recipient": "Acme"}', "--as", "alice", code=75)
    return Day(
        shell=shell,
        transfer=transfer["execution_id"],
        order=started("order", "--arg", "item=lamp", code=75)["execution_id"],
        quote=started("quote", "--arg", "item=lamp")["execution_id"],
        failed=started("failing", "--arg", "item=moon", code=1)["execution_id"],
        doubtful=started("doubtful", "--arg", "amount=5", code=7)["execution_id"],
        approval=transfer["approvals"][0],
    )

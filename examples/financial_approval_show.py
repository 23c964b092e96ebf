"""The show of `financial_approval_system.py`: it is served, called, decided on and killed, and what comes of it.

It knows nothing of the application but how to start it. What it prints comes from the answers of the server, from the
e-mails and Slack messages that arrive, from the store, from the bank's ledger, and from its own watch. It fails if a
transfer is missing or doubled, or an event is missing; `check` looks again at a store that was kept.
"""

import argparse
import asyncio
import os
import re
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
from financial_approval_receivers import Tray, mail_server, pressed_in_slack, slack_server
from financial_approval_report import (
    Entry,
    Scenario,
    comparison_table,
    entries_of,
    event_table,
    governance_table,
    ledger_table,
    mail_panel,
    measured,
    money,
    said_in,
    short,
    slack_panel,
    status_line,
    verdict,
)
from rich import box
from rich.console import Console
from rich.json import JSON
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from assent import ApprovalRecord, AssentError, Runtime, SystemClock
from assent.runtime.credentials import TICKETS, add_ticket, add_token

APPLICATION = Path(__file__).with_name("financial_approval_system.py")
SLACK_SECRET = "what Slack and the server share"
PEOPLE: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("treasury@company.com", "operator", {}),
    ("manager@company.com", "approver", {}),
    ("cfo@company.com", "approver", {"slack": "U0CFO"}),
    ("intern@company.com", "approver", {}),
)


@dataclass
class Show:
    runtime: Runtime
    ledger: Path
    screen: Console
    mails: Tray[EmailMessage]
    slack: Tray[Mapping[str, Any]]
    surroundings: Mapping[str, str]  # of the application's processes
    base_url: str
    stack: AsyncExitStack  # ends what still runs at the end
    tokens: dict[str, str] = field(default_factory=dict)
    roles: dict[int, str] = field(default_factory=dict)  # of processes, by their ids
    scenarios: list[Scenario] = field(default_factory=list)

    @property
    def scenario(self) -> Scenario:
        return self.scenarios[-1]

    async def run(self) -> None:
        first = await self.small_transfer()
        second = await self.large_transfer(first)
        await self.interrupted_transfer(second)
        await self.audit_trail()
        await self.comparison()

    async def small_transfer(self) -> Process:
        self.begin("Small", "SCENARIO 1: SMALL TRANSFER", "The caller waits, and gets its result.")
        server = await self.started("server")
        calling = self.called("5000", "Acme Corp", "123-456-7890")
        approval = await self.asked_for("manager@company.com")
        with self.waiting("The manager reads it"):
            await asyncio.sleep(2)
        await self.decided_by_rest(approval, "manager@company.com", "within my limit")
        await self.answered(calling)
        await self.stands()
        return server

    async def large_transfer(self, server: Process) -> Process:
        self.begin("Large", "SCENARIO 2: LARGE TRANSFER", "The caller gets 202, the server is killed, nothing is lost.")
        calling = self.called("50000", "BigCorp Industries", "987-654-3210")
        approval = await self.asked_for("cfo@company.com")
        link = await self.link_in_mail("cfo@company.com")
        await self.answered(calling)
        server.kill()
        await self.buried(server)
        await self.stands()
        successor = await self.started("server")
        await self.decided_by_rest(approval, "intern@company.com", "looks fine to me")
        await self.decided_by_link(link, "cfo@company.com", "invoice 4711 checked")
        await self.finished()
        return successor

    async def interrupted_transfer(self, server: Process) -> None:
        self.begin(
            "Interrupted", "SCENARIO 3: INTERRUPTED TRANSFER", "Killed when the money has left, before it is noted."
        )
        server.terminate()
        await server.wait()
        self.say("▪", f"{self.name_of(server)} has stopped, as it was asked to")
        await self.started("server", "--no-worker")
        calling = self.called("75000", "Globex Ltd", "555-010-9999")
        approval = await self.asked_for("cfo@company.com")
        await self.answered(calling)
        await self.decided_in_slack(approval, "cfo@company.com")
        await self.buried(await self.started("worker", KILLED_AFTER_TRANSFER="1"))
        await self.stands()
        await self.started("worker")
        await self.finished()

    # What happens in a scenario

    def begin(self, title: str, headline: str, subtitle: str) -> None:
        self.scenarios.append(Scenario(title))
        self.headline(headline, subtitle)

    async def introduce(self) -> None:
        """Make the people known, and give each a token."""
        for person, access, contacts in PEOPLE:
            await self.runtime.people.add(person, access=access, contacts=contacts)
            fresh = await add_token(self.runtime.open_store, self.runtime.clock, person, name="show", expires="1h")
            self.tokens[person] = fresh.secret

    async def started(self, role: str, *options: str, **settings: str) -> Process:
        """A process of the application that is ready. It is asked to stop at the end, if it still runs then."""
        words = ["serve", "--port", self.base_url.rpartition(":")[2], *options] if role == "server" else ["worker"]
        command = (sys.executable, "-m", "assent", *words, "--quiet", str(APPLICATION))
        child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env={**self.surroundings, **settings})
        self.stack.push_async_callback(stopped, child)
        self.roles[child.pid] = role
        with self.waiting(f"The {role} starts"):
            await line_of(child, "is ready")
        self.say("▸", f"{self.name_of(child)} starts", "cyan")
        return child

    def client(self, person: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.tokens[person]}"}
        return httpx.AsyncClient(base_url=self.base_url, headers=headers, timeout=60)

    def called(self, amount: str, recipient: str, account_number: str) -> "asyncio.Task[Mapping[str, Any]]":
        """A client asks for a transfer; what it is answered, and when, is the result of the task."""
        order = {"amount": amount, "recipient": recipient, "account_number": account_number}
        self.say("▹", f"treasury@company.com calls POST /transfers for {money(order)} to {recipient}", "cyan")
        return asyncio.create_task(self._call(order))

    async def _call(self, order: Mapping[str, str]) -> Mapping[str, Any]:
        began = time.perf_counter()
        async with self.client("treasury@company.com") as client:
            answer = await client.post("/transfers", json=order)
        seconds = time.perf_counter() - began
        facts = {"status": answer.status_code, "body": answer.json(), "location": answer.headers.get("location")}
        return {**facts, "seconds": seconds, "at": SystemClock().now()}

    async def asked_for(self, approver: str) -> ApprovalRecord:
        """Wait for what the approver is sent, and show it."""
        with self.waiting("The approver is told"):
            mail = await self.mails.next(lambda mail: mail["To"] == approver and "needed" in mail["Subject"])
            message = await self.slack.next(lambda message: message["call"] == "chat.postMessage")
        known = {scenario.execution_id for scenario in self.scenarios}
        [approval] = [one for one in await self.runtime.approvals() if one.execution_id not in known]
        self.scenario.execution_id = approval.execution_id
        self.screen.print(mail_panel(mail), slack_panel(message))
        return approval

    async def link_in_mail(self, approver: str) -> str:
        mail = [one for one in self.mails.received if one["To"] == approver][-1]
        found = re.search(r"http://\S+/decide/\S+", said_in(mail))
        return found[0] if found else sys.exit("There is no link in the e-mail.")

    async def decided_by_rest(self, approval: ApprovalRecord, who: str, reason: str) -> None:
        async with self.client(who) as client:
            verdict = {"decision": "approve", "reason": reason}
            answer = await client.post(f"/api/v1/approvals/{approval.id}/verdicts", json=verdict)
        self.tell_verdict("REST", f'{who} approves by REST, "{reason}"', answer)

    async def decided_by_link(self, link: str, who: str, reason: str) -> None:
        """Opening the link shows the request; only the button decides, and only once."""
        async with httpx.AsyncClient(headers={"Origin": self.base_url}, timeout=30) as browser:
            page = await browser.get(link)
            self.say(
                "▹", f"{who} opens the link in the e-mail: {status_line(page.status_code)}, nothing is decided yet"
            )
            form = {"decision": "approve", "reason": reason}
            self.tell_verdict("e-mail", f'{who} presses Approve there, "{reason}"', await browser.post(link, data=form))
            again = await browser.post(link, data=form)
            self.say("▹", f"the same link once more: {status_line(again.status_code)}")

    async def decided_in_slack(self, approval: ApprovalRecord, who: str) -> None:
        body, headers = pressed_in_slack(SLACK_SECRET, "U0CFO", approval.id, SystemClock().now())
        async with httpx.AsyncClient(timeout=30) as slack:
            answer = await slack.post(f"{self.base_url}/slack/interactive", content=body, headers=headers)
        self.tell_verdict("Slack", f"{who} presses Approve in Slack", answer)

    def tell_verdict(self, way: str, words: str, answer: httpx.Response) -> None:
        if answer.is_success:
            self.scenario.decided_by = way
            self.say("✓", f"{words}: {status_line(answer.status_code)}, granted", "green")
            return
        self.say("✗", f"{words}: {status_line(answer.status_code)}, refused: {answer.json()['reason']}", "red")

    async def answered(self, calling: "asyncio.Task[Mapping[str, Any]]") -> None:
        with self.waiting("The client waits for its answer"):
            answer = self.scenario.answer = await calling
        self.say("◂", f"the client gets {status_line(answer['status'])} after {answer['seconds']:.2f} s", "cyan")
        body = JSON.from_data(answer["body"]).text
        body.no_wrap, body.overflow = False, "fold"
        self.screen.print(Padding(body, (0, 0, 0, 5), expand=False))

    async def buried(self, child: Process) -> None:
        with self.waiting("The worker is at work"):
            code = await child.wait()
        if code != -signal.SIGKILL:
            sys.exit(f"{self.name_of(child)} should have been killed, and has ended with {code}")
        self.scenario.killed = f"{self.roles[child.pid]} {child.pid}"
        self.say("✗", f"{self.name_of(child)} is killed: SIGKILL", "bold red")

    async def stands(self) -> None:
        """Say how far the transfer is, by the store and by the ledger."""
        handle = self.runtime.handle(self.scenario.execution_id)
        events, sent = await handle.events(), self.sent(handle.id)
        self.say("●", f"store: {await handle.status()} ({events[-1].type}), ledger: {len(sent)} ×", "yellow")

    async def finished(self) -> None:
        """Poll as the client was told to, until there is a result."""
        url, done = self.scenario.answer["location"], None
        async with self.client("treasury@company.com") as client:
            with self.waiting("The client polls"):
                while done is None:
                    await asyncio.sleep(0.1)
                    done = (await client.get(url)).json()["result"]
        words = f"the client polls, and gets {done['transaction_id']}: {money(done)} to {done['recipient']}"
        self.say("✓", f"{words}, {done['status']}", "bold green")
        await self.stands()

    def sent(self, execution_id: str) -> list[Entry]:
        return [entry for entry in entries_of(self.ledger) if entry["reference"] == execution_id]

    # What is printed

    def headline(self, title: str, subtitle: str) -> None:
        text = Text.assemble((title, "bold"), "\n", (subtitle, "dim"), justify="center")
        self.screen.print("", Panel(text, box=box.HEAVY, border_style="cyan"), "")

    def say(self, mark: str, words: str, style: str = "") -> None:
        line = Table.grid(padding=(0, 2))
        line.add_row("", Text(mark, style), Text(words))
        self.screen.print(line)

    def waiting(self, words: str) -> AbstractContextManager[object]:
        return self.screen.status(f"[dim]{words} ...") if self.screen.is_terminal else nullcontext()

    def name_of(self, child: Process) -> str:
        return f"{self.roles[child.pid]} (process {child.pid})"

    async def audit_trail(self) -> None:
        self.headline("AUDIT TRAIL", "Read back from the ledger and from the store.")
        handles = [self.runtime.handle(scenario.execution_id) for scenario in self.scenarios]
        journals = {f"{(await each.record()).name} {short(each.id)}": await each.events() for each in handles}
        self.screen.print(ledger_table([entry for each in handles for entry in self.sent(each.id)]))
        self.screen.print(governance_table(journals))
        self.screen.print(event_table(journals))

    async def comparison(self) -> None:
        self.headline("PATTERN COMPARISON", "Each figure was measured in this run.")
        columns = {
            one.title: await measured(self.runtime, one, self.sent(one.execution_id), self.roles)
            for one in self.scenarios
        }
        self.screen.print(comparison_table(columns))


async def line_of(child: Process, part: str) -> str:
    """The next line that the process prints in which that part stands."""
    while line := await child.stdout.readline() if child.stdout else b"":
        if part in line.decode():
            return line.decode()
    sys.exit(f"process {child.pid} has ended with {await child.wait()}, and was never ready")


async def stopped(child: Process) -> None:
    if child.returncode is None:
        child.terminate()
    await child.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@asynccontextmanager
async def opened(url: str, ledger: Path, screen: Console) -> AsyncIterator[Show]:
    """A show whose store is open, whose receivers listen, and whose people are known."""
    mails, slack = Tray[EmailMessage](), Tray[Mapping[str, Any]]()
    base_url = f"http://127.0.0.1:{free_port()}"
    # The show's own runtime tells nobody and drives nothing; it is there to look.
    async with (
        mail_server(mails) as port,
        slack_server(slack) as slack_url,
        Runtime(url, worker=False) as runtime,
        AsyncExitStack() as stack,
    ):
        surroundings = {
            **os.environ,
            "ASSENT_STORE": url,
            "ASSENT_BASE_URL": base_url,
            "BANK_LEDGER": str(ledger),
            "SMTP_PORT": str(port),
            "SLACK_URL": slack_url,
            "SLACK_SIGNING_SECRET": SLACK_SECRET,
        }
        show = Show(runtime, ledger, screen, mails, slack, surroundings, base_url, stack)
        await show.introduce()
        yield show


async def perform(url: str, ledger: Path, screen: Console) -> int:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(100), opened(url, ledger, screen) as show:
            await show.run()
            screen.print(f"\n  All in {time.perf_counter() - began:.1f} s.")
            return await verdict(show.runtime, ledger, screen)
    except TimeoutError:
        sys.exit("The show has not come to its end in time.")


async def check(url: str, ledger: Path, screen: Console) -> int:
    async with Runtime(url, worker=False) as runtime:
        return await verdict(runtime, ledger, screen)


async def interactive(url: str, ledger: Path, screen: Console) -> int:
    """Leave the server up with a transfer that waits, until the user has decided, and then until Ctrl-C."""
    async with opened(url, ledger, screen) as show:
        show.begin("Yours", "YOUR TURN", "A transfer waits for the CFO, and you are the CFO.")
        await show.started("server")
        calling = show.called("50000", "BigCorp Industries", "987-654-3210")
        await show.asked_for("cfo@company.com")
        await show.answered(calling)
        ticket = await add_ticket(show.runtime.open_store, show.runtime.clock, "cfo@company.com", expires="1h")
        show.say("▸", "sign in as cfo@company.com with this link, once:", "cyan")
        screen.print(f"     {show.base_url}{TICKETS}{ticket.secret}", soft_wrap=True)
        show.say("▸", "or open the link in the e-mail:", "cyan")
        screen.print(f"     {await show.link_in_mail('cfo@company.com')}", soft_wrap=True)
        with show.waiting("Decide in the browser, or leave with Ctrl-C"):
            outcome = await outcome_of(show)
        show.say(*outcome)
        await show.stands()
        show.say("▸", "the server stays up until Ctrl-C", "cyan")
        await asyncio.Event().wait()
    return 0


async def outcome_of(show: Show) -> tuple[str, str, str]:
    try:
        done = await show.runtime.handle(show.scenario.execution_id).result()
    except AssentError as error:
        return "✗", str(error), "bold red"
    return "✓", f"{done['transaction_id']}: {money(done)} to {done['recipient']}, {done['status']}", "bold green"


def main() -> int:
    parser = argparse.ArgumentParser(prog=APPLICATION.name, description="Wire transfers that outlive crashes.")
    parser.add_argument("task", nargs="?", default="show", choices=["show", "check"], help="default: show")
    parser.add_argument("--store", help="sqlite:///FILE, to be kept; the bank's ledger goes beside it")
    parser.add_argument("--interactive", action="store_true", help="leave the server up, and decide in the browser")
    given = parser.parse_args()
    screen = Console(highlight=False)
    screen.width = min(screen.width, 100) if screen.is_terminal else 100
    work = check if given.task == "check" else interactive if given.interactive else perform
    with tempfile.TemporaryDirectory() as folder:
        url = given.store or f"sqlite:///{folder}/transfers.db"
        ledger = Path(url.removeprefix("sqlite:///")).with_suffix(".ledger.jsonl")
        try:
            return asyncio.run(work(url, ledger, screen))
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())

"""The show of `financial_approval_system.py`: its processes at work, some of them killed, and what comes of it.

It knows nothing of the application but how to start it. What it prints comes from the store, from the bank's ledger,
and from its own watch. It fails if a transfer is missing or doubled, or an event is missing; `check` looks again at a
store that was kept.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.json import JSON
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from assent import ApprovalRecord, ApprovalRequest, Event, Runtime, Status

APPLICATION = Path(__file__).with_name("financial_approval_system.py")

Entry = Mapping[str, Any]
"""A line of the bank's ledger."""


@dataclass
class Scenario:
    """What was seen of it from outside; all else is read from the store and the ledger."""

    title: str
    execution_id: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    roles: dict[int, str] = field(default_factory=dict)  # of its processes, by their ids
    killed: int | None = None


@dataclass
class Show:
    runtime: Runtime
    ledger: Path
    screen: Console
    scenarios: list[Scenario] = field(default_factory=list)

    @property
    def scenario(self) -> Scenario:
        return self.scenarios[-1]

    async def run(self) -> None:
        await self.small_transfer()
        await self.large_transfer()
        await self.interrupted_transfer()
        await self.audit_trail()
        await self.comparison()

    async def small_transfer(self) -> None:
        self.begin("Small", "SCENARIO 1: SMALL TRANSFER", "The caller waits, and gets its result.")
        async with self.process("client", "5000", "Acme Corp", "123-456-7890") as caller:
            approval = await self.asked_for(caller)
            with self.waiting("The manager reads it"):
                await asyncio.sleep(2)
            await self.decided(approval, "manager@company.com", "within my limit")
            await self.answered(caller)
        await self.stands()

    async def large_transfer(self) -> None:
        self.begin("Large", "SCENARIO 2: LARGE TRANSFER", "The caller gets 202, the worker is killed, nothing is lost.")
        async with self.process("worker") as first:
            await line_of(first)
            async with self.process("client", "50000", "BigCorp Industries", "987-654-3210") as caller:
                approval = await self.asked_for(caller)
                await self.answered(caller)
            first.kill()
            await self.buried(first)
        await self.decided(approval, "intern@company.com", "looks fine to me")
        await self.decided(approval, "cfo@company.com", "invoice 4711 checked")
        await self.stands()
        await self.finished_by_another_worker()

    async def interrupted_transfer(self) -> None:
        self.begin(
            "Interrupted", "SCENARIO 3: INTERRUPTED TRANSFER", "Killed when the money has left, before it is noted."
        )
        async with self.process("client", "75000", "Globex Ltd", "555-010-9999") as caller:
            approval = await self.asked_for(caller)
            await self.answered(caller)
        await self.decided(approval, "cfo@company.com", "second instalment")
        async with self.process("worker", KILLED_AFTER_TRANSFER="1") as first:
            await self.buried(first)
        await self.stands()
        await self.finished_by_another_worker()

    # What happens in a scenario

    def begin(self, title: str, headline: str, subtitle: str) -> None:
        self.scenarios.append(Scenario(title))
        self.headline(headline, subtitle)

    @asynccontextmanager
    async def process(self, role: str, *arguments: str, **settings: str) -> AsyncIterator[Process]:
        """A process of the application. A worker is asked to stop at the end, the others end by themselves."""
        environment = {**os.environ, "ASSENT_STORE": self.runtime.url, "BANK_LEDGER": str(self.ledger), **settings}
        command = (sys.executable, str(APPLICATION), role, *arguments)
        child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env=environment)
        self.scenario.roles[child.pid] = role
        if role != "approver":
            self.say("▸", f"{self.name_of(child)} starts", "cyan")
        try:
            yield child
            if role != "worker":
                await child.wait()
        finally:
            if child.returncode is None:
                child.terminate()
            await child.wait()

    async def asked_for(self, caller: Process) -> ApprovalRecord:
        """Wait for the approval that the transfer needs, and show it as the approver gets it."""
        known = {scenario.execution_id for scenario in self.scenarios}
        while True:
            has_ended = caller.returncode is not None
            for approval in await self.runtime.approvals():
                if approval.execution_id not in known:
                    self.scenario.execution_id = approval.execution_id
                    self.screen.print(request_panel(approval))
                    return approval
            if has_ended:
                sys.exit(f"{self.name_of(caller)} has ended with {caller.returncode}, and nobody was asked")
            await asyncio.sleep(0.02)

    async def decided(self, approval: ApprovalRecord, who: str, reason: str) -> None:
        async with self.process("approver", who, approval.id, reason) as clicking:
            verdict = await line_of(clicking)
        mark, style = ("✗", "red") if verdict["status"] == "refused" else ("✓", "green")
        words = f'{who} approves in process {clicking.pid}, "{reason}": {verdict["status"]}'
        self.say(mark, words + "".join(f", {why}" for why in verdict["because"]), style)

    async def answered(self, caller: Process) -> None:
        with self.waiting("The client waits for its answer"):
            answer = self.scenario.answer = await line_of(caller)
        self.say("◂", f"{self.name_of(caller)} gets {status_line(answer)} after {answer['seconds']:.2f} s", "cyan")
        self.screen.print(Padding(JSON.from_data(answer["body"]), (0, 0, 0, 5), expand=False))

    async def buried(self, worker: Process) -> None:
        with self.waiting("The worker is at work"):
            code = await worker.wait()
        if code != -signal.SIGKILL:
            sys.exit(f"{self.name_of(worker)} should have been killed, and has ended with {code}")
        self.scenario.killed = worker.pid
        self.say("✗", f"{self.name_of(worker)} is killed: SIGKILL", "bold red")

    async def stands(self) -> None:
        """Say how far the transfer is, by the store and by the ledger."""
        handle = self.runtime.handle(self.scenario.execution_id)
        events, sent = await handle.events(), self.sent(handle.id)
        self.say("●", f"store: {await handle.status()} ({events[-1].type}), ledger: {len(sent)} ×", "yellow")

    async def finished_by_another_worker(self) -> None:
        async with self.process("worker"):
            with self.waiting("The worker takes over"):
                done = await self.runtime.handle(self.scenario.execution_id).result(timeout=15)
        words = f"{done['transaction_id']}: {money(done)} to {done['recipient']}, {done['status']}"
        self.say("✓", words, "bold green")
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
        return f"{self.scenario.roles[child.pid]} (process {child.pid})"

    async def audit_trail(self) -> None:
        self.headline("AUDIT TRAIL", "Read back from the ledger and from the store.")
        handles = [self.runtime.handle(scenario.execution_id) for scenario in self.scenarios]
        journals = {f"{(await each.record()).name} {short(each.id)}": await each.events() for each in handles}
        self.screen.print(ledger_table([entry for each in handles for entry in self.sent(each.id)]))
        self.screen.print(governance_table(journals))
        self.screen.print(event_table(journals))

    async def comparison(self) -> None:
        self.headline("PATTERN COMPARISON", "Each figure was measured in this run.")
        columns = [await self.measured(scenario) for scenario in self.scenarios]
        titles = [scenario.title for scenario in self.scenarios]
        table = Table("", *titles, box=box.ROUNDED, border_style="dim", expand=True)
        for fact in columns[0]:
            table.add_row(Text(fact, "dim"), *(column[fact] for column in columns))
        self.screen.print(table)

    async def measured(self, scenario: Scenario) -> dict[str, str]:
        """The facts of one scenario, by what they are called."""
        [approval] = await self.runtime.approvals("granted", scenario.execution_id)
        request = ApprovalRequest.from_text(approval.request)
        answer, sent = scenario.answer, self.sent(scenario.execution_id)
        end = (await self.runtime.handle(scenario.execution_id).events())[-1]
        decided = approval.decided_at or 0.0
        late = decided - answer["at"]
        return {
            "Amount": money(sent[0]),
            "Approver": ", ".join(request.approvers),
            "Caller waits up to": f"{request.timeout_seconds:g} s",
            "Answer": status_line(answer),
            "Response time": f"{answer['seconds']:.2f} s",
            "Decision": f"{abs(late):.2f} s {'after' if late > 0 else 'before'} answer",
            "Decision to end": f"{end.at - decided:.2f} s",
            "Sent by": f"{scenario.roles.get(sent[0]['sent_by'])} {sent[0]['sent_by']}",
            "Killed": f"worker {scenario.killed}" if scenario.killed else "nobody",
            "Ended as": end.type.rpartition(".")[2],
            "In the ledger": f"{len(sent)} ×",
        }


async def line_of(child: Process) -> Any:
    """What the process tells next."""
    line = await child.stdout.readline() if child.stdout else b""
    if not line:
        sys.exit(f"process {child.pid} has ended with {await child.wait()}, and told nothing")
    return json.loads(line)


def entries_of(ledger: Path) -> list[Entry]:
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []
    return [json.loads(line) for line in lines]


def money(entry: Entry) -> str:
    return f"${Decimal(entry['amount']):,.2f}"


def status_line(answer: Mapping[str, Any]) -> str:
    return f"{answer['status']} {HTTPStatus(answer['status']).phrase}"


def short(id: str) -> str:
    return f"…{id[-6:]}"


def local(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone()


def request_panel(approval: ApprovalRecord) -> Panel:
    """The request as it stands in the store, its secrets blanked out."""
    request = ApprovalRequest.from_text(approval.request)
    facts = {
        "To": ", ".join(request.approvers),
        "Asked by": request.requester or "nobody known",
        "Action": request.action,
        **{f"  {name}": str(value) for name, value in request.arguments.items()},
        "Approval": approval.id,
        "Open until": f"{local(approval.expires_at or 0):%Y-%m-%d %H:%M:%S}",
        "Caller waits": f"{request.timeout_seconds:g} s",
    }
    lines = Table.grid(padding=(0, 2))
    for name, fact in facts.items():
        lines.add_row(Text(name, "dim"), Text(fact, "bold" if name == "To" else ""))
    return Panel(lines, title="[bold]APPROVAL REQUEST", title_align="left", border_style="yellow", padding=(0, 2))


def table_of(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column == "AMOUNT" else "left", no_wrap=True)
    return table


def ledger_table(entries: Sequence[Entry]) -> Table:
    title = f"Transaction ledger: {len(entries)} transfers"
    table = table_of(title, "TRANSFER", "AMOUNT", "RECIPIENT", "STATUS", "SENT BY")
    for entry in entries:
        sender = f"process {entry['sent_by']}"
        table.add_row(entry["transaction_id"], money(entry), entry["recipient"], entry["status"], sender)
    return table


def governance_table(journals: Mapping[str, Sequence[Event]]) -> Table:
    title = f"Governance log: {len(journals)} executions"
    table = table_of(title, "EXECUTION", "VERDICT", "BY", "REASON", "THEN")
    for name, journal in journals.items():
        for event in journal:
            if event.type in {"policy.approval.granted", "policy.approval.refused"}:
                verdict, said = json.loads(event.value or "{}"), event.type.rpartition(".")[2]
                then = "" if said == "refused" else journal[-1].type.rpartition(".")[2]
                table.add_row(name, said, verdict["approver"], verdict["reason"], then)
    return table


def event_table(journals: Mapping[str, Sequence[Event]]) -> Table:
    """The events of executions and policies; those of steps, timers and signals are only counted."""
    count = sum(len(journal) for journal in journals.values())
    table = table_of(f"Event log: {count} events", "TIME", "EXECUTION", "EVENT", "OF")
    for journal in journals.values():
        for event in journal:
            if event.type.partition(".")[0] not in {"step", "timer", "signal"}:
                at = f"{local(event.at):%H:%M:%S.%f}"[:-3]
                table.add_row(Text(at, "dim"), short(event.execution_id), event.type, Text(detail_of(event), "dim"))
        table.add_section()
    table.caption = f"... and {count - table.row_count} events of steps, timers and signals"
    return table


def detail_of(event: Event) -> str:
    facts = json.loads(event.value or "null")
    match event.type:
        case "policy.approval.requested":
            return ", ".join(facts["approvers"])
        case "policy.approval.granted" | "policy.approval.refused":
            return str(facts["approver"])
        case _:
            return event.name or ""


# The check: what the store says against what the bank says

MUST_HAPPEN = (
    "execution.started",
    "policy.validation.passed",
    "policy.approval.requested",
    "execution.state.captured",
    "execution.suspended",
    "policy.approval.granted",
    "permit.issued",
    "permit.consumed",
    "step.started",
    "step.completed",
    "audit.logged",
    "execution.completed",
)


async def faults(runtime: Runtime, entries: Sequence[Entry]) -> list[str]:
    """What is wrong with the transfers in the store and in the ledger; nothing, if all is well."""
    executions = [record.id for record in await runtime.executions(limit=1000)]
    foreign = [entry for entry in entries if entry["reference"] not in executions]
    found = [f"{entry['transaction_id']} is in the ledger, and no execution knows of it" for entry in foreign]
    for each in executions:
        found += await faults_of(runtime, each, [entry for entry in entries if entry["reference"] == each])
    return found


async def faults_of(runtime: Runtime, execution_id: str, sent: Sequence[Entry]) -> list[str]:
    handle = runtime.handle(execution_id)
    if await handle.status() is not Status.COMPLETED:
        return [f"execution {execution_id} is {await handle.status()}"]
    happened = {event.type for event in await handle.events()}
    found = [f"execution {execution_id} lacks the event {name}" for name in MUST_HAPPEN if name not in happened]
    done = await handle.result()
    if len(sent) != 1:
        found.append(f"{done['transaction_id']} of execution {execution_id} is in the ledger {len(sent)} times")
    differing = [entry for entry in sent if not done.items() <= entry.items()]
    return [*found, *(f"execution {execution_id} knows {done}, and the ledger {entry}" for entry in differing)]


async def verdict(runtime: Runtime, ledger: Path, screen: Console) -> int:
    """Say whether each transfer has happened exactly once, as an exit code too."""
    entries = entries_of(ledger)
    found = await faults(runtime, entries)
    for fault in found:
        screen.print(Text(f"  ✗  {fault}", "bold red"))
    if not found:
        screen.print(Text(f"  ✓  {len(entries)} transfers, each of them once. No event is missing.", "bold green"))
    return 1 if found else 0


async def serve(task: str, url: str, ledger: Path) -> int:
    screen = Console(highlight=False)
    screen.width = min(screen.width, 100) if screen.is_terminal else 100
    began = time.perf_counter()
    try:
        async with Runtime(url, worker=False) as runtime, asyncio.timeout(60):
            if task == "show":
                await Show(runtime, ledger, screen).run()
                screen.print(f"\n  All in {time.perf_counter() - began:.1f} s.")
            return await verdict(runtime, ledger, screen)
    except TimeoutError:
        sys.exit("The show has not come to its end within a minute.")


def main() -> int:
    parser = argparse.ArgumentParser(prog=APPLICATION.name, description="Wire transfers that outlive crashes.")
    parser.add_argument("task", nargs="?", default="show", choices=["show", "check"], help="default: show")
    parser.add_argument("--store", help="sqlite:///FILE, to be kept; the bank's ledger goes beside it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.store or f"sqlite:///{folder}/transfers.db"
        ledger = Path(url.removeprefix("sqlite:///")).with_suffix(".ledger.jsonl")
        try:
            return asyncio.run(serve(given.task, url, ledger))
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())

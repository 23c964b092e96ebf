"""Wire transfers that need a person's consent, outlive `kill -9`, and happen exactly once.

    python examples/financial_approval_system.py                                  the show, on a store that it removes
    python examples/financial_approval_system.py --store sqlite:///transfers.db   the show, on a store to look into
    python examples/financial_approval_system.py check --store sqlite:///transfers.db

First comes the application: a bank and two governed functions. Then what each process does: client, approver, worker.
Then the show, which starts them as real processes, kills some, and prints what the store and the bank's ledger say. It
fails if a transfer is missing or doubled, or an event is missing.
"""

import argparse
import asyncio
import fcntl
import json
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
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

from assent import (
    NOT_DONE,
    Action,
    ApprovalPending,
    ApprovalPolicy,
    AuditPolicy,
    Event,
    Principal,
    Runtime,
    Status,
    SystemClock,
    ValidationPolicy,
    VerdictRefused,
    WorkerSettings,
    acting_as,
    execution,
    govern,
    idempotency_key,
)
from assent.store import ApprovalRecord

# The application


@dataclass(frozen=True)
class Transfer:
    transaction_id: str
    amount: Decimal
    recipient: str
    status: str = "completed"


@dataclass(frozen=True)
class Bank:
    """The outside world: a file with a line for each transfer, on disk before `send` returns.

    It does not mind being told twice, so a doubled transfer would show.
    """

    ledger: Path

    def send(self, key: str, reference: str, amount: Decimal, recipient: str, account_number: str) -> Transfer:
        with self.ledger.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            transfer = Transfer(f"TXN-{len(file.readlines()) + 1:04}", amount, recipient)
            origin = {"key": key, "reference": reference, "account_number": account_number, "sent_by": os.getpid()}
            file.write(json.dumps({**origin, **asdict(transfer)}, default=str) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if "KILLED_AFTER_TRANSFER" in os.environ:  # the worst moment: the money has left, and nobody has noted it
            os.kill(os.getpid(), signal.SIGKILL)
        return transfer

    def entries(self) -> list[dict[str, Any]]:
        lines = self.ledger.read_text(encoding="utf-8").splitlines() if self.ledger.exists() else []
        return [json.loads(line) for line in lines]

    def find(self, key: str | None) -> Transfer | None:
        for entry in self.entries():
            if entry["key"] == key:
                return Transfer(entry["transaction_id"], Decimal(entry["amount"]), entry["recipient"])
        return None


def bank() -> Bank:
    return Bank(Path(os.environ["BANK_LEDGER"]))


async def send(amount: Decimal, recipient: str, account_number: str) -> Transfer:
    return await asyncio.to_thread(bank().send, idempotency_key(), execution().id, amount, recipient, account_number)


async def find_transfer(action: Action) -> object:
    """Asked after a crash in the middle of a transfer: has the money left?"""
    return bank().find(action.idempotency_key) or NOT_DONE


@govern(
    policies=[
        ValidationPolicy(check=lambda action: 0 < action.amount < 10_000),
        ApprovalPolicy(approvers=["manager@company.com"], timeout_seconds=30),
        AuditPolicy(tags=["sox"], sensitive=["account_number"]),
    ],
    verify=find_transfer,
)
async def quick_wire_transfer(amount: Decimal, recipient: str, account_number: str) -> Transfer:
    return await send(amount, recipient, account_number)


@govern(
    policies=[
        ValidationPolicy(check=lambda action: action.amount >= 10_000),
        ApprovalPolicy(approvers=["cfo@company.com"], timeout_seconds=0.8, expires="24h"),
        AuditPolicy(tags=["sox"], sensitive=["account_number"]),
    ],
    verify=find_transfer,
)
async def large_wire_transfer(amount: Decimal, recipient: str, account_number: str) -> Transfer:
    return await send(amount, recipient, account_number)


# What each process does


async def client(amount: str, recipient: str, account_number: str) -> None:
    """What a web handler does: call the function, and answer with what comes of it."""
    transfer = quick_wire_transfer if Decimal(amount) < 10_000 else large_wire_transfer
    async with Runtime(os.environ["ASSENT_STORE"], worker=False):
        began = time.perf_counter()
        with acting_as(Principal("treasury@company.com")):
            try:
                status, body = 200, asdict(await transfer(Decimal(amount), recipient, account_number))
            except ApprovalPending as pending:
                status = pending.http_status
                body = {
                    "status": "awaiting_approval",
                    "execution_id": pending.execution_id,
                    "poll_url": pending.poll_url,
                }
        tell(status=status, body=body, seconds=time.perf_counter() - began, at=SystemClock().now())


async def approver(who: str, approval_id: str, reason: str) -> None:
    """What stands behind the link in an e-mail."""
    async with Runtime(os.environ["ASSENT_STORE"], worker=False) as runtime:
        try:
            approval = await runtime.decide(approval_id, approver=who, decision="approve", reason=reason)
            tell(status=approval.status, reason=reason)
        except VerdictRefused as refused:
            tell(status="refused", reason=refused.reason)


async def worker() -> None:
    """Finishes what others have started, until it is told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    # So short a lease lets the next worker take over from a dead one within about a second.
    async with Runtime(os.environ["ASSENT_STORE"], settings=WorkerSettings(lease=1)):
        tell(status="ready")
        await stop.wait()


def tell(**facts: Any) -> None:
    print(json.dumps(facts, default=str), flush=True)


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


async def faults(runtime: Runtime) -> list[str]:
    """What is wrong with the transfers in the store and in the ledger; nothing, if all is well."""
    sent: dict[str, list[Transfer]] = defaultdict(list)
    for entry in bank().entries():
        done = Transfer(entry["transaction_id"], Decimal(entry["amount"]), entry["recipient"])
        sent[entry["reference"]].append(done)
    found: list[str] = []
    for record in await runtime.executions(limit=1000):
        found += await faults_of(runtime, record.id, sent.pop(record.id, []))
    return [
        *found,
        *(f"{done} is in the ledger, and no execution knows of it" for each in sent.values() for done in each),
    ]


async def faults_of(runtime: Runtime, execution_id: str, sent: Sequence[Transfer]) -> list[str]:
    handle = runtime.handle(execution_id)
    if await handle.status() is not Status.COMPLETED:
        return [f"execution {execution_id} is {await handle.status()}"]
    happened = {event.type for event in await handle.events()}
    found = [f"execution {execution_id} lacks the event {name}" for name in MUST_HAPPEN if name not in happened]
    done = await handle.result()
    if sent != [done]:
        found.append(f"{done} of execution {execution_id} is in the ledger {len(sent)} times: {list(sent)}")
    return found


# The show


@dataclass
class Scenario:
    """What was seen of it from outside; all else is read from the store and the ledger."""

    title: str
    execution_id: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    roles: dict[int, str] = field(default_factory=dict)  # by process id
    killed: int | None = None


@dataclass
class Show:
    runtime: Runtime
    screen: Console
    scenarios: list[Scenario] = field(default_factory=list)

    @property
    def scenario(self) -> Scenario:
        return self.scenarios[-1]

    async def small_transfer(self) -> None:
        self.begin("Small", "SCENARIO 1: SMALL TRANSFER", "The caller waits, and gets its result.")
        async with self.process("client", "5000", "Acme Corp", "123-456-7890") as caller:
            approval = await self.requested()
            with self.waiting("The manager reads it"):
                await asyncio.sleep(2)
            await self.decided(approval, "manager@company.com", "within my limit")
            await self.answered(caller)

    async def large_transfer(self) -> None:
        self.begin("Large", "SCENARIO 2: LARGE TRANSFER", "The caller is told to come back. Then the worker is killed.")
        async with self.process("worker") as first:
            await line_of(first)
            async with self.process("client", "50000", "BigCorp Industries", "987-654-3210") as caller:
                approval = await self.requested()
                await self.answered(caller)
            first.kill()
            await self.buried(first)
        await self.decided(approval, "intern@company.com", "looks fine to me")
        await self.decided(approval, "cfo@company.com", "invoice 4711 checked")
        await self.stands()
        await self.finished_by_another_worker()

    async def interrupted_transfer(self) -> None:
        self.begin(
            "Large, interrupted",
            "SCENARIO 3: INTERRUPTED",
            "The money leaves, and the worker dies before it can note it.",
        )
        async with self.process("client", "75000", "Globex Ltd", "555-010-9999") as caller:
            approval = await self.requested()
            await self.answered(caller)
        await self.decided(approval, "cfo@company.com", "second instalment")
        async with self.process("worker", KILLED_AFTER_TRANSFER="1") as first:
            await self.buried(first)
        await self.stands()
        await self.finished_by_another_worker()

    # What happens in it

    def begin(self, title: str, headline: str, subtitle: str) -> None:
        self.scenarios.append(Scenario(title))
        self.headline(headline, subtitle)

    @asynccontextmanager
    async def process(self, role: str, *arguments: str, **environment: str) -> AsyncIterator[Process]:
        """This file once more, as another process."""
        command, environment = (sys.executable, __file__, role, *arguments), {**os.environ, **environment}
        child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env=environment)
        self.scenario.roles[child.pid] = role
        if role != "approver":
            self.say("▸", f"{self.name_of(child.pid)} starts", "cyan")
        try:
            yield child
        finally:
            if child.returncode is None:
                child.terminate()
            await child.wait()

    async def requested(self) -> ApprovalRecord:
        """Wait for the approval that the transfer needs, and show it as the approver gets it."""
        known = {scenario.execution_id for scenario in self.scenarios}
        with self.waiting("The policies are asked"):
            while not (found := [one for one in await self.runtime.approvals() if one.execution_id not in known]):
                await asyncio.sleep(0.02)
        self.scenario.execution_id = found[0].execution_id
        self.screen.print(request_panel(found[0]))
        return found[0]

    async def decided(self, approval: ApprovalRecord, who: str, reason: str) -> None:
        async with self.process("approver", who, approval.id, reason) as clicking:
            verdict = await line_of(clicking)
        refused = verdict["status"] == "refused"
        words = f"{who} approves ({self.name_of(clicking.pid)}): {verdict['status']}. {verdict['reason']}"
        self.say("✗" if refused else "✓", words, "red" if refused else "green")

    async def answered(self, caller: Process) -> None:
        with self.waiting("The client waits for its answer"):
            answer = self.scenario.answer = await line_of(caller)
        self.say("◂", f"{self.name_of(caller.pid)} gets {status_line(answer)} after {answer['seconds']:.2f} s", "cyan")
        self.screen.print(Padding(JSON.from_data(answer["body"]), (0, 0, 0, 5), expand=False))

    async def buried(self, worker: Process) -> None:
        with self.waiting("The worker is at work"):
            code = await worker.wait()
        self.scenario.killed = worker.pid
        self.say("✗", f"{self.name_of(worker.pid)} is dead: {signal.Signals(-code).name}", "bold red")

    async def stands(self) -> None:
        """Say how far the transfer is, by the store and by the ledger."""
        handle = self.runtime.handle(self.scenario.execution_id)
        last = (await handle.events())[-1].type
        sent = len(sent_for(handle.id))
        self.say("●", f"Store: {await handle.status()}, last event {last}. Ledger: sent {sent} times.", "yellow")

    async def finished_by_another_worker(self) -> None:
        async with self.process("worker"):
            with self.waiting("The worker takes over"):
                done: Transfer = await self.runtime.handle(self.scenario.execution_id).result(timeout=15)
        self.say("✓", f"{done.transaction_id}: ${done.amount:,.2f} to {done.recipient}, {done.status}", "bold green")
        await self.stands()

    def name_of(self, pid: int) -> str:
        return f"{self.scenario.roles[pid]}, process {pid}"

    # What is printed

    def headline(self, title: str, subtitle: str) -> None:
        text = Text.assemble((title, "bold"), "\n", (subtitle, "dim"), justify="center")
        self.screen.print("", Panel(text, box=box.HEAVY, border_style="cyan", padding=(1, 2)), "")

    def say(self, mark: str, words: str, style: str = "") -> None:
        line = Table.grid(padding=(0, 2))
        line.add_row("", Text(mark, style), Text(words))
        self.screen.print(line)

    def waiting(self, words: str) -> AbstractContextManager[object]:
        return self.screen.status(f"[dim]{words} ...") if self.screen.is_terminal else nullcontext()

    async def audit_trail(self) -> None:
        self.headline("AUDIT TRAIL", "Read back from the ledger and from the store.")
        ids = [scenario.execution_id for scenario in self.scenarios]
        self.screen.print(ledger_table([entry for id in ids for entry in sent_for(id)]), "")
        journals = [await self.runtime.handle(id).events() for id in ids]
        names = {id: (await self.runtime.handle(id).record()).name for id in ids}
        self.screen.print(governance_table(journals, names), "")
        self.screen.print(event_table(journals))

    async def comparison(self) -> None:
        self.headline("PATTERN COMPARISON", "Each figure was measured in this run.")
        columns = [await self.measured(scenario) for scenario in self.scenarios]
        table = Table("", *(scenario.title for scenario in self.scenarios), box=box.ROUNDED, border_style="dim")
        for fact in columns[0]:
            table.add_row(Text(fact, "dim"), *(column[fact] for column in columns))
        self.screen.print(table)

    async def measured(self, scenario: Scenario) -> dict[str, str]:
        """The facts of one scenario, by what they are called."""
        [approval] = await self.runtime.approvals("granted", scenario.execution_id)
        request, answer, sent = json.loads(approval.request), scenario.answer, sent_for(scenario.execution_id)
        end = (await self.runtime.handle(scenario.execution_id).events())[-1]
        decided = approval.decided_at or 0.0
        late = decided - answer["at"]
        return {
            "Amount": f"${Decimal(sent[0]['amount']):,.2f}",
            "Approver": ", ".join(request["approvers"]),
            "Caller waits at most": f"{request['timeout_seconds']:g} s",
            "Answer": status_line(answer),
            "Response time": f"{answer['seconds']:.2f} s",
            "Decided": f"{abs(late):.2f} s {'after' if late > 0 else 'before'} the answer",
            "Decision to completion": f"{end.at - decided:.2f} s",
            "Sent by": f"{scenario.roles.get(sent[0]['sent_by'])} {sent[0]['sent_by']}",
            "Killed": f"worker {scenario.killed}" if scenario.killed else "nobody",
            "Ended as": end.type,
            "In the ledger": f"{len(sent)} ×",
        }


async def line_of(child: Process) -> Any:
    """What the process tells next."""
    line = await child.stdout.readline() if child.stdout else b""
    if not line:
        raise RuntimeError(f"process {child.pid} has ended with {await child.wait()} and told nothing")
    return json.loads(line)


def sent_for(execution_id: str) -> list[dict[str, Any]]:
    return [entry for entry in bank().entries() if entry["reference"] == execution_id]


def status_line(answer: Mapping[str, Any]) -> str:
    return f"{answer['status']} {HTTPStatus(answer['status']).phrase}"


def request_panel(approval: ApprovalRecord) -> Panel:
    """The request as it stands in the store, its secrets blanked out."""
    request = json.loads(approval.request)
    until = datetime.fromtimestamp(approval.expires_at or 0)
    facts = {
        "To": Text(", ".join(request["approvers"]), "bold"),
        "Asked by": request["requester"],
        "Action": request["action"],
        **{f"  {name}": str(value) for name, value in request["arguments"].items()},
        "Open until": f"{until:%Y-%m-%d %H:%M:%S}, the caller waits {request['timeout_seconds']:g} s",
        "Approval": approval.id,
    }
    lines = Table.grid(padding=(0, 2))
    for name, fact in facts.items():
        lines.add_row(Text(name, "dim"), fact if isinstance(fact, Text) else Text(fact))
    return Panel(lines, title="[bold]APPROVAL REQUEST", title_align="left", border_style="yellow", padding=(0, 2))


def table_of(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column == "AMOUNT" else "left", no_wrap=True)
    return table


def ledger_table(entries: Sequence[Mapping[str, Any]]) -> Table:
    table = table_of(
        f"Transaction ledger: {len(entries)} transfers", "TRANSFER", "AMOUNT", "RECIPIENT", "STATUS", "SENT BY"
    )
    for entry in entries:
        amount, sender = f"${Decimal(entry['amount']):,.2f}", f"process {entry['sent_by']}"
        table.add_row(entry["transaction_id"], amount, entry["recipient"], entry["status"], sender)
    return table


def governance_table(journals: Sequence[Sequence[Event]], names: Mapping[str, str]) -> Table:
    table = table_of(
        f"Governance log: {len(journals)} executions", "EXECUTION", "FUNCTION", "VERDICT", "BY", "REASON", "ENDED AS"
    )
    for journal in journals:
        for event in journal:
            if event.type in {"policy.approval.granted", "policy.approval.refused"}:
                verdict, said = json.loads(event.value or "{}"), event.type.rpartition(".")[2]
                ending = "" if said == "refused" else journal[-1].type.rpartition(".")[2]
                cells = (
                    short(event.execution_id),
                    names[event.execution_id],
                    said,
                    verdict["approver"],
                    verdict["reason"],
                )
                table.add_row(*cells, ending, style="red" if said == "refused" else "")
    return table


def event_table(journals: Sequence[Sequence[Event]]) -> Table:
    """The events of executions and policies; those of steps, timers and signals are only counted."""
    count = sum(len(journal) for journal in journals)
    table = table_of(f"Event log: {count} events", "TIME", "EXECUTION", "EVENT", "OF")
    for journal in journals:
        for event in journal:
            if event.type.partition(".")[0] in {"execution", "policy", "permit", "audit"}:
                at = f"{datetime.fromtimestamp(event.at):%H:%M:%S.%f}"[:-3]
                table.add_row(Text(at, "dim"), Text(short(event.execution_id), "dim"), event.type, event.name or "")
        table.add_section()
    table.caption = f"... and {count - table.row_count} events of steps, timers and signals"
    return table


def short(id: str) -> str:
    return f"…{id[-8:]}"


async def show() -> int:
    screen = screen_of()
    began = time.perf_counter()
    async with Runtime(os.environ["ASSENT_STORE"], worker=False) as runtime, asyncio.timeout(60):
        show = Show(runtime, screen)
        await show.small_transfer()
        await show.large_transfer()
        await show.interrupted_transfer()
        await show.audit_trail()
        await show.comparison()
        screen.print(f"\n  All of it took {time.perf_counter() - began:.1f} s.")
        return await verdict(runtime, screen)


async def check() -> int:
    async with Runtime(os.environ["ASSENT_STORE"], worker=False) as runtime:
        return await verdict(runtime, screen_of())


async def verdict(runtime: Runtime, screen: Console) -> int:
    """Say whether each transfer has happened exactly once, as an exit code too."""
    found = await faults(runtime)
    for fault in found:
        screen.print(Text(f"  ✗ {fault}", "bold red"))
    if not found:
        count = len(bank().entries())
        screen.print(Text(f"  ✓ {count} transfers, each of them once. No event is missing.", "bold green"))
    return 1 if found else 0


def screen_of() -> Console:
    """At most 100 columns, also in a pipe."""
    screen = Console(highlight=False)
    screen.width = min(screen.width, 100) if screen.is_terminal else 100
    return screen


ROLES: dict[str, Callable[..., Coroutine[Any, Any, int | None]]] = {
    "show": show,
    "check": check,
    "client": client,
    "approver": approver,
    "worker": worker,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", nargs="?", default="show", choices=ROLES, help="what this process does (default: show)")
    parser.add_argument("arguments", nargs="*", help="of a client or an approver")
    parser.add_argument("--store", default=os.environ.get("ASSENT_STORE"), help="sqlite:///FILE, kept at the end")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ["ASSENT_STORE"] = given.store or f"sqlite:///{folder}/transfers.db"
        os.environ["BANK_LEDGER"] = str(Path(url.removeprefix("sqlite:///")).with_suffix(".ledger.jsonl"))
        try:
            return asyncio.run(ROLES[given.role](*given.arguments)) or 0
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())

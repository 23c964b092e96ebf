"""What the show of `financial_approval_system.py` reports: messages as they came, tables, and the check of it all."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.message import EmailMessage
from http import HTTPStatus
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from assent import ApprovalRequest, Event, Runtime, Status

Entry = Mapping[str, Any]
"""A line of the bank's ledger."""


def entries_of(ledger: Path) -> list[Entry]:
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []
    return [json.loads(line) for line in lines]


def money(entry: Entry) -> str:
    return f"${Decimal(entry['amount']):,.2f}"


def status_line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def short(id: str) -> str:
    return f"…{id[-6:]}"


def local(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone()


@dataclass
class Scenario:
    """What was seen of it from outside; all else is read from the store and the ledger."""

    title: str
    execution_id: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    decided_by: str = ""
    killed: str = ""


# Messages, as they came


def said_in(mail: EmailMessage) -> str:
    """The text of an e-mail."""
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body else ""


def mail_panel(mail: EmailMessage) -> Panel:
    # The link decides for whoever has it, so it is not printed whole.
    text = Text(re.sub(r"(/decide/\S{12})\S+", r"\1…", said_in(mail)).strip())
    return message_panel("E-MAIL", mail["To"], text, "yellow")


def slack_panel(message: Mapping[str, Any]) -> Panel:
    elements = [each for block in message.get("blocks", []) for each in block.get("elements", [])]
    buttons = [f"[ {each['text']['text']} ]" for each in elements if each["type"] == "button"]
    text = Text(f"{message['text']}\n\n").append("   ".join(buttons), "bold")
    return message_panel("SLACK", message["channel"], text, "magenta")


def message_panel(kind: str, to: str, text: Text, colour: str) -> Panel:
    title = Text.assemble((kind, "bold"), f" to {to}")
    return Panel(text, title=title, title_align="left", border_style=colour, padding=(0, 2))


# Tables


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


async def measured(
    runtime: Runtime, scenario: Scenario, sent: Sequence[Entry], roles: Mapping[int, str]
) -> dict[str, str]:
    """The facts of one scenario, by what they are called. `roles` are those of the processes, by their ids."""
    [approval] = await runtime.approvals("granted", scenario.execution_id)
    request = ApprovalRequest.from_text(approval.request)
    answer, sender = scenario.answer, sent[0]["sent_by"]
    end = (await runtime.handle(scenario.execution_id).events())[-1]
    decided = approval.decided_at or 0.0
    late = decided - answer["at"]
    return {
        "Amount": money(sent[0]),
        "Approver": ", ".join(request.approvers),
        "Caller waits up to": f"{request.timeout_seconds:g} s",
        "Answer": status_line(answer["status"]),
        "Response time": f"{answer['seconds']:.2f} s",
        "Decision": f"{abs(late):.2f} s {'after' if late > 0 else 'before'} answer",
        "Decision to end": f"{end.at - decided:.2f} s",
        "Decided by": scenario.decided_by,
        "Sent by": f"{roles.get(sender)} {sender}",
        "Killed": scenario.killed or "nobody",
        "Ended as": end.type.rpartition(".")[2],
        "In the ledger": f"{len(sent)} ×",
    }


def comparison_table(columns: Mapping[str, Mapping[str, str]]) -> Table:
    table = Table("", *columns, box=box.ROUNDED, border_style="dim", expand=True)
    for fact in next(iter(columns.values())):
        table.add_row(Text(fact, "dim"), *(column[fact] for column in columns.values()))
    return table


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

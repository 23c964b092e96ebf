"""What pages say of executions in words: what they wait for, what an event tells, what they drew on budgets."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote

from assent.governance.approvals import ApprovalRequest, intact_request, is_role
from assent.governance.budgets import decimal_of
from assent.store import ApprovalStatus, Event, ExecutionRecord, Status, Store
from assent.web.answers import data_of
from assent.web.execution_lanes import APPROVAL, CHILD, waits_of
from assent.web.wording import ago, gist

BUDGET: Final = "budget:"
LONGEST: Final = 160
SHOWN_FACTS: Final = (
    "approver", "decision", "reason", "approvers", "due", "worker", "outcome", "done", "by", "phase", "tags", "amount",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an execution has drawn on one budget."""

    budget: str
    amount: Decimal


async def waiting_for(store: Store, record: ExecutionRecord, now: float) -> str:
    """What an execution waits for, for people; empty while it runs."""
    said = [await _waiting_for(store, wait, now) for wait in waits_of(record)]
    # The timers of an approval say nothing beside it.
    people = [one for one in said if not one.startswith("a timer")]
    return ", and ".join(people or said) if record.status in {Status.SUSPENDED, Status.IN_DOUBT} else ""


async def _waiting_for(store: Store, wait: Mapping[str, Any], now: float) -> str:
    name = str(wait.get("name", ""))
    match wait.get("for"):
        case "timer":
            due = wait.get("due")
            return f"a timer, {ago(float(due), now)}" if isinstance(due, int | float) else "a timer"
        case "signal" if name.startswith(APPROVAL):
            return await _approval(store, name.removeprefix(APPROVAL))
        case "signal" if name.startswith(CHILD):
            return "an execution that it started"
        case "signal":
            return f"the signal {name}"
        case "resolve":
            return f"somebody to say whether {name} happened"
        case "code":
            return f"code that fits its journal: {wait.get('error', '')}"
        case _:
            return name


async def _approval(store: Store, approval_id: str) -> str:
    record = await store.approval(approval_id)
    request = intact_request(record) if record is not None else None
    if record is None or request is None:
        return "an approval"
    return who_decides(request) if record.status is ApprovalStatus.PENDING else "its turn with a worker"


def who_decides(request: ApprovalRequest) -> str:
    """By whom a request is decided: all of several, some of them, or one."""
    names = [f"anyone in {one.removeprefix('role:')}" if is_role(one) else one for one in request.electorate]
    if not names:
        return "an approval that nobody may give"
    if request.each or (request.quorum == len(names) > 1):
        return " and ".join(names)
    return " or ".join(names) if request.quorum == 1 else f"{request.quorum} of {', '.join(names)}"


def event_words(event: Event) -> str:
    """What an event tells beside its type and name, on one line."""
    value = data_of(event.value)
    match event.type:
        case "step.failed" | "step.retried" | "execution.failed" if isinstance(value, dict):
            return _cut(f"{str(value.get('type', '')).rpartition(':')[2]}: {value.get('message', '')}")
        case "step.completed" | "execution.completed" | "signal.received":
            return _cut(json.dumps(value, ensure_ascii=False)) if value is not None else ""
        case "execution.started":
            return gist(data_of(event.arguments), LONGEST)
        case "execution.suspended" if isinstance(value, list):
            return _cut(", ".join(str(one.get("name") or one.get("for")) for one in value if isinstance(one, dict)))
        case _ if isinstance(value, dict):
            told = {name: value[name] for name in SHOWN_FACTS if value.get(name) not in (None, "", [])}
            return gist(told, LONGEST)
        case _:
            return ""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def drawn_in(events: Iterable[Event]) -> list[Drawn]:
    """What permits have drawn on budgets, by the budget's name."""
    found: dict[str, int] = {}
    for event in events:
        if event.type == "permit.consumed":
            facts = data_of(event.value)
            holds = facts.get("holds") if isinstance(facts, dict) else None
            for key, amount in (holds or {}).items():
                if key.startswith(BUDGET) and isinstance(amount, int):
                    name = budget_name(key)
                    found[name] = found.get(name, 0) + amount
    return [Drawn(name, decimal_of(amount)) for name, amount in found.items()]


def budget_name(key: str) -> str:
    """The name of the budget that draws under this key."""
    return unquote(key.removeprefix(BUDGET).split(":", 1)[0])

"""Events in words, in order."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from assent.cli.output import Row, iso, local, moment, plain, safe, shortened, span
from assent.cli.waiting import APPROVAL, waits_of_event
from assent.codec import from_json
from assent.engine.texts import is_withheld
from assent.store import ApprovalRecord, Event

# Longer values are in `assent events`.
LONGEST_VALUE = 120
DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def event_facts(event: Event) -> dict[str, Any]:
    """An event for programs."""
    return {
        "seq": event.seq,
        "at": iso(event.at),
        "type": event.type,
        "op": event.op,
        "name": event.name,
        "attempt": event.attempt,
        "started_at": iso(event.started_at),
        "arguments": value_of(event.arguments),
        "value": value_of(event.value),
    }


def value_of(text: str | None) -> Any:
    """A recorded value; the text itself where no value was kept."""
    if text is None or is_withheld(text):
        return text
    return from_json(text)


def timeline_rows(events: Sequence[Event], approvals: Mapping[str, ApprovalRecord], now: float) -> list[Row]:
    """The events of one execution: time, offset from the first, event, name, attempt, duration, and what it says."""
    begin = events[0].at if events else now
    return [_row(event, begin, approvals, now) for event in events]


def _row(event: Event, begin: float, approvals: Mapping[str, ApprovalRecord], now: float) -> Row:
    cells = [
        Text(f"{local(event.at):%H:%M:%S}"),
        Text(f"+{span(event.at - begin)}", style="dim"),
        Text(safe(event.type), style=_style(event.type)),
        plain("approval" if _is_approval(event.name) else event.name or ""),
        Text(f"#{event.attempt}" if event.attempt and event.attempt > 1 else ""),
        Text(_duration(event), style="dim"),
    ]
    said = event_in_words(event, approvals, now)
    return Row(cells, [plain(shortened(said, LONGEST_VALUE))] if said else [])


def _duration(event: Event) -> str:
    has_one = event.started_at is not None and event.type != "step.started"
    return span(event.at - event.started_at) if has_one and event.started_at is not None else ""


def _style(type: str) -> str:
    match type.rpartition(".")[2]:
        case "failed" | "rejected" | "refused" | "expired":
            return "red"
        case "completed" | "granted" | "passed":
            return "green"
        case "in_doubt":
            return "bold magenta"
        case "retried" | "warned" | "suspended" | "requested":
            return "yellow"
        case _:
            return ""


def event_in_words(event: Event, approvals: Mapping[str, ApprovalRecord], now: float) -> str:
    """What an event says beside its type and name, not yet safe to print."""
    value = value_of(event.value)
    match event.type:
        case "execution.suspended":
            return "waits for " + ", and ".join(waits_of_event(value, approvals, now))
        case "execution.failed" | "step.failed" | "step.retried":
            return failure_in_words(value)
        case "step.completed":
            return f"{_call(event)} → {compact(value)}" if _call(event) else compact(value)
        case "execution.resumed":
            return ""
        case "execution.started" | "execution.completed":
            return _call(event) or compact(value)
        case "signal.received" if not _is_approval(event.name):
            return compact(value)
        case _:
            return " ".join(part for part in (_call(event), facts_in_words(_own_facts(event, value, now))) if part)


def _own_facts(event: Event, facts: Any, now: float) -> Any:
    """Facts that Assent itself has noted, without those that say nothing, and Unix seconds as moments for people."""
    if not isinstance(facts, dict):
        return facts
    telling = {name: each for name, each in facts.items() if each not in (None, "", [], event.execution_id)}
    return {name: moment(each, now) if _is_moment(name, each) else each for name, each in telling.items()}


def _is_approval(name: str | None) -> bool:
    return name is not None and name.startswith(APPROVAL)


def _is_moment(name: str, value: Any) -> bool:
    return isinstance(value, float) and (name in {"at", "due"} or name.endswith("_at"))


def failure_in_words(failure: Any) -> str:
    """A recorded error: its type and message."""
    if not isinstance(failure, dict):
        return compact(failure)
    name = str(failure.get("type", "")).rpartition(":")[2]
    return f"{name}: {failure.get('message', '')}".rstrip(": ")


def _call(event: Event) -> str:
    arguments = value_of(event.arguments)
    return f"({facts_in_words(arguments)})" if arguments else ""


def facts_in_words(value: Any) -> str:
    """JSON data on one line; the pairs of an object as `name=value`."""
    if value is None:
        return ""
    if not isinstance(value, dict):
        return compact(value)
    return " ".join(f"{name}={compact(each)}" for name, each in value.items())


def compact(value: Any) -> str:
    """JSON on one line, with digests shortened."""
    if isinstance(value, str) and is_withheld(value):
        return "(not kept)"
    return DIGEST.sub(r"\1…", json.dumps(value, ensure_ascii=False))

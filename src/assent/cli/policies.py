"""`assent policy`: policy files checked, tried with their own examples, explained, and their format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from assent.cli.output import Row, Screen, plain
from assent.codec import from_json, to_json
from assent.errors import PolicyFileError
from assent.governance import ApprovalRequest
from assent.policies.examples import Tried, try_examples
from assent.policies.explain import Explained, Explanation, Told, explain, facts_at, moment_of, read_action
from assent.policies.files import Entry, PolicyFile, read_policies
from assent.policies.schema import json_schema

FAILED = 1
STYLES: Mapping[str, str] = {"allow": "green", "ask": "yellow", "warn": "yellow", "deny": "red"}


def check(screen: Screen, file: str, environment: str | None, *, as_json: bool) -> None:
    """`assent policy check`: all of the file, also under its other environments."""
    found = read_policies(file, environment)
    for each in found.environments:
        read_policies(file, each)
    if as_json:
        screen.json([_entry_facts(each) for each in found.entries])
        return
    screen.table(["POLICY", "TYPE", "STATE", "DIGEST", "FOR"], [_entry_row(each) for each in found.entries])
    screen.say()
    screen.say(_summary(file, found))


def _summary(file: str, found: PolicyFile) -> str:
    under = f" under {found.environment}" if found.environment else ""
    environments = f"; also checked: {', '.join(found.environments)}" if found.environments else ""
    return f"{file} is sound: {len(found.policies)} of {len(found.entries)} policies are enabled{under}{environments}."


def _state(entry: Entry) -> str:
    return "off" if entry.policy is None else entry.policy.mode


def _entry_row(entry: Entry) -> Row:
    digest = entry.policy.fingerprint()[:12] if entry.policy else ""
    style = "dim" if entry.policy is None else ""
    cells = (entry.name, entry.kind, _state(entry), digest, _scope(entry))
    return Row([plain(each, style) for each in cells], [plain(entry.where, "dim")])


def _scope(entry: Entry) -> str:
    selection = entry.settings.values.get("applies_to", {})
    parts = [f"{key}: {each if isinstance(each, str) else ', '.join(each)}" for key, each in selection.items()]
    condition = entry.settings.values.get("when")
    return "; ".join([*parts, *([f"when {condition}"] if condition else [])]) or "all actions"


def _entry_facts(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "type": entry.kind,
        "state": _state(entry),
        "digest": entry.policy.fingerprint() if entry.policy else None,
        "where": entry.where,
        "settings": from_json(to_json(entry.settings.values)),
    }


async def test(screen: Screen, file: str, environment: str | None, *, as_json: bool) -> int:
    """`assent policy test`; returns the exit code, which is not 0 if an example does not hold."""
    tried = await try_examples(file, environment, screen.now)
    if not tried:
        raise PolicyFileError(f"{file} has no examples, so nothing was tried. Write some under 'examples'.", file=file)
    if as_json:
        screen.json([_tried_facts(each) for each in tried])
    else:
        screen.table(["", "EXAMPLE", "EXPECTED", "FOUND"], [_tried_row(each) for each in tried])
        failed = sum(not each.passed for each in tried)
        screen.say()
        screen.say(f"{failed} of {len(tried)} examples do not hold." if failed else f"All {len(tried)} examples hold.")
    return 0 if all(each.passed for each in tried) else FAILED


def _tried_row(tried: Tried) -> Row:
    mark = Text("ok", style="green") if tried.passed else Text("FAILED", style="red")
    found = tried.explanation
    cells = [mark, plain(tried.name), _word(tried.expected), _word(found.outcome)]
    line = f"line {tried.line}: " if tried.line else ""
    return Row(cells, [] if tried.passed else [plain(f"{line}{'; '.join(tried.problems)}", "red")])


def _tried_facts(tried: Tried) -> dict[str, Any]:
    return {
        "name": tried.name,
        "passed": tried.passed,
        "expected": tried.expected,
        "found": tried.explanation.outcome,
        "by": list(tried.explanation.deciding),
        "problems": list(tried.problems),
        "line": tried.line,
    }


def _word(outcome: str) -> Text:
    return Text(outcome, style=STYLES.get(outcome, ""))


async def explain_action(
    screen: Screen, file: str, action_file: str, environment: str | None, at: str | None, *, as_json: bool
) -> None:
    """`assent policy explain`."""
    found = read_policies(file, environment)
    moment = moment_of(at) if at else screen.now
    action, environment_facts = read_action(Path(action_file))
    explanation = await explain(found, action, facts_at(moment, environment_facts))
    if as_json:
        screen.json(_explanation_facts(explanation))
    else:
        _show(screen, explanation)


def _show(screen: Screen, found: Explanation) -> None:
    who = f" for {found.action.requester.id}" if found.action.requester else ""
    screen.say(plain(f"{found.action.name}{who}", "bold"))
    for each in found.policies:
        screen.title(Text.assemble(plain(each.entry.name), f"  {each.entry.kind}  ", plain(each.entry.where, "dim")))
        screen.fields(_lines(each))
    screen.title("In all")
    by = f", by {', '.join(found.deciding)}" if found.deciding else ""
    screen.fields([("decision", _word(found.outcome) + plain(by)), *_asked_lines(found.requests)])


def _lines(explained: Explained) -> list[tuple[str, Text | str]]:
    if explained.skipped:
        return [("not asked", plain(explained.skipped, "dim"))]
    lines: list[tuple[str, Text | str]] = []
    for told in explained.told:
        lines.append((told.policy, _word(told.outcome) + plain(f": {told.reason}" if told.reason else "")))
        lines += [("  saw", f"{path} = {value}") for path, value in _flat(told.seen)]
        lines += _asked_lines(told.requests)
    mode = explained.entry.policy.mode if explained.entry.policy else ""
    return [("shadow", "it is recorded, and decides nothing"), *lines] if mode == "shadow" else lines


def _asked_lines(requests: Sequence[ApprovalRequest]) -> list[tuple[str, Text | str]]:
    return [("  asks" if number == 0 else "", _asks(each)) for number, each in enumerate(requests)]


def _asks(request: ApprovalRequest) -> str:
    count = "all of" if request.each else f"{request.quorum} of"
    stage = f"{request.stage_name}: " if request.stage_name else ""
    return f"{stage}{count} {', '.join(request.approvers)}"


def _flat(seen: Any, path: str = "") -> list[tuple[str, Any]]:
    """What was seen as paths and values."""
    if not isinstance(seen, Mapping):
        return [(path, seen)]
    return [pair for key, each in seen.items() for pair in _flat(each, f"{path}.{key}" if path else str(key))]


def _explanation_facts(found: Explanation) -> dict[str, Any]:
    return {
        "action": found.action.name,
        "outcome": found.outcome,
        "by": list(found.deciding),
        "approvers": sorted({one for request in found.requests for one in request.approvers}),
        "policies": [_explained_facts(each) for each in found.policies],
    }


def _explained_facts(explained: Explained) -> dict[str, Any]:
    return {
        "name": explained.entry.name,
        "type": explained.entry.kind,
        "where": explained.entry.where,
        "state": _state(explained.entry),
        "outcome": explained.outcome or None,
        "not_asked": explained.skipped or None,
        "decisions": [_told_facts(each) for each in explained.told],
    }


def _told_facts(told: Told) -> dict[str, Any]:
    return {
        "policy": told.policy,
        "kind": told.kind,
        "outcome": told.outcome,
        "reason": told.reason,
        "seen": told.seen,
        "approvers": list(told.approvers),
    }


def schema(screen: Screen) -> None:
    """`assent policy schema`."""
    screen.json(json_schema())

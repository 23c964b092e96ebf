"""What the policies of a file say of one action: which of them are for it, which decide, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assent.errors import UsageError
from assent.governance import Action, ApprovalRequest, Decision, Facts, Policy, Principal, evaluate_all, redaction_of
from assent.policies.documents import read_document
from assent.policies.files import Entry, PolicyFile
from assent.policies.schema import json_schema
from assent.policies.shapes import problems_of
from assent.store import Drawn


@dataclass(frozen=True, slots=True)
class Told:
    """One decision, as people and programs may see it."""

    policy: str
    kind: str
    outcome: str
    reason: str
    seen: Mapping[str, Any]  # without secrets
    requests: tuple[ApprovalRequest, ...] = field(default=(), repr=False)

    @property
    def approvers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one for request in self.requests for one in request.approvers))


@dataclass(frozen=True, slots=True)
class Explained:
    """What became of one policy: why it was not asked, or what it and those behind it said."""

    entry: Entry
    skipped: str = ""
    told: tuple[Told, ...] = ()

    @property
    def outcome(self) -> str:
        """deny, ask or allow, as this policy has it; empty if it was not asked."""
        said = {each.outcome for each in self.told}
        return "" if self.skipped else "deny" if "deny" in said else "ask" if "ask" in said else "allow"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a file says of an action, and why."""

    action: Action
    policies: tuple[Explained, ...]

    @property
    def outcome(self) -> str:
        said = {each.outcome for each in self.policies if not _is_shadow(each.entry)}
        return "deny" if "deny" in said else "ask" if "ask" in said else "allow"

    @property
    def deciding(self) -> tuple[str, ...]:
        """The policies that deny, or else ask: those of the file, and those inside of them."""
        said = (each for explained in self._enforced for each in explained.told if each.outcome == self.outcome)
        inner = dict.fromkeys(each.policy for each in said)
        outer = dict.fromkeys(each.entry.name for each in self._enforced if each.outcome == self.outcome)
        return tuple(outer | inner) if self.outcome != "allow" else ()

    @property
    def requests(self) -> tuple[ApprovalRequest, ...]:
        """What people would be asked."""
        told = (each for explained in self._enforced for each in explained.told)
        return tuple(request for each in told for request in each.requests)

    @property
    def _enforced(self) -> list[Explained]:
        return [each for each in self.policies if not _is_shadow(each.entry)]


def _is_shadow(entry: Entry) -> bool:
    return entry.policy is not None and entry.policy.mode == "shadow"


async def explain(file: PolicyFile, action: Action, facts: Facts) -> Explanation:
    """Ask every policy of the file that is for the action. Nothing is counted, drawn or sent."""
    return Explanation(action, tuple([await _explained(entry, action, facts) for entry in file.entries]))


async def _explained(entry: Entry, action: Action, facts: Facts) -> Explained:
    if entry.policy is None:
        return Explained(entry, "it is not enabled")
    selector = entry.policy.applies_to
    missed = selector.misses(action) if selector is not None else None
    if missed is not None:
        return Explained(entry, missed)
    return Explained(entry, told=await _asked(entry.policy, action, facts))


async def _asked(policy: Policy, action: Action, facts: Facts) -> tuple[Told, ...]:
    ruling = await evaluate_all([policy], action, facts)
    redaction = redaction_of([policy])
    return tuple(_told(each, redaction.apply(dict(_seen(each)))) for each in (*ruling.decisions, *ruling.shadows))


def _seen(decision: Decision) -> Mapping[str, Any]:
    found = decision.facts.get("seen", {}) if decision.kind != "audit" else {}
    return found if isinstance(found, Mapping) else {}


def _told(decision: Decision, seen: Any) -> Told:
    return Told(decision.policy, decision.kind, decision.outcome, decision.reason, seen, decision.requests)


def read_action(path: Path) -> tuple[Action, Mapping[str, Any]]:
    """The action in a file of JSON, YAML or TOML, and what `environment` is; as in the examples of policy files.

    It may be an action alone, or a map of `action` and `facts`.
    """
    document = read_document(path)
    schema = json_schema()
    example = schema["$defs"]["example"]["properties"]
    alone = not (isinstance(document.data, dict) and "action" in document.data)
    whole = {
        "type": "object",
        "properties": {key: example[key] for key in ("action", "facts")},
        "additionalProperties": False,
    }
    for problem in problems_of(example["action"] if alone else whole, document.data, schema):
        raise document.error(problem.words, problem.place)
    return (
        (action_of(document.data), {})
        if alone
        else (action_of(document.data["action"]), document.data.get("facts", {}))
    )


def action_of(data: Mapping[str, Any]) -> Action:
    """The action that data of the right shape tells."""
    requester = data.get("requester")
    who = None
    if requester is not None:
        who = Principal(requester["id"], roles=requester.get("roles", ()), permissions=requester.get("permissions", ()))
    return Action(
        name=data["name"],
        arguments=data.get("arguments", {}),
        requester=who,
        labels=frozenset(data.get("labels", ())),
        risk=data.get("risk", ""),
        context=data.get("context", {}),
    )


def facts_at(moment: float, environment: Mapping[str, Any]) -> Facts:
    """Facts of a trial: every limit has room, and nothing has been spent."""
    return Facts(now=moment, environment=environment, admit=_room, spent=_nothing)


async def _room(key: str, rate: float, burst: int) -> float:
    return 0.0


async def _nothing(key: str, since: float | None) -> Drawn:
    return Drawn()


def moment_of(text: str) -> float:
    """Unix seconds of a moment. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(f"{text!r} is no moment. Write it with its zone: 2030-01-31T14:00:00Z.")
    return moment.astimezone(UTC).timestamp()

"""Policies in the Cedar language; it needs the extra `policy`."""

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from decimal import Decimal, Inexact
from pathlib import Path
from typing import Any, ClassVar, Final

from assent.errors import UsageError
from assent.governance import Action, Decision, Facts, Policy
from assent.policies.carrying import carried, number
from assent.policies.exact import EXACT
from assent.policies.extras import extra

NOBODY: Final = ""  # the id of the principal where nobody is known to ask
LARGEST: Final = 2**63 - 1
FINEST: Final = Decimal("0.0001")


@dataclass(frozen=True)
class CedarPolicy(Policy):
    """Policies in Cedar decide: at least one must permit, and none forbid. Give their text, or a Path to it.

    `principal` is `User::"ana"`, in `Role::"clerk"` for each of the requester's roles, with `permissions`. `action` is
    `Action::"wire_transfer"`, `resource` is `Call::"wire_transfer"` with `labels` and `risk`. `context` has the
    arguments, as `context.args.amount`, and `context.environment` and `context.now` (Unix seconds). Whole numbers
    are of Cedar's type Long; other numbers are of its type decimal, and those with more than 4 digits after
    the point, which that cannot hold, deny. Asked again at the moment of the effect, since roles are taken away.
    """

    kind: ClassVar[str] = "cedar"

    policies: str | Path
    _: KW_ONLY
    rechecked: bool = True
    _parsed: Any = field(init=False, repr=False, compare=False)
    _names: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text = _text_of(self.policies)
        object.__setattr__(self, "policies", text)
        object.__setattr__(self, "_parsed", _parsed(text))
        object.__setattr__(self, "_names", _names_of(text))
        Policy.__post_init__(self)

    def evaluate(self, action: Action, facts: Facts) -> Decision:
        answer = extra("cedarpy").is_authorized(_request(action, facts), self._parsed, _entities(action))
        errors = answer.diagnostics.errors
        if errors:
            # Cedar leaves out a policy that fails, be it one that forbids.
            raise UsageError(f"a Cedar policy failed: {'; '.join(map(str, errors))}")
        reasons = [self._names.get(each, each) for each in answer.diagnostics.reasons]
        if answer.allowed:
            return self.allow(f"permitted by {', '.join(reasons)}")
        return self.deny(f"forbidden by {', '.join(reasons)}" if reasons else "no Cedar policy permits it")


def _text_of(policies: str | Path) -> str:
    if isinstance(policies, str):
        return policies
    try:
        return policies.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{str(policies)!r} cannot be read ({error}). Give the path of a text in UTF-8.") from error


def _parsed(text: str) -> Any:
    try:
        found = extra("cedarpy").PolicySet.from_str(text)
    except ValueError as error:
        raise UsageError(f"policies are no Cedar: {error}. Mend them.") from error
    if not len(found):
        raise UsageError("policies are empty, so nothing would ever be permitted. Write at least one.")
    return found


def _names_of(text: str) -> dict[str, str]:
    """The names that policies have by an annotation, as in `@id("small amounts")`, by Cedar's own ids."""
    described = json.loads(extra("cedarpy").policies_to_json_str(text)).get("staticPolicies", {})
    return {key: one["annotations"]["id"] for key, one in described.items() if one.get("annotations", {}).get("id")}


def _request(action: Action, facts: Facts) -> dict[str, Any]:
    context = {
        "args": _cedar(carried(action.arguments)),
        "environment": _cedar(carried(facts.environment)),
        "now": int(facts.now),
    }
    return {
        "principal": {"type": "User", "id": _requester(action)},
        "action": {"type": "Action", "id": action.name},
        "resource": {"type": "Call", "id": action.name},
        "context": context,
    }


def _requester(action: Action) -> str:
    return action.requester.id if action.requester is not None else NOBODY


def _entities(action: Action) -> list[dict[str, Any]]:
    who = action.requester
    roles = [] if who is None else [{"type": "Role", "id": role} for role in sorted(who.roles)]
    permissions = [] if who is None else sorted(who.permissions)
    resource = {"labels": sorted(action.labels), "risk": action.risk}
    return [
        {"uid": {"type": "User", "id": _requester(action)}, "attrs": {"permissions": permissions}, "parents": roles},
        {"uid": {"type": "Call", "id": action.name}, "attrs": resource, "parents": []},
        *({"uid": role, "attrs": {}, "parents": []} for role in roles),
    ]


def _cedar(value: Any) -> Any:
    """A value as Cedar has it. What is null is left out, since Cedar has no such thing."""
    match value:
        case dict():
            return {_key(key): _cedar(one) for key, one in value.items() if one is not None}
        case list():
            return [_cedar(one) for one in value if one is not None]
        case bytes():
            return {"__extn": {"fn": "decimal", "arg": _decimal(number(value))}}
        case datetime():
            return int(value.timestamp())
        case bool() | str() | int():
            return value
        case _:
            return int(value.total_seconds())


def _key(key: str) -> str:
    # In Cedar's JSON, keys such as __entity make a reference of data: an argument could name a role of its own.
    if key.startswith("__"):
        raise UsageError("a key begins with __, which means something else in Cedar")
    return key


def _decimal(value: Any) -> str:
    """A number as Cedar writes it, with 4 digits after the point. Raises UsageError for those that need more."""
    if not isinstance(value, Decimal) or abs(value) >= LARGEST // 10**4:
        raise UsageError("a number is too large for Cedar's decimal")
    try:
        return f"{EXACT.quantize(value, FINEST):f}"
    except Inexact as error:
        raise UsageError("a number has more digits after the point than the 4 that Cedar's decimal has") from error

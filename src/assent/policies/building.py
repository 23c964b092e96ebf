"""From the settings of an entry to its policy."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from assent.clock import seconds
from assent.errors import UsageError
from assent.governance import (
    Action,
    ApprovalPolicy,
    ApprovalStage,
    AuditPolicy,
    AuthorizationPolicy,
    BudgetPolicy,
    Decision,
    Facts,
    Policy,
    RateLimitPolicy,
    SequentialApprovalPolicy,
    ValidationPolicy,
)
from assent.governance.selection import Selector
from assent.policies.cedar import CedarPolicy
from assent.policies.choices import Composite, When
from assent.policies.choosing import Rule
from assent.policies.settings import Settings


@dataclass(frozen=True)
class FixedPolicy(Policy):
    """Says always the same; a `When` around it says in which cases it is asked."""

    kind: ClassVar[str] = "rule"

    outcome: Literal["deny", "warn"]
    reason: str
    _: KW_ONLY
    rechecked: bool = True  # a case that was none at first may have become one when the effect is due

    def evaluate(self, action: Action, facts: Facts) -> Decision:
        return self.deny(self.reason) if self.outcome == "deny" else self.warn(self.reason)


def built(name: str, kind: str, settings: Settings) -> Policy:
    """The policy of an entry. Raises PolicyFileError that names the place."""
    try:
        common = _common(settings)
        criterion = settings.criterion("when")
        if criterion is None:
            return BUILDERS[kind](settings, {"name": name, **common})
        inner = BUILDERS[kind](settings, {**common, "name": name, "applies_to": None})
        return When(criterion, inner, **{**common, "name": f"{name}/when"})
    except UsageError as error:
        raise settings.error(error) from error


def _common(settings: Settings) -> dict[str, Any]:
    selection = settings.values.get("applies_to")
    chosen = None if selection is None else Selector(**{key: _tupled(value) for key, value in selection.items()})
    return {**settings.picked("mode", "version"), "applies_to": chosen}


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _span(value: Any) -> float:
    return seconds(float(value) if isinstance(value, Decimal) else value)


def _asking(settings: Settings) -> dict[str, Any]:
    """How people are asked, as `ApprovalPolicy` and `ApprovalStage` take it."""
    found = settings.picked(
        "approvers",
        "quorum",
        "on_expiry",
        "escalate_to",
        "require_reason",
        "separation_of_duties",
        "on_preview_error",
        "title",
    )
    if "timeout_seconds" in settings:
        found["timeout_seconds"] = _span(settings.values["timeout_seconds"])
    if "expires" in settings:
        found["expires"] = None if settings.values["expires"] == "never" else _span(settings.values["expires"])
    if "remind" in settings:
        found["remind"] = [_span(each) for each in settings.values["remind"]]
    if "auto_approve" in settings:
        found["auto_approve"] = settings.condition("auto_approve").holds_for
    if "exclude" in settings:
        excluded = settings.values["exclude"]
        found["exclude"] = settings.expression("exclude").names_for if isinstance(excluded, str) else excluded
    return found


def _approval(settings: Settings, common: Mapping[str, Any]) -> Policy:
    return ApprovalPolicy(**_asking(settings), **common)


def _sequential(settings: Settings, common: Mapping[str, Any]) -> Policy:
    return SequentialApprovalPolicy(
        [_stage(settings, number) for number in range(len(settings.values["stages"]))], **common
    )


def _stage(settings: Settings, number: int) -> ApprovalStage:
    own = settings.part("stages", (number,), settings.values["stages"][number], "approval")
    own.check_complete("approval")
    try:
        return ApprovalStage(own.values["name"], **_asking(own))
    except UsageError as error:
        raise own.error(error) from error


def _validation(settings: Settings, common: Mapping[str, Any]) -> Policy:
    check = settings.condition("check")
    message = settings.values.get("message", f"{check.text} does not hold")
    return ValidationPolicy(check=check.holds_for, message=message, **settings.picked("strict"), **common)


def _authorization(settings: Settings, common: Mapping[str, Any]) -> Policy:
    found = settings.picked("roles", "permissions")
    if "check" in settings:
        found["authorizer"] = settings.condition("check").holds_for
    asked = settings.values.get("ask")
    if isinstance(asked, dict):
        found["ask"] = _asked(settings, asked, common)
    elif asked is not None:
        found["ask"] = _asked(settings, {"approvers": asked}, common)
    return AuthorizationPolicy(**found, **common)


def _asked(settings: Settings, given: Mapping[str, Any], common: Mapping[str, Any]) -> Policy:
    own = settings.part("ask", (), given, "approval")
    own.check_complete("approval")
    try:
        return ApprovalPolicy(**_asking(own), name=common["name"])
    except UsageError as error:
        raise own.error(error) from error


def _rate_limit(settings: Settings, common: Mapping[str, Any]) -> Policy:
    found = settings.picked("max_calls", "burst", "per_user")
    if "window" in settings:
        found["window"] = _span(settings.values["window"])
    if "per" in settings:
        found["key"] = settings.expression("per").key_of
    return RateLimitPolicy(**found, **common)


def _budget(settings: Settings, common: Mapping[str, Any]) -> Policy:
    found = {**settings.picked("limit"), "amount": settings.expression("amount", "args.amount").amount_of}
    if "window" in settings:
        found["window"] = None if settings.values["window"] == "forever" else _span(settings.values["window"])
    if "per" in settings:
        found["per"] = "requester" if settings.values["per"] == "requester" else settings.expression("per").key_of
    return BudgetPolicy(**found, **common)


def _audit(settings: Settings, common: Mapping[str, Any]) -> Policy:
    return AuditPolicy(**settings.picked("tags", "sensitive", "log_arguments", "log_results"), **common)


def _deny(settings: Settings, common: Mapping[str, Any]) -> Policy:
    return FixedPolicy("deny", settings.values["reason"], **common)


def _warn(settings: Settings, common: Mapping[str, Any]) -> Policy:
    return FixedPolicy("warn", settings.values["reason"], **common)


def _cedar(settings: Settings, common: Mapping[str, Any]) -> Policy:
    if ("policies" in settings) == ("file" in settings):
        raise UsageError(
            "Cedar policies stand either here, under 'policies', or in a file of their own. Give one of both."
        )
    key = "policies" if "policies" in settings else "file"
    try:
        return CedarPolicy(settings.values[key] if key == "policies" else _path(settings), **common)
    except UsageError as error:
        raise settings.error(error, key) from error


def _path(settings: Settings) -> Path:
    """The file that is named, seen from the one in which it is named."""
    path = (settings.origins["file"].document.folder or Path()) / str(settings.values["file"])
    if not path.is_file():
        raise UsageError(f"there is no file {settings.values['file']!r} beside it. Give its path.")
    return path


def _tiered(settings: Settings, common: Mapping[str, Any]) -> Policy:
    tiers = settings.values["tiers"]
    endless = next((number for number, tier in enumerate(tiers[:-1]) if "when" not in tier), None)
    if endless is not None:
        raise settings.part("tiers", (endless,), tiers[endless]).error(
            UsageError("a tier without 'when' always decides, so those after it never do. Put it last.")
        )
    return Composite([_tier(settings, number, common) for number in range(len(tiers))], **common)


def _tier(settings: Settings, number: int, common: Mapping[str, Any]) -> Rule:
    tier = settings.values["tiers"][number]
    own = settings.part("tiers", (number,), tier)
    name = tier.get("name", f"tier {number + 1}")
    return Rule(name, when=own.criterion("when"), then=_then(own, tier["then"], f"{common['name']}/{name}", common))


def _then(tier: Settings, given: Any, name: str, common: Mapping[str, Any]) -> Any:
    if isinstance(given, str):
        return given
    own = tier.part("then", (), given, given["type"])
    own.check_complete(given["type"])
    kept = {key: common[key] for key in ("version",) if key in common}
    try:
        return BUILDERS[given["type"]](own, {**kept, "name": given.get("name", name)})
    except UsageError as error:
        raise own.error(error) from error


BUILDERS: Final[Mapping[str, Callable[[Settings, Mapping[str, Any]], Policy]]] = {
    "approval": _approval,
    "sequential_approval": _sequential,
    "validation": _validation,
    "authorization": _authorization,
    "rate_limit": _rate_limit,
    "budget": _budget,
    "audit": _audit,
    "deny": _deny,
    "warn": _warn,
    "cedar": _cedar,
    "tiered": _tiered,
}

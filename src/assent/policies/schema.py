"""The format of policy files as a JSON Schema: what the loader accepts, and what editors can complete."""

from collections.abc import Mapping
from typing import Any, Final

from assent.governance.selection import RISKS

Shape = Mapping[str, Any]
"""A JSON Schema, of which only the words are used that `assent.policies.shapes` knows."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

TEXT: Final[Shape] = {"type": "string", "minLength": 1, "maxLength": 4000}
TEXTS: Final[Shape] = {"type": "array", "items": TEXT, "minItems": 1}
YES_OR_NO: Final[Shape] = {"type": "boolean"}
WHOLE: Final[Shape] = {"type": "integer", "minimum": 1}
AMOUNT: Final[Shape] = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^[0-9]{1,40}(\.[0-9]{1,40})?$"}]
}
SPAN: Final[Shape] = {
    "anyOf": [
        {"type": "string", "pattern": r"^ *[0-9]+(\.[0-9]+)? *(ms|s|m|h|d|w)( *[0-9]+(\.[0-9]+)? *(ms|s|m|h|d|w))* *$"},
        {"type": "number", "minimum": 0},
    ]
}


def _told(about: str, shape: Shape) -> Shape:
    return {"description": about, **shape}


def _either(*shapes: Shape) -> Shape:
    return {"anyOf": list(shapes)}


def _one_of(*words: str) -> Shape:
    return {"type": "string", "enum": list(words)}


def _all_of(shape: Shape, **more: Any) -> Shape:
    return {"type": "array", "items": shape, "minItems": 1, **more}


def _ref(name: str) -> Shape:
    return {"$ref": f"#/$defs/{name}"}


def _map(properties: Mapping[str, Shape], *required: str, about: str = "") -> Shape:
    """A map with these keys and no others."""
    told = {"description": about} if about else {}
    needed = {"required": list(required)} if required else {}
    return {**told, "type": "object", "properties": dict(properties), **needed, "additionalProperties": False}


NAME: Final = _told("Its name: it stands in records, and no other policy has it.", TEXT)

SELECTION: Final = _map(
    {
        "actions": _told("Patterns of names, as in pay_*.", TEXTS),
        "labels": _told("One of these labels is enough.", TEXTS),
        "risk": _told("At least this risk.", _one_of(*RISKS)),
    },
    about="Which actions a policy is for. All that is given must fit.",
)

COMMON: Final[Mapping[str, Shape]] = {
    "description": _told("For readers; it decides nothing.", TEXT),
    "enabled": _told("false takes it out.", YES_OR_NO),
    "mode": _told("shadow records what it would say, and does nothing.", _one_of("enforce", "shadow")),
    "version": _told("Raise it when the meaning of the policy changes.", WHOLE),
    "applies_to": _ref("selection"),
    "when": _told("It is asked only if this CEL expression is true.", TEXT),
}
"""What every policy may have."""

ASKING: Final[Mapping[str, Shape]] = {
    "approvers": _told('Who may approve: people by id, or roles as in "role:finance".', TEXTS),
    "quorum": _told("How many of them must approve; all: every entry.", _either(WHOLE, _one_of("all"))),
    "exclude": _told("Who may not decide: people, or a CEL expression that comes to a list.", _either(TEXTS, TEXT)),
    "timeout_seconds": _told("How long a caller waits before it is told that the approval is pending.", SPAN),
    "expires": _told("How long the approval stays open.", _either(_one_of("never"), SPAN)),
    "on_expiry": _told("What happens then.", _one_of("reject", "approve", "escalate")),
    "escalate_to": _told("Who is asked next; several levels are a list of lists.", _either(TEXTS, _all_of(TEXTS))),
    "remind": _told("How long after asking the approvers are reminded.", _all_of(SPAN)),
    "require_reason": _told("A verdict needs a reason.", YES_OR_NO),
    "separation_of_duties": _told("The requester may not decide.", YES_OR_NO),
    "auto_approve": _told("If this CEL expression is true of the action, people are not asked.", TEXT),
    "on_preview_error": _told("What happens if the preview of the action fails.", _one_of("ask", "deny")),
    "title": _told("What people see first.", TEXT),
}
"""How people are asked."""

SETTINGS: Final[Mapping[str, Mapping[str, Shape]]] = {
    "approval": ASKING,
    "sequential_approval": {"stages": _told("Asked one after another.", _all_of(_ref("stage")))},
    "validation": {
        "check": _told("A CEL expression; it denies unless this is true.", TEXT),
        "message": _told("What people are told if it is not.", TEXT),
        "strict": _told("false warns instead of denying.", YES_OR_NO),
    },
    "authorization": {
        "roles": _told("The requester has one of them.", TEXTS),
        "permissions": _told("The requester has all of them.", TEXTS),
        "check": _told("And this CEL expression is true of the action.", TEXT),
        "ask": _told("Who is asked instead of denying.", _either(TEXTS, _map(ASKING))),
    },
    "rate_limit": {
        "max_calls": _told("So many in a window, on average.", WHOLE),
        "window": _told("How long it is.", SPAN),
        "burst": _told("So many at once; max_calls if left out.", WHOLE),
        "per_user": _told("Counted for each requester.", YES_OR_NO),
        "per": _told("A CEL expression: counted for each of its values.", TEXT),
    },
    "budget": {
        "limit": _told("At most this much in a window.", AMOUNT),
        "window": _told("How long it is.", _either(_one_of("forever"), SPAN)),
        "amount": _told("A CEL expression for what one action takes; args.amount if left out.", TEXT),
        "per": _told("requester, or a CEL expression: a budget for each of its values.", TEXT),
    },
    "audit": {
        "tags": _told("Kept with each record.", TEXTS),
        "sensitive": _told("Fields that are blanked out everywhere, beside the usual secrets.", TEXTS),
        "log_arguments": _told("Whether records have the arguments.", YES_OR_NO),
        "log_results": _told("Whether records have the results.", YES_OR_NO),
    },
    "deny": {"reason": _told("What people are told.", TEXT)},
    "warn": {"reason": _told("What the record says.", TEXT)},
    "cedar": {
        "policies": _told("Policies in the Cedar language.", {"type": "string", "minLength": 1, "maxLength": 200_000}),
        "file": _told("Or the path of a file with them, seen from this one.", TEXT),
    },
    "tiered": {"tiers": _told("The first whose `when` is true decides; if none is, it denies.", _all_of(_ref("tier")))},
}
"""What each type of policy may have beside that."""

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "approval": ("approvers",),
    "sequential_approval": ("stages",),
    "validation": ("check",),
    "rate_limit": ("max_calls",),
    "budget": ("limit",),
    "deny": ("reason",),
    "warn": ("reason",),
    "tiered": ("tiers",),
}
"""What it must have in the end: from its entry, from defaults or from overrides."""

INNER: Final = tuple(kind for kind in SETTINGS if kind != "tiered")

TIER: Final = _map(
    {
        "name": _told("What records call it; its number if left out.", TEXT),
        "when": _told("A CEL expression; without one it always decides.", TEXT),
        "then": _either(_one_of("allow", "warn", "deny"), _ref("then")),
    },
    "then",
    about="A row of a tiered policy.",
)

PRINCIPAL: Final = _map({"id": TEXT, "roles": TEXTS, "permissions": TEXTS}, "id", about="Who asks for it.")

EXAMPLE: Final = _map(
    {
        "name": _told("What it shows.", TEXT),
        "environment": _told("Under this environment of the file.", TEXT),
        "action": _map(
            {
                "name": TEXT,
                "arguments": {"type": "object"},
                "requester": PRINCIPAL,
                "labels": TEXTS,
                "risk": _one_of(*RISKS),
                "context": {"type": "object"},
            },
            "name",
        ),
        "facts": _told("What `environment` is in expressions.", {"type": "object"}),
        "at": _told("The moment, with its zone, as in 2030-01-31T14:00:00Z.", TEXT),
        "expect": _told("What comes of it.", _one_of("allow", "deny", "ask")),
        "by": _told("The policy that denies or asks.", TEXT),
        "approvers": _told("Who is asked, in all.", TEXTS),
        "quorum": _told("How many of them must approve.", WHOLE),
    },
    "action",
    "expect",
    about="An action, and what must come of it.",
)


def _settings_of(kind: str) -> Mapping[str, Shape]:
    return {**COMMON, **SETTINGS[kind]}


def _policy(kind: str) -> Shape:
    about = {"name": NAME, "type": {"const": kind}}
    return _map({**about, **_settings_of(kind)}, "name", "type", about=f"A policy of type {kind}.")


def _then(kind: str) -> Shape:
    inner = {"type": {"const": kind}, "name": _told("Its name; that of the policy around it if left out.", TEXT)}
    return _map({**inner, **SETTINGS[kind]}, "type")


def _every_setting() -> Shape:
    """What overrides may say, of whatever type the policy is."""
    return _map({key: shape for kind in SETTINGS for key, shape in _settings_of(kind).items()})


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of policy files."""
    defaults = _map({"all": _map(COMMON), **{kind: _map(_settings_of(kind)) for kind in SETTINGS}})
    overrides = {"type": "object", "additionalProperties": _ref("settings")}
    environment = _map({"defaults": _ref("defaults"), "overrides": _ref("overrides")})
    return {
        "$schema": DIALECT,
        "title": "Assent policy file",
        **_map(
            {
                "$schema": {"type": "string"},
                "version": _told("Of the format.", {"const": 1}),
                "extends": _told("The path of another file, seen from this one, whose policies hold as well.", TEXT),
                "defaults": _ref("defaults"),
                "policies": {"type": "array", "items": _ref("policy")},
                "overrides": _told("Other settings for inherited policies, by their names.", _ref("overrides")),
                "environments": {"type": "object", "additionalProperties": environment},
                "examples": {"type": "array", "items": _ref("example")},
            },
            "version",
        ),
        "$defs": {
            "policy": _either(*(_policy(kind) for kind in SETTINGS)),
            "then": _either(*(_then(kind) for kind in INNER)),
            "settings": _every_setting(),
            "defaults": defaults,
            "overrides": overrides,
            "selection": SELECTION,
            "stage": _map({"name": NAME, **ASKING}, "name", about="A stage of a sequential approval."),
            "tier": TIER,
            "example": EXAMPLE,
        },
    }

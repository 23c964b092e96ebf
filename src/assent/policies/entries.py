"""What may stand in a policy file: every key, what it holds, and which type of policy has it."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, create_model

from assent.governance.selection import RISKS

DURATION: Final = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d|w)(\s*\d+(\.\d+)?\s*(ms|s|m|h|d|w))*\s*$"
NUMBER: Final = r"^[+-]?\d+(\.\d+)?$"


def _exact(value: Any) -> Any:
    """A number without a fraction as an int, since JSON and YAML may write one as 10.0."""
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


class Part(BaseModel):
    """A map of a policy file. Keys that it does not know are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Text = Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
Texts = Annotated[list[Text], Field(min_length=1)]
Whole = Annotated[int, BeforeValidator(_exact), Field(ge=1)]
Amount = Annotated[int, Field(ge=0)] | Annotated[Decimal, Field(ge=0)] | Annotated[str, Field(pattern=NUMBER)]
Span = Annotated[str, Field(pattern=DURATION)] | Annotated[int, Field(ge=0)] | Annotated[Decimal, Field(ge=0)]
Condition = Annotated[Text, Field(description="A CEL expression that is true or false.")]
People = Annotated[Texts, Field(description='Ids of people, or roles as in "role:finance".')]


class Selection(Part):
    """Which actions a policy is for. All that is given must fit."""

    actions: Texts | None = Field(None, description="Patterns of names, as in pay_*.")
    labels: Texts | None = Field(None, description="One of these labels is enough.")
    risk: Literal["low", "medium", "high", "critical"] | None = Field(None, description="At least this risk.")


Rules = Literal["allow", "warn", "deny"]

COMMON: Final[Mapping[str, Any]] = {
    "description": (Text, "For readers; it decides nothing."),
    "enabled": (bool, "false takes it out."),
    "mode": (Literal["enforce", "shadow"], "shadow records what it would say, and does nothing."),
    "version": (Whole, "Raise it when the meaning of the policy changes."),
    "applies_to": (Selection, "Which actions it is for; without it, for all."),
    "when": (Condition, "It is asked only if this is true."),
}
"""Keys of every policy, with what they hold and what they say."""

ASKING: Final[Mapping[str, Any]] = {
    "approvers": (People, 'Who may approve: people by id, or roles as in "role:finance".'),
    "quorum": (Whole | Literal["all"], "How many of them must approve; all: each entry."),
    "exclude": (Texts | Text, "People who may not decide, or a CEL expression that comes to a list of them."),
    "timeout_seconds": (Span, "How long a caller waits before it is told that the approval is pending."),
    "expires": (Span | Literal["never"], "How long the approval stays open."),
    "on_expiry": (Literal["reject", "approve", "escalate"], "What happens then."),
    "escalate_to": (People | Annotated[list[People], Field(min_length=1)], "Who is asked next; several levels are a list of lists."),
    "remind": (Annotated[list[Span], Field(min_length=1)], "How long after asking the approvers are reminded."),
    "require_reason": (bool, "A verdict needs a reason."),
    "separation_of_duties": (bool, "The requester may not decide."),
    "auto_approve": (Condition, "If this is true of the action, people are not asked."),
    "on_preview_error": (Literal["ask", "deny"], "What happens if the preview of the action fails."),
    "title": (Text, "What people see first."),
}

Rulings = {
    "stages": "Stages, asked one after another.",
    "rules": "Rows of `when` and `then`; the first whose `when` is true decides.",
}


def _part(name: str, doc: str, *fields: Mapping[str, Any], required: tuple[str, ...] = (), **more: Any) -> type[Part]:
    """A map with these keys, all of which may be left out but the required ones."""
    given: dict[str, Any] = {}
    for key, (kind, about) in {key: each for group in fields for key, each in group.items()}.items():
        needed = key in required
        given[key] = (kind if needed else kind | None, Field(... if needed else None, description=about))
    return create_model(name, __base__=Part, __doc__=doc, **given, **more)


Stage = _part("Stage", "One stage of a sequential approval.", {"name": (Text, "Its name.")}, ASKING, required=("name",))
Ask = _part("Ask", "Whom to ask instead of denying.", ASKING, required=("approvers",))

SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "approval": ASKING,
    "sequential_approval": {"stages": (Annotated[list[Stage], Field(min_length=1)], "Asked one after another.")},  # type: ignore[valid-type]
    "validation": {
        "check": (Condition, "It denies unless this is true."),
        "message": (Text, "What people are told if it is not."),
        "strict": (bool, "false warns instead of denying."),
    },
    "authorization": {
        "roles": (Texts, "The requester has one of them."),
        "permissions": (Texts, "The requester has all of them."),
        "check": (Condition, "And this is true of the action."),
        "ask": (Texts | Ask, "Who is asked instead of denying."),  # type: ignore[valid-type]
    },
    "rate_limit": {
        "max_calls": (Whole, "So many in a window, on average."),
        "window": (Span, "How long it is."),
        "burst": (Whole, "So many at once; max_calls if left out."),
        "per_user": (bool, "Counted for each requester."),
        "per": (Text, "A CEL expression; counted for each of its values."),
    },
    "budget": {
        "limit": (Amount, "At most this much in a window."),
        "window": (Span | Literal["forever"], "How long it is."),
        "amount": (Text, "A CEL expression for what one action takes; args.amount if left out."),
        "per": (Text, "requester, or a CEL expression: a budget for each of its values."),
    },
    "audit": {
        "tags": (Texts, "Kept with each record."),
        "sensitive": (Texts, "Fields that are blanked out everywhere, beside the usual secrets."),
        "log_arguments": (bool, "Whether records have the arguments."),
        "log_results": (bool, "Whether records have the results."),
    },
    "deny": {"reason": (Text, "What people are told.")},
    "warn": {"reason": (Text, "What the record says.")},
    "cedar": {
        "policies": (Annotated[str, Field(min_length=1, max_length=200_000)], "Policies in the Cedar language."),
        "file": (Text, "Or the path of a file with them, from the folder of this one."),
    },
}
"""The settings of each type of policy, but for `rules`, which holds others."""

REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "approval": ("approvers",),
    "sequential_approval": ("stages",),
    "validation": ("check",),
    "rate_limit": ("max_calls",),
    "budget": ("limit",),
    "deny": ("reason",),
    "warn": ("reason",),
    "rules": ("rules",),
}
"""What a policy must have in the end, from its own entry or from defaults."""


def _inner(kind: str) -> type[Part]:
    name = f"Then{_titled(kind)}"
    doc = f"A policy of type {kind} inside of rules."
    about = {"name": (Text, "Its name; that of the policy around it and of its rule if left out.")}
    return _part(name, doc, about, SETTINGS[kind], type=(Literal[kind], ...), required=REQUIRED.get(kind, ()))


def _titled(kind: str) -> str:
    return kind.title().replace("_", "")


INNER: Final[Mapping[str, type[Part]]] = {kind: _inner(kind) for kind in SETTINGS}
Then = Annotated[_union(INNER.values()), Field(discriminator="type")]  # noqa: F821

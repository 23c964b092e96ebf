"""Approving with changes: which arguments an approver may change to what."""

import json
from typing import Any

from assent.codec import to_json
from assent.governance.approvals import MANDATE, ApprovalRequest
from assent.governance.redaction import REDACTED, Redaction, is_whole


def has_arguments(request: ApprovalRequest) -> bool:
    """Whether a request is about arguments that could be changed, or be put under conditions."""
    return bool(request.action and request.arguments) and request.kind != MANDATE


def objection_to_changes(request: ApprovalRequest, changes: Any) -> str | None:
    """Why arguments cannot be changed like this, in words for people; None if they can."""
    if not isinstance(changes, dict) or not changes:
        return "the changes name no argument; give an object of new values by argument"
    known = request.arguments
    for name, value in changes.items():
        if name not in known:
            return f"{request.action} has no argument {name!r}; it has {', '.join(known)}"
        if (objection := _objection_to_change(name, known[name], value)) is not None:
            return objection
    if all(_is_same(known[name], value) for name, value in changes.items()):
        return "the changes change nothing; approve it as it is"
    return None


def _objection_to_change(name: str, known: Any, value: Any) -> str | None:
    # What an approver cannot see they cannot sign, and what is written over it would be lost.
    if REDACTED in to_json(known) or REDACTED in to_json(value):
        return f"the argument {name!r} is redacted and cannot be changed"
    if not is_whole(known):
        return f"the argument {name!r} is not shown in full and cannot be changed"
    # It goes into the journal, and then before those who are asked next.
    if Redaction().apply(value) != value:
        return f"the new value of {name!r} holds a secret, or more than can be shown"
    return None


def _is_same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

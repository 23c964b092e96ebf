"""Approving with changes: which arguments an approver may change to what."""

import json
from typing import Any

from assent.codec import to_json
from assent.governance.approvals import MANDATE, ApprovalRequest
from assent.governance.redaction import REDACTED


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
        # What an approver cannot see they cannot sign, and what is written over it would be lost.
        if REDACTED in to_json(known[name]) or REDACTED in to_json(value):
            return f"the argument {name!r} is redacted and cannot be changed"
    if all(_is_same(known[name], value) for name, value in changes.items()):
        return "the changes change nothing; approve it as it is"
    return None


def _is_same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

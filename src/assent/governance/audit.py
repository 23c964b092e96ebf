"""The policy that leaves a record of what was asked for and what came of it."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar, Final

from assent.codec import from_json, to_json
from assent.errors import CodecError
from assent.governance.action import Action, names_of
from assent.governance.policy import BEFORE, Answer, Decision, Facts, Phase, Policy, then
from assent.governance.redaction import SENSITIVE, SENSITIVE_TYPES, Record, Redaction
from assent.governance.veil import secrets_of, without

LOG: Final = logging.getLogger("assent.audit")

Sink = Callable[[Mapping[str, Any]], object]
"""Takes a record; may be async."""


@dataclass(frozen=True, kw_only=True)
class AuditPolicy(Policy):
    """Leaves a record before and after the effect: who asked for what, and what came of it. It never denies.

    The record is the facts of the event `audit.logged`, and goes to `logger`: a logging.Logger (by default
    "assent.audit", at level INFO) or a function of your own. If that fails, the action is denied: no effect without its
    record. Fields named in `sensitive` and values of `sensitive_types` are blanked out in this and every other
    record of the action, in addition to the usual secrets.
    """

    kind: ClassVar[str] = "audit"

    tags: Collection[str] = ()
    sensitive: Collection[str] = SENSITIVE
    sensitive_types: Collection[type] = SENSITIVE_TYPES
    log_arguments: bool = True
    log_results: bool = True
    logger: logging.Logger | Sink | None = None
    phase: Phase = Phase.BOTH
    rechecked: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", names_of("tags", self.tags))
        object.__setattr__(self, "sensitive", names_of("sensitive", self.sensitive))
        object.__setattr__(self, "sensitive_types", tuple(self.sensitive_types))
        Policy.__post_init__(self)

    @property
    def redaction(self) -> Redaction:
        """What is blanked out."""
        return self._redaction

    @cached_property
    def _redaction(self) -> Redaction:
        return Redaction() | Redaction(self.sensitive, tuple(self.sensitive_types))

    def evaluate(self, action: Action, facts: Facts) -> Answer | Awaitable[Answer]:
        record = Record(partial(self._facts, action, facts), self._redaction)
        decision = Decision("allow", self.name, self.kind, "", record)
        if self.logger is None or isinstance(self.logger, logging.Logger):
            log = self.logger or LOG
            if log.isEnabledFor(logging.INFO):
                log.info("%s: %s", facts.phase.value, action.name, extra={"audit": dict(record)})
            return decision
        return then(self.logger(dict(record)), partial(_regardless, decision))

    def _facts(self, action: Action, facts: Facts, redaction: Redaction) -> dict[str, Any]:
        requester = action.requester
        who = None if requester is None else {"id": requester.id, "roles": sorted(requester.roles)}
        record = {
            "action": action.name,
            "phase": str(facts.phase),
            "at": facts.now,
            "execution_id": action.execution_id,
            "tags": list(self.tags),
            "labels": sorted(action.labels),
            "requester": who,
        }
        if facts.phase == BEFORE and self.log_arguments:
            record["arguments"] = redaction.apply(action.arguments)
        return record | self._outcome(action, facts, redaction)

    def _outcome(self, action: Action, facts: Facts, redaction: Redaction) -> dict[str, Any]:
        if facts.outcome is None:
            return {}
        if facts.outcome.failed:
            return {"error": _hushed(action, redaction, redaction.apply(facts.outcome.error))}
        return {"result": redaction.apply(facts.outcome.value)} if self.log_results else {}


def _hushed(action: Action, redaction: Redaction, error: Any) -> Any:
    """An error without the secrets among the arguments, which its words may repeat."""
    try:
        arguments = action.to_canonical().decode()
    except CodecError:
        return error  # they are stored nowhere
    return from_json(without(secrets_of(redaction, arguments, action.arguments), to_json(error)))


def _regardless(decision: Decision, _: object) -> Answer:
    return decision

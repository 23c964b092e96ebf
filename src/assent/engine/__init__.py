"""Durable execution of plain async code.

This room owns workflow code and its replay: the deterministic loop, steps, journaled completions, leases. It knows
nothing of governance, agents or the web; whoever needs more than a step hangs it around steps, or into `hooks`.
"""

from assent.engine.engine import Engine, News, Program, ambient_engine
from assent.engine.execution import LiveExecution, current
from assent.engine.hooks import Gate, Hooks, Tracer, Watcher
from assent.engine.objects import Objects
from assent.engine.ops import Effect, ExecutionInfo, Note, StepSpec
from assent.engine.steps import (
    NOT_DONE,
    NotDone,
    Step,
    StepScope,
    Verify,
    as_coroutine,
    idempotency_key,
    plain_name,
    step,
    step_scope,
)
from assent.engine.workflow import (
    Workflow,
    call,
    execution,
    nested_identity,
    now,
    patched,
    random,
    signal,
    uuid4,
    workflow,
)

__all__ = [
    "NOT_DONE",
    "Effect",
    "Engine",
    "ExecutionInfo",
    "Gate",
    "Hooks",
    "LiveExecution",
    "News",
    "NotDone",
    "Note",
    "Objects",
    "Program",
    "Step",
    "StepScope",
    "StepSpec",
    "Verify",
    "Tracer",
    "Watcher",
    "Workflow",
    "ambient_engine",
    "as_coroutine",
    "call",
    "current",
    "execution",
    "idempotency_key",
    "nested_identity",
    "now",
    "patched",
    "plain_name",
    "random",
    "signal",
    "step",
    "step_scope",
    "uuid4",
    "workflow",
]

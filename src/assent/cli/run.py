"""`assent run`: start one execution, wait with it as a caller would, and say how it stands."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature, unwrap
from typing import Any, get_type_hints

from assent.cli.orders import parsed
from assent.cli.output import Screen, json_text, plain, safe_lines
from assent.cli.reference import load_function, runtime_of
from assent.cli.stored import DEFAULT_STORE
from assent.cli.timeline import value_of
from assent.cli.waiting import APPROVAL, approvals_awaited, is_open, staff_of, waits_in_words
from assent.clock import seconds
from assent.codec import codec_for
from assent.engine import Engine, Program
from assent.errors import ApprovalPending, AssentError, CodecError, InDoubt, UsageError
from assent.governance import Principal
from assent.governance.approvals import intact_request
from assent.runtime import Runtime
from assent.store import ApprovalRecord, ExecutionRecord, Status, Store
from assent.store.sqlite import SqliteStore

# How often (seconds) the caller looks whether the execution has come to a wait that only others can end.
LOOK = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What `assent run` was asked for."""

    reference: str
    document: str | None  # JSON object of arguments
    pairs: Sequence[str]  # name=value, each
    id: str | None
    who: str | None
    patience: str | None  # how long to wait for people and signals
    as_json: bool


async def run(screen: Screen, errors: Screen, runtime: Runtime, program: Program, order: Order) -> int:
    """Start the execution and wait; returns the exit code."""

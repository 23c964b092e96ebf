"""The port to whatever drives executions durably.

An engine keeps a journal for each execution and runs its workflow code as a `LiveExecution`: it takes the ops that
the code opens (their kind, name and arguments are data), sees to them, journals each completion, and only then hands
it back, one at a time in journaled order. How it keeps the journal is its own affair: `local` writes it to a store;
an engine on top of another durable runtime lets that runtime record the completions.
`tests/conformance/engine_suite.py` states the behaviour.
"""

from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from assent.codec import Codec, Signature
from assent.engine.ops import Redact, RedactError
from assent.store import Event, ExecutionQuery, ExecutionRecord, Message, Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What an engine needs of a workflow or a governed function in order to run it."""

    name: str
    version: int
    signature: Signature
    main: Callable[[Mapping[str, Any]], Coroutine[Any, Any, Any]]  # the workflow code, given the decoded arguments
    identity: object  # the decorated function; the same name for another one is refused
    captured: bool = True  # False: values stay in memory, so nobody else can take the execution over
    redact: Redact | None = None  # arguments and results as they may be read; what they were is sealed
    redact_error: RedactError | None = None  # errors as they may be kept; what they were is gone
    workflow: Workflow = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "workflow", Workflow(self.name, self.version))

    @property
    def returns(self) -> Codec:
        return self.signature.returns


class News(NamedTuple):
    """What became of an execution: it has ended with a value, or it waits for something outside."""

    has_ended: bool = False
    value: Any = None
    waits: str = ""  # JSON, as in its record


class Engine(Protocol):
    """Drives executions. One instance serves one event loop."""

    def register(self, program: Program) -> None:
        """Make a program known, so that its executions can be resumed here. Raises DuplicateWorkflow."""
        ...

    async def start(
        self,
        program: Program,
        arguments: Mapping[str, Any],
        *,
        id: str | None = None,
        parent_id: str | None = None,
        requester: str | None = None,
        attended: bool = False,
    ) -> ExecutionRecord:
        """Create an execution, durably; return the existing one if `id` is taken by the same call.

        `attended`: a caller in this process waits for it. It is then driven here, and kept here while it waits,
        until `leave`. Raises ExecutionConflict, CodecError.
        """
        ...

    async def result(self, execution_id: str, *, timeout: float | None = None) -> Any:
        """Wait for the result; raises what the execution raised, ResultTimeout, ExecutionNotFound."""
        ...

    async def waiting(self, execution_id: str) -> None:
        """Return as soon as the execution waits for something outside, or has ended."""
        ...

    async def news(self, execution_id: str, *, known: str | None = None) -> News:
        """Return when it has ended, or waits for something outside that is not `known`; now and then also in between.

        Raises what the execution raised, ExecutionNotFound.
        """
        ...

    async def leave(self, execution_id: str) -> None:
        """Nobody in this process waits for it any longer: any worker may take it over."""
        ...

    async def post(self, message: Message) -> None:
        """Put a message in an execution's inbox. Raises ExecutionNotFound, ExecutionConflict for one that has ended."""
        ...

    async def execution(self, execution_id: str) -> ExecutionRecord:
        """The execution as it stands. Raises ExecutionNotFound."""
        ...

    async def executions(self, query: ExecutionQuery) -> list[ExecutionRecord]: ...

    async def events(self, execution_id: str) -> list[Event]:
        """Its journal, with large values filled in."""
        ...


# The engine of the runtime that is open in this context. It is here, and not an argument everywhere, because a
# decorated function must behave as an ordinary one when nobody has opened a runtime.
ambient_engine: ContextVar[Engine | None] = ContextVar("ambient_engine", default=None)

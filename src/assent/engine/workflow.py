"""`@workflow`, and the functions that find their execution by themselves."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from copy import copy
from datetime import UTC, datetime
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload
from uuid import UUID

from assent.clock import SystemClock
from assent.codec import codec_for, signature_of
from assent.engine.engine import Engine, Program, ambient_engine
from assent.engine.execution import LiveExecution, current
from assent.engine.objects import Objects
from assent.engine.ops import ExecutionInfo
from assent.engine.steps import plain_name, step_scope
from assent.errors import OutsideWorkflow

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
S = TypeVar("S")
Q = ParamSpec("Q")  # of a method without its instance
U = TypeVar("U")


class Workflow(Generic[P, R]):
    """A decorated workflow. Under a runtime, calling it starts an execution and waits for its result.

    A method runs on the object that it was called on while that lives in this process. A worker of another process
    uses the object whose method it was given, as in `Runtime(workflows=[bank.close])`.
    """

    def __init__(self, fn: Callable[P, Coroutine[Any, Any, R]], name: str | None, version: int) -> None:
        functools.update_wrapper(self, fn)
        self.__wrapped__ = fn
        self.name = name or plain_name(fn)
        self.version = version
        self._fn: Any = fn
        self._object: Any = None  # whose method it is
        self._objects = Objects()
        self._program: Program | None = None  # not of a method: it would keep the object alive

    @property
    def program(self) -> Program:
        """What an engine needs in order to run it."""
        if self._program is not None:
            return self._program
        program = Program(
            name=self.name,
            version=self.version,
            signature=signature_of(self.__wrapped__),
            main=self._main,
            identity=self._fn if self._object is None else self._objects,
        )
        if self._object is None:
            self._program = program
        return program

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        engine = ambient_engine.get()
        if engine is None or current() is not None:
            return await self.__wrapped__(*args, **kwargs)
        program = self.program
        return await call(engine, program, program.signature.bind(args, kwargs))  # type: ignore[no-any-return]  # the wrapped function's own

    def _main(self, arguments: Mapping[str, Any]) -> Coroutine[Any, Any, R]:
        args, kwargs = signature_of(self.__wrapped__).spread(arguments)
        live = current()
        if self._object is None or live is None:
            return self.__wrapped__(*args, **kwargs)
        return self._objects.run(
            live.info.id, self._object, lambda own: self._fn.__get__(own, type(own))(*args, **kwargs)
        )

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self: "Workflow[Concatenate[S, Q], U]", instance: S, owner: type) -> "Workflow[Q, U]": ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        bound = copy(self)
        bound.__wrapped__ = self._fn.__get__(instance, owner)
        bound._object, bound._program = instance, None
        return bound


async def call(engine: Engine, program: Program, arguments: Mapping[str, Any], *, id: str | None = None) -> Any:
    """Start an execution from ordinary code and wait for its result."""
    engine.register(program)
    identity, parent = nested_identity()
    record = await engine.start(program, arguments, id=id or identity, parent_id=parent, attended=True)
    try:
        return await engine.result(record.id)
    finally:
        await engine.leave(record.id)


def nested_identity() -> tuple[str | None, str | None]:
    """Id and parent for an execution that is started from here.

    Inside a step both follow from the step, so that its repetition finds the same execution again: what was done in it
    is not done twice, also if the step fails later and is retried.
    """
    scope = step_scope.get()
    if scope is None:
        return None, None
    scope.calls += 1
    return f"{scope.key}.{scope.calls}", scope.info.id


@overload
def workflow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...


@overload
def workflow(
    *, name: str | None = None, version: int = 1
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Workflow[P, R]]: ...


def workflow(fn: Callable[..., Any] | None = None, /, *, name: str | None = None, version: int = 1) -> Any:
    """Make an async function a workflow: under a runtime it survives crashes and resumes exactly where it was.

    Its code must lead to the same steps each time it is given the same outcomes: put effects, clocks and randomness
    into steps, or use `now`, `uuid4` and `random`. Give it a new `version` when its code changes while executions are
    under way; a worker resumes only the versions it has. Without a runtime, or inside another workflow, the function
    just runs.
    """

    def decorate(fn: Callable[..., Any]) -> Workflow[..., Any]:
        if not inspect.iscoroutinefunction(fn):
            raise TypeError(f"@workflow needs an async function, and {plain_name(fn)} is not: write `async def`.")
        return Workflow(fn, name, version)

    return decorate if fn is None else decorate(fn)


@overload
async def signal(name: str, type: type[T]) -> T: ...


@overload
async def signal(name: str, type: Any = Any) -> Any: ...


async def signal(name: str, type: Any = Any) -> Any:
    """Wait for the next message of that name and return its value as `type`.

    Messages that came before are kept, oldest first. One whose value does not fit `type` is refused, recorded as
    `signal.refused`, and the wait goes on.
    """
    return await _live("signal").wait_signal(name, codec_for(type))


def now() -> datetime:
    """The time in UTC, the same on replay: it stands still between two completions. Elsewhere, the clock's."""
    live = current()
    return datetime.fromtimestamp(live.loop.now if live else SystemClock().now(), UTC)


def uuid4() -> UUID:
    """A random UUID, the same on replay."""
    return UUID(int=_bits(128) & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62)


def random() -> float:
    """A random number from 0 up to 1, the same on replay."""
    return _bits(53) / (1 << 53)


def _bits(count: int) -> int:
    live = current()
    return live.random.getrandbits(count) if live else SystemClock().bits(count)


def execution() -> ExecutionInfo:
    """The execution whose workflow or step runs here."""
    live = current()
    scope = step_scope.get()
    if live is not None:
        return live.info
    if scope is not None:
        return scope.info
    raise OutsideWorkflow("execution() found none: call it from a workflow or a step that runs under a Runtime.")


def patched(name: str) -> bool:
    """Whether to run changed code: True in new executions, False in those that passed this place before the change."""
    live = current()
    return live is None or live.patched(name)


def _live(what: str) -> LiveExecution:
    live = current()
    if live is None:
        raise OutsideWorkflow(
            f"{what}() needs a running workflow: call it from a @workflow that was started under a Runtime."
        )
    return live

"""`@tool`: a function that a model may call."""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar, cast, overload

from typing_extensions import TypedDict, Unpack

from assent.clock import Duration, seconds
from assent.codec import Signature, from_json, signature_of
from assent.engine import Step, Verify, plain_name
from assent.errors import CodecError, UsageError
from assent.resilience import Retry

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Q = ParamSpec("Q")  # of a method without its instance
U = TypeVar("U")

# What every provider takes as the name of a tool.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class ToolOptions(TypedDict, total=False):
    """The options of `@tool`."""

    name: str
    description: str
    serial: bool
    cache: Duration
    retry: Retry
    timeout: Duration
    once: bool
    verify: Verify[Any]


# How a plain function is performed. Steps, workflows and governed functions have terms of their own.
TERMS: Final = ("retry", "timeout", "once", "verify")


class Tool(Generic[P, R]):
    """A function that a model may call. Called by hand it is the function, in workflow code a recorded step."""

    __wrapped__: Callable[..., Any]
    options: ToolOptions

    def __init__(self, fn: Callable[P, Any], options: ToolOptions) -> None:
        refuse_unknown("@tool", options, ToolOptions.__optional_keys__)
        if isinstance(fn, Tool):
            options = cast("ToolOptions", {**fn.options, **options})
            fn = fn.__wrapped__
        functools.update_wrapper(self, fn, updated=())
        self.__wrapped__ = fn
        self.options = options
        self.name = options.get("name", _name_of(fn))
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"{self.name!r} is no name for a tool. Give one of letters, digits, _ and -, 64 at most.")
        self.description = options.get("description") or inspect.getdoc(fn) or ""
        self.is_serial = options.get("serial", False)
        self.cache_seconds = seconds(options["cache"]) if "cache" in options else 0.0
        self.is_once = options.get("once", False) or "verify" in options
        self.is_plain = not (isinstance(fn, Step) or hasattr(type(fn), "program"))
        self.call: Callable[..., Awaitable[Any]] = self.performed_by(fn) if self.is_plain else fn
        self._refuse_unnamed()
        self._refuse_terms()

    def performed_by(self, fn: Callable[..., Any]) -> Step[..., Any]:
        """The step of this tool that performs `fn`."""
        terms: dict[str, Any] = {key: self.options.get(key) for key in ("retry", "verify") if key in self.options}
        if "timeout" in self.options:
            terms["timeout"] = seconds(self.options["timeout"])
        # No Python function is named like this, so that the journal tells calls of models from other steps.
        return Step(fn, {"name": f"tool {self.name}", "once": self.is_once, **terms})

    @functools.cached_property
    def signature(self) -> Signature:
        """The parameters of the function."""
        return signature_of(_body_of(self.__wrapped__))

    @functools.cached_property
    def parameters(self) -> Mapping[str, Any]:
        """Their JSON schema. Raises CodecError for a type that has none."""
        return self.signature.schema()

    def read(self, arguments: str) -> dict[str, Any]:
        """The arguments of a call as a model wrote them, by name. Raises CodecError, which says what is wrong."""
        try:
            given = from_json(arguments or "{}")
        except (ValueError, TypeError) as error:  # or they are no text that can be written
            raise CodecError(f"the arguments of {self.name} are no JSON: {error}") from error
        if not isinstance(given, dict):
            raise CodecError(f"the arguments of {self.name} must be a JSON object by parameter name")
        try:
            return self.signature.bind((), self.signature.read(given))
        except TypeError as error:
            raise CodecError(str(error)) from error

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.call(*args, **kwargs)  # type: ignore[no-any-return]  # the wrapped function's own result

    def _refuse_unnamed(self) -> None:
        kinds = {each.kind for each in inspect.signature(_body_of(self.__wrapped__)).parameters.values()}
        if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_KEYWORD}:
            raise UsageError(f"A model calls {self.name} by the names of its parameters, so each of them needs one.")

    def _refuse_terms(self) -> None:
        given = [name for name in TERMS if name in self.options]
        if given and not self.is_plain:
            raise UsageError(
                f"{self.name} has terms of its own, so {', '.join(given)} would have no effect. Give them to its own "
                "decorator."
            )

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self: "Tool[Concatenate[S, Q], U]", instance: S, owner: type) -> "Tool[Q, U]": ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        wrapped: Any = self.__wrapped__
        return Tool(wrapped.__get__(instance, owner), self.options)


class _ToolDecorator:
    """The type of `tool(...)`: takes async and plain functions alike."""

    def __init__(self, options: ToolOptions) -> None:
        self._options = options

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Tool[P, R]: ...

    @overload
    def __call__(self, fn: Callable[P, R], /) -> Tool[P, R]: ...

    def __call__(self, fn: Callable[P, Any], /) -> Tool[P, Any]:
        return Tool(fn, self._options)


@overload
def tool(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Tool[P, R]: ...


@overload
def tool(fn: Callable[P, R], /) -> Tool[P, R]: ...


@overload
def tool(**options: Unpack[ToolOptions]) -> _ToolDecorator: ...


def tool(fn: Callable[..., Any] | None = None, /, **options: Unpack[ToolOptions]) -> Any:
    """Make a function one that a model may call; also a step, a workflow, an agent or a governed function.

    Its docstring (or `description`) tells the model what it is for, its annotations what it takes. The calls of one
    turn run side by side, except that `serial` tools wait for each other. Results may be kept for `cache`. `retry`,
    `timeout`, `once` and `verify` are those of `@step`, for plain functions only: others have terms of their own.
    """
    decorator = _ToolDecorator(options)
    return decorator if fn is None else decorator(fn)


def as_tool(thing: Any) -> Tool[..., Any]:
    """The tool itself, or a function made one."""
    if isinstance(thing, Tool):
        return thing
    if not callable(thing):
        raise UsageError(f"{thing!r} is no tool. Give a function, or one decorated with @tool.")
    return Tool(thing, {})


def refuse_unknown(decorator: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise UsageError for options that a decorator does not have: one that is misspelled would just not hold."""
    if unknown := sorted(given.keys() - known):
        raise UsageError(f"{decorator} has no option {', '.join(unknown)}. It has {', '.join(sorted(known))}.")


def _name_of(fn: Any) -> str:
    if not hasattr(fn, "__qualname__"):
        raise UsageError(f"{fn!r} does not tell a model what it is. Write a function with a docstring that calls it.")
    name = getattr(fn, "name", None)
    return (name if isinstance(name, str) else plain_name(fn)).rpartition(".")[2]


def _body_of(fn: Any) -> Any:
    while isinstance(fn, Step | Tool) or isinstance(
        getattr(type(fn), "program", None), property | functools.cached_property
    ):
        fn = fn.__wrapped__
    return fn

"""`@agent`: a function whose result a model finds, with the tools that it is given."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from decimal import Decimal
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, overload

from typing_extensions import TypedDict, Unpack

from assent.agents.cache import Cache
from assent.agents.hands import Hands
from assent.agents.hooks import Hook, Hooks
from assent.agents.limits import Limits, StopReason
from assent.agents.loop import PATIENT, AgentResult, AgentSpec, Run, output_of
from assent.agents.messages import ModelSettings
from assent.agents.models import Model
from assent.agents.output import Output
from assent.agents.prompt import Prompt
from assent.agents.providers import model_of
from assent.agents.recollection import Recollection
from assent.agents.streaming import AgentStream, Ear
from assent.clock import Duration, SystemClock
from assent.codec import signature_of
from assent.engine import Workflow, ambient_engine, call, current, nested_identity, plain_name
from assent.errors import AgentStopped, OutsideWorkflow, UsageError
from assent.resilience import Retry
from assent.tools.tool import refuse_unknown

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Q = ParamSpec("Q")  # of a method without its instance
U = TypeVar("U")

# A parameter of this name says in which conversation an agent with a memory takes part.
SESSION: Final = "session_id"


class AgentOptions(TypedDict, total=False):
    """The options of `@agent`. Limits are those of one run."""

    name: str
    version: int
    model: Model | str
    system: str
    tools: Sequence[Any]
    output: Any  # the type of the result, instead of the return annotation
    max_turns: int
    max_total_tokens: int
    max_cost: Decimal | float | str  # US dollars
    max_time: Duration
    temperature: float
    max_tokens: int  # of one response
    top_p: float
    settings: ModelSettings
    hooks: Sequence[Hook]
    retry: Retry
    repairs: int
    memory: Recollection
    cache: Cache


class Agent(Workflow[P, R]):
    """A decorated agent. It is a workflow: under a runtime a call is an execution, in a workflow it is part of it."""

    def __init__(self, fn: Callable[P, Coroutine[Any, Any, R]], options: AgentOptions) -> None:
        refuse_unknown("@agent", options, AgentOptions.__optional_keys__)
        name = options.get("name") or plain_name(fn)
        self.function = fn
        self.options = options
        self.prompt = Prompt(fn, name)
        self.has_body = has_body(fn)
        super().__init__(_answering(fn, self), name, options.get("version", 1))
        self._unbound = self
        if not self.has_body:
            self.prompt.refuse_nothing()

    @functools.cached_property
    def spec(self) -> AgentSpec:
        """What it is, whatever it is asked. Raises UsageError for options that do not fit each other."""
        options = self.options
        model = options.get("model")
        return AgentSpec(
            name=self.name,
            model=model_of(model) if isinstance(model, str) else model,
            output=Output(self.output, self.name),
            system=options.get("system", ""),
            hands=Hands(options.get("tools", ())),
            hooks=Hooks(tuple(options.get("hooks", ()))),
            limits=Limits(
                turns=options.get("max_turns", 20),
                tokens=options.get("max_total_tokens"),
                cost=options.get("max_cost"),
                time=options.get("max_time"),
            ),
            settings=_settings(options),
            retry=options.get("retry", PATIENT),
            repairs=options.get("repairs", 2),
            memory=options.get("memory"),
            cache=options.get("cache"),
        )

    @property
    def output(self) -> Any:
        """The type of what its model answers."""
        return self.options.get("output", signature_of(self.function).returns.annotation)

    async def run(self, *args: P.args, **kwargs: P.kwargs) -> AgentResult[R]:
        """Call it and hear all about its run; one that stops without a result raises nothing.

        Of an agent whose function has a body, the run is that of the last `answer`.
        """
        return await self.telling(*args, **kwargs)

    @property
    def telling(self) -> Workflow[..., AgentResult[R]]:
        """What `run` calls, as a workflow that can be started."""
        telling: Any = self._unbound._telling
        return telling if self._object is None else telling.__get__(self._object, type(self._object))  # type: ignore[no-any-return]  # as above

    @functools.cached_property
    def _telling(self) -> Workflow[..., AgentResult[R]]:
        telling = _telling(self.function, self)
        output = signature_of(self.__wrapped__).returns.annotation
        returns = AgentResult[output]  # type: ignore[valid-type]  # made at run time on purpose
        telling.__annotations__ = {**self.function.__annotations__, "return": returns}
        return Workflow(telling, f"{self.name}.run", self.version)

    def stream(self, *args: P.args, **kwargs: P.kwargs) -> AgentStream[R]:
        """Call it, and hear what it says meanwhile; from ordinary code only.

        Under a runtime the call is an execution, which goes on if nobody listens any more.
        """
        if current() is not None:
            raise UsageError(f"Workflow code hears only results. Call {self.name}, and stream from outside.")
        spec, engine = self._unbound.spec, ambient_engine.get()
        ear, audience = Ear(spec.output), spec.audience
        if engine is None:
            return AgentStream(ear, audience, functools.partial(self, *args, **kwargs), None)
        execution_id = nested_identity()[0] or SystemClock().new_id()
        program = self.program
        started = functools.partial(call, engine, program, program.signature.bind(args, kwargs), id=execution_id)
        return AgentStream(ear, audience, started, execution_id)

    @property
    def variants(self) -> Sequence[Workflow[..., Any]]:
        """The other workflows that come with it."""
        return (self.telling,)

    def replace(self, **options: Unpack[AgentOptions]) -> Self:
        """Another agent of the same function, with some options changed."""
        other = type(self)(self.function, {**self.options, **options})
        return other if self._object is None else other.__get__(self._object, type(self._object))

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self: "Agent[Concatenate[S, Q], U]", instance: S, owner: type) -> "Agent[Q, U]": ...

    def __get__(self, instance: Any, owner: type) -> Any:
        return super().__get__(instance, owner)


class Question:
    """One call of an agent's function."""

    def __init__(self, agent: Agent[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.agent = agent
        self.arguments = signature_of(agent.function).bind(args, kwargs)
        self.last: AgentResult[Any] | None = None

    def value(self) -> Coroutine[Any, Any, Any]:
        """What the function returns: the model's answer to its template, or what its body makes of it."""
        return self._of_body() if self.agent.has_body else self.answer()

    async def _of_body(self) -> Any:
        args, kwargs = signature_of(self.agent.function).spread(self.arguments)
        token = question.set(self)
        try:
            return await self.agent.function(*args, **kwargs)
        finally:
            question.reset(token)

    async def result(self) -> AgentResult[Any]:
        """The same, with all about the run."""
        try:
            value = await self.value()
        except AgentStopped:
            if self.last is None or self.last.stop is StopReason.FINAL:
                raise  # it is another agent that stopped
            return self.last
        if self.last is None:
            raise UsageError(f"{self.agent.name} has asked no model, so there is nothing to tell. Call it itself.")
        return replace(self.last, output=value)

    async def answer(self, prompt: str | None = None) -> Any:
        """Ask the model, by default what the template says. Raises AgentStopped, ModelError."""
        text = self.agent.prompt.filled(self.arguments) if prompt is None else prompt
        session = str(self.arguments.get(SESSION) or "")
        self.last = await Run(self.agent.spec, session=session).result(text)
        return output_of(self.last, self.agent.name)


question: ContextVar[Question | None] = ContextVar("question", default=None)


async def answer(prompt: str | None = None) -> Any:
    """In the body of an agent's function: the model's result for this prompt, or for the docstring as a template.

    Raises AgentStopped if the model gives none, ModelError if it fails.
    """
    asked = question.get()
    if asked is None:
        raise OutsideWorkflow("answer() belongs into the body of a function that is decorated with @agent.")
    return await asked.answer(prompt)


@overload
def agent(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Agent[P, R]: ...


@overload
def agent(**options: Unpack[AgentOptions]) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Agent[P, R]]: ...


def agent(fn: Callable[..., Any] | None = None, /, **options: Unpack[AgentOptions]) -> Any:
    """Let a model find the result of an async function.

    Its docstring is the prompt: a Jinja template over its arguments, whose values are only data. Its return annotation
    (or `output`) is the type of the result; an answer that does not fit is shown to the model with what is wrong, up to
    `repairs` times. A function with a body does what it says, and asks the model with `await answer(prompt)`.

    Raises PromptError at once for a template that names what is no parameter. A call raises AgentStopped when a limit
    is reached or no valid result comes, ModelError when the model fails for good.
    """

    def decorate(fn: Callable[..., Any]) -> Agent[..., Any]:
        if not inspect.iscoroutinefunction(fn):
            raise TypeError(f"@agent needs an async function, and {plain_name(fn)} is not: write `async def`.")
        return Agent(fn, options)

    return decorate if fn is None else decorate(fn)


def has_body(fn: Callable[..., Any]) -> bool:
    """Whether a function does anything beside having a docstring."""
    empty = {each.__code__.co_code for each in (_told, _silent)}
    return fn.__code__.co_code not in empty


async def _told() -> None:
    """Nothing but this."""


async def _silent() -> None:
    pass


def _answering(fn: Callable[P, Any], agent: Agent[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    @functools.wraps(fn)
    async def answering(*args: P.args, **kwargs: P.kwargs) -> R:
        return await Question(agent, args, kwargs).value()  # type: ignore[no-any-return]  # read as the function's own

    if "output" in agent.options and not agent.has_body:
        answering.__annotations__ = {**fn.__annotations__, "return": agent.options["output"]}
    return answering


def _telling(fn: Callable[P, Any], agent: Agent[P, R]) -> Callable[P, Coroutine[Any, Any, AgentResult[R]]]:
    @functools.wraps(fn)
    async def telling(*args: P.args, **kwargs: P.kwargs) -> AgentResult[R]:
        return await Question(agent, args, kwargs).result()

    return telling


def _settings(options: AgentOptions) -> ModelSettings:
    settings = options.get("settings", ModelSettings())
    own: Any = {name: options.get(name) for name in ("temperature", "max_tokens", "top_p") if name in options}
    return replace(settings, **own)

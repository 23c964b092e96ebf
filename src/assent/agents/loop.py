"""The loop of an agent: ask the model, do what it wants, tell it what came of it, until it has an answer.

This is workflow code. Under a runtime each model request and each tool call is a recorded step, so after a crash the
loop comes back to the same place with the same messages, and nothing that has finished is asked or done again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final, Generic, TypeVar

from assent.agents.cache import Cache, CachedModel
from assent.agents.choosing import chosen
from assent.agents.hands import Hands
from assent.agents.hooks import Hooks
from assent.agents.limits import Limits, StopReason
from assent.agents.messages import (
    REQUEST,
    RESPONSE,
    Message,
    ModelRequest,
    ModelResponse,
    ModelSettings,
    Usage,
    UserMessage,
    writable,
)
from assent.agents.models import Model
from assent.agents.notes import FACTS, RunNotes
from assent.agents.output import Output, OutputInvalid
from assent.agents.recollection import Recollection
from assent.agents.streaming import Audience
from assent.clock import seconds
from assent.engine import LiveExecution, StepSpec
from assent.errors import AgentStopped, ModelRateLimited, ModelUnavailable
from assent.resilience import Retry

T = TypeVar("T")

# Four attempts over some ten seconds get past the hiccups of a provider; an outage is for a FallbackModel.
PATIENT: Final = Retry(4, initial=0.5, maximum="30s", on=(ModelUnavailable, ModelRateLimited))

EMPTY: Final = "You said nothing. Give the result."


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """What an agent is, whatever it is asked."""

    name: str
    model: Model | None
    output: Output
    system: str
    hands: Hands
    hooks: Hooks
    limits: Limits
    settings: ModelSettings
    retry: Retry
    repairs: int  # how often the model may mend an answer that is no valid result
    memory: Recollection | None
    cache: Cache | None
    audience: Audience = field(default_factory=Audience)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentResult(Generic[T]):
    """What one run of an agent came to. Its `messages` begin with the prompt."""

    output: T | None = None  # the result; None if there is none
    stop: StopReason
    turns: int
    usage: Usage
    cost: Decimal  # US dollars, of the requests for which a price is known
    messages: tuple[Message, ...]
    reason: str = ""  # more words on why it stopped


class Inquiry:
    """What a run asks its model: one request at a time."""

    request: ModelRequest  # the one that is to be asked now

    def __init__(self, spec: AgentSpec) -> None:
        model = chosen(spec.model, spec.name)
        self.name = model.name
        self._model = CachedModel(model, spec.cache) if spec.cache else model
        self._audience = spec.audience

    async def perform(self, _facts: Mapping[str, Any]) -> ModelResponse:
        """Ask it, in an attempt of its own."""
        response = await self._audience.ask(self._model, self.request)
        message = writable(response.message)
        return response if message is response.message else replace(response, message=message)


class Run:
    """One run of an agent: what has been said, and what it has used up."""

    def __init__(self, spec: AgentSpec, session: str = "") -> None:
        self.spec = spec
        self.session = session
        self.notes = RunNotes(spec.name)
        self.inquiry = Inquiry(spec)
        self.repairs = 0
        self.usage = Usage()
        self.cost = Decimal(0)
        self.earlier: Sequence[Message] = ()
        self.messages: list[Message] = []
        self.suggestions: Sequence[Message] = ()  # of hooks, which the model has yet to be told
        self.output: Any = None
        self.reason = ""
        self._attempt = _attempting(self.inquiry, spec, self.notes.live)

    async def result(self, prompt: str) -> AgentResult[Any]:
        """Run to the end, whatever that is. Raises what the model failed with."""
        self.messages.append(UserMessage(prompt))
        self.notes.begin(self.inquiry.name, prompt)
        with self.notes:
            stop = await self._talk()
        self.notes.end(stop, self.reason)
        return AgentResult(
            output=self.output,
            stop=stop,
            turns=self.notes.turns,
            usage=self.usage,
            cost=self.cost,
            messages=tuple(self.messages),
            reason=self.reason,
        )

    def _talk(self) -> Coroutine[Any, Any, StopReason]:
        """The conversation, in the memory and the time that the agent has."""
        memory, time = self.spec.memory, self.spec.limits.time
        talk = self._converse() if memory is None else self._remembering(memory)
        return talk if time is None else _in_time(talk, seconds(time))

    async def _remembering(self, memory: Recollection) -> StopReason:
        name = self.spec.name
        self.earlier = await memory.before(name, self.session, self.messages[0].text)
        stop = await self._converse()
        await memory.after(name, self.session, self.messages)
        return stop

    async def _converse(self) -> StopReason:
        limits, hands, hooks = self.spec.limits, self.spec.hands, self.spec.hooks
        while (reached := limits.reached(self.notes.turns, self.usage, self.cost)) is None:
            request = self._next_request()
            response = await (self._ask_watched(request) if hooks.hooks else self._ask(request))
            if response is None:
                return StopReason.BLOCKED
            self.messages.append(response.message)
            if response.message.calls:
                self.messages += await hands.perform(response.message.calls, hooks)
            elif not self.suggestions and (stop := self._understood(response)) is not None:
                return stop
            self.messages += self.suggestions
            self.suggestions = ()
        return reached

    def _understood(self, response: ModelResponse) -> StopReason | None:
        """Read an answer. None: it is not valid, and the model may mend it."""
        if response.finish == "content_filter":
            return StopReason.CONTENT_FILTER
        try:
            if not response.message.text.strip():
                raise OutputInvalid(EMPTY)
            output = self.spec.output.read(response.message.text)
        except OutputInvalid as error:
            return self._mended(str(error), response)
        if response.finish == "length" and isinstance(output, str):
            return StopReason.LENGTH
        self.output = output
        return StopReason.FINAL

    def _mended(self, problem: str, response: ModelResponse) -> StopReason | None:
        if self.repairs >= self.spec.repairs:
            self.reason = problem
            return StopReason.LENGTH if response.finish == "length" else StopReason.OUTPUT_INVALID
        self.repairs += 1
        self.messages.append(UserMessage(problem))
        return None

    # One model request.

    def _next_request(self) -> ModelRequest:
        return ModelRequest(
            messages=(*self.earlier, *self.messages),
            system=self.spec.system,
            tools=self.spec.hands.schemas,
            output=self.spec.output.schema,
            settings=self.spec.settings,
        )

    async def _ask_watched(self, request: ModelRequest) -> ModelResponse | None:
        """Ask the model, with what hooks have to say to it. None: they have blocked it."""
        hooks = self.spec.hooks
        before = await hooks.ask("before_model", request, REQUEST, lambda found: (_own_copy(found),))
        if before.blocked is not None:
            self.reason = before.blocked
            return None
        told = [UserMessage(text) for text in before.suggestions]
        self.messages += told
        request = replace(before.value, messages=(*before.value.messages, *told))
        response = await self._ask(request)
        after = await hooks.ask("after_model", response, RESPONSE, lambda found: (found,))  # it cannot be changed
        if after.blocked is not None:
            self.reason = after.blocked
            return None
        self.suggestions = [UserMessage(text) for text in after.suggestions]
        return after.value

    async def _ask(self, request: ModelRequest) -> ModelResponse:
        """One request, which is paid for whatever becomes of the answer."""
        self.inquiry.request = request
        response = await self._attempt(self.notes.next_turn())
        self.usage += response.usage
        self.cost += response.cost or 0
        return response


def _own_copy(request: ModelRequest) -> ModelRequest:
    """A request that shares nothing with this one but its messages, which cannot be changed."""
    rest: ModelRequest = REQUEST.decode(REQUEST.encode(replace(request, messages=())))
    return replace(rest, messages=request.messages)


async def _in_time(talk: Coroutine[Any, Any, StopReason], longest: float) -> StopReason:
    limit = asyncio.timeout(longest)
    try:
        async with limit:
            return await talk
    except TimeoutError:
        if not limit.expired():
            raise
        return StopReason.TIME_LIMIT


def _attempting(
    inquiry: Inquiry, spec: AgentSpec, live: LiveExecution | None
) -> Callable[[Mapping[str, Any]], Awaitable[ModelResponse]]:
    """What performs the requests of a run, with their retries: recorded steps where there is a journal."""
    if live is None:
        return lambda facts: spec.retry.call(inquiry.perform, facts)
    # Its arguments do not repeat the messages, which the steps before it have told.
    step = StepSpec(
        name=f"model {inquiry.name}",
        perform=inquiry.perform,
        signature=FACTS,
        returns=RESPONSE,
        retry=spec.retry,
        redact=spec.hands.redact,
    )
    return partial(live.run_step, step)


def output_of(result: AgentResult[Any], agent: str) -> Any:
    """The output of a run. Raises AgentStopped if there is none."""
    if result.stop is StopReason.FINAL:
        return result.output
    why = f": {result.reason}" if result.reason else ""
    raise AgentStopped(
        f"agent {agent} stopped without a result ({result.stop.value}, after {result.turns} turns){why}",
        agent=agent,
        reason=result.stop.value,
    )

"""The loop of an agent: ask the model, do what it wants, tell it what came of it, until it has an answer.

This is workflow code. Under a runtime each model request and each tool call is a recorded step, so after a crash the
loop comes back to the same place with the same messages, and nothing that has finished is asked or done again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
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
from assent.agents.notes import RunNotes, facts_of_request
from assent.agents.output import Output, OutputInvalid
from assent.agents.recollection import Recollection
from assent.agents.streaming import Audience
from assent.codec import signature_of
from assent.engine import StepSpec, current
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


@dataclass(slots=True)
class Run:
    """One run of an agent: what has been said, and what it has used up."""

    spec: AgentSpec
    session: str = ""
    notes: RunNotes = field(init=False)
    repairs: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: Decimal = Decimal(0)
    earlier: Sequence[Message] = ()
    messages: list[Message] = field(default_factory=list)
    suggestions: Sequence[Message] = ()  # of hooks, which the model has yet to be told
    output: Any = None
    reason: str = ""

    def __post_init__(self) -> None:
        self.notes = RunNotes(self.spec.name)

    async def result(self, prompt: str) -> AgentResult[Any]:
        """Run to the end, whatever that is. Raises what the model failed with."""
        self.messages.append(UserMessage(prompt))
        self.notes.begin(chosen(self.spec.model, self.spec.name).name, prompt)
        with self.notes.ending_if_it_fails():
            stop = await self._in_time()
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

    async def _in_time(self) -> StopReason:
        seconds: Any = self.spec.limits.time
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._remembering()
        except TimeoutError:
            if not limit.expired():
                raise
            return StopReason.TIME_LIMIT

    async def _remembering(self) -> StopReason:
        memory, name = self.spec.memory, self.spec.name
        if memory is None:
            return await self._converse()
        self.earlier = await memory.before(name, self.session, self.messages[0].text)
        stop = await self._converse()
        await memory.after(name, self.session, self.messages)
        return stop

    async def _converse(self) -> StopReason:
        limits, spec = self.spec.limits, self.spec
        while (reached := limits.reached(self.notes.turns, self.usage.total_tokens, self.cost)) is None:
            response = await self._ask()
            if response is None:
                return StopReason.BLOCKED
            if response.message.calls:
                self.messages += await spec.hands.perform(response.message.calls, spec.hooks)
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

    async def _ask(self) -> ModelResponse | None:
        """Ask the model, with what hooks have to say to it. None: they have blocked it."""
        hooks = self.spec.hooks
        if not hooks.hooks:
            return self._heard(await self._request(self._next_request()))
        before = await hooks.ask("before_model", self._next_request(), REQUEST)
        if before.blocked is not None:
            self.reason = before.blocked
            return None
        told = [UserMessage(text) for text in before.suggestions]
        self.messages += told
        request = replace(before.value, messages=(*before.value.messages, *told))
        after = await hooks.ask("after_model", await self._request(request), RESPONSE)
        if after.blocked is not None:
            self.reason = after.blocked
            return None
        self.suggestions = [UserMessage(text) for text in after.suggestions]
        return self._heard(after.value)

    def _next_request(self) -> ModelRequest:
        return ModelRequest(
            messages=(*self.earlier, *self.messages),
            system=self.spec.system,
            tools=self.spec.hands.schemas,
            output=self.spec.output.schema,
            settings=self.spec.settings,
        )

    async def _request(self, request: ModelRequest) -> ModelResponse:
        """One request, which is paid for whatever becomes of the answer."""
        response = await self._recorded(request)
        self.usage += response.usage
        self.cost += response.cost or 0
        return response

    async def _recorded(self, request: ModelRequest) -> ModelResponse:
        """One request, as a recorded step where there is a journal."""
        facts = self.notes.next_turn()
        live, model = current(), chosen(self.spec.model, self.spec.name)
        cache = self.spec.cache
        asked = CachedModel(model, cache) if cache else model

        async def perform(_facts: Mapping[str, Any]) -> ModelResponse:
            response = await self.spec.audience.ask(asked, request)
            return replace(response, message=writable(response.message))

        if live is None:
            return await self.spec.retry.call(perform, facts)

        # Its arguments do not repeat the messages, which the steps before it have told.
        step = StepSpec(
            name=f"model {model.name}",
            perform=perform,
            signature=signature_of(facts_of_request),
            returns=RESPONSE,
            retry=self.spec.retry,
            redact=self.spec.hands.hush,
        )
        return await live.run_step(step, facts)  # type: ignore[no-any-return]  # a ModelResponse

    def _heard(self, response: ModelResponse) -> ModelResponse:
        self.messages.append(response.message)
        return response


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

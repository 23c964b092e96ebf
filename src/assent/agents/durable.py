"""Agents made with Pydantic AI, as they are: in workflow code their requests and tool calls become recorded steps.

Their own loop runs as workflow code, which it can since it only waits for models and tools. Toolsets that must ask
somebody for their tools, such as those of MCP servers, touch the world in between and are refused there; their tools
are reached by tools of one's own.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from inspect import Parameter
from inspect import Signature as Parameters
from typing import Any, Final, Self, TypeVar

from pydantic_ai import messages as wire
from pydantic_ai.agent import AbstractAgent, AgentRun, WrapperAgent
from pydantic_ai.models import CompletedStreamedResponse, Model, ModelRequestParameters, StreamedResponse, infer_model
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext
from pydantic_ai.toolsets.abstract import AbstractToolset, ToolsetTool
from pydantic_ai.toolsets.wrapper import WrapperToolset
from pydantic_core import to_jsonable_python

from assent.agents.limits import StopReason
from assent.agents.messages import RESPONSE, ModelResponse
from assent.agents.notes import FACTS, RunNotes
from assent.agents.translation import Question, response_of
from assent.codec import Signature, codec_for
from assent.engine import LiveExecution, StepSpec, current
from assent.errors import UsageError
from assent.governance import ambient_authority
from assent.governance.flow import Flow
from assent.governance.terms import PolicySet, Subject, Terms

D = TypeVar("D")
R = TypeVar("R")

JSON: Final = codec_for(Any)


def durable(agent: AbstractAgent[D, R], *, name: str | None = None) -> "DurableAgent[D, R]":
    """The same agent, for workflow code: `await durable(agent).run(...)` survives crashes, and its tools are governed.

    The policies of the runtime see each tool call as an action of the tool's name. Results of tools come back as JSON
    data. Outside of workflow code it is the agent itself. Without a name of its own it needs `name`.
    """
    return DurableAgent(agent, name)


class DurableAgent(WrapperAgent[D, R]):
    """What `durable` makes of an agent."""

    def __init__(self, agent: AbstractAgent[D, R], name: str | None) -> None:
        super().__init__(agent)
        if not (name or agent.name):
            raise UsageError(
                'The journal tells of an agent by its name. Give it one, as in durable(agent, name="clerk").'
            )
        self._called = name or agent.name or ""

    @asynccontextmanager
    async def iter(self, user_prompt: Any = None, **options: Any) -> AsyncGenerator[AgentRun[D, Any]]:
        live = current()
        if live is None:
            async with self.wrapped.iter(user_prompt, **options) as run:
                yield run
            return
        given = options.pop("model", None) or self.wrapped.model
        if given is None:
            raise UsageError(f"The agent {self._called} has no model. Give it one.")
        notes = RunNotes(self._called, live)
        model = RecordedModel(infer_model(given), live, notes)
        toolsets = [RecordedToolset(each) for each in self.wrapped.toolsets]
        notes.begin(model.name, str(user_prompt or ""))
        with notes, self.wrapped.override(model=model, toolsets=toolsets, tools=[]):
            async with self.wrapped.iter(user_prompt, **options) as run:
                yield run
        notes.end(StopReason.FINAL)


class RecordedModel(WrapperModel):
    """A model whose answers are recorded."""

    def __init__(self, model: Model, live: LiveExecution, notes: RunNotes) -> None:
        super().__init__(model)
        self._live, self._notes = live, notes

    @property
    def name(self) -> str:
        return f"{self.wrapped.system}:{self.wrapped.model_name}"

    async def __aenter__(self) -> Self:
        return self  # its connections are opened in the steps

    async def __aexit__(self, *_: object) -> None:
        return None

    async def request(
        self,
        messages: list[wire.ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> wire.ModelResponse:
        asked = Question(messages, model_settings or ModelSettings(), model_request_parameters, None)

        async def perform(_facts: Mapping[str, Any]) -> ModelResponse:
            answer = await self.wrapped.request(messages, model_settings, model_request_parameters)
            return response_of(answer, asked, self.wrapped.model_name)

        step = StepSpec(name=f"model {self.name}", perform=perform, signature=FACTS, returns=RESPONSE)
        return _restored(await self._live.run_step(step, self._notes.next_turn()))

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[wire.ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncIterator[StreamedResponse]:
        # Workflow code hears only what is recorded, which is the whole answer.
        answer = await self.request(messages, model_settings, model_request_parameters)
        yield CompletedStreamedResponse(model_request_parameters, answer)


@dataclass
class RecordedToolset(WrapperToolset[D]):
    """A toolset whose calls are recorded, and pass the policies of the runtime."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def for_run(self, ctx: RunContext[D]) -> AbstractToolset[D]:
        return replace(self, wrapped=await self.wrapped.for_run(ctx))

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[D], tool: ToolsetTool[D]) -> Any:
        live = current()
        if live is None:
            return await self.wrapped.call_tool(name, tool_args, ctx, tool)

        async def perform(**arguments: Any) -> Any:
            async with self.wrapped:
                found = await self.wrapped.call_tool(name, arguments, ctx, tool)
            return to_jsonable_python(found.return_value if isinstance(found, wire.ToolReturn) else found)

        return await _through_the_gate(live, name, tool_args, perform)


async def _through_the_gate(live: LiveExecution, name: str, arguments: dict[str, Any], perform: Any) -> Any:
    signature, authority, terms = _signature(name, tuple(arguments)), ambient_authority.get(), Terms(once=False)
    rules = PolicySet.for_action(authority.policies if authority else (), name, terms)
    if rules.policies:
        subject = Subject(name=name, terms=terms, signature=signature, perform=perform)
        return await Flow(subject, rules, live, arguments).run()

    async def act(given: Mapping[str, Any]) -> Any:
        return await perform(**given)

    step = StepSpec(name=f"tool {name}", perform=act, signature=signature, returns=JSON)
    return await live.run_step(step, arguments)


def _signature(name: str, names: Sequence[str]) -> Signature:
    """The parameters of a tool, which only its toolset knows by more than their names."""

    async def tool(**_: Any) -> Any: ...

    tool.__name__ = name
    parameters = [Parameter(each, Parameter.KEYWORD_ONLY) for each in names]
    tool.__signature__ = Parameters(parameters)  # type: ignore[attr-defined]  # what `inspect` looks for
    tool.__annotations__ = {}
    return Signature(tool)


def _restored(response: ModelResponse) -> wire.ModelResponse:
    (answer,) = wire.ModelMessagesTypeAdapter.validate_json(response.message.raw or "[]")
    if not isinstance(answer, wire.ModelResponse):
        raise TypeError(f"the journal holds {type(answer).__name__} where an answer of {response.model} should be")
    usage = response.usage
    answer.usage.input_tokens, answer.usage.output_tokens = usage.input_tokens, usage.output_tokens
    answer.usage.cache_read_tokens, answer.usage.cache_write_tokens = usage.cache_read_tokens, usage.cache_write_tokens
    return answer

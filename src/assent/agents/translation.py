"""Requests, answers and failures of models: ours, and the same in pydantic-ai's words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from pydantic import ValidationError
from pydantic_ai import exceptions
from pydantic_ai import messages as wire
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings as WireSettings
from pydantic_ai.tools import ToolDefinition

from assent.agents.messages import (
    AssistantMessage,
    FinishReason,
    ModelRequest,
    ModelResponse,
    OutputSchema,
    ToolCall,
    ToolMessage,
    ToolSchema,
    Usage,
    UserMessage,
)
from assent.codec import to_json
from assent.errors import ModelError, ModelRateLimited, ModelRefused, ModelUnavailable

# The tool by whose call a model gives its answer, where it cannot be held to a JSON schema otherwise.
ANSWER = "final_answer"

# What such a call gets for a result when the conversation goes on, since providers refuse a call without one.
RECEIVED = "Received. Call this tool again to give another answer."

# Letters of a provider's own words in an error. It is for people, and a proxy may answer with a whole page.
REASON_LETTERS = 500

# What providers and proxies answer with a status of 4xx although another try may pass.
PASSING: Final = frozenset({408, 409, 425})

FINISHES: Final[Mapping[str, FinishReason]] = MappingProxyType(
    {"stop": "stop", "length": "length", "content_filter": "content_filter", "error": "error"}
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request in pydantic-ai's words."""

    messages: list[wire.ModelMessage]
    settings: WireSettings
    parameters: ModelRequestParameters
    answer_tool: str | None  # None: the answer is text


class Pieces:
    """The text of an answer, piece by piece as the events of its stream come."""

    def __init__(self, answer_tool: str | None) -> None:
        self.told = ""
        self._answer_tool = answer_tool
        self._answer: int | None = None  # the part of the stream that is the answer

    def of(self, event: wire.ModelResponseStreamEvent) -> str:
        """What an event adds to the text."""
        piece = self._call(event) if self._answer_tool else _spoken(event)
        self.told += piece
        return piece

    def rest(self, text: str) -> str:
        """What is left of the whole text: that of a model which was to call the answer tool, and spoke instead."""
        return text[len(self.told) :] if text.startswith(self.told) else ""

    def _call(self, event: wire.ModelResponseStreamEvent) -> str:
        match event:
            case wire.PartStartEvent(part=wire.ToolCallPart() as part) if part.tool_name == self._answer_tool:
                if self._answer is None:
                    self._answer = event.index
                    return _arguments(part) if part.args else ""
            case wire.PartDeltaEvent(delta=wire.ToolCallPartDelta(args_delta=str(piece))):
                return piece if event.index == self._answer else ""
            case _:
                pass
        return ""


def _spoken(event: wire.ModelResponseStreamEvent) -> str:
    match event:
        case wire.PartStartEvent(part=wire.TextPart(content=piece)):
            return piece
        case wire.PartDeltaEvent(delta=wire.TextPartDelta(content_delta=piece)):
            return piece
        case _:
            return ""


def question_of(request: ModelRequest, profile: ModelProfile, settings: WireSettings) -> Question:
    """A request as a model with this profile takes it; `settings` give way to those that the request asks for."""
    tool = None
    parameters = ModelRequestParameters(function_tools=[_definition(each) for each in request.tools])
    if request.output is not None and _is_native(request, profile):
        parameters.output_mode = "native"
        parameters.output_object = _object(request.output)
    elif request.output is not None:
        tool = _answer_tool(request)
        parameters.output_mode = "tool"
        parameters.allow_text_output = False
        parameters.output_tools = [_definition(_answering(tool, request.output), kind="output")]
    return Question(_history(request), _settings(request, settings), parameters, tool)


def response_of(answer: wire.ModelResponse, question: Question, model: str) -> ModelResponse:
    """An answer in our words; `model` is its name in case the provider does not say it."""
    message = _message(answer, question.answer_tool)
    finish = FINISHES.get(answer.finish_reason or "", "stop")
    return ModelResponse(
        message=message,
        model=answer.model_name or model,
        usage=Usage(
            answer.usage.input_tokens,
            answer.usage.output_tokens,
            answer.usage.cache_read_tokens,
            answer.usage.cache_write_tokens,
        ),
        cost=_cost(answer),
        finish="tool_calls" if message.calls and finish == "stop" else finish,
    )


def failure_of(error: Exception, model: str, secret: str | None) -> ModelError:
    """A failure in our words, without the secret. Raise it `from None`: a cause would tell what it conceals."""
    status = error.status_code if isinstance(error, exceptions.ModelHTTPError) else None
    said = _reason(error)
    if secret:
        said = said.replace(secret, "***")
    answered = "failed" if status is None else f"answered {status}"
    text = f"The model {model!r} {answered}: {said[:REASON_LETTERS]}"
    retry_after = error.retry_after if isinstance(error, exceptions.ModelAPIError) else None
    if isinstance(error, exceptions.ModelRateLimitError):
        return ModelRateLimited(text, model=model, status=status, retry_after=retry_after)
    if _is_final(error, status):
        return ModelRefused(text, model=model, status=status)
    return ModelUnavailable(text, model=model, status=status, retry_after=retry_after)


def _is_final(error: Exception, status: int | None) -> bool:
    match error:
        case exceptions.UserError() | exceptions.ModelRequestRejectedError() | exceptions.ModelQuotaExceededError():
            return True
        case _:
            return status is not None and 400 <= status < 500 and status not in PASSING


def _reason(error: Exception) -> str:
    """What a provider says itself, as far as it says it in one of the usual ways."""
    body = getattr(error, "body", None) if isinstance(error, exceptions.ModelHTTPError) else None
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        body = body["error"]
    if isinstance(body, Mapping) and isinstance(body.get("message"), str):
        return str(body["message"])
    if isinstance(error, exceptions.ModelHTTPError):
        return str(body or "no reason given")
    return str(getattr(error, "message", error)) or type(error).__name__


# Requests


def _history(request: ModelRequest) -> list[wire.ModelMessage]:
    history: list[wire.ModelMessage] = []
    parts: list[wire.ModelRequestPart] = []
    for message in request.messages:
        if not isinstance(message, AssistantMessage):
            parts.append(_part(message))
            continue
        said = _said(message)
        if parts:
            history.append(wire.ModelRequest(parts=parts))
        history.append(said)
        parts = _received(message, said)
    history.append(wire.ModelRequest(parts=parts, instructions=request.system or None))
    return history


def _part(message: UserMessage | ToolMessage) -> wire.ModelRequestPart:
    if isinstance(message, UserMessage):
        return wire.UserPromptPart(message.text)
    return wire.ToolReturnPart(
        message.name, message.text, message.call_id, outcome="failed" if message.failed else "success"
    )


def _said(message: AssistantMessage) -> wire.ModelResponse:
    """The provider's own form, unless the message has been changed since."""
    kept = _kept(message.raw)
    if kept is not None:
        calls = [_call(part) for part in kept.tool_calls]
        texts = {_text(kept), *(call.arguments for call in calls)}
        if message.text in texts and set(message.calls) <= set(calls):
            return kept
    parts: list[wire.ModelResponsePart] = [wire.TextPart(message.text)] if message.text else []
    parts.extend(wire.ToolCallPart(call.name, call.arguments, call.id) for call in message.calls)
    return wire.ModelResponse(parts=parts)


def _kept(raw: str | None) -> wire.ModelResponse | None:
    if raw is None:
        return None
    try:
        kept = wire.ModelMessagesTypeAdapter.validate_json(raw)
    except ValidationError:
        # Another model of ours has written it, in a form of its own.
        return None
    return kept[0] if len(kept) == 1 and isinstance(kept[0], wire.ModelResponse) else None


def _received(message: AssistantMessage, said: wire.ModelResponse) -> list[wire.ModelRequestPart]:
    known = {call.id for call in message.calls}
    return [
        wire.ToolReturnPart(part.tool_name, RECEIVED, part.tool_call_id)
        for part in said.tool_calls
        if part.tool_call_id not in known
    ]


def _settings(request: ModelRequest, settings: WireSettings) -> WireSettings:
    asked = request.settings
    given = {
        "temperature": asked.temperature,
        "max_tokens": asked.max_tokens,
        "top_p": asked.top_p,
        "seed": asked.seed,
        "stop_sequences": list(asked.stop) or None,
        # The second is for one read of a socket; a library's own default may be shorter.
        "request_timeout": asked.timeout,
        "timeout": asked.timeout,
    }
    known = {name: value for name, value in given.items() if value is not None}
    return cast("WireSettings", {**settings, **known, **asked.extra})


def _is_native(request: ModelRequest, profile: ModelProfile) -> bool:
    # Older models of Google take a schema or tools, not both. No other provider has that setting.
    beside_tools = cast("Mapping[str, Any]", profile).get("google_supports_tool_combination", True)
    return profile.get("supports_json_schema_output", False) and (not request.tools or beside_tools)


def _definition(tool: ToolSchema, kind: Literal["function", "output"] = "function") -> ToolDefinition:
    return ToolDefinition(
        name=tool.name, parameters_json_schema=dict(tool.parameters), description=tool.description, kind=kind
    )


def _object(output: OutputSchema) -> OutputObjectDefinition:
    # Names of types may have brackets, which providers refuse.
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", output.name)[:64]
    return OutputObjectDefinition(dict(output.schema), name=name, description=output.description or None)


def _answering(name: str, output: OutputSchema) -> ToolSchema:
    return ToolSchema(name, f"Give the final answer: {output.description or output.name}", output.schema)


def _answer_tool(request: ModelRequest) -> str:
    taken = {tool.name for tool in request.tools}
    name = ANSWER
    while name in taken:
        name += "_"
    return name


# Answers


def _message(answer: wire.ModelResponse, answer_tool: str | None) -> AssistantMessage:
    calls = tuple(_call(part) for part in answer.tool_calls if part.tool_name != answer_tool)
    answers = [_arguments(part) for part in answer.tool_calls if part.tool_name == answer_tool]
    text = answers[0] if answers else _text(answer)
    raw = wire.ModelMessagesTypeAdapter.dump_json([answer], exclude_none=True, exclude={"__all__": {"usage"}})
    return AssistantMessage(text, calls, raw.decode())


def _text(answer: wire.ModelResponse) -> str:
    return "".join(part.content for part in answer.parts if isinstance(part, wire.TextPart))


def _call(part: wire.ToolCallPart) -> ToolCall:
    return ToolCall(part.tool_call_id, part.tool_name, _arguments(part))


def _arguments(part: wire.ToolCallPart) -> str:
    return part.args if isinstance(part.args, str) and part.args else to_json(part.args or {})


def _cost(answer: wire.ModelResponse) -> Decimal | None:
    try:
        return answer.cost().total_price
    except (LookupError, ValueError):
        # No price is known, or the provider has not said how much was used.
        return None

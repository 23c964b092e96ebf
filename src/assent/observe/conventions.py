"""The names under which telemetry systems know what happens here: OpenTelemetry's GenAI conventions, and our own.

The GenAI conventions still change, so this is the one place that says which of their names are used. They are those of
version 1.37 and later, which speak of providers and not of systems. No prompt, argument or result is ever an attribute.
"""

from collections.abc import Mapping
from typing import Final

from assent.observe.model_calls import ModelCall
from assent.observe.spans import Span, SpanKind
from assent.store import ExecutionRecord

Attributes = dict[str, str | int | float | bool | tuple[str, ...]]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
AGENT: Final = "gen_ai.agent.name"
TOOL: Final = "gen_ai.tool.name"
ERROR: Final = "error.type"
USER: Final = "user.id"

EXECUTION_ID: Final = "assent.execution.id"
EXECUTION_NAME: Final = "assent.execution.name"
EXECUTION_VERSION: Final = "assent.execution.version"
PARENT_ID: Final = "assent.execution.parent_id"
ATTEMPT: Final = "assent.step.attempt"
STOP: Final = "assent.agent.stop"
RUN: Final = "assent.agent.run"
COST: Final = "assent.model.cost_usd"
CACHED: Final = "assent.model.cached"
APPROVAL_ID: Final = "assent.approval.id"
APPROVAL_STATUS: Final = "assent.approval.status"

# As OpenTelemetry calls the providers that users name otherwise.
PROVIDERS: Final[Mapping[str, str]] = {"google": "gcp.gemini", "bedrock": "aws.bedrock", "azure": "azure.ai.openai"}


def name_of(span: Span) -> str:
    """What a span is called: few different names, whatever the arguments are."""
    match span.kind:
        case SpanKind.AGENT:
            return f"invoke_agent {span.name}"
        case SpanKind.MODEL:
            return f"chat {_model_of(span.name)[1]}"
        case SpanKind.TOOL:
            return f"execute_tool {span.name}"
        case SpanKind.APPROVAL:
            return f"approval {span.name}"
        case SpanKind.EXECUTION | SpanKind.STEP:
            return span.name


def attributes_of(span: Span, record: ExecutionRecord, user: str | None) -> Attributes:
    """What is told of a span."""
    found: Attributes = {EXECUTION_ID: record.id}
    if span.error:
        found[ERROR] = span.error
    match span.kind:
        case SpanKind.EXECUTION:
            found |= _execution(record, user)
        case SpanKind.AGENT:
            found |= {OPERATION: "invoke_agent", AGENT: span.name, RUN: int(span.facts.get("run") or 0)}
            found |= {STOP: str(span.facts["stop"])} if "stop" in span.facts else {}
        case SpanKind.MODEL:
            found |= _model(span)
        case SpanKind.TOOL:
            found |= {OPERATION: "execute_tool", TOOL: span.name}
        case SpanKind.APPROVAL:
            found[APPROVAL_ID] = span.key.partition("/")[2]
            found[APPROVAL_STATUS] = str(span.facts.get("status") or "pending")
        case SpanKind.STEP:
            pass
    if span.attempt > 1:
        found[ATTEMPT] = span.attempt
    return found


def _execution(record: ExecutionRecord, user: str | None) -> Attributes:
    found: Attributes = {EXECUTION_NAME: record.name, EXECUTION_VERSION: record.version}
    if record.parent_id is not None:
        found[PARENT_ID] = record.parent_id
    return {**found, USER: user} if user is not None else found


def _model(span: Span) -> Attributes:
    provider, model = _model_of(span.name)
    found: Attributes = {OPERATION: "chat", PROVIDER: provider, REQUEST_MODEL: model}
    return found | _answer(span.call) if span.call is not None else found


def _answer(call: ModelCall) -> Attributes:
    found: Attributes = {
        RESPONSE_MODEL: call.answered_by,
        FINISH_REASONS: (call.finish,),
        INPUT_TOKENS: call.input_tokens,
        OUTPUT_TOKENS: call.output_tokens,
        CACHED: call.cached,
    }
    if call.agent:
        found[AGENT] = call.agent
    return {**found, COST: float(call.cost)} if call.cost is not None else found


def _model_of(name: str) -> tuple[str, str]:
    """The provider and the model that a name such as "openai:gpt-5" stands for."""
    provider, colon, model = name.partition(":")
    return (PROVIDERS.get(provider, provider), model) if colon else ("_OTHER", name)

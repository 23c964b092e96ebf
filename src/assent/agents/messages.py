"""What goes to a model and what comes back: the same for every provider, and plain data that the journal can keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator

from assent.codec import Codec, SureCodec

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model wants a tool to be called."""

    id: str  # given by the model; its result carries the same
    name: str
    arguments: str  # JSON as the model wrote it, which need not be valid


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What a user, or the program, says to the model."""

    text: str
    role: Literal["user"] = "user"


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the model said."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    raw: str | None = None  # the provider's own form as JSON, so that it can be sent back as it came
    role: Literal["assistant"] = "assistant"


@dataclass(frozen=True, slots=True)
class ToolMessage:
    """What became of a tool call."""

    call_id: str
    name: str
    text: str
    failed: bool = False
    role: Literal["tool"] = "tool"


def writable(message: AssistantMessage) -> AssistantMessage:
    """The message as it can be written down: models may break a letter in two, and no text of JSON holds the halves."""
    texts = [message.text, message.raw or ""]
    for call in message.calls:
        texts += (call.id, call.name, call.arguments)
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        calls = [ToolCall(_mended(call.id), _mended(call.name), _mended(call.arguments)) for call in message.calls]
        return AssistantMessage(_mended(message.text), tuple(calls))
    return message


def _mended(text: str) -> str:
    return text.encode(errors="replace").decode()


Message = Annotated[UserMessage | AssistantMessage | ToolMessage, Discriminator("role")]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. Those read from and written to a provider's cache are part of the input tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A tool as a model sees it."""

    name: str
    description: str
    parameters: Mapping[str, Any]  # JSON schema of an object


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The form that the final answer must have."""

    name: str
    schema: Mapping[str, Any]  # JSON schema of an object
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What a request asks of a model beyond its messages; None leaves it to the provider."""

    temperature: float | None = None
    max_tokens: int | None = None  # of one response
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    timeout: float = 120.0  # seconds for one request
    extra: Mapping[str, Any] = field(default_factory=dict)  # further settings by the names of the model layer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request, complete in itself."""

    messages: tuple[Message, ...]
    system: str = ""
    tools: tuple[ToolSchema, ...] = ()
    output: OutputSchema | None = None  # None: plain text
    settings: ModelSettings = ModelSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponse:
    """One answer. With an `output` schema asked for, the text of its message is JSON of that schema, or calls come."""

    message: AssistantMessage
    model: str  # as the provider calls it
    usage: Usage = Usage()
    cost: Decimal | None = None  # US dollars; None: no price is known for this model
    finish: FinishReason = "stop"
    cached: bool = False  # it came from the cache, and cost nothing


REQUEST: Final[Codec] = SureCodec(ModelRequest)
RESPONSE: Final[Codec] = SureCodec(ModelResponse)

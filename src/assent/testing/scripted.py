"""Models for tests and demonstrations, without a key or a network."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any

from assent.agents.messages import AssistantMessage, ModelRequest, ModelResponse, ToolCall, Usage
from assent.codec import to_json
from assent.errors import UsageError

Said = str | ToolCall | Iterable[ToolCall] | AssistantMessage | ModelResponse | BaseException
"""What a model says: a text, tool calls, a whole message or response, or an error to raise."""

# As many letters as a token has on average, near enough for tests of limits and costs.
LETTERS = 4


class ScriptedModel:
    """Says one thing after another, whoever asks; `requests` keeps what it was asked.

    Give a function instead, and it is asked for what to say: `ScriptedModel(lambda request: ...)`. It may be async.
    Tokens are counted as a quarter of the letters; `price` is what one of them costs in US dollars.
    """

    def __init__(
        self,
        *script: Said | Callable[[ModelRequest], Said | Awaitable[Said]],
        name: str = "scripted",
        price: Decimal | str = "0",
    ) -> None:
        self.name = name
        self.requests: list[ModelRequest] = []
        self._script = script
        self._place = 0
        self._price = Decimal(price)

    async def request(self, request: ModelRequest) -> ModelResponse:
        self.requests.append(request)
        said = self._next()
        if callable(said):
            answer = said(request)
            said = await answer if inspect.isawaitable(answer) else answer
        if isinstance(said, BaseException):
            raise said
        return said if isinstance(said, ModelResponse) else self._response(request, _message(said))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        response = await self.request(request)
        for place, word in enumerate(response.message.text.split(" ")):
            yield f" {word}" if place else word
        yield response

    def _next(self) -> Any:
        if len(self._script) == 1 and callable(self._script[0]):
            return self._script[0]
        if self._place >= len(self._script):
            raise UsageError(
                f"ScriptedModel {self.name!r} was asked {self._place + 1} times, and its script has {self._place} "
                "answers. Give it more of them, or a function of the request."
            )
        self._place += 1
        return self._script[self._place - 1]

    def _response(self, request: ModelRequest, message: AssistantMessage) -> ModelResponse:
        asked = len(request.system) + sum(len(each.text) for each in request.messages)
        told = len(message.text) + sum(len(call.arguments) for call in message.calls)
        usage = Usage(asked // LETTERS, told // LETTERS)
        return ModelResponse(
            message=message,
            model=self.name,
            usage=usage,
            cost=self._price * usage.total_tokens,
            finish="tool_calls" if message.calls else "stop",
        )


def tool_call(name: str, id: str = "", **arguments: Any) -> ToolCall:
    """A call that a scripted model makes; its id is made of the tool's name unless given."""
    return ToolCall(id or f"call-{name}", name, to_json(arguments))


def _message(said: Any) -> AssistantMessage:
    if isinstance(said, AssistantMessage):
        return said
    if isinstance(said, str):
        return AssistantMessage(said)
    return AssistantMessage(calls=(said,) if isinstance(said, ToolCall) else tuple(said))

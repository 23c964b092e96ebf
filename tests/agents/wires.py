"""What providers send and expect over the network, as their documentation has it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from assent.agents.messages import ToolCall
from tests.agents.loopback import Answer, Received

# What each answer of these wires has used: 11 tokens in, of which 3 from a cache, and 7 out.
TOKENS_IN, TOKENS_CACHED, TOKENS_OUT = 11, 3, 7


@dataclass(frozen=True)
class Said:
    """What a model says: text in pieces, and calls."""

    pieces: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a provider was asked, as far as all of them have it."""

    key: str
    system: str
    users: list[str]
    called: list[str] = field(default_factory=list)  # ids of the calls that the model is told it has made
    results: list[tuple[str, str]] = field(default_factory=list)  # id and text
    tools: list[str] = field(default_factory=list)
    schema: Any = None
    temperature: float | None = None
    most_tokens: int | None = None


class Wire(Protocol):
    """The wire format of one provider."""

    model: str  # as users name it, for the real address
    variable: str  # that holds its key
    address_variable: str  # that holds its address

    def address(self, url: str) -> str: ...

    def answer(self, said: Said) -> Any: ...

    def events(self, said: Said) -> list[bytes]: ...

    def error(self, status: int, text: str) -> Any: ...

    def asked(self, received: Received) -> Asked: ...


class OpenAIWire:
    model = "openai:gpt-4o"
    variable = "OPENAI_API_KEY"
    address_variable = "OPENAI_BASE_URL"

    def address(self, url: str) -> str:
        return f"{url}/v1"

    def answer(self, said: Said) -> Any:
        calls = [self._call(call) for call in said.calls]
        message = {"role": "assistant", "content": "".join(said.pieces) or None, "tool_calls": calls or None}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        return self._envelope("chat.completion", [choice]) | {"usage": self._usage()}

    def events(self, said: Said) -> list[bytes]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": piece} for piece in said.pieces]
        for index, call in enumerate(said.calls):
            first, last = call.arguments[:4], call.arguments[4:]
            deltas.append({"tool_calls": [self._call(call, first) | {"index": index}]})
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": last}}]})
        choices: list[list[Any]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
        choices.append([{"index": 0, "delta": {}, "finish_reason": "tool_calls" if said.calls else "stop"}])
        chunks = [self._envelope("chat.completion.chunk", each) for each in choices]
        chunks.append(self._envelope("chat.completion.chunk", []) | {"usage": self._usage()})
        return [*(_event(chunk) for chunk in chunks), b"data: [DONE]\n\n"]

    def error(self, status: int, text: str) -> Any:
        return {"error": {"message": text, "type": "error", "code": None, "param": None}}

    def asked(self, received: Received) -> Asked:
        body = received.body
        messages: Sequence[Mapping[str, Any]] = body["messages"]
        return Asked(
            key=received.headers["authorization"].removeprefix("Bearer "),
            system="".join(each["content"] for each in messages if each["role"] in {"system", "developer"}),
            users=[each["content"] for each in messages if each["role"] == "user"],
            called=[call["id"] for each in messages for call in each.get("tool_calls") or ()],
            results=[(each["tool_call_id"], each["content"]) for each in messages if each["role"] == "tool"],
            tools=[tool["function"]["name"] for tool in body.get("tools", ())],
            schema=body.get("response_format", {}).get("json_schema", {}).get("schema"),
            temperature=body.get("temperature"),
            most_tokens=body.get("max_completion_tokens", body.get("max_tokens")),
        )

    def _envelope(self, kind: str, choices: list[Any]) -> dict[str, Any]:
        return {"id": "c1", "object": kind, "created": 1, "model": "gpt-4o-2024-08-06", "choices": choices}

    def _usage(self) -> Any:
        details = {"cached_tokens": TOKENS_CACHED}
        total = TOKENS_IN + TOKENS_OUT
        counted = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": total}
        return counted | {"prompt_tokens_details": details}

    def _call(self, call: ToolCall, arguments: str | None = None) -> dict[str, Any]:
        function = {"name": call.name, "arguments": call.arguments if arguments is None else arguments}
        return {"id": call.id, "type": "function", "function": function}


class AnthropicWire:
    model = "anthropic:claude-haiku-4-5"
    variable = "ANTHROPIC_API_KEY"
    address_variable = "ANTHROPIC_BASE_URL"

    def address(self, url: str) -> str:
        return url

    def answer(self, said: Said) -> Any:
        text = [{"type": "text", "text": "".join(said.pieces)}] if said.pieces else []
        calls = [self._call(call) | {"input": json.loads(call.arguments)} for call in said.calls]
        return self._message([*text, *calls], "tool_use" if calls else "end_turn")

    def events(self, said: Said) -> list[bytes]:
        blocks: list[tuple[Any, list[Any]]] = []
        if said.pieces:
            blocks.append(
                ({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in said.pieces])
            )
        for call in said.calls:
            pieces = (call.arguments[:4], call.arguments[4:])
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            blocks.append((self._call(call) | {"input": {}}, deltas))
        events: list[dict[str, Any]] = [{"type": "message_start", "message": self._message([], None)}]
        for index, (block, deltas) in enumerate(blocks):
            events.append({"type": "content_block_start", "index": index, "content_block": block})
            events.extend({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
            events.append({"type": "content_block_stop", "index": index})
        ending = {"stop_reason": "tool_use" if said.calls else "end_turn", "stop_sequence": None}
        events.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": TOKENS_OUT}})
        events.append({"type": "message_stop"})
        return [f"event: {event['type']}\n".encode() + _event(event) for event in events]

    def error(self, status: int, text: str) -> Any:
        return {"type": "error", "error": {"type": "api_error", "message": text}}

    def asked(self, received: Received) -> Asked:
        body = received.body
        blocks = [
            (message["role"], block)
            for message in body["messages"]
            for block in (
                message["content"]
                if isinstance(message["content"], list)
                else [{"type": "text", "text": message["content"]}]
            )
        ]
        system = body.get("system", "")
        form = body.get("output_config", {}).get("format") or body.get("output_format") or {}
        return Asked(
            key=received.headers["authorization"].removeprefix("Bearer "),
            system=system if isinstance(system, str) else "".join(block["text"] for block in system),
            users=[block["text"] for role, block in blocks if role == "user" and block["type"] == "text"],
            called=[block["id"] for _, block in blocks if block["type"] == "tool_use"],
            results=[(block["tool_use_id"], _text(block)) for _, block in blocks if block["type"] == "tool_result"],
            tools=[tool["name"] for tool in body.get("tools", ())],
            schema=form.get("schema"),
            temperature=body.get("temperature"),
            most_tokens=body.get("max_tokens"),
        )

    def _message(self, content: list[Any], reason: str | None) -> dict[str, Any]:
        usage = {
            "input_tokens": TOKENS_IN - TOKENS_CACHED,
            "output_tokens": TOKENS_OUT,
            "cache_read_input_tokens": TOKENS_CACHED,
            "cache_creation_input_tokens": 0,
        }
        about = {"id": "m1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001"}
        return about | {"content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage}

    def _call(self, call: ToolCall) -> dict[str, Any]:
        return {"type": "tool_use", "id": call.id, "name": call.name}


class GoogleWire:
    model = "google:gemini-2.5-flash"
    variable = "GOOGLE_API_KEY"
    address_variable = "GOOGLE_GEMINI_BASE_URL"

    def address(self, url: str) -> str:
        return url

    def answer(self, said: Said) -> Any:
        parts: list[Any] = [{"text": "".join(said.pieces)}] if said.pieces else []
        return self._part([*parts, *(self._call(call) for call in said.calls)], "STOP")

    def events(self, said: Said) -> list[bytes]:
        parts: list[Any] = [*({"text": piece} for piece in said.pieces), *(self._call(call) for call in said.calls)]
        return [_event(self._part([part])) for part in parts[:-1]] + [_event(self._part(parts[-1:], "STOP"))]

    def error(self, status: int, text: str) -> Any:
        return {"error": {"code": status, "message": text, "status": "SAID"}}

    def asked(self, received: Received) -> Asked:
        body = received.body
        parts = [(content["role"], part) for content in body["contents"] for part in content["parts"]]
        results = [part["functionResponse"] for _, part in parts if "functionResponse" in part]
        settings = body.get("generationConfig", {})
        tools = [tool for each in body.get("tools") or () for tool in each["functionDeclarations"]]
        return Asked(
            key=received.headers["x-goog-api-key"],
            system="".join(part["text"] for part in body.get("systemInstruction", {}).get("parts", ())),
            users=[part["text"] for role, part in parts if role == "user" and "text" in part],
            called=[part["functionCall"]["id"] for _, part in parts if "functionCall" in part],
            results=[(result["id"], next(iter(result["response"].values()))) for result in results],
            tools=[tool["name"] for tool in tools],
            schema=settings.get("responseJsonSchema") or settings.get("responseSchema"),
            temperature=settings.get("temperature"),
            most_tokens=settings.get("maxOutputTokens"),
        )

    def _part(self, parts: list[Any], reason: str | None = None) -> dict[str, Any]:
        usage = {
            "promptTokenCount": TOKENS_IN,
            "candidatesTokenCount": TOKENS_OUT,
            "totalTokenCount": TOKENS_IN + TOKENS_OUT,
            "cachedContentTokenCount": TOKENS_CACHED,
        }
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        if reason is not None:
            candidate["finishReason"] = reason
        about = {"modelVersion": "gemini-2.5-flash", "responseId": "r1"}
        return about | {"candidates": [candidate], "usageMetadata": usage}

    def _call(self, call: ToolCall) -> dict[str, Any]:
        return {"functionCall": {"id": call.id, "name": call.name, "args": json.loads(call.arguments)}}


def answering(wire: Wire, said: Said) -> Callable[[Received], Answer]:
    """The answer in the form that is asked for, whole or streamed."""

    def answer(received: Received) -> Answer:
        is_streamed = isinstance(received.body, dict) and received.body.get("stream")
        if is_streamed or "alt=sse" in received.path:
            return Answer(chunks=tuple(wire.events(said)))
        return Answer(body=wire.answer(said))

    return answer


def refused(wire: Wire, status: int, text: str, **headers: str) -> Answer:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, wire.error(status, text), said)


def _event(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _text(block: Mapping[str, Any]) -> str:
    content = block["content"]
    return content if isinstance(content, str) else "".join(each["text"] for each in content)

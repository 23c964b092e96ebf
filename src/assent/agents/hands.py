"""The tool calls of one turn: side by side, each through the gate of policies, results in the order of the calls."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

from assent.agents.cache import cached_step
from assent.agents.faults import raise_cancellation, told
from assent.agents.hooks import Hooks, ToolUse
from assent.agents.messages import RESPONSE, ModelResponse, ToolCall, ToolMessage, ToolSchema
from assent.codec import codec_for, from_json, to_json
from assent.engine import Step, current
from assent.errors import (
    CodecError,
    MissingKey,
    NotDeterministic,
    OutsideWorkflow,
    PromptError,
    RuntimeRequired,
    StateNotCaptured,
    UsageError,
)
from assent.governance import Governed, ambient_authority
from assent.governance.redaction import REDACTED
from assent.governance.terms import Terms
from assent.governance.veil import UNKNOWN, secrets_of, veiled, without
from assent.tools import Tool, as_tool

# A model reads no more of one result; about ten thousand tokens.
LONGEST_RESULT: Final = 40_000

ARGUMENTS: Final = codec_for(dict[str, Any])
TEXT: Final = codec_for(str)

# What is wrong with the program, and nothing that a model could do something about.
_OURS: Final = (RuntimeRequired, StateNotCaptured, NotDeterministic, OutsideWorkflow, PromptError, MissingKey)


class Hand:
    """One tool, as an agent uses it."""

    def __init__(self, tool: Tool[..., Any]) -> None:
        self.tool = tool
        self.schema = ToolSchema(tool.name, tool.description, tool.parameters)
        self._call = cached_step(tool) if tool.cache_seconds else tool.call
        # Whatever a model calls is under the policies of the runtime. Where there are none, it is only what it is.
        call: Any = self._call
        once = tool.is_once or (isinstance(call, Step) and call.spec.once)
        self._governed = call if isinstance(call, Governed) else Governed(call, Terms(name=tool.name, once=once))

    @property
    def is_governed(self) -> bool:
        """Whether it is so by itself, whatever the policies of the runtime."""
        return self._governed is self._call

    async def perform(self, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """Call it. Its result as text, or what it failed with, and whether it has failed."""
        try:
            value = await self._called(arguments)
            text = str.__str__(value) if isinstance(value, str) else self.tool.signature.returns.encode(value)
        except _OURS:
            raise
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a tool may fail in any way
            raise_cancellation(error)
            return told(error)[:LONGEST_RESULT], True
        if len(text) > LONGEST_RESULT:
            text = f"{text[:LONGEST_RESULT]} [cut: {len(text)} letters in all]"
        return text, False

    def _called(self, arguments: Mapping[str, Any]) -> Awaitable[Any]:
        call, live = self._call, current()
        if self._governed.policies:
            call = self._governed
        elif live is not None and isinstance(call, Step):
            return live.run_step(call.spec, arguments)  # as the step itself would, after binding them once more
        args, kwargs = self.tool.signature.spread(arguments)
        return call(*args, **kwargs)

    def shown(self, arguments: str) -> tuple[str, frozenset[str]]:
        """The arguments of a call as people may read them, and what of them is secret."""
        governed = self._governed
        if not self.is_governed and not governed.policies:
            return arguments, frozenset()
        try:
            given = from_json(arguments or "{}")
        except ValueError:
            return REDACTED, frozenset()  # who knows what it holds
        if not governed.terms.captured:
            return REDACTED, frozenset()
        text, values = to_json(given), UNKNOWN
        with suppress(CodecError):
            values = self.tool.signature.read(given) if isinstance(given, dict) else UNKNOWN
        shown = veiled(governed.redaction, text, values)
        return (arguments, frozenset()) if shown == text else (shown, secrets_of(governed.redaction, text, values))


class Hands:
    """All tools of an agent."""

    def __init__(self, tools: Iterable[Any]) -> None:
        self._hands: dict[str, Hand] = {}
        for hand in (Hand(as_tool(each)) for each in tools):
            if hand.tool.name in self._hands:
                raise UsageError(f"Two tools are called {hand.tool.name!r}. Give one of them another name.")
            self._hands[hand.tool.name] = hand
        self.schemas = tuple(hand.schema for hand in self._hands.values())
        self._are_governed = any(hand.is_governed for hand in self._hands.values())

    @property
    def redact(self) -> Callable[[str, Any], str] | None:
        """What hides secrets in the answers of a model; None where no policy holds for any tool."""
        authority = ambient_authority.get()
        return self.hush if self._are_governed or (authority is not None and authority.policies) else None

    def hush(self, text: str, response: Any) -> str:
        """The JSON of an answer, without what policies hide in the arguments of its calls."""
        if not isinstance(response, ModelResponse):
            return text  # what its request was recorded with
        calls, secrets = [], frozenset[str]()
        for call in response.message.calls:
            if call.name in self._hands:
                shown, hidden = self._hands[call.name].shown(call.arguments)
                call, secrets = replace(call, arguments=shown), secrets | hidden
            calls.append(call)
        if tuple(calls) == response.message.calls:
            return text
        message = replace(response.message, calls=tuple(calls), raw=None)
        return without(secrets, RESPONSE.encode(replace(response, message=message)))

    async def perform(self, calls: Sequence[ToolCall], hooks: Hooks) -> list[ToolMessage]:
        """Perform the calls of one turn. What fails is told to the model."""
        if len(calls) == 1:
            return [await self._one(calls[0], hooks)]
        serial = asyncio.Lock()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._in_turn(call, hooks, serial)) for call in calls]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _in_turn(self, call: ToolCall, hooks: Hooks, serial: asyncio.Lock) -> ToolMessage:
        hand = self._hands.get(call.name)
        if hand is None or not hand.tool.is_serial:
            return await self._one(call, hooks)
        async with serial:
            return await self._one(call, hooks)

    async def _one(self, call: ToolCall, hooks: Hooks) -> ToolMessage:
        hand = self._hands.get(call.name)
        if hand is None:
            known = ", ".join(self._hands) or "none"
            return _failure(call, f"there is no tool {call.name!r}; the tools are: {known}")
        try:
            arguments = hand.tool.read(call.arguments)
            if hooks.hooks:
                return await _watched(hand, call, arguments, hooks)
        except CodecError as error:
            return _failure(call, told(error))
        text, failed = await hand.perform(arguments)
        return ToolMessage(call.id, call.name, text, failed)


async def _watched(hand: Hand, call: ToolCall, arguments: Mapping[str, Any], hooks: Hooks) -> ToolMessage:
    """Perform a call, with what hooks have to say to it."""
    shown = ARGUMENTS.decode(hand.tool.signature.encode(arguments))
    before = await hooks.ask(
        "before_tool", shown, ARGUMENTS, lambda found: (ToolUse(call.name, deepcopy(found)),), tool=call.name
    )
    if before.blocked is not None:
        return _failure(call, f"blocked: {before.blocked}")
    text, failed = await hand.perform(hand.tool.read(ARGUMENTS.encode(before.value)))
    use = ToolUse(call.name, before.value, failed)
    after = await hooks.ask("after_tool", text, TEXT, lambda found: (deepcopy(use), found), tool=call.name)
    if after.blocked is not None:
        return _failure(call, f"its result is withheld: {after.blocked}")
    return ToolMessage(call.id, call.name, "\n".join([after.value, *before.suggestions, *after.suggestions]), failed)


def _failure(call: ToolCall, text: str) -> ToolMessage:
    return ToolMessage(call.id, call.name, text[:LONGEST_RESULT], failed=True)

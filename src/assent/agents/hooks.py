"""Moments of an agent's run at which the program may look, block, modify or suggest.

before_model(request)         after_model(response)
before_tool(use)              after_tool(use, text)

A hook is asked once, as a recorded step, and replays. One that fails blocks. What it is shown is its own copy: only
what it returns counts.
"""

import inspect
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Generic, Literal, TypeVar

from assent.agents.faults import raise_cancellation, told
from assent.codec import Codec
from assent.errors import UsageError
from assent.resilience.ground import ground

T = TypeVar("T")

Moment = Literal["before_model", "after_model", "before_tool", "after_tool"]


@dataclass(frozen=True, slots=True)
class HookResult:
    """What a hook wants. Make it with `allow`, `block`, `modify` or `suggest`."""

    kind: Literal["allow", "block", "modify", "suggest"]
    text: str = ""
    value: Any = None


def allow() -> HookResult:
    """Let it pass. To return nothing means the same."""
    return HookResult("allow")


def block(reason: str) -> HookResult:
    """Keep it from happening. A blocked tool call is told to the model, a blocked request or answer ends the run."""
    return HookResult("block", reason)


def modify(value: Any) -> HookResult:
    """Go on with something else: a ModelRequest, a ModelResponse, the arguments of a call, the text of its result."""
    return HookResult("modify", value=value)


def suggest(text: str) -> HookResult:
    """Let it pass, and tell the model something."""
    return HookResult("suggest", text)


@dataclass(frozen=True, slots=True)
class Hook:
    """A function that is asked at one moment; `only` is a pattern of tool names."""

    moment: Moment
    fn: Callable[..., Any]
    only: str = "*"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call, as hooks see it."""

    tool: str
    arguments: dict[str, Any]
    failed: bool = False  # after the call: the text is what it failed with


def before_model(fn: Callable[..., Any]) -> Hook:
    """Ask `fn(request)` before each model request."""
    return Hook("before_model", fn)


def after_model(fn: Callable[..., Any]) -> Hook:
    """Ask `fn(response)` after each model request."""
    return Hook("after_model", fn)


def before_tool(only: str = "*") -> Callable[[Callable[..., Any]], Hook]:
    """Ask `fn(use)` before each call of a tool whose name fits the pattern."""
    return lambda fn: Hook("before_tool", fn, only)


def after_tool(only: str = "*") -> Callable[[Callable[..., Any]], Hook]:
    """Ask `fn(use, text)` after each call of a tool whose name fits the pattern, also after one that failed."""
    return lambda fn: Hook("after_tool", fn, only)


@dataclass(frozen=True, slots=True)
class Answers:
    """What all hooks of a moment have said, as the journal keeps it."""

    blocked: str | None = None
    modified: str | None = None  # JSON
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard(Generic[T]):
    """What became of something that hooks have seen."""

    value: T
    blocked: str | None = None
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of an agent, in order."""

    hooks: Sequence[Hook] = ()

    def __post_init__(self) -> None:
        for each in self.hooks:
            if not isinstance(each, Hook):
                raise UsageError(f"{each!r} is no hook. Make one with before_model, after_model, before_tool(...) ...")

    async def ask(
        self,
        moment: Moment,
        value: T,
        codec: Codec,
        shown: Callable[[T], Sequence[Any]],
        *,
        tool: str = "",
    ) -> Heard[T]:
        """Ask those of a moment; each sees what the one before it made of the value.

        `shown` gives what a hook is called with: nothing of it may be shared that can be changed.
        """
        hooks = [each for each in self.hooks if each.moment == moment and (not tool or fnmatchcase(tool, each.only))]
        if not hooks:
            return Heard(value)

        async def work() -> Answers:
            return await _asked(hooks, value, codec, shown)

        name = f"hook {moment} {tool}".rstrip()
        answers = await ground().recorded(name, work, Answers)
        found = value if answers.modified is None else codec.decode(answers.modified)
        return Heard(found, answers.blocked, answers.suggestions)


async def _asked(hooks: Sequence[Hook], value: Any, codec: Codec, shown: Callable[[Any], Sequence[Any]]) -> Answers:
    answers = Answers()
    for hook in hooks:
        try:
            result = await _answer(hook, shown(value))
            if result.kind == "block":
                return replace(answers, blocked=result.text or "a hook blocked it")
            if result.kind == "suggest":
                answers = replace(answers, suggestions=(*answers.suggestions, result.text))
            if result.kind == "modify":
                text = codec.encode(result.value)
                value, answers = codec.decode(text), replace(answers, modified=text)
        except (Exception, CancelledError) as error:  # noqa: BLE001 - what it guards must not pass
            raise_cancellation(error)
            name = getattr(hook.fn, "__name__", type(hook.fn).__name__)
            return replace(answers, blocked=f"the hook {name} failed with {told(error)}")
    return answers


async def _answer(hook: Hook, shown: Sequence[Any]) -> HookResult:
    answer = hook.fn(*shown)
    result = await answer if inspect.isawaitable(answer) else answer
    if result is None:
        return allow()
    if not isinstance(result, HookResult):
        raise UsageError(f"it returned {result!r}. Return allow(), block(...), modify(...) or suggest(...).")
    return result

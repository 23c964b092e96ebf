"""Requests to models as the journal has them, and what they add up to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from assent.codec import from_json

MODEL: Final = "model "  # the names of the steps that ask a model begin so
TOOL: Final = "tool "


def object_of(text: str | None) -> Mapping[str, Any]:
    """The JSON object that a text is; empty where it is none, was not kept, or is kept elsewhere."""
    try:
        found = from_json(text) if text else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A model wanted a tool to be called."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One request that a model has answered. An answer from the cache has no tokens and costs nothing."""

    agent: str
    run: int | None = None  # of the agent, unique within its execution
    turn: int | None = None
    model: str  # as it was asked for
    answered_by: str  # as its provider calls it
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None  # US dollars; None: no price is known
    finish: str = ""
    cached: bool = False
    tools: tuple[ToolRequest, ...] = ()


def model_call(name: str, arguments: str | None, value: str | None) -> ModelCall:
    """What a model step says, by its name, its arguments and its result as JSON; nothing is taken for granted."""
    asked, answer = object_of(arguments), object_of(value)
    usage, message = _object(answer.get("usage")), _object(answer.get("message"))
    cached, model = answer.get("cached") is True, name.removeprefix(MODEL)
    return ModelCall(
        agent=str(asked.get("agent") or ""),
        run=_number(asked.get("run")),
        turn=_number(asked.get("turn")),
        model=model,
        answered_by=str(answer.get("model") or model),
        input_tokens=0 if cached else _number(usage.get("input_tokens")) or 0,
        output_tokens=0 if cached else _number(usage.get("output_tokens")) or 0,
        cost=Decimal(0) if cached else _decimal(answer.get("cost")),
        finish=str(answer.get("finish") or ""),
        cached=cached,
        tools=tuple(_tools(message.get("calls"))),
    )


def _tools(calls: Any) -> Iterable[ToolRequest]:
    found = [one for one in calls if isinstance(one, dict)] if isinstance(calls, list) else []
    return [ToolRequest(str(one.get("name")), object_of(str(one.get("arguments") or ""))) for one in found]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _decimal(value: Any) -> Decimal | None:
    try:
        found = None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found is None or found.is_finite() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What some requests to models took together."""

    total_cost: Decimal = field(default_factory=Decimal)  # US dollars, of what has a price
    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    llm_calls: int = 0  # that were answered, not from the cache
    cache_hits: int = 0
    unpriced: int = 0  # of `llm_calls`, those whose price is not known
    tool_calls: int = 0  # that models asked for
    duration: float = 0.0  # seconds, from beginning to end or until now

    @classmethod
    def of(cls, calls: Iterable[ModelCall], duration: float = 0.0) -> "Metrics":
        """The sum of these requests."""
        calls = list(calls)
        asked = [call for call in calls if not call.cached]
        read, written = sum(call.input_tokens for call in asked), sum(call.output_tokens for call in asked)
        return cls(
            total_cost=sum((call.cost for call in asked if call.cost is not None), Decimal(0)),
            total_tokens=read + written,
            input_tokens=read,
            output_tokens=written,
            llm_calls=len(asked),
            cache_hits=len(calls) - len(asked),
            unpriced=sum(call.cost is None for call in asked),
            tool_calls=sum(len(call.tools) for call in calls),
            duration=duration,
        )


def dollars(amount: Decimal) -> str:
    """An amount of US dollars for people: with cents, and below a dollar with as many digits as small ones need."""
    whole, _, rest = f"{amount:,.2f}".partition(".") if amount >= 1 else f"{amount:.6f}".partition(".")
    return f"${whole}.{rest.rstrip('0').ljust(2, '0')}"

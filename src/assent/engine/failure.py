"""Exceptions as JSON and back: the same type where that is safe and possible, else one that tells of it.

No code of the exception's own class runs when it is rebuilt: its built-in base makes the object, and its arguments
and attributes are put back as they were. What the journal names is imported, and must turn out to be an exception.
"""

import asyncio
import importlib
import math
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from assent.codec import from_json, to_json
from assent.errors import ExecutionFailed, StepFailed

# Enough for some hundred frames; the last ones are kept, since they say where it happened.
_TRACEBACK_BYTES = 16 * 1024
_DEEPEST = 50


class RecordedTraceback(Exception):
    """The traceback of a recorded error as text: the cause of the error that was rebuilt from the journal."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def encode_failure(exc: BaseException) -> str:
    """JSON of an exception: type, message, traceback, and those arguments and attributes that JSON can hold."""
    # Not the class's own way to be pickled: what is made here is put together again by the built-in base alone.
    reduced: Any = _builtin_base(type(exc)).__reduce__(exc)
    args = list(reduced[1])
    state = {name: each for name, each in (reduced[2] if len(reduced) > 2 else {}).items() if _is_native(each)}
    return to_json(
        {
            "type": f"{_name_of(type(exc).__module__)}:{type(exc).__qualname__}",
            "message": message_of(exc),
            "traceback": _traceback(exc),
            "args": args if _is_native(args) else None,
            "state": state,
        }
    )


def decode_failure(text: str, *, wrapper: type[ExecutionFailed] = StepFailed) -> BaseException:
    """The exception that `encode_failure` wrote, or else a `wrapper` that carries its facts.

    Its `__cause__` shows the recorded traceback.
    """
    facts = from_json(text)
    error: BaseException | None = _quietly(_rebuilt, facts)
    if error is None or message_of(error) != facts["message"]:
        type_name = facts["type"].replace(":", ".").removeprefix("builtins.")
        error = wrapper(
            f"{type_name}: {facts['message']}",
            type_name=type_name,
            reason=facts["message"],
            traceback_text=facts["traceback"],
        )
    error.__cause__ = RecordedTraceback(facts["traceback"])
    return error


def live_failure(exc: BaseException, wrapper: type[ExecutionFailed] = StepFailed) -> tuple[str, BaseException]:
    """The JSON of an exception, and the exception as it will be on replay."""
    text = encode_failure(exc)
    return text, decode_failure(text, wrapper=wrapper)


def _rebuilt(facts: dict[str, Any]) -> BaseException:
    module, _, qualname = facts["type"].partition(":")
    kind: Any = _module_of(module)
    for name in qualname.split("."):
        kind = getattr(kind, name)
    if not (isinstance(kind, type) and issubclass(kind, Exception | asyncio.CancelledError)):
        raise TypeError(kind)
    args = [facts["message"]] if facts["args"] is None else facts["args"]
    maker = _builtin_base(kind)
    error: BaseException = maker.__new__(kind, *args)
    maker.__init__(error, *args)
    for name, value in facts["state"].items():
        if hasattr(maker, name):
            getattr(maker, name).__set__(error, value)
        else:
            error.__dict__[name] = value
    return error


def _name_of(module: str) -> str:
    """What a module is called by those who import it, also while it runs as a script."""
    if module != "__main__":
        return module
    script = sys.modules[module]
    if script.__spec__ is not None:
        return script.__spec__.name
    stem = Path(getattr(script, "__file__", None) or "").stem
    return stem if stem.isidentifier() else module


def _module_of(name: str) -> ModuleType:
    # Imported a second time under its own name, a script would have its exceptions twice.
    return sys.modules["__main__"] if name == _name_of("__main__") else importlib.import_module(name)


def _builtin_base(kind: type) -> type[BaseException]:
    while kind.__module__ != "builtins":
        assert kind.__base__ is not None
        kind = kind.__base__
    return kind


def _is_native(value: Any, depth: int = _DEEPEST) -> bool:
    """Whether JSON gives a value back exactly as it is."""
    match value:
        case list() if type(value) is list and depth:
            return all(_is_native(each, depth - 1) for each in value)
        case dict() if type(value) is dict and depth:
            return all(type(key) is str and _is_native([key, each], depth - 1) for key, each in value.items())
        case str():
            return type(value) is str and value == _writable(value)
        case float():
            return type(value) is float and math.isfinite(value)
        case _:
            return value is None or type(value) in {bool, int}


def message_of(exc: BaseException) -> str:
    """The words of an exception as text that JSON can hold, also of one whose words cannot be read."""
    message = _quietly(str, exc)
    return "its message cannot be read" if message is None else _writable(message)


def _traceback(exc: BaseException) -> str:
    text = _writable("".join(_quietly(traceback.format_exception, exc) or [type(exc).__qualname__]))
    cut = text.encode()[-_TRACEBACK_BYTES:]
    return text if len(cut) < _TRACEBACK_BYTES else "...\n" + cut.decode(errors="ignore").partition("\n")[2]


def _writable(text: str) -> str:
    # File names that are no UTF-8 bring lone surrogates along, which no JSON text may hold.
    return text.encode("utf-8", "backslashreplace").decode()


def _quietly(call: Callable[[Any], Any], fact: Any) -> Any:
    """What `call` returns, or None if it fails."""
    try:
        return call(fact)
    except Exception:  # noqa: BLE001 - a foreign module is imported or a foreign `__str__` runs, which may raise anything
        return None

"""What to say when a value cannot cross the journal: where it is, what it is, and what to do about it."""

from collections.abc import Iterator
from typing import Any, Literal

import pydantic_core

from assent.codec.facts import Difference, Shape, name_of, parts_of, shape_of, short, step_to
from assent.errors import CodecError

BytesMode = Literal["utf8", "base64"]

_BYTES = 'give its model `model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")`'
_NUMBER = (
    'NaN and infinities: give its model `model_config = ConfigDict(ser_json_inf_nan="strings")`, '
    "annotate a Decimal with `Field(allow_inf_nan=True)`"
)
_CLASS = "make it a dataclass or a pydantic model, or pass an id and look the object up inside the step"
_ANNOTATION = "annotate it with the type that it has, or pass plain data"


def unfaithful(subject: str, found: Difference) -> CodecError:
    """The value would come back as something else."""
    return CodecError(f"{_at(found.path, subject)} {found.problem} after JSON. Remedy: {found.remedy}.")


def unwritable(subject: str, value: Any, annotation: Any, error: Exception) -> CodecError:
    """The value cannot be written."""
    is_about_bytes = "invalid utf-8" in str(error)
    path, part = _culprit(value, "utf8" if is_about_bytes else "base64")
    remedy = _BYTES if is_about_bytes else _CLASS if shape_of(part) is Shape.OBJECT else _ANNOTATION
    return CodecError(
        f"{_at(path, subject)}, the {name_of(type(part))} {short(part)}, cannot be written as JSON of "
        f"{name_of(annotation)}: {_reason(error)}. Remedy: {remedy}."
    )


def unreadable(subject: str, annotation: Any, error: Exception) -> CodecError:
    """The JSON cannot be read as this annotation."""
    path, reason, remedy = "", _reason(error), "let the type read what it writes, and keep its old fields readable"
    if isinstance(error, pydantic_core.ValidationError):
        first = error.errors(include_url=False, include_context=False)[0]
        path = "".join(step_to(key) for key in first["loc"])
        reason = f"{first['msg']}, found {short(first['input'])}"
        if first["type"] in {"finite_number", "float_type", "decimal_type"}:
            remedy = _NUMBER
    return CodecError(
        f"{_at(path, subject)} cannot be read back from JSON as {name_of(annotation)}: {reason}. Remedy: {remedy}."
    )


def unsupported(subject: str, annotation: Any, error: Exception) -> CodecError:
    """Nobody knows how to write values of this annotation."""
    return CodecError(
        f"{subject} is annotated {name_of(annotation)}, for which no JSON form is known: {_reason(error)}. "
        f"Remedy: {_CLASS}."
    )


def _at(path: str, subject: str) -> str:
    return f"{path.lstrip('.')} in {subject}" if path else subject


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return " ".join(text.split("\n\nFor further information")[0].split())[:400].rstrip(".")


def _culprit(value: Any, bytes_mode: BytesMode, depth: int = 50) -> tuple[str, Any]:
    """The innermost part that cannot be written on its own, with its path."""
    for step, part in _steps(value) if depth else ():
        if not _is_writable(part, bytes_mode):
            path, found = _culprit(part, bytes_mode, depth - 1)
            return step + path, found
    return "", value


def _is_writable(value: Any, bytes_mode: BytesMode) -> bool:
    try:
        pydantic_core.to_json(value, bytes_mode=bytes_mode, inf_nan_mode="strings")
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _steps(value: Any) -> Iterator[tuple[str, Any]]:
    match shape_of(value):
        case Shape.SEQUENCE:
            yield from ((f"[{index}]", part) for index, part in enumerate(value))
        case Shape.SET:
            yield from ((f"[{short(part)}]", part) for part in value)
        case Shape.MAPPING:
            yield from ((step_to(key), part) for key, part in value.items())
        case Shape.MODEL | Shape.RECORD as shape:
            yield from ((f".{name}", part) for name, part in parts_of(value, shape).items())
        case _:
            return

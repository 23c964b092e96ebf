"""What people write into forms, read as what it means."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import FormData

from assent.errors import UsageError


def field(form: FormData | Mapping[str, Any], name: str) -> str:
    """A text field of a form without the spaces around it; empty if it is not there, or a file."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def texts(form: FormData) -> dict[str, str]:
    """All text fields as they were written, to be shown once more."""
    return {name: value.replace("\r\n", "\n") for name, value in form.items() if isinstance(value, str)}


def words(text: str) -> list[str]:
    """The entries of a list with commas or on lines between them."""
    return [word.strip() for line in text.splitlines() for word in line.split(",") if word.strip()]


def lines(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def moment_in(text: str) -> datetime | str:
    """A moment as a date field gives it, taken as UTC; or a duration, as in 8h."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def whole_number(text: str, what: str) -> int | None:
    """A whole number; None for an empty field. Raises UsageError."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise UsageError(f"{what} must be a whole number, and {text!r} is none.")
    return int(text)

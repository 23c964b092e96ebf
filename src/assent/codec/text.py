"""JSON for the facts that Assent itself writes down, and digests."""

import hashlib
from typing import Any

import pydantic_core


def digest(data: bytes | str) -> str:
    """SHA-256 as 64 hex digits; text is taken as UTF-8."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def to_json(value: Any) -> str:
    """Compact JSON of our own facts, for reading: types are not kept, and NaN becomes null."""
    return pydantic_core.to_json(value, inf_nan_mode="null", bytes_mode="base64", by_alias=False).decode()


def from_json(text: str) -> Any:
    """The value of a JSON text, made of dict, list, str, int, float, bool and None."""
    return pydantic_core.from_json(text, cache_strings="keys")

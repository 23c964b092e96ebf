"""How values stand in a journal: in full, as a reference to a large value kept beside it, or withheld."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from assent.codec import digest
from assent.errors import CodecError
from assent.store import Commit, Event, Store

# A value longer than this (characters of JSON) is stored once beside the journal and referenced.
BLOB_SIZE = 256 * 1024

# No JSON text begins with these, so a reference is never mistaken for a value.
_BLOB = "@sha256:"
_WITHHELD = "@withheld:"

T = TypeVar("T")
Blobs = list[tuple[str, str]]


def fit(text: str, blobs: Blobs) -> str:
    """The text, or a reference to it if it is large; then it is added to `blobs`."""
    if len(text) <= BLOB_SIZE:
        return text
    key = digest(text)
    blobs.append((key, text))
    return _BLOB + key


def withheld(canonical: bytes | str) -> str:
    """What stands for a value that may not be kept: its digest. `canonical`: the value, or the digest itself."""
    return _WITHHELD + (canonical if isinstance(canonical, str) else digest(canonical))


def is_withheld(text: str) -> bool:
    """Whether a text stands for a value that was not kept."""
    return text.startswith(_WITHHELD)


def redacted(redact: Callable[[str, T], str], text: str, value: T) -> str:
    """The text as it may be read. Raises CodecError if redaction fails, because nothing may then be written."""
    try:
        return redact(text, value)
    except Exception as error:  # somebody else's function, and nothing may be shown
        raise CodecError(f"it cannot be redacted: {type(error).__name__}: {error}") from error


async def filled_in(store: Store, events: list[Event]) -> list[Event]:
    """The same events, with large values in place of their references."""
    for place, event in enumerate(events):
        if _is_reference(event.value) or _is_reference(event.arguments):
            events[place] = event._replace(
                value=await resolved(store, event.value), arguments=await resolved(store, event.arguments)
            )
    return events


async def resolved(store: Store, text: str | None) -> str | None:
    """The value that a text stands for."""
    return await store.blob(text.removeprefix(_BLOB)) if text and _is_reference(text) else text


def unsealed(events: Sequence[Event], sealed: Mapping[int, str]) -> list[Event]:
    """The same events, with the results of steps as they were before redaction."""
    return [
        event._replace(value=sealed[event.op])
        if event.type == "step.completed" and event.op is not None and event.op in sealed
        else event
        for event in events
    ]


def as_read_back(commit: Commit) -> list[Event]:
    """The events of a commit as `filled_in` and `unsealed` would give them."""
    blobs = {_BLOB + key: text for key, text in commit.blobs}
    events = [event._replace(value=blobs.get(event.value or "", event.value)) for event in commit.events]
    return unsealed(events, dict(commit.sealed))


def _is_reference(text: str | None) -> bool:
    return text is not None and text.startswith(_BLOB)

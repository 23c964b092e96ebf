"""Values of one annotation as JSON, with proof that they come back as they were."""

from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import pydantic_core
from pydantic import ConfigDict, PydanticUserError, TypeAdapter
from typing_extensions import TypeAliasType

from assent.codec.canonical import canonical_text
from assent.codec.facts import difference
from assent.codec.faults import unfaithful, unreadable, unsupported, unwritable
from assent.errors import CodecError

# Any bytes, and valid JSON for every float. Models have settings of their own, which these do not override.
CONFIG = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")

# Parsers of JSON refuse integers of more digits.
LONGEST_NUMBER = 4300

_SCALARS: frozenset[type] = frozenset({str, int, float, bool, NoneType})


class Codec:
    """Turns the values of one annotation into JSON and back. Get it with `codec_for`.

    `subject` is what error messages call the value. The annotation is looked at when the first value comes.
    """

    def __init__(self, annotation: Any, subject: str = "the value") -> None:
        self.annotation = annotation
        self.subject = subject
        self._scalars = scalars_of(annotation)

    def encode(self, value: Any) -> str:
        """Compact JSON. Raises CodecError for what does not fit the annotation, but does not prove the way back."""
        try:
            if type(value) is int and int in self._scalars:
                return repr(value)
            return self._write(value).decode()
        except (ValueError, TypeError, RecursionError) as error:
            raise self._explained(value, error) from error

    def decode(self, text: str) -> Any:
        """The value of a JSON text that `encode` made."""
        try:
            return self._read(text)
        except CodecError:
            raise
        except Exception as error:  # a type's own validators run here, and may raise anything
            raise unreadable(self.subject, self.annotation, error) from error

    def decode_partial(self, text: str) -> Any:
        """The value of a JSON text whose last parts may be missing; None if it cannot be told without them."""
        try:
            return self._adapter.validate_json(text, experimental_allow_partial="trailing-strings")
        except Exception:  # noqa: BLE001 - a type's own validators run here, on what is not yet whole
            return None

    def round_trip(self, value: Any) -> tuple[str, Any]:
        """The JSON of a value, and the value as it comes back.

        Raises CodecError unless that is the same: of the same type and equal, at every depth.
        """
        text = self.encode(value)
        if type(value) in self._scalars and len(text) < LONGEST_NUMBER:
            return text, value
        copy = self.decode(text)
        if found := difference(value, copy):
            raise unfaithful(self.subject, found)
        return text, copy

    def canonical(self, value: Any) -> bytes:
        """RFC 8785 JSON, equal for equal values. Raises CodecError like `round_trip`."""
        return self.canonical_copy(self.round_trip(value)[1])

    def canonical_copy(self, copy: Any) -> bytes:
        """The canonical form of a value that `round_trip` or `decode` gave back, without a second proof."""
        # Written once more: an int given for a float is a float by now, and members of sets have changed places.
        return canonical_text(copy, pydantic_core.from_json(self.encode(copy))).encode()

    def schema(self) -> dict[str, Any]:
        """The JSON schema of what `decode` reads. Raises CodecError where there is none."""
        try:
            return self._adapter.json_schema(by_alias=False)
        except PydanticUserError as error:
            raise unsupported(self.subject, self.annotation, error) from error

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return adapter_of(self.annotation, self.subject)

    @cached_property
    def _write(self) -> Callable[..., bytes]:
        # By name, and as for a round trip: aliases and computed fields would stand in the way back.
        return partial(self._adapter.serializer.to_json, by_alias=False, round_trip=True, warnings="error")

    @cached_property
    def _read(self) -> Callable[[str], Any]:
        return partial(self._adapter.validator.validate_json, by_alias=False, by_name=True)

    def _explained(self, value: Any, error: Exception) -> CodecError:
        """Why a value was refused: where its type is wrong, if that is what it is, else what pydantic said."""
        if isinstance(error, CodecError):
            return error
        try:
            copy = self.decode(self._write(value, warnings=False).decode())
        except (CodecError, ValueError, TypeError, RecursionError):
            return unwritable(self.subject, value, self.annotation, error)
        found = difference(value, copy)
        return unfaithful(self.subject, found) if found else unwritable(self.subject, value, self.annotation, error)


class SureCodec(Codec):
    """A codec of records that are our own: what fits the annotation comes back as it was, and needs no proof."""

    def round_trip(self, value: Any) -> tuple[str, Any]:
        return self.encode(value), value


def scalars_of(annotation: Any) -> frozenset[type]:
    """The types whose values surely come back as they were under this annotation, so that no proof is needed."""
    if annotation is Any or annotation is object:
        return _SCALARS - {float}  # NaN would come back as text
    kinds = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)
    found = frozenset(NoneType if kind is None else kind for kind in kinds if kind is None or isinstance(kind, type))
    # In a union of two scalars, one may be read as the other; None cannot be mistaken.
    is_sure = len(found) == len(kinds) and len(found - {NoneType}) <= 1 and found <= _SCALARS
    return found if is_sure else frozenset()


def adapter_of(annotation: Any, subject: str) -> TypeAdapter[Any]:
    """What pydantic knows about an annotation. Raises CodecError if that is nothing."""
    try:
        # Pydantic takes settings for a dataclass or a TypedDict only if it stands inside something, such as an alias.
        alias = TypeAliasType("Value", annotation)  # type: ignore[misc]  # made at run time on purpose
        adapter: TypeAdapter[Any] = TypeAdapter(alias, config=CONFIG)  # type: ignore[arg-type]  # as above
        adapter.rebuild(raise_errors=True)
    except (PydanticUserError, NameError, TypeError, ValueError, AttributeError) as error:
        raise unsupported(subject, annotation, error) from error
    return adapter


def codec_for(annotation: Any) -> Codec:
    """The codec of an annotation, the same one each time."""
    try:
        # Equal annotations may differ in what they do: `int | str == str | int`. Their texts tell them apart.
        return _codec_for(annotation, "" if isinstance(annotation, type) else repr(annotation))
    except TypeError:  # not hashable, such as Annotated with a list
        return Codec(annotation)


@lru_cache(maxsize=4096)
def _codec_for(annotation: Any, text: str) -> Codec:
    return Codec(annotation)

"""The parameters of a function: calls as arguments by name, as JSON, and back."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from inspect import Parameter
from types import MethodType
from typing import Any, Optional, ParamSpecArgs, ParamSpecKwargs, Unpack, get_args, get_origin, get_type_hints

import typing_extensions
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

from assent.codec.canonical import canonical_text, labelled
from assent.codec.text import digest, to_json
from assent.codec.values import LONGEST_NUMBER, Codec, scalars_of
from assent.errors import CodecError

if sys.version_info >= (3, 14):
    import annotationlib

_ANYTHING = Codec(Any)
_UNPACKS = {Unpack, typing_extensions.Unpack}
_BY_NAME = {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
_IN_ORDER = {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}


class Signature:
    """The parameters of one function. Get it with `signature_of`.

    Bound arguments are a dict by parameter name, in the order of the parameters, with defaults filled in; `*args`
    stands in it as a tuple and `**kwargs` as a dict. Annotations are looked at when the first value is encoded.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        self._signature = _inspected(fn)
        self.name = getattr(fn, "__name__", type(fn).__name__)
        parameters = self._signature.parameters.values()
        self._names = tuple(self._signature.parameters)
        self._known = frozenset(self._names)
        self._in_order = tuple(each.name for each in parameters if each.kind in _IN_ORDER)
        self._by_name = frozenset(each.name for each in parameters if each.kind in _BY_NAME)
        self._is_plain = self._by_name == self._known
        self._is_positional = len(self._in_order) == len(self._names)
        of_kind = {each.kind: each.name for each in parameters}
        self._rest, self._options = of_kind.get(Parameter.VAR_POSITIONAL), of_kind.get(Parameter.VAR_KEYWORD)
        self._defaults = {each.name: each.default for each in parameters if each.default is not Parameter.empty}

    @property
    def function(self) -> Callable[..., Any]:
        """Whose parameters they are."""
        return self._fn

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return self._names

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """JSON values by name as the parameters' own types, for `bind`, which fills in defaults. Raises CodecError."""
        try:
            texts = {name: to_json(value) for name, value in given.items()}
        except PydanticSerializationError as error:
            raise CodecError(f"The arguments cannot be written as JSON: {error}") from error
        return {name: self._readers.get(name, _ANYTHING).decode(text) for name, text in texts.items()}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by parameter name. Raises the TypeError that the call itself would raise."""
        names, in_order = self._names, self._in_order
        if self._is_positional and not kwargs and len(args) == len(names):
            return dict(zip(names, args, strict=True))
        if self._is_plain and len(args) <= len(in_order):
            given = {**dict(zip(in_order, args, strict=False)), **kwargs}
            merged = {**self._defaults, **given}
            if len(given) == len(args) + len(kwargs) and merged.keys() == self._known:
                return {name: merged[name] for name in names}
        return self._bind_any(args, kwargs)

    def _bind_any(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(zip(self._in_order, args, strict=False))
        rest, options = args[len(self._in_order) :], dict[str, Any]()
        for name, value in kwargs.items():
            taken_by = given if name in self._by_name else options
            if name in taken_by:  # a second value
                raise self._misuse(args, kwargs)
            taken_by[name] = value
        merged = {**self._defaults, **given}
        for place, found in ((self._rest, rest), (self._options, options)):
            if place is not None:
                merged[place] = found
            elif found:
                raise self._misuse(args, kwargs)
        if not self._known <= merged.keys():
            raise self._misuse(args, kwargs)
        return {name: merged[name] for name in self._names}

    def _misuse(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TypeError:
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            return TypeError(f"{self.name}() {error}")
        # Some versions of `inspect` overlook a positional-only argument that is given by name beside `**kwargs`.
        return TypeError(f"{self.name}() lacks an argument that can only be given by its position")

    def spread(self, bound: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call that `bound` stands for, as positional and keyword arguments."""
        if self._is_positional:
            return tuple(map(bound.__getitem__, self._names)), {}
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for name, parameter in self._signature.parameters.items():
            match parameter.kind:
                case Parameter.VAR_POSITIONAL:
                    args.extend(bound[name])
                case Parameter.VAR_KEYWORD:
                    kwargs.update(bound[name])
                case Parameter.KEYWORD_ONLY:
                    kwargs[name] = bound[name]
                case _:
                    args.append(bound[name])
        return tuple(args), kwargs

    def encode(self, bound: Mapping[str, Any]) -> str:
        """One JSON object by parameter name. Raises CodecError unless every argument comes back as it was."""
        return self.live(bound)[0]

    def decode(self, text: str) -> dict[str, Any]:
        """The bound arguments of a JSON text that `encode` made."""
        arguments: dict[str, Any] = self._codec.decode(text)
        return arguments

    def schema(self) -> dict[str, Any]:
        """The JSON schema of an object with the arguments by name; those with a default need not be given."""
        found = self._codec.schema()
        found["required"] = [name for name in self._names if name in self._by_name and name not in self._defaults]
        return {"type": "object", **found}

    def live(self, bound: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The JSON of bound arguments and a fresh copy read from it: what the function would see after a crash."""
        bound = dict(bound)
        if self._are_sure(bound):
            text = self._codec.encode(bound)
            if len(text) < LONGEST_NUMBER:
                return text, bound
        return self._codec.round_trip(bound)

    def canonical(self, bound: Mapping[str, Any]) -> bytes:
        """RFC 8785 JSON of bound arguments, equal for equal arguments."""
        return (self._are_sure(bound) and self._as_they_are(bound)) or self._codec.canonical(dict(bound))

    def _as_they_are(self, bound: Mapping[str, Any]) -> bytes | None:
        """The canonical form of scalars, which look in JSON as they are; None if JSON cannot surely hold them."""
        try:
            pairs = [f"{label}{canonical_text(bound[name], bound[name])}" for name, label in self._labels]
            found = b"{%b}" % ",".join(pairs).encode()
        except ValueError:  # half a character, or a number of too many digits
            return None
        return found if len(found) < LONGEST_NUMBER else None

    def _are_sure(self, bound: Mapping[str, Any]) -> bool:
        """Whether they surely come back as they are, unless they are too long."""
        unsure = [name for name, kinds in self._scalars.items() if type(bound[name]) not in kinds]
        return not unsure

    def digest(self, bound: Mapping[str, Any]) -> str:
        """The digest of the canonical form."""
        return digest(self.canonical(bound))

    @cached_property
    def returns(self) -> Codec:
        """The codec of what the function returns; of what an async function's coroutine returns."""
        return Codec(self._hints.get("return", Any), f"the result of {self.name}()")

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(_annotated(self._fn), include_extras=True)
        except (NameError, TypeError, SyntaxError, AttributeError) as error:
            missing = getattr(error, "name", None)
            what = f"{missing!r} in an annotation" if missing else "an annotation"
            raise CodecError(
                f"{what} of {self.name}() cannot be resolved ({error}). Remedy: define or import it at the top of "
                f"the module, not in a function and not under TYPE_CHECKING."
            ) from error

    @cached_property
    def _annotations(self) -> dict[str, Any]:
        return {name: _annotation(each, self._hints) for name, each in self._signature.parameters.items()}

    @cached_property
    def _readers(self) -> dict[str, Codec]:
        return {name: Codec(self._annotations[name], f"{name} of {self.name}()") for name in self._by_name}

    @cached_property
    def _codec(self) -> Codec:
        arguments = TypedDict("Arguments", self._annotations)  # type: ignore[misc]  # made at run time on purpose
        return Codec(arguments, f"the arguments of {self.name}()")

    @cached_property
    def _labels(self) -> list[tuple[str, str]]:
        return labelled(self._names)

    @cached_property
    def _scalars(self) -> dict[str, frozenset[type]]:
        return {name: scalars_of(annotation) for name, annotation in self._annotations.items()}


def _annotation(parameter: Parameter, hints: Mapping[str, Any]) -> Any:
    hint = hints.get(parameter.name, Any)
    hint = Any if isinstance(hint, ParamSpecArgs | ParamSpecKwargs) else hint
    match parameter.kind:
        case Parameter.VAR_POSITIONAL:
            return tuple[hint, ...]  # type: ignore[valid-type]  # made at run time, as below
        case Parameter.VAR_KEYWORD:
            return get_args(hint)[0] if get_origin(hint) in _UNPACKS else dict[str, hint]  # type: ignore[valid-type]
        case _:
            # Many write `limit: int = None`, and mean it.
            return Optional[hint] if parameter.default is None else hint  # noqa: UP045 - `|` does not take every hint


def _annotated(fn: Any) -> Any:
    """Where the annotations of a callable are written."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, type):
        return inspect.getattr_static(fn, "__init__")
    return fn if inspect.isroutine(fn) else type(fn).__call__


def _inspected(fn: Callable[..., Any]) -> inspect.Signature:
    try:
        if sys.version_info >= (3, 14):
            # Names that cannot be resolved yet must not hinder plain calls.
            return inspect.signature(fn, annotation_format=annotationlib.Format.FORWARDREF)
        return inspect.signature(fn)
    except ValueError as error:
        raise CodecError(f"{fn!r} does not tell its parameters. Remedy: wrap it in a function of your own.") from error


def signature_of(fn: Callable[..., Any]) -> Signature:
    """The signature of a callable: the same one each time, and for all objects of a method."""
    return _of_method(fn.__func__) if isinstance(fn, MethodType) else _of_function(fn)


@lru_cache(maxsize=4096)
def _of_function(fn: Callable[..., Any]) -> Signature:
    return Signature(fn)


@lru_cache(maxsize=4096)
def _of_method(fn: Callable[..., Any]) -> Signature:
    # Of anything's, since what is cached would keep the object alive.
    return Signature(MethodType(fn, _ANYTHING))

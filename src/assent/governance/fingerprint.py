"""What a policy is made of, as a digest that is the same in every process that runs the same code."""

import dataclasses
import json
import logging
import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from types import MethodType
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from assent.codec import digest


def fingerprint_of(value: Any) -> str:
    """SHA-256 over the settings in `value`.

    Functions and classes count by module and qualified name only: their code may change (and does, with every release)
    without a new fingerprint. Objects of unknown types count by their type.
    """
    return digest(_stable(_described(value)))


def _stable(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def _described(value: Any) -> Any:
    """JSON data that tells `value` from others of its kind, without addresses and without the order of sets."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | complex():
            return repr(value)
        case Mapping():
            return {"pairs": sorted(([_described(key), _described(one)] for key, one in value.items()), key=_stable)}
        case list() | tuple():
            return [_described(one) for one in value]
        case set() | frozenset():
            return {"set": sorted((_described(one) for one in value), key=_stable)}
        case Decimal() | Enum() | date() | time() | timedelta():
            return {"is": name_of(type(value)), "text": str(value)}
        case _:
            return _described_object(value)


def _described_object(value: Any) -> Any:
    match value:
        case partial():
            return {"partial": [_described(value.func), _described(value.args), _described(value.keywords)]}
        case MethodType():
            return {"method": [name_of(value.__func__), _described(value.__self__)]}
        case re.Pattern():
            return {"pattern": value.pattern, "flags": value.flags}
        case logging.Logger():
            return {"logger": value.name}
        case BaseModel():
            return {"is": name_of(type(value)), "of": _described(value.model_dump())}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {"is": name_of(type(value)), "of": _described(_settings_of(value))}
        case _ if get_origin(value) is not None:
            return {"type": name_of(get_origin(value)), "of": [_described(one) for one in get_args(value)]}
        case _:
            return name_of(value) if hasattr(value, "__qualname__") else {"is": name_of(type(value))}


def _settings_of(value: Any) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in dataclasses.fields(value) if one.compare}


def name_of(value: Any) -> str:
    """Module and qualified name of a function or class."""
    name = getattr(value, "__qualname__", None) or str(value)
    return f"{getattr(value, '__module__', '')}:{name}"

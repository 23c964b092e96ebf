"""The settings of one policy as files say them, each with the place that it comes from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from assent.errors import PolicyFileError, UsageError
from assent.policies.cel import Cel, Expression, condition, of_action
from assent.policies.documents import Document, Place
from assent.policies.schema import REQUIRED, SETTINGS


class Origin(NamedTuple):
    """Where a setting stands."""

    document: Document
    place: Place


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings by key. What is wrong with one is told with its place."""

    document: Document
    place: Place
    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    defaults: Mapping[str, "Settings"] = field(default_factory=dict, repr=False)  # of parts, by type

    def under(self, document: Document, place: Place, values: Mapping[str, Any]) -> "Settings":
        """These settings, and instead of them what stands at that place."""
        origins = {key: Origin(document, (*place, key)) for key in values}
        return replace(self, values={**self.values, **values}, origins={**self.origins, **origins})

    def part(self, key: str, place: Place, values: Mapping[str, Any], kind: str = "") -> "Settings":
        """Those of a part, which stands at that place under a key; what it does not say, its defaults do."""
        document, start = self.origins[key]
        there = (*start, *place)
        usual = self.defaults.get(kind, Settings(document, there))
        known = {each: value for each, value in usual.values.items() if each in SETTINGS.get(kind, ())}
        return replace(usual, document=document, place=there, values=known, defaults=self.defaults).under(
            document, there, values
        )

    def check_complete(self, kind: str) -> None:
        """Raises PolicyFileError if something is missing that a policy of this type must have."""
        for key in REQUIRED.get(kind, ()):
            if key not in self.values:
                raise self.error(UsageError(f"{key!r} is missing. Write it here, or under defaults.{kind}."))

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def error(self, problem: UsageError, key: str | None = None) -> PolicyFileError:
        """What is wrong, at the key that it names, or which is given."""
        if isinstance(problem, PolicyFileError):
            return problem
        named = re.match(r"(\w+)=", str(problem))
        key = named[1] if key is None and named is not None else key
        document, place = self.origins.get(key or "", Origin(self.document, self.place))
        return document.error(str(problem), place)

    def picked(self, *keys: str) -> dict[str, Any]:
        """Those of these settings that are given, by their keys."""
        return {key: _plain(self.values[key]) for key in keys if key in self.values}

    def criterion(self, key: str) -> Cel | None:
        """The condition of that key as a criterion; None if there is none."""
        try:
            return Cel(self.values[key]) if key in self.values else None
        except UsageError as error:
            raise self.error(error, key) from error

    def condition(self, key: str) -> Expression:
        """The condition of that key, which looks at the action only."""
        try:
            return of_action(condition(self.values[key]))
        except UsageError as error:
            raise self.error(error, key) from error

    def expression(self, key: str, usual: str = "") -> Expression:
        """The expression of that key, which looks at the action only."""
        try:
            return of_action(Expression(self.values.get(key, usual)))
        except UsageError as error:
            raise self.error(error, key) from error


def _plain(value: Any) -> Any:
    """A setting as policies take it: whole numbers as such, other numbers as they are."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value

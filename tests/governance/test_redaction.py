"""Redaction: no secret gets into a record, whatever it is wrapped in."""

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretBytes, SecretStr

from assent.governance import Redaction
from assent.governance.redaction import MAX_TEXT, MAX_VALUES, REDACTED, SENSITIVE

SECRET = "hunter2"


class Login(BaseModel):
    user: str
    password: str
    code: str = Field(default=SECRET, alias="pin")


@dataclass
class Account:
    owner: str
    api_key: str
    inner: list[Login] = field(default_factory=list)


class Pair(NamedTuple):
    token: str
    uses: int


class Iban(str):
    """A text of a type that is to be hidden."""

    __slots__ = ()


class Colour(Enum):
    RED = "red"


class Opaque:
    """Something whose text holds a secret."""

    def __repr__(self) -> str:
        return SECRET


class Broken(BaseModel):
    """Something that cannot be looked at."""

    def __iter__(self) -> Any:
        raise RuntimeError(SECRET)


LOGIN = Login(user="ana", password=SECRET)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "db_password",
        "newPassword",
        "password2",
        "api_key",
        "apiKey",
        "API-KEY",
        "APIKey",
        "apikey",
        "x-api-key",
        "stripe.api.key",
        "access_token",
        "clientSecret",
        "Set-Cookie",
        "Authorization",
        "cvv",
        "OAuth2Token",
    ],
)
def test_a_secret_is_known_by_its_name_however_it_is_spelled(name: str) -> None:
    assert Redaction().apply({name: SECRET}) == {name: REDACTED}


@pytest.mark.parametrize(
    "name", ["amount", "token_count", "max_tokens", "secretary", "passwordless", "spin", "", "_", "é"]
)
def test_other_names_stay_readable(name: str) -> None:
    assert Redaction().apply({name: SECRET}) == {name: SECRET}


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"b": [{"password": SECRET}]}},
        [{"password": SECRET}],
        ({"password": SECRET},),
        deque([{"password": SECRET}]),
        MappingProxyType({"password": SECRET}),
        {"password": {"old": SECRET, "new": [SECRET]}},
        LOGIN,
        {"login": LOGIN},
        Account("ana", SECRET, [LOGIN]),
        Pair(SECRET, 3),
        [("Authorization", SECRET), ("Accept", "json")],
        [["password", SECRET]],
        SecretStr(SECRET),
        SecretBytes(SECRET.encode()),
        {SecretStr(SECRET)},
        [Opaque(), {"it": Opaque()}],
        {Opaque(): 1},
        Opaque,
        Broken(),
        SECRET.encode(),
    ],
    ids=repr,
)
def test_no_secret_is_left_in_anything(value: Any) -> None:
    assert SECRET not in json.dumps(Redaction().apply(value))


def test_values_of_given_types_are_blanked_even_if_they_look_plain() -> None:
    redaction = Redaction(types=(Iban, Decimal))
    assert redaction.apply({"to": Iban("DE1"), "amount": Decimal(5), "memo": "x"}) == {
        "to": REDACTED,
        "amount": REDACTED,
        "memo": "x",
    }
    assert Redaction(types=(str,)).apply(["text", 3]) == [REDACTED, 3]


def test_values_keep_a_readable_form() -> None:
    value = {
        "plain": [1, 2.5, True, None, "text"],
        "amount": Decimal("1.10"),
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "path": PurePosixPath("/a"),
        "id": UUID(int=1),
        "colour": Colour.RED,
        "set": {3, 1, 2},
        "account": Account("ana", "k"),
        "data": b"abc",
        "error": ValueError("no"),
        "odd": float("nan"),
        4: "four",
        None: "none",
        "obj": Opaque(),
    }
    assert Redaction().apply(value) == {
        "plain": [1, 2.5, True, None, "text"],
        "amount": "1.10",
        "when": "2026-01-02T00:00:00+00:00",
        "day": "2026-01-02",
        "path": "/a",
        "id": "00000000-0000-0000-0000-000000000001",
        "colour": "red",
        "set": [1, 2, 3],
        "account": {"owner": "ana", "api_key": REDACTED, "inner": []},
        "data": "[3 bytes]",
        "error": "ValueError: no",
        "odd": "nan",
        "4": "four",
        "null": "none",
        "obj": f"[{__name__}.Opaque]",
    }


def test_the_value_itself_stays_as_it_is() -> None:
    value = {"password": SECRET, "list": [LOGIN]}
    Redaction().apply(value)
    assert value == {"password": SECRET, "list": [LOGIN]}
    assert LOGIN.password == SECRET


def test_a_value_inside_itself_ends() -> None:
    value: dict[str, Any] = {"list": []}
    value["list"].append(value)
    assert Redaction().apply(value) == {"list": ["[cycle]"]}


def test_the_same_value_twice_is_no_cycle() -> None:
    shared = {"a": 1}
    assert Redaction().apply([shared, shared]) == [{"a": 1}, {"a": 1}]


def test_values_that_are_too_deep_large_or_long_are_cut() -> None:
    deep: Any = 0
    for _ in range(5_000):
        deep = [deep]
    assert "[too deep]" in json.dumps(Redaction().apply(deep))
    many = Redaction().apply(list(range(3 * MAX_VALUES)))
    assert many[-1] == "[cut]"
    assert len(many) <= MAX_VALUES + 1
    assert Redaction().apply({str(number): number for number in range(3 * MAX_VALUES)})["[cut]"] == "too many values"
    text = Redaction().apply("x" * (MAX_TEXT + 1))
    assert text.endswith(f"[cut: {MAX_TEXT + 1} characters in all]")
    assert Redaction().apply(1 << 100_000) == "[whole number of 100001 bits]"


def test_text_can_always_be_written() -> None:
    assert Redaction().apply(["\ud800", "é"]) == ["\\ud800", "é"]


def test_redactions_add_up() -> None:
    both = Redaction(["iban"], (Iban,)) | Redaction()
    assert both.apply({"my_iban": 1, "password": 2, "a": SecretStr("x"), "b": Iban("y")}) == {
        "my_iban": REDACTED,
        "password": REDACTED,
        "a": REDACTED,
        "b": REDACTED,
    }
    assert Redaction(["iban"]) | Redaction() == Redaction() | Redaction(["IBAN"])


def test_a_name_with_a_number_hides_only_that_number() -> None:
    assert Redaction(["line1"]).apply({"line1": 1, "line2": 2}) == {"line1": REDACTED, "line2": 2}


def test_data_used_as_names_does_not_pile_up() -> None:
    redaction = Redaction()
    redaction.apply([{f"key {number}": 1} for number in range(9_000)])
    assert len(redaction._known) <= 5_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.sampled_from(SENSITIVE))
def test_a_secret_is_found_at_any_depth(data: Any, name: str) -> None:
    marked = [data, {"deep": [data, {name.replace(" ", "_"): "a secret that is nowhere else"}]}]
    assert "a secret that is nowhere else" not in json.dumps(Redaction().apply(marked))


@given(JSON)
def test_redacting_twice_changes_nothing_more(data: Any) -> None:
    once = Redaction().apply(data)
    assert Redaction().apply(once) == once

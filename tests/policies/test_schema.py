"""The JSON Schema of policy files accepts what the loader accepts, and nothing else."""

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.policies.documents import read_document
from assent.policies.schema import json_schema
from assent.policies.shapes import problems_of

FOLDER = Path(__file__).parent.parent.parent / "examples/policies"
FILES = sorted(each for each in FOLDER.iterdir() if each.suffix in {".yaml", ".json", ".toml"})
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def plain(data: Any) -> Any:
    """The data as JSON has it."""
    return json.loads(
        json.dumps(data, default=lambda value: float(value) if isinstance(value, Decimal) else str(value))
    )


def is_right(data: Any) -> bool:
    return not list(problems_of(SCHEMA, data, SCHEMA))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_examples_are_right_by_both(path: Path) -> None:
    data = read_document(path).data
    assert is_right(data)
    VALIDATOR.validate(plain(data))


def places(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, one in parts:
        yield from places(one, (*place, key))


def changed(data: Any, place: tuple[Any, ...], value: Any, *, add: str = "") -> Any:
    """A copy with something else at a place, or with a key more in what stands there."""
    whole = copy.deepcopy({"root": data})
    at: Any = whole
    for part in ("root", *place)[:-1]:
        at = at[part]
    last = ("root", *place)[-1]
    if add and isinstance(at[last], dict):
        at[last][add] = value
    else:
        at[last] = value
    return whole["root"]


VALUES = st.sampled_from(
    [None, True, 0, 1, -1, 2.5, 3.0, "", "x", "2h", "12.50", "never", "all", "allow", "deny", [], ["a"], [["a"]], {},
     {"type": "deny", "reason": "x"}, {"name": "a", "type": "warn"}, {"approvers": ["a"]}]
)  # fmt: skip
KEYS = st.sampled_from(["", "", "", "when", "type", "approvers", "extra", "then", "mode", "expires", "overrides"])


@given(st.data())
def test_after_any_change_both_say_the_same(data: st.DataObject) -> None:
    original = plain(read_document(data.draw(st.sampled_from(FILES))).data)
    place = data.draw(st.sampled_from(list(places(original))))
    found = changed(original, place, data.draw(VALUES), add=data.draw(KEYS))
    assert is_right(json.loads(json.dumps(found), parse_float=Decimal)) is VALIDATOR.is_valid(found)

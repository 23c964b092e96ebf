"""What is printed: safe, whole, and in columns."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from assent.cli.output import Row, Screen, age, json_text, moment, safe, short_moment, shortened, span
from assent.cli.run import frames

NOW = 1_900_000_000.0


@given(st.text())
def test_safe_text_has_only_what_can_be_printed(text: str) -> None:
    assert safe(text).isprintable()
    assert safe(text) == text or not text.isprintable()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_json_is_safe_and_still_the_same_value(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert all(each.isprintable() or each == "\n" for each in text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.35, "350 ms"),
        (0.9999, "1 s"),
        (1.23, "1.2 s"),
        (59.97, "1 min"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (11_100, "3 h 5 min"),
        (172_800, "2 d"),
    ],
)
def test_spans_name_two_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("gap", "words"),
    [(0.2, "just now"), (5, "5 s ago"), (90, "2 min ago"), (3599, "1 h ago"), (-86_390, "in 1 d"), (-7200, "in 2 h")],
)
def test_ages_name_one_unit(gap: float, words: str) -> None:
    assert age(NOW - gap, NOW) == words


def test_moments_are_shorter_the_closer_they_are() -> None:
    assert moment(NOW - 60, NOW).endswith(" (1 min ago)")
    assert len(moment(NOW, NOW).partition(" (")[0]) == len("2030-01-31 14:00:00")
    lengths = [len(short_moment(NOW - gap, NOW).partition(" (")[0]) for gap in (0, 40 * 86_400, 800 * 86_400)]
    assert lengths == [len("14:00:00"), len("01-31 14:00"), len("2030-01-31")]


def test_what_is_cut_says_how_much() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefgh", 6) == "abcdef… (2 more characters)"


def printed(rows: list[Row], width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    file = io.StringIO()
    Screen(NOW, file).table(["ID", ">SIZE", "NAME"], rows, "NOTE")
    return file.getvalue().splitlines()


def test_notes_stand_beside_their_row_if_all_fit_and_else_below(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        Row([Text("a1"), Text("5"), Text("x")], [Text("one"), Text("two")]),
        Row([Text("b"), Text("50"), Text("yy")]),
    ]
    assert printed(rows, 40, monkeypatch) == ["ID  SIZE  NAME  NOTE", "a1     5  x     one · two", "b     50  yy"]
    assert printed(rows, 20, monkeypatch) == ["ID  SIZE  NAME", "a1     5  x", "    one", "    two", "b     50  yy"]


def test_columns_that_do_not_fit_go_below(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row([Text("0123456789"), Text("5"), Text("name")], [Text("note")])]
    assert printed(rows, 18, monkeypatch) == ["ID          SIZE", "0123456789     5", "    name", "    note"]


def test_wide_characters_keep_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row([Text("日本"), Text("1"), Text("x")]), Row([Text("abcd"), Text("1"), Text("x")])]
    _, first, second = printed(rows, 40, monkeypatch)
    assert Text(first).cell_len == Text(second).cell_len


def test_the_places_of_a_failure_are_the_users_own_outermost_first() -> None:
    cause = 'Traceback (most recent call last):\n  File "/shop/app.py", line 9, in step\n    raise KeyError\nKeyError\n'
    effect = 'Traceback (most recent call last):\n  File "/shop/app.py", line 3, in flow\n    await step()\nKeyError\n'
    joined = f"{cause}\nThe above exception was the direct cause of the following exception:\n\n{effect}"
    assert frames(joined) == ["/shop/app.py:3 flow: await step()", "/shop/app.py:9 step: raise KeyError"]

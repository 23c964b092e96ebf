"""Exceptions cross the journal as themselves where that is safe, and otherwise as one that tells of them."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from assent import errors
from assent.engine.failure import RecordedTraceback, decode_failure, encode_failure, live_failure
from assent.errors import AssentError, ExecutionFailed, StepFailed


class CardDeclined(Exception):
    """Calls its base with a text of its own, as most do."""

    def __init__(self, card: str, *, code: int) -> None:
        super().__init__(f"{card} was declined")
        self.card, self.code = card, code


class Spoken(Exception):
    def __str__(self) -> str:
        return f"spoken: {self.args!r}"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Loud(Exception):
    """Whoever makes one runs its code."""

    made: list[str] = []  # noqa: RUF012 - shared on purpose, to see whether the code ran

    def __new__(cls, *args: object) -> "Loud":
        cls.made.append("new")
        return super().__new__(cls, *args)

    def __init__(self, *args: object) -> None:
        self.made.append("init")

    def __setstate__(self, state: object) -> None:
        self.made.append("state")


def raised(exc: BaseException) -> BaseException:
    """The exception with a traceback."""
    try:
        raise exc
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error


def crossed(exc: BaseException) -> BaseException:
    return decode_failure(encode_failure(raised(exc)))


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("wrong", 3),
        ValueError(),
        KeyError("key"),
        ZeroDivisionError("division by zero"),
        FileNotFoundError(2, "No such file", "a.txt"),
        OSError(28, "No space left on device"),
        ConnectionResetError("gone"),
        TimeoutError("late"),
        sqlite3.OperationalError("database is locked"),
        asyncio.CancelledError("stop"),
        asyncio.InvalidStateError("not yet"),
        json.JSONDecodeError("bad", "{", 1),
        UnicodeError("odd"),
        StopIteration("value"),
        CardDeclined("1234", code=7),
        Spoken("a", 1),
        RuntimeError("x" * 100_000),
    ],
    ids=repr,
)
def test_an_exception_comes_back_as_itself(exc: BaseException) -> None:
    exc.add_note("a note")
    copy = crossed(exc)
    assert type(copy) is type(exc)
    assert (str(copy), copy.args, vars(copy)) == (str(exc), exc.args, vars(exc))
    assert "test_failure.py" in str(copy.__cause__) or len(str(exc)) > 16_000


def test_the_facts_of_built_in_errors_come_back() -> None:
    missing = crossed(FileNotFoundError(2, "No such file", "a.txt"))
    assert isinstance(missing, FileNotFoundError)
    assert (missing.errno, missing.strerror, missing.filename) == (2, "No such file", "a.txt")


def test_the_name_of_a_missing_module_comes_back() -> None:
    missing = crossed(ModuleNotFoundError("No module named 'x'", name="x"))
    assert isinstance(missing, ModuleNotFoundError)
    assert missing.name == "x"


def every_error(kind: type[AssentError] = AssentError) -> list[type[AssentError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in every_error(child))]


@pytest.mark.parametrize("kind", sorted({k for k in every_error() if k.__module__ == errors.__name__}, key=str))
def test_every_error_of_assent_comes_back_with_its_facts(kind: type[AssentError]) -> None:
    names = {name for owner in kind.__mro__ for name in getattr(owner, "__annotations__", {})}
    facts: dict[str, Any] = {name: f"the {name}" for name in names - {"http_status", "exit_code", "errno"}}
    facts |= {"approvals": ["a", "b"], "retry_after": 1.5, "execution_id": None}
    copy = crossed(kind("what happened, and what to do", **facts))
    assert type(copy) is kind
    assert str(copy) == "what happened, and what to do"
    assert vars(copy) == facts


def test_an_exception_that_cannot_speak_comes_back_as_itself() -> None:
    facts = json.loads(encode_failure(Unspeakable("x")))
    assert facts["message"] == "its message cannot be read"
    assert crossed(Unspeakable("x")).args == ("x",)


def test_the_unknown_outcome_comes_back() -> None:
    assert type(crossed(errors.OutcomeUnknown("who knows"))) is errors.OutcomeUnknown


def invalid() -> BaseException:
    class Strict(BaseModel):
        amount: int

    try:
        Strict.model_validate({"amount": "many"})
    except ValidationError as error:
        return error
    raise AssertionError


def local() -> BaseException:
    class Local(Exception):
        pass

    return Local("only here")


@pytest.mark.parametrize(
    ("exc", "type_name"),
    [
        (invalid(), "pydantic_core._pydantic_core.ValidationError"),
        (local(), f"{__name__}.local.<locals>.Local"),
        (ExceptionGroup("two", [ValueError("a"), KeyError("b")]), "ExceptionGroup"),
        (KeyboardInterrupt("stop"), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit"),
        (Spoken(Decimal(1)), f"{__name__}.Spoken"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "UnicodeDecodeError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_others_come_back_as_a_failed_step_that_tells_of_them(exc: BaseException, type_name: str) -> None:
    copy = crossed(exc)
    assert type(copy) is StepFailed
    assert copy.type_name == type_name
    assert str(copy) == f"{type_name}: {copy.reason}"
    assert copy.reason == str(exc)
    assert "test_failure.py" in copy.traceback_text
    assert type(decode_failure(encode_failure(exc), wrapper=ExecutionFailed)) is ExecutionFailed
    again = crossed(copy)
    assert (type(again), str(again), vars(again)) == (StepFailed, str(copy), vars(copy))


def test_what_is_seen_live_is_what_is_seen_on_replay() -> None:
    for exc in (CardDeclined("1", code=2), local(), ValueError(Decimal(1))):
        text, live = live_failure(raised(exc), StepFailed)
        replayed = decode_failure(text)
        assert type(live) is type(replayed)
        assert (str(live), live.args, vars(live)) == (str(replayed), replayed.args, vars(replayed))
        assert str(live.__cause__) == str(replayed.__cause__)


def test_arguments_that_json_cannot_hold_become_their_text() -> None:
    copy = crossed(ValueError(Decimal("1.5")))
    assert (type(copy), copy.args) == (ValueError, ("1.5",))
    loud = ValueError("known")
    loud.native, loud.foreign = {"a": [1, None, 2.5, True]}, Decimal(1)  # type: ignore[attr-defined]
    assert vars(crossed(loud)) == {"native": {"a": [1, None, 2.5, True]}}


def test_no_code_of_the_exceptions_class_runs_when_it_is_rebuilt() -> None:
    text = encode_failure(raised(Loud("a")))
    Loud.made.clear()
    copy = decode_failure(text)
    assert type(copy) is Loud
    assert copy.args == ("a",)
    assert Loud.made == []


@pytest.mark.parametrize(
    "name",
    [
        "builtins:exec",
        "builtins:object",
        "builtins:BaseException",
        "subprocess:Popen",
        "os:system",
        "nowhere.at.all:Error",
        "assent.errors:Missing",
        "builtins:",
        "",
        ":",
        "..:x",
        "json:decoder.JSONDecodeError.__init__",
    ],
)
def test_only_exceptions_are_made_of_what_the_journal_names(name: str) -> None:
    facts = {"type": name, "message": "m", "traceback": "t", "args": ["m"], "state": {}}
    assert type(decode_failure(json.dumps(facts))) is StepFailed


def test_names_that_are_no_utf8_are_written_out() -> None:
    copy = crossed(FileNotFoundError("\udcff.txt"))
    assert (type(copy), str(copy)) == (FileNotFoundError, "\\udcff.txt")


def test_long_tracebacks_keep_their_end() -> None:
    def dive(depth: int) -> None:
        if depth:
            [dive, climb][depth % 2](depth - 1)
        raise ValueError("at the bottom " + "ä" * 100)

    def climb(depth: int) -> None:
        dive(depth)

    with pytest.raises(ValueError, match="at the bottom") as caught:
        dive(300)
    text = json.loads(encode_failure(caught.value))["traceback"]
    assert len(text.encode()) <= 16 * 1024
    assert text.startswith("...\n")
    assert text.endswith("ä\n")


def test_the_recorded_traceback_is_shown_as_the_cause() -> None:
    copy = crossed(ValueError("x"))
    assert isinstance(copy.__cause__, RecordedTraceback)
    assert "in raised" in str(copy.__cause__)
    assert "in raised" in str(crossed(copy).__cause__)


SCRIPT = """
from assent.engine.failure import decode_failure, encode_failure
class Mine(Exception):
    pass
text = encode_failure(Mine("here"))
print(type(decode_failure(text)).__name__)
print(text)
"""


def test_exceptions_of_a_script_are_known_to_those_who_import_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script_of_mine.py"
    script.write_text(SCRIPT)
    out = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True).stdout
    name, text = out.splitlines()
    assert name == "Mine"
    copy = decode_failure(text)
    assert isinstance(copy, StepFailed)
    assert str(copy) == "script_of_mine.Mine: here"
    monkeypatch.syspath_prepend(tmp_path)
    assert type(decode_failure(text)).__name__ == "Mine"


def test_exceptions_of_code_without_a_file_are_told_of(tmp_path: Path) -> None:
    out = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
    assert str(decode_failure(out.splitlines()[1])) == "__main__.Mine: here"


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), max_size=3))
def test_any_plain_arguments_give_the_same_text(args: list[Any]) -> None:
    exc = ValueError(*args)
    copy = decode_failure(encode_failure(exc))
    assert str(copy) == str(exc) or (isinstance(copy, StepFailed) and copy.reason == str(exc))

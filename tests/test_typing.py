"""What type checkers see of the decorators: good uses pass, and bad ones are refused on exactly their lines."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TYPING = Path(__file__).parent / "typing"
CHECKERS = {
    "mypy": [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context"],
    "pyright": [sys.executable, "-m", "pyright"],
}
ERROR = re.compile(r"\w+\.py:(\d+)(?::\d+)?(?: -)?:? error")


def lines_with_errors(checker: str, page: Path) -> set[int]:
    command = [*CHECKERS[checker], str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TYPING.parents[1])
    return {int(line) for line in ERROR.findall(done.stdout)}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", CHECKERS)
def test_good_uses_are_accepted(checker: str) -> None:
    assert lines_with_errors(checker, TYPING / "good.py") == set()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", CHECKERS)
def test_bad_uses_are_refused(checker: str, tmp_path: Path) -> None:
    # It is a page of Python only here, so that nobody else who checks the project stumbles over it.
    text = (TYPING / "bad.py.txt").read_text(encoding="utf-8")
    page = tmp_path / "bad.py"
    page.write_text(text, encoding="utf-8")
    marked = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("# refused")}
    assert lines_with_errors(checker, page) == marked

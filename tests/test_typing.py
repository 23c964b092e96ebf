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
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=page.parents[2])
    return {int(line) for line in ERROR.findall(done.stdout)}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", CHECKERS)
def test_good_uses_are_accepted(checker: str) -> None:
    assert lines_with_errors(checker, TYPING / "good.py") == set()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", CHECKERS)
def test_bad_uses_are_refused(checker: str) -> None:
    page = TYPING / "bad.py"
    marked = {number for number, line in enumerate(page.read_text().splitlines(), 1) if line.endswith("# refused")}
    assert lines_with_errors(checker, page) == marked

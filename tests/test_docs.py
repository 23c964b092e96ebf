"""What the documents say is so: their code runs, and nothing that must be documented is missing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from assent.store import ApprovalStatus

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
# The README shows the quickstart, which waits for a person; the tests of the examples run it.
PAGES = [page for page in DOCUMENTS if "```python" in page.read_text(encoding="utf-8")]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
EVENT = re.compile(
    r"(execution|step|timer|signal|permit|audit)\.[a-z_]+(\.[a-z_]+)?|policy\.[a-z_]+\.[a-z_]+|policy\.evaluated"
)
# Those whose names are put together of parts.
BUILT = {f"policy.<kind>.{word}" for word in ("passed", "failed", "warned", "shadowed")} | {
    f"policy.approval.{word}" for word in ("voted", *(set(ApprovalStatus) - {ApprovalStatus.PENDING}))
}
LISTED = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def test_the_readme_shows_the_quickstart() -> None:
    quickstart = (ROOT / "examples/quickstart.py").read_text(encoding="utf-8")
    assert f"```python\n{quickstart}```" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(BLOCK.findall(page.read_text(encoding="utf-8"))), encoding="utf-8")
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr


def written_events() -> set[str]:
    """The event names that stand in the code. Templates of pages have the form of one."""
    found = set()
    for module in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and EVENT.fullmatch(node.value):
                found.add(node.value)
    return {name for name in found if not name.endswith(".html")}


def listed_events() -> set[str]:
    return set(LISTED.findall((ROOT / "docs/events.md").read_text(encoding="utf-8")))


def test_every_event_is_documented() -> None:
    assert written_events() - listed_events() == set()


def test_every_documented_event_exists() -> None:
    assert listed_events() - written_events() - BUILT == set()


def test_every_event_that_is_put_together_is_documented() -> None:
    assert BUILT - listed_events() == set()


def test_every_page_is_reachable_from_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md" and page.name not in index]
    assert missing == []

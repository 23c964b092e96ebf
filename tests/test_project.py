"""The project's own files keep what they promise."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "src").rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MACHINERY = [ROOT / "Makefile", *sorted((ROOT / ".ci").iterdir())]

# Written in parts, so that this file passes its own test.
REGISTRY_HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
UNFINISHED_OR_PRIVATE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|/home/|/root/|/Users/")
NAMES_THAT_SAY_NOTHING = {"base", "common", "compat", "helpers", "manager", "misc", "util", "utils"}
ABSOLUTE_PATH = re.compile(r"(?<![\w.*}])/(home|opt|root|tmp|Users|usr|work)\b")
RELATIVE_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def kept_files() -> list[Path]:
    """The files that git keeps or would keep."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_each_module_says_what_it_holds(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_source_is_finished_and_names_nobodys_folders(module: Path) -> None:
    assert UNFINISHED_OR_PRIVATE.findall(module.read_text(encoding="utf-8")) == []


def test_modules_are_named_after_what_they_hold() -> None:
    assert [name_of(module) for module in MODULES if module.stem in NAMES_THAT_SAY_NOTHING] == []


def test_rooms_are_one_level_deep() -> None:
    assert [name_of(module) for module in MODULES if len(module.relative_to(ROOT / "src/assent").parts) > 2] == []


def test_no_file_names_a_package_registry() -> None:
    named = {
        name_of(path)
        for path in kept_files()
        if any(host in path.read_text(encoding="utf-8", errors="replace") for host in REGISTRY_HOSTS)
    }
    assert named == set()


@pytest.mark.parametrize("script", MACHINERY, ids=name_of)
def test_the_machinery_works_in_any_folder(script: Path) -> None:
    lines = script.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if ABSOLUTE_PATH.search(line) and not line.startswith("#!")] == []


def test_each_make_command_is_explained_to_contributors() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert targets
    assert [target for target in targets if f"| `make {target}` |" not in page] == []


def test_the_changelog_has_a_place_for_the_next_release() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = RELATIVE_LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_each_page_of_the_docs_is_reached_from_the_index() -> None:
    linked = RELATIVE_LINK.findall((ROOT / "docs/index.md").read_text(encoding="utf-8"))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert pages - {"index.md"} <= set(linked)


def test_the_core_needs_no_optional_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {re.split(r"[\[<>=~ ]", requirement)[0] for requirement in project["dependencies"]}
    assert core == {"pydantic", "rfc8785", "rich", "typer", "typing-extensions"}

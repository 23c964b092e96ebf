"""Policies that a runtime attaches: of files, for its own environment, and it starts closed."""

from pathlib import Path
from typing import Any

import pytest

from assent import PolicyDenied, PolicyFileError, Runtime, UsageError, govern
from assent.governance import Policy
from assent.policies.building import FixedPolicy

FILE = """
version: 1
policies:
  - {name: freeze, type: deny, reason: nothing moves, enabled: false}
environments:
  production: {overrides: {freeze: {enabled: true}}}
  development: {}
"""


@govern()
async def move(amount: int) -> int:
    return amount


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "rules.yaml"
    found.write_text(FILE)
    return found


async def test_the_policies_of_a_file_hold_for_the_environment_of_the_runtime(path: Path) -> None:
    async with Runtime("sqlite://", policies=path, environment={"name": "development"}):
        assert await move(5) == 5
    async with Runtime("sqlite://", policies=[str(path)], environment={"name": "production"}):
        with pytest.raises(PolicyDenied, match="nothing moves"):
            await move(5)


@pytest.mark.parametrize("environment", [{}, {"nmae": "production"}, {"name": None}])
async def test_a_file_that_tells_environments_apart_must_know_which(path: Path, environment: dict[str, Any]) -> None:
    with pytest.raises(PolicyFileError, match=r"rules\.yaml line 5.*production, development.*environment="):
        async with Runtime("sqlite://", policies=path, environment=environment):
            pass


@pytest.mark.parametrize("name", ["prod", "Production", ""])
async def test_an_environment_that_it_does_not_know_opens_nothing(path: Path, name: str) -> None:
    with pytest.raises(PolicyFileError, match="there is no environment"):
        async with Runtime("sqlite://", policies=path, environment={"name": name}):
            pass


async def test_the_name_of_an_environment_is_a_text(path: Path) -> None:
    with pytest.raises(UsageError, match="environment name b'production' is no text"):
        async with Runtime("sqlite://", policies=path, environment={"name": b"production"}):
            pass


async def test_a_file_that_does_not_load_keeps_the_runtime_from_opening(path: Path) -> None:
    path.write_text(FILE.replace("type: deny", "type: denny"))
    with pytest.raises(PolicyFileError, match=r"rules\.yaml line 4"):
        async with Runtime("sqlite://", policies=path, environment={"name": "production"}):
            pass
    with pytest.raises(PolicyFileError, match="cannot be read"):
        async with Runtime("sqlite://", policies=path.with_name("none.yaml")):
            pass


async def test_a_policy_of_a_file_shares_its_name_with_no_other(path: Path) -> None:
    production, own = {"name": "production"}, FixedPolicy("warn", "slow", name="freeze")
    given: list[list[Policy | Path]] = [[path, path], [own, path], [path, own]]
    for policies in given:
        with pytest.raises(UsageError, match="Two policies are named 'freeze'"):
            async with Runtime("sqlite://", policies=policies, environment=production):
                pass
    async with Runtime("sqlite://", policies=[own, FixedPolicy("warn", "later", name="freeze")]):
        assert await move(5) == 5


async def test_what_is_neither_policy_nor_path_is_refused() -> None:
    given: Any = [{"version": 1}]
    with pytest.raises(UsageError, match="is neither"):
        async with Runtime("sqlite://", policies=given):
            pass

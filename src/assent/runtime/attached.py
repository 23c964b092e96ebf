"""The policies that a runtime attaches to actions: given as they are, or by the path of the file that they stand in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assent.errors import UsageError
from assent.governance import Policy

Given = Sequence[Policy | str | Path] | str | Path


def policies_of(given: Given, environment: Mapping[str, Any]) -> tuple[Policy, ...]:
    """All policies, those of files for the environment that is named `name` in `environment`.

    Raises PolicyFileError for a file that does not load, or that tells environments apart while none is named; and
    UsageError for a policy of a file that shares its name with another.
    """
    found: list[Policy] = []
    of_files: set[str] = set()
    for one in [given] if isinstance(given, str | Path) else given:
        if isinstance(one, str | Path):
            loaded = _loaded(one, _name_of(environment))
            of_files |= {policy.name for policy in loaded}
            found += loaded
        elif isinstance(one, Policy):
            found.append(one)
        else:
            raise UsageError(f"policies= takes policies and paths of policy files, and {one!r} is neither.")
    _check_names(found, of_files)
    return tuple(found)


def _name_of(environment: Mapping[str, Any]) -> str | None:
    name = environment.get("name")
    if name is None or isinstance(name, str):
        return name
    raise UsageError(f'The environment name {name!r} is no text. Give environment={{"name": "production"}}.')


def _loaded(path: str | Path, environment: str | None) -> list[Policy]:
    from assent.policies.files import read_policies  # noqa: PLC0415 - policy files need an extra, others do not

    file = read_policies(path, environment)
    if environment is None and file.environments:
        # What holds without any is often the least; a forgotten or misspelled word must not choose it.
        known = ", ".join(file.environments)
        problem = f'it tells environments apart ({known}). Say which this is: Runtime(environment={{"name": ...}}).'
        raise file.document.error(problem, ("environments",))
    return file.policies


def _check_names(policies: Sequence[Policy], of_files: set[str]) -> None:
    for name, count in Counter(one.name for one in policies).items():
        if count > 1 and name in of_files:
            raise UsageError(f"Two policies are named {name!r}, one of them in a file. Give one another name.")

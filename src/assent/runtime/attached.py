"""The policies that a runtime attaches to actions: given as they are, or by the path of the file that they stand in."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from assent.errors import UsageError
from assent.governance import Policy

Given = Sequence[Policy | str | Path] | str | Path


def policies_of(given: Given, environment: Mapping[str, Any]) -> tuple[Policy, ...]:
    """All policies, those of files for the environment that is named `name` in `environment`.

    Raises PolicyFileError for a file that does not load, and UsageError for two policies of one name.
    """
    each: Iterable[Policy | str | Path] = [given] if isinstance(given, str | Path) else given
    name = environment.get("name")
    return tuple(policy for one in each for policy in _loaded(one, name if isinstance(name, str) else None))


def _loaded(one: Policy | str | Path, environment: str | None) -> Iterable[Policy]:
    if isinstance(one, Policy):
        return (one,)
    if isinstance(one, str | Path):
        from assent.policies.files import load_policies  # noqa: PLC0415 - policy files need an extra, others do not

        return load_policies(one, environment)
    raise UsageError(f"policies= takes policies and paths of policy files, and {one!r} is neither.")

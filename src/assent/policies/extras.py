"""The packages that policy files need and nothing else does: the extra `policy`."""

from importlib import import_module
from typing import Any

from assent.errors import UsageError


def extra(module: str) -> Any:
    """A module of the extra `policy`, loaded when it is first needed. Raises UsageError if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(
            f"Policy files need the package {module!r}, which is missing. Install it: pip install 'assent[policy]'."
        ) from error

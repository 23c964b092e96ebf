"""Whether a function takes the new values with which somebody wants to approve its call."""

from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from assent.engine import Program
from assent.errors import CodecError
from assent.store import Workflow


def misfits(
    programs: Iterable[Program], action: str, execution: Workflow, changes: Mapping[str, Any]
) -> dict[str, str]:
    """Why the function of an action does not take these JSON values, by argument.

    Nothing of a function that is not among the programs, or in more than one version: the execution finds out then.
    `execution` is the one that asks, which may be of the function itself.
    """
    known = [one for one in programs if one.name == action and (action != execution.name or one.workflow == execution)]
    if len(known) != 1:
        return {}
    tried = {name: _problem(known[0], name, value) for name, value in changes.items()}
    return {name: problem for name, problem in tried.items() if problem is not None}


def _problem(program: Program, name: str, value: Any) -> str | None:
    try:
        program.signature.read({name: value})
    except CodecError as error:
        return _words_of(error)
    return None


def _words_of(error: CodecError) -> str:
    """What is wrong with a value, for somebody who has not written the function."""
    if not isinstance(error.__cause__, pydantic.ValidationError):
        return str(error)
    first = error.__cause__.errors(include_url=False, include_context=False, include_input=False)[0]
    at = ".".join(map(str, first["loc"]))
    return f"{at}: {first['msg']}" if at else first["msg"]

"""The examples that a policy file carries: given this action, expect this decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assent.errors import UsageError
from assent.policies.explain import Explanation, action_of, explain, facts_at, moment_of
from assent.policies.files import PolicyFile, Source, read_policies


@dataclass(frozen=True, slots=True)
class Tried:
    """An example and what really came of it."""

    name: str
    expected: str
    explanation: Explanation
    problems: tuple[str, ...]
    line: int | None = None

    @property
    def passed(self) -> bool:
        return not self.problems


async def try_examples(source: Source, environment: str | None, now: float) -> list[Tried]:
    """Try all examples of a file, each under its own environment or else the one that is given.

    `now` is the moment of those that tell none. Raises PolicyFileError if the file cannot be used.
    """
    files: dict[str | None, PolicyFile] = {environment: read_policies(source, environment)}
    file = files[environment]
    tried: list[Tried] = []
    for number, example in enumerate(file.examples):
        wanted = example.get("environment", environment)
        if wanted not in files:
            files[wanted] = read_policies(source, wanted)
        tried.append(await _try(files[wanted], number, example, now))
    return tried


async def _try(file: PolicyFile, number: int, example: Mapping[str, Any], now: float) -> Tried:
    place = ("examples", number)
    try:
        moment = moment_of(example["at"]) if "at" in example else now
    except UsageError as error:
        raise file.document.error(str(error), (*place, "at")) from error
    found = await explain(file, action_of(example["action"]), facts_at(moment, example.get("facts", {})))
    name = example.get("name", f"example {number + 1}")
    return Tried(name, example["expect"], found, tuple(_problems(example, found)), file.document.line_of(place))


def _problems(example: Mapping[str, Any], found: Explanation) -> list[str]:
    problems: list[str] = []
    if found.outcome != example["expect"]:
        problems.append(f"it comes to {found.outcome}{_by(found)}")
    elif "by" in example and example["by"] not in found.deciding:
        problems.append(f"{_by(found).removeprefix(', ') or 'no policy decides'}")
    asked = sorted({one for request in found.requests for one in request.approvers})
    if "approvers" in example and sorted(set(example["approvers"])) != asked:
        problems.append(f"asked are {', '.join(asked) or 'none'}")
    quorums = sorted({request.quorum for request in found.requests})
    if "quorum" in example and quorums != [example["quorum"]]:
        problems.append(f"the quorum is {', '.join(map(str, quorums)) or 'none'}")
    return problems


def _by(found: Explanation) -> str:
    return f", by {', '.join(found.deciding)}" if found.deciding else ""

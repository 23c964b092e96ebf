"""An action as it was recorded when its policies were asked, and what its record does not have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from assent.codec import from_json, to_json
from assent.governance import Action, Principal
from assent.governance.approvals import person
from assent.governance.kinds import revived
from assent.governance.redaction import CUT, MARKER, REDACTED
from assent.store import Event

EVALUATED: Final = "policy.evaluated"
NOT_CAPTURED: Final = "arguments (not captured)"
UNREADABLE: Final = "its whole record (not readable)"

# What a redaction writes in place of what it hides or cannot show. A real text of that form counts as hidden too.
SIGNS: Final = ('"[', REDACTED, "[cut")  # without any of these nothing is hidden


class Question(NamedTuple):
    """Whom a request asks, and how many of them must agree: all that decides whose time it takes."""

    approvers: tuple[str, ...]
    quorum: int = 1

    @classmethod
    def of(cls, approvers: Sequence[str], quorum: int = 1) -> "Question":
        """The same question for the same people, in whatever order and spelling they were named."""
        return cls(tuple(sorted({person(one) for one in approvers})), quorum)


class Word(NamedTuple):
    """What one policy said of one action. A tuple, because there is one for each policy and action."""

    policy: str
    outcome: str  # allow, deny, warn, ask
    fingerprint: str = ""
    questions: tuple[Question, ...] = ()
    reason: str = ""
    failed: bool = False  # it denied because it did not work


class Gaps:
    """What is missing in a record and was asked for all the same."""

    __slots__ = ("_asked",)

    def __init__(self) -> None:
        self._asked: dict[str, None] = {}

    def note(self, path: str) -> None:
        self._asked[path] = None

    def take(self) -> tuple[str, ...]:
        """The paths asked for since the last time."""
        found = tuple(self._asked)
        self._asked.clear()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One action, as its policies saw it."""

    execution_id: str
    at: float  # Unix seconds; the time that its policies were told
    action: Action
    environment: Mapping[str, Any]
    outcome: str  # what the policies said together: allow, ask or deny
    words: tuple[Word, ...]  # of the policies that were in force
    gaps: Gaps
    is_whole: bool = True  # nothing is missing in it


def recorded_of(event: Event) -> Recorded | None:
    """The action of a `policy.evaluated` event; None if nothing can be made of what stands there."""
    try:
        return _recorded_of(event, from_json(event.value or ""))
    except (ArithmeticError, AttributeError, KeyError, LookupError, TypeError, ValueError):
        return None


def _recorded_of(event: Event, facts: Mapping[str, Any]) -> Recorded:
    told, gaps = facts["action"], Gaps()
    # Most records have no gaps, and then no value need be looked at.
    is_whole = not any(sign in (event.value or "") for sign in SIGNS)
    if not is_whole and REDACTED in to_json({**told, "arguments": {}, "context": {}}):
        raise ValueError("who asked, or for what, is hidden")
    environment = facts.get("environment") or {}
    action = _action_of(event, told, gaps, is_whole)
    return Recorded(
        execution_id=event.execution_id,
        at=float(facts.get("now", event.at)),
        action=action,
        environment=environment if is_whole else watched(environment, gaps, "environment."),
        outcome=facts["outcome"],
        words=tuple([_word_of(one) for one in facts["decisions"] if one.get("mode") != "shadow"]),
        gaps=gaps,
        is_whole=is_whole and not isinstance(action.arguments, Nothing),
    )


def _action_of(event: Event, told: Mapping[str, Any], gaps: Gaps, is_whole: bool) -> Action:
    context = told.get("context") or {}
    action = Action(
        name=told["name"],
        arguments={},
        requester=_principal_of(told.get("requester")),
        labels=frozenset(told.get("labels", ())),
        risk=told.get("risk", ""),
        context=context if is_whole else watched(context, gaps, "context."),
        execution_id=event.execution_id,
        captured=False,  # requests need no copy of the arguments here
    )
    arguments: Mapping[str, Any] = revived(told["arguments"], told.get("types") or {})
    if not arguments and told["digest"] != action.digest:
        arguments = Nothing(gaps)
    elif not is_whole:
        arguments = watched(arguments, gaps)
    # An action copies its arguments, and would read all that is watched; its digest is of values that are not here.
    object.__setattr__(action, "arguments", arguments)
    object.__setattr__(action, "_digest", told["digest"])
    return action


def _principal_of(facts: Mapping[str, Any] | None) -> Principal | None:
    return Principal(facts["id"], facts.get("roles", ()), facts.get("permissions", ())) if facts else None


def _word_of(facts: Mapping[str, Any]) -> Word:
    asks = facts.get("asks")
    questions = tuple([Question.of(one["approvers"], one.get("quorum", 1)) for one in asks]) if asks else ()
    return Word(facts["policy"], facts["outcome"], facts.get("digest", ""), questions, facts.get("reason", ""))


def watched(data: Mapping[str, Any], gaps: Gaps, path: str = "") -> Mapping[str, Any]:
    """The data; if it has gaps, in a form that notes whoever wants to know what is not there."""
    shown: dict[str, Any] = {}
    hidden: set[str] = set()
    for name, value in data.items():
        inside = watched(value, gaps, f"{path}{name}.") if isinstance(value, dict) else value
        shown[name] = inside
        if _is_hidden(value):
            hidden.add(name)
    is_same = all(one is data[name] for name, one in shown.items())
    return data if is_same and not hidden and CUT not in data else Watched(shown, hidden, gaps, path)


def _is_hidden(value: Any) -> bool:
    match value:
        case str():
            return MARKER.fullmatch(value) is not None
        case list():
            # What is hidden inside a list cannot be named, so the whole list counts as hidden.
            return any(_is_hidden(one) or (isinstance(one, dict) and _has_hidden(one)) for one in value)
        case _:
            return False


def _has_hidden(data: Mapping[str, Any]) -> bool:
    return CUT in data or any(_is_hidden(one) or (isinstance(one, dict) and _has_hidden(one)) for one in data.values())


class Watched(Mapping[str, Any]):
    """A JSON object with gaps: to read one is an error, and is noted even if that error is swallowed."""

    __slots__ = ("_data", "_gaps", "_hidden", "_path")

    def __init__(self, data: Mapping[str, Any], hidden: set[str], gaps: Gaps, path: str) -> None:
        self._data = data
        self._hidden = hidden
        self._gaps = gaps
        self._path = path

    def __getitem__(self, name: str) -> Any:
        if name in self._hidden or (name not in self._data and CUT in self._data):
            self._gaps.note(f"{self._path}{name}")
            raise KeyError(name)
        return self._data[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._data and CUT in self._data:
            self._gaps.note(f"{self._path}{name}")
        return name in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)


class Nothing(Mapping[str, Any]):
    """The arguments of a call that keeps no state: to look at them at all is an error, and is noted."""

    __slots__ = ("_gaps",)

    def __init__(self, gaps: Gaps) -> None:
        self._gaps = gaps

    def __getitem__(self, name: str) -> Any:
        self._gaps.note(NOT_CAPTURED)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        self._gaps.note(NOT_CAPTURED)
        return False

    def __iter__(self) -> Iterator[str]:
        self._gaps.note(NOT_CAPTURED)
        return iter(())

    def __len__(self) -> int:
        self._gaps.note(NOT_CAPTURED)
        return 0

"""`assent approve`, `reject` and `revoke`: what people say, on one approval or on many."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from rich.text import Text

from assent.cli.arguments import parsed
from assent.cli.asked import approval_row, changes_in_words
from assent.cli.output import Row, Screen, plain, styled
from assent.cli.stored import EVERYTHING, find_approval, opened
from assent.cli.waiting import is_open, whose_turn
from assent.clock import SystemClock
from assent.codec import from_json
from assent.errors import UsageError, VerdictRefused
from assent.governance import cast, roster_of
from assent.governance.approvals import MANDATE, person
from assent.governance.asked import Asked, asked_of
from assent.governance.voices import standing
from assent.store import ApprovalRecord, ApprovalStatus, Store


@dataclass(frozen=True, slots=True)
class Choice:
    """Which approvals a verdict is for: those named, or all of one action that wait for whoever decides."""

    ids: Sequence[str] = ()
    everything: bool = False
    action: str | None = None
    yes: bool = False  # it is meant so, and need not be asked

    def __post_init__(self) -> None:
        if bool(self.ids) == self.everything:
            raise UsageError("Name the approvals, or give --all with --action NAME. One of both.")
        if self.everything != (self.action is not None):
            raise UsageError("--all and --action belong together: give --all --action NAME, or name the approvals.")


@dataclass(frozen=True, slots=True)
class Said:
    """The verdict of one person."""

    approver: str
    decision: str
    reason: str = ""
    changes: Sequence[str] = ()  # NAME=VALUE, each
    conditions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Became:
    """What became of a verdict: the approval afterwards, and why the verdict does not count if it does not."""

    asked: Asked
    refusal: VerdictRefused | None

    @property
    def status(self) -> str:
        return "refused" if self.refusal else self.asked.record.status.value


async def decide(screen: Screen, errors: Screen, url: str | None, choice: Choice, said: Said, *, as_json: bool) -> int:
    """Give a verdict on each of the chosen approvals; returns the exit code.

    Raises VerdictRefused for the verdict on a single approval that does not count.
    """
    async with opened(url) as store:
        chosen = await _chosen(store, choice, said, screen.now)
        _check_changes(said, chosen)
        if not chosen:
            screen.json([]) if as_json else screen.say(f"Nothing of {choice.action} waits for {said.approver}.")
            return 0
        if _is_bulk(choice) and not choice.yes:
            _confirm(errors, choice, said, chosen)
        became = [await _cast(store, each, said) for each in chosen]
        if as_json:
            screen.json([_facts(each) for each in became])
        elif len(became) == 1 and not choice.everything:
            await _say_one(screen, store, became[0], said)
        else:
            await _say_many(screen, store, became, said)
    return VerdictRefused.exit_code if any(each.refusal for each in became) else 0


def _is_bulk(choice: Choice) -> bool:
    return choice.everything or len(choice.ids) > 1


async def _chosen(store: Store, choice: Choice, said: Said, now: float) -> list[Asked]:
    if not choice.everything:
        named = [await find_approval(store, each) for each in choice.ids]
        return await asked_of(store, {each.id: each for each in named}.values(), now)
    pending = await store.approvals(ApprovalStatus.PENDING, limit=EVERYTHING)
    asked = await asked_of(store, [each for each in pending if is_open(each, now)], now)
    roster = await roster_of(store, now)
    return [
        each
        for each in asked
        if each.request is not None
        # One approval of a whole series is given by its name, never by the way.
        and each.request.kind != MANDATE
        and each.request.action == choice.action
        and roster.seats(each.request, said.approver)
        and not _has_spoken(each, said.approver)
    ]


def _has_spoken(asked: Asked, who: str) -> bool:
    said = standing(asked.request, asked.verdicts) if asked.request else []
    return any(person(one.approver) == person(who) for one in said)


def _confirm(errors: Screen, choice: Choice, said: Said, chosen: Sequence[Asked]) -> None:
    """On a terminal, show what the verdict is for, and ask. Raises Abort for a no, UsageError for --all in a script."""
    if not sys.stdin.isatty():
        if choice.everything:
            raise UsageError(
                f"{len(chosen)} approvals of {choice.action} would be decided, and nobody can be asked whether that is "
                f"meant. Name them, or give --yes."
            )
        return
    errors.table(["APPROVAL", "STATUS", "ASKED", "FOR"], [approval_row(each, errors.now) for each in chosen], "BY")
    typer.confirm(f"{said.decision.capitalize()} these {len(chosen)}?", abort=True, err=True)


async def _cast(store: Store, asked: Asked, said: Said) -> Became:
    clock = SystemClock()
    refusal = None
    record = asked.record
    try:
        record = await cast(
            store,
            clock,
            record.id,
            approver=said.approver,
            decision=said.decision,
            reason=said.reason,
            changes=_changes(asked, said.changes),
            conditions=said.conditions,
        )
    except VerdictRefused as error:
        refusal = error
    (after,) = await asked_of(store, [await store.approval(record.id) or record], clock.now())
    return Became(after, refusal)


# Changes


def _check_changes(said: Said, chosen: Sequence[Asked]) -> None:
    if said.changes and len(chosen) > 1:
        raise UsageError("--change edits one action. Name one approval.")


def _changes(asked: Asked, pairs: Sequence[str]) -> Mapping[str, Any] | None:
    if not pairs:
        return None
    known = asked.request.arguments if asked.request else {}
    return {name: _value(known.get(name), name, text) for name, text in map(_split, pairs)}


def _split(pair: str) -> tuple[str, str]:
    name, equals, text = pair.partition("=")
    if not equals or not name:
        raise UsageError(f"{pair!r} is no change. Write --change name=value.")
    return name, text


def _value(present: Any, name: str, text: str) -> Any:
    """The new value: a text in place of a text (amounts that are exact are texts in JSON), and else JSON."""
    if isinstance(present, str):
        return text
    if present is None and not _is_json(text):
        return text
    return parsed(text, f"The new value of {name}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


# What became of it


def _facts(became: Became) -> dict[str, Any]:
    return {
        "approval_id": became.asked.record.id,
        "status": became.asked.record.status.value,
        "refusal": became.refusal.reason if became.refusal else None,
        "votes": len(became.asked.voices),
        "missing": became.asked.missing,
    }


async def _say_one(screen: Screen, store: Store, became: Became, said: Said) -> None:
    if became.refusal is not None:
        raise became.refusal
    record = became.asked.record
    words = _in_words(became, said)
    is_over = record.status is not ApprovalStatus.PENDING
    screen.say(
        Text.assemble("Approval ", plain(record.id), " is ", styled(record.status.value), plain(f"{words}."))
        if is_over
        else plain(f"Noted: {words}. Approval {record.id} waits for more.")
    )
    for line in await _who_goes_on(store, [record]):
        screen.say(line)


async def _say_many(screen: Screen, store: Store, became: Sequence[Became], said: Said) -> None:
    rows = [_row(each, said) for each in became]
    screen.table(["APPROVAL", "BECAME", "FOR"], rows, "WHY")
    for line in await _who_goes_on(store, [each.asked.record for each in became if each.refusal is None]):
        screen.say(line)


def _row(became: Became, said: Said) -> Row:
    words = _in_words(became, said).removeprefix(", ")
    cells = [plain(became.asked.record.id), styled(became.status), plain(became.asked.subject)]
    return Row(cells, [plain(words)] if words else [])


def _in_words(became: Became, said: Said) -> str:
    """What an approval has become by a verdict, beside its status."""
    asked = became.asked
    if became.refusal is not None:
        return became.refusal.reason
    match asked.record.status:
        case ApprovalStatus.PENDING:
            return _progress(asked, said)
        case ApprovalStatus.AMENDED:
            changes = next((one.changes for one in reversed(asked.verdicts) if one.changes is not None), None)
            words = changes_in_words(from_json(changes)) if changes else ""
            return f", with {words}: the edited action passes every policy again, and is asked for anew"
        case _:
            return ""


def _progress(asked: Asked, said: Said) -> str:
    quorum = asked.request.quorum if asked.request else 1
    count = f"{len(asked.voices)} of {quorum} {'has' if quorum == 1 else 'have'} approved"
    if said.decision == "revoke":
        return f"{said.approver} takes back what they said; {count}"
    is_counted = any(person(voice.verdict.approver) == person(said.approver) for voice in asked.voices)
    if said.conditions and not is_counted:
        return f"as it was asked for it does not meet {' and '.join(said.conditions)}, and an edited one may; {count}"
    return count


async def _who_goes_on(store: Store, records: Iterable[ApprovalRecord]) -> list[str]:
    """Which executions go on now, and what they lack for it."""
    found: dict[str, list[str]] = {}
    for record in records:
        execution = await store.execution(record.execution_id)
        is_open_still = record.status in {ApprovalStatus.PENDING, ApprovalStatus.REVOKED}
        if is_open_still or execution is None or execution.status.is_final:
            continue
        words = f"of {execution.name} goes on{await whose_turn(store, execution)}."
        found.setdefault(words, []).append(execution.id)
    return [f"{_executions_in_words(ids)} {words}" for words, ids in found.items()]


def _executions_in_words(ids: Sequence[str]) -> str:
    return f"Execution {ids[0]}" if len(ids) == 1 else f"Each of {len(ids)} executions"

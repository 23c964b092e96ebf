"""`assent policy backtest`: what policies would have changed in the actions that are recorded, and what that costs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from assent.cli.moments import past
from assent.cli.output import Row, Screen, iso, local, plain, shortened, span
from assent.cli.stored import opened
from assent.policies.backtest import backtest as run_backtest
from assent.policies.files import read_policies
from assent.policies.pace import Load, Pace, load_of, pace_of
from assent.policies.tally import Change, PolicyTally, Tally

LONGEST_REASON: Final = 120
SHOWN: Final = 3  # examples of one change in the text; --json has all that are kept

STYLES: Final[Mapping[Change, str]] = {
    Change.NEWLY_DENIED: "red",
    Change.NEWLY_ASKED: "yellow",
    Change.NO_LONGER_ASKED: "green",
    Change.NO_LONGER_DENIED: "bold magenta",
    Change.ASKED_OF_OTHERS: "yellow",
    Change.UNCHANGED: "dim",
    Change.UNJUDGED: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What `assent policy backtest` was asked for."""

    file: str
    since: str | None
    environment: str | None
    without: Sequence[str]
    as_json: bool


async def backtest(screen: Screen, errors: TextIO, url: str | None, order: Order) -> None:
    """`assent policy backtest`."""
    file = read_policies(order.file, order.environment)
    # What the file has switched off no longer counts either.
    gone = (*order.without, *(entry.name for entry in file.entries if entry.policy is None))
    since = past(order.since, screen.now) if order.since else None
    async with opened(url) as store:
        with _progress(Console(file=errors), since, screen.now) as progress:
            tally = await run_backtest(store, file.policies, since=since, without=gone, progress=progress)
        pace = await pace_of(store, screen.now, since)
    before, after = load_of(tally.asked_before, pace), load_of(tally.asked, pace)
    if order.as_json:
        screen.json(report_facts(tally, before, after, pace))
        return
    _say_what_was_read(screen, tally, len(file.policies), order)
    if tally.actions:
        _say_changes(screen, tally)
        _say_policies(screen, tally)
        _say_time(screen, before, after, pace)


@contextmanager
def _progress(console: Console, since: float | None, now: float) -> Iterator[Callable[[Tally], None] | None]:
    """A bar on a terminal: how much of the time has been gone through, since nobody has counted the actions."""
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("Asking again"), BarColumn(), TextColumn("{task.fields[actions]:,} actions"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, actions=0)

        def show(tally: Tally) -> None:
            first = tally.first if since is None else since
            if first is not None and tally.last is not None and now > first:
                bar.update(task, completed=(tally.last - first) / (now - first), actions=tally.actions)

        yield show


# For programs.


def report_facts(tally: Tally, before: Load, after: Load, pace: Pace) -> dict[str, Any]:
    """The result for programs."""
    return {
        "actions": tally.actions,
        "first": iso(tally.first),
        "last": iso(tally.last),
        "changes": {change.name.lower(): tally.changes[change] for change in Change},
        "moves": [{"from": was, "to": now, "actions": count} for (was, now), count in sorted(tally.moves.items())],
        "missing": dict(tally.missing.most_common()),
        "kept": dict(sorted(tally.kept.items())),
        "policies": [_policy_facts(one) for one in tally.policies.values()],
        "reviewing": {
            "before": _load_facts(before),
            "after": _load_facts(after),
            "approvers": [_approver_facts(one, before, after, pace) for one in _approvers(before, after)],
        },
    }


def _policy_facts(tally: PolicyTally) -> dict[str, Any]:
    return {
        "policy": tally.name,
        "mode": "shadow" if tally.is_shadow else "enforce" if tally.is_tested else "removed",
        "said": dict(tally.said),
        "said_before": dict(tally.said_before),
        "failed": tally.failed,
        "failure": tally.failure or None,
        "unjudged": tally.unjudged,
        "changes": {change.name.lower(): count for change, count in tally.changes.items()},
        "examples": {
            change.name.lower(): [{"execution_id": one.execution_id, "reason": one.reason} for one in examples]
            for change, examples in tally.examples.items()
        },
    }


def _load_facts(load: Load) -> dict[str, Any]:
    return {
        "questions": load.questions,
        "verdicts": load.verdicts,
        "looking_seconds": load.looking,
        "waiting_seconds": load.waiting,
    }


def _approver_facts(approver: str, before: Load, after: Load, pace: Pace) -> dict[str, Any]:
    habit = pace.of(approver)
    return {
        "approver": approver,
        "verdicts_before": before.shares.get(approver, 0.0),
        "verdicts_after": after.shares.get(approver, 0.0),
        "recorded_verdicts": habit.verdicts,
        "waiting_seconds": habit.waiting,
        "looking_seconds": habit.looking,
    }


def _approvers(before: Load, after: Load) -> list[str]:
    return sorted({*before.shares, *after.shares})


# For people.


def _say_what_was_read(screen: Screen, tally: Tally, count: int, order: Order) -> None:
    policies = f"{count} {'policy' if count == 1 else 'policies'} of {order.file}"
    if tally.first is None or tally.last is None:
        screen.say(f"{policies}: nothing is recorded{' since then' if order.since else ''} to ask them about.")
        return
    period = f"{local(tally.first):%Y-%m-%d %H:%M} to {local(tally.last):%Y-%m-%d %H:%M}"
    screen.say(f"{policies}, asked about {_many(tally.actions, 'recorded action')}, {period}.")
    if tally.kept:
        names = ", ".join(f"{name} ({count:,})" for name, count in tally.kept.most_common())
        screen.say(f"Left as recorded: {names}.", style="dim")
    unknown = [name for name in order.without if not any(_is_part_of(each, name) for each in tally.policies)]
    if unknown:
        screen.say(f"Never recorded, so nothing to leave out: {', '.join(unknown)}.", style="yellow")


def _is_part_of(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}/")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _say_changes(screen: Screen, tally: Tally) -> None:
    screen.say()
    rows = [
        Row([Text(change.value, style=STYLES[change]), Text(f"{tally.changes[change]:,}")], _notes(tally, change))
        for change in Change
    ]
    screen.table(["WHAT CHANGES", ">ACTIONS"], rows)


MOVES: Final[Mapping[Change, Sequence[tuple[str, str]]]] = {
    Change.NEWLY_DENIED: (("allow", "deny"), ("ask", "deny")),
    Change.NO_LONGER_DENIED: (("deny", "allow"), ("deny", "ask")),
}


def _notes(tally: Tally, change: Change) -> list[Text]:
    """How the actions of one change divide, where that is not plain."""
    if change is Change.UNJUDGED:
        return [plain(f"not recorded: {path} ({count:,})") for path, count in tally.missing.most_common()]
    moves = [(was, now, tally.moves[was, now]) for was, now in MOVES.get(change, ())]
    return [Text(f"{was} → {now} {count:,}") for was, now, count in moves if count]


def _say_policies(screen: Screen, tally: Tally) -> None:
    screen.title("Policies")
    rows = [
        Row([plain(one.name), Text(_said(one)), Text(_counts(one.said_before))], list(_policy_notes(one)))
        for one in tally.policies.values()
        if not one.is_silent
    ]
    screen.table(["POLICY", "SAYS", "WAS RECORDED WITH"], rows)


def _said(tally: PolicyTally) -> str:
    if not tally.is_tested:
        return "gone"
    return _counts(tally.said) + (" (shadow)" if tally.is_shadow else "")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{outcome} {count:,}" for outcome, count in sorted(counts.items())) or "nothing"


def _policy_notes(tally: PolicyTally) -> Iterator[Text]:
    for change, count in tally.changes.items():
        examples = tally.examples[change]
        ids = ", ".join(one.execution_id for one in examples[:SHOWN])
        more = " ..." if count > SHOWN else ""
        reason = f": {shortened(examples[0].reason, LONGEST_REASON)}" if examples[0].reason else ""
        yield plain(f"{change.value} {count:,} ({ids}{more}){reason}", STYLES[change])
    if tally.failed:
        yield plain(f"failed {tally.failed:,} times: {shortened(tally.failure, LONGEST_REASON)}", "red")
    if tally.unjudged:
        yield plain(f"cannot judge {tally.unjudged:,}")


def _say_time(screen: Screen, before: Load, after: Load, pace: Pace) -> None:
    screen.title("Reviewers' time, at the recorded pace")
    if not before.questions and not after.questions:
        screen.say("  Nobody was asked, and nobody would be.")
        return
    screen.fields(
        [
            ("questions", _numbers(before.questions, after.questions)),
            ("verdicts", _numbers(before.verdicts, after.verdicts)),
            ("people look", _lengths(before.looking, after.looking)),
            ("actions wait", _lengths(before.waiting, after.waiting)),
        ]
    )
    rows = [_approver_row(one, before, after, pace) for one in _approvers(before, after)]
    screen.say()
    screen.table(["APPROVER", ">VERDICTS", "PACE"], rows)


def _numbers(before: float, after: float) -> str:
    change = "as many" if before == after else f"{abs(after - before):,g} {'more' if after > before else 'fewer'}"
    return f"{before:,g} → {after:,g}, {change}"


def _lengths(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return "not known: no pace is recorded"
    saved = "the same" if before == after else f"{'saves' if after < before else 'costs'} {span(abs(after - before))}"
    return f"{saved} ({span(before)} → {span(after)})"


def _approver_row(approver: str, before: Load, after: Load, pace: Pace) -> Row:
    verdicts = f"{before.shares.get(approver, 0.0):,g} → {after.shares.get(approver, 0.0):,g}"
    return Row([plain(approver), Text(verdicts), Text(_pace_in_words(approver, pace))])


def _pace_in_words(approver: str, pace: Pace) -> str:
    habit = pace.of(approver)
    if habit.waiting is None:
        return "not known"
    looks = "" if habit.looking is None else f", looks for {span(habit.looking)}"
    source = "" if habit.verdicts else " (as others do)"
    return f"decides after {span(habit.waiting)}{looks}{source}"

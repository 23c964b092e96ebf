"""`assent signal`, `cancel` and `resolve`: word to an execution from outside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from assent.cli.arguments import parsed
from assent.cli.output import Screen
from assent.cli.stored import engine_on, find_execution, opened
from assent.cli.waiting import APPROVAL, CHILD, steps_in_doubt, whose_turn
from assent.errors import UsageError
from assent.governance import Principal, acting_as
from assent.runtime import Handle
from assent.store import ExecutionRecord, Status


async def send_signal(screen: Screen, url: str | None, id: str, name: str, value: str | None, who: str | None) -> None:
    """`assent signal`."""
    if name.startswith((APPROVAL, CHILD)):
        raise UsageError(f"{name!r} is a signal of Assent's own. To decide an approval: assent approve, assent reject.")
    data = None if value is None else parsed(value, "The value")
    async with _addressed(screen, url, id, who) as (handle, record):
        await handle.signal(name, data)
        screen.say(f"Signal {name} is with execution {record.id} of {record.name}.")


async def cancel(screen: Screen, url: str | None, id: str, reason: str, who: str | None) -> None:
    """`assent cancel`."""
    async with _addressed(screen, url, id, who) as (handle, record):
        await handle.cancel(reason)
        screen.say(f"Execution {record.id} of {record.name} is told to stop. Its cleanup still runs.")


async def resolve(
    screen: Screen, url: str | None, id: str, *, done: str | None, not_done: bool, step: str, who: str | None
) -> None:
    """`assent resolve`."""
    if (done is None) != not_done:
        raise UsageError(
            "Say one of the two: --done RESULT if the effect has happened, --not-done if it surely has not."
        )
    result = None if done is None else parsed(done, "The result")
    async with _addressed(screen, url, id, who) as (handle, record):
        chosen = _step_in_doubt(record, step)
        await handle.resolve(done=not not_done, result=result, step=chosen)
        outcome = "did not happen, and may happen now" if not_done else "has happened"
        screen.say(f"Noted for execution {record.id}: {chosen} {outcome}.")


def _step_in_doubt(record: ExecutionRecord, step: str) -> str:
    doubts = steps_in_doubt(record)
    if record.status is not Status.IN_DOUBT or not doubts:
        raise UsageError(f"Nothing is in doubt in execution {record.id}, which is {record.status.value}.")
    if step and step not in doubts:
        raise UsageError(f"Step {step!r} is not in doubt in execution {record.id}, but {', '.join(doubts)} is.")
    if not step and len(set(doubts)) > 1:
        raise UsageError(f"Several steps are in doubt: {', '.join(doubts)}. Name one with --step.")
    return step or doubts[0]


@asynccontextmanager
async def _addressed(
    screen: Screen, url: str | None, id: str, who: str | None
) -> AsyncIterator[tuple[Handle[Any], ExecutionRecord]]:
    """The execution that word is for, on behalf of whoever sends it. Afterwards it is said if nobody can read it."""
    async with opened(url) as store:
        record = await find_execution(store, id)
        with acting_as(Principal(who) if who else None):
            yield Handle(engine_on(store), record.id), record
        turn = await whose_turn(store, record)
        if turn:
            screen.say(f"It is read{turn}.")

"""What workflow code decides and notes by itself."""

import asyncio
from itertools import count
from typing import Any

import pytest

from assent import signal, step, workflow
from assent.engine import current
from assent.errors import NonDeterminism
from tests.conformance.engine.ground import Ground, Suite


def live() -> Any:
    found = current()
    assert found is not None
    return found


@step
async def echo(value: int) -> int:
    return value


class Deciding(Suite):
    async def test_no_effect_follows_from_a_decision_that_is_not_durable(self, ground: Ground) -> None:
        choices, effects = count(), dict[str, set[int]]()

        @step
        async def act(execution_id: str, choice: int) -> None:
            effects.setdefault(execution_id, set()).add(choice)

        @workflow
        async def decides() -> str:
            await asyncio.gather(*(branch() for _ in range(3)))
            return "done"

        async def branch() -> None:
            await echo(1)
            choice = live().decide("which", lambda: next(choices))
            await act(f"{live().info.id}", choice)

        assert await self.outlives(ground, decides) == ("returned", "done")
        assert all(len(made) == 3 for made in effects.values())

    async def test_a_decision_is_made_once_and_told_in_the_journal(self, ground: Ground) -> None:
        asked: list[int] = []

        def choose(number: int) -> int:
            asked.append(number)
            return number

        @workflow
        async def decides() -> list[int]:
            first = live().decide("first", lambda: choose(7))
            await signal("go")
            return [first, live().decide("second", lambda: choose(8))]

        async with ground.runtime(decides) as runtime:
            execution_id = (await runtime.start(decides)).id
            await runtime.engine.waiting(execution_id)
        async with ground.runtime(decides) as runtime:
            handle = runtime.handle(execution_id)
            await handle.signal("go")
            assert await handle.result() == [7, 8]
            told = [(event.name, event.value) for event in await handle.events() if event.type == "execution.decided"]
        assert asked == [7, 8]
        assert told == [("first", "7"), ("second", "8")]

    async def test_a_note_is_journaled_once_and_in_order(self, ground: Ground) -> None:
        @workflow
        async def notes() -> int:
            total = 0
            for turn in range(4):
                live().note("turn", {"number": turn})
                total += await echo(turn)
            live().note("end", None)
            return total

        assert await self.outlives(ground, notes) == ("returned", 6)
        async with ground.runtime(notes, check_replay=True) as runtime:
            for execution in await runtime.executions():
                events = await runtime.handle(execution.id).events()
                told = [(event.type, event.name, event.value) for event in events if event.name in {"turn", "echo"}]
                assert told == [
                    each
                    for turn in range(4)
                    for each in (
                        ("execution.noted", "turn", f'{{"number":{turn}}}'),
                        ("step.completed", "echo", str(turn)),
                    )
                ]

    async def test_code_that_notes_something_else_than_the_journal_is_told(self, ground: Ground) -> None:
        names = iter(["before", "after"])

        @workflow
        async def changes() -> None:
            live().note(next(names), None)
            await signal("go")

        async with ground.runtime(changes) as runtime:
            execution_id = (await runtime.start(changes)).id
            await runtime.engine.waiting(execution_id)
        async with ground.runtime(changes) as runtime:
            handle = runtime.handle(execution_id)
            await handle.signal("go")
            with pytest.raises(NonDeterminism, match="before"):
                await handle.result()

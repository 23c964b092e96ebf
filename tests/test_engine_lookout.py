"""The lookout, on loops whose tasks begin at once."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from assent.engine.worker import Lookout
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingClock


class Ended(asyncio.Future[None]):
    """What a task is that has come to its end before anybody sees it."""

    def __init__(self, work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        try:
            work.send(None)
        except StopIteration:
            self.set_result(None)


async def test_it_goes_on_looking_where_tasks_begin_at_once() -> None:
    looks: list[int] = []

    async def look() -> None:
        looks.append(len(looks))

    loop = asyncio.get_running_loop()
    async with SqliteStore("sqlite://") as store:
        lookout = Lookout(store, JumpingClock(), look, poll=None)
        loop.set_task_factory(lambda loop, work, **_: Ended(work, loop))  # type: ignore[arg-type]  # as eager ones do
        try:
            lookout.start()
            lookout.nudge()
            lookout.nudge()
        finally:
            loop.set_task_factory(None)
        await lookout.stop()
    assert looks == [0, 1, 2]

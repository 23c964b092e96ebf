"""asyncio's own words in workflow code: each works, and leads to the same end when the process dies at any moment."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from assent import now, signal, step, workflow
from assent.errors import NotDeterministic, UsageError
from assent.runtime import Handle
from tests.conformance.engine.ground import Ground, Suite


@step
async def echo(value: str, seconds: float = 0.0) -> str:
    """Takes a while, so that branches overtake each other."""
    await asyncio.sleep(seconds)
    return value


@step
async def fail(message: str, seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    raise ValueError(message)


@workflow
async def gathers(branches: int) -> list[list[str]]:
    async def branch(i: int) -> list[str]:
        waits = [(7 * i + 3 * k) % 5 for k in range(3)]
        return [await echo(f"{i}.{k}", wait) for k, wait in enumerate(waits)]

    return await asyncio.gather(*map(branch, range(branches)))


@workflow
async def gathers_exceptions() -> list[str]:
    found = await asyncio.gather(echo("a", 2), fail("b", 1), echo("c"), return_exceptions=True)
    return [f"{type(each).__name__}: {each}" for each in found]


@workflow
async def gather_raises() -> str:
    try:
        await asyncio.gather(echo("a", 5), fail("b", 1))
    except ValueError as error:
        return f"{error} then {await echo('c')}"
    return "nothing was raised"


@workflow
async def waits_for(limit: float) -> str:
    try:
        return await asyncio.wait_for(echo("in time", 5), limit)
    except TimeoutError:
        return await echo("too late")


@workflow
async def times_out(limit: float) -> str:
    done = []
    try:
        async with asyncio.timeout(limit):
            done.append(await echo("1", 1))
            done.append(await echo("2", 2))
            done.append(await echo("1000", 1000))
    except TimeoutError:
        done.append("timeout")
    return "".join(done)


@workflow
async def task_group(fails: bool) -> list[str]:
    log: list[str] = []

    async def member(name: str, seconds: float) -> None:
        try:
            log.append(await echo(name, seconds))
        except asyncio.CancelledError:
            log.append(f"{name} cancelled, {await echo('cleaned up')}")
            raise

    try:
        async with asyncio.TaskGroup() as group:
            for i in range(6):
                group.create_task(member(f"m{i}", 3 + i % 3 + i / 10))
            if fails:
                group.create_task(fail("no", 3.7))
    except ExceptionGroup as errors:
        log.append(f"{len(errors.exceptions)} failed")
    return log


@workflow
async def creates_tasks() -> str:
    task = asyncio.create_task(echo("task", 3))
    direct = await echo("direct")
    await asyncio.sleep(0)
    return f"{direct} {await task}"


@workflow
async def cancels_a_task() -> str:
    async def forever() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            log.append(await echo("cleanup"))

    log: list[str] = []
    task = asyncio.create_task(forever())
    await echo("first", 1)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        log.append(f"cancelled: {task.cancelled()}")
    return " ".join(log)


@workflow
async def shields() -> str:
    inner = asyncio.ensure_future(echo("shielded", 5))
    try:
        await asyncio.wait_for(asyncio.shield(inner), 1)
    except TimeoutError:
        return f"waited, then {await inner}"
    return "no timeout"


@workflow
async def takes_the_first() -> str:
    tasks = [asyncio.create_task(echo(name, wait), name=name) for name, wait in (("a", 3), ("b", 1), ("c", 2))]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    return " ".join([task.result() for task in done] + sorted(task.get_name() for task in pending if task.cancelled()))


@workflow
async def as_they_come() -> list[str]:
    return [await each for each in asyncio.as_completed([echo("a", 3), echo("b", 1), echo("c", 2)])]


@workflow
async def locks() -> list[str]:
    lock, log = asyncio.Lock(), []

    async def hold(name: str) -> None:
        async with lock:
            log.append(f"{name} in")
            await echo(name, 1)
            log.append(f"{name} out")

    await asyncio.gather(*map(hold, "abc"))
    return log


@workflow
async def events() -> list[str]:
    event, log = asyncio.Event(), []

    async def wait(name: str) -> None:
        await event.wait()
        log.append(await echo(name))

    waiting = [asyncio.create_task(wait(name)) for name in "ab"]
    log.append(await echo("set", 1))
    event.set()
    await asyncio.gather(*waiting)
    return log


@workflow
async def queues() -> list[str]:
    queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1)

    async def produce() -> None:
        for i in range(4):
            await queue.put(await echo(str(i)))
        await queue.put(None)

    producer = asyncio.create_task(produce())
    found = []
    while (item := await queue.get()) is not None:
        found.append(await echo(f"got {item}", 1))
    await producer
    return found


@workflow
async def semaphores() -> int:
    semaphore, inside, most = asyncio.Semaphore(2), 0, 0

    async def work(i: int) -> None:
        nonlocal inside, most
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await echo(str(i), 1)
            inside -= 1

    await asyncio.gather(*map(work, range(5)))
    return most


@workflow
async def races_a_signal() -> str:
    sleeper = asyncio.create_task(asyncio.sleep(100, "slept"))
    word = asyncio.create_task(signal("word", str))
    done, pending = await asyncio.wait({sleeper, word}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return done.pop().result()


@workflow
async def generates() -> list[str]:
    async def numbers() -> AsyncIterator[str]:
        try:
            for i in range(10):
                yield await echo(str(i))
        finally:
            log.append(await echo("closed"))

    log: list[str] = []
    async for number in numbers():
        log.append(number)
        if number == "2":
            break
    log.append(await echo("after", 1))
    return log


@workflow
async def leaves_tasks() -> str:
    async def background() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            await echo("ended in order", 2)

    asyncio.create_task(background())  # noqa: RUF006 - left alone on purpose
    return await echo("done")


@workflow
async def sleeps(seconds: float) -> float:
    before = now()
    await asyncio.sleep(seconds)
    return (now() - before) / timedelta(seconds=1)


class Concurrency(Suite):
    @pytest.mark.parametrize(
        ("fn", "args", "expected"),
        [
            (gathers, (5,), [[f"{i}.{k}" for k in range(3)] for i in range(5)]),
            (gathers_exceptions, (), ["str: a", "ValueError: b", "str: c"]),
            (gather_raises, (), "b then c"),
            (waits_for, (1000.0,), "in time"),
            (waits_for, (3.0,), "too late"),
            (times_out, (100.0,), "12timeout"),
            (times_out, (1e4,), "121000"),
            (task_group, (False,), ["m0", "m3", "m1", "m4", "m2", "m5"]),
            (creates_tasks, (), "direct task"),
            (cancels_a_task, (), "cleanup cancelled: True"),
            (shields, (), "waited, then shielded"),
            (takes_the_first, (), "b a c"),
            (as_they_come, (), ["b", "c", "a"]),
            (locks, (), [f"{name} {way}" for name in "abc" for way in ("in", "out")]),
            (events, (), ["set", "a", "b"]),
            (queues, (), [f"got {i}" for i in range(4)]),
            (semaphores, (), 2),
            (races_a_signal, (), "slept"),
            (leaves_tasks, (), "done"),
        ],
    )
    async def test_it_means_the_same_durably(self, ground: Ground, fn: Any, args: Any, expected: Any) -> None:
        assert await self.outlives(ground, fn, *args) == ("returned", expected)

    @pytest.mark.parametrize("fn", [generates, task_group])
    async def test_what_is_cleaned_up_is_cleaned_up_in_the_same_order(self, ground: Ground, fn: Any) -> None:
        args = (True,) if fn is task_group else ()
        assert (await self.outlives(ground, fn, *args))[0] == "returned"

    @pytest.mark.parametrize(("fn", "args"), [(gathers, (3,)), (task_group, (True,)), (queues, ()), (generates, ())])
    async def test_it_stands_the_replay_check(self, ground: Ground, fn: Any, args: Any) -> None:
        async with ground.runtime(fn, check_replay=True) as runtime:
            await (await runtime.start(fn, *args)).result()

    async def test_a_signal_wins_the_race_against_a_sleep(self, ground: Ground) -> None:
        say = [partial(Handle.signal, name="word", value="said")]
        assert await self.outlives(ground, races_a_signal, say=say) == ("returned", "said")

    @pytest.mark.parametrize("fn", [gathers_exceptions, gather_raises, locks, queues, semaphores])
    async def test_it_means_the_same_without_a_runtime(self, ground: Ground, fn: Any) -> None:
        assert await fn() == await self.finished(ground, fn)

    async def test_futures_that_were_waited_for_come_in_the_same_order_again(self, ground: Ground) -> None:
        @workflow
        async def pairs() -> list[tuple[str, str]]:
            done, _ = await asyncio.wait([asyncio.shield(echo(str(i))) for i in range(20)])
            found = [(each.result(), await echo(each.result())) for each in done]
            await signal("go")
            return found

        async with ground.runtime(pairs) as runtime:
            handle = await runtime.start(pairs)
            await runtime.engine.waiting(handle.id)
            _elsewhere = [bytearray(100) for _ in range(1001)]  # memory is laid out differently for the replay
            await handle.signal("go")
            assert all(first == second for first, second in await handle.result())

    async def test_waiting_for_what_has_no_order_fails(self, ground: Ground) -> None:
        @workflow
        async def waits_for_gathered() -> None:
            await asyncio.wait([asyncio.gather(echo(name)) for name in "ab"])

        with pytest.raises(NotDeterministic, match="make a task"):
            await self.finished(ground, waits_for_gathered)

    async def test_sleep_survives_a_restart(self, ground: Ground) -> None:
        async with ground.runtime(sleeps, dies=True) as runtime:
            handle = await runtime.start(sleeps, 3600.0)
            await runtime.engine.waiting(handle.id)
        before = ground.clock.now()
        async with ground.runtime(sleeps) as runtime:
            slept = await runtime.handle(handle.id).result()
        assert slept == pytest.approx(3600, abs=1)
        assert ground.clock.now() - before < 3601

    async def test_sleep_fires_late_rather_than_never(self, ground: Ground) -> None:
        async with ground.runtime(sleeps) as runtime:
            handle = await runtime.start(sleeps, 60.0)
            await runtime.engine.waiting(handle.id)
        ground.clock.advance("2d")
        async with ground.runtime(sleeps) as runtime:
            assert await runtime.handle(handle.id).result() > 3600

    async def test_sleeping_forever_ends_when_cancelled(self, ground: Ground) -> None:
        async with ground.runtime(sleeps) as runtime:
            handle = await runtime.start(sleeps, float("inf"))
            await runtime.engine.waiting(handle.id)
            await handle.cancel("enough")
            with pytest.raises(Exception, match="enough"):
                await handle.result()


async def _to_thread() -> Any:
    return await asyncio.to_thread(print)


async def _executor() -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, print)


async def _connection() -> Any:
    return await asyncio.open_connection("localhost", 1)


async def _subprocess() -> Any:
    return await asyncio.create_subprocess_exec("true")


async def _reader() -> Any:
    asyncio.get_running_loop().add_reader(0, print)


async def _run_until() -> Any:
    asyncio.get_running_loop().run_forever()


async def _nobody_completes() -> Any:
    await asyncio.get_running_loop().create_future()


class Refusals(Suite):
    @pytest.mark.parametrize(
        ("touch", "named"),
        [
            (_to_thread, "run_in_executor"),
            (_executor, "run_in_executor"),
            (_connection, "create_connection"),
            (_subprocess, "subprocess_exec"),
            (_reader, "add_reader"),
            (_run_until, "run_forever"),
            (_nobody_completes, "waits for something"),
        ],
    )
    async def test_touching_the_outside_world_fails_and_names_the_remedy(
        self, ground: Ground, touch: Any, named: str
    ) -> None:
        @workflow
        async def touches() -> None:
            await touch()

        async with ground.runtime(touches) as runtime:
            with pytest.raises(NotDeterministic, match=named) as raised:
                await (await runtime.start(touches)).result()
        assert "@step" in str(raised.value)

    async def test_workflow_code_that_writes_to_the_store_is_told_to_put_it_in_a_step(self, ground: Ground) -> None:
        @workflow
        async def writes() -> None:
            await asyncio.gather(runtime.people.add("bob"), echo("beside it"))

        async with ground.runtime(writes) as runtime:
            with pytest.raises(UsageError, match="@step"):
                await (await runtime.start(writes)).result()

    async def test_waiting_for_a_thread_fails_instead_of_hanging(self, ground: Ground) -> None:
        @workflow
        async def waits() -> None:
            await asyncio.wrap_future(Future())

        async with ground.runtime(waits) as runtime:
            with pytest.raises(NotDeterministic, match="thread"):
                await (await runtime.start(waits)).result()

"""Virtual time jumps when everything waits, and never past work that is really under way."""

import asyncio
import socket
import sys
import threading
import uuid
from collections.abc import AsyncIterator

import pytest

from assent.clock import Clock
from assent.testing import JumpingClock, JumpingLoop, jumping_run

DAY = 86_400.0


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return ("asyncio", {"loop_factory": JumpingLoop})


async def test_a_sleep_of_a_day_or_a_year_passes_at_once() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    began, really = loop.time(), loop.real_time()
    await asyncio.sleep(DAY)
    assert loop.time() == pytest.approx(began + DAY)
    await asyncio.sleep(365 * DAY)
    assert loop.time() == pytest.approx(began + 366 * DAY)
    assert loop.real_time() - really < 5


async def test_timers_fire_in_order_and_at_their_time() -> None:
    loop, fired = asyncio.get_running_loop(), list[tuple[float, float]]()
    began = loop.time()

    async def fire(after: float) -> None:
        await asyncio.sleep(after)
        fired.append((after, loop.time() - began))

    await asyncio.gather(*(fire(after) for after in (30.0, 0.001, 7 * DAY, 3600.0, 2 * DAY)))
    assert [after for after, _ in fired] == [0.001, 30.0, 3600.0, 2 * DAY, 7 * DAY]
    assert all(at == pytest.approx(after) for after, at in fired)


async def test_time_stands_still_while_there_is_work() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    asleep = asyncio.create_task(asyncio.sleep(60))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert loop.time() == began
    assert not asleep.done()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asleep, 59)


async def test_threads_are_waited_for_before_any_timer() -> None:
    loop, entered, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def work() -> str:
        loop.call_soon_threadsafe(entered.set)
        assert go_on.wait(30)
        return "done"

    job = asyncio.create_task(asyncio.to_thread(work))
    late = asyncio.create_task(asyncio.sleep(DAY))
    await entered.wait()
    go_on.set()
    assert await job == "done"
    assert not late.done()
    late.cancel()


async def test_time_passes_really_while_a_thread_works() -> None:
    loop, go_on = asyncio.get_running_loop(), threading.Event()
    job = loop.run_in_executor(None, go_on.wait, 30)
    began = loop.time()
    await asyncio.sleep(0.05)
    assert loop.time() - began == pytest.approx(0.05, abs=5)
    go_on.set()
    assert await job


async def test_a_wake_up_from_another_thread_arrives() -> None:
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(woken.set_result, "hello"))
    thread.start()
    assert await woken == "hello"
    thread.join()


async def test_a_child_process_is_waited_for_before_any_timer() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input()[::-1])", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        out, _ = await child.communicate(b"abc\n")
    assert (out, child.returncode) == (b"cba\n", 0)


async def test_sockets_of_one_process_talk_while_timers_wait() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, family=socket.AF_INET)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.read() == b"HELLO\n"
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(DAY)


async def test_the_clock_follows_the_loop_and_can_be_advanced() -> None:
    clock = JumpingClock(start=1000.0)
    assert clock.now() == 1000.0
    await asyncio.sleep(60)
    assert clock.now() == pytest.approx(1060.0)
    late = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.sleep(0)
    clock.advance("2h")
    assert clock.now() == pytest.approx(8260.0)
    await late
    assert clock.now() == pytest.approx(8260.0)


async def test_the_clock_can_be_asked_in_threads() -> None:
    clock = JumpingClock(start=1000.0)
    await asyncio.sleep(5)
    assert clock.now() <= await asyncio.to_thread(clock.now) < 1100.0


def test_the_clock_goes_on_under_the_next_loop() -> None:
    clock: Clock = JumpingClock(start=1000.0)

    async def rest() -> float:
        before = clock.now()
        await asyncio.sleep(60)
        return clock.now() - before

    assert jumping_run(rest) == pytest.approx(60)
    assert jumping_run(rest()) == pytest.approx(60)
    assert clock.now() == pytest.approx(1120.0)


def test_without_a_loop_the_clock_stands_still_until_it_is_advanced() -> None:
    clock = JumpingClock(start=5.0)
    assert (clock.now(), clock.now()) == (5.0, 5.0)
    clock.advance(1)
    assert clock.now() == 6.0
    assert asyncio.run(asyncio.to_thread(clock.now)) == 6.0


def test_ids_are_the_same_in_each_run_and_rise() -> None:
    clock, again, other = JumpingClock(), JumpingClock(), JumpingClock(seed="other")
    ids = []
    for _ in range(100):
        ids += [clock.new_id(), clock.new_id()]
        clock.advance("1ms")
        assert [again.new_id(), again.new_id()] == ids[-2:]
        again.advance("1ms")
    assert ids == sorted(set(ids))
    assert other.new_id() not in ids
    assert uuid.UUID(ids[0]).version == 7


def test_generators_and_executors_are_closed_at_the_end() -> None:
    closed = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("generator")

    async def main() -> int:
        await asyncio.to_thread(int)
        async for number in (kept := numbers()):
            held.append(kept)
            return number
        return 0

    held: list[AsyncIterator[int]] = []
    assert jumping_run(main) == 1
    assert closed == ["generator"]

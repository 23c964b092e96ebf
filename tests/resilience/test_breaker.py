"""A breaker around real calls: in ordinary code, in workflow code, and shared by several processes."""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assent import Retry, execution, step, workflow
from assent.errors import (
    BulkheadFull,
    CircuitOpen,
    ExecutionCancelled,
    LimitExceeded,
    PolicyDenied,
    StoreUnavailable,
    UsageError,
)
from assent.resilience import CircuitBreaker
from assent.resilience.ground import PlainGround, SharedState, ambient_ground
from assent.runtime import Runtime
from assent.testing import JumpingClock, JumpingLoop, memory_runtime
from tests.conformance.engine.ground import Ground, Suite
from tests.test_local_engine import ground_in_memory


class Down(Exception):
    """The service does not answer."""


async def fails(error: BaseException | None = None) -> None:
    raise error or Down


async def works() -> str:
    return "fine"


async def tried(breaker: CircuitBreaker, error: BaseException | None = None) -> None:
    with pytest.raises(type(error) if error else Down):
        await breaker.call(fails, error)


@pytest.fixture
def anyio_backend() -> Any:
    """Time passes at once."""
    return "asyncio", {"loop_factory": JumpingLoop}


@contextmanager
def standing_on(shared: SharedState | None = None) -> Iterator[None]:
    here = PlainGround(JumpingClock())
    here.shared = shared
    token = ambient_ground.set(here)
    try:
        yield
    finally:
        ambient_ground.reset(token)


@pytest.fixture
def plain() -> Iterator[None]:
    """Ordinary code, on the clock of the loop."""
    with standing_on():
        yield


# In ordinary code


@pytest.mark.usefixtures("plain")
async def test_it_opens_waits_tries_and_closes() -> None:
    breaker = CircuitBreaker(2, timeout="30s")
    await tried(breaker)
    assert await breaker.call(works) == "fine"
    await tried(breaker)
    await tried(breaker)
    await asyncio.sleep(10)
    with pytest.raises(CircuitOpen, match=r"try one in 20 s") as refused:
        await breaker.call(works)
    assert refused.value.retry_after == pytest.approx(20)
    await asyncio.sleep(20)
    assert breaker.state == "half-open"
    assert await breaker.call(works) == "fine"
    assert breaker.state == "closed"


@pytest.mark.usefixtures("plain")
async def test_a_rejection_does_not_prolong_the_wait() -> None:
    breaker = CircuitBreaker(1, timeout=30)
    await tried(breaker)
    for _ in range(29):
        await asyncio.sleep(1)
        await tried(breaker, CircuitOpen())
    await asyncio.sleep(1)
    assert await breaker.call(works) == "fine"


@pytest.mark.usefixtures("plain")
async def test_of_many_who_come_when_it_is_half_open_only_the_probes_pass() -> None:
    breaker, began = CircuitBreaker(1, timeout=30, probes=2), []
    answer = asyncio.Event()

    async def slow() -> None:
        began.append(1)
        await answer.wait()

    await tried(breaker)
    await asyncio.sleep(30)
    calls = [asyncio.ensure_future(breaker.call(slow)) for _ in range(20)]
    await asyncio.sleep(1)
    assert len(began) == 2
    answer.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 2 + [CircuitOpen] * 18
    assert breaker.state == "closed"


@pytest.mark.usefixtures("plain")
async def test_a_cancelled_probe_gives_its_place_back() -> None:
    breaker = CircuitBreaker(1, timeout=30)
    await tried(breaker)
    await asyncio.sleep(30)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), breaker:
                await asyncio.sleep(5)
        assert breaker.state == "half-open"
    assert await breaker.call(works) == "fine"


@pytest.mark.usefixtures("plain")
async def test_cancelled_calls_are_no_failures() -> None:
    breaker = CircuitBreaker(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), breaker:
            await asyncio.sleep(5)
    assert breaker.state == "closed"


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("error", [CircuitOpen(), LimitExceeded(), BulkheadFull(), UsageError(), PolicyDenied()])
async def test_a_call_that_was_never_made_says_nothing(error: Exception) -> None:
    breaker = CircuitBreaker(2)
    await tried(breaker)
    await tried(breaker, error)
    assert breaker.state == "closed"
    await tried(breaker)
    assert breaker.state == "open"


@pytest.mark.usefixtures("plain")
async def test_only_the_listed_errors_are_failures_and_the_others_are_answers() -> None:
    breaker = CircuitBreaker(2, on=OSError, never_on=(FileNotFoundError,), timeout=30)
    for _ in range(3):
        await tried(breaker, ConnectionError())
        await tried(breaker, ValueError())
        await tried(breaker, ConnectionError())
        await tried(breaker, FileNotFoundError())
    assert breaker.state == "closed"
    await tried(breaker, ConnectionError())
    await tried(breaker, TimeoutError())
    await asyncio.sleep(30)
    await tried(breaker, FileNotFoundError())
    assert breaker.state == "closed"


@pytest.mark.usefixtures("plain")
async def test_a_call_that_began_before_it_opened_says_nothing_later() -> None:
    breaker, answer = CircuitBreaker(1, timeout=30), asyncio.Event()

    async def slow() -> None:
        await answer.wait()
        raise Down

    late = asyncio.ensure_future(breaker.call(slow))
    await asyncio.sleep(0)
    await tried(breaker)
    await asyncio.sleep(30)
    await breaker.call(works)
    answer.set()
    with pytest.raises(Down):
        await late
    assert breaker.state == "closed"


@pytest.mark.usefixtures("plain")
async def test_it_decorates_functions_and_methods() -> None:
    breaker = CircuitBreaker(1)

    class Service:
        @breaker
        async def ask(self, question: str) -> str:
            """Ask."""
            raise Down(question)

    assert (Service.ask.__name__, Service.ask.__doc__) == ("ask", "Ask.")
    with pytest.raises(Down, match="why"):
        await Service().ask("why")
    with pytest.raises(CircuitOpen):
        await Service().ask(question="why")


@pytest.mark.usefixtures("plain")
async def test_a_block_may_be_left_in_another_task_as_that_of_a_stream_that_was_dropped() -> None:
    breaker = CircuitBreaker(2)

    async def answers() -> AsyncGenerator[int, None]:
        async with breaker:
            yield 1

    async def awaited(moment: Awaitable[int]) -> int:
        return await moment

    stream = answers()
    assert await asyncio.create_task(awaited(anext(stream))) == 1
    with pytest.raises(Down):
        await asyncio.create_task(awaited(stream.athrow(Down)))
    assert breaker.state == "closed"
    await tried(breaker)
    assert breaker.state == "open"
    gc.collect()
    assert not any(breaker._inside.values())


@pytest.mark.usefixtures("plain")
async def test_a_plain_function_is_refused_and_says_nothing_of_the_service() -> None:
    breaker = CircuitBreaker(1)
    with pytest.raises(UsageError, match=r"append' is not async"):
        await breaker.call([].append, 1)  # type: ignore[arg-type]  # what is refused
    assert breaker.state == "closed"


@pytest.mark.usefixtures("plain")
def test_it_is_asked_and_told_directly() -> None:
    breaker, told = CircuitBreaker(failure_threshold=3), []
    for _ in range(3):
        assert not breaker.is_open()
        breaker.record_failure()
        told.append(breaker.state)
    assert told == ["closed", "closed", "open"]
    assert breaker.is_open()
    breaker.record_success()
    assert breaker.is_open()


def test_asked_directly_it_lets_only_the_probes_pass() -> None:
    clock = JumpingClock()
    token = ambient_ground.set(PlainGround(clock))
    breaker = CircuitBreaker(1, timeout=30, probes=2)
    breaker.record_failure()
    clock.advance(30)
    assert [breaker.is_open() for _ in range(4)] == [False, False, True, True]
    breaker.record_success()
    assert breaker.state == "half-open"
    breaker.record_success()
    assert breaker.state == "closed"
    ambient_ground.reset(token)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"failure_threshold": 0}, r"failure_threshold=0.*from 1"),
        ({"failure_threshold": 2, "failure_rate": 0.5}, r"2, failure_rate=0.5.*one of both"),
        ({"failure_rate": 0}, r"failure_rate=0.*above 0, up to 1"),
        ({"failure_rate": 50}, r"failure_rate=50"),
        ({"failure_rate": 0.5, "minimum_calls": 0}, r"minimum_calls=0"),
        ({"window": 0}, r"window=0.*a time above 0"),
        ({"timeout": 0}, r"timeout=0.*a time above 0"),
        ({"probes": 0}, r"probes=0"),
        ({"on": "Down"}, r"on='Down'.*exception classes"),
    ],
)
def test_wrong_settings_are_refused_at_once(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        CircuitBreaker(**settings)


# Shared


class Texts:
    """What processes share, of which every second write comes too late; or all of them fail."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, int]] = {}
        self.writes = 0
        self.is_down = False

    async def read(self, key: str) -> tuple[str | None, int]:
        return self.kept.get(key, (None, 0))

    async def swap(self, key: str, text: str, version: int) -> bool:
        if self.is_down:
            raise StoreUnavailable("the disk is full")
        self.writes += 1
        if self.writes % 2 or self.kept.get(key, ("", 0))[1] != version:
            return False
        self.kept[key] = (text, version + 1)
        return True

    async def admit(self, key: str, rate: float, burst: int) -> float:
        raise NotImplementedError


async def test_a_lost_race_for_the_shared_state_is_run_again() -> None:
    with standing_on(Texts()):
        mine, theirs = (CircuitBreaker(2, name="bank") for _ in range(2))
        await tried(mine)
        await tried(theirs)
        assert [await each.read_state() for each in (mine, theirs)] == ["open", "open"]
        assert await CircuitBreaker(2, name="other").read_state() == "closed"


async def test_calls_that_go_well_cost_no_writes() -> None:
    texts = Texts()
    with standing_on(texts):
        for _ in range(5):
            await CircuitBreaker(name="bank").call(works)
    assert texts.writes == 0


async def test_what_a_call_returned_is_not_lost_because_nobody_can_be_told(caplog: pytest.LogCaptureFixture) -> None:
    texts = Texts()
    with standing_on(texts), caplog.at_level(logging.WARNING):
        breaker = CircuitBreaker(name="bank", window="1m")
        texts.is_down = True
        assert await breaker.call(works) == "fine"
    assert "breaker bank did not learn how a call ended: the disk is full" in caplog.text


async def test_a_shared_one_names_the_way_that_waits() -> None:
    breaker = CircuitBreaker(name="bank")
    with standing_on(Texts()):
        for ask in (breaker.is_open, breaker.record_success, breaker.record_failure):
            with pytest.raises(UsageError, match=r"breaker bank is shared.*`async with breaker`"):
                ask()
        with pytest.raises(UsageError, match=r"await breaker.read_state\(\)"):
            _ = breaker.state
    assert breaker.state == "closed"


async def test_processes_on_one_store_share_it(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path}/assent.db", JumpingClock()

    async def call(runtime: Runtime) -> None:
        with runtime.ambient():
            await CircuitBreaker(1, name="bank", timeout=30).call(asyncio.sleep, 1)

    async with Runtime(url, clock=clock, worker=False) as here, Runtime(url, clock=clock, worker=False) as there:
        await tried(CircuitBreaker(1, name="bank", timeout=30))
        for runtime in (here, there):
            with pytest.raises(CircuitOpen):
                await call(runtime)
        clock.advance(30)
        outcomes = await asyncio.gather(*(call(each) for each in [here, there] * 5), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(CircuitOpen) == 9
        await asyncio.gather(*(call(each) for each in [here, there] * 5))


async def test_a_probe_that_is_never_heard_of_blocks_nobody_for_ever(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path}/assent.db", JumpingClock()
    async with Runtime(url, clock=clock, worker=False):
        dead = CircuitBreaker(1, name="bank", timeout=30)
        await tried(dead)
        clock.advance(30)
        await dead.__aenter__()  # and its process is gone
    async with Runtime(url, clock=clock, worker=False):
        breaker = CircuitBreaker(1, name="bank", timeout=30)
        clock.advance(29)
        await tried(breaker, CircuitOpen())
        clock.advance(1)
        assert await breaker.call(works) == "fine"
        assert await breaker.read_state() == "closed"


# In workflow code


async def test_workflow_code_asks_once_and_replays_what_it_was_told() -> None:
    breaker, asked = CircuitBreaker(2), []

    @step
    async def ask(number: int) -> None:
        asked.append(number)
        raise Down

    @workflow
    async def asks() -> list[str]:
        told = []
        for number in range(4):
            if breaker.is_open():
                told.append(breaker.state)
                continue
            try:
                await ask(number)
            except Exception:  # noqa: BLE001 - whatever it raises
                breaker.record_failure()
                told.append("failed")
        return told

    async with memory_runtime() as runtime:
        handle = await runtime.start(asks)
        assert await handle.result() == ["failed", "failed", "open", "open"]
        decided = [event.name for event in await handle.events() if event.type == "execution.decided"]
    assert asked == [0, 1]
    assert decided == ["breaker admits", "breaker learns"] * 2 + ["breaker admits", "breaker looks"] * 2


async def test_a_workflow_that_is_cancelled_gives_its_probe_back() -> None:
    breaker = CircuitBreaker(1, timeout=30)

    @workflow
    async def waits() -> None:
        async with breaker:
            await asyncio.sleep(3600)

    async with memory_runtime() as runtime:
        breaker.record_failure()
        await asyncio.sleep(30)
        handle = await runtime.start(waits)
        await runtime.engine.waiting(handle.id)
        assert breaker.is_open()
        await handle.cancel("enough")
        with pytest.raises(ExecutionCancelled):
            await handle.result()
        assert not breaker.is_open()


class TestThatItOutlivesItsProcess(Suite):
    @pytest.fixture
    async def ground(self, replay_check: bool) -> AsyncIterator[Ground]:
        async with ground_in_memory(replay_check) as ground:
            yield ground

    @pytest.mark.parametrize("is_shared", [False, True])
    async def test_a_workflow_goes_on_wherever_its_process_dies(self, ground: Ground, is_shared: bool) -> None:
        breakers: dict[str, CircuitBreaker] = {}

        @step
        async def ask(answers: bool) -> str:
            if not answers:
                raise Down
            return "fine"

        @workflow
        async def asks() -> list[str]:
            name = execution().id
            breaker = breakers.setdefault(name, CircuitBreaker(1, timeout=30, name=name if is_shared else None))
            told = []
            for answers in (False, True, True):
                try:
                    told.append(await breaker.call(ask, answers))
                except Exception as error:  # noqa: BLE001 - whatever it raises
                    told.append("open" if isinstance(error, CircuitOpen) else "down")
            # Whoever died as it took a probe leaves one that is heard of no more.
            retry = Retry(3, on=CircuitOpen, initial=0)
            return [*told, await retry.call(breaker.call, ask, True), await breaker.call(ask, True)]

        assert await self.outlives(ground, asks) == ("returned", ["down", "open", "open", "fine", "fine"])

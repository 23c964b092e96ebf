"""The scripts of examples/advanced_workflows: what they show comes out as expected, also after a restart."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import conditional_workflow
import parallel_workflow
import pytest
import retry_workflow
from replies import REPLIES
from stage import ENDS, REAL, Scene, play, surprises

from assent import Runtime, Workflow
from assent.store import Event
from assent.store.sqlite import SqliteStore
from assent.testing import JumpingLoop, every_crash, memory_runtime, survived
from tests.agents.loopback import Answer, Loopback, Received
from tests.agents.wires import OpenAIWire, Said
from tests.test_examples import EXAMPLES, command, run

FOLDER = EXAMPLES / "advanced_workflows"
SCRIPTS = [conditional_workflow, parallel_workflow, retry_workflow]
SCENES = [(module.__name__, number) for module in SCRIPTS for number in range(len(module.SCENES))]
LAST = re.compile(r"(\d+) scenes, none of them not as expected\.\nThis process has made (\d+) requests")


def scene_of(script: str, number: int) -> Scene:
    scene: Scene = sys.modules[script].SCENES[number]
    return scene


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": JumpingLoop}


def test_the_tests_ask_no_real_model() -> None:
    assert REAL is None


# As a reader runs them


@pytest.mark.parametrize("module", SCRIPTS, ids=lambda module: module.__name__)
def test_a_script_plays_its_scenes_and_leaves_nothing_behind(module: Any, tmp_path: Path) -> None:
    done = run(tmp_path, FOLDER / f"{module.__name__}.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    last = LAST.search(done.stdout)
    assert last is not None
    assert int(last[1]) == len(module.SCENES)
    assert all(f"{scene.flow.name}(" in done.stdout for scene in module.SCENES)
    assert list(tmp_path.iterdir()) == []


def test_a_script_ends_with_1_if_a_scene_is_not_as_expected(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(
        f"import sys; sys.path.append({str(FOLDER)!r})\n"
        "from parallel_workflow import summarizer\n"
        "from stage import Scene, main\n"
        "main([Scene(summarizer, ['a text'], ['somebody else'], at_once=2, waits=5)])\n"
    )
    done = run(tmp_path, broken)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    complaints = [line for line in done.stdout.splitlines() if "! not expected" in line]
    for word, complaint in zip(["somebody else", "at once", "its last request"], complaints, strict=True):
        assert word in complaint


async def test_a_script_asks_the_model_that_it_is_given(tmp_path: Path) -> None:
    wire = OpenAIWire()

    def reply(received: Received) -> Answer:
        prompt = wire.asked(received).users[-1]
        found = next(text for pattern, text in REPLIES.items() if re.match(pattern, prompt, re.DOTALL))
        return Answer(body=wire.answer(Said((found,))))

    async with Loopback.running() as server:
        server.says(*[reply] * 100)
        script = FOLDER / "conditional_workflow.py"
        environment = {**os.environ, "ASSENT_MODEL": f"{server.url}/v1#kettle"}
        process = await asyncio.create_subprocess_exec(
            *command(script), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        shown, _ = await process.communicate()
        assert process.returncode == 0, shown.decode()
        last = LAST.search(shown.decode())
        assert last is not None
        assert int(last[2]) == len(server.received) > len(conditional_workflow.SCENES)


async def journal_of(store: Path) -> list[Event]:
    async with SqliteStore(str(store)) as opened:
        return await opened.events(limit=100_000)


def asked(events: Sequence[Event]) -> list[Event]:
    """The ends of requests to models."""
    return [event for event in events if event.type in ENDS and (event.name or "").startswith("model ")]


@pytest.mark.parametrize("module", SCRIPTS, ids=lambda module: module.__name__)
async def test_a_script_that_is_killed_goes_on_where_it_was(module: Any, tmp_path: Path) -> None:
    arguments: list[str | Path] = [
        "-u",
        FOLDER / f"{module.__name__}.py",
        "--store",
        f"sqlite:///{tmp_path / 'flows.db'}",
    ]
    with subprocess.Popen(command(*arguments), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = 0
        while seen < len(module.SCENES) // 2:
            seen += process.stdout.readline().startswith("     →")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = await journal_of(tmp_path / "flows.db")
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    last, after = LAST.search(done.stdout), await journal_of(tmp_path / "flows.db")
    assert last is not None
    assert after[: len(before)] == before
    assert 0 < int(last[2]) == len(asked(after)) - len(asked(before)) < len(asked(after))
    ends = Counter((event.execution_id, event.op) for event in after if event.type in {"step.completed", "step.failed"})
    assert set(ends.values()) == {1}


# Replayed after every step, on time that passes at once


@pytest.mark.parametrize(("script", "number"), SCENES)
async def test_a_scene_replays(script: str, number: int) -> None:
    scene = scene_of(script, number)
    async with memory_runtime() as runtime:
        played = await play(scene, runtime, "scene")
    assert surprises(scene, played) == []


def spans_of(events: Sequence[Event]) -> list[tuple[float, float]]:
    """From when to when each request was under way, by the journal."""
    return [(event.started_at or event.at, event.at) for event in asked(events)]


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return max(one[0], other[0]) < min(one[1], other[1])


async def spans_in(flow: Workflow[..., Any], *arguments: Any) -> list[tuple[float, float]]:
    async with memory_runtime() as runtime:
        handle = await runtime.start(flow, *arguments)
        await handle.result()
        return spans_of(await handle.events())


async def test_parallel_branches_overlap_in_the_journal_and_sequential_ones_do_not() -> None:
    spans = await spans_in(parallel_workflow.comparison_workflow, parallel_workflow.TEXT)
    one_after_another, side_by_side = spans[:3], spans[3:]
    assert len(side_by_side) == 3
    assert all(overlap(one, other) for one, other in combinations(side_by_side, 2))
    assert not any(overlap(one, other) for one, other in combinations(one_after_another, 2))


async def test_each_language_is_translated_into_while_the_others_are() -> None:
    languages = ["German", "Italian", "French"]
    spans = await spans_in(parallel_workflow.translation_workflow, parallel_workflow.TEXT, languages)
    assert len(spans) == 3
    assert all(overlap(one, other) for one, other in combinations(spans, 2))


async def test_a_batch_has_three_requests_under_way_and_never_more() -> None:
    spans = await spans_in(parallel_workflow.batch_workflow, parallel_workflow.REVIEWS)
    assert len(spans) == 6
    assert {sum(overlap(one, other) for other in spans) for one in spans} == {3}


async def test_the_second_phase_begins_when_the_first_is_over() -> None:
    *first, second = await spans_in(parallel_workflow.hybrid_workflow, parallel_workflow.TEXT)
    assert overlap(*first)
    assert not any(overlap(one, second) for one in first)


async def test_the_waits_of_each_strategy_are_as_they_say() -> None:
    waits = {}
    for strategy in retry_workflow.STRATEGIES:
        spans = await spans_in(retry_workflow.strategy_workflow, "it", strategy)
        waits[strategy] = [round(after[0] - before[1], 3) for before, after in pairwise(spans)]
    first, second = waits.pop("jittered")
    assert waits == {"simple": [0, 0], "fixed": [0.05, 0.05], "exponential": [0.05, 0.1]}
    assert 0.025 <= first <= 0.05 <= second <= 0.1


async def test_what_has_succeeded_is_not_tried_again() -> None:
    async with memory_runtime() as runtime:
        handle = await runtime.start(retry_workflow.partial_retry, "it", ["outline", "summary", "figures"])
        await handle.result()
        begun = [event for event in await handle.events() if event.name == "agent.started"]
    agents = Counter(re.findall(r'"agent":"(\w+)"', " ".join(event.value or "" for event in begun)))
    assert agents == {"outliner": 1, "summarizer": 1, "figure_finder": 3}


# Killed at every commit


async def triage(store: SqliteStore) -> Any:
    async with Runtime(store=store, workflows=[conditional_workflow]) as runtime:
        handle = await runtime.start(conditional_workflow.multi_level_workflow, "There is smoke.", id="it")
        return await handle.result()


async def branch_out(store: SqliteStore) -> Any:
    async with Runtime(store=store, workflows=[parallel_workflow]) as runtime:
        handle = await runtime.start(parallel_workflow.branches_workflow, ["a", "b"], "French", id="it")
        return await handle.result()


async def persist(store: SqliteStore) -> Any:
    async with Runtime(store=store, workflows=[retry_workflow]) as runtime:
        handle = await runtime.start(retry_workflow.partial_retry, "it", ["summary", "figures"], id="it")
        return await handle.result()


def completed(events: Sequence[Event]) -> Counter[int | None]:
    return Counter(event.op for event in asked(events) if event.type == "step.completed")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("program", [triage, branch_out, persist])
def test_a_workflow_survives_every_crash_and_asks_nothing_twice(program: Any, tmp_path: Path) -> None:
    expected = survived(program, tmp_path / "undisturbed")
    assert expected.error is None
    crashes = 0
    for recovery in every_crash(program, tmp_path / "crashed"):
        crashes += 1
        life = recovery.life
        assert life.result == expected.result, f"after {recovery.crash}: {life.error!r}"
        assert life.journal[: len(life.found)] == life.found
        assert set(completed(life.journal).values()) == {1}
    assert crashes >= 6

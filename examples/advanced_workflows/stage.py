"""What the scripts of this folder share: the model that answers, one that fails, and the stage for their scenes.

A scene is one call of a workflow under a runtime. What is printed of it was read back from its journal: each agent with
a bar for each request to its model, between the first and the last moment of all of them. Bars above each other were
under way at the same time. A script ends with 1 if a scene does not come out as expected.
"""

import argparse
import asyncio
import logging
import os
import re
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replies import REPLIES

from assent import AssentError, Event, ModelUnavailable, Runtime, WorkerSettings, Workflow, model_of
from assent.agents.messages import ModelRequest, ModelResponse
from assent.agents.models import Model
from assent.observe import EventStore, Span, SpanKind
from assent.testing import ScriptedModel

# Seconds that the scripted model thinks: long enough to be seen as a bar.
THINKING = 0.04

ENDS = {"step.completed", "step.retried", "step.failed"}
WIDTH = 32  # of the bars, in letters
MARKS = {"done": "█", "failed": "▒", "cancelled": "░", "open": "░"}


# Models


async def scripted(request: ModelRequest) -> str:
    """What it says follows from the prompt alone, so it says the same after a restart."""
    await asyncio.sleep(THINKING)
    prompt = request.messages[-1].text
    return next(reply for pattern, reply in REPLIES.items() if re.match(pattern, prompt, re.DOTALL))


REAL = os.environ.get("ASSENT_MODEL")
MODEL = model_of(REAL) if REAL else ScriptedModel(scripted, price="0.00002")

# How long an answer may take before it is given up.
PATIENCE = "20s" if REAL else "500ms"

ALWAYS = sys.maxsize


class Unreliable:
    """A model that fails, or hangs, so many times for each prompt before it answers; after an answer it begins anew.

    It counts in memory, so a restart lets it begin anew as well. Who tries again needs attempts to spare for that.
    """

    def __init__(self, model: Model, *, fails: int = 0, hangs: int = 0) -> None:
        self.name = model.name
        self._model = model
        self._fails = fails
        self._hangs = hangs
        self._asked = Counter[str]()

    async def request(self, request: ModelRequest) -> ModelResponse:
        prompt = request.messages[-1].text
        if self._asked[prompt] < self._fails + self._hangs:
            self._asked[prompt] += 1
            if self._hangs:
                await asyncio.sleep(3600)
            raise ModelUnavailable("the model is overloaded", model=self.name)
        del self._asked[prompt]
        return await self._model.request(request)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelResponse]:
        yield await self.request(request)


# Scenes


@dataclass(frozen=True)
class Scene:
    """A call of a workflow, and what is expected to come of it."""

    flow: Workflow[..., Any]
    arguments: Sequence[Any]
    agents: Sequence[str]  # that are at work, in the order in which they begin
    result: Callable[[Any], object] = bool  # whether it is right
    raises: type[AssentError] | None = None  # instead of a result
    at_once: int | None = None  # so many requests at the busiest moment
    at_most: int | None = None  # so many requests in all
    waits: float = 0.0  # seconds that pass at least before the last request begins


@dataclass(frozen=True)
class Played:
    """What came of a scene: what the caller got, and what the journal tells."""

    outcome: Any
    events: Sequence[Event]
    spans: Sequence[Span]

    @property
    def went_through(self) -> bool:
        """Whether its process lived to the end; if not, its times are those of two lives."""
        return all(event.type != "execution.resumed" for event in self.events)

    def all_of(self, kind: SpanKind) -> list[Span]:
        return [span for span in self.spans if span.kind is kind]

    @property
    def agents(self) -> list[str]:
        return list(dict.fromkeys(agent.name for agent in self.all_of(SpanKind.AGENT)))

    @property
    def at_once(self) -> int:
        """Requests under way at the busiest moment, which is when one of them begins."""
        requests = self.all_of(SpanKind.MODEL)
        begun = [each.started_at for each in requests]
        return max((sum(each.started_at <= moment < ended(each) for each in requests) for moment in begun), default=0)

    @property
    def waited(self) -> float:
        """Seconds from the beginning to the last request, to the millisecond."""
        begun = [span.started_at for span in self.all_of(SpanKind.MODEL)]
        return round(max(begun, default=0.0) - self.spans[0].started_at, 3)


def ended(span: Span) -> float:
    return span.started_at if span.ended_at is None else span.ended_at


async def play(scene: Scene, runtime: Runtime, id: str) -> Played:
    """Start it, or find it in the store, and wait for it."""
    handle = await runtime.start(scene.flow, *scene.arguments, id=id)
    outcome: Any
    try:
        outcome = await handle.result(timeout=300)
    except AssentError as error:
        outcome = error
    return Played(outcome, await handle.events(), await EventStore().get_spans(id))


def surprises(scene: Scene, played: Played) -> list[str]:
    """What is not as it was expected."""
    requests, is_timed = len(played.all_of(SpanKind.MODEL)), played.went_through
    found = {
        "this outcome": not is_right(scene, played.outcome),
        f"these agents, but {', '.join(scene.agents)}": played.agents != list(scene.agents),
        f"{requests} requests in all": scene.at_most is not None and requests > scene.at_most,
        f"{played.at_once} requests at once": is_timed and scene.at_once not in {None, played.at_once},
        f"its last request after {played.waited:.3f} s": is_timed and played.waited < scene.waits,
    }
    return [surprise for surprise, is_so in found.items() if is_so]


def is_right(scene: Scene, outcome: Any) -> bool:
    if isinstance(outcome, AssentError):
        return type(outcome) is scene.raises
    return scene.raises is None and bool(scene.result(outcome))


# What is printed


def tell(scene: Scene, played: Played) -> None:
    call = f"{scene.flow.name}({', '.join(map(repr, scene.arguments))})"
    print(textwrap.indent(textwrap.fill(call, 110), "   "))
    for agent in played.all_of(SpanKind.AGENT):
        requests = [span for span in played.all_of(SpanKind.MODEL) if span.parent == agent.key]
        print(f"     {agent.name:22} ▕{bars(requests, played)}▏ {endings(requests)}")
    outcome = played.outcome
    said = f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, AssentError) else played.events[-1].value
    print(textwrap.fill(f"→ {said}", 115, initial_indent=" " * 5, subsequent_indent=" " * 7))


def bars(requests: Sequence[Span], played: Played) -> str:
    """When these requests were under way."""
    everything = played.all_of(SpanKind.MODEL)
    begin, end = min(span.started_at for span in everything), max(map(ended, everything))
    scale = (WIDTH - 1) / ((end - begin) or 1)
    line = [" "] * WIDTH
    for span in requests:
        first, last = (int((moment - begin) * scale) for moment in (span.started_at, ended(span)))
        line[first : last + 1] = MARKS[span.outcome] * (last + 1 - first)
    return "".join(line)


def endings(requests: Sequence[Span]) -> str:
    """How long each request took, and why it failed."""
    return ", ".join(f"{ended(each) - each.started_at:.2f} s {each.error}".rstrip() for each in requests)


# The stage


async def play_all(scenes: Sequence[Scene], url: str) -> int:
    """Play them one after another. Returns how many did not come out as expected."""
    asked: list[Event] = []

    def notice(event: Event) -> None:
        if event.type in ENDS and (event.name or "").startswith("model "):
            asked.append(event)

    headline, failures = "", 0
    # So short a lease lets the next process take over from a dead one within about a second.
    async with Runtime(url, watchers=[notice], settings=WorkerSettings(lease=1)) as runtime:
        for number, scene in enumerate(scenes, 1):
            if scene.flow.__doc__ != headline:
                headline = scene.flow.__doc__ or ""
                print(f"\n{headline}")
            played = await play(scene, runtime, f"{scene.flow.name}-{number}")
            tell(scene, played)
            found = surprises(scene, played)
            failures += bool(found)
            print("".join(f"   ! not expected: {surprise}\n" for surprise in found), end="")
    print(f"\n{len(scenes)} scenes, {failures or 'none'} of them not as expected.")
    print(f"This process has made {len(asked)} requests to {REAL or 'a scripted model'}.")
    return failures


def main(scenes: Sequence[Scene]) -> None:
    """Play the scenes of a script, on a store of their own or on one that stays."""
    parser = argparse.ArgumentParser(description="Plays its scenes, and ends with 1 if one is not as expected.")
    parser.add_argument("--store", help="such as sqlite:///flows.db: kill it, start it again, and it goes on there")
    logging.basicConfig(format="   %(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
    store = parser.parse_args().store
    with tempfile.TemporaryDirectory() as folder:
        failures = asyncio.run(play_all(scenes, store or f"sqlite:///{Path(folder) / 'flows.db'}"))
    sys.exit(1 if failures else 0)

"""The same steps by DBOS and by LangGraph, each on its own SQLite store and in a process of its own."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from assent import Runtime
from benchmarks.child import ChildFailed, run_child
from benchmarks.durable import all_at_once, one_after_another
from benchmarks.figures import Figure, Scale, Target

RIVALS = {"DBOS": "dbos_child", "LangGraph": "langgraph_child"}
ROUNDS = 2  # at most: each starts both of them anew


class Rates(NamedTuple):
    """Steps a second."""

    sequential: float
    concurrent: float


class Round(NamedTuple):
    """A rival's rates beside ours, which were measured before and after it."""

    ours: Rates
    theirs: Rates | str  # why it could not be run

    def ratio(self, place: int) -> float | None:
        return None if isinstance(self.theirs, str) else self.ours[place] / self.theirs[place]


async def rivals(scale: Scale, folder: Path) -> list[Figure]:
    """Both figures beside each of them, and held against the better of the two."""
    rounds: dict[str, list[Round]] = {name: [] for name in RIVALS}
    before = await _our_rates(scale, folder / "ours.db")
    for number in range(min(scale.rounds, ROUNDS)):
        for name, found in rounds.items():
            theirs = await _rates_of(name, scale, folder / f"{name}-{number}.db")
            after = await _our_rates(scale, folder / f"ours-after-{name}-{number}.db")
            found.append(Round(Rates(*map(fmean, zip(before, after, strict=True))), theirs))
            before = after
    titles = ("steps, one workflow", f"steps, {scale.workflows} workflows at once")
    return [each for place in (0, 1) for each in _compared(titles[place], place, rounds)]


async def _our_rates(scale: Scale, file: Path) -> Rates:
    async with Runtime(f"sqlite:///{file}") as runtime:
        await one_after_another(runtime, 1)
        alone = await one_after_another(runtime, scale.rival_sequential)
        return Rates(alone, await all_at_once(runtime, scale.workflows, scale.rival_each))


async def _rates_of(name: str, scale: Scale, file: Path) -> Rates | str:
    try:
        found = await run_child(RIVALS[name], file, scale.rival_sequential, scale.workflows, scale.rival_each)
    except ChildFailed as failure:
        return f"{name} could not be run: {failure}"
    return Rates(*found)


def _compared(title: str, place: int, rounds: dict[str, list[Round]]) -> list[Figure]:
    """A line for each of them; the one with the smallest ratio bears the target."""
    lines = [_line(title, place, name, found) for name, found in rounds.items()]
    target = Target((4, 10)[place], "ratio at least")
    better = min(lines, key=lambda line: float("inf") if line.ratio is None else line.ratio)
    return [replace(line, target=target) if line is better else line for line in lines]


def _line(title: str, place: int, name: str, found: list[Round]) -> Figure:
    ours = median(each.ours[place] for each in found)
    ratios = [ratio for each in found if (ratio := each.ratio(place)) is not None]
    if not ratios:
        return Figure(name=title, ours=ours, unit="/s", against=str(found[-1].theirs))
    yardstick = median(each.theirs[place] for each in found if isinstance(each.theirs, Rates))
    return Figure(name=title, ours=ours, unit="/s", yardstick=yardstick, against=name, ratio=median(ratios))

"""The same steps by DBOS and by LangGraph, each on its own SQLite store and in a process of its own."""

from pathlib import Path
from statistics import median
from typing import NamedTuple

from assent import Runtime
from benchmarks.child import ChildFailed, run_child
from benchmarks.durable import all_at_once, one_after_another
from benchmarks.figures import Figure, Scale, Target

RIVALS = {"DBOS": "dbos_child", "LangGraph": "langgraph_child"}


class Rates(NamedTuple):
    """Steps a second."""

    sequential: float
    concurrent: float


class Round(NamedTuple):
    """One round's rates; a rival that cannot be run has the reason instead."""

    ours: Rates
    theirs: dict[str, Rates | str]


async def rivals(scale: Scale, folder: Path) -> list[Figure]:
    """Both figures, held against the better of them in each round."""
    rounds = [await _round(scale, folder, number) for number in range(min(scale.rounds, 2))]
    one = [_rival(name, place, rounds, scale) for place in (0, 1) for name in RIVALS]
    best = [_best("one workflow", 0, rounds, 4), _best(f"{scale.workflows} at once", 1, rounds, 10)]
    return [*one, *best]


async def _round(scale: Scale, folder: Path, number: int) -> Round:
    theirs = {name: await _rates_of(name, scale, folder / f"{name}-{number}.db") for name in RIVALS}
    async with Runtime(f"sqlite:///{folder}/beside-rivals-{number}.db") as runtime:
        await one_after_another(runtime, 1)
        alone = await one_after_another(runtime, scale.rival_sequential)
        return Round(Rates(alone, await all_at_once(runtime, scale.workflows, scale.rival_each)), theirs)


async def _rates_of(name: str, scale: Scale, file: Path) -> Rates | str:
    try:
        found = await run_child(RIVALS[name], file, scale.rival_sequential, scale.workflows, scale.rival_each)
    except ChildFailed as failure:
        return f"{name} could not be run: {failure}"
    return Rates(*found)


def _rival(name: str, place: int, rounds: list[Round], scale: Scale) -> Figure:
    what = ("one workflow", f"{scale.workflows} at once")[place]
    title = f"steps, {what}, beside {name}"
    ours = median(each.ours[place] for each in rounds)
    found = [(each.ours[place], rates[place]) for each in rounds if isinstance(rates := each.theirs[name], Rates)]
    if not found:
        return Figure(name=title, ours=ours, unit="/s", against=str(rounds[-1].theirs[name]))
    ratio = median(mine / rate for mine, rate in found)
    yardstick = median(rate for _, rate in found)
    return Figure(name=title, ours=ours, unit="/s", yardstick=yardstick, against=name, ratio=ratio)


def _best(what: str, place: int, rounds: list[Round], bound: float) -> Figure:
    name, target = f"steps, {what}, beside the better", Target(bound, "ratio at least")
    ours = median(each.ours[place] for each in rounds)
    pairs = [(each.ours[place], max(_rates(each, place))) for each in rounds if _rates(each, place)]
    if not pairs:
        return Figure(name=name, ours=ours, unit="/s", against="neither could be run", target=target)
    yardstick, ratio = median(rate for _, rate in pairs), median(mine / rate for mine, rate in pairs)
    against = "the better of " + " and ".join(_able(rounds))
    return Figure(name=name, ours=ours, unit="/s", yardstick=yardstick, against=against, ratio=ratio, target=target)


def _rates(each: Round, place: int) -> list[float]:
    return [rates[place] for rates in each.theirs.values() if isinstance(rates, Rates)]


def _able(rounds: list[Round]) -> list[str]:
    return [name for name in RIVALS if any(isinstance(each.theirs[name], Rates) for each in rounds)]

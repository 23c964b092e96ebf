"""Each benchmark runs and yields figures; how fast they are is no matter for a test."""

from math import isfinite
from pathlib import Path

import pytest

from benchmarks.catalogue import BENCHES, FULL, QUICK
from benchmarks.figures import Figure, Scale, Target
from benchmarks.raw_sqlite import fsync_cost
from benchmarks.table import as_page, facts_of_machine

TINY = Scale(
    rounds=1, commits=5, groups=2, sequential=5, workflows=3, each=2, rival_sequential=3, rival_each=1,
    replayed=20, calls=5, callers=3, calls_each=2, parked=5, idle=0.05, samples=2, starts=1,
    pending=6, verdicts=2, recorded=30, lanes=2, load=0.2, agent_runs=1, agents=2,
)  # fmt: skip


@pytest.mark.parametrize("name", BENCHES)
async def test_each_benchmark_yields_figures(name: str, tmp_path: Path) -> None:
    figures = await BENCHES[name](TINY, tmp_path)
    assert figures
    assert [each.name for each in figures if not (isfinite(each.ours) and (each.ours > 0 or each.unit == "MB"))] == []
    assert [each.name for each in figures if each.yardstick is not None and each.yardstick <= 0] == []
    assert [each.name for each in figures if each.target and each.is_met is None and not each.against] == []


def test_a_quick_run_does_less_of_everything() -> None:
    assert all(getattr(QUICK, each) <= getattr(FULL, each) for each in Scale.__slots__)


def test_a_target_holds_the_figure_or_its_ratio_against_its_bound() -> None:
    assert Target(0.5, "ratio at least").is_met(1.0, 0.6)
    assert Target(0.5, "ratio at least").is_met(1.0, 0.4) is False
    assert Target(0.5, "ratio at least").is_met(1.0, None) is None
    assert Target(10, "at least").is_met(10, None)
    assert Target(10, "at most").is_met(11, None) is False


def test_the_page_has_a_line_for_each_figure_and_the_facts_of_the_machine(tmp_path: Path) -> None:
    rate = Figure(name="steps", ours=3000, unit="/s", yardstick=4000, against="raw", ratio=0.75,
                  target=Target(0.6, "ratio at least"))  # fmt: skip
    missing = Figure(name="beside X", ours=3000, unit="/s", against="X is not there", target=rate.target)
    page = as_page([rate, missing], facts_of_machine((fsync_cost(tmp_path, 3), 0.001)), 0.0)
    assert "| steps | 3,000 /s | 4,000 /s | raw | 0.75 × | ≥ 0.6 × | yes |" in page
    assert "| beside X | 3,000 /s |  | X is not there |  | ≥ 0.6 × | not measured |" in page
    assert "1.000 ms after" in page
    assert "1970-01-01" in page

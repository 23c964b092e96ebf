"""What there is to measure, and how much of it: a whole run, and a quick one."""

from typing import Final

from benchmarks.agents import turns
from benchmarks.durable import concurrent, governed, sequential
from benchmarks.figures import Bench, Scale
from benchmarks.governed import in_memory
from benchmarks.latencies import signals
from benchmarks.parked import parked
from benchmarks.policing import by_file, judged_anew, verdicts
from benchmarks.replaying import replayed
from benchmarks.rivals import rivals
from benchmarks.serving import endpoint, inbox
from benchmarks.startup import startup
from benchmarks.telemetry import traced

BENCHES: Final[dict[str, Bench]] = {
    "sequential": sequential,
    "concurrent": concurrent,
    "rivals": rivals,
    "replay": replayed,
    "governed-call": in_memory,
    "governed-durable": governed,
    "parked": parked,
    "signals": signals,
    "policy-file": by_file,
    "verdicts": verdicts,
    "backtest": judged_anew,
    "endpoint": endpoint,
    "inbox": inbox,
    "telemetry": traced,
    "agents": turns,
    "startup": startup,
}

FULL: Final = Scale(
    rounds=4, commits=1_000, groups=150, sequential=2_000, workflows=200, each=50, rival_sequential=400, rival_each=5,
    replayed=20_000, calls=1_000, callers=100, calls_each=20, parked=100_000, idle=5.0, samples=100, starts=5,
    pending=10_000, verdicts=200, recorded=100_000, lanes=200, load=60.0, agent_runs=5, agents=100,
)  # fmt: skip
QUICK: Final = Scale(
    rounds=2, commits=400, groups=50, sequential=800, workflows=200, each=15, rival_sequential=100, rival_each=1,
    replayed=5_000, calls=400, callers=100, calls_each=5, parked=3_000, idle=1.0, samples=50, starts=3,
    pending=2_000, verdicts=50, recorded=5_000, lanes=200, load=4.0, agent_runs=2, agents=30,
)  # fmt: skip

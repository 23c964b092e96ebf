"""What it costs to govern a call that no runtime records."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

from benchmarks import programs
from benchmarks.figures import Figure, Measure, Scale, Target, side_by_side

MICRO = 1e6
ROUNDS = 15  # short ones: a busy neighbour then spoils a few of them, and not the median


async def in_memory(scale: Scale, folder: Path) -> list[Figure]:
    """A governed call with validation and audit, beside the bare call and the same validator."""
    found = await side_by_side(
        _microseconds(programs.transfer, scale.calls), _microseconds(_validated, scale.calls), ROUNDS
    )
    on_top = Figure(
        name="governing, on top of that", ours=found.ours - found.yardstick, unit="us", target=Target(15, "at most")
    )
    against = "bare call, same validator"
    return [Figure(name="governed call, no runtime", unit="us", against=against, **found._asdict()), on_top]


async def _validated(amount: int, recipient: str) -> str:
    if not programs.is_positive(programs.Transfer(amount, recipient)):
        raise ValueError("amount")
    return await programs.bare_transfer(amount, recipient)


def _microseconds(call: Callable[[int, str], Awaitable[str]], calls: int) -> Measure:
    async def measured() -> float:
        start = perf_counter()
        for number in range(calls):
            await call(number + 1, "ACME")
        return (perf_counter() - start) / calls * MICRO

    return measured

"""What the journal is told of a run beside its steps: that it began, with what, and how it ended."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from assent.agents.faults import told
from assent.agents.limits import StopReason
from assent.engine import LiveExecution, current
from assent.errors import ModelError

# Of a prompt, in the note that an agent has begun.
SHOWN: Final = 200


@dataclass(slots=True)
class RunNotes:
    """The notes of one run; none where there is no journal."""

    agent: str
    live: LiveExecution | None = field(default_factory=current)
    number: int = 0  # within its execution
    turns: int = 0  # model requests so far

    def begin(self, model: str, prompt: str) -> None:
        """It begins."""
        if self.live is not None:
            self.number = len(self.live.marks)
            self._note("agent.started", model=model, prompt=prompt[:SHOWN])

    def next_turn(self) -> dict[str, Any]:
        """Another request follows; what its step says of it."""
        self.turns += 1
        return {"agent": self.agent, "run": self.number, "turn": self.turns}

    def end(self, stop: StopReason, why: str = "") -> None:
        """It has ended."""
        self._note("agent.ended", stop=stop.value, turns=self.turns, **({"error": why} if why else {}))

    @contextmanager
    def ending_if_it_fails(self) -> Iterator[None]:
        """Note how it ended when what is done in here raises."""
        try:
            yield
        except asyncio.CancelledError:
            self.end(StopReason.CANCELLED)
            raise
        except Exception as error:
            self.end(StopReason.MODEL_FAILED if isinstance(error, ModelError) else StopReason.FAILED, told(error))
            raise

    def _note(self, name: str, **facts: Any) -> None:
        if self.live is not None:
            self.live.note(name, {"agent": self.agent, "run": self.number, **facts})


def facts_of_request(agent: str, run: int, turn: int) -> None:
    """What the journal says of a model request beside its answer."""

"""What the journal is told of a run beside its steps: that it began, with what, and how it ended."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from assent.agents.faults import told
from assent.agents.limits import StopReason
from assent.codec import signature_of
from assent.engine import LiveExecution, current
from assent.errors import ModelError

# Of a prompt, in the note that an agent has begun.
SHOWN: Final = 200


@dataclass(slots=True)
class RunNotes:
    """The notes of one run; none where there is no journal. What raises within it is noted as the run's end."""

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            self.end(StopReason.CANCELLED)
        elif isinstance(error, Exception):
            self.end(StopReason.MODEL_FAILED if isinstance(error, ModelError) else StopReason.FAILED, told(error))

    def _note(self, name: str, **facts: Any) -> None:
        if self.live is not None:
            self.live.note(name, {"agent": self.agent, "run": self.number, **facts})


def _facts_of_request(agent: str, run: int, turn: int) -> None:
    """What the journal says of a model request beside its answer."""


FACTS: Final = signature_of(_facts_of_request)

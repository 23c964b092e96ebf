"""The test kit: what ships with Assent for tests of what is built on it.

Clocks and loops whose time jumps, a runtime in memory that replays each workflow after every step, an outside world
that remembers, and processes that are killed at an exact commit. It may import everything; nothing imports it.
"""

from assent.testing.clock import JumpingClock, JumpingLoop, jumping_run
from assent.testing.crashes import CrashAt, Life, Recovery, every_crash, live, survived
from assent.testing.embedding import WordEmbedder
from assent.testing.ledger import Entry, Ledger
from assent.testing.memory import memory_runtime
from assent.testing.scripted import ScriptedModel, tool_call

__all__ = [
    "CrashAt",
    "Entry",
    "JumpingClock",
    "JumpingLoop",
    "Ledger",
    "Life",
    "Recovery",
    "ScriptedModel",
    "WordEmbedder",
    "every_crash",
    "jumping_run",
    "live",
    "memory_runtime",
    "survived",
    "tool_call",
]

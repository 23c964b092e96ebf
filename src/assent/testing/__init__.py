"""The test kit: fakes and clocks that ship with Assent, for tests of what is built on it."""

from assent.testing.clock import JumpingClock, JumpingLoop, jumping_run

__all__ = ["JumpingClock", "JumpingLoop", "jumping_run"]

"""What every engine must do, without a word about how. An implementation inherits this and gives `ground`."""

from tests.conformance.engine.concurrency import Concurrency, Refusals


class EngineSuite(Concurrency, Refusals):
    """The whole behaviour. Each part can be inherited by itself while an engine is being built."""

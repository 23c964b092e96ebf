"""What every engine must do, without a word about how. An implementation inherits this and gives `ground`."""

from tests.conformance.engine.concurrency import Concurrency, Refusals
from tests.conformance.engine.doubt import Doubt
from tests.conformance.engine.steps import Basics, Failures


class EngineSuite(Basics, Failures, Concurrency, Refusals, Doubt):
    """The whole behaviour. Each part can be inherited by itself while an engine is being built."""

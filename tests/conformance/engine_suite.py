"""What every engine must do, without a word about how. An implementation inherits this and gives `ground`."""

from tests.conformance.engine.concurrency import Concurrency, Refusals
from tests.conformance.engine.deciding import Deciding
from tests.conformance.engine.doubt import Doubt
from tests.conformance.engine.failures import Failures
from tests.conformance.engine.faults import Faults, Watching
from tests.conformance.engine.lifecycle import Parking, Sharing, Stopping, Versions
from tests.conformance.engine.outside import Cancellation, Children, Handles, Signals
from tests.conformance.engine.replaying import Divergence, Patches, Prefixes
from tests.conformance.engine.settling import Settling
from tests.conformance.engine.steps import Basics


class CodeSuite(Basics, Failures, Concurrency, Refusals, Deciding):
    """What workflow and step code may rely on."""


class WorldSuite(Doubt, Settling, Signals, Handles, Cancellation, Children):
    """What reaches an execution from outside, and what it does outside."""


class WorkerSuite(Parking, Versions, Stopping, Sharing, Faults, Watching):
    """How executions are driven."""


class EngineSuite(CodeSuite, WorldSuite, WorkerSuite, Divergence, Patches):
    """The whole behaviour. Each part can be inherited by itself while an engine is being built."""


class RandomEngineSuite(Prefixes):
    """The same for workflows that nobody has thought of. It can be inherited once."""

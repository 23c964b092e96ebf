"""The one place that reads settings and picks implementations: which store, which engine, which policies."""

from assent.engine.local import WorkerSettings
from assent.runtime.handle import Handle
from assent.runtime.programs import Startable
from assent.runtime.runtime import Runtime

__all__ = ["Handle", "Runtime", "Startable", "WorkerSettings"]

"""Where executions, journals and approvals are kept.

This room owns the records and the port to their keeping; each implementation owns its tables. It knows no workflows
and no policies: it checks what must be checked in the transaction that writes (leases, permits, versions), and no more.
"""

from assent.store.records import (
    FINAL,
    ApprovalRecord,
    ApprovalStatus,
    Change,
    Commit,
    Event,
    ExecutionQuery,
    ExecutionRecord,
    Message,
    Permit,
    Status,
    VerdictRecord,
    WorkerRecord,
    Workflow,
)
from assent.store.store import Store

__all__ = [
    "FINAL",
    "ApprovalRecord",
    "ApprovalStatus",
    "Change",
    "Commit",
    "Event",
    "ExecutionQuery",
    "ExecutionRecord",
    "Message",
    "Permit",
    "Status",
    "Store",
    "VerdictRecord",
    "WorkerRecord",
    "Workflow",
]

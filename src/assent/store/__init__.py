"""Where executions, journals and approvals are kept.

This room owns the records and the port to their keeping; each implementation owns its tables. It knows no workflows
and no policies: it checks what must be checked in the transaction that writes (leases, permits, versions), and no more.
"""

from assent.store.credentials import Credentials
from assent.store.directory import Directory
from assent.store.ledger import Drawn, Ledger
from assent.store.outbox import Outbox
from assent.store.receipt import Receipt
from assent.store.records import (
    FINAL,
    MILLIONTHS,
    ApprovalRecord,
    ApprovalStatus,
    Change,
    Commit,
    CredentialKind,
    CredentialRecord,
    DelegationRecord,
    Event,
    ExecutionQuery,
    ExecutionRecord,
    Hold,
    Message,
    NoticeRecord,
    NoticeStatus,
    Permit,
    PersonRecord,
    Settlement,
    Status,
    VerdictRecord,
    WorkerRecord,
    Workflow,
)
from assent.store.retention import Family, Forgotten, Retention
from assent.store.store import Store

__all__ = [
    "FINAL",
    "MILLIONTHS",
    "ApprovalRecord",
    "ApprovalStatus",
    "Change",
    "Commit",
    "CredentialKind",
    "CredentialRecord",
    "Credentials",
    "DelegationRecord",
    "Directory",
    "Drawn",
    "Event",
    "ExecutionQuery",
    "ExecutionRecord",
    "Family",
    "Forgotten",
    "Hold",
    "Ledger",
    "Message",
    "NoticeRecord",
    "NoticeStatus",
    "Outbox",
    "Permit",
    "PersonRecord",
    "Receipt",
    "Retention",
    "Settlement",
    "Status",
    "Store",
    "VerdictRecord",
    "WorkerRecord",
    "Workflow",
]

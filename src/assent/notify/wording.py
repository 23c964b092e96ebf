"""What a notification says about an approval, made of what is stored."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from assent.governance.approvals import MANDATE, ApprovalRequest
from assent.governance.previews import Preview, harmless
from assent.notify.channel import ASKING, Link, Notification
from assent.notify.safety import shortened
from assent.store import ApprovalRecord, NoticeRecord, VerdictRecord

TOPICS: Final = MappingProxyType(
    {
        "requested": "Approval needed",
        "reminded": "Still waiting for approval",
        "escalated": "Escalated, approval needed",
        "granted": "Approved",
        "rejected": "Rejected",
        "expired": "Expired",
        "withdrawn": "No longer needed",
        "amended": "Changed by an approver",
        "revoked": "Approval taken back",
    }
)
MOST_ARGUMENTS: Final = 25
LONGEST_TITLE: Final = 120


def worded(
    notice: NoticeRecord,
    record: ApprovalRecord,
    request: ApprovalRequest,
    verdicts: Sequence[VerdictRecord],
    *,
    link: Link | None = None,
    address: str = "",
    earlier: str | None = None,
) -> Notification:
    """The notification of a notice."""
    title = shortened(harmless(request.subject), LONGEST_TITLE)
    said = [one for one in verdicts if one.refusal is None]
    preview = Preview.from_facts(request.preview).render() if request.preview else ""
    return Notification(
        id=notice.id,
        topic=notice.topic,
        approval_id=record.id,
        execution_id=record.execution_id,
        at=notice.created_at,
        title=title,
        headline=f"{_in_words(notice.topic)}: {title}",
        rows=tuple(_rows(notice, record, request, said)),
        preview=preview,
        facts=_facts(notice, record, request, said),
        link=_link(link, notice),
        recipient=notice.recipient,
        address=address,
        earlier=earlier,
    )


def _link(link: Link | None, notice: NoticeRecord) -> str | None:
    if link is None or isinstance(link, str):
        return link and link.replace("{approval_id}", quote(notice.approval_id, safe=""))
    return link(notice.approval_id, notice.recipient if notice.topic in ASKING else "")


def _in_words(topic: str) -> str:
    return TOPICS.get(topic, harmless(topic).capitalize())


def _rows(
    notice: NoticeRecord, record: ApprovalRecord, request: ApprovalRequest, said: Sequence[VerdictRecord]
) -> Iterator[tuple[str, str]]:
    for label, value in _asked(record, request) if notice.topic in ASKING else _became(record, request):
        if value:
            yield label, shortened(harmless(value))
    for one in said:
        yield f"{harmless(one.approver)} said", shortened(harmless(_verdict(one)))


def _asked(record: ApprovalRecord, request: ApprovalRequest) -> Iterator[tuple[str, str]]:
    yield from _action(request)
    yield "Asked by", request.requester or ""
    yield "Who decides", _deciders(request)
    yield "Stage", f"{request.stage} of {request.stages} {request.stage_name}".strip() if request.stages > 1 else ""
    yield "Until", _moment(record.expires_at)
    yield "Reason", "required with each verdict" if request.require_reason else ""
    yield "Policy", request.policy


def _became(record: ApprovalRecord, request: ApprovalRequest) -> Iterator[tuple[str, str]]:
    yield from _action(request)
    yield "Asked by", request.requester or ""
    yield "Decided at", _moment(record.decided_at)


def _action(request: ApprovalRequest) -> Iterator[tuple[str, str]]:
    yield "Action", request.action
    listed = list((request.terms if request.kind == MANDATE else request.arguments).items())
    for name, value in listed[:MOST_ARGUMENTS]:
        yield harmless(name), _value(value)
    if len(listed) > MOST_ARGUMENTS:
        yield "Also", f"{len(listed) - MOST_ARGUMENTS} more arguments"
    yield "Risk", request.risk
    yield "Labels", ", ".join(request.labels)


def _deciders(request: ApprovalRequest) -> str:
    if request.each:
        return " and ".join(request.electorate)
    names = " or ".join(request.electorate)
    return names if request.quorum == 1 else f"{request.quorum} of {names}"


def _verdict(one: VerdictRecord) -> str:
    parts = [one.decision, *(f"if {each}" for each in one.conditions)]
    if one.changes:
        parts.append(f"with changes {one.changes}")
    return " ".join(parts) + (f": {one.reason}" if one.reason else "")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _moment(at: float | None) -> str:
    return "" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _facts(
    notice: NoticeRecord, record: ApprovalRecord, request: ApprovalRequest, said: Sequence[VerdictRecord]
) -> Mapping[str, Any]:
    return {
        "notice_id": notice.id,
        "topic": notice.topic,
        "approval_id": record.id,
        "execution_id": record.execution_id,
        "status": record.status.value,
        "kind": request.kind,
        "title": request.subject,
        "action": request.action,
        "arguments": dict(request.arguments),
        "terms": dict(request.terms),
        "preview": dict(request.preview),
        "labels": list(request.labels),
        "risk": request.risk,
        "requester": request.requester,
        "policy": request.policy,
        "approvers": list(request.approvers),
        "quorum": request.quorum,
        "stage": request.stage,
        "stages": request.stages,
        "require_reason": request.require_reason,
        "created_at": _iso(record.created_at),
        "expires_at": _iso(record.expires_at),
        "decided_at": _iso(record.decided_at),
        "verdicts": [_verdict_facts(one) for one in said],
    }


def _verdict_facts(one: VerdictRecord) -> dict[str, Any]:
    return {
        "approver": one.approver,
        "decision": one.decision,
        "reason": one.reason,
        "at": _iso(one.at),
        "conditions": list(one.conditions),
    }

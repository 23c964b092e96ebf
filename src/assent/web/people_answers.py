"""The shapes of what `/api/v1` answers on people, and on what they are told."""

from datetime import datetime
from typing import Self

from pydantic import Field

from assent.governance import ApproverStatistics
from assent.store import CredentialRecord, DelegationRecord, NoticeRecord, NoticeStatus, PersonRecord
from assent.web.answers import Told, at


class Me(Told):
    """Who asks."""

    person: str
    name: str
    access: str
    via: str
    scopes: list[str]
    sees_all: bool


class PersonShown(Told):
    """Somebody who decides."""

    id: str
    name: str
    roles: list[str]
    contacts: dict[str, str]
    access: str
    created_at: datetime | None
    disabled_at: datetime | None

    @classmethod
    def of(cls, record: PersonRecord) -> Self:
        return cls(
            id=record.id,
            name=record.name,
            roles=list(record.roles),
            contacts=dict(record.contacts),
            access=record.access,
            created_at=at(record.created_at),
            disabled_at=at(record.disabled_at),
        )


class People(Told):
    """A page of people, by id."""

    items: list[PersonShown]
    next: str | None = None


class TokenShown(Told):
    """What lets a program in. Its secret is not kept."""

    id: str
    person: str
    name: str
    scopes: list[str] = Field(description="None: for all that the person may do.")
    created_at: datetime | None
    expires_at: datetime | None
    last_seen_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, record: CredentialRecord) -> Self:
        return cls(
            id=record.id,
            person=record.person,
            name=record.name,
            scopes=list(record.scopes),
            created_at=at(record.created_at),
            expires_at=at(record.expires_at),
            last_seen_at=at(record.last_seen_at),
            revoked_at=at(record.revoked_at),
        )


class TokenMade(TokenShown):
    """A token that was just made."""

    token: str = Field(description="The token itself. Keep it now: it is not shown again.")


class Tokens(Told):
    """A page of tokens, oldest first."""

    items: list[TokenShown]
    next: str | None = None


class DelegationShown(Told):
    """One person stands in for another for a time."""

    id: str
    delegator: str
    delegate: str
    since: datetime | None
    until: datetime | None
    is_away: bool
    reason: str
    ended_at: datetime | None

    @classmethod
    def of(cls, record: DelegationRecord) -> Self:
        return cls(
            id=record.id,
            delegator=record.delegator,
            delegate=record.delegate,
            since=at(record.since),
            until=at(record.until),
            is_away=record.is_away,
            reason=record.reason,
            ended_at=at(record.ended_at),
        )


class Delegations(Told):
    """Delegations, oldest first."""

    items: list[DelegationShown]


class NoticeShown(Told):
    """A message to people, and what became of it."""

    id: str
    approval_id: str
    channel: str
    topic: str
    recipient: str | None
    status: NoticeStatus
    attempts: int
    created_at: datetime | None
    due_at: datetime | None
    error: str | None

    @classmethod
    def of(cls, notice: NoticeRecord) -> Self:
        return cls(
            id=notice.id,
            approval_id=notice.approval_id,
            channel=notice.channel,
            topic=notice.topic,
            recipient=notice.recipient or None,
            status=notice.status,
            attempts=notice.attempts,
            created_at=at(notice.created_at),
            due_at=at(notice.due_at) if notice.status is NoticeStatus.PENDING else None,
            error=notice.error,
        )


class Notices(Told):
    """A page of notices, newest first."""

    items: list[NoticeShown]
    next: str | None = None


class StatisticsShown(Told):
    """How one person decides; durations are in seconds."""

    approver: str
    verdicts: int
    approvals: int
    rejections: int
    revocations: int
    refused: int
    median_decision: float | None
    median_dwell: float | None
    least_dwell: float | None
    quick: float | None
    longest_streak: int
    current_streak: int
    waiting: int
    overdue: int

    @classmethod
    def of(cls, one: ApproverStatistics) -> Self:
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


class Statistics(Told):
    """The statistics of every approver, by name."""

    items: list[StatisticsShown]

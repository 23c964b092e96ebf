"""The shapes of what programs send to `/api/v1`."""

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints, WithJsonSchema

from assent.runtime.credentials import SCOPES, Scope
from assent.store import ApprovalStatus, NoticeStatus, Status

LONGEST_ID: Final = 200
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _moment(given: object) -> datetime:
    """A moment as RFC 3339 writes it. Raises ValueError."""
    if not isinstance(given, str) or not MOMENT.fullmatch(given):
        raise ValueError("it is no moment with its zone, as in 2030-01-31T14:00:00Z")
    return datetime.fromisoformat(given.upper())


Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID, pattern=r"\S")]
Prose = Annotated[str, StringConstraints(max_length=10_000)]
Cursor = Annotated[str, Field(max_length=200, description="`next` of the page before; an unknown one gives no items.")]
Amount = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$")]  # exact, so no JSON number
Said = Literal["approve", "reject", "revoke"]
AccessName = Literal["", "viewer", "approver", "operator", "admin"]


def _as_in(*examples: dict[str, JsonValue]) -> ConfigDict:
    """Shows how a body may look."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})


class Sent(BaseModel):
    """What is sent: nothing that is unknown."""

    model_config = ConfigDict(extra="forbid")


class Paged(Sent):
    """The page that is asked for."""

    limit: int = Field(50, ge=1, le=500, examples=[20], description="How many items at most.")
    cursor: Cursor | None = None


# Executions


class ExecutionFilter(Paged):
    """Which executions to list."""

    status: Status | None = None
    name: Text | None = None
    cause: Text | None = Field(None, description="Why it failed: error, denied, rejected, expired, refused ...")
    text: Text | None = Field(None, examples=["Acme"], description="Somewhere in its arguments.")
    parent_id: Text | None = None
    since: Moment | None = Field(None, description="Created at or after.")


class EventFilter(Sent):
    """Which events of one execution to list."""

    limit: int = Field(200, ge=1, le=1000)
    after: int = Field(0, ge=0, le=2**53, examples=[200], description="Only events with a greater `seq`.")


class StreamFilter(Sent):
    """Which events to be told of."""

    after: int | None = Field(
        None, ge=0, le=2**53, examples=[0], description="Only events with a greater `seq`; none: from now on."
    )
    type: Text | None = Field(None, examples=["policy.approval.*"], description="Of events; may end in `*`.")
    follow: bool = Field(True, examples=[False], description="False: the stream ends once it has told what there is.")


class StartQuery(Sent):
    """How long a start may take to be answered."""

    wait: float = Field(
        0.0,
        ge=0.0,
        le=30.0,
        allow_inf_nan=False,
        examples=[0.05],
        description="Seconds to wait for its end: 200 with the result if it comes so soon, else 202.",
    )


class StartHeaders(BaseModel):
    """Headers of a start."""

    idempotency_key: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")] | None = Field(
        None,
        alias="Idempotency-Key",
        examples=["order-4711"],
        description="The same key with the same body returns the execution that it started before.",
    )


class Start(Sent):
    """An execution to start."""

    model_config = _as_in({"name": "wire_transfer", "arguments": {"amount": "12.50", "recipient": "Acme"}})

    name: Text = Field(description="Of a workflow or governed function that the server knows.")
    version: int | None = Field(None, ge=1, le=2**31, description="None: the newest.")
    arguments: dict[str, JsonValue] = Field(default_factory=dict, description="By parameter name.")


class Cancel(Sent):
    """Why an execution is cancelled."""

    model_config = _as_in({"reason": "ordered twice"})

    reason: Prose = ""


class Signal(Sent):
    """A message to an execution."""

    model_config = _as_in({"name": "address", "value": "1 Main Street"})

    name: Text
    value: JsonValue = None


class Resolve(Sent):
    """What has become of an effect in doubt."""

    model_config = _as_in({"done": True, "result": "charged 50"})

    done: bool = Field(description="Whether it has happened.")
    result: JsonValue = Field(None, description="What it returned, if it has.")
    step: Annotated[str, StringConstraints(max_length=200)] = Field("", description="Which one, if there are several.")


# Approvals


class ApprovalFilter(Paged):
    """Which approvals to list."""

    view: Literal["mine", "all", "overdue"] = Field(
        "mine",
        description="mine: open and waiting for you; all; overdue: open, and people were to be reminded already.",
    )
    status: ApprovalStatus | None = Field(None, description="With view=all; none: every status.")
    action: Text | None = None
    execution_id: Text | None = None
    newest: bool = Field(False, description="Newest first; else oldest first.")


class Verdict(Sent):
    """What whoever sends it says on an approval."""

    model_config = _as_in(
        {"decision": "approve", "reason": "as ordered"},
        {"decision": "approve", "changes": {"amount": "10"}},
        {"decision": "approve", "conditions": ["amount <= 20000"]},
    )

    decision: Said
    reason: Prose = ""
    changes: dict[Text, JsonValue] | None = Field(
        None, description="New values by argument. The edited action passes every policy again, and is asked for anew."
    )
    conditions: list[Text] = Field(default_factory=list, max_length=20, description='As in "amount <= 20000".')


class Verdicts(Sent):
    """One verdict on several approvals."""

    model_config = _as_in(
        {"approval_ids": ["7c1d9e52-8b0f-4c35-a6ee-1f0b6d2c9a83"], "decision": "reject", "reason": "not this year"}
    )

    approval_ids: list[Text] = Field(min_length=1, max_length=200)
    decision: Said
    reason: Prose = ""
    conditions: list[Text] = Field(default_factory=list, max_length=20)


# Policies, mandates, people, notices


class ActionToExplain(Sent):
    """An action as somebody might want it."""

    model_config = _as_in({"name": "wire_transfer", "arguments": {"amount": "50000"}, "requester": "ann@company.com"})

    name: Text
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    requester: Text | None = None
    roles: list[Text] = Field(default_factory=list, max_length=100, description="Of the requester.")
    labels: list[Text] = Field(default_factory=list, max_length=100)
    risk: Literal["", "low", "medium", "high", "critical"] = ""
    at: Moment | None = Field(None, description="None: now.")


class MandateFilter(Paged):
    """Which mandates to list."""

    action: Text | None = None


class MandateToAsk(Sent):
    """One approval of a bounded series of actions, to be asked for."""

    model_config = _as_in(
        {
            "action": "wire_transfer",
            "approvers": ["cfo@company.com"],
            "until": "2099-12-31T00:00:00Z",
            "count": 20,
            "total": "5000",
        }
    )

    action: Text
    approvers: list[Text] = Field(min_length=1, max_length=100)
    until: Moment
    count: int | None = Field(None, ge=1, le=1_000_000)
    total: Amount | None = None
    amount: Text = Field("amount", description="The argument that counts against the total.")
    only: list[Text] = Field(default_factory=list, max_length=20, description='As in "supplier == \\"acme\\"".')
    quorum: int | Literal["all"] = Field(1, description="How many must approve.")
    require_reason: bool = False
    title: Annotated[str, StringConstraints(max_length=200)] = ""


class PersonToSave(Sent):
    """Who somebody is."""

    model_config = _as_in(
        {"name": "Ann", "roles": ["finance"], "contacts": {"email": "ann@company.com"}, "access": "approver"}
    )

    name: Annotated[str, StringConstraints(max_length=200)] = ""
    roles: list[Text] = Field(default_factory=list, max_length=100)
    contacts: dict[Text, Text] = Field(default_factory=dict, description="Addresses by kind of channel.")
    access: AccessName | None = Field(None, description="None: as it was.")


class TokenFilter(Paged):
    """Which tokens to list."""

    person: Text | None = None
    all: bool = Field(False, description="Also those that are over.")


class TokenToMake(Sent):
    """What lets a program in, and to what."""

    model_config = _as_in({"name": "nightly report", "scopes": ["read"]})

    person: Text | None = Field(None, description="For whom it acts. None: yourself.")
    name: Annotated[str, StringConstraints(max_length=200)] = Field("", description="What it is for.")
    scopes: list[Scope] = Field(
        default_factory=list, max_length=len(SCOPES), description="None: for all that you may do yourself."
    )
    until: Moment | None = Field(None, description="None: for 90 days.")


class Delegate(Sent):
    """Somebody to stand in for whoever sends it, or for another."""

    model_config = _as_in({"to": "ann@company.com", "until": "2099-08-31T00:00:00Z", "is_away": True})

    to: Text
    until: Moment
    since: Moment | None = None
    delegator: Text | None = Field(None, description="None: yourself. Others are for administrators.")
    is_away: bool = Field(False, description="The delegator is told of nothing meanwhile.")
    reason: Prose = ""


class DelegationFilter(Sent):
    """Which delegations to list."""

    all: bool = Field(False, description="Also those that are over.")


class NoticeFilter(Paged):
    """Which notices to list."""

    status: NoticeStatus | None = None
    approval_id: Text | None = None


class StatisticsFilter(Sent):
    """Of which verdicts to give statistics."""

    since: Moment | None = None

"""Every error that Assent raises, each with its remedy, its HTTP status and its exit code.

AssentError                     500   1
├─ UsageError                   400   2   the call itself is wrong
│  ├─ CodecError                          a value cannot cross the journal
│  ├─ OutsideWorkflow                     an ambient function was called where there is no execution
│  ├─ RuntimeRequired                     the call needs a runtime, and none is open
│  ├─ NotDeterministic                    workflow code touched the outside world
│  ├─ UnknownWorkflow                     no such workflow in this process
│  ├─ DuplicateWorkflow                   two functions claim one name and version
│  ├─ PolicyFileError                     a policy file cannot be used as it stands
│  ├─ PromptError                         the template of a prompt is wrong
│  ├─ MissingKey                          no key for a model's provider
│  └─ UnknownStrategy                     a router has no such way to decide
├─ ExecutionNotFound            404   3
├─ ApprovalNotFound             404   3
├─ NoticeNotFound               404   3
├─ ExecutionConflict            409   4   the id is taken by a call with other arguments
├─ ExecutionFailed              500   1   failed with an error that cannot be raised as its own type
│  └─ StepFailed                          the same, for one step
├─ ExecutionCancelled           409   6
├─ StepTimeout                  504   1   also a TimeoutError
├─ ResultTimeout                504   75  the execution goes on, only the waiting ended; also a TimeoutError
├─ InDoubt                      409   7   an effect may or may not have happened
├─ NonDeterminism               500   8   code and journal disagree
├─ GovernanceError              403   5
│  ├─ PolicyDenied              403   5   also a PermissionError
│  │  ├─ ValidationDenied       422   5
│  │  ├─ RateLimited            429   5
│  │  └─ BudgetExceeded         429   5
│  ├─ ApprovalPending           202   75  the execution lives on and waits for people
│  ├─ ApprovalRejected          409   5   also a PermissionError
│  ├─ ApprovalExpired           409   5   also a PermissionError
│  ├─ PermitRefused             403   5   also a PermissionError
│  ├─ VerdictRefused            409   5
│  └─ StateNotCaptured          409   5   a call that keeps no state would have to wait
├─ AccessRefused                403   5   whoever asks may not do this
│  ├─ SignInRequired            401   5   nobody has shown who asks
│  ├─ LinkRefused               410   5   forged, expired, used, or for something else
│  └─ TooManyAttempts           429   5
├─ DeliveryFailed               502   1   a channel could not tell people
├─ ModelError                   502   1   a model gave no usable answer
│  ├─ ModelUnavailable          503   75  unreachable, overloaded, too slow, cut off: worth another try
│  ├─ ModelRateLimited          429   75
│  └─ ModelRefused              502   1   the request itself will never pass
├─ AgentStopped                 422   1   an agent ended without a result
├─ NoRouteFound                 404   3   a router knows no agent for a query
├─ RouteNotFound                404   3   a router has no agent of that name
├─ ResilienceError              503   75  a call was kept from being made, or all ways to make it failed
│  ├─ CircuitOpen               503   75
│  ├─ LimitExceeded             429   75
│  ├─ BulkheadFull              503   75
│  ├─ RetryBudgetSpent          503   75
│  └─ AllFailed                 502   1
└─ StoreError                   503   9
   ├─ StoreUnavailable                    locked, full, read-only, missing
   ├─ StoreCorrupt                        not a store, or a damaged one
   ├─ StoreVersion                        written by a newer Assent
   └─ LeaseLost                           another worker took over
OutcomeUnknown                            raised by a `verify=` function that cannot tell
"""

from typing import Any, ClassVar


class AssentError(Exception):
    """The root. Facts given by keyword become attributes, and survive the journal with the message."""

    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    cause: ClassVar[str] = "error"  # under which a failed execution is listed

    def __init__(self, message: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.__dict__.update(facts)


class UsageError(AssentError):
    """The call itself is wrong; nothing has happened."""

    http_status = 400
    exit_code = 2


class CodecError(UsageError, TypeError):
    """A value cannot cross the journal and come back as it was."""


class OutsideWorkflow(UsageError):
    """An ambient function was called where no execution is running."""


class RuntimeRequired(UsageError):
    """The call needs an open runtime, and there is none."""


class NotDeterministic(UsageError):
    """Workflow code touched sockets, files, threads or processes; that belongs in a step."""


class UnknownWorkflow(UsageError):
    """No workflow of that name and version is registered in this process."""


class DuplicateWorkflow(UsageError):
    """Two different functions claim the same name and version."""


class PolicyFileError(UsageError):
    """A policy file cannot be used as it stands. `file`, `line` and `key` say where, as far as that is known."""

    file: str
    line: int | None
    key: str


class PromptError(UsageError):
    """The template of a prompt is wrong, or names what is not there."""


class MissingKey(UsageError):
    """There is no key for the provider of a model. `variable` is where it belongs."""

    variable: str


class UnknownStrategy(UsageError):
    """A router has no such way to decide."""


class ExecutionNotFound(AssentError):
    """The store holds no execution with that id."""

    http_status = 404
    exit_code = 3


class ApprovalNotFound(AssentError):
    """The store holds no approval with that id."""

    http_status = 404
    exit_code = 3


class NoticeNotFound(AssentError):
    """The store holds no notice with that id."""

    http_status = 404
    exit_code = 3


class ExecutionConflict(AssentError):
    """The id is taken by an execution of another function or with other arguments."""

    http_status = 409
    exit_code = 4


class ExecutionFailed(AssentError):
    """An execution failed with an error that cannot be raised again as its own type.

    `type_name`, `reason` and `traceback_text` describe the original error.
    """

    type_name: str
    reason: str
    traceback_text: str


class StepFailed(ExecutionFailed):
    """A step failed with an error that cannot be raised again as its own type."""


class ExecutionCancelled(AssentError):
    """The execution was cancelled; `reason` is what the canceller gave."""

    http_status = 409
    exit_code = 6
    reason: str


class StepTimeout(AssentError, TimeoutError):
    """One attempt of a step took longer than its `timeout`."""

    http_status = 504


class ResultTimeout(AssentError, TimeoutError):
    """The result did not come in time. The execution goes on."""

    http_status = 504
    exit_code = 75


class InDoubt(AssentError):
    """An effect may or may not have happened, and nobody can tell by looking it up.

    `execution_id` names the execution that waits for `assent resolve`.
    """

    http_status = 409
    exit_code = 7
    execution_id: str


class NonDeterminism(AssentError):
    """Replaying the journal led the code somewhere else; `recorded` and `found` say where they part."""

    exit_code = 8
    recorded: str
    found: str


class GovernanceError(AssentError):
    """An action may not happen, or not yet. `execution_id` and `action` name it."""

    http_status = 403
    exit_code = 5
    execution_id: str | None
    action: str


class PolicyDenied(GovernanceError, PermissionError):
    """A policy said no. `policy` and `reason` say which and why."""

    cause = "denied"
    policy: str
    reason: str


class ValidationDenied(PolicyDenied):
    """The arguments or the result are not valid."""

    http_status = 422


class RateLimited(PolicyDenied):
    """Too many calls. `retry_after` is the wait in seconds."""

    http_status = 429
    retry_after: float


class BudgetExceeded(PolicyDenied):
    """A budget has not enough left. `limit`, `spent` and `remainder` are amounts as text ("50.25"), if they are known.

    At the moment of the effect it is only known that others have drawn on the budget meanwhile; they are None then.
    """

    http_status = 429
    limit: str | None = None
    spent: str | None = None
    remainder: str | None = None


class ApprovalPending(GovernanceError):
    """Nobody has decided in time. The execution lives on in the store and any worker finishes it.

    `execution_id`, `approvals` (ids) and `poll_url` let the caller come back for the result.
    """

    http_status = 202
    exit_code = 75
    # Other errors of governance may have none.
    execution_id: str  # pyright: ignore[reportIncompatibleVariableOverride]
    approvals: list[str]
    poll_url: str


class ApprovalRejected(GovernanceError, PermissionError):
    """A person said no. `approval_id`, `policy`, `approver` and `reason` say who and why."""

    cause = "rejected"
    http_status = 409
    approval_id: str
    policy: str
    approver: str
    reason: str


class ApprovalExpired(GovernanceError, PermissionError):
    """Nobody decided before the approval expired. `approval_id` and `policy` name it."""

    cause = "expired"
    http_status = 409
    approval_id: str
    policy: str


class PermitRefused(GovernanceError, PermissionError):
    """At the moment of the effect the authority for it no longer held. `reason` says what changed."""

    cause = "refused"
    reason: str
    hold: str | None = None  # the key of a budget or mandate that it does not fit


class VerdictRefused(GovernanceError):
    """A verdict does not count. `reason` says why, and `approval_id` names the approval."""

    http_status = 409
    approval_id: str
    reason: str


class StateNotCaptured(GovernanceError):
    """A call with `capture_state=False` would have to wait or resume, and its values were not kept."""

    http_status = 409


class AccessRefused(AssentError):
    """Whoever asks may not do this."""

    http_status = 403
    exit_code = 5


class SignInRequired(AccessRefused):
    """Nobody has shown who asks, or what they showed is worth nothing."""

    http_status = 401


class LinkRefused(AccessRefused):
    """A link does not let anybody in: it is forged, has expired, or was used."""

    http_status = 410


class TooManyAttempts(AccessRefused):
    """Too many failed attempts to get in. `retry_after` is the wait in seconds."""

    http_status = 429
    retry_after: float


class DeliveryFailed(AssentError):
    """A channel could not deliver a notification.

    `reason` says why, without secrets, since it is kept. `is_final`: it would fail each time, so it is not tried again.
    `retry_after`: seconds that the receiver wants to be left alone.
    """

    http_status = 502
    reason: str
    is_final: bool = False
    retry_after: float | None = None


class ModelError(AssentError):
    """A model gave no usable answer. `model` names it; `status` is the HTTP status, if there was one."""

    http_status = 502
    model: str
    status: int | None = None


class ModelUnavailable(ModelError):
    """The model could not be reached, was overloaded or too slow, or its answer was cut off: another try may help."""

    http_status = 503
    exit_code = 75
    retry_after: float | None = None


class ModelRateLimited(ModelError):
    """The provider has had too many requests. `retry_after` is the wait in seconds, if it said so."""

    http_status = 429
    exit_code = 75
    retry_after: float | None = None


class ModelRefused(ModelError):
    """The provider refuses the request itself: its key, its model, a parameter, its length."""


class AgentStopped(AssentError):
    """An agent ended without a result. `reason` is its stop reason, `agent` its name."""

    http_status = 422
    agent: str
    reason: str


class NoRouteFound(AssentError):
    """No agent of a router matches a query well enough, and there is no fallback. `query` is what was asked."""

    http_status = 404
    exit_code = 3
    query: str


class RouteNotFound(AssentError):
    """A router has no agent of that name."""

    http_status = 404
    exit_code = 3


class ResilienceError(AssentError):
    """A call was kept from being made, or all ways to make it failed."""

    http_status = 503
    exit_code = 75


class CircuitOpen(ResilienceError):
    """A circuit breaker lets no call pass. `retry_after`: seconds until it will try one."""

    retry_after: float


class LimitExceeded(ResilienceError):
    """A rate limiter has no token, or none in time. `retry_after` is the wait in seconds."""

    http_status = 429
    retry_after: float


class BulkheadFull(ResilienceError):
    """Too many calls are under way, and too many wait."""


class RetryBudgetSpent(ResilienceError):
    """No further attempt: the retries that all calls share are used up. The error of the last attempt is its cause."""


class AllFailed(ResilienceError):
    """All of several calls failed. `failures` are their errors as text, in order."""

    http_status = 502
    exit_code = 1
    failures: list[str]


class StoreError(AssentError):
    """The store failed. What was acknowledged before is safe."""

    http_status = 503
    exit_code = 9


class StoreUnavailable(StoreError):
    """The store cannot be reached or written: missing, locked, read-only or full."""


class StoreCorrupt(StoreError):
    """The file is damaged or is not an Assent store."""


class StoreVersion(StoreError):
    """The store was written by a newer Assent."""


class LeaseLost(StoreError):
    """Another worker has taken over this worker's executions; nothing was written."""


class OutcomeUnknown(Exception):
    """Raised by a `verify=` function that cannot tell whether the effect happened."""

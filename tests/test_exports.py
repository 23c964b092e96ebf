"""The public names. Removing one is a decision, so the list stands here."""

import subprocess
import sys

import assent

PUBLIC = """
NOT_DONE AccessRefused Action Agent AgentBuilder AgentResult AgentStopped AllFailed ApprovalExpired ApprovalNotFound
ApprovalPending ApprovalPolicy ApprovalRecord ApprovalRejected ApprovalRequest ApprovalStage AssentError AuditPolicy
AuthorizationPolicy BudgetExceeded BudgetPolicy Bulkhead BulkheadFull Cache CircuitBreaker CircuitOpen Clock
CodecError Decision Degraded DeliveryFailed DuplicateWorkflow Effect Event EventStore ExecutionCancelled
ExecutionConflict ExecutionFailed ExecutionInfo ExecutionNotFound ExecutionRecord Facts FallbackModel Gathered
GovernanceError Governed Handle InDoubt LeaseLost LimitExceeded LinkRefused Memory MemoryAwareRouter MissingKey
ModelError ModelRateLimited ModelRefused ModelSettings ModelUnavailable NoRouteFound NonDeterminism NotDeterministic
NoticeNotFound Outcome OutcomeUnknown OutsideWorkflow PermitRefused Phase Policy PolicyDenied PolicyFileError Preset
Preview Principal PromptError RateLimitPolicy RateLimited RateLimiter ResilienceError ResultTimeout Retry RetryBudget
RetryBudgetSpent RouteNotFound Router Runtime RuntimeRequired Selector SemanticMemory SequentialApprovalPolicy Session
SessionRecollection SignInRequired StateNotCaptured Status Step StepFailed StepTimeout StopReason StoreCorrupt
StoreError StoreUnavailable StoreVersion SystemClock TooManyAttempts Tool UnknownStrategy UnknownWorkflow UsageError
ValidationDenied ValidationPolicy VerdictRefused WorkerSettings Workflow acting_as after_model after_tool agent answer
approve ask_mandate before_model before_tool degrade durable embedder_of execution fallback gather_all govern
govern_class idempotency_key load_policies model_of now parallel_map patched policy race random signal step timeout
tool use_model uuid4 workflow
""".split()  # noqa: SIM905 - read as a list of words

# Each belongs to an extra, and is known to one file only.
OPTIONAL = [
    "redis", "starlette", "uvicorn", "opentelemetry", "pydantic_ai", "openai", "jinja2", "asyncpg", "pymongo",
    "cryptography", "textual",
]  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert sorted(assent.__all__) == sorted(PUBLIC)
    assert [name for name in PUBLIC if not hasattr(assent, name)] == []


def test_each_name_has_one_home() -> None:
    assert sorted(name for names in assent.ROOMS.values() for name in names) == sorted(assent.__all__)


def test_importing_assent_pulls_in_no_optional_library() -> None:
    script = f"import sys, assent; print([name for name in {OPTIONAL!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_assent_has_no_effect(tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import assent"], cwd=str(tmp_path), capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")

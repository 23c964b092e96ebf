"""The policies that ship, one by one."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SecretStr
from typing_extensions import TypedDict

from assent.errors import UsageError, ValidationDenied
from assent.governance import (
    Action,
    ApprovalPolicy,
    ApprovalStage,
    AuditPolicy,
    AuthorizationPolicy,
    Buckets,
    Decision,
    Facts,
    Outcome,
    Phase,
    Policy,
    Principal,
    RateLimitPolicy,
    Ruling,
    SequentialApprovalPolicy,
    ValidationPolicy,
    evaluate_all,
)

ANA = Principal("ana@company.com", roles=["clerk"], permissions=["pay", "read"])
BEFORE = Facts(now=1000.0)
CFO = ["cfo@company.com"]


def action_of(requester: Principal | None = ANA, name: str = "wire", **arguments: Any) -> Action:
    return Action(name=name, arguments={"amount": Decimal(5), "recipient": "bob"} | arguments, requester=requester)


def after(value: Any = None, error: BaseException | None = None) -> Facts:
    return replace(BEFORE, phase=Phase.AFTER, outcome=Outcome(value=value, error=error))


async def ruled(policy: Policy, action: Action | None = None, facts: Facts = BEFORE) -> Ruling:
    return await evaluate_all([policy], action or action_of(), facts)


async def outcome(policy: Policy, action: Action | None = None, facts: Facts = BEFORE) -> str:
    (decision,) = (await ruled(policy, action, facts)).decisions
    return decision.outcome


async def reason(policy: Policy, action: Action | None = None, facts: Facts = BEFORE) -> str:
    (decision,) = (await ruled(policy, action, facts)).decisions
    return decision.reason


# Validation.


def raising(action: Action) -> bool:
    if action.amount <= 0:
        raise ValueError("amount must be positive")
    return True


async def later(action: Action) -> bool:
    return raising(action)


def by_name(amount: Decimal, recipient: str, limit: int = 10) -> bool:
    return amount < limit and recipient != "eve"


def by_one_name(*, recipient: str) -> bool:
    return recipient == "bob"


class Transfer(BaseModel):
    """What the arguments must look like."""

    model_config = ConfigDict(extra="forbid")
    amount: Annotated[Decimal, Gt(0)]
    recipient: str


class Shape(TypedDict):
    """The same without a class."""

    amount: Annotated[Decimal, Gt(0)]
    recipient: str


GOOD, BAD = action_of(), action_of(amount=Decimal(-5), recipient="eve")


@pytest.mark.parametrize(
    "policy",
    [
        ValidationPolicy(check=lambda a: a.amount > 0),
        ValidationPolicy(check=raising),
        ValidationPolicy(check=later),
        ValidationPolicy(check=lambda a: later(a) if a.amount else False),
        ValidationPolicy(check=by_name),
        ValidationPolicy(check=partial(by_name, limit=6)),
        ValidationPolicy(check=by_one_name),
        ValidationPolicy(model=Transfer),
        ValidationPolicy(model=Shape),
        ValidationPolicy(parameters={"amount": Annotated[Decimal, Gt(0)]}),
        ValidationPolicy(parameters={"amount": lambda amount: amount > 0}),
        ValidationPolicy(parameters={"recipient": Literal["bob", "carol"]}),
        ValidationPolicy(check=later, model=Transfer, parameters={"amount": lambda amount: amount > 0}),
    ],
)
async def test_arguments_are_validated(policy: ValidationPolicy) -> None:
    assert await outcome(policy, GOOD) == "allow"
    ruling = await ruled(policy, BAD)
    assert isinstance(ruling.denial(), ValidationDenied)
    assert ruling.denial().__cause__ is None
    assert await outcome(replace(policy, strict=False), BAD) == "warn"
    assert await outcome(policy, BAD, after()) == "allow" if policy.phase is Phase.BOTH else True


async def test_all_that_is_wrong_is_told() -> None:
    policy = ValidationPolicy(check=later, model=Transfer, parameters={"recipient": lambda name: name == "bob"})
    told = await reason(policy, action_of(amount=Decimal(-5), recipient="eve", extra=1))
    assert told == (
        "check later: amount must be positive; amount: Input should be greater than 0; "
        "extra: Extra inputs are not permitted; check <lambda> of recipient does not hold"
    )


async def test_what_is_told_does_not_hold_the_values() -> None:
    policy = ValidationPolicy(parameters={"amount": int})
    ruling = await ruled(policy, action_of(amount="hunter2"))
    assert "hunter2" not in str(ruling.denial())


async def test_a_message_stands_for_the_check() -> None:
    policy = ValidationPolicy(check=lambda a: False, message="four eyes must see it")
    assert await reason(policy) == "four eyes must see it"


def broken(action: Action) -> bool:
    raise ZeroDivisionError


ANSWERS: list[Callable[[Action], Any]] = [
    lambda a: None,
    lambda a: "yes",
    lambda a: 1,
    lambda a: a.amont,
    broken,
]


@pytest.mark.parametrize("check", ANSWERS)
@pytest.mark.parametrize("strict", [True, False])
async def test_a_check_that_does_not_work_denies_even_if_it_should_only_warn(check: Any, strict: bool) -> None:
    assert await outcome(ValidationPolicy(check=check, strict=strict)) == "deny"


async def test_a_check_of_an_argument_that_does_not_exist_denies() -> None:
    assert "no parameter 'amont'; it has amount, recipient" in await reason(ValidationPolicy(parameters={"amont": int}))
    assert "['x', 'y']" in await reason(ValidationPolicy(check=lambda x, y: True))


@pytest.mark.parametrize(
    ("expected", "good", "bad"),
    [
        (int, 1, "one"),
        (Annotated[int, Gt(0)], 1, -1),
        (Transfer, {"amount": 1, "recipient": "bob"}, {"amount": 0, "recipient": "bob"}),
        (int, 1, None),
        (int | None, None, "one"),
        (lambda value: value == 1, 1, 2),
        (lambda value: value is None, None, 1),
    ],
)
async def test_results_are_validated_after_the_effect(expected: Any, good: Any, bad: Any) -> None:
    policy = ValidationPolicy(result=expected)
    assert policy.phase is Phase.AFTER
    assert await outcome(policy, facts=after(good)) == "allow"
    assert await outcome(policy, facts=after(bad)) == "deny"
    assert await outcome(policy, facts=after(error=ValueError())) == "allow"
    assert (await ruled(policy)).decisions == ()


async def test_a_result_is_not_validated_without_an_outcome() -> None:
    assert await outcome(ValidationPolicy(result=int), facts=replace(BEFORE, phase=Phase.AFTER)) == "deny"


async def test_arguments_and_result_are_validated_each_in_its_phase() -> None:
    policy = ValidationPolicy(check=lambda a: a.amount > 0, result=int)
    assert policy.phase is Phase.BOTH
    assert [await outcome(policy, BAD), await outcome(policy, BAD, after(1))] == ["deny", "allow"]


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({}, "nothing to validate"),
        ({"check": lambda: True}, "must take the action"),
        ({"check": lambda first, *values: True}, "must take the action"),
        ({"model": "Transfer"}, "no type to validate with"),
        ({"parameters": {"amount": 3}}, "no type to validate with"),
        ({"result": "int"}, "no type to validate with"),
        ({"result": Buckets}, "no type to validate with"),
    ],
)
def test_validation_refuses_settings_that_validate_nothing(settings: Any, remedy: str) -> None:
    with pytest.raises(UsageError, match=remedy):
        ValidationPolicy(**settings)


# Authorization.


async def yes(action: Action) -> bool:
    return True


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"roles": ["cfo", "clerk"]}, "allow"),
        ({"roles": ["cfo"]}, "deny"),
        ({"permissions": ["pay", "read"]}, "allow"),
        ({"permissions": ["pay", "write"]}, "deny"),
        ({"roles": ["clerk"], "permissions": ["write"]}, "deny"),
        ({"authorizer": lambda a: a.requester.id == "ana@company.com"}, "allow"),
        ({"authorizer": yes}, "allow"),
        ({"authorizer": lambda a: yes(a) if a.amount else False}, "allow"),
        ({"authorizer": yes, "roles": ["cfo"]}, "deny"),
        ({"authorizer": lambda a: False}, "deny"),
        ({"authorizer": lambda a: None}, "deny"),
        ({"authorizer": lambda a: "yes"}, "deny"),
        ({"authorizer": lambda a: 1 / 0}, "deny"),
        ({"roles": ["cfo"], "ask": CFO}, "ask"),
        ({"authorizer": lambda a: False, "ask": CFO}, "ask"),
        ({"roles": ["clerk"], "ask": CFO}, "allow"),
        ({"roles": ["cfo"], "ask": ApprovalPolicy(CFO, auto_approve=lambda a: a.amount < 10)}, "allow"),
        ({"roles": ["cfo"], "ask": ApprovalPolicy(CFO, auto_approve=yes)}, "allow"),
        ({"roles": ["cfo"], "ask": SequentialApprovalPolicy([ApprovalStage("one", CFO)])}, "ask"),
    ],
)
async def test_authorization(settings: Mapping[str, Any], expected: str) -> None:
    policy = AuthorizationPolicy(**settings)
    assert await outcome(policy) == expected
    assert await outcome(policy, action_of(requester=None)) == "deny"


async def test_authorization_says_what_is_lacking() -> None:
    assert await reason(AuthorizationPolicy(roles=["cfo", "ceo"])) == "ana@company.com has none of the roles ceo, cfo"
    assert await reason(AuthorizationPolicy(permissions=["x", "pay"])) == "ana@company.com lacks the permissions x"
    assert "acting_as" in await reason(AuthorizationPolicy(roles=["x"]), action_of(requester=None))


async def test_asking_instead_names_this_policy_and_why() -> None:
    policy = AuthorizationPolicy(roles=["cfo"], ask=ApprovalPolicy(CFO, quorum=1, require_reason=True))
    (decision,) = (await ruled(policy)).decisions
    assert (decision.kind, decision.reason) == ("authorization", "ana@company.com has none of the roles cfo")
    assert (decision.requests[0].policy, decision.requests[0].require_reason) == ("authorization", True)


async def test_authorization_is_asked_again_at_the_moment_of_the_effect() -> None:
    late = replace(BEFORE, evaluated_at=900.0)
    dismissed = action_of(requester=Principal("ana@company.com"))
    policy = AuthorizationPolicy(roles=["clerk"])
    assert await outcome(policy, facts=late) == "allow"
    assert await outcome(policy, dismissed, late) == "deny"
    asking = AuthorizationPolicy(roles=["clerk"], ask=CFO)
    assert await outcome(asking, dismissed, late) == "deny"
    (requests,) = (await ruled(asking, dismissed)).requests
    granted = frozenset(request.digest() for request in requests)
    assert await outcome(asking, dismissed, replace(late, granted=granted)) == "allow"
    assert await outcome(asking, dismissed, replace(late, granted=frozenset({asking.fingerprint()}))) == "deny"


@pytest.mark.parametrize("settings", [{}, {"roles": "cfo"}, {"permissions": [""]}, {"roles": ["a"], "ask": []}])
def test_authorization_refuses_settings_that_do_not_mean_what_they_say(settings: Any) -> None:
    with pytest.raises(UsageError):
        AuthorizationPolicy(**settings)


# Rate limits.


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_call_beyond_the_limit_is_told_when_to_come_back() -> None:
    time = Time()
    buckets = Buckets(time)
    facts = replace(BEFORE, admit=buckets.admit)
    policy = RateLimitPolicy(3, "60s")
    assert [await outcome(policy, facts=facts) for _ in range(4)] == ["allow", "allow", "allow", "deny"]
    ruling = await ruled(policy, facts=facts)
    assert ruling.retry_after == pytest.approx(20)
    time.now += 19.9
    assert await outcome(policy, facts=facts) == "deny"
    time.now += 0.2
    assert [await outcome(policy, facts=facts) for _ in range(2)] == ["allow", "deny"]


async def test_a_burst_bounds_what_happens_at_once() -> None:
    facts = replace(BEFORE, admit=Buckets(Time()).admit)
    policy = RateLimitPolicy(100, 60, burst=2)
    assert [await outcome(policy, facts=facts) for _ in range(3)] == ["allow", "allow", "deny"]


@pytest.mark.parametrize(
    ("settings", "first", "second"),
    [
        ({}, action_of(), action_of(name="other")),
        ({"per_user": True}, action_of(), action_of(Principal("bob"))),
        ({"key": lambda a: a.recipient}, action_of(), action_of(recipient="eve")),
        ({"key": lambda a: a.recipient, "per_user": True}, action_of(), action_of(Principal("bob"))),
        ({"key": lambda a: a.recipient}, action_of(recipient="1"), action_of(recipient=1)),
        ({"per_user": True}, action_of(Principal("x', 'y"), "a"), action_of(Principal("y"), "a', 'x")),
    ],
)
async def test_each_key_has_a_bucket_of_its_own(settings: Any, first: Action, second: Action) -> None:
    facts = replace(BEFORE, admit=Buckets(Time()).admit)
    policy = RateLimitPolicy(1, **settings)
    assert [await outcome(policy, one, facts) for one in (first, first, second, second)] == [
        "allow",
        "deny",
        "allow",
        "deny",
    ]


async def test_two_limits_do_not_share_a_bucket() -> None:
    facts = replace(BEFORE, admit=Buckets(Time()).admit)
    ruling = await evaluate_all([RateLimitPolicy(1, "1s"), RateLimitPolicy(10, "60s")], action_of(), facts)
    assert ruling.outcome == "allow"


async def test_another_spelling_of_a_user_gives_no_more_calls() -> None:
    facts, limit = replace(BEFORE, admit=Buckets(Time()).admit), RateLimitPolicy(1, per_user=True)
    said = [await outcome(limit, action_of(Principal(who)), facts) for who in ("bob@x.org", "BOB@x.org", "bob@x.org ")]
    assert said == ["allow", "deny", "deny"]


async def test_a_limit_per_user_without_a_user_denies() -> None:
    facts = replace(BEFORE, admit=Buckets(Time()).admit)
    assert await outcome(RateLimitPolicy(1, per_user=True), action_of(requester=None), facts) == "deny"


@pytest.mark.parametrize("wait", [float("nan"), -1.0, None, "now"])
async def test_a_store_that_gives_no_sound_answer_denies(wait: Any) -> None:
    async def admit(key: str, rate: float, burst: int) -> Any:
        return wait

    assert await outcome(RateLimitPolicy(1), facts=replace(BEFORE, admit=admit)) == "deny"


async def test_without_a_place_to_count_a_limit_denies() -> None:
    assert "nowhere to count" in await reason(RateLimitPolicy(1))


async def test_a_key_that_is_no_text_denies() -> None:
    facts = replace(BEFORE, admit=Buckets(Time()).admit)
    assert await outcome(RateLimitPolicy(1, key=lambda a: a.amount), facts=facts) == "deny"


async def test_a_token_is_good_for_one_window() -> None:
    facts = replace(BEFORE, admit=Buckets(Time()).admit)
    policy = RateLimitPolicy(1, "60s")
    assert await outcome(policy, facts=facts) == "allow"
    assert await outcome(policy, facts=replace(facts, evaluated_at=facts.now - 59)) == "allow"
    assert await outcome(policy, facts=replace(facts, evaluated_at=facts.now - 61)) == "deny"


@pytest.mark.parametrize(
    "settings",
    [
        {"max_calls": 0},
        {"max_calls": 1.5},
        {"max_calls": True},
        {"max_calls": 1, "burst": 0},
        {"max_calls": 1, "window": 0},
        {"max_calls": 1, "window": "soon"},
        {"max_calls": 1, "window": -1},
    ],
)
def test_a_limit_refuses_settings_that_limit_nothing(settings: Any) -> None:
    with pytest.raises(UsageError):
        RateLimitPolicy(**settings)


@given(st.integers(1, 20), st.integers(1, 20), st.lists(st.floats(0, 10), max_size=60))
def test_a_bucket_never_admits_more_than_burst_and_rate(max_calls: int, burst: int, steps: list[float]) -> None:
    time = Time()
    buckets = Buckets(time)
    admitted = 0
    for step in steps:
        time.now += step
        admit = buckets.admit("key", max_calls / 60, burst)
        with pytest.raises(StopIteration) as answer:
            admit.send(None)  # it never waits
        admitted += answer.value.value == 0
    assert admitted <= burst + (time.now - 1000) * max_calls / 60 + 1e-3


async def test_full_buckets_do_not_pile_up() -> None:
    time = Time()
    buckets = Buckets(time)
    for number in range(10_050):
        time.now += 1
        await buckets.admit(str(number), 1, 1)
    assert len(buckets._full_at) < 100


# Audit.


class Order(BaseModel):
    """Arguments with secrets in depth."""

    item: str
    card_number: str
    code: SecretStr


async def test_an_audit_record_says_who_asked_for_what_and_what_came_of_it() -> None:
    policy = AuditPolicy(tags=["sox"], sensitive=["iban"])
    order = Order(item="pen", card_number="4111", code=SecretStr("1"))
    action = action_of(order=order, iban="DE1", amount=5)
    ((_, _, facts),) = (await ruled(policy, action)).events()
    assert facts == {
        "action": "wire",
        "phase": "before",
        "at": 1000.0,
        "execution_id": None,
        "tags": ["sox"],
        "labels": [],
        "requester": {"id": "ana@company.com", "roles": ["clerk"]},
        "arguments": {
            "amount": 5,
            "recipient": "bob",
            "order": {"item": "pen", "card_number": "[redacted]", "code": "[redacted]"},
            "iban": "[redacted]",
        },
    }
    ((_, _, facts),) = (await ruled(policy, action, after({"iban": "DE1", "ok": True}))).events()
    assert facts["result"] == {"iban": "[redacted]", "ok": True}
    assert "arguments" not in facts
    ((_, _, facts),) = (await ruled(policy, action, after(error=ValueError("no funds")))).events()
    assert facts["error"] == "ValueError: no funds"


async def test_an_audit_record_leaves_out_what_it_should() -> None:
    policy = AuditPolicy(log_arguments=False, log_results=False)
    for facts in (BEFORE, after(1)):
        ((_, _, record),) = (await ruled(policy, facts=facts)).events()
        assert not {"arguments", "result"} & record.keys()


async def test_audit_records_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "assent.audit")
    await ruled(AuditPolicy(), action_of(password="hunter2"))
    (entry,) = caplog.records
    assert entry.getMessage() == "before: wire"
    assert entry.__dict__["audit"]["arguments"]["password"] == "[redacted]"
    caplog.set_level(logging.INFO, "own")
    await ruled(AuditPolicy(logger=logging.getLogger("own")))
    assert caplog.records[-1].name == "own"


async def test_audit_records_go_to_a_function() -> None:
    records: list[Mapping[str, Any]] = []

    async def keep(record: Mapping[str, Any]) -> None:
        records.append(record)

    for logger in (records.append, keep):
        assert await outcome(AuditPolicy(logger=logger)) == "allow"
    assert [record["action"] for record in records] == ["wire", "wire"]


def fails(record: Mapping[str, Any]) -> None:
    raise OSError("disk full")


async def fails_later(record: Mapping[str, Any]) -> None:
    raise OSError("disk full")


@pytest.mark.parametrize("logger", [fails, fails_later])
async def test_without_its_record_an_action_is_denied(logger: Any) -> None:
    assert "disk full" in await reason(AuditPolicy(logger=logger))


async def test_a_value_that_cannot_be_read_does_not_undo_the_record() -> None:
    class Unreadable(BaseModel):
        def __iter__(self) -> Any:
            raise RuntimeError

    ((_, _, facts),) = (await ruled(AuditPolicy(), facts=after(Unreadable()))).events()
    assert facts["result"].startswith("[unreadable")


# Approval.


async def asked(policy: Policy, action: Action | None = None) -> list[tuple[str, ...]]:
    ruling = await ruled(policy, action)
    return [request.approvers for series in ruling.requests for request in series]


async def test_all_may_have_to_approve_and_some_may_not() -> None:
    policy = ApprovalPolicy(
        ["cfo@company.com", "role:finance"],
        quorum="all",
        exclude=["cto@company.com"],
        remind=["4h", 3600],
        on_expiry="escalate",
        escalate_to=[["ceo@company.com"], ["board@company.com", "chair@company.com"]],
    )
    ((request,),) = (await ruled(policy)).requests
    assert (request.each, request.quorum) == (True, 2)
    assert request.excluded == ("cto@company.com",)
    assert request.reminders == (3600.0, 14400.0)
    assert request.escalate_to == (("ceo@company.com",), ("board@company.com", "chair@company.com"))


async def test_who_may_not_decide_can_depend_on_the_action() -> None:
    async def later(action: Action) -> list[str]:
        return [f"buyer{action.amount}@company.com"]

    for exclude in (later, lambda action: [f"buyer{action.amount}@company.com"]):
        stage = ApprovalStage("one", ["cfo@company.com"], exclude=exclude)
        for asking in (ApprovalPolicy(["cfo@company.com"], exclude=exclude), SequentialApprovalPolicy([stage])):
            ((request,),) = (await ruled(asking)).requests
            assert request.excluded == ("buyer5@company.com",)


@pytest.mark.parametrize("names", [None, "cfo@company.com", [5], ["cfo@company.com"]], ids=str)
async def test_a_rule_for_who_may_not_decide_that_does_not_work_denies(names: Any) -> None:
    assert (await ruled(ApprovalPolicy(["cfo@company.com"], exclude=lambda action: names))).outcome == "deny"


@pytest.mark.parametrize(
    "wrong",
    [{"quorum": "most"}, {"quorum": 3}, {"remind": "4h"}, {"remind": ["30d"]}, {"remind": 5}, {"exclude": "a@x"}],
    ids=str,
)
def test_rules_that_would_never_hold_are_refused(wrong: dict[str, Any]) -> None:
    for make in (ApprovalPolicy, partial(ApprovalStage, "one")):
        with pytest.raises(UsageError):
            make(["a@x", "b@x"], **wrong)


async def test_an_approval_policy_asks_by_its_rules() -> None:
    policy = ApprovalPolicy(
        ["cfo@company.com", "ceo@company.com"],
        timeout_seconds=10,
        expires="2h",
        on_expiry="escalate",
        escalate_to=["board@company.com", "chair@company.com"],
        quorum=2,
        require_reason=True,
        separation_of_duties=False,
        title="Large transfer",
    )
    ((request,),) = (await ruled(policy)).requests
    assert request.approvers == ("cfo@company.com", "ceo@company.com")
    assert (request.timeout_seconds, request.expires, request.on_expiry) == (10.0, 7200.0, "escalate")
    assert request.escalate_to == (("board@company.com", "chair@company.com"),)
    assert (request.quorum, request.require_reason, request.separation_of_duties) == (2, True, False)
    assert (request.title, request.kind, request.stage, request.stages) == ("Large transfer", "approval", 1, 1)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda a: True, "allow"),
        (yes, "allow"),
        (lambda a: a.amount < 3, "ask"),
        (lambda a: None, "ask"),
        (lambda a: 1, "deny"),
        (lambda a: 1 / 0, "deny"),
    ],
)
async def test_only_a_plain_yes_spares_people_the_question(condition: Any, expected: str) -> None:
    assert await outcome(ApprovalPolicy(CFO, auto_approve=condition)) == expected
    stages = SequentialApprovalPolicy([ApprovalStage("one", CFO, auto_approve=condition)])
    assert await outcome(stages) == expected


async def test_stages_are_asked_in_order_without_those_that_are_approved_by_rule() -> None:
    policy = SequentialApprovalPolicy(
        [
            ApprovalStage("manager", ["manager@company.com"]),
            ApprovalStage("finance", CFO, auto_approve=lambda a: a.amount < 10),
            ApprovalStage("board", ["b1@company.com", "b2@company.com"], quorum=2, require_reason=True),
        ]
    )
    assert await asked(policy) == [("manager@company.com",), ("b1@company.com", "b2@company.com")]
    (series,) = (await ruled(policy, action_of(amount=50))).requests
    assert [(one.stage, one.stages, one.stage_name) for one in series] == [
        (1, 3, "manager"),
        (2, 3, "finance"),
        (3, 3, "board"),
    ]
    assert len({one.digest() for one in series}) == 3


async def test_asking_leaves_no_trace_in_the_policy() -> None:
    policy = SequentialApprovalPolicy([ApprovalStage("one", CFO), ApprovalStage("two", CFO)])
    assert await asked(policy) == await asked(policy)


async def test_two_approval_policies_ask_twice() -> None:
    ruling = await evaluate_all([ApprovalPolicy(CFO), ApprovalPolicy(CFO)], action_of(), BEFORE)
    assert len(ruling.requests) == 2


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"approvers": []}, "without approvers"),
        ({"approvers": "cfo@company.com"}, r"approvers=\['cfo@company.com'\]"),
        ({"approvers": ["", "a"]}, "not empty"),
        ({"quorum": 2}, "name more approvers"),
        ({"approvers": ["a@x", "A@X"], "quorum": 2}, "name more approvers"),
        ({"quorum": 0}, "quorum=0"),
        ({"quorum": True}, "quorum=True"),
        ({"on_expiry": "escalate"}, "belong together"),
        ({"escalate_to": ["a"]}, "belong together"),
        ({"on_expiry": "ask"}, "on_expiry='ask'"),
        ({"on_expiry": "approve", "expires": None}, "Give expires"),
        ({"expires": 0}, "must stay open"),
        ({"expires": "soon"}, "not a duration"),
        ({"timeout_seconds": -1}, "not a duration"),
        (
            {"approvers": ["a", "b"], "quorum": 2, "on_expiry": "escalate", "escalate_to": ["c"]},
            "name more escalate_to",
        ),
    ],
)
def test_approval_refuses_settings_that_nobody_could_meet(settings: Any, remedy: str) -> None:
    settings = {"approvers": CFO} | settings
    with pytest.raises(UsageError, match=remedy):
        ApprovalPolicy(**settings)
    with pytest.raises(UsageError, match=remedy):
        ApprovalStage("one", **settings)


def test_stages_need_names_of_their_own() -> None:
    with pytest.raises(UsageError, match="nobody would be asked"):
        SequentialApprovalPolicy([])
    with pytest.raises(UsageError, match="needs a name"):
        ApprovalStage("", CFO)
    with pytest.raises(UsageError, match="one name twice"):
        SequentialApprovalPolicy([ApprovalStage("one", CFO), ApprovalStage("one", CFO)])


async def test_a_policy_of_your_own_can_ask_people_too() -> None:
    class Large(Policy):
        def evaluate(self, action: Action, facts: Facts) -> Decision | bool:
            if action.amount < 3:
                return True
            return self.ask_people(ApprovalPolicy(CFO)._request, reason="it is large")

    assert await asked(Large()) == [("cfo@company.com",)]
    assert Large().name == "Large"
